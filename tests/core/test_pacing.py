"""What the background budget does to catch-up and copies: it slows them down, stops nobody, and no request waits for it."""

from __future__ import annotations

from paxosstore.core.turn.budget import Budget, Job
from paxosstore.core.turn.urgency import COPIES
from paxosstore.settings import TuningSettings
from paxosstore.sim.cluster import SimCluster

from .support import HANDLERS, Operation

ENTITIES = 20
SIZE = 20_000
SLOW = 40_000
"""Bytes per second: half a second an entity."""


def behind(rate: int = SLOW, ms: float = TuningSettings().background_ms_per_second) -> SimCluster:
    """Node 2 was away while others wrote, has come back, and may learn so much of it in a second."""
    cluster = SimCluster(1, 3, TuningSettings(background_bytes_per_second=rate, background_ms_per_second=ms), HANDLERS)
    cluster.start_all()
    cluster.found()
    cluster.kill(2)
    requests = [Operation(entity, b"put k " + b"x" * SIZE) for entity in range(ENTITIES)]
    for request in requests:
        cluster.nodes[0].step(request)
    wait(cluster, 1_000.0)
    assert {request.outcome for request in requests} == {"done"}
    cluster.start(2)
    return cluster


def wait(cluster: SimCluster, ms: float) -> None:
    cluster.run_until(cluster.now_ms + ms)


def learned(cluster: SimCluster) -> int:
    return sum(cluster.nodes[2].store.committed_entry(entity) for entity in range(ENTITIES))


def test_catch_up_goes_as_fast_as_the_budget_allows() -> None:
    cluster = behind()
    wait(cluster, 4_000.0)
    assert 2 < learned(cluster) < ENTITIES / 2
    wait(cluster, 20_000.0)
    assert learned(cluster) == ENTITIES
    quick = behind(TuningSettings().background_bytes_per_second, 5_000.0)
    wait(quick, 1_000.0)
    assert learned(quick) == ENTITIES
    assert cluster.counters()["catchups_paced"] > quick.counters()["catchups_paced"]  # whose processor time counts as well


def test_what_a_request_waits_for_is_learned_at_once() -> None:
    cluster = behind()
    wait(cluster, 500.0)
    last = ENTITIES - 1
    assert not cluster.nodes[2].store.committed_entry(last)
    read = Operation(last, b"get k", read_only=True)
    cluster.nodes[2].step(read)
    wait(cluster, 300.0)
    assert read.outcome == "x" * SIZE


def test_nothing_stands_still_however_small_the_budget_is() -> None:
    cluster = behind(1)
    wait(cluster, 60_000.0)
    assert learned(cluster) == ENTITIES


def test_a_rate_that_is_raised_holds_from_then_on() -> None:
    cluster = behind()
    wait(cluster, 1_000.0)
    for node in cluster.nodes:
        node.shard.context.budget.tune(67_108_864, 500.0)
    wait(cluster, 2_000.0)
    assert learned(cluster) == ENTITIES


def urgent(cluster: SimCluster, node: int) -> set[Job]:
    return set(cluster.nodes[node].shard.context.budget.urgent)


def test_copies_are_urgent_while_a_node_is_missing() -> None:
    cluster = behind(TuningSettings().background_bytes_per_second)
    wait(cluster, 2_000.0)
    assert not urgent(cluster, 0) | urgent(cluster, 2)
    cluster.kill(1)
    cluster.nodes[0].step(Operation(1, b"put k 1"))
    wait(cluster, 2_000.0)
    assert urgent(cluster, 0) == COPIES
    cluster.start(1)
    cluster.nodes[0].step(Operation(1, b"put k 2"))
    wait(cluster, 2_000.0)
    assert not urgent(cluster, 0)


def test_a_budget_may_be_shared_with_threads() -> None:
    shared = Budget(1_000, 1.0)
    cluster = SimCluster(1, 3, TuningSettings(), HANDLERS)
    cluster.start_all()
    shard = cluster.nodes[0].shard
    shard.context.budget = shared
    shard.context.pay(Job.CATCH_UP, 5, 2_000)
    taken = shared.usage(0.0).jobs["catch_up"]
    assert (taken.bytes, taken.ms) == (5, 2.0)
    assert shard.context.background_work == 2_000
