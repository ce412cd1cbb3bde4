"""When a turn begins, what it takes in, and when to look again: the loop around `turn.py`. No clock, no threads, no asyncio.

    step ─► inbox ─► (soon) turn begins ─► Host.written ─► the sync, elsewhere ─► finish ─► (soon, or at the next deadline)
                                                            │ takes long: sync_takes_long
                                                            └─► what comes meanwhile is taken in gulps (core/turn/silence.py)

One turn at a time. The busier the node, the more a turn holds, the cheaper each request. The node (runtime/loop.py) and the
simulator (sim/node.py) drive this same class, as its `Host`: they differ in what time is, and where a sync runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from ..core.batch.request import Request
from ..core.entity.logstate import NEVER
from ..core.interface.event import Event, Received
from ..core.interface.ready import Apply, Change, Release
from ..core.shard.shard import Shard
from ..errors import Damaged, PaxosStoreError
from .api import Store
from .inbox import Inbox
from .turn import Turn


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """It is not needed any more; it does no harm if it comes all the same."""
        ...


class Host(Protocol):
    """Where a driver lives: what it is given of time, the disk and the world. All in one thread.

    The driver's own methods and what it leaves with `call_soon` and `call_later` may raise: what the store cannot read, or a bug.
    Half a turn is done then: nothing of it may be shown, and the driver must not be called again.
    """

    def monotonic_ms(self) -> float:
        """The clock that decides everything."""
        ...

    def wall_ms(self) -> int: ...

    def call_soon(self, action: Callable[[], None]) -> None:
        """Call this when what has arrived already has been put into the inbox."""
        ...

    def call_later(self, delay_ms: float, action: Callable[[], None]) -> Timer: ...

    def written(self, events: int, needs_sync: bool) -> None:
        """A turn that took in so many events has been written. Make it durable, if it needs that, and call `Driver.finish` then.

        If that takes longer than `slow_sync_ms`, call `Driver.sync_takes_long` meanwhile.
        """
        ...

    def release(self, release: Release) -> None:
        """Let this leave."""
        ...

    def applied(self, applies: Sequence[Apply], changes: Sequence[Change]) -> None:
        """The store has taken this in, and it is durable: the changes first."""
        ...

    def warm(self, entities: Sequence[int]) -> None:
        """Have `Store.warm` bring into memory what loading these will read, elsewhere, and call `Driver.warmed` then."""
        ...

    def reads_on(self) -> bool:
        """Whether there is time for one more read of the disk now, or what else waits here comes first."""
        ...

    def renewed(self, disk: int) -> None:
        """This node has another disk id from now on (rule 19a): end all links, and begin anew under it."""
        ...

    def lost(self, found: Damaged) -> None:
        """What was kept of one entity is damaged: it is being got from the peers again (rule 19e)."""
        ...


class Driver:
    """Drives one shard and its store, for its host."""

    def __init__(self, shard: Shard, store: Store, host: Host, gulp_ms: float) -> None:
        self.inbox = Inbox()
        """What no turn has taken in yet."""
        self.slow = False
        """The sync under way takes long: the next turn is taken in gulps."""
        self._shard = shard
        self._turn = Turn(shard, store, host.release, host.applied, host.renewed, host.warm, host.reads_on, host.lost)
        self._host = host
        self._gulp_ms = gulp_ms
        """What only time has brought is looked at so often at most between gulps."""
        self._warmed: deque[int] = deque()
        """Entities to load."""
        self._loading = False
        """More of them are loaded soon."""
        self._scheduled = False
        self._closed = False
        self._timer: Timer | None = None
        self._timer_at_ms = NEVER

    @property
    def syncing(self) -> bool:
        """Whether a turn has begun and is not finished."""
        return self._turn.syncing

    def unsynced(self, entity: int) -> int:
        """As `Turn.unsynced`."""
        return self._turn.unsynced(entity)

    def step(self, event: Event | Request) -> None:
        """Let the next turn take this in."""
        if type(event) is Received:
            self.inbox.put_frame(event)
        else:
            self.inbox.put(event)
        if self.slow or not self._turn.syncing:
            self._schedule()

    def sync_takes_long(self) -> None:
        """From here to the end of the sync under way, the next turn is taken in gulps."""
        assert self._turn.syncing
        self.slow = True
        self._gulp()

    def warmed(self, entities: Sequence[int]) -> None:
        """What loading these reads is in memory, as far as it was known: load them."""
        self._warmed += entities
        if not self._loading:
            self._load()

    def _load(self) -> None:
        self._loading = False
        if self._closed:
            return
        while self._warmed and not self._loading:
            self.inbox.put_loaded(self._turn.load(self._warmed.popleft()))
            if self._warmed and not self._host.reads_on():
                self._loading = True
                self._host.call_soon(self._load)
        if self.slow or not self._turn.syncing:
            self._schedule()

    def finish(self) -> None:
        """The turn under way is durable: show what waited for that, and go on."""
        now = self._host.monotonic_ms()
        self.inbox.put_all(self._turn.finish(now, self._host.wall_ms()))
        open_turn, self.slow = self.slow, False
        if self.inbox or open_turn:
            self._schedule()
        else:
            self._set_timer(now)

    def close(self) -> None:
        """Begin no turn any more; the one under way may be finished."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._host.call_soon(self._begin)

    def _begin(self) -> None:
        self._scheduled = False
        if self._closed:
            return
        if self._turn.syncing:
            if self.slow:
                self._gulp()
            return
        inbox = self.inbox.take()
        try:
            needs_sync = self._turn.begin(inbox, self._host.monotonic_ms(), self._host.wall_ms())
        except PaxosStoreError:
            self._put_back(inbox)
            raise
        self._host.written(len(inbox), needs_sync)

    def _gulp(self) -> None:
        """Take in what has come while the sync of the turn before takes long."""
        now = self._host.monotonic_ms()
        inbox = self.inbox.take()
        try:
            self.inbox.put_all(self._turn.gulp(inbox, now, self._host.wall_ms()))
        except PaxosStoreError:
            self._put_back(inbox)
            raise
        if self.inbox:
            self._schedule()
        self._set_timer(now, self._gulp_ms)

    def _put_back(self, inbox: list[Event | Request]) -> None:
        """The turn broke: whoever stops the shard ends these, as far as they have not ended."""
        for event in inbox:
            if isinstance(event, Request):
                self.inbox.put(event)

    def _set_timer(self, now: float, pause_ms: float = 0.0) -> None:
        if self._closed:
            return
        due = max(self._shard.next_deadline_ms, now + pause_ms)
        if self._timer is not None:
            if now < self._timer_at_ms <= due:
                return  # it wakes up early enough, and looks again
            self._timer.cancel()
            self._timer = None
        if due != NEVER:
            self._timer_at_ms = due
            self._timer = self._host.call_later(due - now, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if not self._scheduled:
            self._begin()
