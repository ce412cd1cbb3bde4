"""The digests of a store are those of what it holds, however it came to hold it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paxosstore.core.entry.ids import MAX_ENTITY
from paxosstore.core.interface.digest import (
    BUCKETS,
    CHILDREN,
    LEVELS,
    NODE_BYTES,
    bucket_of,
    differing,
    entity_at,
    first_place,
    place_of,
    weight,
)
from paxosstore.core.interface.ready import Apply, BeginInstall, Change, EndInstall, NewEntity
from paxosstore.errors import NodeError, NotServing
from paxosstore.storage.api import Store
from paxosstore.storage.background import Background
from paxosstore.storage.digests import Digests
from paxosstore.storage.memory import MemoryStore
from paxosstore.storage.rocks import RocksStore
from paxosstore.storage.rocks_table import RocksTable

from .support import SEGMENT_BYTES, killed, new_rocks, puts

IN_ONE_BUCKET = [entity_at(first_place(77) + number) for number in (0, 1, 5, 70_000, (1 << 44) - 1)]
ENTITIES = [0, 1, 2, MAX_ENTITY, *IN_ONE_BUCKET]


@pytest.fixture(params=["memory", "rocks"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = MemoryStore() if request.param == "memory" else new_rocks(tmp_path / "store")
    yield store
    store.close()


def of_all(store: Store) -> bytes:
    """All digests down the ways to the entities of these tests, once they are known."""
    deadline = time.monotonic() + 30.0
    while (root := store.digests(0, [0])) is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    found = [root]
    for level in range(1, LEVELS):
        nodes = sorted({bucket_of(place_of(entity)) // CHILDREN ** (LEVELS - level) for entity in ENTITIES})
        digests = store.digests(level, nodes)
        assert digests is not None
        found.append(digests)
    return b"".join(found)


def anew(committed: Iterable[tuple[int, int]]) -> MemoryStore:
    """A store that has found this on its disk."""
    before = MemoryStore()
    before.write({}, [], [EndInstall(entity, entry) for entity, entry in committed])
    return before.crash(1)


def write(store: Store, step: tuple[str, int, int]) -> None:
    """One write: entries applied, or a copy installed, with which the committed entry jumps."""
    kind, entity, count = step
    committed = store.committed_entry(entity)
    applies = [Apply(entity, entry, puts(a=b"%d" % entry)) for entry in range(committed + 1, committed + count + 1)]
    changes: list[Change] = [] if committed else [NewEntity(entity)]
    if kind == "apply":
        store.write({}, applies, changes)
    else:
        store.write({}, [], [*changes, BeginInstall(entity)])
        if kind == "install":
            store.write({}, [], [EndInstall(entity, committed + count)])
        elif kind == "install and apply":
            last = committed + count
            store.write({}, [Apply(entity, last + 1, puts(a=b"1"))], [EndInstall(entity, last)])


steps = st.lists(
    st.tuples(st.sampled_from(["apply", "install", "install and apply", "half"]), st.sampled_from(ENTITIES), st.integers(1, 3)),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_added_to_or_built_anew_they_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, some: list[tuple[str, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("digests")
    new_rocks(folder / "store").close()  # what a table lacks is added, durably: it is not added again after a kill
    rocks, memory = RocksStore(folder / "store", segment_bytes=SEGMENT_BYTES), MemoryStore()
    half: set[int] = set()
    for kind, entity, count in some:
        if kind == "apply" and entity in half:
            continue
        half = half | {entity} if kind == "half" else half - {entity}
        for store in (rocks, memory):
            write(store, (kind, entity, count))
    expected = of_all(anew(rocks.committed()))
    listed = inventory(rocks)
    assert of_all(rocks) == of_all(memory) == expected
    assert listed == inventory(memory) == {entity: entry for entity, entry in rocks.committed() if entry}
    rocks.sync()
    after_a_kill = RocksStore(killed(rocks, folder / "killed"), segment_bytes=SEGMENT_BYTES)
    rocks.reopen()
    for again in (rocks, after_a_kill, memory.crash(memory.unsynced)):
        assert of_all(again) == expected
        assert inventory(again) == listed
    rocks.close()
    after_a_kill.close()


def inventory(store: Store) -> dict[int, int]:
    """All there is in the buckets of these tests."""
    return dict(store.inventory(sorted({bucket_of(place_of(entity)) for entity in ENTITIES}), -1, 1_000))


def test_places_are_the_entities_own_and_hide_none(store: Store) -> None:
    for entity in ENTITIES:
        assert entity_at(place_of(entity)) == entity
        assert weight(place_of(entity)) % 2
    assert len({bucket_of(place_of(entity)) for entity in range(1_000)}) > 990, "neighbours are spread"
    assert {bucket_of(place_of(entity)) for entity in IN_ONE_BUCKET} == {77}
    assert (bucket_of(0), bucket_of(MAX_ENTITY)) == (0, BUCKETS - 1)


def test_few_entities_do_not_cancel_each_other_out() -> None:
    """Of two pairs, one an entry behind at one node and the other at the other, the sum differs."""
    weights = [weight(place_of(entity)) for entity in range(1_000)]
    sums = {(one + other) % 2**64 for at, one in enumerate(weights) for other in weights[:at]}
    assert len(sums) == 1_000 * 999 // 2


def test_the_root_is_told_as_it_is_by_now() -> None:
    digests, told = Digests(), set()
    digests.build([(5, 3)])
    for last in (4, 5):
        told.add(digests.of_children(0, [0]))
        assert digests.of_children(0, [0]) in told
        digests.applied({5: (last, last)})
    other = Digests()
    other.build([(5, 5)])
    assert digests.of_children(0, [0]) == other.of_children(0, [0])
    assert digests.of_children(0, [0]) not in told
    assert len(told) == 2


def test_an_inventory_goes_on_where_it_ended(store: Store) -> None:
    for count, entity in enumerate([*IN_ONE_BUCKET, 0, MAX_ENTITY], 1):
        write(store, ("apply", entity, count))
    store.write({}, [], [NewEntity(5)])
    buckets = sorted({77, bucket_of(place_of(0)), bucket_of(place_of(MAX_ENTITY)), bucket_of(place_of(5)), BUCKETS - 1})
    found: list[tuple[int, int]] = []
    while page := store.inventory(buckets, found[-1][0] if found else -1, 2):
        found += page
    assert found == sorted(store.committed(), key=lambda pair: place_of(pair[0])), (
        "that of which nothing is applied is not listed"
    )
    assert store.inventory([78], -1, 9) == store.inventory([77], IN_ONE_BUCKET[-1], 9) == []
    last = entity_at((1 << 64) - 1)
    write(store, ("apply", last, 1))
    assert store.inventory([BUCKETS - 1], -1, 9) == [(last, 1)]
    assert store.inventory([BUCKETS - 1], last, 9) == []


def test_whoever_differs_is_found_level_by_level() -> None:
    mine, theirs = MemoryStore(), MemoryStore()
    for store, missing in ((mine, 0), (theirs, 1)):
        for entity in ENTITIES[missing:]:
            write(store, ("apply", entity, 2))
    nodes = [0]
    for level in range(LEVELS):
        digests = [store.digests(level, nodes) for store in (mine, theirs)]
        assert digests[0] is not None
        assert digests[1] is not None
        assert len(digests[0]) == len(nodes) * CHILDREN * NODE_BYTES
        nodes = differing(level, nodes, digests[0], digests[1])
    assert nodes == [bucket_of(place_of(ENTITIES[0]))]


def test_what_is_written_while_they_are_built_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_rocks(tmp_path / "store")
    for entity in ENTITIES:
        write(store, ("apply", entity, 1))
    store.close()
    began, go_on = threading.Event(), threading.Event()
    build = Digests.build

    def slow(digests: Digests, committed: Iterable[tuple[int, int]], rest: Callable[[], bool] = lambda: True) -> None:
        def pairs() -> Iterator[tuple[int, int]]:
            began.set()
            assert go_on.wait(30.0)
            yield from committed

        build(digests, pairs(), rest)

    monkeypatch.setattr(Digests, "build", slow)
    store = RocksStore(tmp_path / "store", segment_bytes=SEGMENT_BYTES)
    assert began.wait(30.0)
    for entity in ENTITIES[1:]:
        write(store, ("apply", entity, 2))
    write(store, ("apply", 3, 1))
    assert store.digests(0, [0]) is None, "not yet"
    go_on.set()
    found = of_all(store)
    monkeypatch.setattr(Digests, "build", build)
    assert found == of_all(anew(store.committed()))
    store.close()


@pytest.mark.parametrize("ending", [RocksStore.close, RocksStore.reopen])
def test_a_build_under_way_keeps_nobody_from_closing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: Callable[[RocksStore], None]
) -> None:
    store = new_rocks(tmp_path / "store")
    write(store, ("apply", 1, 1))
    store.close()
    began, go_on = threading.Event(), threading.Event()
    ends: list[Digests] = []
    build = Digests.build

    def slow(digests: Digests, committed: Iterable[tuple[int, int]], rest: Callable[[], bool] = lambda: True) -> None:
        if not began.is_set():
            began.set()
            assert go_on.wait(30.0)
        build(digests, committed, rest)
        ends.append(digests)

    monkeypatch.setattr(Digests, "build", slow)
    store = RocksStore(tmp_path / "store", segment_bytes=SEGMENT_BYTES)
    assert began.wait(30.0)
    first = store._use().digests
    ending(store)
    go_on.set()
    deadline = time.monotonic() + 30.0
    while first not in ends:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert not first.ready
    assert first.trouble == ""
    if ending is RocksStore.close:
        with pytest.raises(NotServing):
            store.digests(0, [0])
    else:
        assert of_all(store) == of_all(anew([(1, 1)]))
    store.close()


def test_a_write_that_fails_adds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_rocks(tmp_path / "store")
    write(store, ("apply", 1, 1))
    before = of_all(store)

    def fails(self: RocksTable, operations: object) -> None:
        raise NotServing("no")

    with monkeypatch.context() as patched:
        patched.setattr(RocksTable, "write", fails)
        with pytest.raises(NotServing):
            write(store, ("apply", 1, 1))
    assert of_all(store) == before
    store.close()


def test_a_row_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    def pairs() -> Iterator[tuple[int, int]]:
        yield 1, 1
        raise NodeError("no")

    digests = Digests()
    digests.build(pairs())
    assert (digests.ready, digests.trouble) == (False, "no")
    assert digests.of_children(0, [0]) is None


def test_the_build_rests_and_ends_with_the_budget(tmp_path: Path) -> None:
    """It is work behind the requests like any other."""
    entities = range(5_000)
    store = new_rocks(tmp_path / "store")
    store.write({}, [], [EndInstall(entity, 2) for entity in entities])
    store.close()
    background = Background(ms_per_second=1.0)
    store = RocksStore(tmp_path / "store", segment_bytes=SEGMENT_BYTES, background=background)
    deadline = time.monotonic() + 30.0
    while not (taken := background.usage(time.monotonic() * 1_000.0).jobs["catch_up"].ms):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert taken > 0.0
    digests = store._use().digests
    assert digests.lacking == "they are being added up"
    background.close()
    store.close()
    assert not digests.ready
