"""The data directory: made once, opened by one, and only by the node it belongs to."""

from __future__ import annotations

import errno
import re
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from paxosstore.errors import Damaged, DataDirectoryError, DirectoryInUse, DirectoryMismatch
from paxosstore.settings import ClusterSettings
from paxosstore.storage import directory as directory_module
from paxosstore.storage.damage import os_failed
from paxosstore.storage.directory import FORMAT, SEALED_FORMAT, IdentityFile, open_directory
from paxosstore.storage.rocks import RocksStore

from .support import assert_prefix, write_numbered

SETTINGS = ClusterSettings("blue")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "node-0"


def make(path: Path, *, create: bool = True) -> int:
    with open_directory(path, SETTINGS, 0, create=create) as directory:
        return directory.disk_id


def test_it_is_made_once_and_private(path: Path) -> None:
    disk_id = make(path)
    assert disk_id > 0
    assert make(path) == disk_id
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert sorted(entry.name for entry in path.iterdir()) == ["IDENTITY", "IDENTITY.copy", "LOCK", "store"]
    assert make(path.parent / "node-1") != disk_id


def test_the_store_in_it_is_kept(path: Path) -> None:
    for number in (1, 2):
        with open_directory(path, SETTINGS, 0) as directory:
            store = RocksStore(directory.store_path)
            write_numbered(store, number)
            store.close()
            store.close()
    with open_directory(path, SETTINGS, 0, create=False) as directory:
        store = RocksStore(directory.store_path)
        assert_prefix(store, 2)
        store.close()


def test_it_is_not_opened_twice(path: Path) -> None:
    with open_directory(path, SETTINGS, 0) as directory:
        with pytest.raises(DirectoryInUse, match="another process"):
            open_directory(path, SETTINGS, 0)
        directory.close()
        directory.close()
        make(path)


def test_it_is_not_opened_by_a_second_process(path: Path) -> None:
    code = (
        "import sys; from paxosstore.settings import ClusterSettings; from paxosstore.storage.directory import open_directory\n"
        "from paxosstore.errors import DirectoryInUse\n"
        "try: open_directory(sys.argv[1], ClusterSettings('blue'), 0)\n"
        "except DirectoryInUse: print('in use')\n"
    )
    with open_directory(path, SETTINGS, 0):
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "in use\n"


@pytest.mark.parametrize(
    ("settings", "node", "message"),
    [
        (ClusterSettings("green"), 0, "cluster is 'blue' there, 'green' here"),
        (SETTINGS, 1, "node is 0 there, 1 here"),
        (ClusterSettings("blue", nodes=5), 0, "nodes is 3 there, 5 here"),
        (ClusterSettings("blue", uuid_window_entries=99), 0, "uuid_window_entries is 65536 there, 99 here"),
        (ClusterSettings("blue", services="redis.keyspace=db"), 0, "services is '' there, 'redis.keyspace=db' here"),
        (ClusterSettings("green"), 2, "cluster is 'blue' there, 'green' here; node is 0 there, 2 here"),
    ],
)
def test_it_is_not_opened_by_another_node(path: Path, settings: ClusterSettings, node: int, message: str) -> None:
    make(path)
    with pytest.raises(DirectoryMismatch) as info:
        open_directory(path, settings, node)
    assert str(info.value) == f"{path}: {message}: correct the settings, or use another directory"
    make(path)


def test_it_is_not_opened_in_another_format(path: Path) -> None:
    make(path)
    identity = path / "IDENTITY"
    for other in (1, FORMAT + 1):
        identity.write_text(f'{{"format": {other}, "something": "else"}}')
        with pytest.raises(DirectoryMismatch, match=f"format is {other} there, {FORMAT} here"):
            make(path)


@pytest.mark.parametrize("format_before", [2, 3, 4, 5, 6, 7])
def test_a_format_before_is_taken_over(path: Path, format_before: int) -> None:
    """What is written from then on would be misread by the program of before: it has to refuse the directory."""
    make(path)
    identity = path / "IDENTITY"
    now = identity.read_text()
    before = now.replace(f'"format": {FORMAT}', f'"format": {format_before}')
    checksum = msgspec.json.decode(before, type=IdentityFile).sealed().checksum
    before = re.sub(r',\s*"checksum": \d+', f',\n  "checksum": {checksum}' if format_before >= SEALED_FORMAT else "", before)
    assert before != now
    identity.write_text(before)
    (path / "IDENTITY.copy").unlink()
    make(path, create=False)
    assert identity.read_text() == before, "who only looks changes nothing"
    make(path)
    assert identity.read_text() == now


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff", b'{"format": 99}'])
@pytest.mark.parametrize("names", [("IDENTITY",), ("IDENTITY.copy",), ("IDENTITY", "IDENTITY.copy")])
def test_an_open_directory_mends_what_it_says_of_itself(path: Path, names: tuple[str, ...], content: bytes | None) -> None:
    with open_directory(path, SETTINGS, 1) as directory:
        sound = (path / "IDENTITY").read_bytes()
        directory.mend()
        for name in names:
            if content is None:
                (path / name).unlink()
            else:
                (path / name).write_bytes(content)
        directory.mend()
    assert (path / "IDENTITY").read_bytes() == (path / "IDENTITY.copy").read_bytes() == sound


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2}', '{"format": "1"}', "{}"])
def test_a_damaged_identity_is_noticed(path: Path, content: str) -> None:
    make(path)
    for name in ("IDENTITY", "IDENTITY.copy"):
        (path / name).write_text(content)
    with pytest.raises(Damaged, match="IDENTITY"):
        make(path)


