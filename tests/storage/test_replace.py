"""A store that is damaged is replaced by an empty one, which re-enters: nothing is lost, whatever comes in between."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from paxosstore.core.interface.ready import SetStanding
from paxosstore.core.turn.context import Identity
from paxosstore.core.turn.standing import MAX_DAMAGED, State, decode_standing
from paxosstore.errors import Damaged, DiskFull, NodeError
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage import replace
from paxosstore.storage.damage import damaged
from paxosstore.storage.directory import Directory, open_directory
from paxosstore.storage.findings import Findings
from paxosstore.storage.replace import completed, is_incomplete, kept_stores, open_store
from paxosstore.storage.rocks import RocksStore, create_store
from paxosstore.storage.rocks_table import RocksTable
from paxosstore.storage.second_look import MAX_SPARED

from .support import write_numbered
from .test_damage import flip

SETTINGS = ClusterSettings("blue")
IDENTITY = Identity(SETTINGS, TuningSettings(), 0, 77)
FOUND = damaged("there", "a bit")


def life(directory: Directory, found: Damaged | None = None, *, write: bool = True) -> Identity:
    """One life of a node on this directory."""
    store, identity = open_store(directory, IDENTITY, RocksStore, Findings(), found=found)
    if write:
        write_numbered(store, store.committed_entry(7) + 1)
        store.sync()
    store.close()
    return identity


def damage(directory: Directory) -> None:
    (directory.store_path / "rocksdb" / "CURRENT").write_text("?")


def disk_of(identity: Identity) -> int:
    assert identity.standing is not None
    return identity.standing.disks[0].id


def test_it_re_enters_and_what_was_there_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_directory(tmp_path, SETTINGS, 0) as directory:
        before = life(directory)
        assert before.standing is not None
        assert before.standing.state is State.NEW
        damage(directory)
        after = life(directory, write=False)
        assert after.standing is not None
        assert after.standing.state is State.REENTERING, "it must not begin a new cluster with others that have lost all"
        assert disk_of(after) != disk_of(before)
        assert is_incomplete(directory)
        (kept,) = kept_stores(tmp_path)
        assert (kept / "rocksdb" / "CURRENT").read_text() == "?"
        assert "CURRENT" in caplog.text
        assert str(kept) in caplog.text
        again = life(directory, write=False)
        assert disk_of(again) == disk_of(after)


def test_the_latest_one_and_the_latest_that_was_whole_are_kept(tmp_path: Path) -> None:
    with open_directory(tmp_path, SETTINGS, 0) as directory:
        life(directory)
        for whole in (True, True, False, False):
            life(directory, FOUND)
            if whole:
                completed(directory)
        assert [path.name for path in kept_stores(tmp_path)] == ["store.damaged-3", "store.damaged-4"]
        life(directory, FOUND)
        assert [path.name for path in kept_stores(tmp_path)] == ["store.damaged-3", "store.damaged-5"]
        completed(directory)
        life(directory, FOUND)
        assert [path.name for path in kept_stores(tmp_path)] == ["store.damaged-6"]


def test_a_disk_that_keeps_none_whole_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replace, "MAX_IN_A_ROW", 2)
    with open_directory(tmp_path, SETTINGS, 0) as directory:
        life(directory)
        for _ in range(2):
            life(directory, FOUND)
        completed(directory)
        for _ in range(2):
            disk = disk_of(life(directory, FOUND))
        with pytest.raises(Damaged, match=r"2 stores in a row were damaged.*replace this disk"):
            life(directory, FOUND)
        assert disk_of(life(directory)) == disk, "it is as it was"


def test_without_room_it_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_directory(tmp_path, SETTINGS, 0) as directory:
        life(directory)
        damage(directory)
        with monkeypatch.context() as full:
            full.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000))
            with pytest.raises(Damaged, match=r"CURRENT.*1000 bytes are free.*make room on this disk"):
                life(directory)
        assert not kept_stores(tmp_path)
        life(directory)
        assert len(kept_stores(tmp_path)) == 1


def test_what_may_go_away_throws_no_store_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RocksDB calls it corruption when it cannot look at one of its files; pathlib finds nothing where it may not look."""
    with open_directory(tmp_path, SETTINGS, 0) as directory:
        before = life(directory)
        (table,) = (directory.store_path / "rocksdb").glob("*.sst")
        aside = table.rename(table.with_suffix(".aside"))
        table.symlink_to(table.name)  # too many levels of symbolic links
        with pytest.raises(NodeError, match="symbolic links") as raised:
            life(directory)
        assert not isinstance(raised.value, Damaged)
        aside.replace(table)

        def refuse(path: str | Path = ".") -> list[str]:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        with monkeypatch.context() as refusing:
            refusing.setattr(os, "listdir", refuse)
            refusing.setattr(os, "scandir", refuse)
            with pytest.raises(NodeError, match="denied") as raised:
                RocksStore(directory.store_path)
        assert not isinstance(raised.value, Damaged)
        assert disk_of(life(directory)) == disk_of(before)
    assert not kept_stores(tmp_path)


