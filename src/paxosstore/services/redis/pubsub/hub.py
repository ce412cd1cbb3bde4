"""Who of this node's clients has subscribed to what, and what they are told: published messages, from every node.

A message is told once to each subscription that it meets, as in Redis: to those of its channel first, then to each pattern that
fits. Nothing is kept: who subscribes later, or is cut off, does not get it. What a client does not read is bounded where its
replies are (`max_unread_bytes`): beyond it the client is closed.
"""

from __future__ import annotations

import math
import re
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from time import monotonic
from typing import NamedTuple, Protocol

from ....core.batch.published import Published
from ....errors import PaxosStoreError
from ..glob import check_glob, compile_glob
from ..reply import bulk
from .events import ALL, CLASSES, KEY_EVENT, interest

CHANNEL = 1
"""Kind of the messages that PUBLISH sends."""
SHARD_CHANNEL = 2
"""Those of SPUBLISH."""
WANTED = 4
"""Those that tell the other nodes which key events are wanted here; the channel is the hub's own number."""
FLAGS = "Ag$lshzxeKEtmdn"
RENEWALS = 10
"""A node that has not said so for so many ticks does not want any more."""
SUBSCRIPTION_BYTES = 256
"""What one takes of memory, besides the name."""
MAX_SUBSCRIPTIONS = 16_384
"""Of one client, of each kind."""
PASS_S = 0.002
"""For so long messages are compared with patterns in one pass of the loop."""
AT_ONCE_BYTES, LOOK_BYTES, READY_BYTES = 65_536, 64, 8_192
"""How much of names is compared between two looks at the time; a comparison counts as so many bytes more, and to make a pattern
ready for its first one as so many."""
MAX_QUEUE = 4_096
"""Messages that wait meanwhile; with more, the loop waits."""


class Subscriber(Protocol):
    """A client."""

    @property
    def proto(self) -> int: ...

    @property
    def subscriptions(self) -> Subscriptions: ...

    def push(self, message: bytes) -> None:
        """Send it what answers no command. It may be gone after that: it did not read."""
        ...


class Subscriptions:
    """What one client has subscribed to, of each kind in the order in which it did."""

    __slots__ = ("channels", "patterns", "shard_channels", "size")

    def __init__(self) -> None:
        self.channels: dict[bytes, None] = {}
        self.patterns: dict[bytes, None] = {}
        self.shard_channels: dict[bytes, None] = {}
        self.size = 0
        """Bytes of memory that they take."""

    def __bool__(self) -> bool:
        return bool(self.channels or self.patterns or self.shard_channels)


Subscribers = dict[bytes, dict[Subscriber, None]]
"""By channel or pattern."""


class _Matching(NamedTuple):
    """A message on its way through the patterns."""

    channel: bytes
    payload: bytes
    left: Iterator[tuple[bytes, dict[Subscriber, None]]]


