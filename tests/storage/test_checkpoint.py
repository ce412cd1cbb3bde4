"""A checkpoint of a store that is written to: whole batches, all that came before it, and nothing in the way of the writer."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from paxosstore.errors import NodeError, NotServing
from paxosstore.storage import checkpoint
from paxosstore.storage.checkpoint import TABLE, add_journal, link_or_copy, settle
from paxosstore.storage.rocks import RocksStore

from .support import END, assert_prefix, new_rocks, write_numbered


def opened(place: Path) -> RocksStore:
    settle(place / TABLE)
    add_journal(place)
    return RocksStore(place, read_only=True)


def test_it_has_all_that_was_written_before_and_whole_batches_only(tmp_path: Path) -> None:
    store = new_rocks(tmp_path / "store")
    stop = threading.Event()
    failures: list[BaseException] = []
    taken: list[tuple[Path, int]] = []

    def take() -> None:
        try:
            for number in range(5):
                place = tmp_path / f"place{number}"
                place.mkdir()
                before = store.committed_entry(7)
                store.checkpoint(place)
                taken.append((place, before))
        except BaseException as error:
            failures.append(error)
        finally:
            stop.set()

    thread = threading.Thread(target=take)
    write_numbered(store, 1, 30_000)
    thread.start()
    number = 1
    while not stop.is_set():
        number += 1
        write_numbered(store, number, 30_000)
        if number % 50 == 0:
            store._use().table.compact(b"a", b"z")  # files come and go meanwhile
    thread.join()
    store.close()
    assert not failures
    for place, before in taken:
        copy = opened(place)
        assert copy.committed_entry(7) >= before
        assert_prefix(copy, copy.committed_entry(7), 30_000)
        copy.close()


def test_its_files_are_links_and_stay_when_the_table_forgets_them(tmp_path: Path) -> None:
    store = new_rocks(tmp_path / "store")
    for number in range(1, 20):
        write_numbered(store, number, 20_000)
    (tmp_path / "place").mkdir()
    store.checkpoint(tmp_path / "place")
    files = [file for file in (tmp_path / "place" / TABLE).iterdir() if file.suffix in (".sst", ".blob")]
    assert files
    assert all(file.stat().st_nlink == 2 for file in files)
    store._use().table.compact(b"a", b"z")
    store.close()
    copy = opened(tmp_path / "place")
    assert_prefix(copy, 19, 20_000)
    copy.close()


def test_where_there_are_no_links_files_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    store = new_rocks(tmp_path / "store")
    write_numbered(store, 1)
    (tmp_path / "place").mkdir()
    monkeypatch.setattr(os, "link", no_links)
    store.checkpoint(tmp_path / "place")
    write_numbered(store, 2)
    store.close()
    copy = opened(tmp_path / "place")
    assert_prefix(copy, 1)
    copy.close()


def test_files_that_do_not_stand_still_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_rocks(tmp_path / "store")
    write_numbered(store, 1)
    (tmp_path / "place").mkdir()
    manifest = iter(range(10_000))
    monkeypatch.setattr(checkpoint, "_manifest", lambda table: ("MANIFEST", next(manifest)))
    monkeypatch.setattr(checkpoint, "PAUSE_S", 0.0)
    with pytest.raises(NodeError, match="do not stand still"):
        store.checkpoint(tmp_path / "place")
    assert_prefix(store, 1)
    store.close()


def test_what_the_manifest_does_not_name_goes(tmp_path: Path) -> None:
    """A file that a compaction is writing is linked too: its link must not be kept, for it still changes."""
    store = new_rocks(tmp_path / "store")
    write_numbered(store, 1, 20_000)
    for name in ("999990.sst", "999991.blob"):
        (tmp_path / "store" / TABLE / name).write_bytes(b"half a file")
    (tmp_path / "place").mkdir()
    store.checkpoint(tmp_path / "place")
    copy = opened(tmp_path / "place")
    assert_prefix(copy, 1, 20_000)
    assert not [file for file in (tmp_path / "place" / TABLE).iterdir() if file.name in ("999990.sst", "999991.blob")]
    copy.close()
    store.close()


def test_a_closed_store_makes_none(tmp_path: Path) -> None:
    store = new_rocks(tmp_path / "store")
    (tmp_path / "place").mkdir()
    table = store._use().table
    store.close()
    with pytest.raises(NotServing):
        store.checkpoint(tmp_path / "place")
    with pytest.raises(NotServing):
        table.flush_in_any_thread()


def test_a_file_that_is_gone_is_neither_linked_nor_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr("shutil.copyfile", lambda *paths: calls.append(paths))
    with pytest.raises(FileNotFoundError):
        link_or_copy(tmp_path / "gone", tmp_path / "link")
    assert not calls


def test_reads_see_it_as_a_store(tmp_path: Path) -> None:
    store = new_rocks(tmp_path / "store")
    write_numbered(store, 1)
    (tmp_path / "place").mkdir()
    store.checkpoint(tmp_path / "place")
    store.close()
    copy = opened(tmp_path / "place")
    assert len(dict(copy.scan(7, b"", END))) == 2
    copy.close()
