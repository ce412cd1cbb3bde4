"""All that lies on the disk is read once in a while, and what is damaged is found without anybody asking for it."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from paxosstore.errors import Damaged
from paxosstore.storage.background import Background
from paxosstore.storage.keys import PLOG, plog_key
from paxosstore.storage.rocks_table import RocksTable, create_table
from paxosstore.storage.scrub import Scrub

from .support import new_rocks, write_numbered
from .test_damage import flip

NEVER_AGAIN = 1_000.0


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30.0
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def table_of(path: Path, files: int = 3) -> RocksTable:
    create_table(path)
    table = RocksTable(path)
    for file in range(files):
        table.write([(b"d%d-%d" % (file, key), b"v" * 100) for key in range(2_000)])
        table.flush()
    return table


def scrubbing(table: RocksTable, found: list[Damaged], days: float = NEVER_AGAIN) -> Scrub:
    table.on_damaged = found.append
    return Scrub(table, table.path.parent / "SCRUB", Background(), lambda: days, found.append)


def test_a_round_ends_with_what_lies_beside_the_store(tmp_path: Path) -> None:
    table = table_of(tmp_path / "table", files=1)
    mended: list[int] = []
    scrub = Scrub(
        table, tmp_path / "SCRUB", Background(), lambda: NEVER_AGAIN, lambda found: None, mend=lambda: mended.append(scrub.rounds)
    )
    until(lambda: scrub.rounds == 1)
    scrub.close()
    table.release()
    assert mended == [0]


def test_a_sound_table_is_read_once(tmp_path: Path) -> None:
    found: list[Damaged] = []
    table = table_of(tmp_path / "table")
    scrub = scrubbing(table, found)
    until(lambda: scrub.rounds == 1)
    scrub.wake()
    scrub.close()
    assert scrub.rounds == 1, "the next round is not due yet"
    assert scrub.bytes == sum(file.stat().st_size for file in (tmp_path / "table").glob("*.sst"))
    again = scrubbing(table, found)
    again.wake()
    again.close()
    assert again.rounds == 0, "nor after a restart"
    table.release()
    assert not found


def test_damage_that_nobody_reads_is_found(tmp_path: Path) -> None:
    table = table_of(tmp_path / "table")
    table.release()
    damaged_file = sorted((tmp_path / "table").glob("*.sst"))[1]
    flip(damaged_file, 30)
    found: list[Damaged] = []
    table = RocksTable(tmp_path / "table")
    scrub = scrubbing(table, found)
    until(lambda: bool(found))
    scrub.close()
    table.release()
    assert damaged_file.name in str(found[0])


def test_a_row_whose_own_checksum_differs_is_pinned_on_its_entity(tmp_path: Path) -> None:
    create_table(tmp_path / "table")
    table = RocksTable(tmp_path / "table")
    table.write([(PLOG + plog_key(7, 3), b"\1" + b"?" * 40)])
    table.flush()
    found: list[Damaged] = []
    scrub = scrubbing(table, found)
    until(lambda: bool(found))
    scrub.close()
    table.release()
    assert found[0].entity == 7


def test_it_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(tmp_path / "table")
    first, *_ = sorted((tmp_path / "table").glob("*.sst"))
    position = tmp_path / "SCRUB"
    position.write_text(f"{int(first.stem)} {time.time():.0f}\n")
    scrub = scrubbing(table, [])
    until(lambda: scrub.rounds == 1)
    scrub.close()
    table.release()
    assert scrub.bytes == sum(file.stat().st_size for file in (tmp_path / "table").glob("*.sst") if file != first)
    assert position.read_text().startswith("0 ")


@pytest.mark.parametrize("content", ["", "x y", "1", "99999999999 99999999999999", "-"])
def test_a_position_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    table = table_of(tmp_path / "table", files=1)
    (tmp_path / "SCRUB").write_text(content)
    scrub = scrubbing(table, [])
    until(lambda: scrub.rounds == 1)
    scrub.close()
    table.release()


@pytest.mark.parametrize(
    ("failing", "failure", "is_damage"), [(3, errno.EIO, True), (2, errno.EIO, False), (9, errno.ENOMEM, False)]
)
def test_what_cannot_be_read_is_damage_if_it_stays_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, failure: int, is_damage: bool
) -> None:
    """A store is given up for it: a volume that does not answer for a moment must not cost all nodes theirs."""
    table = table_of(tmp_path / "table", files=1)
    found: list[Damaged] = []
    looks = 0
    pread = os.pread

    def read(file: int, size: int, at: int) -> bytes:
        nonlocal looks
        looks += 1
        if looks <= failing:
            raise OSError(failure, os.strerror(failure))
        return pread(file, size, at)

    with monkeypatch.context() as broken:
        broken.setattr(os, "pread", read)
        scrub = scrubbing(table, found)
        for look in range(1, min(failing, 3) + 1):
            until(lambda look=look: looks >= look or scrub.rounds > 0)  # type: ignore[misc]  # a lambda with a default
            assert not found or look == failing
            scrub.wake()
        if is_damage:
            until(lambda: bool(found))
            assert "cannot be read at byte 0" in str(found[0])
        elif failure == errno.EIO:
            until(lambda: scrub.rounds == 1)
        scrub.close()
    table.release()
    assert bool(found) == is_damage


def test_a_disk_that_takes_nothing_has_failed_and_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(tmp_path / "table", files=1)
    found: list[Damaged] = []
    asked = 0

    def fail(*args: object) -> bytes:
        nonlocal asked
        asked += 1
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, "pread", fail)
        broken.setattr("paxosstore.storage.scrub.sync_file", fail)
        scrub = scrubbing(table, found)
        for look in range(1, 9):
            until(lambda look=look: asked >= look)  # type: ignore[misc]  # a lambda with a default
            scrub.wake()
        scrub.close()
    table.release()
    assert not found


def test_the_store_has_it_done(tmp_path: Path) -> None:
    store = new_rocks(tmp_path / "store")
    write_numbered(store, 1)
    store.sync()
    store.scrub(tmp_path / "SCRUB", lambda: NEVER_AGAIN)
    until(lambda: store.scrubbed()[0] == 1)
    store.close()


def test_the_journal_and_the_manifest_are_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where the disk does not give one of them any more, that is damage, found before the next start finds it."""
    store = new_rocks(tmp_path / "store")
    read: set[str] = set()

    def read_cold(scrub: Scrub, path: Path) -> bool:
        read.add(path.name)
        return True

    monkeypatch.setattr(Scrub, "_read_cold", read_cold)
    store.scrub(tmp_path / "SCRUB", lambda: NEVER_AGAIN)
    until(lambda: store.scrubbed()[0] == 1)
    store.close()
    assert any(name.endswith(".journal") for name in read)
    assert any(name.startswith("MANIFEST") for name in read)
    assert "CURRENT" in read
    assert not any(name.startswith("LO") for name in read)


def test_a_file_beside_the_tables_that_cannot_be_read_any_more_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(tmp_path / "table", files=1)
    manifest = next((tmp_path / "table").glob("MANIFEST-*"))
    os_open, os_pread = os.open, os.pread
    bad: set[int] = set()

    def open_one(path: str | Path, flags: int, mode: int = 0o777, **more: int) -> int:
        file = os_open(path, flags, mode, **more)
        (bad.add if Path(path) == manifest else bad.discard)(file)
        return file

    def pread(file: int, size: int, at: int) -> bytes:
        if file in bad:
            raise OSError(errno.EIO, "Input/output error")
        return os_pread(file, size, at)

    monkeypatch.setattr(os, "open", open_one)
    monkeypatch.setattr(os, "pread", pread)
    found: list[Damaged] = []
    scrub = Scrub(table, tmp_path / "SCRUB", Background(), lambda: NEVER_AGAIN, found.append, others=lambda: [manifest])
    for _ in range(200):
        if found:
            break
        scrub.wake()
        time.sleep(0.02)
    scrub.close()
    table.release()
    assert manifest.name in str(found[0])
    assert scrub.rounds == 0
