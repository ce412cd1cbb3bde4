"""The reference store, in memory, with a disk's forgetfulness: what was not synced can be lost, last batch first.

Rows are kept encoded by the same codec as on disk, so that whatever is driven over this store exercises it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..core.batch.overlay import DATA
from ..core.entry.record import Record
from ..core.interface.event import Loaded
from ..core.interface.ready import Apply
from ..errors import PaxosStoreError
from .keys import entity_prefix, hash_content, plog_key
from .loading import assert_next, range_load, take_rows
from .record_codec import encode_row
from .sorted_map import SortedMap

_AFTER_DATA = bytes((DATA[0] + 1,))


class _Batch(NamedTuple):
    """One write, as the store keeps it until it is durable."""

    rows: list[tuple[int, int, bytes]]
    applies: list[tuple[int, int, bool, list[tuple[bytes, bytes | None]]]]
    """(entity, entry, cleared, writes)"""


class _Contents:
    """What a disk holds at one moment."""

    __slots__ = ("committed", "data", "log")

    def __init__(self) -> None:
        self.log: dict[int, SortedMap[int, bytes]] = {}
        self.data: dict[int, SortedMap[bytes, bytes]] = {}
        self.committed: SortedMap[int, int] = SortedMap()

    def add(self, batch: _Batch) -> None:
        for entity, entry, row in batch.rows:
            if entity not in self.log:
                self.log[entity] = SortedMap()
            self.log[entity].put(entry, row)
        for entity, entry, cleared, writes in batch.applies:
            table = self.data.get(entity)
            if table is None:
                table = self.data[entity] = SortedMap()
            if cleared:
                table.delete_range(DATA, _AFTER_DATA)
            for key, value in writes:
                if value is None:
                    table.delete(key)
                else:
                    table.put(key, value)
            self.committed.put(entity, entry)

    def copy(self) -> _Contents:
        twin = _Contents()
        twin.log = {entity: rows.copy() for entity, rows in self.log.items()}
        twin.data = {entity: table.copy() for entity, table in self.data.items()}
        twin.committed = self.committed.copy()
        return twin


class MemoryStore:
    """`storage.api.Store` for tests and the simulator."""

    def __init__(self) -> None:
        self.fail_next_write: PaxosStoreError | None = None
        """Raised by the next write, once, which then changes nothing."""
        self._now = _Contents()
        self._durable = _Contents()
        self._unsynced: list[_Batch] = []
        self._changing = threading.Lock()

    @property
    def unsynced(self) -> int:
        """How many batches a crash could lose."""
        return len(self._unsynced)

    def crash(self, keep: int = 0) -> MemoryStore:
        """The store that is found after a crash: all that was synced, and the first `keep` of the unsynced batches."""
        assert 0 <= keep <= len(self._unsynced), keep
        found = type(self)()
        found._durable = self._durable.copy()
        for batch in self._unsynced[:keep]:
            found._durable.add(batch)
        found._now = found._durable.copy()
        return found

    # -- Store

    def write(self, records: dict[tuple[int, int], Record], applies: Sequence[Apply]) -> None:
        rows = [(entity, entry, encode_row(plog_key(entity, entry), record)) for (entity, entry), record in records.items()]
        applied: dict[int, int] = {}
        for apply in applies:
            assert_next(apply, applied.get(apply.entity, self.committed_entry(apply.entity)))
            applied[apply.entity] = apply.entry
        # the writes are copied: the caller may go on with its batch
        batch = _Batch(rows, [(a.entity, a.entry, a.batch.cleared, list(a.batch.writes.items())) for a in applies])
        if self.fail_next_write is not None:
            error, self.fail_next_write = self.fail_next_write, None
            raise error
        with self._changing:
            self._now.add(batch)
        self._unsynced.append(batch)

    def sync(self) -> None:
        for batch in self._unsynced:
            self._durable.add(batch)
        self._unsynced.clear()

    def load(self, entity: int) -> Loaded:
        committed = self.committed_entry(entity)
        rows = self._now.log.get(entity)
        return range_load(entity, committed, () if rows is None else rows.range(committed))

    def read_log(self, entity: int, first: int, last: int, max_bytes: int = 1_048_576) -> list[tuple[int, Record]]:
        rows = self._now.log.get(entity)
        return [] if rows is None else take_rows(entity, rows.range(first, last + 1), max_bytes)

    def get(self, entity: int, key: bytes) -> bytes | None:
        table = self._now.data.get(entity)
        return None if table is None else table.items.get(key)

    def scan(self, entity: int, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        table = self._now.data.get(entity)
        return iter(()) if table is None else table.range(start, end)

    def committed_entry(self, entity: int) -> int:
        return self._now.committed.items.get(entity, 0)

    def committed(self, after: int = -1) -> Iterator[tuple[int, int]]:
        return self._now.committed.range(after + 1)

    def content_hash(self) -> str:
        with self._changing:
            data = {entity: table.copy() for entity, table in self._now.data.items()}
            committed = self._now.committed.copy()
        return hash_content(_all_data(data), committed.range(0))

    def close(self) -> None:
        self.sync()


def _all_data(tables: dict[int, SortedMap[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for entity in sorted(tables):
        prefix = entity_prefix(entity)
        for key, value in tables[entity].range(b""):
            yield prefix + key, value
