"""What a directory made by an earlier version lacks is added when it is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from paxosstore.core.entry.ids import MAX_ENTITY
from paxosstore.core.entry.record import Record
from paxosstore.core.interface.ready import Apply
from paxosstore.storage.rocks import RocksStore
from paxosstore.storage.upgrade import _LISTED

from .support import SEGMENT_BYTES, new_rocks, puts, row


@pytest.mark.parametrize("read_only", [False, True])
def test_entities_of_which_nothing_was_applied_are_listed(tmp_path: Path, read_only: bool) -> None:
    """Earlier versions did not note an entity with its first row."""
    store = new_rocks(tmp_path / "store")
    store.write({(entity, 1): Record(promised=4) for entity in (0, 3, 4, MAX_ENTITY)}, [])
    store.write({(4, 1): row(1), (4, 2): row(2)}, [Apply(4, 1, puts(a=b"1"))])
    store._use().table.write([(_LISTED, None)])
    store.close()
    found = RocksStore(tmp_path / "store", segment_bytes=SEGMENT_BYTES, read_only=read_only)
    assert found.entities(-1, 9) == [(0, 0, 1), (3, 0, 1), (4, 1, 2), (MAX_ENTITY, 0, 1)]
    assert list(found.committed()) == [(4, 1)]
    found.close()
