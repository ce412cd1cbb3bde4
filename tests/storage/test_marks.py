"""What is noted beside rows and data is checked as they are, and damage says where it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from paxosstore.core.interface.ready import BeginInstall, Change, EndInstall, SetFloor, SetStanding, StopEntity
from paxosstore.errors import Damaged
from paxosstore.storage.keys import META, mark_key
from paxosstore.storage.marks import FLOOR, GENERATION, RECOVERING, STANDING_KEY, STOPPED
from paxosstore.storage.rocks import RocksStore

from .support import new_rocks

Read = Callable[[RocksStore], object]


def read_anew(store: RocksStore, entity: int) -> object:
    """Not by what is remembered of where its data is."""
    store._use().generations.changed(entity)
    return store.get(entity, b"d")


MARKS: list[tuple[Change, bytes, Read, str]] = [
    (SetFloor(5, 9), mark_key(FLOOR, 5), lambda store: store.load(5), "the floor of entity 5"),
    (SetFloor(5, 9), mark_key(FLOOR, 5), lambda store: store.floors(-1, 9), "the floor of entity 5"),
    (BeginInstall(5), mark_key(RECOVERING, 5), lambda store: store.load(5), "the mark of entity 5 as recovering"),
    (
        EndInstall(5, 1),
        mark_key(GENERATION, 5),
        lambda store: read_anew(store, 5),
        "which data of entity 5 is in force",
    ),
    (StopEntity(5, "why"), mark_key(STOPPED, 5), lambda store: store.load(5), "why entity 5 was stopped"),
    (SetStanding(b"me"), STANDING_KEY, lambda store: store.standing(), "the node's standing"),
]


@pytest.mark.parametrize(("change", "key", "read", "named"), MARKS)
def test_no_damaged_byte_of_a_mark_is_served(tmp_path: Path, change: Change, key: bytes, read: Read, named: str) -> None:
    store = new_rocks(tmp_path / "store")
    store.write({}, [], [change])
    read(store)
    table = store._use().table
    sound = table.get(META + key)
    assert sound is not None
    flipped = [sound[:at] + bytes((sound[at] ^ 1,)) + sound[at + 1 :] for at in range(len(sound))]
    cut = [sound[:at] for at in range(len(sound))]
    for damaged in (*flipped, *cut, sound + b"x"):
        table.write([(META + key, damaged)])
        with pytest.raises(Damaged, match=f"{store.path}: {named}: "):
            read(store)
    store.close()


def test_a_mark_under_another_entity_is_damage(tmp_path: Path) -> None:
    store = new_rocks(tmp_path / "store")
    store.write({}, [], [SetFloor(5, 9)])
    table = store._use().table
    sound = table.get(META + mark_key(FLOOR, 5))
    assert sound is not None
    table.write([(META + mark_key(FLOOR, 6), sound)])
    with pytest.raises(Damaged, match="the floor of entity 6: the checksum differs"):
        store.load(6)
    store.close()
