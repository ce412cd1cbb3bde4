"""Data directories made from backups: the data is there, no vote is, and a crash leaves none or a whole one."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from paxosstore.backup import restore as restoring
from paxosstore.backup.folder import TABLE, pick
from paxosstore.backup.manifest import NAME
from paxosstore.backup.restore import Restored, restore
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.ready import BeginInstall, InstallRows, SetFloor, StopEntity
from paxosstore.core.turn.standing import StandingRow, State, decode_standing
from paxosstore.errors import (
    BackupError,
    ConfigError,
    DataDirectoryError,
    DirectoryInUse,
    DirectoryMismatch,
    DiskFull,
    InvalidRequest,
)
from paxosstore.settings import ClusterSettings
from paxosstore.storage import rocks
from paxosstore.storage.directory import identity_of, open_directory
from paxosstore.storage.keys import META, mark_key
from paxosstore.storage.marks import MIXED, encode_mark
from paxosstore.storage.rocks import RocksStore

from ..storage.support import assert_prefix, row, value_id
from .support import BLUE, FAST, FOUNDING, backup, in_store, write

GREEN = ClusterSettings("green", services=BLUE.services)
PROMISE = Record(7, 7)
ACCEPTED = Record(4, 4, 4, Value(value_id(99), b"x"))


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    write(tmp_path / "node-0", range(1, 11), SetFloor(7, 5), SetFloor(8, 3))

    def votes(store: RocksStore) -> None:
        store.write({(7, 11): row(11), (7, 12): row(12), (7, 13): ACCEPTED, (7, 14): row(14), (7, 15): PROMISE}, ())
        store.write({(8, 1): ACCEPTED, (9, 2): row(2)}, ())
        store.sync()

    in_store(tmp_path / "node-0", votes)
    backup(tmp_path / "node-0", tmp_path / "backups")
    return tmp_path / "backups"


def made(backups: Path, directory: Path, node: int | None = None, cluster: str | None = None) -> Restored:
    return restore(pick(backups), directory, node, cluster, FAST)


def standing_of(directory: Path, node: int = 0, cluster: ClusterSettings = BLUE) -> StandingRow:
    rows: list[StandingRow] = []
    in_store(directory, lambda store: rows.append(decode_standing(store.standing())), node, cluster)
    return rows[0]


def assert_data_without_votes(store: RocksStore) -> None:
    assert store.committed_entry(7) == 10
    assert [entry for entry, _ in store.read_log(7, 1, 100)] == list(range(1, 13))  # 11 and 12 are chosen, and follow
    assert all(record.chosen for _, record in store.read_log(7, 1, 100))
    assert store.read_log(8, 1, 100) == []
    assert store.read_log(9, 1, 100) == []  # chosen, but what comes before it is not known
    assert store.floors(-1, 10) == []


def test_the_disk_of_a_node_that_has_lost_it(backups: Path, tmp_path: Path) -> None:
    done = made(backups, tmp_path / "new")
    assert done.given_up.entries == 5
    assert done.given_up.behind == 2
    in_store(tmp_path / "new", assert_data_without_votes)
    row = standing_of(tmp_path / "new")
    assert row.state is State.REENTERING
    assert row.founding == FOUNDING
    old, new = identity_of(tmp_path / "node-0"), identity_of(tmp_path / "new")
    assert row.disks[0].id == new.disk_id != old.disk_id
    assert row.disks[0].starts == 0
    assert not row.disks[1].id


def test_of_another_node_too(backups: Path, tmp_path: Path) -> None:
    assert made(backups, tmp_path / "new", 2).node == 2
    row = standing_of(tmp_path / "new", 2)
    assert row.disks[2].id == identity_of(tmp_path / "new").disk_id
    with pytest.raises(DirectoryMismatch, match="node is 2 there, 0 here"):
        open_directory(tmp_path / "new", BLUE, 0)


def test_all_disks_of_a_new_cluster_know_each_other(backups: Path, tmp_path: Path) -> None:
    rows = []
    for node in range(3):
        made(backups, tmp_path / f"new-{node}", node, "green")
        in_store(tmp_path / f"new-{node}", assert_data_without_votes, node, GREEN)
        rows.append(standing_of(tmp_path / f"new-{node}", node, GREEN))
    assert rows[0] == rows[1] == rows[2]
    assert rows[0].state is State.NEW
    assert [disk.id for disk in rows[0].disks] == [identity_of(tmp_path / f"new-{node}").disk_id for node in range(3)]
    assert len({disk.id for disk in rows[0].disks}) == 3
    with pytest.raises(DirectoryMismatch, match="cluster is 'green' there, 'blue' here"):
        open_directory(tmp_path / "new-0", BLUE, 0)


def test_a_disk_of_a_new_cluster_is_made_once(backups: Path, tmp_path: Path) -> None:
    """It would be the same disk again, and that one may have voted."""
    made(backups, tmp_path / "one", 0, "green")
    with pytest.raises(BackupError, match=r"node 0 of a new cluster 'green' was made .*one, cluster green, at .*UTC") as refused:
        made(backups, tmp_path / "two", 0, "green")
    assert not (tmp_path / "two").exists()
    made(backups, tmp_path / "other", 1, "green")
    made(backups, tmp_path / "lost", 0)
    made(backups, tmp_path / "red", 0, "red")
    backup(tmp_path / "node-0", backups)
    Path(str(refused.value).rpartition("delete ")[2]).unlink()
    assert restore(pick(backups, 1), tmp_path / "two", 0, "green", FAST).node == 0


def test_a_backup_that_cannot_be_written_is_restored_all_the_same(
    backups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object, **__: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", read_only)
    assert made(backups, tmp_path / "one", 0, "green").node == 0


def test_disks_of_other_backups_do_not_know_each_other(backups: Path, tmp_path: Path) -> None:
    made(backups, tmp_path / "one", 0, "green")
    write(tmp_path / "node-0", range(11, 12))
    backup(tmp_path / "node-0", backups)
    made(backups, tmp_path / "other", 1, "green")
    one, other = standing_of(tmp_path / "one", 0, GREEN), standing_of(tmp_path / "other", 1, GREEN)
    assert not {disk.id for disk in one.disks} & {disk.id for disk in other.disks}


def test_the_store_goes_on_as_any_other(backups: Path, tmp_path: Path) -> None:
    made(backups, tmp_path / "new")
    write(tmp_path / "new", range(11, 20))
    in_store(tmp_path / "new", lambda store: assert_prefix(store, 19, 20_000))


def test_half_a_copy_beside_the_data_does_no_harm(tmp_path: Path) -> None:
    write(tmp_path / "node-0", range(1, 3), BeginInstall(7), InstallRows(7, [(b"dcopied", b"x")]))
    backup(tmp_path / "node-0", tmp_path / "backups")
    made(tmp_path / "backups", tmp_path / "new", 0, "green")
    in_store(tmp_path / "new", lambda store: assert_prefix(store, 2, 20_000), cluster=GREEN)


def test_what_an_earlier_version_has_half_copied_begins_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It copied over the data (before format 7)."""
    monkeypatch.setattr(rocks, "give_up_mixtures", lambda table: False)
    write(tmp_path / "node-0", range(1, 3))
    mark = mark_key(MIXED, 5)
    in_store(tmp_path / "node-0", lambda store: store._use().table.write([(META + mark, encode_mark(mark, b""))]))
    backup(tmp_path / "node-0", tmp_path / "backups")
    with pytest.raises(BackupError, match="1 entities was being copied"):
        made(tmp_path / "backups", tmp_path / "new", 0, "green")
    assert not (tmp_path / "new" / "IDENTITY").exists()
    assert made(tmp_path / "backups", tmp_path / "new").given_up.recovering == 1


