"""The durable store's own part: kill -9 at every point, damage in every byte, and a full disk."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from paxosstore.core.batch.overlay import DATA, WriteBatch
from paxosstore.core.interface.ready import Apply
from paxosstore.errors import Damaged, DirectoryInUse, DiskFull, NodeError, NotServing, PaxosStoreError
from paxosstore.storage.keys import plog_key
from paxosstore.storage.operations import Operation
from paxosstore.storage.rocks import RocksStore, create_store
from paxosstore.storage.rocks_table import PIECE_BYTES, PIECE_ROWS, ReadOnlyTable, RocksTable
from paxosstore.storage.segment import SECTOR

from .support import (
    END,
    SEGMENT_BYTES,
    assert_prefix,
    fill,
    grow_disk,
    journal_of,
    killed,
    new_rocks,
    row,
    small_disk,
    write_numbered,
)

WRITES = 6


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def opened(folder: Path) -> int:
    """How many numbered batches a store opened on this folder holds: a prefix, in all three places."""
    store = RocksStore(folder, segment_bytes=SEGMENT_BYTES)
    try:
        count = store.committed_entry(7)
        assert_prefix(store, count)
    finally:
        store.close()
    return count


def numbered(path: Path, writes: int = WRITES) -> RocksStore:
    """A store after some batches."""
    store = new_rocks(path)
    for number in range(1, writes + 1):
        write_numbered(store, number)
    return store


def test_a_kill_after_every_write_loses_nothing(store_path: Path, copy: Path) -> None:
    store = new_rocks(store_path)
    for number in range(1, WRITES + 1):
        write_numbered(store, number)
        if number % 2:
            store.sync()
        assert opened(killed(store, copy)) == number
    store.close()
    assert opened(store_path) == WRITES


def test_a_power_cut_anywhere_gives_a_prefix(store_path: Path, copy: Path) -> None:
    store = new_rocks(store_path)
    write_numbered(store, 1)
    write_numbered(store, 2)
    store.sync()
    synced = journal_of(killed(store, copy)).read_bytes()
    for number in range(3, WRITES + 1):
        write_numbered(store, number, 300)
    whole = journal_of(killed(store, copy)).read_bytes()
    written = [at for at in range(0, len(whole), SECTOR) if whole[at : at + SECTOR] != synced[at : at + SECTOR]]
    assert len(written) >= WRITES
    draw = random.Random(3)
    seen = set()
    for _ in range(60):
        torn = bytearray(whole)
        for at in draw.sample(written, draw.randrange(len(written) + 1)):
            torn[at : at + SECTOR] = bytes(SECTOR)
        killed(store, copy)
        journal_of(copy).write_bytes(torn)
        found = RocksStore(copy, segment_bytes=SEGMENT_BYTES)
        count = found.committed_entry(7)
        write_numbered(found, count + 1)
        found.sync()
        last = RocksStore(killed(found, copy.with_name("again")), segment_bytes=SEGMENT_BYTES)
        assert last.committed_entry(7) == count + 1
        assert [entry for entry, _ in last.read_log(7, 1, 99)] == list(range(1, count + 2))
        last.close()
        found.close()
        seen.add(count)
    assert min(seen) == 2
    assert max(seen) == WRITES
    store.close()


def test_what_rocksdb_has_beyond_a_torn_end_stays(store_path: Path, copy: Path) -> None:
    store = numbered(store_path)
    empty = journal_of(store_path).read_bytes()[:SECTOR].ljust(SEGMENT_BYTES, b"\0")
    store._use().table.flush()  # as RocksDB does when its memory is full
    killed(store, copy)
    journal_of(copy).write_bytes(empty)  # nothing of it had been synced
    assert opened(copy) == WRITES
    store.close()


def test_a_damaged_journal_is_not_opened(store_path: Path, copy: Path) -> None:
    store = numbered(store_path)
    store.sync()
    whole = journal_of(killed(store, copy)).read_bytes()
    for at in (0, 5, SECTOR, SECTOR + 4, SECTOR + 13, SECTOR + 150, WRITES * SECTOR, WRITES * SECTOR + 40):
        killed(store, copy)
        damaged = bytearray(whole)
        damaged[at] ^= 0x40
        journal_of(copy).write_bytes(damaged)
        for read_only in (False, True):
            with pytest.raises(Damaged):
                RocksStore(copy, read_only=read_only)
    store.close()


def test_zeros_in_the_middle_of_the_journal_are_damage(store_path: Path, copy: Path) -> None:
    store = numbered(store_path)
    store.sync()
    write_numbered(store, WRITES + 1)
    whole = journal_of(killed(store, copy)).read_bytes()
    for sector in range(1, WRITES + 1):
        killed(store, copy)
        damaged = bytearray(whole)
        damaged[sector * SECTOR : (sector + 1) * SECTOR] = bytes(SECTOR)
        journal_of(copy).write_bytes(damaged)
        with pytest.raises(Damaged, match="was synced"):
            RocksStore(copy)
    store.close()


def test_batches_of_every_size_over_many_segments(store_path: Path, copy: Path) -> None:
    store = new_rocks(store_path, 16_384)
    sizes = [10_000, 40_000, 70_000, *range(0, 600, 7), 1]
    for number, size in enumerate(sizes, start=1):
        write_numbered(store, number, size)
        if number % 20 == 0:
            assert opened_count(killed(store, copy)) == number
    assert opened_count(killed(store, copy)) == len(sizes)
    used = [path for path in (store_path / "journal").iterdir() if any(path.read_bytes()[SECTOR:])]
    assert len(used) == 1  # what is full was stored by RocksDB, and deleted
    store.close()
    assert opened_count(store_path) == len(sizes)


def opened_count(folder: Path) -> int:
    store = RocksStore(folder, segment_bytes=16_384)
    try:
        count = store.committed_entry(7)
        assert [entry for entry, _ in store.read_log(7, 1, 1_000, 1 << 30)] == list(range(1, count + 1))
        assert store.get(7, DATA + b"last") == b"%d" % count
    finally:
        store.close()
    return count


def test_a_missing_segment_is_damage(store_path: Path, copy: Path) -> None:
    store = new_rocks(store_path, 4_096)
    opened_store = store._use()
    assert opened_store.upkeep is not None
    opened_store.upkeep.close()  # from now on full segments stay
    for number in range(1, 31):
        write_numbered(store, number)
    segments = sorted(path.name for path in (store_path / "journal").iterdir())
    assert len(segments) > 4
    for name in segments[:-1]:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(store_path, copy)
        (copy / "journal" / name).unlink()
        with pytest.raises(Damaged):
            RocksStore(copy)
    shutil.rmtree(copy)
    shutil.copytree(store_path, copy)
    assert opened(copy) == 30
    store.close()


def test_no_damaged_byte_of_an_sst_is_served(store_path: Path, copy: Path) -> None:
    store = numbered(store_path, 40)
    store.close()  # writes the SSTs
    for file in sorted((store_path / "rocksdb").glob("*.sst")):
        whole = file.read_bytes()
        noticed = 0
        for at in range(0, len(whole), 61):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(store_path, copy)
            damaged = bytearray(whole)
            damaged[at] ^= 0xFF
            (copy / "rocksdb" / file.name).write_bytes(damaged)
            try:
                assert opened(copy) == 40
            except Damaged:
                noticed += 1
        assert noticed


def test_no_damaged_byte_of_the_manifest_loses_anything(store_path: Path, copy: Path) -> None:
    store = numbered(store_path)
    store.close()
    (manifest,) = (store_path / "rocksdb").glob("MANIFEST-*")
    whole = manifest.read_bytes()
    noticed = 0
    for at in range(len(whole)):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(store_path, copy)
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        (copy / "rocksdb" / manifest.name).write_bytes(damaged)
        try:
            assert opened(copy) == WRITES
        except Damaged:
            noticed += 1
    assert noticed > len(whole) // 2


@pytest.mark.parametrize("pattern", ["rocksdb/CURRENT", "rocksdb/MANIFEST-*", "rocksdb/*.sst", "journal/*"])
def test_a_missing_file_is_damage_and_nothing_is_made_anew(store_path: Path, pattern: str) -> None:
    store = numbered(store_path)
    store.close()
    for file in store_path.glob(pattern):
        file.unlink()
    for _ in range(2):
        with pytest.raises(Damaged):
            RocksStore(store_path)


def test_a_missing_store_is_damage(store_path: Path) -> None:
    with pytest.raises(Damaged, match="gone"):
        RocksStore(store_path)
    assert not store_path.exists()


def test_a_damaged_row_names_itself(store_path: Path) -> None:
    store = numbered(store_path)
    table = store._use().table
    stored = table.get(b"l" + plog_key(7, 2))
    assert isinstance(stored, bytes)
    table.write([(b"l" + plog_key(7, 2), stored[:-1] + b"?")])
    for first, last in ((1, 9), (2, 2)):
        with pytest.raises(Damaged, match="entity 7, entry 2"):
            store.read_log(7, first, last)
    assert store.read_log(7, 3, 3) == [(3, row(3, b"b" * 20))]
    store.close()


def test_it_is_not_opened_twice(store_path: Path) -> None:
    store = new_rocks(store_path)
    with pytest.raises(DirectoryInUse):
        RocksStore(store_path)
    with pytest.raises(PaxosStoreError):
        create_store(store_path)
    store.close()
    RocksStore(store_path, segment_bytes=SEGMENT_BYTES).close()


def test_after_close_it_says_so(store_path: Path) -> None:
    store = numbered(store_path)
    store.close()
    store.close()
    with pytest.raises(NotServing):
        store.get(7, DATA + b"last")
    with pytest.raises(NotServing):
        store.sync()


def test_syncs_in_another_thread_while_writing_and_reopening(store_path: Path) -> None:
    store = new_rocks(store_path)
    stop = threading.Event()
    failures: list[BaseException] = []

    def sync() -> None:
        try:
            while not stop.is_set():
                store.sync()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=sync)
    thread.start()
    for number in range(1, 201):
        write_numbered(store, number)
        if number % 50 == 0:
            store.reopen()
    stop.set()
    thread.join()
    assert not failures
    assert_prefix(store, 200)
    store.close()


@pytest.mark.parametrize("ending", [RocksStore.close, RocksStore.reopen])
def test_a_hash_under_way_keeps_nobody_from_closing(
    store_path: Path, monkeypatch: pytest.MonkeyPatch, ending: Callable[[RocksStore], None]
) -> None:
    """It ends with an error. A handle that it kept would keep RocksDB open, and its lock taken."""
    store = new_rocks(store_path)
    puts = {DATA + b"%d" % number: b"v" for number in range(3 * PIECE_ROWS)}
    store.write({}, [Apply(7, 1, WriteBatch({**puts}))])
    paused, go_on = threading.Event(), threading.Event()

    def pause(seconds: float) -> None:
        paused.set()
        assert go_on.wait(10.0)

    monkeypatch.setattr("paxosstore.storage.rocks_table.time.sleep", pause)
    with ThreadPoolExecutor() as threads:
        hashing = threads.submit(store.content_hash)
        assert paused.wait(10.0)
        ending(store)
        RocksTable(store_path / "rocksdb", read_only=True).release()
        if ending is RocksStore.close:
            RocksStore(store_path, segment_bytes=SEGMENT_BYTES).close()
        go_on.set()
        with pytest.raises(NotServing, match="closed meanwhile"):
            hashing.result()
    if ending is RocksStore.reopen:
        assert len(store.content_hash()) == 64
        store.close()


def test_a_hash_reads_in_pieces(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_rocks(store_path)
    store.write({}, [Apply(7, 1, WriteBatch({DATA + b"%d" % number: b"v" for number in range(3 * PIECE_ROWS)}))])
    store.write({}, [Apply(8, 1, WriteBatch({DATA + b"%d" % number: bytes(PIECE_BYTES // 2) for number in range(6)}))])
    pauses: list[float] = []
    monkeypatch.setattr("paxosstore.storage.rocks_table.time.sleep", pauses.append)
    store.content_hash()
    assert len(pauses) == 3 + 3 + 1  # and one for the committed entries
    store.close()


def test_a_hash_ends_when_nobody_wants_it(store_path: Path) -> None:
    store = new_rocks(store_path)
    write_numbered(store, 1)
    with pytest.raises(NotServing, match="nobody waits"):
        store.content_hash(lambda: False)
    assert store.content_hash(lambda: True) == store.content_hash()
    store.close()


def test_a_failed_disk_is_not_opened_anew_by_the_write_that_meets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening could fail as well, and then nothing could be read any more."""
    store = new_rocks(tmp_path / "store")
    write_numbered(store, 1)
    store.sync()

    def fails(table: RocksTable, operations: Iterable[Operation]) -> None:
        raise NodeError("input/output error")

    monkeypatch.setattr(RocksTable, "write", fails)
    monkeypatch.setattr(RocksStore, "reopen", lambda store: pytest.fail("opened anew"))
    with pytest.raises(NodeError, match="input/output error"):
        write_numbered(store, 2)
    assert_prefix(store, 1)
    store.close()


