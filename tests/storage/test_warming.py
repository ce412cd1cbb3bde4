"""What loading will read is brought into memory before: a hint, in any thread, that changes nothing and raises nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from paxosstore.core.batch.overlay import DATA, WriteBatch
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.ready import Apply
from paxosstore.storage import warming
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.keys import committed_key, plog_key
from paxosstore.storage.operations import META, PLOG
from paxosstore.storage.rocks import RocksStore, create_store
from paxosstore.storage.rocks_table import RocksTable

from .support import SEGMENT_BYTES, value_id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create_store(tmp_path / "store", SEGMENT_BYTES)
    return tmp_path / "store"


def filled(path: Path, entities: int = 20) -> RocksStore:
    store = RocksStore(path, segment_bytes=SEGMENT_BYTES)
    codec = MsgpackBodyCodec()
    for entity in range(entities):
        batch = WriteBatch({DATA + b"k": b"v"})
        for entry in (1, 2):
            record = Record(4, 4, 4, Value(value_id(entry), codec.encode(batch)), True)
            store.write({(entity, entry): record}, [Apply(entity, entry, batch)] if entry < 2 or entity % 2 else [])
    return store


def test_what_the_load_reads_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The committed entry, and the row there; a few rows at a time."""
    store = filled(path)
    asked: list[list[bytes]] = []
    several = RocksTable.get_several

    def noted(self: RocksTable, keys: list[bytes]) -> list[bytes | None]:
        asked.append(keys)
        found = several(self, keys)
        assert len(found) == len(keys)
        return found

    monkeypatch.setattr(RocksTable, "get_several", noted)
    store.warm([*range(20), 99])
    assert asked[0] == [META + committed_key(entity) for entity in (*range(20), 99)]
    assert [key for keys in asked[1:] for key in keys] == [
        PLOG + plog_key(entity, 2 if entity % 2 else 1) for entity in range(20)
    ]
    assert max(map(len, asked[1:])) <= warming.ROWS
    store.close()


def test_after_the_end_there_is_nothing_and_no_error(path: Path) -> None:
    store = filled(path)
    table = store._use().table
    store.close()
    store.warm([1])
    assert table.get_several([META + committed_key(1)]) == []


def test_closing_waits_for_a_read_that_is_under_way(path: Path) -> None:
    """RocksDB is closed when nobody uses it any more: the next to open it would find it in use."""
    for _ in range(20):
        store = filled(path, 2) if not _ else RocksStore(path, segment_bytes=SEGMENT_BYTES)
        ended = threading.Event()
        thread = threading.Thread(target=_until(ended, store))
        thread.start()
        store.reopen()
        store.close()
        ended.set()
        thread.join()
    RocksStore(path, segment_bytes=SEGMENT_BYTES).close()


def _until(ended: threading.Event, store: RocksStore) -> Callable[[], None]:
    def run() -> None:
        while not ended.is_set():
            store.warm([0, 1])

    return run


def test_damage_is_left_to_the_load(path: Path) -> None:
    store = filled(path)
    store._use().table.write([(META + committed_key(3), b"?")])
    store.warm([3])
    store.close()
