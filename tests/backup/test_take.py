"""Backups: whole or not there, as large as what is new, and each one by itself."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from paxosstore.backup import take as taking
from paxosstore.backup.files import link
from paxosstore.backup.folder import TABLE, check, complete, pick
from paxosstore.backup.manifest import NAME, read_manifest
from paxosstore.backup.pace import Pace
from paxosstore.core.turn.standing import State
from paxosstore.errors import BackupError, DirectoryInUse, DiskFull, InvalidRequest
from paxosstore.settings import ClusterSettings

from .support import FAST, FOUNDING, backup, write

RED = ClusterSettings("red")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    write(tmp_path / "node-0", range(1, 30))
    return tmp_path / "node-0"


@pytest.fixture(params=["links", "copies"])
def backups(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """On the node's file system, or on another."""
    if request.param == "copies":
        monkeypatch.setattr(taking, "link", lambda source, target: "node-0" not in str(source) and link(source, target))
    return tmp_path / "backups"


def table_files(folder: Path) -> dict[str, os.stat_result]:
    return {file.name: file.stat() for file in (folder / TABLE).iterdir() if file.suffix in (".sst", ".blob")}


def test_it_says_what_it_is_and_is_whole(data_dir: Path, backups: Path) -> None:
    taken = backup(data_dir, backups)
    manifest = check(pick(backups), FAST)
    assert manifest == taken.manifest
    assert (manifest.node, manifest.cluster, manifest.entities, manifest.entries) == (0, "blue", 1, 29)
    assert manifest.state == "member"
    assert manifest.cluster_id
    assert manifest.program == "1.2.3"
    assert taken.copied_bytes + taken.linked_bytes == manifest.bytes
    assert not list(data_dir.glob("checkpoint.[0-9a-f]*"))
    assert FOUNDING


def test_a_second_one_takes_only_what_is_new(data_dir: Path, backups: Path) -> None:
    first = backup(data_dir, backups)
    write(data_dir, range(30, 35))
    second = backup(data_dir, backups)
    assert second.number == first.number + 1
    assert second.kept_bytes > 0
    old, new = table_files(first.folder), table_files(second.folder)
    same = set(old) & set(new)
    assert same
    assert all(old[name].st_ino == new[name].st_ino for name in same)
    assert check(second.folder, FAST).entries == 34
    shutil.rmtree(first.folder)  # each one is whole by itself
    assert check(second.folder, FAST).entries == 34


def test_a_file_that_only_looks_the_same_is_taken_again(data_dir: Path, backups: Path) -> None:
    first = backup(data_dir, backups)
    for file in (data_dir / "store" / TABLE).glob("*.sst"):
        os.utime(file, ns=(1, 1))
    second = backup(data_dir, backups)
    assert all(first.manifest.bytes > 0 and file.mtime_ns == 1 for file in second.manifest.files if file.name.endswith(".sst"))
    check(second.folder, FAST)


def test_only_the_latest_are_kept(data_dir: Path, backups: Path) -> None:
    for _ in range(3):
        backup(data_dir, backups)
    assert complete(backups) == [1, 2, 3]
    assert backup(data_dir, backups, keep=2).gone == [1, 2]
    assert complete(backups) == [3, 4]
    check(pick(backups, 3), FAST)


def test_the_backup_of_no_member_removes_none_of_a_member(data_dir: Path, backups: Path) -> None:
    """Its data may be older than what it would push out."""
    for _ in range(2):
        backup(data_dir, backups)
    write(data_dir, range(30, 31), state=State.REENTERING)
    for _ in range(2):
        assert backup(data_dir, backups, keep=1).gone == []
    assert complete(backups) == [1, 2, 3, 4]
    write(data_dir, range(31, 32))
    assert backup(data_dir, backups, keep=2).gone == [1], "those of no member do not count"
    assert backup(data_dir, backups, keep=1).gone == [2, 3, 4, 5], "and are not kept for themselves"


