"""Who waits for which keys, and whose turn it is when something comes: the waiting room of blocking commands.

Whoever waits costs nothing while nothing happens: a place in the queue of each of its keys, and one in a heap of timeouts. What
is applied to a database (the feed, whichever node it came from) wakes as many of those who wait for a key as it holds members, in
the order in which they came. Each tries its command once more, as an ordinary request, and waits on in its old place if it finds
nothing.

A wake is never lost: a place is taken before the first try, so what is applied from then on is seen. Who is trying already is
marked, to try again if it finds nothing. Who ends without having needed its wake passes it on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from typing import Protocol

from ....core.batch.overlay import DATA, WriteBatch
from ....errors import PaxosStoreError
from ..layout.keys import LIST, STREAM, ZSET, key_in, row_key

NEVER = float("inf")
PLACE_BYTES = 330
"""What a place takes of memory for each of its keys, besides their names."""
STALE = 64
"""So many timeouts of those who have left may stay in the heap, or as many as there are others."""
_SIZE_AT, _SIZE_END = 8, 16
"""Where the number of its members stands behind a key's head."""


class Timer(Protocol):
    def cancel(self) -> None: ...


class Follows(Protocol):
    """The feed, as far as it is needed here."""

    def follow(self, entity: int, follower: _Hall) -> None: ...

    def leave(self, entity: int, follower: _Hall) -> None: ...


class Waiter(Protocol):
    """A command that waits. Each call is made at a moment when it is not trying."""

    def retry(self) -> None:
        """Try it again: there may be something."""
        ...

    def look(self) -> None:
        """The same, but as a read: as a rule there is nothing."""
        ...

    def time_out(self) -> None:
        """It has waited for long enough: it leaves."""
        ...

    def fail(self, error: PaxosStoreError) -> None:
        """Nothing can come any more: it leaves."""
        ...

    def drop(self) -> None:
        """The node stops, or cannot find out what comes: its client is to go elsewhere, and leaves."""
        ...


class Place:
    """Where a waiter stands: in the queue of each of its keys. Written by the room alone."""

    __slots__ = (
        "again",
        "deadline_s",
        "entity",
        "keys",
        "kind",
        "number",
        "overdue",
        "probing",
        "tested",
        "trying",
        "waiter",
        "woken",
    )

    def __init__(self, waiter: Waiter, entity: int, names: Iterable[bytes], kind: int, deadline_s: float) -> None:
        self.waiter = waiter
        self.entity = entity
        self.keys = tuple(dict.fromkeys(map(row_of, names)))
        self.kind = kind
        """Of keys that it can be served from."""
        self.deadline_s = deadline_s
        self.number = 0
        """In the order in which they came."""
        self.trying = False
        self.probing = False
        """It tries though nothing has come, for all that wait at its entity."""
        self.tested = False
        """It has found nothing, in any of its keys."""
        self.again = False
        """Something came while it was trying."""
        self.overdue = False
        """If it finds nothing now, it waits no longer."""
        self.woken: set[bytes] = set()
        """Keys for which it was woken."""