@pytest.mark.parametrize("reopened", [False, True])
def test_reads_are_filtered_and_large_values_lie_apart(tmp_path: Path, reopened: bool) -> None:
    """RocksDB once went on without its filter after a restart: each miss read a block, of megabytes beside a large value."""
    store = new_rocks(tmp_path / "store")
    write_numbered(store, 1, 8_000_000)
    if reopened:
        store.close()
        store = RocksStore(tmp_path / "store")
        assert list((tmp_path / "store" / "rocksdb").glob("*.blob"))
    newest = max((tmp_path / "store" / "rocksdb").glob("OPTIONS-*"))
    options = newest.read_text()
    assert "filter_policy=bloomfilter" in options
    assert "enable_blob_files=true" in options
    assert_prefix(store, 1, 8_000_000)
    store.close()


def take_all_room(path: Path) -> None:
    with path.open("ab", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(4_096))


def test_what_rocksdb_remembers_of_a_full_disk_refuses_no_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its flush in the background has failed, there is room again: the next write is told of it, once."""
    store = new_rocks(tmp_path / "store")
    for number in range(1, 4):
        write_numbered(store, number)
    told: list[int] = []
    write = RocksTable.write

    def first_told_of_the_flush(table: RocksTable, operations: Iterable[Operation]) -> None:
        told.append(len(told))
        if len(told) == 1:
            raise DiskFull("no space left, a while ago")
        write(table, operations)

    monkeypatch.setattr(RocksTable, "write", first_told_of_the_flush)
    write_numbered(store, 4)
    store.sync()
    assert len(told) > 1
    assert_prefix(store, 4)
    store.close()
    found = RocksStore(tmp_path / "store")
    assert_prefix(found, 4)
    found.close()


@pytest.mark.parametrize("segment_bytes", [64 * 1024, 1024 * 1024])
def test_a_full_disk_refuses_writes_and_forgets_nothing(tmp_path: Path, copy: Path, segment_bytes: int) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "6m") as reason:
        if reason:
            pytest.skip(f"a small tmpfs cannot be mounted here: {reason}")
        store = new_rocks(disk / "store", segment_bytes)
        for _ in range(10):  # what RocksDB deletes in the background may leave enough room to write out its memory
            refused = 0
            while refused < 3:  # opening anew may free some room
                written = fill(store)
                take_all_room(disk / "ballast")
                refused = refused + 1 if fill(store) == written else 0
                assert_prefix(store, store.committed_entry(7), 30_000)
            written = store.committed_entry(7)
            assert written > 10
            store.close()  # RocksDB cannot write out its memory
            take_all_room(disk / "ballast")
            store = RocksStore(disk / "store", segment_bytes=segment_bytes)
            opened_store = store._use()
            if isinstance(opened_store.table, ReadOnlyTable) and opened_store.table._newer.items:
                break
            store.close()
            (disk / "ballast").unlink()
            store = RocksStore(disk / "store", segment_bytes=segment_bytes)
        assert isinstance(opened_store.table, ReadOnlyTable)
        assert opened_store.table._newer.items  # replayed, over what RocksDB has on the disk
        assert_prefix(store, written, 30_000)
        with pytest.raises(DiskFull):
            write_numbered(store, written + 1, 30_000)
        assert_prefix(store, written, 30_000)

        grow_disk(disk, "64m")
        write_numbered(store, written + 1, 30_000)
        store.sync()
        assert_prefix(store, written + 1, 30_000)
        found = RocksStore(killed(store, copy), segment_bytes=segment_bytes)
        assert_prefix(found, written + 1, 30_000)
        assert list(found.scan(7, b"", END)) == list(store.scan(7, b"", END))
        assert list(found.scan(7, b"", END, reverse=True)) == list(store.scan(7, b"", END))[::-1]
        found.close()
        store.close()


@pytest.mark.parametrize("segment_bytes", [64 * 1024, 1024 * 1024])
def test_a_full_disk_that_gets_room_again_needs_no_restart(tmp_path: Path, copy: Path, segment_bytes: int) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "6m") as reason:
        if reason:
            pytest.skip(f"a small tmpfs cannot be mounted here: {reason}")
        store = new_rocks(disk / "store", segment_bytes)
        written = fill(store)
        grow_disk(disk, "64m")
        for number in range(written + 1, written + 4):
            write_numbered(store, number, 30_000)
            store.sync()
            found = RocksStore(killed(store, copy), segment_bytes=segment_bytes)
            assert_prefix(found, number, 30_000)
            found.close()
        store.close()
