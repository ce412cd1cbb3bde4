"""Rows that were read lately are kept, as they are in the table now, and not too many of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.core.batch.overlay import WriteBatch
from paxosstore.core.interface.ready import Apply, BeginInstall, Change, DropInstall, EndInstall, InstallRows, ResetEntity
from paxosstore.storage.recent import HALF_BYTES, MAX_VALUE_BYTES, RecentRows
from paxosstore.storage.rocks import RocksStore

from .support import new_rocks

ENTITIES = (1, 2)
KEYS = (b"da", b"db", b"dc")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RocksStore]:
    found = new_rocks(tmp_path / "store")
    yield found
    found.close()


def scanned(store: RocksStore, entity: int) -> dict[bytes, bytes]:
    return dict(store.scan(entity, b"", b"\xff"))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_what_is_read_is_what_is_in_the_table(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    store = new_rocks(tmp_path_factory.mktemp("recent") / "store")
    values = st.one_of(st.none(), st.binary(max_size=3), st.just(bytes(MAX_VALUE_BYTES + 1)))
    for _ in range(data.draw(st.integers(1, 12))):
        entity = data.draw(st.sampled_from(ENTITIES))
        for key in data.draw(st.sets(st.sampled_from(KEYS))):
            assert store.get(entity, key) == scanned(store, entity).get(key)
        entry = store.committed_entry(entity)
        rows = data.draw(st.dictionaries(st.sampled_from(KEYS), values))
        kind = data.draw(st.sampled_from(("apply", "clear", "copy", "drop", "reset")))
        if kind in ("apply", "clear"):
            store.write({}, [Apply(entity, entry + 1, WriteBatch({**rows}, kind == "clear"))])
            continue
        pairs = sorted((key, value) for key, value in rows.items() if value is not None)
        last: Change = EndInstall(entity, entry) if kind == "copy" else DropInstall(entity)
        copied: list[Change] = [BeginInstall(entity), InstallRows(entity, pairs), last]
        store.write({}, [], [ResetEntity(entity)] if kind == "reset" else copied)
    for entity in ENTITIES:
        assert {key: value for key in KEYS if (value := store.get(entity, key)) is not None} == scanned(store, entity)
    store.close()


def test_what_was_read_is_not_read_again(store: RocksStore) -> None:
    store.write({}, [Apply(1, 1, WriteBatch({b"da": b"1"}))])
    read: list[bytes] = []
    table = {b"a": b"1"}

    def look(key: bytes) -> bytes | None:
        read.append(key)
        return table.get(key)

    recent = RecentRows(look)
    assert [recent.get(b"a"), recent.get(b"a")] == [b"1", b"1"]
    recent.wrote(b"", {b"a": b"2", b"b": b"3"})
    assert recent.get(b"a") == b"2"
    assert read == [b"a"]
    recent.wrote(b"", {b"a": None})
    table.clear()
    assert recent.get(b"a") is None


@pytest.mark.parametrize("size", [1, MAX_VALUE_BYTES])
def test_it_is_bounded(size: int) -> None:
    table = {b"%d" % number: bytes(size) for number in range(4 * HALF_BYTES // (size + 150))}
    reads = 0

    def look(key: bytes) -> bytes | None:
        nonlocal reads
        reads += 1
        return table.get(key)

    recent = RecentRows(look)
    for _ in range(2):
        for key in table:
            assert recent.get(key) == table[key]
    assert reads == 2 * len(table), "all of them are more than is kept"
    some = list(table)[-100:]
    for _ in range(50):
        for key in some:
            recent.get(key)
            recent.wrote(b"", {key: table[key]})
    assert reads == 2 * len(table), "what is used is kept"


def test_rows_that_grow_are_bounded_too() -> None:
    recent = RecentRows(lambda key: b"")
    keys = [b"%d" % number for number in range(HALF_BYTES // 250)]
    for key in keys:
        recent.get(key)
    for key in keys:
        recent.wrote(b"", {key: bytes(MAX_VALUE_BYTES)})
    assert sum(len(value) for half in (recent._young, recent._old) for value in half.values()) <= 2 * HALF_BYTES
