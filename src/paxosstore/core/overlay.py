"""The view that a batch is evaluated on: the DB at exactly one entry, under the batch's own pending writes (rule 14).

Everything an entity governs lives under one-byte spaces of its own, so that what the protocol keeps there (the
outcomes of requests with uuids, rule 15) is applied, recovered and copied with the data, by the same writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final, Protocol

from ..errors import InvalidRequest, PaxosStoreError, TooLarge

DATA = b"d"
"""Space of the requests' own keys."""
UUID = b"u"
"""Space of uuid -> first outcome."""
WINDOW = b"w"
"""Space of entry -> the uuids it carried, to forget them when the window has passed."""

MAX_KEY_BYTES = 65_536


class WriteBatch:
    """Puts and deletes for one entity, in order; a key's last write wins.

    `cleared` means: first drop every key of the DATA space, then do the writes. Keys carry their space byte.
    """

    __slots__ = ("cleared", "writes")

    def __init__(self, writes: dict[bytes, bytes | None] | None = None, cleared: bool = False) -> None:
        self.writes: dict[bytes, bytes | None] = {} if writes is None else writes
        self.cleared = cleared

    def __bool__(self) -> bool:
        return self.cleared or bool(self.writes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WriteBatch) and (self.cleared, self.writes) == (other.cleared, other.writes)

    def merge(self, later: WriteBatch) -> None:
        """Add what another batch does after this one."""
        if later.cleared:
            self.writes = {key: value for key, value in self.writes.items() if not key.startswith(DATA)}
            self.cleared = True
        self.writes.update(later.writes)


class BodyCodec(Protocol):
    """Write batches to and from the bytes of a value."""

    def encode(self, batch: WriteBatch) -> bytes: ...

    def decode(self, body: bytes) -> WriteBatch: ...