def test_a_damaged_backup_is_none_of_those_that_are_kept(data_dir: Path, backups: Path) -> None:
    for _ in range(2):
        folder = backup(data_dir, backups).folder
    (folder / NAME).write_bytes(b"{")
    assert backup(data_dir, backups, keep=2).gone == []
    assert backup(data_dir, backups, keep=2).gone == [1, 2]


def test_a_new_node_has_nothing_to_back_up(data_dir: Path, backups: Path) -> None:
    backup(data_dir, backups)
    write(data_dir, range(30, 31), state=State.NEW)
    with pytest.raises(InvalidRequest, match=r"node-0: its node is new, .*start every node"):
        backup(data_dir, backups, keep=1)
    assert [path.name for path in backups.glob("backup-*")] == ["backup-000001"]


def test_half_a_backup_is_none_and_goes(data_dir: Path, backups: Path) -> None:
    """A crash anywhere before the manifest is there, and a failure."""
    first = backup(data_dir, backups)
    (backups / "backup-000002" / TABLE).mkdir(parents=True)
    (backups / "backup-000002" / TABLE / "CURRENT").write_bytes(b"half")
    assert complete(backups) == [1]
    with pytest.raises(BackupError, match="no complete backup"):
        read_manifest(backups / "backup-000002")
    second = backup(data_dir, backups)
    assert second.number == 2
    assert check(pick(backups), FAST) == second.manifest
    assert check(first.folder, FAST) == first.manifest


def test_a_failure_half_way_leaves_the_earlier_ones(data_dir: Path, backups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = backup(data_dir, backups)
    write(data_dir, range(30, 35))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(taking, "write_manifest", full)
        with pytest.raises(DiskFull, match="make room"):
            backup(data_dir, backups)
    assert [path.name for path in backups.glob("backup-*")] == [first.folder.name]
    assert check(pick(backups), FAST) == first.manifest


def test_it_is_not_begun_without_room(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "SPARE_BYTES", 1 << 60)
    monkeypatch.setattr(Path, "resolve", lambda path: path)
    real = Path.stat

    class Elsewhere:
        def __init__(self, stat: os.stat_result) -> None:
            self._stat = stat
            self.st_dev = -1

        def __getattr__(self, name: str) -> object:
            return getattr(self._stat, name)

    def stat(path: Path, **options: bool) -> os.stat_result:
        found = real(path, **options)
        return Elsewhere(found) if path.parent.name == "backup-000001" else found  # type: ignore[return-value]  # quacks like one

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(DiskFull, match="a backup needs"):
        backup(data_dir, tmp_path / "backups")


def test_what_was_damaged_is_found(data_dir: Path, backups: Path) -> None:
    folder = backup(data_dir, backups).folder
    for file in sorted((folder / TABLE).iterdir()):
        content = file.read_bytes()
        file.unlink()  # it may be the node's own
        flipped = bytearray(content)
        flipped[len(content) // 2] ^= 4
        for wrong, said in ((bytes(flipped), "checksum differs"), (content[:-1], "bytes instead of"), (None, "is not there")):
            if wrong is not None:
                file.write_bytes(wrong)
            else:
                file.unlink()
            with pytest.raises(BackupError, match=said):
                check(folder, FAST)
        file.symlink_to(data_dir / "IDENTITY")
        with pytest.raises(BackupError, match="symbolic link"):
            check(folder, FAST)
        file.unlink()
        file.write_bytes(content)
    check(folder, FAST)


def change(folder: Path, edit: Callable[[dict[str, object]], object]) -> None:
    said = json.loads((folder / NAME).read_bytes())
    edit(said)
    (folder / NAME).write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda said: said["content"].update(node=1), "checksum differs"),
        (lambda said: said["content"].update(format=9), "format 9, this program reads 1"),
        (lambda said: said["content"]["files"][0].update(name="../IDENTITY"), "is no file of a backup"),
        (lambda said: said["content"]["files"][0].update(name="/etc/passwd"), "is no file of a backup"),
        (lambda said: said["content"].update(node=7), "node 7 of 3"),
        (lambda said: said["content"].update(nodes=4), "4 is not possible"),
        (lambda said: said["content"].pop("files"), "files"),
        (lambda said: said.pop("content"), "does not say"),
    ],
)
def test_a_manifest_is_not_believed(
    data_dir: Path, tmp_path: Path, edit: Callable[[dict[str, object]], object], said: str
) -> None:
    folder = backup(data_dir, tmp_path / "backups").folder
    change(folder, edit)
    with pytest.raises(BackupError, match=said):
        read_manifest(folder)