class Hub:
    """The subscriptions of one node's clients."""

    def __init__(
        self,
        publish: Callable[[bytes, bytes, int], None] | None = None,
        later: Callable[[Callable[[], object]], object] | None = None,
    ) -> None:
        """`publish` tells every node, this one included, which `take`s it; None: there is no other.

        `later` calls in the next pass of the loop; None: all is told at once.
        """
        self._later = later
        self._queue: deque[Published] = deque()
        """What has been published and not told."""
        self._matching: _Matching | None = None
        """What is being compared with patterns."""
        self._telling = False
        """It is being told, in this pass or a later one."""
        self._publish = publish or (lambda channel, payload, kind: self.take([Published(channel, payload, kind)]))
        self._channels: Subscribers = {}
        self._shard_channels: Subscribers = {}
        self._patterns: Subscribers = {}
        self._matchers: dict[bytes, re.Pattern[bytes]] = {}
        """Of those patterns that something has been compared with."""
        self.told = 0
        """Messages that clients were told."""
        self.events = ""
        """Which key events this node's clients are told (notify-keyspace-events)."""
        self._wanted = frozenset[str]()
        self._number = secrets.token_bytes(8)
        self._others: dict[bytes, tuple[frozenset[str], int]] = {}
        """By the number of another hub: the classes that it wants, and for how many ticks."""

    # -- messages

    def publish(self, channel: bytes, payload: bytes, kind: int) -> int:
        """Tell all nodes; returns how many of this one's clients were told. Raises what `Node.publish` does."""
        before = self.told
        self._publish(channel, payload, kind)
        return self.told - before

    def take(self, messages: Sequence[Published]) -> None:
        """What was published, here or at another node."""
        self._queue.extend(messages)
        if not self._telling:
            self._tell_all()

    def _tell_all(self) -> None:
        """Tell what there is, in order, as far as this pass of the loop allows where there are many patterns to compare."""
        self._telling = True
        try:
            done = self._tell_until(monotonic() + PASS_S)
        except BaseException:
            self._telling = False
            raise
        if done:
            self._telling = False
        elif self._later is not None:
            self._later(self._tell_all)

    def _tell_until(self, until_s: float) -> bool:
        """Whether all is told."""
        while self._queue or self._matching is not None:
            if self._matching is not None:
                patient = self._later is not None and len(self._queue) <= MAX_QUEUE
                if not self._tell_patterns(self._matching, until_s if patient else math.inf):
                    return False
                self._matching = None
                continue
            channel, payload, kind = self._queue.popleft()
            if kind == CHANNEL:
                self._tell(self._channels, b"message", channel, payload)
                if self._patterns:
                    self._matching = _Matching(channel, payload, iter([*self._patterns.items()]))
            elif kind == SHARD_CHANNEL:
                self._tell(self._shard_channels, b"smessage", channel, payload)
            elif kind == KEY_EVENT:
                self._tell_event(channel, payload)
            elif kind == WANTED and channel != self._number:
                self._others[channel] = frozenset(payload.decode("latin-1")), RENEWALS
                self._look()
        return True

    # -- key events

    def notify(self, flags: str) -> None:
        """Tell this node's clients of such key events from now on. Raises ValueError for what is no flag."""
        if not set(flags) <= set(FLAGS):
            raise ValueError(flags)
        wanted = set(flags) | (set(ALL) if "A" in flags else set())
        shown = "A" if set(ALL) <= wanted else "".join(flag for flag in ALL + "n" if flag in wanted)
        self.events = shown + "".join(flag for flag in "KEm" if flag in wanted)
        self._wanted = frozenset(wanted)
        self._look()
        self._announce()

    def tick(self) -> None:
        """Once a second: say again what is wanted here, and forget who does not."""
        if self._wanted:
            self._announce()
        if self._others:
            others = self._others.items()
            self._others = {number: (classes, left - 1) for number, (classes, left) in others if left > 1 and classes}
            self._look()

    def close(self) -> None:
        """Nobody is here any more."""
        interest.set(self, frozenset())

    def _look(self) -> None:
        own = self._classes
        interest.set(self, own.union(*(classes for classes, _ in self._others.values())))

    @property
    def _classes(self) -> frozenset[str]:
        return self._wanted.intersection(CLASSES) if self._wanted.intersection("KE") else frozenset()

    def _announce(self) -> None:
        with suppress(PaxosStoreError):  # it is said again
            self._publish(self._number, "".join(self._classes).encode(), WANTED)

    def _tell_event(self, channel: bytes, payload: bytes) -> None:
        kind, event, database, key = channel[:1].decode("latin-1"), channel[1:], payload[0], payload[1:]
        if kind not in self._wanted:
            return
        places = (("E", b"keyevent", event), ("K", b"keyspace", key))  # the last one is told first
        for flag, name, text in places:
            if flag in self._wanted:
                place = b"__%b@%d__:%b" % (name, database, text)
                self._queue.appendleft(Published(place, event if flag == "K" else key, CHANNEL))

    # -- telling

    def _tell(self, subscribers: Subscribers, what: bytes, channel: bytes, payload: bytes) -> None:
        if found := subscribers.get(channel):
            self._push(found, (bulk(what), bulk(channel), bulk(payload)))

    def _tell_patterns(self, matching: _Matching, until_s: float) -> bool:
        """Compare a channel with the patterns that are left, until then; whether that were all."""
        channel = matching.channel
        rest = bulk(channel), bulk(matching.payload)
        left = AT_ONCE_BYTES
        for pattern, found in matching.left:
            matcher = self._matchers.get(pattern)
            if matcher is None:
                if pattern not in self._patterns:
                    continue
                matcher = self._matchers[pattern] = compile_glob(pattern)
                left -= READY_BYTES
            if matcher.fullmatch(channel):
                self._push(found, (bulk(b"pmessage"), bulk(pattern), *rest))
            left -= LOOK_BYTES + len(channel)
            if left < 0:
                if monotonic() > until_s:
                    return False
                left = AT_ONCE_BYTES
        return True

    def _push(self, subscribers: dict[Subscriber, None], parts: Sequence[bytes]) -> None:
        messages = {2: b"", 3: b""}
        for subscriber in [*subscribers]:
            proto = subscriber.proto
            message = messages[proto]
            if not message:
                message = messages[proto] = push_of(parts, proto)
            self.told += 1
            subscriber.push(message)

    # -- subscriptions. Each says whether there is one more, or one less

    def subscribe(self, subscriber: Subscriber, channel: bytes) -> bool:
        return _add(self._channels, channel, subscriber, subscriber.subscriptions.channels)

    def unsubscribe(self, subscriber: Subscriber, channel: bytes) -> bool:
        return _remove(self._channels, channel, subscriber, subscriber.subscriptions.channels)

    def subscribe_shard(self, subscriber: Subscriber, channel: bytes) -> bool:
        return _add(self._shard_channels, channel, subscriber, subscriber.subscriptions.shard_channels)

    def unsubscribe_shard(self, subscriber: Subscriber, channel: bytes) -> bool:
        return _remove(self._shard_channels, channel, subscriber, subscriber.subscriptions.shard_channels)

    def subscribe_pattern(self, subscriber: Subscriber, pattern: bytes) -> bool:
        """Raises TooLarge for a pattern that would take too long to compare."""
        if pattern not in self._patterns:
            check_glob(pattern)
        return _add(self._patterns, pattern, subscriber, subscriber.subscriptions.patterns)

    def unsubscribe_pattern(self, subscriber: Subscriber, pattern: bytes) -> bool:
        removed = _remove(self._patterns, pattern, subscriber, subscriber.subscriptions.patterns)
        if pattern not in self._patterns:
            self._matchers.pop(pattern, None)
        return removed

    def forget(self, subscriber: Subscriber) -> None:
        """It is gone, or begins anew: it has no subscriptions any more."""
        own = subscriber.subscriptions
        for channel in [*own.channels]:
            self.unsubscribe(subscriber, channel)
        for channel in [*own.shard_channels]:
            self.unsubscribe_shard(subscriber, channel)
        for pattern in [*own.patterns]:
            self.unsubscribe_pattern(subscriber, pattern)

    # -- looking in: this node's clients

    def channels(self, pattern: bytes | None = None, *, shard: bool = False) -> list[bytes]:
        """Those that somebody has subscribed to. Raises TooLarge for a pattern that would take too long to compare."""
        found = self._shard_channels if shard else self._channels
        if pattern is None or pattern == b"*":
            return [*found]
        matcher = compile_glob(pattern)
        return [channel for channel in found if matcher.fullmatch(channel)]

    def subscribers(self, channel: bytes, *, shard: bool = False) -> int:
        return len((self._shard_channels if shard else self._channels).get(channel, ()))

    @property
    def patterns(self) -> int:
        """How many different ones there are."""
        return len(self._patterns)


def push_of(parts: Sequence[bytes], proto: int) -> bytes:
    """Encoded parts as one message that answers no command."""
    return b"%b%d\r\n%b" % (b">" if proto == 3 else b"*", len(parts), b"".join(parts))


def _add(subscribers: Subscribers, name: bytes, subscriber: Subscriber, own: dict[bytes, None]) -> bool:
    if name in own:
        return False
    own[name] = None
    subscriber.subscriptions.size += len(name) + SUBSCRIPTION_BYTES
    subscribers.setdefault(name, {})[subscriber] = None
    return True


def _remove(subscribers: Subscribers, name: bytes, subscriber: Subscriber, own: dict[bytes, None]) -> bool:
    if name not in own:
        return False
    del own[name]
    subscriber.subscriptions.size -= len(name) + SUBSCRIPTION_BYTES
    left = subscribers[name]
    del left[subscriber]
    if not left:
        del subscribers[name]
    return True
