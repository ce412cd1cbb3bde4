"""One suite for every store: what `storage/api.py` promises."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paxosstore.core.batch.overlay import DATA, UUID, WINDOW, WriteBatch
from paxosstore.core.entry.ids import MAX_ENTITY
from paxosstore.core.entry.record import Record
from paxosstore.core.interface.event import Loaded
from paxosstore.core.interface.ready import (
    Apply,
    BeginInstall,
    Change,
    DropInstall,
    EndInstall,
    InstallRows,
    NewEntity,
    SetFloor,
    SetStanding,
    StopEntity,
)
from paxosstore.storage.api import Store
from paxosstore.storage.loading import MAX_VIEW_ROWS
from paxosstore.storage.memory import MemoryStore

from .support import END, new_rocks, puts, row, value_id


def new_memory(path: Path) -> MemoryStore:
    return MemoryStore()


@pytest.fixture(params=[new_memory, new_rocks], ids=["memory", "rocks"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    make: Callable[[Path], Store] = request.param
    store = make(tmp_path / "store")
    yield store
    store.close()


def test_an_empty_store_has_nothing(store: Store) -> None:
    assert store.get(1, DATA + b"a") is None
    assert store.committed_entry(1) == 0
    assert list(store.committed()) == []
    assert list(store.scan(1, b"", END)) == []
    assert store.read_log(1, 1, 10) == []
    assert store.load(1) == Loaded(1, 0, [], 0, b"")
    store.sync()


def test_rows_come_back_as_they_were_written(store: Store) -> None:
    rows = {
        (1, 1): row(1),
        (1, 2): Record(promised=5),
        (1, 3): Record(2, 5, 2, row(3).value, False),
        (2, 1): row(1, b""),
        (MAX_ENTITY, 2**63): row(9, chosen=False),
    }
    store.write(rows, [])
    for (entity, entry), record in rows.items():
        assert store.read_log(entity, entry, entry) == [(entry, record)]
    assert store.read_log(1, 2, 3) == [(2, rows[1, 2]), (3, rows[1, 3])]
    assert store.read_log(1, 0, 100) == [(entry, rows[1, entry]) for entry in (1, 2, 3)]
    assert store.read_log(3, 1, 100) == []


def test_a_later_row_replaces_the_earlier_one(store: Store) -> None:
    store.write({(1, 1): Record(promised=4)}, [])
    store.write({(1, 1): row(1)}, [])
    assert store.read_log(1, 1, 1) == [(1, row(1))]


def test_read_log_stops_after_the_row_that_crosses_the_limit(store: Store) -> None:
    store.write({(1, entry): row(entry, b"x" * 1_000) for entry in range(1, 11)}, [])
    assert [entry for entry, _ in store.read_log(1, 1, 10, 2_500)] == [1, 2, 3]
    assert [entry for entry, _ in store.read_log(1, 4, 10, 0)] == [4]
    assert len(store.read_log(1, 1, 10, 1_000_000)) == 10


def test_read_log_skips_what_is_missing(store: Store) -> None:
    store.write({(1, 2): row(2), (1, 5): row(5)}, [])
    assert [entry for entry, _ in store.read_log(1, 1, 9)] == [2, 5]


def test_load_gives_the_rows_above_committed(store: Store) -> None:
    store.write({(1, entry): row(entry) for entry in (1, 2, 3)}, [Apply(1, 1, puts(a=b"1")), Apply(1, 2, puts(a=b"2"))])
    store.write({(1, 4): Record(promised=7), (2, 9): row(9)}, [])
    assert store.load(1) == Loaded(1, 2, [(3, row(3)), (4, Record(promised=7))], 4, value_id(2))
    assert store.load(0) == Loaded(0, 0, [], 0, b"")


def test_load_knows_max_plog_where_nothing_is_above_committed(store: Store) -> None:
    store.write({(1, 1): row(1)}, [Apply(1, 1, puts(a=b"1"))])
    assert store.load(1) == Loaded(1, 1, [], 1, value_id(1))


def test_load_does_not_guess_the_value_id(store: Store) -> None:
    store.write({(1, 1): row(1, chosen=False)}, [Apply(1, 1, puts(a=b"1")), Apply(1, 2, puts(a=b"2"))])
    assert store.load(1) == Loaded(1, 2, [], 2, b"")
    store.write({(2, 1): row(1, chosen=False)}, [Apply(2, 1, puts(a=b"1"))])
    assert store.load(2).last_value_id == b""


def test_load_does_not_look_at_neighbours(store: Store) -> None:
    store.write({(1, 2**64 - 1): row(1), (3, 1): row(1)}, [])
    assert store.load(2) == Loaded(2, 0, [], 0, b"")
    assert store.load(1).max_plog == 2**64 - 1


def test_applies_put_and_delete(store: Store) -> None:
    store.write({}, [Apply(1, 1, puts(a=b"1", b=b"", c=b"3"))])
    store.write({}, [Apply(1, 2, puts(a=b"new", c=None, nothing=None))])
    assert store.get(1, DATA + b"a") == b"new"
    assert store.get(1, DATA + b"b") == b""
    assert store.get(1, DATA + b"c") is None
    assert store.get(2, DATA + b"a") is None
    assert store.committed_entry(1) == 2
    assert dict(store.scan(1, b"", END)) == {DATA + b"a": b"new", DATA + b"b": b""}


def test_cleared_drops_the_data_space_only_and_before_the_writes(store: Store) -> None:
    first = WriteBatch({DATA + b"a": b"1", DATA + b"\xff\xff": b"2", UUID + b"u": b"3", WINDOW + b"w": b"4", b"a": b"5"})
    store.write({}, [Apply(1, 1, first), Apply(2, 1, puts(a=b"other entity"))])
    assert len(list(store.scan(1, DATA, END))) == 4
    store.write({}, [Apply(1, 2, WriteBatch({DATA + b"a": b"after", UUID + b"v": b"6"}, cleared=True))])
    expected = {DATA + b"a": b"after", UUID + b"u": b"3", UUID + b"v": b"6", WINDOW + b"w": b"4", b"a": b"5"}
    assert dict(store.scan(1, b"", END)) == expected
    assert store.get(1, DATA + b"\xff\xff") is None
    assert store.get(2, DATA + b"a") == b"other entity"


def test_cleared_also_drops_what_the_same_write_applied_before(store: Store) -> None:
    store.write({}, [Apply(1, 1, puts(a=b"1")), Apply(1, 2, WriteBatch(cleared=True)), Apply(1, 3, puts(b=b"3"))])
    assert dict(store.scan(1, b"", END)) == {DATA + b"b": b"3"}


def test_scan_is_ordered_and_bounded(store: Store) -> None:
    keys = [DATA + bytes((first, second)) for first in (0, 1, 127, 255) for second in (255, 0, 128)]
    store.write({}, [Apply(1, 1, WriteBatch({key: key[::-1] for key in keys}))])
    keys.sort()
    assert list(store.scan(1, b"", END)) == [(key, key[::-1]) for key in keys]
    assert [key for key, _ in store.scan(1, keys[2], keys[5])] == keys[2:5]
    assert [key for key, _ in store.scan(1, keys[2], keys[5], reverse=True)] == keys[4:1:-1]
    assert list(store.scan(1, keys[5], keys[5])) == list(store.scan(1, keys[5], keys[5], reverse=True)) == []
    assert list(store.scan(1, keys[5], keys[2])) == list(store.scan(1, keys[5], keys[2], reverse=True)) == []
    assert list(store.scan(0, b"", END)) == list(store.scan(2, b"", END)) == []
    store.write({}, [Apply(1, 2, WriteBatch({keys[0]: None, DATA + b"\x05": b"new"}))])
    assert [key for key, _ in store.scan(1, b"", END)] == sorted([*keys[1:], DATA + b"\x05"])


@pytest.mark.parametrize("entry", [0, 1, 3])
def test_applies_must_be_consecutive(store: Store, entry: int) -> None:
    store.write({}, [Apply(1, 1, puts(a=b"1"))])
    with pytest.raises(AssertionError):
        store.write({(1, 9): row(9)}, [Apply(1, entry, puts(a=b"2"))])
    with pytest.raises(AssertionError):
        store.write({(1, 9): row(9)}, [Apply(1, 2, puts(a=b"2")), Apply(1, entry + 1 if entry else 2, puts(a=b"3"))])
    assert store.get(1, DATA + b"a") == b"1"
    assert store.committed_entry(1) == 1
    assert store.read_log(1, 9, 9) == []


def test_a_row_that_breaks_the_invariants_is_not_written(store: Store) -> None:
    with pytest.raises(AssertionError):
        store.write({(1, 1): row(1), (1, 2): Record(prepared=5, promised=4)}, [])
    assert store.read_log(1, 1, 9) == []


def test_committed_lists_entities_in_order(store: Store) -> None:
    entities = [0, 1, 255, 256, 2**32, MAX_ENTITY]
    store.write({}, [Apply(entity, 1, puts(a=b"1")) for entity in reversed(entities)])
    store.write({(77, 1): row(1)}, [Apply(256, 2, puts())])
    expected = [(entity, 2 if entity == 256 else 1) for entity in entities]
    assert list(store.committed()) == expected
    assert list(store.committed(1)) == expected[2:]
    assert list(store.committed(254)) == expected[2:]
    assert list(store.committed(MAX_ENTITY)) == []


def test_large_rows_and_values(store: Store) -> None:
    large = bytes(range(256)) * 4_096 * 8
    store.write({(1, 1): row(1, large)}, [Apply(1, 1, puts(a=large))])
    store.sync()
    assert store.get(1, DATA + b"a") == large
    assert store.read_log(1, 1, 1) == [(1, row(1, large))]


def test_the_callers_batch_stays_its_own(store: Store) -> None:
    batch = puts(a=b"1")
    store.write({}, [Apply(1, 1, batch)])
    batch.writes[DATA + b"a"] = b"changed afterwards"
    store.sync()
    assert store.get(1, DATA + b"a") == b"1"


def test_the_hash_tells_contents_apart(store: Store) -> None:
    seen = {store.content_hash()}
    steps = [
        Apply(1, 1, puts(a=b"1")),
        Apply(1, 2, puts(a=b"", b=b"1")),
        Apply(1, 3, puts(a=None, b=None, ab=b"1")),
        Apply(1, 4, puts()),
        Apply(2, 1, puts(ab=b"1")),
        Apply(1, 5, WriteBatch(cleared=True)),
    ]
    for step in steps:
        store.write({}, [step])
        seen.add(store.content_hash())
    assert len(seen) == len(steps) + 1
    before = store.content_hash()
    store.write({(1, 6): row(6)}, [])  # the PLog is each node's own
    assert store.content_hash() == before


def test_the_hash_may_be_taken_in_a_thread_while_others_write(store: Store) -> None:
    """Each is that of one moment: of all keys at one entry."""
    store.write({}, [Apply(1, 1, WriteBatch({DATA + b"%d" % key: b"1" for key in range(2_000)}))])
    states = [store.content_hash()]
    twin = MemoryStore()
    for entry in range(1, 40):
        twin.write({}, [Apply(1, entry, WriteBatch({DATA + b"%d" % key: b"%d" % entry for key in range(2_000)}))])
        states.append(twin.content_hash())
    taken: list[str] = []
    thread = threading.Thread(target=lambda: taken.extend(store.content_hash() for _ in range(8)))
    thread.start()
    for entry in range(2, 40):
        store.write({}, [Apply(1, entry, WriteBatch({DATA + b"%d" % key: b"%d" % entry for key in range(2_000)}))])
    thread.join()
    assert len(taken) == 8
    assert set(taken) <= set(states)
    assert store.content_hash() == states[-1]


batches = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.dictionaries(
            st.sampled_from([b"d", b"da", b"db", b"d\xff", b"u1", b"w1"]), st.none() | st.binary(max_size=3), max_size=4
        ),
        st.booleans(),
    ),
    max_size=8,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=batches)
def test_both_stores_and_a_plain_dict_agree(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, dict[bytes, bytes | None], bool]]
) -> None:
    memory, rocks = MemoryStore(), new_rocks(tmp_path_factory.mktemp("agree") / "store")
    model: dict[tuple[int, bytes], bytes] = {}
    entries = [0, 0, 0]
    for entity, writes, cleared in steps:
        entries[entity] += 1
        apply = Apply(entity, entries[entity], WriteBatch(writes, cleared))
        if cleared:
            model = {at: value for at, value in model.items() if at[0] != entity or not at[1].startswith(DATA)}
        for key, value in writes.items():
            model.pop((entity, key), None)
            if value is not None:
                model[entity, key] = value
        for store in (memory, rocks):
            store.write({(entity, entries[entity]): row(entries[entity])}, [apply])
            for one in range(3):
                pairs = sorted((key, value) for (of, key), value in model.items() if of == one)
                assert list(store.scan(one, b"", END)) == pairs
                assert list(store.scan(one, b"", END, reverse=True)) == pairs[::-1]
                some = [pair for pair in pairs if b"d" <= pair[0] < b"db"]
                assert list(store.scan(one, b"d", b"db", reverse=True)) == some[::-1]
        assert memory.content_hash() == rocks.content_hash()
    for one in range(3):
        assert memory.load(one) == rocks.load(one)
    rocks.close()


# -- changes

READER = (2, 1, 77)
"""Peer 2 reads entity 1."""
AFTER = DATA + b"b"


def test_the_standing_is_what_was_set_last(store: Store) -> None:
    assert store.standing() == b""
    store.write({}, [], [SetStanding(b"first"), SetStanding(b"second")])
    assert store.standing() == b"second"


def test_floors_are_loaded_and_listed(store: Store) -> None:
    store.write({}, [], [SetFloor(entity, entity // 2 + 10) for entity in (MAX_ENTITY, 5, 0, 256)])
    assert store.load(5) == Loaded(5, 0, [], 0, b"", floor=12)
    assert store.floors(-1, 9) == [(0, 10), (5, 12), (256, 138), (MAX_ENTITY, MAX_ENTITY // 2 + 10)]
    assert store.floors(0, 2) == [(5, 12), (256, 138)]
    store.write({}, [], [SetFloor(5, 0), SetFloor(256, 3)])
    assert store.load(5).floor == 0
    assert store.floors(0, 9) == [(256, 3), (MAX_ENTITY, MAX_ENTITY // 2 + 10)]
    assert store.entities(-1, 9) == [], "a floor alone is nothing that was accepted or applied"


def test_a_stopped_entity_stays_stopped(store: Store) -> None:
    store.write({(1, 1): row(1)}, [Apply(1, 1, puts(a=b"1"))], [StopEntity(2, "two values")])
    assert store.load(2).stopped == "two values"
    assert store.load(1).stopped == ""
    assert store.stopped() == [(2, "two values")]


def test_stopped_entities_are_listed_until_an_operator_has_mended_them(store: Store) -> None:
    assert store.stopped() == []
    store.write({}, [], [StopEntity(entity, str(entity)) for entity in (MAX_ENTITY, 2, 0)])
    assert store.stopped() == [(0, "0"), (2, "2"), (MAX_ENTITY, str(MAX_ENTITY))]
    store.write({}, [], [StopEntity(2, "")])
    assert store.stopped() == [(0, "0"), (MAX_ENTITY, str(MAX_ENTITY))]
    assert store.load(2).stopped == ""


def test_entities_are_listed_by_what_there_is_of_them(store: Store) -> None:
    store.write({(1, 1): row(1), (1, 2): row(2), (1, 4): row(4)}, [Apply(1, 1, puts())], [NewEntity(1)])
    store.write({(3, 1): Record(promised=4)}, [], [NewEntity(3)])
    store.write({}, [Apply(MAX_ENTITY, 1, puts())])
    assert store.entities(-1, 9) == [(1, 1, 4), (3, 0, 1), (MAX_ENTITY, 1, 1)]
    assert store.entities(1, 1) == [(3, 0, 1)]
    assert list(store.committed()) == [(1, 1), (MAX_ENTITY, 1)], "of those where something was applied"


def test_an_entity_is_new_once(store: Store) -> None:
    store.write({(1, 1): row(1)}, [Apply(1, 1, puts(a=b"1"))], [NewEntity(1)])
    with pytest.raises(AssertionError):
        store.write({}, [], [NewEntity(1)])
    assert store.committed_entry(1) == 1


def test_the_hash_does_not_mind_who_has_heard_of_an_entity(store: Store) -> None:
    """It compares what was applied."""
    before = store.content_hash()
    store.write({(3, 1): Record(promised=4)}, [], [NewEntity(3)])
    store.write({}, [], [SetFloor(3, 7), SetStanding(b"me"), StopEntity(4, "why")])
    assert store.content_hash() == before


def install(store: Store, rows: list[tuple[bytes, bytes]], committed: int) -> None:
    store.write({}, [], [BeginInstall(1)])
    for pair in rows:
        store.write({}, [], [InstallRows(1, [pair])])
    store.write({}, [], [EndInstall(1, committed)])


def test_a_snapshot_replaces_data_and_no_votes(store: Store) -> None:
    old = WriteBatch({DATA + b"old": b"1", UUID + b"u": b"2", WINDOW + b"w": b"3"})
    store.write({(1, 1): row(1), (1, 9): Record(promised=7)}, [Apply(1, 1, old), Apply(2, 1, puts(a=b"other"))])
    store.write({}, [], [BeginInstall(1)])
    found = store.load(1)
    assert (found.recovering, found.committed, found.records) == (True, 1, [(9, Record(promised=7))])
    new = [(DATA + b"new", b"4"), (UUID + b"v", b"5")]
    store.write({}, [], [InstallRows(1, new[:1])])
    store.write({}, [], [InstallRows(1, new[1:])])
    assert store.load(1).recovering
    assert dict(store.scan(1, b"", END)) == old.writes, "whole, until the copy is"
    assert store.get(1, DATA + b"new") is None
    store.write({}, [], [EndInstall(1, 8)])
    assert store.load(1) == Loaded(1, 8, [(9, Record(promised=7))], 9, b"")
    assert list(store.scan(1, b"", END)) == new
    assert store.get(2, DATA + b"a") == b"other"
    assert not store.load(2).recovering


def test_an_installation_may_begin_anew_and_end_with_entries_applied(store: Store) -> None:
    store.write({}, [], [BeginInstall(1), InstallRows(1, [(DATA + b"left", b"1")])])
    changes: list[Change] = [BeginInstall(1), InstallRows(1, [(DATA + b"a", b"1")]), EndInstall(1, 5)]
    store.write({(1, 6): row(6)}, [Apply(1, 6, puts(b=b"2"))], changes)
    assert dict(store.scan(1, b"", END)) == {DATA + b"a": b"1", DATA + b"b": b"2"}
    assert store.load(1) == Loaded(1, 6, [], 6, value_id(6))
    assert store.entities(-1, 9) == [(1, 6, 6)]


@pytest.mark.parametrize("how", ["dropped", "begun anew", "neither"])
def test_a_copy_that_does_not_end_leaves_nothing(store: Store, how: str) -> None:
    """What is applied meanwhile goes to the data, and the next copy begins with nothing."""
    store.write({}, [Apply(1, 1, puts(a=b"1", b=b"2"))])
    before = store.content_hash()
    store.write({}, [], [BeginInstall(1), InstallRows(1, [(DATA + b"left", b"x"), (UUID + b"left", b"y")])])
    assert store.content_hash() == before
    store.write({}, [Apply(1, 2, puts(a=None, c=b"3"))])
    store.write({}, [Apply(1, 3, WriteBatch({DATA + b"d": b"4"}, cleared=True))])
    changes: list[Change] = [DropInstall(1)] if how == "dropped" else [BeginInstall(1)] if how == "begun anew" else []
    store.write({}, [], changes)
    assert dict(store.scan(1, b"", END)) == {DATA + b"d": b"4"}
    assert store.load(1) == Loaded(1, 3, [], 3, b"", recovering=how != "dropped")
    if how == "neither":
        store.write({}, [], [DropInstall(1)])
    install(store, [(DATA + b"n", b"5")], 9)
    assert list(store.scan(1, b"", END)) == [(DATA + b"n", b"5")]


def test_copy_after_copy_takes_the_place_of_the_data(store: Store) -> None:
    """Of whatever is there: data that was applied, or a copy. Neighbours keep theirs."""
    twin = MemoryStore()
    for each in (store, twin):
        each.write({}, [Apply(entity, 1, puts(a=b"%d" % entity)) for entity in (0, 1, 2, MAX_ENTITY)])
    for entry in (5, 6, 7):
        rows = [(DATA + b"%d" % entry, b"x"), (UUID + b"u", b"%d" % entry)]
        for entity in (1, MAX_ENTITY):
            changes: list[Change] = [BeginInstall(entity), InstallRows(entity, rows), EndInstall(entity, entry)]
            store.write({}, [Apply(entity, entry + 1, puts(b=b"2"))], changes)
            assert dict(store.scan(entity, b"", END)) == {**dict(rows), DATA + b"b": b"2"}
            assert store.get(entity, DATA + b"b") == b"2"
            twin.write({}, [Apply(entity, entry + 1, puts(b=b"2"))], changes)
        assert store.content_hash() == twin.content_hash()
        assert [store.get(entity, DATA + b"a") for entity in (0, 2)] == [b"0", b"2"]
        entry += 1
        install(store, [(DATA + b"z", b"x")], entry)
        install(twin, [(DATA + b"z", b"x")], entry)


def test_the_hash_is_of_the_content_alone(store: Store) -> None:
    """Whether it was applied or copied, and how often."""
    rows = [(DATA + b"a", b"1"), (DATA + b"b", b"2")]
    copied, applied = MemoryStore(), MemoryStore()
    applied.write({}, [Apply(1, entry, puts(a=b"1", b=b"2")) for entry in range(1, 5)])
    hashes = []
    for _ in range(2):
        install(store, rows, 4)
        hashes.append(store.content_hash())
        store.write({}, [], [BeginInstall(1), InstallRows(1, [(DATA + b"half", b"3")])])
        hashes.append(store.content_hash())
    install(copied, rows, 4)
    assert {*hashes, copied.content_hash(), applied.content_hash()} == {hashes[0]}


def test_a_snapshot_does_not_lead_back(store: Store) -> None:
    install(store, [], 5)
    with pytest.raises(AssertionError):
        install(store, [], 4)


def test_a_view_shows_one_moment(store: Store) -> None:
    first = WriteBatch({DATA + b"a": b"1", DATA + b"b": b"2", DATA + b"c": b"3", UUID + b"u": b"4", WINDOW + b"w": b"5"})
    store.write({}, [Apply(1, 1, first), Apply(0, 1, puts(x=b"no")), Apply(2, 1, puts(x=b"no"))])
    piece = store.read_snapshot(READER, b"", 4)
    assert piece == (1, [(DATA + b"a", b"1"), (DATA + b"b", b"2")], True)
    store.write({}, [Apply(1, 2, WriteBatch({DATA + b"d": b"6"}, cleared=True))])
    store.write({}, [], [BeginInstall(1), InstallRows(1, [(DATA + b"ab", b"x")]), EndInstall(1, 2)])
    store.sync()
    rest = (1, [(DATA + b"c", b"3"), (UUID + b"u", b"4"), (WINDOW + b"w", b"5")], False)
    assert store.read_snapshot(READER, AFTER, 0) == (1, rest[1][:1], True)
    assert store.read_snapshot(READER, AFTER, 1_000) == rest, "a lost piece can be asked for again"
    assert store.read_snapshot(READER, AFTER, 1_000) is None, "it has ended with its last piece"


def test_views_are_each_readers_own(store: Store) -> None:
    store.write({}, [Apply(1, 1, puts(a=b"1", b=b"2"))])
    assert store.read_snapshot((0, 1, 1), AFTER, 9) is None
    assert store.read_snapshot((0, 1, 1), b"", 0) == (1, [(DATA + b"a", b"1")], True)
    store.write({}, [Apply(1, 2, puts(a=b"new"))])
    assert store.read_snapshot((0, 1, 2), b"", 0) == (2, [(DATA + b"a", b"new")], True)
    assert store.read_snapshot((0, 1, 1), b"", 0) == (2, [(DATA + b"a", b"new")], True), "begun anew"
    store.close_snapshot((0, 1, 1))
    store.close_snapshot((0, 1, 1))
    assert store.read_snapshot((0, 1, 1), AFTER, 9) is None
    assert store.read_snapshot((0, 1, 2), DATA + b"a", 9) == (2, [(DATA + b"b", b"2")], False)


def test_a_view_is_read_in_bounded_pieces(store: Store) -> None:
    rows = {DATA + b"%05d" % number: b"v" for number in range(3_000)}
    store.write({}, [Apply(1, 1, WriteBatch(dict(rows)))])
    found: dict[bytes, bytes] = {}
    after, pieces = b"", 0
    while piece := store.read_snapshot(READER, after, 1 << 30):
        assert len(piece.rows) <= MAX_VIEW_ROWS
        found.update(piece.rows)
        pieces += 1
        if not piece.more:
            break
        after = piece.rows[-1][0]
    assert found == rows
    assert pieces == 3


def test_of_a_recovering_entity_there_is_a_view_of_what_is_in_force(store: Store) -> None:
    store.write({}, [Apply(1, 1, puts(z=b"0"))], [])
    store.write({}, [], [BeginInstall(1), InstallRows(1, [(DATA + b"a", b"1")])])
    assert store.read_snapshot(READER, b"", 9) == (1, [(DATA + b"z", b"0")], False)
    store.write({}, [], [EndInstall(1, 5)])
    assert store.read_snapshot(READER, b"", 9) == (5, [(DATA + b"a", b"1")], False)


def test_of_an_empty_entity_there_is_an_empty_view(store: Store) -> None:
    assert store.read_snapshot(READER, b"", 9) == (0, [], False)
