"""Consumer groups: what was delivered to whom, and has not been acknowledged yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from ...layout.collection import after
from ...reply import ReplyError, error
from .stream import MAX_ID, Stream

_GROUP, _CONSUMER, _PENDING, _BY_CONSUMER = b"g", b"c", b"p", b"q"

_encode = msgspec.msgpack.Encoder().encode
_decode_group = msgspec.msgpack.Decoder(tuple[bytes, int | None, int, bytes]).decode
_decode_consumer = msgspec.msgpack.Decoder(tuple[int, int]).decode
_decode_pending = msgspec.msgpack.Decoder(tuple[bytes, int, int]).decode


class Pending(NamedTuple):
    """An entry that was delivered."""

    number: int
    consumer: bytes
    delivered_ms: int
    deliveries: int


class Consumer:
    """Of one group."""

    __slots__ = ("name", "pending", "seen_ms")

    def __init__(self, name: bytes, seen_ms: int, pending: int) -> None:
        self.name = name
        self.seen_ms = seen_ms
        self.pending = pending


class Group:
    """One group of a stream. Call `save` behind the last change; consumers are written by `save` as well."""

    __slots__ = ("_consumers", "_head", "_low_id", "_rows", "entries_read", "last_id", "name", "pending")

    def __init__(self, stream: Stream, name: bytes, last_id: int, entries_read: int | None) -> None:
        self._rows = stream.rows
        self.name = name
        self._head = len(name).to_bytes(4, "big") + name
        self.last_id = last_id
        """What was delivered last."""
        self.entries_read = entries_read
        """How many of the entries that were ever added it has read; None: not known."""
        self.pending = 0
        self._low_id = 0
        """Nothing lower is pending."""
        self._consumers: dict[bytes, Consumer] = {}
        """Those that were looked up or changed."""

    @classmethod
    def find(cls, stream: Stream, name: bytes) -> Group | None:
        row = stream.rows.get(_GROUP + name)
        if row is None:
            return None
        last_id, entries_read, pending, low = _decode_group(row)
        group = cls(stream, name, int.from_bytes(last_id, "big"), entries_read)
        group.pending, group._low_id = pending, int.from_bytes(low, "big")
        return group

    @classmethod
    def all(cls, stream: Stream) -> Iterator[Group]:
        for member, _ in stream.rows.scan(_GROUP, after(_GROUP)):
            group = cls.find(stream, member[1:])
            assert group is not None
            yield group

    @classmethod
    def any(cls, stream: Stream) -> bool:
        return next(stream.rows.scan(_GROUP, after(_GROUP)), None) is not None

    def save(self) -> None:
        """Raises TooLarge."""
        row = (self.last_id.to_bytes(16, "big"), self.entries_read, self.pending, self._low_id.to_bytes(16, "big"))
        self._rows.put(_GROUP + self.name, _encode(row))
        for consumer in self._consumers.values():
            self._rows.put(_CONSUMER + self._head + consumer.name, _encode((consumer.seen_ms, consumer.pending)))

    def destroy(self) -> None:
        """Drop it, and all that belongs to it. Costs what is pending and the consumers."""
        for space in (_PENDING, _BY_CONSUMER, _CONSUMER):
            prefix = space + self._head
            for member in [member for member, _ in self._rows.scan(prefix, after(prefix))]:
                self._rows.delete(member)
        self._rows.delete(_GROUP + self.name)

    # -- consumers

    def consumer(self, name: bytes) -> Consumer | None:
        found = self._consumers.get(name)
        if found is None:
            row = self._rows.get(_CONSUMER + self._head + name)
            if row is None:
                return None
            found = self._consumers[name] = Consumer(name, *_decode_consumer(row))
        return found

    def create_consumer(self, name: bytes, now_ms: int) -> Consumer:
        consumer = self._consumers[name] = Consumer(name, now_ms, 0)
        return consumer

    def see(self, name: bytes, now_ms: int) -> Consumer:
        """The consumer, created if there is none, who has been heard of now."""
        consumer = self.consumer(name) or self.create_consumer(name, now_ms)
        consumer.seen_ms = now_ms
        return consumer

    def consumers(self) -> list[Consumer]:
        """In the order of their names."""
        prefix = _CONSUMER + self._head
        return [
            self._consumers.get(member[len(prefix) :]) or Consumer(member[len(prefix) :], *_decode_consumer(row))
            for member, row in self._rows.scan(prefix, after(prefix))
        ]

    def drop_consumer(self, consumer: Consumer) -> int:
        """Returns how many entries were pending for it."""
        dropped = [pending.number for pending in self.pending_of(consumer)]
        for number in dropped:
            self.acknowledge(number)
        self._rows.delete(_CONSUMER + self._head + consumer.name)
        self._consumers.pop(consumer.name, None)
        return len(dropped)

    # -- what is pending

    def pending_entry(self, number: int) -> Pending | None:
        row = self._rows.get(self._pending_key(number))
        return None if row is None else Pending(number, *_decode_pending(row))

    def pending_range(self, start: int, end: int = MAX_ID, *, reverse: bool = False) -> Iterator[Pending]:
        prefix = _PENDING + self._head
        start = max(start, self._low_id)
        if start > end or not self.pending:
            return
        last = after(prefix) if end == MAX_ID else self._pending_key(end + 1)
        for member, row in self._rows.scan(self._pending_key(start), last, reverse=reverse):
            yield Pending(int.from_bytes(member[-16:], "big"), *_decode_pending(row))

    def pending_of(self, consumer: Consumer, start: int = 0, end: int = MAX_ID) -> Iterator[Pending]:
        prefix = self._consumer_prefix(consumer.name)
        start = max(start, self._low_id)
        if start > end or not consumer.pending:
            return
        last = after(prefix) if end == MAX_ID else prefix + (end + 1).to_bytes(16, "big")
        for member, _ in self._rows.scan(prefix + start.to_bytes(16, "big"), last):
            pending = self.pending_entry(int.from_bytes(member[-16:], "big"))
            assert pending is not None, "what is pending by consumer is pending"
            yield pending

    def deliver(self, number: int, consumer: Consumer, now_ms: int, deliveries: int) -> None:
        """An entry is pending for this consumer from now on, whoever had it before."""
        before = self.pending_entry(number)
        if before is None:
            if not self.pending or number < self._low_id:
                self._low_id = number
            self.pending += 1
            consumer.pending += 1
        elif before.consumer != consumer.name:
            self._leave(before)
            consumer.pending += 1
        self._rows.put(self._pending_key(number), _encode((consumer.name, now_ms, deliveries)))
        if before is None or before.consumer != consumer.name:
            self._rows.put(self._consumer_prefix(consumer.name) + number.to_bytes(16, "big"), b"")

    def acknowledge(self, number: int) -> bool:
        """An entry is not pending any more; returns whether it was."""
        pending = self.pending_entry(number)
        if pending is None:
            return False
        self._leave(pending)
        self._rows.delete(self._pending_key(number))
        self.pending -= 1
        if number == self._low_id:
            following = next(self.pending_range(number + 1), None) if number < MAX_ID else None
            self._low_id = number if following is None else following.number
        return True

    def _leave(self, pending: Pending) -> None:
        owner = self.consumer(pending.consumer)
        assert owner is not None, "who has something pending is there"
        owner.pending -= 1
        self._rows.delete(self._consumer_prefix(owner.name) + pending.number.to_bytes(16, "big"))

    def _pending_key(self, number: int) -> bytes:
        return _PENDING + self._head + number.to_bytes(16, "big")

    def _consumer_prefix(self, name: bytes) -> bytes:
        return _BY_CONSUMER + self._head + len(name).to_bytes(4, "big") + name


def no_group(key: bytes, group: bytes) -> ReplyError:
    return ReplyError(error(b"No such key '%b' or consumer group '%b'" % (key, group), "NOGROUP"))