class WaitingRoom:
    """All who wait at one node."""

    def __init__(
        self, feed: Follows, seconds: Callable[[], float], call_later: Callable[[float, Callable[[], None]], Timer]
    ) -> None:
        self._feed = feed
        self.seconds = seconds
        self._call_later = call_later
        self._halls: dict[int, _Hall] = {}
        self._timeouts: list[tuple[float, int, Place]] = []
        self._timed = 0
        """Of those in the heap, so many are still here."""
        self._timer: Timer | None = None
        self._timer_at_s = NEVER
        self._numbers = 0
        self._draining = False
        self.places: set[Place] = set()
        """Of all that are here."""
        self.wakes = 0

    def __len__(self) -> int:
        return len(self.places)

    def enter(self, place: Place) -> bool:
        """Take a place, from now on; whether it is to be tried now: not if for each of its keys others are there already."""
        self._numbers += 1
        place.number = self._numbers
        self.places.add(place)
        hall = self._halls.get(place.entity)
        if hall is None:
            hall = self._halls[place.entity] = _Hall(self, place.entity)
        if not hall.following:
            hall.following = True
            self._feed.follow(place.entity, hall)
        queues = hall.queues
        behind = place.kind != STREAM and all(_last_kind(queues.get(key)) == place.kind for key in place.keys)
        for key in place.keys:
            queues.setdefault(key, {})[place] = None
        if place.deadline_s != NEVER:
            self._timed += 1
            heappush(self._timeouts, (place.deadline_s, place.number, place))
            self._set_timer()
        place.trying = not behind
        if behind and self._draining:
            place.waiter.drop()
        return not behind

    def found_nothing(self, place: Place) -> None:
        """It has tried in vain: it waits on, or tries again at once if something has come meanwhile."""
        if place.again:
            place.again = False
            place.waiter.retry()
            return
        place.trying = place.probing = False
        place.tested = True
        place.woken.clear()
        if self._draining:
            place.waiter.drop()
        elif place.overdue:
            place.waiter.time_out()

    def leave(self, place: Place, served: bytes = b"") -> None:
        """It waits no more; `served`: from this key. Safe to repeat."""
        if place not in self.places:
            return
        self.places.remove(place)
        self._timed -= place.deadline_s != NEVER
        hall = self._halls[place.entity]
        for key in place.keys:
            queue = hall.queues[key]
            del queue[place]
            if not queue:
                del hall.queues[key]
        if place.trying:
            # those behind it rest on what it has found, or would have; what it has taken is told by the feed
            woken = place.woken if place.tested else place.keys
            unused = place.keys if place.again else [key for key in woken if key != row_of(served)]
            hall.wake([(key, place.kind, 1) for key in unused])
        if not hall.queues and self._halls.get(place.entity) is hall:  # whoever was woken may have ended at once
            del self._halls[place.entity]
            self._feed.leave(place.entity, hall)

    def expire(self, place: Place) -> None:
        """It is to wait no longer; if it is trying, unless it finds something."""
        place.overdue = True
        if not place.trying and place in self.places:
            place.waiter.time_out()

    def probe(self) -> None:
        """Now and then: one of those who wait at an entity looks whether the node can find out anything about it."""
        for hall in list(self._halls.values()):
            place = next((place for queue in hall.queues.values() for place in queue if not place.trying), None)
            if place is not None:
                place.trying = place.probing = True
                place.waiter.look()

    def cut_off(self, place: Place) -> None:
        """Its look was refused: what comes is not known here, so whoever waits there is sent away."""
        place.trying = place.probing = False
        for other in [other for other in self.places if other.entity == place.entity and not other.trying]:
            other.waiter.drop()

    def drain(self) -> None:
        """The node stops: whoever waits is sent away, those that are trying when they find nothing."""
        self._draining = True
        for place in [place for place in self.places if not place.trying]:
            place.waiter.drop()

    def _set_timer(self) -> None:
        if len(self._timeouts) > 2 * self._timed + STALE:
            self._timeouts = [entry for entry in self._timeouts if entry[2] in self.places]
            heapify(self._timeouts)
        first_s = self._timeouts[0][0] if self._timeouts else NEVER
        if first_s < self._timer_at_s:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at_s = first_s
            self._timer = self._call_later(max(0.0, first_s - self.seconds()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer, self._timer_at_s = None, NEVER
        now_s = self.seconds()
        while self._timeouts and self._timeouts[0][0] <= now_s:
            place = heappop(self._timeouts)[2]
            if place in self.places:
                self.expire(place)
        self._set_timer()


class _Hall:
    """Those who wait for keys of one entity; the `Follower` of it."""

    __slots__ = ("_room", "entity", "following", "queues")

    def __init__(self, room: WaitingRoom, entity: int) -> None:
        self._room = room
        self.entity = entity
        self.following = False
        self.queues: dict[bytes, dict[Place, None]] = {}
        """By the row of the key: who waits for it, in the order in which they came."""

    def applied(self, entry: int, batch: WriteBatch) -> None:
        if batch.cleared:
            self.wake([(key, STREAM, len(queue)) for key, queue in self.queues.items()])
        touched: list[tuple[bytes, int, int]] = []
        for key in self.queues.keys() & batch.writes.keys():
            row = batch.writes[key]
            found = None if row is None else key_in(key[1:], row)
            if found is None:
                touched.append((key, STREAM, len(self.queues[key])))  # it is gone: so are its groups
            elif found.kind in (LIST, ZSET):
                touched.append((key, found.kind, int.from_bytes(found.body[_SIZE_AT:_SIZE_END], "big")))
            else:
                touched.append((key, found.kind, len(self.queues[key])))
            if found is not None and found.kind != STREAM:
                touched.append((key, STREAM, len(self.queues[key])))  # who waits as a consumer is told that it is another kind
        if touched:
            self.wake(touched)

    def replaced(self, entry: int) -> None:
        """What has changed is not known."""
        self.wake([(key, kind, len(queue)) for key, queue in self.queues.items() for kind in (LIST, ZSET, STREAM)])

    def ended(self, error: PaxosStoreError) -> None:
        self.following = False
        waiting = {place for queue in self.queues.values() for place in queue if not place.trying}
        for place in sorted(waiting, key=_number):
            place.waiter.fail(error)

    def wake(self, keys: Iterable[tuple[bytes, int, int]]) -> None:
        """Let so many of those who wait for a key try, if it is of the kind that they can be served from."""
        woken: list[Place] = []
        for key, kind, number in keys:
            for place in self.queues.get(key, ()):
                if number <= 0:
                    break
                if place.kind != kind:
                    continue
                number -= 1
                place.woken.add(key)
                if place.trying:
                    place.again = True
                else:
                    place.trying = True
                    woken.append(place)
        self._room.wakes += len(woken)
        for place in sorted(woken, key=_number):
            place.waiter.retry()


def _last_kind(queue: dict[Place, None] | None) -> int:
    return next(reversed(queue)).kind if queue else 0


def _number(place: Place) -> int:
    return place.number


def row_of(name: bytes) -> bytes:
    """The row of a key, as write batches name it."""
    return DATA + row_key(name)
