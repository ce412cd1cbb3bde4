"""What the durable store makes of a failing disk, and what it leaves alone when it may only read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from paxosstore.core.batch.overlay import DATA, WriteBatch
from paxosstore.core.interface.ready import Apply
from paxosstore.errors import DiskFull, NodeError
from paxosstore.storage.journal_reader import JournalReader
from paxosstore.storage.rocks import RocksStore
from paxosstore.storage.rocks_table import RocksTable

from .support import END, SEGMENT_BYTES, assert_prefix, fill, killed, new_rocks, puts, row, settle, sizes, write_numbered


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def broken(*args: object) -> int:
    raise OSError(errno.EIO, "as if the disk were broken")


def no_room(*args: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_could_not_be_appended_is_never_acknowledged(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_rocks(store_path)
    write_numbered(store, 1)
    settle(store)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", broken)
        write_numbered(store, 2)  # it is in RocksDB's memory: that cannot be undone
    for _ in range(2):
        with pytest.raises(NodeError, match="broken"):
            store.sync()
    with pytest.raises(NodeError, match="broken"):
        store.reopen()  # it would forget, and then sync
    with pytest.raises(NodeError, match="broken"):
        store.sync()
    store.close()


def test_a_failed_sync_is_never_tried_again(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_rocks(store_path)
    write_numbered(store, 1)
    settle(store)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        with pytest.raises(NodeError, match="broken"):
            store.sync()
    with pytest.raises(NodeError, match="broken"):
        store.sync()
    store.close()


def test_a_write_that_rocksdb_refuses_changes_nothing(store_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise DiskFull("as RocksDB says it")

    store = new_rocks(store_path)
    write_numbered(store, 1)
    with monkeypatch.context() as patch:
        patch.setattr(RocksTable, "write", refuse)
        with pytest.raises(DiskFull):
            write_numbered(store, 2)
    assert_prefix(store, 1)
    write_numbered(store, 2)  # opens RocksDB anew
    store.sync()
    assert_prefix(store, 2)
    found = RocksStore(killed(store, copy), segment_bytes=SEGMENT_BYTES)
    assert_prefix(found, 2)
    found.close()
    store.close()


def test_without_room_for_a_segment_a_write_is_refused_and_tried_again(
    store_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_rocks(store_path, 65_536)
    settle(store)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_room)
        written = fill(store, 5_000)  # two segments are there, no third one can be made
        assert fill(store, 5_000) == written
        assert_prefix(store, written, 5_000)
    assert written > 8
    write_numbered(store, written + 1, 5_000)
    store.sync()
    found = RocksStore(killed(store, copy), segment_bytes=SEGMENT_BYTES)
    assert_prefix(found, written + 1, 5_000)
    found.close()
    store.close()


def test_if_rocksdb_cannot_write_out_its_memory_the_next_write_opens_it_anew(
    store_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise DiskFull("as RocksDB says it")

    store = new_rocks(store_path, 16_384)
    first = store._use()
    number = 0
    with monkeypatch.context() as patch:
        patch.setattr(RocksTable, "flush", fail)
        while not first.failed:
            number += 1
            write_numbered(store, number, 5_000)
        assert_prefix(store, number, 5_000)
    write_numbered(store, number + 1, 5_000)
    assert store._use() is not first
    assert_prefix(store, number + 1, 5_000)
    found = RocksStore(killed(store, copy), segment_bytes=SEGMENT_BYTES)
    assert_prefix(found, number + 1, 5_000)
    found.close()
    store.close()


def test_after_a_close_there_is_nothing_to_replay(store_path: Path) -> None:
    store = new_rocks(store_path)
    for number in range(1, 9):
        write_numbered(store, number)
    settle(store)
    store.close()
    assert list(JournalReader(store_path / "journal").records(8)) == []
    assert JournalReader(store_path / "journal").numbers == [2]
    store = RocksStore(store_path, segment_bytes=SEGMENT_BYTES)
    assert_prefix(store, 8)
    store.close()


def test_read_only_sees_all_and_changes_nothing(store_path: Path, copy: Path) -> None:
    store = new_rocks(store_path)
    keys = [b"%d" % number for number in range(9)]
    store.write({(1, 1): row(1), (2, 1): row(1)}, [Apply(1, 1, WriteBatch({DATA + key: key for key in keys}))])
    store.reopen()  # from here on it is in the journal alone
    store.write({(1, 2): row(2)}, [Apply(1, 2, puts(**{"3": None, "a": b"new"})), Apply(2, 1, puts(x=b"1"))])
    store.write({(1, 4): row(4), (2, 1): row(1)}, [Apply(2, 2, WriteBatch({DATA + b"y": b"2"}, cleared=True))])
    killed(store, copy)
    before = {path: size for path, size in sizes(copy).items() if not path.name.startswith("LOG")}
    found = RocksStore(copy, read_only=True)
    for entity in range(4):
        assert found.load(entity) == store.load(entity)
        assert found.read_log(entity, 1, 9) == store.read_log(entity, 1, 9)
        assert list(found.scan(entity, b"", END)) == list(store.scan(entity, b"", END))
        assert list(found.scan(entity, b"", END, reverse=True)) == list(store.scan(entity, b"", END))[::-1]
        for key in (*keys, b"a", b"x", b"y"):
            assert found.get(entity, DATA + key) == store.get(entity, DATA + key)
    assert list(found.committed()) == list(store.committed()) == [(1, 2), (2, 2)]
    assert found.content_hash() == store.content_hash()
    with pytest.raises(NodeError, match="reading only"):
        write_numbered(found, 1)
    found.sync()
    found.close()
    assert {path: size for path, size in sizes(copy).items() if not path.name.startswith("LOG")} == before
    store.close()


def test_read_only_after_a_cleared_entity(store_path: Path, copy: Path) -> None:
    store = new_rocks(store_path)
    store.write({}, [Apply(1, 1, puts(a=b"1", b=b"2")), Apply(2, 1, puts(a=b"1"))])
    store.reopen()
    store.write({}, [Apply(1, 2, puts(c=b"3"))])
    store.write({}, [Apply(1, 3, WriteBatch({DATA + b"d": b"4"}, cleared=True))])
    found = RocksStore(killed(store, copy), read_only=True)
    assert list(found.scan(1, b"", END)) == [(DATA + b"d", b"4")]
    assert found.get(1, DATA + b"a") is None
    assert list(found.scan(2, b"", END)) == [(DATA + b"a", b"1")]
    found.close()
    store.close()
