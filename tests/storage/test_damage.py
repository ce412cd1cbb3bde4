"""Whatever is wrong with a disk: the error names the file or directory, and what to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from paxosstore.errors import Damaged, DataDirectoryError, DirectoryInUse, DirectoryMismatch, DiskFull, NodeError
from paxosstore.settings import ClusterSettings
from paxosstore.storage.directory import open_directory
from paxosstore.storage.keys import plog_key
from paxosstore.storage.rocks import RocksStore
from paxosstore.storage.rocks_table import RocksTable

from .support import journal_of, write_numbered

SETTINGS = ClusterSettings("blue")


def use(path: Path) -> None:
    with open_directory(path, SETTINGS, 0) as directory:
        store = RocksStore(directory.store_path)
        try:
            store.read_log(7, 1, 99)
            write_numbered(store, store.committed_entry(7) + 1)
            store.sync()
        finally:
            store.close()


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 0x40
    file.write_bytes(content)


def damage_row(path: Path) -> None:
    table = RocksTable(path / "store" / "rocksdb")
    table.write([(b"l" + plog_key(7, 1), b"\1" + b"?" * 40)])
    table.flush()
    table.release()


def damage_committed(path: Path) -> None:
    table = RocksTable(path / "store" / "rocksdb")
    table.write([(b"mc" + (7).to_bytes(8, "big"), b"?")])
    table.flush()
    table.release()


def damage_journal(path: Path) -> None:
    with open_directory(path, SETTINGS, 0) as directory:
        store = RocksStore(directory.store_path)
        write_numbered(store, 2)
        store.sync()
        copy = journal_of(directory.store_path).read_bytes()
        file = journal_of(directory.store_path)
        store.close()
    for segment in file.parent.iterdir():
        segment.unlink()
    file.write_bytes(copy)
    flip(file, 600)


def gone(*names: str) -> Callable[[Path], None]:
    def happen(path: Path) -> None:
        for name in names:
            for file in [*path.glob(name)]:
                if file.is_dir():
                    file.rename(path.parent / "elsewhere")
                else:
                    file.unlink()

    return happen


LOST = "comes back from its peers by itself"
IDENTITY = "any copy of this very directory"


@pytest.mark.parametrize(
    ("happen", "names", "remedy"),
    [
        (gone("store"), "store", LOST),
        (gone("store/journal"), "store/journal", LOST),
        (gone("store/journal/*"), "store/journal", LOST),
        (gone("store/rocksdb/CURRENT"), "store/rocksdb", LOST),
        (gone("store/rocksdb/*.sst"), "store/rocksdb", LOST),
        (gone("IDENTITY*"), "IDENTITY", IDENTITY),
        (lambda path: [(path / name).write_text("{") for name in ("IDENTITY", "IDENTITY.copy")], "IDENTITY", IDENTITY),
        (damage_row, "entity 7, entry 1", LOST),
        (damage_committed, "store", LOST),
        (damage_journal, ".journal", LOST),
    ],
)
def test_damage(tmp_path: Path, happen: Callable[[Path], object], names: str, remedy: str) -> None:
    path = tmp_path / "node-0"
    use(path)
    happen(path)
    with pytest.raises(Damaged) as info:
        use(path)
    assert str(path) in str(info.value)
    assert names in str(info.value)
    assert remedy in str(info.value)


def test_a_block_that_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "node-0"
    use(path)
    (sst,) = (path / "store" / "rocksdb").glob("*.sst")
    flip(sst, 40)
    with pytest.raises(Damaged, match=f"{sst.name}.*{LOST}"):
        use(path)


def test_a_directory_that_another_process_has(tmp_path: Path) -> None:
    path = tmp_path / "node-0"
    with open_directory(path, SETTINGS, 0) as directory:
        with pytest.raises(DirectoryInUse, match=f"fuser -v {path / 'LOCK'}.*stop that one"):
            use(path)
        store = RocksStore(directory.store_path)
        with pytest.raises(DirectoryInUse, match=r"fuser -v .*stop that one"):
            RocksStore(directory.store_path)
        store.close()


def test_a_directory_of_another_node(tmp_path: Path) -> None:
    use(tmp_path)
    with pytest.raises(DirectoryMismatch, match="correct the settings"):
        open_directory(tmp_path, SETTINGS, 1)


def test_what_cannot_be_a_directory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(DataDirectoryError, match=f"ls -ld {path}"):
        open_directory(path, SETTINGS, 0)


@pytest.mark.parametrize(
    ("error", "kind", "remedy"), [(28, DiskFull, "make room there"), (122, DiskFull, "make room there"), (5, NodeError, "dmesg")]
)
def test_a_disk_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, kind: type[NodeError], remedy: str
) -> None:
    path = tmp_path / "node-0"
    use(path)

    def fails(*arguments: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fdatasync", fails)
    with pytest.raises(kind, match=f"{path}.*{remedy}"):
        use(path)
