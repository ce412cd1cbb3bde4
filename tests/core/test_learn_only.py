"""A node that is told to learn only: what it does and does not, what its peers make of it, and that it ends without a trace."""

from __future__ import annotations

from collections.abc import Callable

from paxosstore.core.interface.event import Received
from paxosstore.core.interface.message import HandOver
from paxosstore.settings import TuningSettings
from paxosstore.sim.cluster import SimCluster

from .support import HANDLERS, AloneOperation, Operation, uuid

E = 7
PATIENT = TuningSettings(request_timeout_ms=2_000.0, no_majority_ms=100.0)


def cluster_of(learners: tuple[int, ...] = (), nodes: int = 3, tuning: TuningSettings = PATIENT) -> SimCluster:
    cluster = SimCluster(1, nodes, tuning, HANDLERS)
    cluster.start_all()
    cluster.found()
    wait(cluster, 50.0)
    for number in learners:
        cluster.nodes[number].learn_only(True)
    wait(cluster, 50.0)
    return cluster


def wait(cluster: SimCluster, ms: float) -> None:
    cluster.run_until(cluster.now_ms + ms)


def ask(cluster: SimCluster, node: int, text: bytes, ms: float = 300.0, *, read_only: bool = False, entity: int = E) -> Operation:
    operation = Operation(entity, text, read_only=read_only)
    cluster.nodes[node].step(operation)
    wait(cluster, ms)
    return operation


def until(cluster: SimCluster, happened: Callable[[], bool]) -> float:
    began = cluster.now_ms
    while not happened():
        assert cluster.now_ms < began + 10_000.0
        wait(cluster, 0.2)
    return cluster.now_ms - began


def committed(cluster: SimCluster, node: int, entity: int = E) -> int:
    return cluster.nodes[node].store.committed_entry(entity)


def test_it_learns_everything_and_votes_for_nothing() -> None:
    cluster = cluster_of((2,))
    for number in range(10):
        assert ask(cluster, 0, b"put k%d v" % number, 50.0).outcome == "done"
    assert [committed(cluster, node) for node in range(3)] == [10, 10, 10], "chosen messages included"
    rows = [record for _, record in cluster.nodes[2].store.read_log(E, 1, 10)]
    assert len(rows) == 10
    assert all(row.chosen for row in rows)
    assert cluster.nodes[2].shard.context.counters.votes_withheld > 0


def test_it_catches_up_like_any_other() -> None:
    cluster = cluster_of((2,))
    cluster.kill(2)
    for number in range(200):
        assert ask(cluster, 0, b"put k%d v" % number, 5.0).outcome == "done"
    cluster.start(2)
    wait(cluster, 2_000.0)
    assert committed(cluster, 2) == 200


def test_without_it_there_may_be_no_majority_and_that_is_said_at_once() -> None:
    cluster = cluster_of((2,))
    cluster.kill(1)
    wait(cluster, 50.0)
    write = ask(cluster, 0, b"put k v", 250.0)
    assert write.outcome == "NOQUORUM"
    assert "node 2 learns only (learn_only)" in str(write.error)
    assert "node 1 down" in str(write.error)
    assert committed(cluster, 0) == 0


def test_it_answers_no_read_question() -> None:
    cluster = cluster_of((2,))
    assert ask(cluster, 0, b"put k v").outcome == "done"
    assert ask(cluster, 0, b"get k", read_only=True).outcome == "v"
    withheld = cluster.nodes[2].shard.context.counters.answers_withheld
    assert withheld > 0
    cluster.weather.cuts |= {(0, 1), (1, 0)}
    assert ask(cluster, 0, b"get k", read_only=True).outcome == "pending", "the one that would answer is not heard"
    assert cluster.nodes[2].shard.context.counters.answers_withheld > withheld


def test_two_of_three_that_learn_only_leave_no_majority() -> None:
    cluster = cluster_of((1, 2))
    write = ask(cluster, 0, b"put k v", 250.0)
    assert write.outcome == "NOQUORUM"
    cluster.nodes[1].learn_only(False)
    wait(cluster, 20.0)
    assert ask(cluster, 0, b"put k w", 50.0).outcome == "done"