def test_a_store_that_is_half_made_never_takes_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full before the new store says that it re-enters, and the operator makes room by deleting the damaged one."""

    def create_and_stop(path: Path) -> None:
        create_store(path)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open_directory(tmp_path, SETTINGS, 0) as directory:
        life(directory)
        damage(directory)
        with monkeypatch.context() as full:
            full.setattr(replace, "create_store", create_and_stop)
            with pytest.raises(DiskFull):
                life(directory)
    shutil.rmtree(tmp_path / "store")
    with open_directory(tmp_path, SETTINGS, 0) as directory:
        identity = life(directory, write=False)
        assert identity.standing is not None
        assert identity.standing.state is State.REENTERING, "as a new one under the old disk id it would forget its votes"


def test_more_damage_than_its_own_is_no_reason_to_give_a_disk_up(tmp_path: Path) -> None:
    """A node that comes back takes over what its peers have lost: that may be more ranges than one node may lose."""
    with open_directory(tmp_path, SETTINGS, 0) as directory:
        life(directory)
        store = RocksStore(directory.store_path)
        row = decode_standing(store.standing())
        row = row._replace(damaged=tuple((entity, entity) for entity in range(0, 4 * MAX_DAMAGED, 2)))
        store.write({}, (), [SetStanding(row.encode())])
        store.sync()
        store.close()
        life(directory)
    assert not kept_stores(tmp_path)


def test_what_was_forced_before_the_damage_is_not_forced_now(tmp_path: Path) -> None:
    """--force-reentry has been left in the service's file: a peer that is away for seconds is not to cost acknowledged writes."""
    with open_directory(tmp_path, SETTINGS, 0) as directory:
        life(directory)
        damage(directory)
        for forced in (False, True):
            store, identity = open_store(directory, IDENTITY, RocksStore, Findings(), force=True)
            store.close()
            assert identity.standing is not None
            assert identity.standing.state is State.REENTERING
            assert identity.standing.forced == identity.forced == forced, "the next start may force it"


@pytest.mark.parametrize("step", range(4))
def test_a_crash_in_between_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Before each change of names, and behind the last one."""
    with open_directory(tmp_path, SETTINGS, 0) as directory:
        life(directory)
        damage(directory)
        names = 0
        rename = Path.rename

        def crash(path: Path, target: Path) -> Path:
            nonlocal names
            if path.parent == tmp_path:
                names += 1
                if names > step:
                    raise KeyboardInterrupt
            return rename(path, target)

        with monkeypatch.context() as crashing:
            crashing.setattr(Path, "rename", crash)
            if step < 3:
                with pytest.raises(KeyboardInterrupt):
                    life(directory)
            else:
                life(directory)
    with open_directory(tmp_path, SETTINGS, 0) as directory:
        identity = life(directory, write=False)
        assert identity.standing is not None
        assert identity.standing.state is State.REENTERING
        assert len(kept_stores(tmp_path)) == 1
    assert sorted(os.listdir(tmp_path)) == ["IDENTITY", "IDENTITY.copy", "LOCK", "store", "store.damaged-1"]


def in_a_file(directory: Directory) -> tuple[Path, Damaged]:
    """A file of keys, and what RocksDB says when a block of it cannot be read."""
    table = RocksTable(directory.store_path / "rocksdb")
    table.flush()
    table.release()
    file = sorted((directory.store_path / "rocksdb").glob("*.sst"))[0]
    return file, damaged(file.parent, f"Corruption: block checksum mismatch: stored = 1, computed = 2 in {file} offset 0 size 99")


def test_what_is_sound_at_a_second_look_costs_no_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    findings = Findings()
    with open_directory(tmp_path, SETTINGS, 0) as directory:
        disk = disk_of(life(directory))
        file, found = in_a_file(directory)
        for spared in range(1, MAX_SPARED + 1):
            store, identity = open_store(directory, IDENTITY, RocksStore, findings, found=found)
            assert store.committed_entry(7) == 1
            store.close()
            assert (disk_of(identity), findings.spared, findings.stores_replaced) == (disk, spared, 0)
        assert f"{file} offset 0 size 99: its file is sound when it is read again" in caplog.text
        store, identity = open_store(directory, IDENTITY, RocksStore, findings, found=found)
        store.close()
        assert (disk_of(identity) != disk, findings.stores_replaced) == (True, 1), "it happens too often"


@pytest.mark.parametrize("harm", ["a flip", "the file is gone", "another file"])
def test_what_is_damaged_at_a_second_look_too_costs_the_store(tmp_path: Path, harm: str) -> None:
    with open_directory(tmp_path, SETTINGS, 0) as directory:
        disk = disk_of(life(directory))
        file, found = in_a_file(directory)
        if harm == "a flip":
            flip(file, 30)
        elif harm == "the file is gone":
            file.unlink()
        else:
            found = damaged(file.parent, "Corruption: in 999999.sst")
        assert disk_of(life(directory, found, write=False)) != disk
        assert kept_stores(tmp_path)
