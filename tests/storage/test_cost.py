"""A read costs what was asked for, not what lies beside it or was deleted there. Rows are counted, not time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from paxosstore.core.batch.overlay import DATA, WriteBatch
from paxosstore.core.interface.event import Loaded
from paxosstore.core.interface.ready import Apply
from paxosstore.storage.opened import CLEAR_WEIGHT
from paxosstore.storage.rocks import RocksStore
from paxosstore.storage.rocks_table import ReadOnlyTable, RocksTable

from .support import END, SEGMENT_BYTES, new_rocks, puts, row

ROWS = 300
"""Of everything beside the entity that is asked for."""
FEW = 3


class CountingIterator:
    """Counts the rows that it comes to."""

    def __init__(self, rows: Any, visited: list[bytes]) -> None:
        self._rows = rows
        self._visited = visited

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._rows, name)
        return self._then_look(found) if name in ("seek", "next", "seek_for_prev", "prev") else found

    def _then_look(self, move: Callable[..., None]) -> Callable[..., None]:
        def moved(*to: bytes) -> None:
            move(*to)
            if self._rows.valid():
                self._visited.append(self._rows.key())

        return moved


class CountingTable:
    """Stands in for the Rdict of a table."""

    def __init__(self, db: Any, visited: list[bytes]) -> None:
        self._db = db
        self._visited = visited

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def iter(self, *options: Any) -> CountingIterator:
        for bound in options:
            bound.set_max_skippable_internal_keys(FEW)  # more deleted rows than that are an error
        return CountingIterator(self._db.iter(*options), self._visited)


def count_rows(store: RocksStore) -> list[bytes]:
    """From now on, every row that an iterator of the store comes to."""
    visited: list[bytes] = []
    table: Any = store._use().table
    table._db = CountingTable(table._db, visited)
    return visited


def rows_beside(store: RocksStore, *entities: int) -> None:
    for entity in entities:
        batch = WriteBatch({space + b"%d" % number: b"v" for space in (DATA, b"u") for number in range(ROWS)})
        store.write({(entity, entry): row(entry) for entry in range(1, ROWS + 1)}, [Apply(entity, 1, batch)])


def deleted_beside(store: RocksStore, *entities: int) -> None:
    rows_beside(store, *entities)
    for entity in entities:
        deletes = WriteBatch({b"u%d" % number: None for number in range(ROWS)}, cleared=True)
        store.write({}, [Apply(entity, 2, deletes)])


def only_data_beside(store: RocksStore, *entities: int) -> None:
    """So that nothing stands between the deleted rows and those of the PLog."""
    for entity in entities:
        store.write({}, [Apply(entity, 1, WriteBatch({DATA + b"%d" % number: b"v" for number in range(ROWS)}))])
        store.write({}, [Apply(entity, 2, WriteBatch({DATA + b"%d" % number: None for number in range(ROWS)}))])


BESIDE = [rows_beside, deleted_beside, only_data_beside]


def opened(tmp_path: Path, fill: Callable[..., None], kept: str) -> RocksStore:
    """A store with much beside entity 5: in RocksDB's memory, in its files, or in the memory of one that is only read."""
    store = new_rocks(tmp_path / "store")
    fill(store, 0, 1, 4, 6, 2**63)
    return opened_anew(store, tmp_path, kept)


def opened_anew(store: RocksStore, tmp_path: Path, kept: str) -> RocksStore:
    if kept == "memory":
        return store
    if kept == "files":
        store.close()
        return RocksStore(tmp_path / "store", segment_bytes=SEGMENT_BYTES)
    opened = store._use()
    assert opened.upkeep is not None
    opened.upkeep.close()
    store.sync()
    opened.table.release()  # as after a kill: the journal alone has it
    return RocksStore(tmp_path / "store", read_only=True)


@pytest.mark.parametrize("kept", ["memory", "files", "read only"])
@pytest.mark.parametrize("fill", BESIDE)
def test_an_entity_without_rows_costs_none(tmp_path: Path, fill: Callable[..., None], kept: str) -> None:
    store = opened(tmp_path, fill, kept)
    visited = count_rows(store)
    assert store.load(5) == Loaded(5, 0, [], 0, b"")
    assert store.read_log(5, 1, 1_000) == []
    assert list(store.scan(5, b"", END)) == list(store.scan(5, b"", END, reverse=True)) == []
    assert store.get(5, DATA + b"1") is None
    assert store.committed_entry(5) == 0
    assert visited == []
    store.close()


@pytest.mark.parametrize("fill", BESIDE)
def test_an_entity_with_one_row_costs_one(tmp_path: Path, fill: Callable[..., None]) -> None:
    store = opened(tmp_path, fill, "files")
    store.write({(5, 1): row(1)}, [Apply(5, 1, puts(a=b"1"))])
    visited = count_rows(store)
    assert store.load(5).max_plog == 1
    assert len(store.read_log(5, 1, 1_000)) == 1
    assert list(store.scan(5, b"", END)) == [(DATA + b"a", b"1")]
    assert len(visited) == 3
    assert list(store.scan(5, b"", END, reverse=True)) == [(DATA + b"a", b"1")]
    assert len(visited) == 3 + 2, "which is the last one, and that"
    store.close()