def test_a_stopped_entity_stays_stopped(tmp_path: Path) -> None:
    write(tmp_path / "node-0", range(1, 3), StopEntity(7, "why"))
    backup(tmp_path / "node-0", tmp_path / "backups")
    assert made(tmp_path / "backups", tmp_path / "new").given_up.stopped == 1
    in_store(tmp_path / "new", lambda store: None if store.stopped() == [(7, "why")] else pytest.fail("it goes on"))


class TestRefusals:
    def test_nothing_is_written_over_a_data_directory(self, backups: Path, tmp_path: Path) -> None:
        with pytest.raises(DataDirectoryError, match="is a node's data directory already"):
            made(backups, tmp_path / "node-0")
        with open_directory(tmp_path / "node-0", BLUE, 0), pytest.raises(DirectoryInUse):
            made(backups, tmp_path / "node-0")

    def test_a_new_cluster_has_another_name(self, backups: Path, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequest, match="give the new one another"):
            made(backups, tmp_path / "new", 0, "blue")

    @pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 65])
    def test_a_new_cluster_has_a_name(self, backups: Path, tmp_path: Path, name: str) -> None:
        """An empty one is a variable of the shell that was not set, and not the old cluster."""
        with pytest.raises(ConfigError, match="printable characters"):
            made(backups, tmp_path / "new", 0, name)
        assert not (tmp_path / "new").exists()

    def test_not_among_backups(self, backups: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(backups)
        for place in (backups, tmp_path, pick(backups), pick(backups) / "x", backups / "backup-000002", tmp_path / "link" / "x"):
            with pytest.raises(InvalidRequest, match="the directory of backups"):
                made(backups, place)
        assert not list(backups.glob("**/IDENTITY"))

    @pytest.mark.parametrize("name", ["letter", "backup-000001"])
    def test_not_among_other_files(self, backups: Path, tmp_path: Path, name: str) -> None:
        (tmp_path / "home" / "store.new").mkdir(parents=True)
        (tmp_path / "home" / name).write_bytes(b"dear")
        with pytest.raises(DataDirectoryError, match=rf"home: is not empty \('{name}'"):
            made(backups, tmp_path / "home")
        assert sorted(path.name for path in (tmp_path / "home").iterdir()) == sorted([name, "store.new"])

    def test_an_empty_file_system_will_do(self, backups: Path, tmp_path: Path) -> None:
        (tmp_path / "disk" / "lost+found").mkdir(parents=True)
        assert made(backups, tmp_path / "disk").node == 0

    def test_there_is_no_such_node(self, backups: Path, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequest, match="node 3 is not possible"):
            made(backups, tmp_path / "new", 3)

    def test_there_is_no_room(self, backups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(restoring, "SPARE_BYTES", 1 << 60)
        with pytest.raises(DiskFull, match="bytes are needed"):
            made(backups, tmp_path / "new")
        assert not (tmp_path / "new" / "IDENTITY").exists()

    def test_damaged_files_make_no_directory(self, backups: Path, tmp_path: Path) -> None:
        file = next((pick(backups) / TABLE).glob("*.sst"))
        content = bytearray(file.read_bytes())
        content[100] ^= 1
        file.unlink()
        file.write_bytes(content)
        with pytest.raises(BackupError, match="checksum differs"):
            made(backups, tmp_path / "new")
        assert not list((tmp_path / "new").glob("store*"))

    def test_a_format_of_a_later_version(self, backups: Path, tmp_path: Path) -> None:
        said = json.loads((pick(backups) / NAME).read_bytes())
        said["content"]["directory_format"] = 99
        import msgspec

        from paxosstore.backup.manifest import Manifest, write_manifest

        write_manifest(pick(backups), msgspec.convert(said["content"], Manifest))
        with pytest.raises(BackupError, match="of format 99, this program reads"):
            made(backups, tmp_path / "new")


@pytest.mark.parametrize("step", ["_copy_table", "_renew", "create_journal"])
def test_a_crash_half_way_leaves_no_directory_and_the_next_attempt_makes_it(
    backups: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Nothing is cleaned up after a power cut: what is there is taken for nothing, by a restore and by a node."""
    real: Callable[..., object] = getattr(restoring, step)

    def die(*arguments: object) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(restoring, step, die)
        patch.setattr("shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            made(backups, tmp_path / "new")
    assert (tmp_path / "new" / "store.new").exists()
    assert not (tmp_path / "new" / "IDENTITY").exists()
    made(backups, tmp_path / "new")
    in_store(tmp_path / "new", assert_data_without_votes)


def test_a_crash_before_the_store_has_its_name_is_made_good_at_the_start(backups: Path, tmp_path: Path) -> None:
    made(backups, tmp_path / "new")
    (tmp_path / "new" / "store").rename(tmp_path / "new" / "store.new")
    open_directory(tmp_path / "new", BLUE, 0).close()
    in_store(tmp_path / "new", assert_data_without_votes)
