"""What a directory made by an earlier version lacks is added when it is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from paxosstore.core.entry.ids import MAX_ENTITY
from paxosstore.core.entry.record import Record
from paxosstore.core.interface.ready import Apply, Change
from paxosstore.storage.keys import META_PLACE, marks_end
from paxosstore.storage.operations import META, Operation
from paxosstore.storage.payload import Payloads
from paxosstore.storage.rocks import RocksStore
from paxosstore.storage.upgrade import _LISTED, _PLACED

from .support import SEGMENT_BYTES, killed, new_rocks, puts, row


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
