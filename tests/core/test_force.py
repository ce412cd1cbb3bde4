"""A majority of the disks is lost, and the operator goes on without it: what the intact nodes hold is kept (rule 19, forced)."""

from __future__ import annotations

import pytest

from paxosstore.core.entry.machine import EntryMachine
from paxosstore.core.entry.record import EMPTY, Record, Value
from paxosstore.core.interface.message import Held
from paxosstore.core.interface.ready import FloorRead, NewEntity
from paxosstore.storage.floors import HELD_BYTES, read_floors
from paxosstore.storage.memory import MemoryStore

from .support import Operation
from .test_reentry import ENTITY, Cluster

ONE, TWO = Value(bytes(16), b"one"), Value(bytes([1] * 16), b"two")


def force(cluster: Cluster, *lost: int) -> None:
    """The disks of these nodes are lost at once, and they come back from the others."""
    for node in lost:
        cluster.lose_disk(node)
    cluster.weather.cuts = set()
    for node in lost:
        cluster.nodes[node].force = True
        cluster.start(node)
    cluster.until(lambda: all(map(cluster.is_back, lost)), 60_000.0)


def accepted_by(cluster: Cluster, proposer: int, *voters: int, entities: int = 1) -> None:
    """A write of each entity is acknowledged, and of those that live nobody knows yet that it is chosen."""
    requests = []
    for entity in range(ENTITY, ENTITY + entities):
        cluster.do(proposer, b"put a 1", entity)
    cluster.wait(2_000.0)
    others = set(range(len(cluster.nodes))) - {proposer, *voters}
    cluster.weather.cuts = {(proposer, other) for other in others}
    for entity in range(ENTITY, ENTITY + entities):
        requests.append(Operation(entity, b"put a 2", deadline_ms=cluster.now_ms + 5_000.0))
        cluster.nodes[proposer].step(requests[-1])
    cluster.until(lambda: all(request.ended for request in requests))
    assert {request.reply for request in requests} == {b"done"}


@pytest.mark.parametrize("entities", [1, 20])
def test_what_an_intact_node_has_accepted_is_kept(entities: int) -> None:
    cluster = Cluster(notice_ms=1_000.0, max_mem_entities=3)
    accepted_by(cluster, 1, 0, entities=entities)
    assert 1 in {cluster.nodes[0].store.committed_entry(ENTITY + each) for each in range(entities)}, "it does not know it yet"
    force(cluster, 1, 2)
    cluster.kill(0, 0)  # the others have all of it
    for each in range(entities):
        assert cluster.do(2, b"get a", ENTITY + each, read_only=True).reply == b"2"
    assert cluster.counters()["rows_inherited"] > 0


def test_what_was_lost_may_have_gone_on_behind_what_is_left() -> None:
    """1 may have proposed the entry after its last one, under its pre-auth ballot, with the votes of lost disks (rule 19d)."""
    cluster = Cluster(notice_ms=1_000.0)
    accepted_by(cluster, 1, 0)
    force(cluster, 1, 2)
    assert cluster.do(1, b"get a", read_only=True).reply == b"2"
    before = cluster.nodes[1].shard.context.counters.rounds_preauth
    assert cluster.nodes[1].store.committed_entry(ENTITY) == 2
    assert cluster.do(1, b"put a 3").reply == b"done"
    assert cluster.nodes[1].shard.context.counters.rounds_preauth == before
    assert cluster.do(1, b"put a 4").reply == b"done"
    assert cluster.nodes[1].shard.context.counters.rounds_preauth == before + 1


def test_of_several_intact_nodes_each_counts() -> None:
    """3 alone has accepted it; 4 does not know of it, and would propose another value with the votes of those that come back."""
    cluster = Cluster(5, notice_ms=1_000.0)
    accepted_by(cluster, 0, 1, 3)
    assert cluster.nodes[3].store.committed_entry(ENTITY) == 1
    assert cluster.nodes[4].shard.entity(ENTITY).log.max_plog == 1  # type: ignore[union-attr]  # it is in memory
    force(cluster, 0, 1, 2)
    cluster.kill(3, 0)
    assert cluster.do(4, b"get a", read_only=True).reply == b"2"


def test_who_is_left_forgets_what_absent_nodes_have_shown() -> None:
    """Nothing fences them: there is no other disk of theirs."""
    cluster = Cluster(notice_ms=1_000.0)
    accepted_by(cluster, 1, 0)
    shown = cluster.nodes[0].shard.entity(ENTITY).log.opened[2].machine  # type: ignore[union-attr]  # it is in memory
    assert shown.rows[1].promised
    cluster.kill(1, 0)
    cluster.lose_disk(2)
    cluster.nodes[2].force = True
    cluster.start(2)
    cluster.until(lambda: cluster.is_back(2), 60_000.0)
    assert shown.rows[1] == EMPTY


def test_a_page_carries_all_rows_above_what_is_applied() -> None:
    store = MemoryStore()
    rows = {(1, 1): Record(0, 7, 4, ONE), (1, 2): Record(3, 3), (5, 1): Record(0, 4, 4, TWO, True)}
    store.write(rows, (), [NewEntity(1), NewEntity(5)])
    page = read_floors(store, FloorRead(-1, 10, 1, 9, forced=True))
    assert page.entities == [(1, 0), (5, 0)]
    assert page.held == [
        Held(1, 1, 7, 4, False, ONE.id, b"one"),
        Held(1, 2, 3, 0, False, b"", b""),
        Held(5, 1, 4, 4, True, TWO.id, b"two"),
    ]
    assert not page.more


def test_a_page_ends_when_its_rows_are_enough() -> None:
    store = MemoryStore()
    large = Value(bytes(16), bytes(HELD_BYTES))
    store.write({(entity, 1): Record(0, 4, 4, large) for entity in (1, 2, 3)}, (), [NewEntity(entity) for entity in (1, 2, 3)])
    page = read_floors(store, FloorRead(-1, 10, 1, 9, forced=True))
    assert page.entities == [(1, 0)]
    assert page.more
    last = read_floors(store, FloorRead(2, 10, 1, 9, forced=True))
    assert (last.entities, last.more) == ([(3, 0)], False)


@pytest.mark.parametrize(
    ("rows", "becomes"),
    [
        ([Record(0, 9, 4, ONE)], Record(0, 9, 4, ONE)),
        ([Record(0, 9, 4, ONE), Record(6, 6, 6, TWO)], Record(0, 9, 6, TWO)),
        ([Record(6, 6, 6, TWO), Record(0, 9, 4, ONE)], Record(0, 9, 6, TWO)),
        ([Record(3, 9)], Record(0, 9)),
        ([Record(6, 6, 6, TWO), Record(0, 4, 4, ONE, True)], Record(0, 6, 4, ONE, True)),
        ([Record(0, 4, 4, ONE, True), Record(6, 6, 6, TWO)], Record(0, 4, 4, ONE, True)),
        ([EMPTY], EMPTY),
    ],
)
def test_the_own_row_becomes_the_best_that_is_left(rows: list[Record], becomes: Record) -> None:
    machine = EntryMachine(5, 1)
    for row in rows:
        machine.inherit(row)
    assert machine.mine == becomes