def test_a_damaged_backup_is_no_reason_to_make_no_further_ones(data_dir: Path, backups: Path) -> None:
    folder = backup(data_dir, backups).folder
    (folder / NAME).write_bytes(b"{")
    second = backup(data_dir, backups)
    assert second.kept_bytes == 0
    check(second.folder, FAST)


class TestPlaces:
    def test_not_in_the_data_directory(self, data_dir: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(data_dir)
        for place in (data_dir, data_dir / "backups", tmp_path / "link" / "x", data_dir / ".." / "node-0" / "b"):
            with pytest.raises(InvalidRequest, match="lies in the node's data directory"):
                backup(data_dir, place)

    def test_not_in_any_nodes_data(self, data_dir: Path, tmp_path: Path) -> None:
        other = tmp_path / "node-1"
        write(other, range(1, 3))
        folder = backup(data_dir, tmp_path / "backups").folder
        (tmp_path / "link").symlink_to(other)
        store = other / "store"
        for place in (other, other / "new", store, store / TABLE, store / TABLE / "x" / "y", tmp_path / "link", folder / TABLE):
            with pytest.raises(InvalidRequest, match="the data of a node"):
                backup(data_dir, place)
        (other / "IDENTITY").unlink()
        (other / "IDENTITY.copy").unlink()
        with pytest.raises(InvalidRequest, match="the data of a node"):
            backup(data_dir, other)

    def test_not_among_other_files(self, data_dir: Path, tmp_path: Path) -> None:
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "letter").write_bytes(b"dear")
        with pytest.raises(InvalidRequest, match="holds no backups"):
            backup(data_dir, tmp_path / "home")
        with pytest.raises(InvalidRequest, match="is no directory"):
            backup(data_dir, tmp_path / "home" / "letter")

    def test_not_among_another_clusters_backups(self, data_dir: Path, tmp_path: Path) -> None:
        backup(data_dir, tmp_path / "backups")
        folder = tmp_path / "backups" / "backup-000001"
        manifest = read_manifest(folder)
        from msgspec.structs import replace

        from paxosstore.backup.manifest import write_manifest

        write_manifest(folder, replace(manifest, cluster=RED.cluster))
        with pytest.raises(InvalidRequest, match="holds backups of cluster 'red'"):
            backup(data_dir, tmp_path / "backups")

    def test_one_at_a_time(self, data_dir: Path, tmp_path: Path) -> None:
        from paxosstore.backup.folder import locked

        with locked(tmp_path / "backups"), pytest.raises(DirectoryInUse, match="another backup"):
            backup(data_dir, tmp_path / "backups")

    def test_what_is_not_there(self, data_dir: Path, tmp_path: Path) -> None:
        with pytest.raises(BackupError, match="is not there"):
            pick(tmp_path / "nowhere")
        backup(data_dir, tmp_path / "backups")
        with pytest.raises(BackupError, match="no backup 7: there are 1"):
            pick(tmp_path / "backups", 7)
        assert pick(tmp_path / "backups" / "backup-000001") == tmp_path / "backups" / "backup-000001"


def test_a_pace_is_kept_and_a_pause_is_not_made_up_for() -> None:
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    pace = Pace(1_000.0, lambda: now[0], sleep)
    for _ in range(10):
        pace.pay(100)
    assert now[0] == pytest.approx(101.0)
    now[0] += 60.0
    for _ in range(20):
        pace.pay(100)
    assert now[0] == pytest.approx(162.5)
