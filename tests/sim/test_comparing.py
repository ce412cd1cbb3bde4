"""Replicas of a whole cluster are compared: while they are written, while one is away, where one disk is not like the others."""

from __future__ import annotations

import json

from paxosstore.core.batch.overlay import DATA
from paxosstore.core.batch.request import Request
from paxosstore.core.interface.comparison import Compared, Comparison
from paxosstore.core.interface.event import Compare, Renew
from paxosstore.errors import PaxosStoreError
from paxosstore.settings import TuningSettings
from paxosstore.sim.cluster import SimCluster
from paxosstore.sim.workload import STANDARD

E = 1
RATE = 1e9


class Write(Request):
    """Adds one to a counter, and begins again when it has an outcome."""

    handler = "standard"

    def __init__(self, cluster: SimCluster, node: int, name: str, gap_ms: float = 0.0) -> None:
        super().__init__(E, deadline_ms=cluster.nodes[node].monotonic_ms() + 5_000.0)
        self.cluster, self.node, self.name, self.gap_ms = cluster, node, name, gap_ms
        self.done = False

    def payload(self) -> bytes:
        return json.dumps([self.name, "add", [1]]).encode()

    def evaluate(self, view: object) -> bytes:
        return STANDARD.handlers["standard"](view, self.payload())  # type: ignore[arg-type]  # it is a view

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self.done = True
        if self.gap_ms:
            again = Write(self.cluster, self.node, self.name, self.gap_ms)
            self.cluster.after(self.gap_ms, lambda: self.cluster.nodes[self.node].step(again))


def cluster(rows: int = 3, **tuning: object) -> SimCluster:
    """Three nodes, and so many rows in entity E."""
    found = SimCluster(1, 3, TuningSettings(**tuning), STANDARD.handlers)  # type: ignore[arg-type]  # of each field's type
    found.start_all()
    found.found()
    writes = [Write(found, 0, f"counter:{number:04}") for number in range(rows)]
    for write in writes:
        found.nodes[0].step(write)
    while not all(write.done for write in writes):
        found.run_until(found.now_ms + 10.0)
    found.run_until(found.now_ms + 100.0)
    return found


def compare(on: SimCluster, node: int = 0, rate: float = RATE, for_ms: float = 20_000.0) -> Compared:
    comparison = Comparison(E, rate)
    on.nodes[node].step(Compare(comparison))
    last_ms = on.now_ms + for_ms
    while comparison.result is None and on.now_ms < last_ms:
        on.run_until(on.now_ms + 1.0)
    assert comparison.result is not None
    return comparison.result


def key(number: int) -> bytes:
    return DATA + b"counter:%04d" % number


def test_what_is_equal_is_found_equal_piece_by_piece() -> None:
    found = compare(cluster(40, snapshot_piece_bytes=100))
    assert found.is_equal
    assert found.nodes == (0, 1, 2)
    assert found.rows == 40
    assert found.size == sum(len(key(number)) + 1 for number in range(40))


def test_rows_that_differ_are_named_and_it_is_remembered_until_they_do_not() -> None:
    on = cluster(40, snapshot_piece_bytes=100)
    disk = on.nodes[2].store
    kept = [disk.rot(E, key(at), value) for at, value in ((3, b"33"), (17, None), (39, b"1 "))]
    disk.rot(E, key(99), b"1")
    found = compare(on)
    assert [one.key for one in found.keys] == [key(3), key(17), key(39), key(99)]
    assert (found.differing, found.odd) == (4, (2,))
    assert on.nodes[0].shard.comparer.differing == {E: found}
    assert on.counters()["entities_differing"] == 1
    for at, value in zip((3, 17, 39, 99), [*kept, None], strict=True):
        disk.rot(E, key(at), value)
    assert compare(on).is_equal
    assert on.nodes[0].shard.comparer.differing == {}


def test_a_node_whose_data_is_gone_differs_in_all_of_it() -> None:
    on = cluster(40, snapshot_piece_bytes=100)
    for number in range(40):
        on.nodes[0].store.rot(E, key(number), None)
    found = compare(on, node=0)
    assert (found.differing, found.odd, len(found.keys)) == (40, (0,), 16)


def test_who_is_away_is_left_out_and_named() -> None:
    on = cluster()
    on.kill(2)
    on.run_until(on.now_ms + 10.0)
    found = compare(on)
    assert (found.nodes, found.missing, found.differing) == ((0, 1), {2: "is down"}, 0)
    on.kill(1)
    on.run_until(on.now_ms + 10.0)
    assert compare(on).nodes == ()


