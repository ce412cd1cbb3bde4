"""The view that a batch is evaluated on: the DB at exactly one entry, under the batch's own pending writes (rule 14)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator
from enum import Enum
from typing import Any, Final

from ...boundary import exact_bytes
from ...errors import InvalidRequest, PaxosStoreError, TooLarge
from .order import down, merged, up
from .published import Published, exact_published
from .view import DATA as DATA
from .view import MAX_KEY_BYTES as MAX_KEY_BYTES
from .view import TIME as TIME
from .view import UUID as UUID
from .view import WINDOW as WINDOW
from .view import BodyCodec as BodyCodec
from .view import DataReader as DataReader
from .view import NeedsWrite as NeedsWrite
from .view import View as View
from .view import WriteBatch as WriteBatch


class _Missing(Enum):
    MISSING = "nothing was written"


_MISSING: Final = _Missing.MISSING


def one_thread() -> int:
    """Who calls, where there is but one thread."""
    return 1


class Overlay:
    """The `View` of a batch: own writes over what is applied but not written yet, over the DB.

    What a function hands in may be of any type (Any), whatever a `View` asks for: it is made exact here, or refused.
    """

    __slots__ = (
        "_batch",
        "_caller",
        "_journal",
        "_keys",
        "_max_rows",
        "_most_work",
        "_now_ms",
        "_reader",
        "_rows",
        "_size_before",
        "_under",
        "_user",
        "broken",
        "clock_ms",
        "entity",
        "entry",
        "kept",
        "limit",
        "max_reply_bytes",
        "needs_write",
        "published",
        "read_only",
        "request",
        "size",
        "work",
    )

    def __init__(
        self,
        reader: DataReader,
        entity: int,
        clock_ms: int,
        under: WriteBatch | None = None,
        *,
        entry: int = 0,
        read_only: bool = False,
        max_request_bytes: int = 2**63,
        max_request_rows: int = 2**63,
        max_reply_bytes: int = 2**63,
        caller: Callable[[], int] = one_thread,
    ) -> None:
        """`clock_ms`: what the clocks say. `caller` tells the thread that calls: a number, not 0."""
        self._caller = caller
        self._reader = reader
        self._under = under
        self.limit = max_request_bytes
        self.max_reply_bytes = max_reply_bytes
        self._max_rows = self._most_work = max_request_rows
        self._batch = WriteBatch()
        """The requests' writes; what the protocol keeps is apart, so that `clear` leaves it alone."""
        self._keys: list[bytes] | None = None
        """In order, at least those that are written here or not in the DB yet; made by the first scan, and kept from then on."""
        self._journal: list[tuple[bytes, bytes | WriteBatch | _Missing | None]] = []
        self._size_before = 0
        self._rows: list[Generator[tuple[bytes, bytes], None, None]] = []
        """What scans have open in the store."""
        self._user = self._caller()
        """The thread whose view this is; 0: nobody's any more."""
        self.entity = entity
        self.entry = entry
        self.request = 0
        self.clock_ms = clock_ms
        self._now_ms: int | None = None
        """None: nobody has asked yet."""
        self.read_only = read_only
        self.kept: dict[bytes, bytes | None] = {}
        """What the protocol writes, outside the requests' space."""
        self.broken: PaxosStoreError | None = None
        """What the store raised when it could not be read: no request may be decided on such a view."""
        self.needs_write = False
        """The function of a read-only request has met what only a write may see: it is not decided by this view."""
        self.published: list[Published] = []
        """By the request under way."""
        self.size = 0
        """Bytes written so far."""
        self.work = 0
        """What all requests have visited so far, in rows; 4 KiB of a value count as one more."""

    # -- what requests use

    @property
    def now_ms(self) -> int:
        now_ms = self._now_ms
        return self._look_at_time() if now_ms is None else now_ms

    def _look_at_time(self) -> int:
        if self._user != self._caller():
            self._refuse_use()
        self._most_work += 1  # it is work, but no row that this request asked for
        last = self.get_raw(TIME)
        now_ms = self._now_ms = self.clock_ms if last is None else max(self.clock_ms, int.from_bytes(last, "big"))
        if not self.read_only:
            self.kept[TIME] = now_ms.to_bytes(8, "big")
        return now_ms

    def require_write(self) -> None:
        if self.read_only:
            self.needs_write = True
            raise NeedsWrite

    def get(self, key: Any) -> bytes | None:
        if self._user != self._caller():
            self._refuse_use()
        work = self.work = self.work + 1
        if work > self._most_work:
            self._refuse_rows()
        return self._get(DATA + (key if type(key) is bytes else exact_bytes("a key", key, MAX_KEY_BYTES - 1)))

    def put(self, key: Any, value: Any) -> None:
        if type(value) is not bytes:
            value = exact_bytes("a value", value, self.limit)
        self._write(key, value)

    def delete(self, key: Any) -> None:
        self._write(key, None)

    def clear(self) -> None:
        if self._user != self._caller():
            self._refuse_use()
        if self.read_only:
            raise InvalidRequest("a read-only request cannot write")
        work = self.work = self.work + 1
        if work > self._most_work:
            self._refuse_rows()
        self._journal.append((b"", self._batch))  # scans that are open go on with it
        self._batch = WriteBatch(cleared=True)
        self._keys = None

    def publish(self, channel: Any, payload: Any, kind: Any = 0) -> None:
        if self._user != self._caller():
            self._refuse_use()
        if self.read_only:
            raise InvalidRequest("a read-only request cannot publish")
        message = exact_published(channel, payload, kind, self.limit)
        self.size += message.size
        if self.size - self._size_before > self.limit:
            raise TooLarge(f"a request may write and publish {self.limit} bytes at most (max_request_bytes)")
        self.work += 1
        self.published.append(message)

    def scan(self, start: Any = b"", end: Any = None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        if self._user != self._caller():
            self._refuse_use()
        first = DATA + exact_bytes("start", start, MAX_KEY_BYTES - 1)
        last = _after(DATA) if end is None else DATA + exact_bytes("end", end, MAX_KEY_BYTES - 1)
        if first >= last:
            return iter(())
        keys = self._sorted()
        rows = None
        if not (self._batch.cleared or (self._under is not None and self._under.cleared)):
            rows = self._stored(first, last, reverse)
            self._rows.append(rows)
        ours = self._written(keys, first, last, reverse)
        if rows is None:
            return self._guarded(ours)
        return self._guarded(rows if not keys else merged(rows, ours, reverse))

    def _guarded(self, pairs: Iterator[tuple[bytes, bytes | None]]) -> Iterator[tuple[bytes, bytes]]:
        """Without those that are deleted, and without the space byte; counted as this request's."""
        for key, value in pairs:
            if self._user != self._caller():
                self._refuse_use()
            if value is None:
                continue
            self.work += 1 + (len(value) >> 12)
            if self.work > self._most_work:
                self._refuse_rows()
            yield key[1:], value
        if self._user != self._caller():
            self._refuse_use()

    def _written(self, keys: list[bytes], first: bytes, last: bytes, reverse: bool) -> Iterator[tuple[bytes, bytes | None]]:
        """What is written here with first <= key < last, as it was when the scan began (None: deleted)."""
        batch, under, journal = self._batch, self._under, self._journal
        since = len(journal)

        def pairs() -> Iterator[tuple[bytes, bytes | None]]:
            before: dict[bytes, bytes | _Missing | None] = {}
            """Of what was written since then."""
            seen = since
            for key in down(keys, first, last) if reverse else up(keys, first, last):
                while seen < len(journal):
                    changed, old = journal[seen]
                    if isinstance(old, WriteBatch):
                        break  # cleared: from here on nothing changes in what this scan reads
                    before.setdefault(changed, old)
                    seen += 1
                value = before.get(key, batch.writes.get(key, _MISSING))
                if value is _MISSING and under is not None and not batch.cleared:
                    value = under.writes.get(key, _MISSING)
                if value is None:
                    self._pass_over()
                if value is not _MISSING:
                    yield key, value

        return pairs()

    def _sorted(self) -> list[bytes]:
        """The keys of what is written here."""
        keys = self._keys
        if keys is None:
            under = self._under.writes if self._under is not None and not self._batch.cleared else {}
            keys = self._keys = sorted({**under, **self._batch.writes}) if under or self._batch.writes else []
        return keys

    def _pass_over(self) -> None:
        """A row that is not there any more: work, but nothing that this request asked for."""
        self.work += 1
        self._most_work += 1

    def _refuse_rows(self) -> None:
        raise TooLarge(f"a request may visit or write {self._max_rows} rows at most (max_request_rows)")

    def _refuse_use(self) -> None:
        raise InvalidRequest("a view cannot be used after its request's function has returned, nor in another thread")

    def savepoint(self) -> tuple[int, int, int]:
        return len(self._journal), self.size, len(self.published)

    def undo(self, savepoint: tuple[int, int, int]) -> None:
        at, self.size, published = savepoint
        self.published = self.published[:published]
        journal = self._journal
        while len(journal) > at:
            key, old = journal.pop()
            if isinstance(old, WriteBatch):
                self._batch = old
                self._keys = None
            elif old is _MISSING:
                self._batch.writes.pop(key, None)
            else:
                self._batch.writes[key] = old

    # -- what the batcher uses

    @property
    def batch(self) -> WriteBatch:
        """All that is written so far."""
        batch = self._batch
        return WriteBatch({**batch.writes, **self.kept}, batch.cleared) if self.kept else batch

    def get_raw(self, key: bytes) -> bytes | None:
        """Read a key that the protocol keeps, with its space byte."""
        self.work += 1
        value = self.kept.get(key, _MISSING)
        if value is not _MISSING:
            return value
        if self._under is not None:
            value = self._under.writes.get(key, _MISSING)
            if value is not _MISSING:
                return value
        return self._read(key)

    def put_raw(self, key: bytes, value: bytes | None) -> None:
        """Write such a key."""
        self.kept[key] = value
        self.work += 1
        self.size += len(key) + (len(value) if value is not None else 0)

    def open(self) -> None:
        """A request's function is called: the view is its own until `close`."""
        self._user = self._caller()
        self._most_work = self.work + self._max_rows
        self.needs_write = False

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
        self.request += 1
        if self.published:
            self.published = []

    @property
    def published_bytes(self) -> int:
        """By the request under way."""
        return sum([message.size for message in self.published])

    @property
    def request_size(self) -> int:
        """Bytes written since begin."""
        return self.size - self._size_before

    def rollback(self) -> None:
        """Undo everything written since begin."""
        self.undo((0, self._size_before, 0))

    def _get(self, key: bytes) -> bytes | None:
        value = self._batch.writes.get(key, _MISSING)
        if value is not _MISSING:
            return value
        if self._batch.cleared:
            return None
        if self._under is not None:
            value = self._under.writes.get(key, _MISSING)
            if value is not _MISSING:
                return value
            if self._under.cleared:
                return None
        return self._read(key)

    def _read(self, key: bytes) -> bytes | None:
        try:
            value = self._reader.get(self.entity, key)
        except PaxosStoreError as error:
            self.broken = error
            raise
        if value is not None:
            self.work += len(value) >> 12
        return value

    def _stored(self, first: bytes, last: bytes, reverse: bool) -> Generator[tuple[bytes, bytes], None, None]:
        try:
            yield from self._reader.scan(self.entity, first, last, reverse)
        except PaxosStoreError as error:
            self.broken = error
            raise

    def _write(self, key: Any, value: bytes | None) -> None:
        if self._user != self._caller():
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
        work = self.work = self.work + (1 if value is None else 1 + (len(value) >> 12))
        if work > self._most_work:
            self._refuse_rows()
        writes = self._batch.writes
        old = writes.get(key, _MISSING)
        self._journal.append((key, old))
        writes[key] = value
        self.size = size
        if self._keys is not None and old is _MISSING:
            at = bisect_left(self._keys, key)
            if self._keys[at : at + 1] != [key]:
                self._keys.insert(at, key)


def _after(prefix: bytes) -> bytes:
    return prefix[:-1] + bytes((prefix[-1] + 1,))
