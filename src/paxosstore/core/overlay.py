"""The view that a batch is evaluated on: the DB at exactly one entry, under the batch's own pending writes (rule 14).

Everything an entity governs lives under one-byte spaces of its own, so that what the protocol keeps there (the
outcomes of requests with uuids, rule 15) is applied, recovered and copied with the data, by the same writes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from enum import Enum
from threading import get_ident
from typing import Final, Protocol

from ..boundary import exact_bytes
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

    def encode(self, batch: WriteBatch) -> bytes:
        """Raises InvalidRequest for what cannot be written: not every key and value is exactly bytes."""
        ...

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
    """What a request's function sees: its entity's keys, as they stand after every earlier request.

    It is the function's own until that returns, and in its thread only: any later use raises InvalidRequest. Keys and values
    are bytes; of a bytearray, a memoryview or a subclass a copy is taken. Raises InvalidRequest for anything else, and TooLarge
    for a key, or all of a request's writes together, over their limits.
    """

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
        """Pairs with start <= key < end (None: to the last), ascending, as they are now: later writes do not show in it."""
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
        "_rows",
        "_size_before",
        "_under",
        "_user",
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
        self._rows: list[Generator[tuple[bytes, bytes], None, None]] = []
        """What scans have open in the store."""
        self._user = get_ident()
        """The thread whose view this is; 0: nobody's any more."""
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
        if self._user != get_ident():
            self._refuse_use()
        return self.get_raw(DATA + (key if type(key) is bytes else exact_bytes("a key", key, MAX_KEY_BYTES - 1)))

    def put(self, key: bytes, value: bytes) -> None:
        if type(value) is not bytes:
            value = exact_bytes("a value", value, self.limit)
        self._write(key, value)

    def delete(self, key: bytes) -> None:
        self._write(key, None)

    def clear(self) -> None:
        if self._user != get_ident():
            self._refuse_use()
        if self.read_only:
            raise InvalidRequest("a read-only request cannot write")
        # rare, so the whole batch is the undo record
        self._journal.append((b"", WriteBatch(dict(self.batch.writes), self.batch.cleared)))
        self.batch.merge(WriteBatch(cleared=True))

    def scan(self, start: bytes = b"", end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        if self._user != get_ident():
            self._refuse_use()
        first = DATA + exact_bytes("start", start, MAX_KEY_BYTES - 1)
        last = _after(DATA) if end is None else DATA + exact_bytes("end", end, MAX_KEY_BYTES - 1)
        layers = [self.batch] if self._under is None else [self._under, self.batch]
        pending: dict[bytes, bytes | None] = {}
        hide_db = False
        for layer in layers:
            if layer.cleared:
                pending.clear()
                hide_db = True
            pending.update((k, v) for k, v in layer.writes.items() if first <= k < last)
        if hide_db or first >= last:
            return self._merged(iter(()), pending)
        rows = self._stored(first, last)
        self._rows.append(rows)
        return self._merged(rows, pending)

    def _merged(self, rows: Iterator[tuple[bytes, bytes]], pending: dict[bytes, bytes | None]) -> Iterator[tuple[bytes, bytes]]:
        """Stored rows under the pending ones, without the space byte."""
        if self._user != get_ident():
            self._refuse_use()
        ours = sorted(pending)
        at = 0
        for key, value in rows:
            while at < len(ours) and ours[at] < key:
                mine = pending[ours[at]]
                if mine is not None:
                    yield ours[at][1:], mine
                    if self._user != get_ident():
                        self._refuse_use()
                at += 1
            if key in pending:
                continue
            yield key[1:], value
            if self._user != get_ident():
                self._refuse_use()
        for key in ours[at:]:
            mine = pending[key]
            if mine is not None:
                yield key[1:], mine
                if self._user != get_ident():
                    self._refuse_use()

    def _refuse_use(self) -> None:
        raise InvalidRequest("a view cannot be used after its request's function has returned, nor in another thread")

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

    def open(self) -> None:
        """A request's function is called: the view is its own until `close`."""
        self._user = get_ident()

    def close(self) -> None:
        """The function has returned: whatever it kept of the view is of no use any more."""
        self._user = 0
        if self._rows:
            for rows in self._rows:
                rows.close()  # it lets go of the store
            self._rows.clear()

    def begin(self) -> None:
        """Start of one request: what it writes can be rolled back until the next begin."""
        self._journal.clear()
        self._size_before = self.size

    @property
    def request_size(self) -> int:
        """Bytes written since begin."""
        return self.size - self._size_before

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

    def _stored(self, first: bytes, last: bytes) -> Generator[tuple[bytes, bytes], None, None]:
        try:
            yield from self._reader.scan(self.entity, first, last)
        except PaxosStoreError as error:
            self.broken = error
            raise

    def _write(self, key: bytes, value: bytes | None) -> None:
        if self._user != get_ident():
            self._refuse_use()
        if self.read_only:
            raise InvalidRequest("a read-only request cannot write")
        if type(key) is not bytes:
            key = exact_bytes("a key", key, MAX_KEY_BYTES - 1)
        if len(key) >= MAX_KEY_BYTES:
            raise TooLarge(f"a key of {len(key)} bytes is over the limit of {MAX_KEY_BYTES - 1}")
        key = DATA + key
        size = self.size + len(key) + (len(value) if value is not None else 0)
        if size - self._size_before > self.limit:
            raise TooLarge(f"a request may write {self.limit} bytes at most (max_request_bytes)")
        writes = self.batch.writes
        self._journal.append((key, writes.get(key, _MISSING)))
        writes[key] = value
        self.size = size


def _after(prefix: bytes) -> bytes:
    return prefix[:-1] + bytes((prefix[-1] + 1,))
