"""Rule 17: what is old enough leaves the PLog, without touching anything else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from paxosstore.core.batch.overlay import DATA, WriteBatch
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.ready import Apply, BeginInstall, DropInstall, EndInstall, InstallRows
from paxosstore.errors import DiskFull
from paxosstore.storage import epochs as epochs_module
from paxosstore.storage import expiry
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.epochs import INDEX, Keep
from paxosstore.storage.expiry import RANGE_FROM
from paxosstore.storage.pins import GRACE_S
from paxosstore.storage.rocks import RocksStore, create_store
from paxosstore.storage.rocks_table import RocksTable
from paxosstore.storage.upgrade import _LISTED

from .support import END, SEGMENT_BYTES, killed, value_id

EVER = 10**9
ALL = Keep(EVER, EVER, EVER)
RANDOM = random.Random(1)
LARGE = b"v" * 1_000


class Clock:
    def __init__(self) -> None:
        self.now_s = 5_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "PAUSE_S", 0.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create_store(tmp_path / "store", SEGMENT_BYTES)
    return tmp_path / "store"


def opened(path: Path, keep: Keep, clock: Clock) -> RocksStore:
    return RocksStore(path, segment_bytes=SEGMENT_BYTES, keep=keep, clock=clock)


def apply(store: RocksStore, entity: int, entries: range, value: bytes = b"v") -> None:
    codec = MsgpackBodyCodec()
    for entry in entries:
        batch = WriteBatch({DATA + b"key%d" % (entry % 5): (value or RANDOM.randbytes(1_000)) + b"%d" % entry})
        record = Record(4, 4, 4, Value(value_id(entry), codec.encode(batch)), True)
        store.write({(entity, entry): record}, [Apply(entity, entry, batch)])


def expire(store: RocksStore) -> None:
    """Have it look, here and not in its thread."""
    found = store._use().expiry
    assert found is not None
    found._thread.close()
    found._tend()
    assert not found.trouble, found.trouble


def rows(store: RocksStore, entity: int) -> list[int]:
    return [entry for entry, _ in store.read_log(entity, 1, EVER, 1 << 40)]


def index_rows(store: RocksStore) -> int:
    return len(list(store._use().table.range(INDEX, b"y")))


def test_nothing_goes_that_is_to_be_kept(path: Path, clock: Clock) -> None:
    store = opened(path, ALL, clock)
    apply(store, 1, range(1, 50))
    clock.now_s += EVER / 17
    apply(store, 1, range(50, 60))
    expire(store)
    assert rows(store, 1) == list(range(1, 60))
    store.close()


def test_rows_that_are_chosen_and_not_applied_stay(path: Path, clock: Clock) -> None:
    """However old they are: applying may lag (core/log/pace.py)."""
    store = opened(path, Keep(1, 1, 160.0), clock)
    apply(store, 1, range(1, 11))
    for entry in range(11, 14):
        body = MsgpackBodyCodec().encode(WriteBatch({DATA + b"k": b"v"}))
        store.write({(1, entry): Record(4, 4, 4, Value(value_id(entry), body), True)}, [])
    for _ in range(3):
        clock.now_s += 1_000
        expire(store)
        apply(store, 2, range(store.committed_entry(2) + 1, store.committed_entry(2) + 3))
    assert rows(store, 1) == [10, 11, 12, 13]
    assert [entry for entry, _ in store.load(1).records] == [11, 12, 13]
    store.close()


def test_by_time(path: Path, clock: Clock) -> None:
    store = opened(path, Keep(EVER, EVER, 160.0), clock)
    apply(store, 1, range(1, 11))
    clock.now_s += 100
    apply(store, 1, range(11, 21))
    apply(store, 2, range(1, 2))
    clock.now_s += 100
    expire(store)
    assert rows(store, 1) == list(range(11, 21))
    assert rows(store, 2) == [1]
    clock.now_s += 100
    expire(store)
    assert rows(store, 1) == [20], "the last applied one stays"
    assert rows(store, 2) == [1]
    assert index_rows(store) == 0
    assert store.load(1).last_value_id == value_id(20)
    assert dict(store.scan(1, b"", END)) == {DATA + b"key%d" % (entry % 5): b"v%d" % entry for entry in range(16, 21)}
    apply(store, 1, range(21, 23))
    clock.now_s += 200
    expire(store)
    assert rows(store, 1) == [22], "and goes when it is the last one no longer"
    store.close()


def test_by_bytes(path: Path, clock: Clock) -> None:
    store = opened(path, Keep(EVER, 50_000, EVER), clock)
    for entry in range(1, 201):
        apply(store, entry % 3, range(entry // 3 + (entry % 3 > 0), entry // 3 + (entry % 3 > 0) + 1), LARGE)
    expire(store)
    seen = store.log_kept()
    assert 35_000 < seen.bytes < 55_000
    assert seen.expired_entries >= 145
    assert (seen.epochs > 10, seen.trouble) == (True, "")
    kept = [rows(store, entity) for entity in range(3)]
    assert 35 <= sum(map(len, kept)) <= 55
    for entity in range(3):
        last = store.committed_entry(entity)
        assert kept[entity] == list(range(kept[entity][0], last + 1)), "the oldest go first"
    store.close()


def test_by_entries(path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epochs_module, "MAX_SPANS", 2)
    store = opened(path, Keep(10, EVER, EVER), clock)
    for round_ in range(20):
        apply(store, 1, range(round_ * 4 + 1, round_ * 4 + 5))
        apply(store, 2, range(round_ + 1, round_ + 2))
    expire(store)
    assert rows(store, 1)[-1] == 80
    assert 10 <= len(rows(store, 1)) <= 15
    assert 10 <= len(rows(store, 2)) <= 12
    store.close()


@pytest.mark.parametrize("count", [RANGE_FROM - 100, RANGE_FROM * 2])
def test_short_runs_and_long_ones(path: Path, clock: Clock, count: int) -> None:
    store = opened(path, Keep(EVER, EVER, 10.0), clock)
    apply(store, 0, range(1, 3))
    apply(store, 1, range(1, count + 1))
    apply(store, 2, range(1, 3))
    store.write({(1, count + 1): Record(promised=4), (1, count + 3): Record(promised=5)}, [])
    clock.now_s += 20
    expire(store)
    assert rows(store, 1) == [count, count + 1, count + 3]
    assert rows(store, 0) == rows(store, 2) == [2]
    assert [entry for entry, _ in store.load(1).records] == [count + 1, count + 3]
    store.close()


@pytest.mark.parametrize("jump_s", [-1e9, 1e9])
def test_a_clock_that_jumps_while_it_is_closed_does_not_matter(path: Path, clock: Clock, jump_s: float) -> None:
    store = opened(path, Keep(EVER, EVER, 160.0), clock)
    apply(store, 1, range(1, 11))
    clock.now_s += 100
    store.close()
    clock.now_s += jump_s
    store = opened(path, Keep(EVER, EVER, 160.0), clock)
    apply(store, 1, range(11, 12))
    expire(store)
    assert rows(store, 1) == list(range(1, 12))
    clock.now_s += 161
    expire(store)
    assert rows(store, 1) == [11]
    store.close()


def test_what_a_kill_has_undone_is_done_again(path: Path, clock: Clock, tmp_path: Path) -> None:
    keep = Keep(EVER, EVER, 160.0)
    store = opened(path, keep, clock)
    apply(store, 1, range(1, 11))
    clock.now_s += 200
    apply(store, 1, range(11, 21))
    expire(store)
    assert rows(store, 1) == list(range(11, 21))
    found = opened(killed(store, tmp_path / "copy"), keep, clock)
    assert rows(found, 1) == list(range(1, 21)), "nothing was flushed: all of it is replayed"
    clock.now_s += 200
    expire(found)
    assert rows(found, 1) == [20]
    assert found.content_hash() == store.content_hash()
    found.close()
    store.close()


def test_what_a_snapshot_has_overtaken_goes_too(path: Path, clock: Clock) -> None:
    store = opened(path, Keep(EVER, EVER, 10.0), clock)
    apply(store, 1, range(1, 4))
    chosen = Record(4, 4, 4, Value(value_id(5), b"x"), True)
    store.write({(1, 5): chosen, (1, 9): Record(promised=7)}, [], [BeginInstall(1)])
    store.write({}, [], [InstallRows(1, [(DATA + b"a", b"1")]), EndInstall(1, 8)])
    clock.now_s += 20
    expire(store)
    assert rows(store, 1) == [9], "there is no row of the last applied entry"
    assert store.load(1).max_plog == 9
    store.close()


def test_an_epoch_whose_first_write_failed_is_found(path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own row comes with the first write."""
    store = opened(path, Keep(EVER, EVER, 160.0), clock)
    apply(store, 1, range(1, 3))
    clock.now_s += 20
    with monkeypatch.context() as patched:
        patched.setattr(RocksTable, "write", refuse)
        with pytest.raises(DiskFull):
            apply(store, 1, range(3, 4))
    store._use().failed = False  # what this test made up is over
    apply(store, 1, range(3, 5))
    store.close()
    store = opened(path, Keep(EVER, EVER, 160.0), clock)
    clock.now_s += 170
    expire(store)
    assert rows(store, 1) == [4]
    assert index_rows(store) == 0
    store.close()


