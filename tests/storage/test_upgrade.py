"""What a directory made by an earlier version lacks is added when it is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from paxosstore.core.batch.overlay import DATA
from paxosstore.core.entry.ids import MAX_ENTITY
from paxosstore.core.entry.record import Record
from paxosstore.core.interface.event import Loaded
from paxosstore.core.interface.ready import Apply, Change, SetFloor
from paxosstore.storage.keys import META, META_PLACE, mark_key, marks_end
from paxosstore.storage.marks import MIXED, encode_mark
from paxosstore.storage.operations import Operation
from paxosstore.storage.payload import Payloads
from paxosstore.storage.rocks import RocksStore
from paxosstore.storage.upgrade import _LISTED, _PLACED

from .support import END, SEGMENT_BYTES, killed, new_rocks, puts, row


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


@pytest.mark.parametrize("read_only", [False, True])
def test_data_that_an_earlier_version_was_copying_over_is_given_up(tmp_path: Path, read_only: bool) -> None:
    """Before format 7: what there was is gone, and a mark says so. Below a floor the entity learns all anew (rule 19c)."""
    store = new_rocks(tmp_path / "store")
    for entity in (1, 2, 3):
        store.write({(entity, entry): row(entry) for entry in (1, 2)}, [Apply(entity, entry, puts(a=b"1")) for entry in (1, 2)])
    store.write({(2, 3): Record(promised=4), (2, 5): row(5)}, [], [SetFloor(3, 99)])
    before = store.load(1)
    for entity in (2, 3):
        key = mark_key(MIXED, entity)
        store._use().table.write([(META + key, encode_mark(key, b""))])
    store.close()
    for _ in range(2):
        found = RocksStore(tmp_path / "store", segment_bytes=SEGMENT_BYTES, read_only=read_only)
        assert found.load(1) == before
        assert found.get(1, DATA + b"a") == b"1"
        rows = {1: row(1), 2: row(2), 3: Record(promised=4), 5: row(5)}
        assert found.load(2) == Loaded(2, 0, list(rows.items()), 5, b"", floor=7)
        assert found.load(3) == Loaded(3, 0, [(1, row(1)), (2, row(2))], 2, b"", floor=99)
        assert [list(found.scan(entity, b"", END)) for entity in (2, 3)] == [[], []]
        assert list(found.committed()) == [(1, 2)]
        killed_now = found if read_only else RocksStore(killed(found, tmp_path / "copy"), segment_bytes=SEGMENT_BYTES)
        assert killed_now.load(2).floor == 7
        killed_now.close()
        found.close()


def test_the_journal_of_an_earlier_version_is_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a kill left it: the whole of each write stands there."""
    of = Payloads.of

    def whole(
        self: Payloads, records: Mapping[tuple[int, int], Record], applies: Sequence[Apply], changes: Sequence[Change]
    ) -> tuple[list[Operation], bytes, int]:
        operations, _, size = of(self, records, applies, changes)
        return operations, msgspec.msgpack.encode(operations), size

    store = new_rocks(tmp_path / "store")
    with monkeypatch.context() as patched:
        patched.setattr(Payloads, "of", whole)
        store.write({(4, 1): row(1, chosen=False)}, [])
        store.write({(4, 1): row(1)}, [Apply(4, 1, puts(a=b"1", b=b"2"))])
    store.write({(4, 2): row(2)}, [Apply(4, 2, puts(b=None))])
    found = RocksStore(killed(store, tmp_path / "copy"), segment_bytes=SEGMENT_BYTES)
    assert found.content_hash() == store.content_hash()
    assert found.read_log(4, 1, 9) == [(1, row(1)), (2, row(2))]
    found.close()
    store.close()


def test_entities_are_listed_by_their_places(tmp_path: Path) -> None:
    """Earlier versions did not, and their digests would find differences that nobody could name."""
    store = new_rocks(tmp_path / "store")
    for entity in (0, 3, MAX_ENTITY):
        store.write({}, [Apply(entity, 1, puts(a=b"1"))])
    rows = list(store._use().table.range(META + META_PLACE, META + marks_end(META_PLACE)))
    store._use().table.write([*((key, None) for key, _ in rows), (_PLACED, None)])
    store.close()
    found = RocksStore(tmp_path / "store", segment_bytes=SEGMENT_BYTES)
    assert list(found._use().table.range(META + META_PLACE, META + marks_end(META_PLACE))) == rows
    assert len(rows) == 3
    found.close()
