"""Five nodes: the floor of entities that nobody listed falls when the peer that was away has answered (rule 19c)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from paxosstore.core.entry.record import Record
from paxosstore.core.interface.event import WritesAllowed
from paxosstore.core.interface.ready import Change, NewEntity, SetFloor
from paxosstore.core.turn.standing import State
from paxosstore.errors import DiskFull

from .test_reentry import ENTITY, Cluster

HELD, NEW = 100, 300


def back_without_4(entities: int = 1) -> Cluster:
    """0 has lost its disk and is back; 4 was away, and has a promise of the old 0 for an entity that nobody else knows."""
    cluster = Cluster(5)
    for entity in range(ENTITY, ENTITY + entities):
        cluster.do(0, b"put a 1", entity)
    cluster.wait()
    cluster.kill(4, cluster.nodes[4].store.unsynced)
    cluster.lose_disk(0)
    cluster.start(0)
    cluster.until(lambda: cluster.is_back(0))
    assert default(cluster, 0) == 2
    return cluster


def default(cluster: Cluster, node: int) -> int:
    row = cluster.nodes[node].store.durable_standing
    assert row is not None
    assert row.state is State.MEMBER
    return row.default


def test_it_falls_when_all_have_answered_and_stays_so() -> None:
    cluster = back_without_4()
    cluster.wait(3_000.0)
    assert default(cluster, 0) == 2, "4 has said nothing yet"
    cluster.start(4)
    cluster.until(lambda: default(cluster, 0) == 0)
    for node in (3, 4):
        cluster.kill(node, 0)
    assert cluster.do(1, b"put a 1", NEW).reply == b"done", "0 votes at entry 1"
    cluster.kill(0, 0)
    cluster.start(0)
    cluster.wait()
    assert default(cluster, 0) == 0


def test_it_falls_though_the_word_of_who_was_away_is_lost() -> None:
    """4 says once that it knows the new disk of 0 (seed 195)."""
    cluster = back_without_4()
    cluster.weather.cuts = {(4, 0)}
    cluster.start(4)
    cluster.wait(1_000.0)
    cluster.weather.cuts = set()
    cluster.until(lambda: default(cluster, 0) == 0)


def test_without_it_the_node_does_not_vote_at_entry_1() -> None:
    cluster = back_without_4()
    cluster.kill(3, 0)
    assert cluster.do(1, b"put a 1", NEW).outcome in ("UNKNOWN", "NOQUORUM")
    assert cluster.nodes[0].shard.context.counters.votes_withheld > 0


def test_what_a_peer_lists_keeps_its_floor_until_it_is_passed() -> None:
    """4 has prepared there, and may have done so with a promise of the 0 that is lost."""
    cluster = back_without_4()
    store = cluster.nodes[4].store
    store.write({(HELD, 1): Record(10, 10)}, (), [NewEntity(HELD)])
    store.sync()
    floors: list[list[tuple[int, int]]] = []
    written = cluster.nodes[0].store.on_changes

    def watch(changes: Sequence[Change]) -> None:
        written(changes)
        floors.append([(one.entity, one.floor) for one in changes if isinstance(one, SetFloor)])

    cluster.nodes[0].store.on_changes = watch
    cluster.start(4)
    cluster.until(lambda: default(cluster, 0) == 0)
    assert [(HELD, 2)] in floors
    cluster.until(lambda: cluster.is_back(0) and cluster.nodes[0].store.floors(-1, 10) == [])
    assert cluster.nodes[0].store.committed_entry(HELD) == 1, "it was filled"


@pytest.mark.parametrize("failures", [1, 3])
def test_a_failed_write_begins_anew(failures: int) -> None:
    cluster = back_without_4(3)
    cluster.start(4)
    for _ in range(failures):
        cluster.nodes[0].store.fail_next_write = DiskFull("no room")
        cluster.until(lambda: bool(cluster.nodes[0].shard.writes_refused_because))
        assert default(cluster, 0) == 2
        cluster.nodes[0].step(WritesAllowed(""))
        cluster.until(lambda: not cluster.nodes[0].shard.writes_refused_because)
    cluster.until(lambda: default(cluster, 0) == 0)