@pytest.mark.parametrize("kept", ["memory", "files", "read only"])
@pytest.mark.parametrize("fill", BESIDE)
def test_a_scan_costs_the_rows_that_are_taken(tmp_path: Path, fill: Callable[..., None], kept: str) -> None:
    """Whatever lies before, behind, and in the rest of the range."""
    store = new_rocks(tmp_path / "store")
    fill(store, 0, 1, 4, 6, 2**63)
    names = [DATA + b"%04d" % number for number in range(ROWS)]
    store.write({}, [Apply(5, 1, WriteBatch(dict.fromkeys([*names, DATA + b"a"], b"v")))])
    store.write({}, [Apply(5, 2, WriteBatch({DATA + b"a": None}))])
    store = opened_anew(store, tmp_path, kept)
    visited = count_rows(store)
    for start, reverse, found in ((b"", False, names[:5]), (b"", True, names[:-6:-1]), (names[-3], True, names[:-4:-1])):
        visited.clear()
        assert [key for key, _ in islice(store.scan(5, start, END, reverse), 5)] == found
        assert len(visited) <= 5 + 2
    store.close()


def test_a_load_costs_what_is_above_committed(tmp_path: Path) -> None:
    store = new_rocks(tmp_path / "store")
    store.write({(5, entry): row(entry) for entry in range(1, ROWS + 3)}, [Apply(5, entry, puts()) for entry in range(1, ROWS)])
    visited = count_rows(store)
    assert [entry for entry, _ in store.load(5).records] == [ROWS, ROWS + 1, ROWS + 2]
    assert len(visited) == 4
    store.close()


def test_a_page_of_committed_entries_costs_its_rows(tmp_path: Path) -> None:
    store = new_rocks(tmp_path / "store")
    store.write({}, [Apply(entity, 1, puts()) for entity in range(ROWS)])
    visited = count_rows(store)
    page = store.committed(ROWS // 2)
    assert [next(page)[0] for _ in range(10)] == list(range(ROWS // 2 + 1, ROWS // 2 + 11))
    assert len(visited) == 10
    store.close()


def test_what_is_cleared_over_the_disk_is_not_listed(tmp_path: Path) -> None:
    """A table that is only read notes the range, not its rows."""
    store = new_rocks(tmp_path / "store")
    rows_beside(store, 4)
    store.close()
    table = ReadOnlyTable(tmp_path / "store" / "rocksdb")
    visited: list[bytes] = []
    counted: Any = table
    counted._db = CountingTable(counted._db, visited)
    prefix = b"d" + (4).to_bytes(8, "big")
    for start, end in ((DATA + b"1", DATA + b"2"), (DATA, b"e"), (DATA + b"3", DATA + b"4"), (b"a", DATA + b"1")):
        table.write([(prefix + start, (prefix + end,))])
    table.write([(prefix + DATA + b"new", b"1"), (prefix + b"u0", None)])
    assert visited == []
    assert list(table.range(prefix, prefix + b"e")) == [(prefix + DATA + b"new", b"1")]
    assert list(table.range(prefix, prefix + b"e", reverse=True)) == [(prefix + DATA + b"new", b"1")]
    assert len(visited) <= FEW  # where the range begins
    assert table.get(prefix + DATA + b"10") is None
    assert table.get(prefix + b"u1") == b"v"
    assert len(found := list(table.range(prefix + b"u", prefix + b"v"))) == ROWS - 1
    assert list(table.range(prefix + b"u", prefix + b"v", reverse=True)) == found[::-1]
    counted.release()


@pytest.mark.parametrize(
    "batch",
    [WriteBatch(cleared=True), WriteBatch({DATA + b"%d" % number: None for number in range(CLEAR_WEIGHT)})],
    ids=["ranges", "keys"],
)
def test_what_is_deleted_does_not_pile_up_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: WriteBatch) -> None:
    """Every read there walks over it, or sorts it anew."""
    monkeypatch.setattr("paxosstore.storage.opened.MAX_DELETED", 10 * CLEAR_WEIGHT)
    flushes: list[int] = []
    flush = RocksTable.flush

    def counted(table: RocksTable) -> None:
        flush(table)
        flushes.append(entry)

    monkeypatch.setattr(RocksTable, "flush", counted)
    store = new_rocks(tmp_path / "store")
    opened = store._use()
    assert opened.upkeep is not None
    for entry in range(1, 10):
        store.write({}, [Apply(5, entry, batch)])
    assert flushes == []
    entry = 10
    store.write({}, [Apply(5, entry, batch)])
    opened.upkeep.close()  # when it has done what it was woken for
    assert flushes == [10]
    assert opened.deleted == 0
    store.close()