@pytest.mark.parametrize("name", ["IDENTITY", "IDENTITY.copy"])
def test_an_identity_is_mended_from_its_copy(path: Path, name: str) -> None:
    """A flipped bit in each byte, each shorter file, and no file."""
    disk_id = make(path)
    sound = (path / name).read_bytes()
    for at in range(len(sound)):
        damaged = bytearray(sound)
        damaged[at] ^= 1 << at % 8
        (path / name).write_bytes(damaged)
        assert make(path) == disk_id
    for length in range(len(sound)):
        (path / name).write_bytes(sound[:length])
        assert make(path) == disk_id
    (path / name).unlink()
    assert make(path) == disk_id
    assert (path / name).read_bytes() == sound


def test_who_only_looks_mends_nothing(path: Path) -> None:
    disk_id = make(path)
    (path / "IDENTITY").write_bytes(b"{")
    assert make(path, create=False) == disk_id
    assert (path / "IDENTITY").read_bytes() == b"{"


def test_a_store_without_identity_is_refused(path: Path) -> None:
    make(path)
    for name in ("IDENTITY", "IDENTITY.copy"):
        (path / name).unlink()
    with pytest.raises(Damaged, match="IDENTITY: is gone, though the store is here"):
        make(path)
    assert (path / "store").is_dir()


def test_an_identity_without_a_store_is_a_lost_disk(path: Path) -> None:
    make(path)
    (path / "store").rename(path.parent / "elsewhere")
    with open_directory(path, SETTINGS, 0) as directory, pytest.raises(Damaged, match="store is gone"):
        RocksStore(directory.store_path)


def test_a_crash_at_each_step_of_making_it_is_made_good(path: Path) -> None:
    disk_id = make(path)
    (path / "store").rename(path / "store.new")  # IDENTITY was written, the store not yet named
    assert make(path) == disk_id
    assert (path / "store").is_dir()
    (path / "store").rename(path / "store.new")
    (path / "IDENTITY.copy").unlink()
    (path / "IDENTITY").rename(path / "IDENTITY.new")  # IDENTITY was written, not yet named
    (path / "store.new" / "rocksdb" / "CURRENT").unlink()  # and the store was not complete
    assert make(path) != disk_id
    with open_directory(path, SETTINGS, 0) as directory:
        RocksStore(directory.store_path).close()


def test_what_cannot_be_a_directory_says_so(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("a file")
    with pytest.raises(DataDirectoryError, match="cannot be used"):
        make(path)


@pytest.mark.parametrize("create", [False, True])
def test_what_may_not_be_looked_into_says_so(path: Path, monkeypatch: pytest.MonkeyPatch, create: bool) -> None:
    def refuse(*_: object) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(directory_module, "_is_identified", refuse)
    monkeypatch.setattr(directory_module, "_lock", refuse)
    with pytest.raises(DataDirectoryError, match="Permission denied: a directory is needed that this user may write"):
        open_directory(path, SETTINGS, 0, create=create)


@pytest.mark.parametrize("create", [False, True])
def test_a_file_system_that_is_read_only_is_said_to_be(path: Path, monkeypatch: pytest.MonkeyPatch, create: bool) -> None:
    def refuse(*_: object) -> bool:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(directory_module, "_is_identified", refuse)
    monkeypatch.setattr(directory_module, "_lock", refuse)
    with pytest.raises(DataDirectoryError, match=r"Read-only file system: .*mount it for writing"):
        open_directory(path, SETTINGS, 0, create=create)
    assert "mount it for writing" in str(os_failed(path, OSError(errno.EROFS, "Read-only file system")))
    assert "when it is sound" in str(os_failed(path, OSError(errno.EIO, "Input/output error")))


def test_looking_at_nothing_makes_nothing(path: Path) -> None:
    with pytest.raises(DataDirectoryError, match="no node has kept its data here"):
        open_directory(path, SETTINGS, 0, create=False)
    assert not path.exists()