def refuse(*_: object) -> None:
    raise DiskFull("no room")


def test_what_an_earlier_version_wrote_goes(path: Path, clock: Clock) -> None:
    store = opened(path, ALL, clock)
    apply(store, 1, range(1, 2 * RANGE_FROM))
    apply(store, 2, range(1, 2))
    store._use().table.write([(_LISTED, None), (INDEX, (b"y",))])
    store.close()
    store = opened(path, Keep(EVER, EVER, 50.0), clock)
    expire(store)
    assert len(rows(store, 1)) == 2 * RANGE_FROM - 1
    clock.now_s += 51
    expire(store)
    assert rows(store, 1) == [2 * RANGE_FROM - 1]
    assert rows(store, 2) == [1]
    store.close()


def test_a_damaged_index_costs_only_expiry(path: Path, clock: Clock) -> None:
    """What is kept too long harms nobody: it is said, and the node goes on."""
    store = opened(path, Keep(EVER, EVER, 10.0), clock)
    apply(store, 1, range(1, 4))
    key, _ = list(store._use().table.range(INDEX, b"y"))[-1]
    store._use().table.write([(key, b"short")])
    clock.now_s += 20
    with pytest.raises(AssertionError, match="a row of the index of the PLog has 5 bytes"):
        expire(store)
    apply(store, 1, range(4, 5))
    assert rows(store, 1) == [1, 2, 3, 4]
    store.close()