def test_who_does_not_answer_is_left_out() -> None:
    on = cluster(snapshot_timeout_ms=500.0)
    on.nodes[1].suspended = True
    found = compare(on)
    assert (found.nodes, found.missing) == ((0, 2), {1: "does not answer"})


def test_a_difference_that_is_found_without_one_node_stays_until_those_that_differ_are_compared_again() -> None:
    on = cluster()
    before = on.nodes[2].store.rot(E, key(0), b"33")
    compare(on)
    on.kill(2)
    on.run_until(on.now_ms + 10.0)
    assert compare(on).differing == 0
    assert set(on.nodes[0].shard.comparer.differing) == {E}
    on.nodes[2].store.rot(E, key(0), before)
    on.start(2)
    on.run_until(on.now_ms + 1_000.0)
    assert compare(on).is_equal
    assert on.nodes[0].shard.comparer.differing == {}


def test_an_entity_that_is_written_all_the_time_is_compared_while_writes_go_on() -> None:
    on = cluster(10, snapshot_piece_bytes=20)
    for node in range(3):
        for client in range(3):
            on.nodes[node].step(Write(on, node, f"counter:busy{client}", gap_ms=0.1))
    on.run_until(on.now_ms + 100.0)
    written = on.counters()["entries_applied"]
    for node in range(3):
        assert compare(on, node).is_equal
    assert on.counters()["entries_applied"] > written + 30
    assert on.counters()["compare_attempts"] > 3


def test_a_node_that_lags_is_helped_and_waited_for() -> None:
    on = cluster()
    on.weather.cuts = {(0, 2), (1, 2)}
    write = Write(on, 0, "counter:0000")
    on.nodes[0].step(write)
    on.run_until(on.now_ms + 100.0)
    assert write.done
    assert on.nodes[2].store.committed_entry(E) < on.nodes[0].store.committed_entry(E)
    on.weather.cuts = set()
    assert compare(on).is_equal


def test_a_rate_is_kept_and_long_comparisons_take_new_views() -> None:
    on = cluster(400, snapshot_piece_bytes=100)
    began = on.now_ms
    found = compare(on, rate=200.0, for_ms=60_000.0)
    assert found.is_equal
    assert found.rows == 400
    assert on.now_ms - began > 20_000.0
    assert on.counters()["compare_attempts"] >= 3


def test_nobody_is_told_of_a_comparison_that_was_cancelled_and_its_views_are_closed() -> None:
    on = cluster(40, snapshot_piece_bytes=100)
    comparison = Comparison(E, 1_000.0)
    on.nodes[0].step(Compare(comparison))
    on.run_until(on.now_ms + 200.0)
    assert any(node.shard.comparer.views for node in on.nodes)
    comparison.cancelled = True
    on.run_until(on.now_ms + 1_000.0)
    assert comparison.result is None
    assert not any(node.shard.comparer.views for node in on.nodes)
    assert not any(node.store._views for node in on.nodes)


def test_data_that_is_wrong_is_renewed_from_a_peer_whose_data_is_right_and_votes_stay() -> None:
    on = cluster(40, snapshot_piece_bytes=100)
    for number in (3, 17):
        on.nodes[2].store.rot(E, key(number), b"wrong")
    assert compare(on).odd == (2,)
    rows = dict(on.nodes[2].store.rows)
    on.nodes[2].step(Renew(E, 0))
    on.run_until(on.now_ms + 2_000.0)
    assert on.nodes[2].shard.context.counters.snapshots_installed == 1
    assert on.nodes[2].store.rows == rows
    assert compare(on).is_equal
    write = Write(on, 2, "counter:0003")
    on.nodes[2].step(write)
    on.run_until(on.now_ms + 1_000.0)
    assert write.done
    assert compare(on).is_equal


def test_data_is_renewed_from_nobody_else_than_who_was_named() -> None:
    on = cluster(40, snapshot_piece_bytes=100, snapshot_timeout_ms=200.0)
    on.kill(0)
    on.run_until(on.now_ms + 10.0)
    on.nodes[2].step(Renew(E, 0))
    on.run_until(on.now_ms + 5_000.0)
    assert on.nodes[2].shard.context.counters.snapshots_to_renew == 1
    assert on.nodes[2].shard.context.counters.snapshots_installed == 0
    found = on.nodes[2].shard.entity(E)
    assert found is not None
    assert found.install is None  # it is served as it was


def test_a_row_that_is_large_for_the_rate_does_not_let_the_views_end() -> None:
    """Else the comparison would begin anew for ever."""
    on = cluster(4, snapshot_piece_bytes=10, snapshot_timeout_ms=200.0)
    assert compare(on, rate=10.0).is_equal
    assert not any(node.shard.context.counters.views_abandoned for node in on.nodes)