def test_it_refuses_everything_at_once_and_says_where_to_ask() -> None:
    cluster = cluster_of((2,))
    node = cluster.nodes[2]
    node.shard.context.elsewhere.update({0: "redis 127.0.0.1:7401", 1: "redis 127.0.0.1:7411"})
    for read_only in (False, True):
        refused = ask(cluster, 2, b"get k", 1.0, read_only=read_only)
        assert refused.outcome == "LEARNSONLY"
        assert str(refused.error) == (
            "node 2 learns only (learn_only): ask node 0 (redis 127.0.0.1:7401) or node 1 (redis 127.0.0.1:7411)"
        )
        assert refused.error is not None
        assert refused.error.retry
        assert refused.error.outcome_known
    cluster.kill(1)
    wait(cluster, 10.0)
    assert "ask node 0 (redis 127.0.0.1:7401)" in str(ask(cluster, 2, b"get k", 1.0).error), "node 1 is not there"
    assert node.shard.entity(E) is None, "nothing is loaded for that"


def test_what_is_handed_over_to_it_goes_elsewhere_at_once() -> None:
    """The preferred proposer is told to learn only, and a peer has not heard of it yet."""
    cluster = cluster_of()
    assert ask(cluster, 2, b"put k v").outcome == "done"
    assert ask(cluster, 0, b"put k w").outcome == "done"
    before = cluster.nodes[0].shard.context.counters.handed_over
    cluster.nodes[2].learn_only(True)
    write = Operation(E, b"put k x")
    cluster.nodes[0].step(write)
    assert until(cluster, lambda: write.ended) < 50.0
    assert write.outcome == "done"
    assert cluster.nodes[0].shard.context.counters.handed_over == before + 1
    assert ask(cluster, 0, b"put k y", 50.0).outcome == "done"
    assert cluster.nodes[0].shard.context.counters.handed_over == before + 1, "now it knows"


def test_a_request_of_a_peer_goes_back_without_loading_the_entity() -> None:
    cluster = cluster_of((2,))
    node = cluster.nodes[2]
    node.step(Received(0, [HandOver(99, uuid("a"), "operation", b"put k v", 1, 1_000, b"", False)], 400, 0))
    wait(cluster, 1.0)
    assert node.shard.entity(99) is None
    assert node.shard.context.counters.refused_learning == 1


def test_what_it_had_proposed_is_decided_by_the_others() -> None:
    cluster = cluster_of()
    assert ask(cluster, 2, b"put k v").outcome == "done"
    write = Operation(E, b"put k w")
    cluster.nodes[2].step(write)
    until(cluster, lambda: cluster.nodes[2].shard.context.in_flight_bytes > 0)
    cluster.nodes[2].learn_only(True)
    until(cluster, lambda: write.ended)
    assert write.outcome == "done"
    assert ask(cluster, 0, b"get k", read_only=True).outcome == "w"


def test_what_it_had_proposed_and_nobody_heard_of_is_unknown() -> None:
    cluster = cluster_of()
    assert ask(cluster, 2, b"put k v").outcome == "done"
    for peer in (0, 1):
        cluster.weather.cuts |= {(2, peer), (peer, 2)}
    write, waits = Operation(E, b"put k w"), AloneOperation(E, b"put k x")
    cluster.nodes[2].step(write)
    wait(cluster, 20.0)
    cluster.nodes[2].step(waits)
    wait(cluster, 20.0)
    cluster.nodes[2].learn_only(True)
    wait(cluster, 20.0)
    assert waits.outcome == "LEARNSONLY", "it was shown to nobody"
    assert not write.ended
    wait(cluster, 2_500.0)
    assert write.outcome == "UNKNOWN"


def test_reads_that_wait_are_refused() -> None:
    cluster = cluster_of()
    for peer in (0, 1):
        cluster.weather.cuts |= {(2, peer), (peer, 2)}
    read = ask(cluster, 2, b"get k", 20.0, read_only=True)
    assert not read.ended
    cluster.nodes[2].learn_only(True)
    wait(cluster, 20.0)
    assert read.outcome == "LEARNSONLY"


def test_it_ends_without_a_restart() -> None:
    cluster = cluster_of((2,))
    assert ask(cluster, 0, b"put k v").outcome == "done"
    cluster.nodes[2].learn_only(False)
    wait(cluster, 20.0)
    assert not cluster.nodes[0].shard.context.reach.resting
    assert ask(cluster, 2, b"get k", read_only=True).outcome == "v"
    cluster.kill(1)
    wait(cluster, 20.0)
    assert ask(cluster, 0, b"put k w").outcome == "done", "its vote counts again"
    assert ask(cluster, 2, b"put k x").outcome == "done"


