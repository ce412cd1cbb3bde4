"""An entity that is read in a thread of its own shows one moment, whatever is written meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from paxosstore.core.batch.overlay import DATA, WriteBatch
from paxosstore.core.interface.ready import Apply, BeginInstall, EndInstall, InstallRows
from paxosstore.errors import NotServing
from paxosstore.storage.frozen import FrozenEntity
from paxosstore.storage.rocks import RocksStore

from .support import END, new_rocks

ENTITY = 7
ROWS = {DATA + b"%05d" % number: b"v%d" % number for number in range(3_000)}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RocksStore]:
    store = new_rocks(tmp_path / "store")
    others = [Apply(other, 1, WriteBatch({DATA + b"00001": b"no", DATA + b"x": b"no"})) for other in (ENTITY - 1, ENTITY + 1)]
    store.write({}, [Apply(ENTITY, 1, WriteBatch(dict(ROWS))), *others])
    yield store
    store.close()


@pytest.fixture
def frozen(store: RocksStore) -> FrozenEntity:
    return store.frozen(ENTITY)


def change(store: RocksStore) -> None:
    store.write({}, [Apply(ENTITY, 2, WriteBatch({DATA + b"00001": b"new", DATA + b"00002": None, DATA + b"00001a": b"new"}))])
    store.write({}, [Apply(ENTITY, 3, WriteBatch({DATA + b"y": b"new"}, cleared=True))])
    store.write({}, [], [BeginInstall(ENTITY), InstallRows(ENTITY, [(DATA + b"z", b"x")]), EndInstall(ENTITY, 4)])


def test_it_shows_one_moment(store: RocksStore, frozen: FrozenEntity) -> None:
    begun = frozen.scan(ENTITY, DATA, END)
    before = [next(begun) for _ in range(100)]
    change(store)
    assert frozen.entry == 1
    assert dict([*before, *begun]) == ROWS
    assert list(frozen.scan(ENTITY, DATA, END)) == sorted(ROWS.items())
    assert list(frozen.scan(ENTITY, DATA, END, True)) == sorted(ROWS.items(), reverse=True)
    assert frozen.get(ENTITY, DATA + b"00001") == b"v1"
    assert frozen.get(ENTITY, DATA + b"00001a") is None
    assert frozen.get(ENTITY, DATA + b"y") is None
    assert frozen.get(ENTITY, DATA + b"99999") is None
    frozen.close()
    assert dict(store.frozen(ENTITY).scan(ENTITY, DATA, END)) == {DATA + b"z": b"x"}


@pytest.mark.parametrize("reverse", [False, True])
def test_a_range_is_that_of_the_store(store: RocksStore, frozen: FrozenEntity, reverse: bool) -> None:
    for start, end in ((b"", b"1"), (b"00001", b"00002"), (b"00500", b"02000"), (b"02998", b"1"), (b"1", b"0"), (b"5", b"6")):
        asked = ENTITY, DATA + start, DATA + end, reverse
        assert list(frozen.scan(*asked)) == list(store.scan(*asked)), asked


def test_several_ranges_are_read_in_turn(frozen: FrozenEntity) -> None:
    up, down = frozen.scan(ENTITY, DATA, END), frozen.scan(ENTITY, DATA, END, True)
    both = [(one, other, frozen.get(ENTITY, one[0])) for one, other in zip(up, down, strict=True)]
    assert [one for one, _, _ in both] == sorted(ROWS.items())
    assert [other for _, other, _ in both] == sorted(ROWS.items(), reverse=True)
    assert all(value == one[1] for one, _, value in both)


def test_it_ends_with_the_store(store: RocksStore, frozen: FrozenEntity) -> None:
    begun = frozen.scan(ENTITY, DATA, END)
    next(begun)
    store.close()
    with pytest.raises(NotServing):
        list(begun)
    with pytest.raises(NotServing):
        frozen.get(ENTITY, DATA + b"00001")
    frozen.close()


def test_a_thread_reads_it_while_the_store_is_written_and_closed(store: RocksStore) -> None:
    """It sees all of that moment, or is told that the store is closed."""
    outcomes: list[object] = []

    def read(frozen: FrozenEntity) -> None:
        try:
            outcomes.append(dict(frozen.scan(ENTITY, DATA, END)) == ROWS)
        except NotServing:
            outcomes.append("closed")
        finally:
            frozen.close()

    threads = [threading.Thread(target=read, args=(store.frozen(ENTITY),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    change(store)
    threads[0].join()
    store.close()
    for thread in threads:
        thread.join()
    assert set(outcomes) <= {True, "closed"}
    assert outcomes.count(True)
    assert len(outcomes) == 8
