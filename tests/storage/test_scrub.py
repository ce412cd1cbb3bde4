"""All that lies on the disk is read once in a while, and what is damaged is found without anybody asking for it."""

from __future__ import annotations

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


def test_the_store_has_it_done(tmp_path: Path) -> None:
    store = new_rocks(tmp_path / "store")
    write_numbered(store, 1)
    store.sync()
    store.scrub(tmp_path / "SCRUB", lambda: NEVER_AGAIN)
    until(lambda: store.scrubbed()[0] == 1)
    store.close()