def test_an_entry_that_was_only_witnessed_is_voted_on_afterwards() -> None:
    """Its rows of peers were taken in while it learned only; then it is the vote that is missing."""
    cluster = cluster_of((2,), tuning=TuningSettings(no_majority_ms=60_000.0, request_timeout_ms=60_000.0))
    assert ask(cluster, 0, b"put k v").outcome == "done"
    cluster.weather.cuts |= {(0, 1), (1, 0)}
    write = ask(cluster, 0, b"put k w", 500.0)
    assert not write.ended
    cluster.nodes[2].learn_only(False)
    until(cluster, lambda: write.ended)
    assert write.outcome == "done"


def test_a_setting_of_the_start_is_told_as_well() -> None:
    cluster = SimCluster(1, 3, PATIENT, HANDLERS)
    cluster.nodes[2].learns_only = True
    cluster.start_all()
    cluster.found()
    wait(cluster, 100.0)
    assert cluster.nodes[0].shard.context.reach.resting == {2}
    assert ask(cluster, 0, b"put k v").outcome == "done"
    assert committed(cluster, 2) == 1


def test_a_word_that_is_lost_is_said_again_and_a_late_one_changes_nothing() -> None:
    cluster = cluster_of()
    cluster.weather.cuts.add((2, 0))
    cluster.nodes[2].learn_only(True)
    wait(cluster, 100.0)
    assert not cluster.nodes[0].shard.context.reach.resting
    cluster.weather.cuts.clear()
    wait(cluster, 1_100.0)
    assert cluster.nodes[0].shard.context.reach.resting == {2}
    standing = cluster.nodes[2].shard.context.standing
    late = standing.said(0, asks=False)
    cluster.nodes[2].learn_only(False)
    wait(cluster, 50.0)
    disk = cluster.nodes[2].disk.id
    cluster.nodes[0].step(Received(2, [late], 400, disk))
    wait(cluster, 50.0)
    assert not cluster.nodes[0].shard.context.reach.resting


def test_a_start_forgets_what_the_last_one_said() -> None:
    cluster = cluster_of((2,))
    cluster.kill(2)
    cluster.nodes[2].learns_only = False
    cluster.start(2)
    wait(cluster, 200.0)
    assert not cluster.nodes[0].shard.context.reach.resting


def test_a_late_word_of_an_earlier_start_changes_nothing() -> None:
    """Else its peers believe for ever that it learns only: who does not never says so (seed 86022118)."""
    cluster = cluster_of((2,))
    late = cluster.nodes[2].shard.context.standing.said(0, asks=False)
    cluster.kill(2)
    cluster.nodes[2].learns_only = False
    cluster.start(2)
    wait(cluster, 200.0)
    cluster.nodes[0].step(Received(2, [late], 400, cluster.nodes[2].disk.id))
    wait(cluster, 200.0)
    assert not cluster.nodes[0].shard.context.reach.resting


def test_of_five_two_may_learn_only() -> None:
    cluster = cluster_of((3, 4), nodes=5)
    assert ask(cluster, 0, b"put k v").outcome == "done"
    assert [committed(cluster, node) for node in range(5)] == [1] * 5
    cluster.kill(1)
    wait(cluster, 50.0)
    assert ask(cluster, 0, b"put k w", 250.0).outcome == "NOQUORUM"


def test_a_peer_that_lost_its_disk_comes_back_beside_a_node_that_learns_only() -> None:
    """Who learns only knows what it has voted for: its word on floors counts (rule 19c)."""
    cluster = cluster_of()
    assert ask(cluster, 0, b"put k v").outcome == "done"
    cluster.nodes[2].learn_only(True)
    wait(cluster, 20.0)
    cluster.kill(1)
    cluster.nodes[1].change_disk(cluster.new_disk())
    cluster.start(1)
    wait(cluster, 2_000.0)
    assert cluster.nodes[1].shard.progress.done
    assert ask(cluster, 1, b"put k w").outcome == "done"
    assert ask(cluster, 0, b"get k", read_only=True).outcome == "w"