class DataReader(Protocol):
    """Synchronous reads of the applied data. Keys carry their space byte."""

    def get(self, entity: int, key: bytes) -> bytes | None: ...

    def scan(self, entity: int, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < end, ascending. The store may be written after, not during, the iteration."""
        ...

    def committed_entry(self, entity: int) -> int:
        """Highest entry applied; 0: none."""
        ...


class View(Protocol):
    """What a request's function sees: its entity's keys, as they stand after every earlier request."""

    @property
    def entity(self) -> int: ...

    @property
    def now_ms(self) -> int:
        """Wall-clock time of the evaluating node, the same for a whole batch. Replicas apply writes, never clocks."""
        ...

    def get(self, key: bytes) -> bytes | None: ...

    def put(self, key: bytes, value: bytes) -> None: ...

    def delete(self, key: bytes) -> None: ...

    def scan(self, start: bytes = b"", end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < end (None: to the last), ascending. Do not write while iterating."""
        ...

    def clear(self) -> None:
        """Delete every key of the entity."""
        ...


class _Missing(Enum):
    MISSING = "nothing was written"


_MISSING: Final = _Missing.MISSING


class Overlay:
    """The `View` of a batch: own writes over what is applied but not written yet, over the DB."""

    __slots__ = (
        "_journal",
        "_reader",
        "_size_before",
        "_under",
        "batch",
        "broken",
        "entity",
        "limit",
        "now_ms",
        "read_only",
        "size",
    )

    def __init__(
        self,
        reader: DataReader,
        entity: int,
        now_ms: int,
        under: WriteBatch | None = None,
        *,
        read_only: bool = False,
        max_request_bytes: int = 2**63,
    ) -> None:
        self._reader = reader
        self._under = under
        self.limit = max_request_bytes
        self._journal: list[tuple[bytes, bytes | WriteBatch | _Missing | None]] = []
        self._size_before = 0
        self.entity = entity
        self.now_ms = now_ms
        self.read_only = read_only
        self.batch = WriteBatch()
        self.broken: PaxosStoreError | None = None
        """What the store raised when it could not be read: no request may be decided on such a view."""
        self.size = 0
        """Bytes written so far."""

    # -- what requests use

    def get(self, key: bytes) -> bytes | None:
        return self.get_raw(DATA + key)

    def put(self, key: bytes, value: bytes) -> None:
        if not isinstance(value, bytes):
            raise InvalidRequest(f"a value must be bytes, not {type(value).__name__}")
        self._write(DATA + key, value)

    def delete(self, key: bytes) -> None:
        self._write(DATA + key, None)

    def clear(self) -> None:
        if self.read_only:
            raise InvalidRequest("a read-only request cannot write")
        # rare, so the whole batch is the undo record
        self._journal.append((b"", WriteBatch(dict(self.batch.writes), self.batch.cleared)))
        self.batch.merge(WriteBatch(cleared=True))

    def scan(self, start: bytes = b"", end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        first, last = DATA + start, _after(DATA) if end is None else DATA + end
        layers = [self.batch] if self._under is None else [self._under, self.batch]
        pending: dict[bytes, bytes | None] = {}
        hide_db = False
        for layer in layers:
            if layer.cleared:
                pending.clear()
                hide_db = True
            pending.update((k, v) for k, v in layer.writes.items() if first <= k < last)
        rows = iter(()) if hide_db else self._stored(first, last)
        ours = sorted(pending)
        at = 0
        for key, value in rows:
            while at < len(ours) and ours[at] < key:
                mine = pending[ours[at]]
                if mine is not None:
                    yield ours[at][1:], mine
                at += 1
            if key in pending:
                continue
            yield key[1:], value
        for key in ours[at:]:
            mine = pending[key]
            if mine is not None:
                yield key[1:], mine

    # -- what the batcher uses

    def get_raw(self, key: bytes) -> bytes | None:
        """Read a key that carries its space byte."""
        value = self.batch.writes.get(key, _MISSING)
        if value is not _MISSING:
            return value
        if self.batch.cleared and key.startswith(DATA):
            return None
        if self._under is not None:
            value = self._under.writes.get(key, _MISSING)
            if value is not _MISSING:
                return value
            if self._under.cleared and key.startswith(DATA):
                return None
        try:
            return self._reader.get(self.entity, key)
        except PaxosStoreError as error:
            self.broken = error
            raise

    def put_raw(self, key: bytes, value: bytes | None) -> None:
        """Write a key that carries its space byte, outside any request."""
        self.batch.writes[key] = value
        self.size += len(key) + (len(value) if value is not None else 0)

    def begin(self) -> None:
        """Start of one request: what it writes can be rolled back until the next begin."""
        self._journal.clear()
        self._size_before = self.size

    def rollback(self) -> None:
        """Undo everything written since begin."""
        for key, old in reversed(self._journal):
            if isinstance(old, WriteBatch):
                self.batch = old
            elif old is _MISSING:
                self.batch.writes.pop(key, None)
            else:
                self.batch.writes[key] = old
        self._journal.clear()
        self.size = self._size_before

    def _stored(self, first: bytes, last: bytes) -> Iterator[tuple[bytes, bytes]]:
        try:
            yield from self._reader.scan(self.entity, first, last)
        except PaxosStoreError as error:
            self.broken = error
            raise

    def _write(self, key: bytes, value: bytes | None) -> None:
        if self.read_only:
            raise InvalidRequest("a read-only request cannot write")
        if len(key) > MAX_KEY_BYTES:
            raise TooLarge(f"a key of {len(key) - 1} bytes is over the limit of {MAX_KEY_BYTES - 1}")
        writes = self.batch.writes
        self._journal.append((key, writes.get(key, _MISSING)))
        writes[key] = value
        self.size += len(key) + (len(value) if value is not None else 0)
        if self.size - self._size_before > self.limit:
            raise TooLarge(f"a request may write {self.limit} bytes at most")


def _after(prefix: bytes) -> bytes:
    return prefix[:-1] + bytes((prefix[-1] + 1,))
