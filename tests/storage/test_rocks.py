"""The durable store's own part: kill -9 at every point, damage in every byte, and a full disk."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from paxosstore.core.overlay import DATA
from paxosstore.core.ready import Apply
from paxosstore.errors import Damaged, DirectoryInUse, DiskFull, NotServing, PaxosStoreError
from paxosstore.storage.keys import plog_key
from paxosstore.storage.rocks import RocksStore, create_store
from paxosstore.storage.wal_check import check_logs

from .support import END, assert_prefix, grow_disk, killed, new_rocks, puts, row, small_disk, wal_of, write_numbered

WRITES = 6


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def opened(folder: Path) -> int:
    """How many numbered batches a store opened on this folder holds: a prefix, in all three places."""
    store = RocksStore(folder)
    try:
        count = store.committed_entry(7)
        assert_prefix(store, count)
    finally:
        store.close()
    return count


def numbered(path: Path, writes: int = WRITES) -> tuple[RocksStore, list[int]]:
    """A store after some batches, and the length of its WAL after each."""
    store = new_rocks(path)
    ends = [0]
    for number in range(1, writes + 1):
        write_numbered(store, number)
        ends.append(wal_of(path).stat().st_size)
    return store, ends


def test_a_kill_after_every_write_loses_nothing(store_path: Path, copy: Path) -> None:
    store = new_rocks(store_path)
    for number in range(1, WRITES + 1):
        write_numbered(store, number)
        if number % 2:
            store.sync()
        assert opened(killed(store, copy)) == number
    store.close()
    assert opened(store_path) == WRITES


def test_a_wal_cut_anywhere_gives_a_prefix(store_path: Path, copy: Path) -> None:
    store, ends = numbered(store_path)
    whole = wal_of(store_path).read_bytes()
    assert ends[-1] == len(whole)
    cuts = sorted(
        {cut for end in ends for cut in range(end - 3, end + 9) if 0 <= cut <= len(whole)} | set(range(0, len(whole), 29))
    )
    for cut in cuts:
        killed(store, copy)
        wal_of(copy).write_bytes(whole[:cut])
        assert opened(copy) == sum(end <= cut for end in ends) - 1
    store.close()


def test_zeros_behind_the_last_record_are_a_torn_end(store_path: Path, copy: Path) -> None:
    store, _ = numbered(store_path)
    killed(store, copy)
    with wal_of(copy).open("ab") as wal:
        wal.write(bytes(100))
    assert opened(copy) == WRITES
    store.close()


def test_no_damaged_byte_of_the_wal_is_taken_for_a_torn_end(store_path: Path) -> None:
    store, _ = numbered(store_path)
    wal = wal_of(store_path)
    whole = wal.read_bytes()
    check_logs(store_path)
    for at in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(whole)
            damaged[at] ^= flip
            wal.write_bytes(damaged)
            with pytest.raises(Damaged):
                check_logs(store_path)
    wal.write_bytes(whole)
    store.close()


def test_a_damaged_wal_is_not_opened(store_path: Path, copy: Path) -> None:
    store, ends = numbered(store_path)
    whole = wal_of(store_path).read_bytes()
    for at in (0, 5, ends[2] + 4, ends[2] + 5, ends[2] + 6, ends[3] + 40, ends[-1] - 1):
        killed(store, copy)
        damaged = bytearray(whole)
        damaged[at] ^= 0x40
        wal_of(copy).write_bytes(damaged)
        with pytest.raises(Damaged):
            RocksStore(copy)
    store.close()


def test_zeros_in_the_middle_of_the_wal_are_damage(store_path: Path, copy: Path) -> None:
    store, ends = numbered(store_path)
    killed(store, copy)
    damaged = bytearray(wal_of(copy).read_bytes())
    damaged[ends[2] : ends[3]] = bytes(ends[3] - ends[2])
    wal_of(copy).write_bytes(damaged)
    with pytest.raises(Damaged):
        RocksStore(copy)
    store.close()


def test_batches_over_several_blocks(store_path: Path, copy: Path) -> None:
    """Every way a batch can lie across the blocks of a WAL: sound ones open, a flipped byte in any of the blocks is noticed."""
    store = new_rocks(store_path)
    sizes = [10_000, 40_000, 70_000, *range(600, 640), 1]
    for number, size in enumerate(sizes, start=1):
        write_numbered(store, number, size)
    whole = wal_of(store_path).read_bytes()
    for fill in range(30):  # leaves every number of bytes from 29 to 0, and so a header without payload, at a block's end
        number = len(sizes) + 2 * fill + 1
        used = wal_of(store_path).stat().st_size % 32_768
        overhead = 90
        store.write({(8, number): row(number, b"x" * max(0, 32_768 - used - overhead - fill))}, [])
        store.write({(9, number): row(number)}, [])
        check_logs(store_path)
    assert RocksStore(killed(store, copy)).committed_entry(7) == len(sizes)
    for at in range(100, len(whole), 4_099):
        killed(store, copy)
        damaged = bytearray(wal_of(copy).read_bytes())
        damaged[at] ^= 0x10
        wal_of(copy).write_bytes(damaged)
        with pytest.raises(Damaged):
            RocksStore(copy)
    store.close()


def test_a_hole_between_two_wals_is_damage(store_path: Path, copy: Path) -> None:
    store = new_rocks(store_path)
    number = 0
    while len(list(store_path.glob("*.log"))) < 3:  # rows alone fill their memtable; the data keep the older WALs alive
        number += 1
        store.write({(7, number): row(number, b"x" * 500_000)}, [Apply(7, number, puts(a=b"1"))])
    killed(store, copy)
    check_logs(copy)
    first = sorted(copy.glob("*.log"))[0]
    first.write_bytes(first.read_bytes()[:-20])
    with pytest.raises(Damaged, match="should be"):
        RocksStore(copy)
    killed(store, copy)
    sorted(copy.glob("*.log"))[1].unlink()
    with pytest.raises(Damaged, match="should be"):
        RocksStore(copy)
    store.close()


def test_no_damaged_byte_of_an_sst_is_served(store_path: Path, copy: Path) -> None:
    store, _ = numbered(store_path, 40)
    store.close()  # writes the SSTs
    for file in sorted(store_path.glob("*.sst")):
        whole = file.read_bytes()
        noticed = 0
        for at in range(0, len(whole), 61):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(store_path, copy)
            damaged = bytearray(whole)
            damaged[at] ^= 0xFF
            (copy / file.name).write_bytes(damaged)
            try:
                assert opened(copy) == 40
            except Damaged:
                noticed += 1
        assert noticed


def test_no_damaged_byte_of_the_manifest_loses_anything(store_path: Path, copy: Path) -> None:
    store, _ = numbered(store_path)
    store.close()
    (manifest,) = store_path.glob("MANIFEST-*")
    whole = manifest.read_bytes()
    for at in range(0, len(whole), 7):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(store_path, copy)
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        (copy / manifest.name).write_bytes(damaged)
        with pytest.raises(Damaged):
            RocksStore(copy)


@pytest.mark.parametrize("pattern", ["CURRENT", "MANIFEST-*", "*.sst"])
def test_a_missing_file_is_damage_and_nothing_is_made_anew(store_path: Path, pattern: str) -> None:
    store, _ = numbered(store_path)
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
    store, _ = numbered(store_path)
    plog = store._use().plog
    stored = plog.get(plog_key(7, 2))
    assert isinstance(stored, bytes)
    plog.put(plog_key(7, 2), stored[:-1] + b"?")
    del plog
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
    RocksStore(store_path).close()


def test_after_close_it_says_so(store_path: Path) -> None:
    store, _ = numbered(store_path)
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


def fill(store: RocksStore) -> int:
    """Write until the disk is full; how many batches went in."""
    number = store.committed_entry(7)
    while True:
        try:
            write_numbered(store, number + 1, 30_000)
        except DiskFull:
            return number
        number += 1


def test_a_full_disk_refuses_writes_and_forgets_nothing(tmp_path: Path, copy: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "6m") as reason:
        if reason:
            pytest.skip(f"a small tmpfs cannot be mounted here: {reason}")
        store = new_rocks(disk / "store")
        written = fill(store)
        assert written > 10
        for _ in range(3):
            with pytest.raises(DiskFull):
                write_numbered(store, written + 1, 30_000)
            assert not store.writable
            assert_prefix(store, written, 30_000)
        store.close()

        store = RocksStore(disk / "store")  # still full
        assert_prefix(store, written, 30_000)
        with pytest.raises(DiskFull):
            write_numbered(store, written + 1, 30_000)
        assert_prefix(store, written, 30_000)

        grow_disk(disk, "64m")
        write_numbered(store, written + 1, 30_000)
        store.sync()
        assert store.writable
        assert_prefix(store, written + 1, 30_000)
        found = RocksStore(killed(store, copy))
        assert_prefix(found, written + 1, 30_000)
        assert list(found.scan(7, b"", END)) == list(store.scan(7, b"", END))
        found.close()
        store.close()


def test_a_full_disk_that_gets_room_again_needs_no_restart(tmp_path: Path, copy: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "6m") as reason:
        if reason:
            pytest.skip(f"a small tmpfs cannot be mounted here: {reason}")
        store = new_rocks(disk / "store")
        written = fill(store)
        grow_disk(disk, "64m")
        for number in range(written + 1, written + 4):
            write_numbered(store, number, 30_000)
            store.sync()
            found = RocksStore(killed(store, copy))
            assert_prefix(found, number, 30_000)
            found.close()
        store.close()
