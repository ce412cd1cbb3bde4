"""The reference store, in memory, with a disk's forgetfulness: what was not synced can be lost, last batch first.

Rows are kept encoded by the same codec as on disk, so that whatever is driven over this store exercises it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from ..core.batch.overlay import DATA
from ..core.entry.record import Record
from ..core.interface.digest import bucket_of, place_of
from ..core.interface.event import Loaded
from ..core.interface.ready import (
    Apply,
    BeginInstall,
    Change,
    DropInstall,
    EndInstall,
    InstallRows,
    NewEntity,
    ResetEntity,
    SetFloor,
    SetStanding,
    StopEntity,
)
from ..errors import PaxosStoreError
from .api import Reader, ViewPiece
from .digests import Digests
from .epochs import reset_spans, spans_of
from .keys import entity_prefix, hash_content, plog_key
from .loading import assert_applies, range_load, take_piece, take_rows
from .pins import Pins
from .record_codec import encode_row
from .sorted_map import SortedMap

_AFTER_DATA = bytes((DATA[0] + 1,))


class _Batch(NamedTuple):
    """One write, as the store keeps it until it is durable."""

    rows: list[tuple[int, int, bytes]]
    applies: list[tuple[int, int, bool, list[tuple[bytes, bytes | None]]]]
    """(entity, entry, cleared, writes)"""
    changes: list[Change]


class _Contents:
    """What a disk holds at one moment."""

    __slots__ = ("committed", "copies", "data", "floors", "log", "standing", "stopped")

    def __init__(self) -> None:
        self.log: dict[int, SortedMap[int, bytes]] = {}
        self.data: dict[int, SortedMap[bytes, bytes]] = {}
        self.committed: SortedMap[int, int] = SortedMap()
        self.floors: SortedMap[int, int] = SortedMap()
        self.copies: dict[int, SortedMap[bytes, bytes]] = {}
        """Of each entity that is marked as recovering: what there is of the copy beside its data."""
        self.stopped: dict[int, str] = {}
        self.standing = b""

    def add(self, batch: _Batch) -> None:
        for change in batch.changes:
            self._change(change)
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
        twin.floors = self.floors.copy()
        twin.copies = {entity: table.copy() for entity, table in self.copies.items()}
        twin.stopped, twin.standing = dict(self.stopped), self.standing
        return twin

    def _change(self, change: Change) -> None:
        match change:
            case SetStanding(content):
                self.standing = content
            case SetFloor(entity, 0):
                self.floors.delete(entity)
            case SetFloor(entity, floor):
                self.floors.put(entity, floor)
            case BeginInstall(entity):
                self.copies[entity] = SortedMap()
            case InstallRows(entity, rows):
                table = self.copies.setdefault(entity, SortedMap())
                for key, value in rows:
                    table.put(key, value)
            case EndInstall(entity, committed):
                self.data[entity] = self.copies.pop(entity, SortedMap())
                self.committed.put(entity, committed)
            case DropInstall(entity):
                self.copies.pop(entity, None)
            case StopEntity(entity, ""):
                self.stopped.pop(entity, None)
            case StopEntity(entity, reason):
                self.stopped[entity] = reason
            case ResetEntity(entity):
                self.log.pop(entity, None)
                self.data.pop(entity, None)
                self.copies.pop(entity, None)
                self.stopped.pop(entity, None)
                self.floors.delete(entity)
                self.committed.put(entity, 0)
            case NewEntity(entity):
                self.committed.put(entity, 0)


class MemoryStore:
    """`storage.api.Store` for tests and the simulator."""

    def __init__(self) -> None:
        self.fail_next_write: PaxosStoreError | None = None
        """Raised by the next write, once, which then changes nothing."""
        self._now = _Contents()
        self._durable = _Contents()
        self._unsynced: list[_Batch] = []
        self._views: dict[Reader, tuple[int, SortedMap[bytes, bytes]]] = {}
        """Committed entry and data of each open view."""
        self._changing = threading.Lock()
        self.clock: Callable[[], float] = lambda: 0.0
        """In seconds."""
        self.pins = Pins(lambda: self.clock())
        self._digests = Digests()
        self._digests.build(())
        self.digests_not_ready = 0
        """So many questions for digests are answered by that."""

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
        found._digests.build(found.committed())
        return found

    # -- Store

    def write(self, records: dict[tuple[int, int], Record], applies: Sequence[Apply], changes: Sequence[Change] = ()) -> None:
        rows = [(entity, entry, encode_row(plog_key(entity, entry), record)) for (entity, entry), record in records.items()]
        assert_applies(applies, changes, self.committed_entry)
        # the writes are copied: the caller may go on with its batch
        writes = [(a.entity, a.entry, a.batch.cleared, list(a.batch.writes.items())) for a in applies]
        batch = _Batch(rows, writes, list(changes))
        if self.fail_next_write is not None:
            error, self.fail_next_write = self.fail_next_write, None
            raise error
        self._digests.applied(reset_spans(changes, self.committed_entry))
        self._digests.applied(spans_of(applies, changes, self.committed_entry))
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
        now = self._now
        marks = now.floors.items.get(entity, 0), entity in now.copies, now.stopped.get(entity, "")
        return range_load(entity, committed, () if rows is None else rows.range(committed), marks)

    def warm(self, entities: Sequence[int]) -> None:
        pass

    def read_log(self, entity: int, first: int, last: int, max_bytes: int = 1_048_576) -> list[tuple[int, Record]]:
        self.pins.asked(entity)
        rows = self._now.log.get(entity)
        return [] if rows is None else take_rows(entity, rows.range(first, last + 1), max_bytes)

    def get(self, entity: int, key: bytes) -> bytes | None:
        table = self._now.data.get(entity)
        return None if table is None else table.items.get(key)

    def scan(self, entity: int, start: bytes, end: bytes, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        table = self._now.data.get(entity)
        return iter(()) if table is None else table.range(start, end, reverse)

    def committed_entry(self, entity: int) -> int:
        return self._now.committed.items.get(entity, 0)

    def committed(self, after: int = -1) -> Iterator[tuple[int, int]]:
        return (pair for pair in self._now.committed.range(after + 1) if pair[1])

    def entities(self, after: int, limit: int) -> list[tuple[int, int, int]]:
        return [
            (entity, committed, max(committed, max(self._now.log[entity].items, default=0) if entity in self._now.log else 0))
            for entity, committed in islice(self._now.committed.range(after + 1), limit)
        ]

    def digests(self, level: int, nodes: Sequence[int]) -> bytes | None:
        if self.digests_not_ready:
            self.digests_not_ready -= 1
            return None
        return self._digests.of_children(level, nodes)

    def inventory(self, buckets: Sequence[int], after: int, limit: int) -> list[tuple[int, int]]:
        wanted = set(buckets)
        begin = place_of(after) if after >= 0 else -1
        pairs = sorted((place_of(entity), entity, committed) for entity, committed in self.committed())
        some = ((entity, entry) for place, entity, entry in pairs if place > begin and bucket_of(place) in wanted)
        return list(islice(some, limit))

    def floors(self, after: int, limit: int) -> list[tuple[int, int]]:
        return list(islice(self._now.floors.range(after + 1), limit))

    def stopped(self) -> list[tuple[int, str]]:
        return sorted(self._now.stopped.items())

    def standing(self) -> bytes:
        return self._now.standing

    def read_snapshot(self, reader: Reader, after: bytes, max_bytes: int) -> ViewPiece | None:
        if not after:
            self.open_snapshot(reader)
        if reader not in self._views:
            return None
        committed, data = self._views[reader]
        rows, more = take_piece(data.range(after + b"\0" if after else b""), max_bytes)
        if not more:
            self.pins.end(reader, read=True)
            del self._views[reader]
        return ViewPiece(committed, rows, more)

    def open_snapshot(self, reader: Reader) -> int:
        entity = reader[1]
        committed = self.committed_entry(entity)
        self.pins.hold(reader, committed)
        self._views[reader] = committed, self._now.data.get(entity, SortedMap()).copy()
        return committed

    def close_snapshot(self, reader: Reader) -> None:
        self.pins.end(reader, read=False)
        self._views.pop(reader, None)

    def content_hash(self) -> str:
        with self._changing:
            data = {entity: table.copy() for entity, table in self._now.data.items()}
            committed = self._now.committed.copy()
        return hash_content(_all_data(data), (pair for pair in committed.range(0) if pair[1]))

    def close(self) -> None:
        self.sync()


def _all_data(tables: dict[int, SortedMap[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for entity in sorted(tables):
        prefix = entity_prefix(entity)
        for key, value in tables[entity].range(b""):
            yield prefix + key, value