def test_it_closes_without_waiting_for_all_of_it(path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "PAUSE_S", 0.05)
    monkeypatch.setattr(expiry, "PIECE", 1)
    store = opened(path, Keep(EVER, EVER, 10.0), clock)
    for entity in range(2_000):
        apply(store, entity, range(1, 2))
    clock.now_s += 20
    found = store._use().expiry
    assert found is not None
    found.wake()
    store.close()
    store = opened(path, ALL, clock)
    assert index_rows(store) >= 2_000
    store.close()


READER = (2, 1, 77)
"""Peer 2 copies entity 1."""


def copying(path: Path, keep: Keep, clock: Clock) -> RocksStore:
    """A peer has begun to read the data of entity 1 at entry 20; forty entries have come since."""
    store = opened(path, keep, clock)
    apply(store, 1, range(1, 21))
    assert store.read_snapshot(READER, b"", 1) is not None
    apply(store, 1, range(21, 61))
    apply(store, 2, range(1, 61))
    return store


@pytest.mark.parametrize(
    "keep", [Keep(5, EVER, 160.0), Keep(EVER, EVER, 160.0), Keep(EVER, 16, 1_600.0)], ids=["few", "old", "large"]
)
def test_who_copies_finds_the_entries_behind_its_view(path: Path, clock: Clock, keep: Keep) -> None:
    store = copying(path, keep, clock)
    for _ in range(3):
        clock.now_s += 200 if keep.seconds < 1_000 else 20
        expire(store)
        assert rows(store, 1) == list(range(21, 61)), "not those before it"
        assert len(rows(store, 2)) <= 5
    while (piece := store.read_snapshot(READER, DATA + b"key4", 1)) is not None and piece.more:
        pass
    expire(store)
    assert store.read_log(1, 21, 21), "the last piece has left: now it asks for them"
    clock.now_s += GRACE_S - 1
    expire(store)
    assert rows(store, 1) == list(range(21, 61))
    for _ in range(3):
        clock.now_s += 2_000
        expire(store)
        assert len(rows(store, 1)) <= 5, "and when that is over they go"
    store.close()


@pytest.mark.parametrize("end", ["given up", "killed"])
def test_what_was_kept_for_a_copy_goes_when_that_ends(path: Path, clock: Clock, tmp_path: Path, end: str) -> None:
    store = copying(path, Keep(EVER, EVER, 160.0), clock)
    clock.now_s += 200
    expire(store)
    assert rows(store, 1) == list(range(21, 61))
    if end == "killed":
        found = opened(killed(store, tmp_path / "copy"), Keep(EVER, EVER, 160.0), clock)
    else:
        store.close_snapshot(READER)
        found = store
    clock.now_s += 200
    expire(found)
    assert rows(found, 1) == [60]
    assert index_rows(found) == 0
    found.close()
    store.close()


@pytest.mark.parametrize("how", ["expired", "cleared", "installed", "a copy given up"])
def test_the_disk_shrinks(path: Path, clock: Clock, how: str) -> None:
    """Also where nothing is written any more that would have it compacted."""
    store = opened(path, Keep(EVER, EVER, 100.0), clock)
    apply(store, 1, range(1, 1_500), b"")
    many = {DATA + b"%d" % number: RANDOM.randbytes(1_000) for number in range(2_000)}
    if how == "a copy given up":
        store.write({}, [], [BeginInstall(2), InstallRows(2, sorted(many.items()))])
    else:
        store.write({}, [Apply(2, 1, WriteBatch(dict(many)))])
    store._use().table.flush()
    before = size_of(path)
    if how == "cleared":
        store.write({}, [Apply(2, 2, WriteBatch({}, cleared=True))])
    elif how == "installed":
        store.write({}, [], [BeginInstall(2), EndInstall(2, 1)])
    elif how == "a copy given up":
        store.write({}, [], [DropInstall(2)])
    for _ in range(3):
        clock.now_s += 101 if how == "expired" else 31
        expire(store)
    assert size_of(path) < before - 1_000_000
    store.close()


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in (path / "rocksdb").glob("*.sst"))
