"""What one turn does at most, in units of work: the rest waits for the next turn, in order, and nobody is passed over."""

from __future__ import annotations

from paxosstore.core.batch.overlay import View
from paxosstore.core.interface.event import Received
from paxosstore.core.interface.message import CatchUpRequest
from paxosstore.core.shard.attendance import ATTEND_WORK
from paxosstore.core.turn.errands import LOAD_WORK, READ_WORK
from paxosstore.settings import TuningSettings
from paxosstore.sim.cluster import SimCluster
from paxosstore.sim.node import SimNode

from .support import HANDLERS, Operation

ENTITY = 7
MOST = 3_000
BIG = b"x" * 1_000_000
BIG_WORK = len(BIG) >> 10


class Turns:
    """What each turn of a node did."""

    def __init__(self, cluster: SimCluster, number: int) -> None:
        self.work: list[int] = []
        self.applied: list[int] = []
        self._number = number
        self._entries = 0
        cluster.on_turn = self._note

    def _note(self, node: SimNode) -> None:
        if node.number == self._number:
            context = node.shard.context
            self.work.append(context.work)
            self.applied.append(context.counters.entries_applied - self._entries)
            self._entries = context.counters.entries_applied


class Answered(Operation):
    """Notes in which order requests end."""

    def __init__(self, entity: int, operation: bytes, order: list[Operation], *, read_only: bool = False) -> None:
        super().__init__(entity, operation, read_only=read_only)
        self._order = order

    def settle(self, reply: bytes, error: object) -> None:
        super().settle(reply, error)  # type: ignore[arg-type]  # it is only passed on
        self._order.append(self)


class BigRead(Answered):
    def evaluate(self, view: View) -> bytes:
        return BIG


def cluster_of(max_turn_work: int = MOST) -> SimCluster:
    cluster = SimCluster(1, 3, TuningSettings(max_turn_work=max_turn_work, request_timeout_ms=60_000.0), HANDLERS)
    cluster.start_all()
    cluster.found()
    cluster.run_until(50.0)  # they have told each other what they have
    return cluster


def end(cluster: SimCluster, requests: list[Operation]) -> None:
    last = cluster.now_ms + 30_000.0
    while not all(request.ended for request in requests) and cluster.now_ms < last:
        cluster.run_until(cluster.now_ms + 1.0)


def write(cluster: SimCluster, *texts: bytes, node: int = 0) -> None:
    for text in texts:
        request = Operation(ENTITY, text)
        cluster.nodes[node].step(request)
        end(cluster, [request])
        assert request.outcome == "done"


def test_reads_of_large_values_are_spread_over_turns_in_order() -> None:
    cluster = cluster_of()
    write(cluster, b"put k 1")
    turns = Turns(cluster, 0)
    order: list[Operation] = []
    reads: list[Operation] = [BigRead(ENTITY, b"get k", order, read_only=True) for _ in range(50)]
    for read in reads:
        cluster.nodes[0].step(read)
    end(cluster, reads)
    assert order == reads
    assert max(turns.work) <= MOST + BIG_WORK + 100
    assert sum(turns.work) >= 50 * BIG_WORK


def test_what_was_written_meanwhile_is_not_starved_by_reads() -> None:
    cluster = cluster_of()
    write(cluster, b"put k 1")
    order: list[Operation] = []
    reads: list[Operation] = [BigRead(ENTITY, b"get k", order, read_only=True) for _ in range(200)]
    increment = Answered(ENTITY, b"incr c", order)
    for request in (*reads, increment):
        cluster.nodes[0].step(request)
    end(cluster, [*reads, increment])
    assert order.index(increment) < 100


def test_entities_take_turns() -> None:
    """Each has more to do than one turn holds."""
    cluster = cluster_of()
    loads = [Operation(entity, b"get k", read_only=True) for entity in range(10)]
    for load in loads:
        cluster.nodes[0].step(load)
    end(cluster, loads)
    order: list[Operation] = []
    reads: list[Operation] = [BigRead(entity, b"get k", order, read_only=True) for entity in range(10) for _ in range(12)]
    turns = Turns(cluster, 0)
    for read in reads:
        cluster.nodes[0].step(read)
    end(cluster, reads)
    firsts = [next(at for at, read in enumerate(order) if read.entity == entity) for entity in range(10)]
    assert max(firsts) < 40, "each has had its turn before any has had all"
    assert max(turns.work) <= MOST + BIG_WORK + 100


def test_many_entities_touched_at_once() -> None:
    cluster = cluster_of()
    requests = [Operation(entity, b"incr c") for entity in range(1_000)]
    turns = Turns(cluster, 0)
    for request in requests:
        cluster.nodes[0].step(request)
    end(cluster, requests)
    assert {request.outcome for request in requests} == {"1"}
    assert max(turns.work) <= MOST + LOAD_WORK + 2 * ATTEND_WORK
    assert cluster.counters()["turns_cut"] > 0


def test_many_entities_are_loaded_over_several_turns() -> None:
    shard = cluster_of().nodes[0].shard
    for entity in range(100):
        shard.step(Operation(entity, b"get k", read_only=True), 100.0, 0)
    loaded: list[int] = []
    while (ready := shard.ready()).loads:
        assert len(ready.loads) <= MOST // LOAD_WORK
        loaded += ready.loads
        shard.step(Operation(5_000, b"get k", read_only=True), 100.0, 0)  # waits for those before it
    assert loaded == [*range(100), 5_000]


def test_requests_of_entities_that_no_turn_has_come_to_end_with_the_node() -> None:
    cluster = cluster_of(max_turn_work=1)
    requests = [Operation(entity, b"incr c") for entity in range(20)]
    for request in requests:
        cluster.nodes[0].step(request)
    cluster.run_until(cluster.now_ms + 0.1)
    ended = {outcome.request for outcome in cluster.nodes[0].shard.stop([]).outcomes}
    assert ended == set(requests)


def test_catch_up_applies_large_entries_over_several_turns() -> None:
    cluster = cluster_of()
    write(cluster, b"put k 0")
    cluster.kill(2)
    for number in range(12):
        write(cluster, b"put k%d %b" % (number, BIG))
    turns = Turns(cluster, 2)
    cluster.start(2)
    cluster.run_until(cluster.now_ms + 5_000.0)
    assert cluster.nodes[2].store.committed_entry(ENTITY) == 13
    assert sum(turns.applied) == 12
    assert max(turns.work) <= MOST + BIG_WORK + READ_WORK + 100


def test_what_peers_ask_of_the_log_is_read_over_several_turns_and_once_each() -> None:
    cluster = cluster_of()
    asked = 40
    requests = [Operation(entity, b"put k 1") for entity in range(asked)]
    for request in requests:
        cluster.nodes[0].step(request)
    end(cluster, requests)
    cluster.run_until(cluster.now_ms + 100.0)
    shard = cluster.nodes[0].shard
    shard.step(Received(1, [CatchUpRequest(entity, 1, 64) for entity in range(asked)] * 3), cluster.now_ms, 0)
    read: list[int] = []
    for _ in range(asked):
        ready = shard.ready()
        assert len(ready.log_reads) <= MOST // READ_WORK + 1
        read += [log_read.entity for log_read in ready.log_reads]
        assert (shard.next_deadline_ms <= cluster.now_ms) == (len(read) < asked)
    assert read == list(range(asked))


class Visits(Answered):
    """Visits so many rows, and writes one."""

    rows = 1_000

    def evaluate(self, view: View) -> bytes:
        for _ in range(self.rows):
            view.get(b"k")
        if not self.read_only:
            view.put(b"k", b"1")
        return b"done"


def test_a_queue_of_long_requests_is_evaluated_over_several_turns_in_order() -> None:
    cluster = cluster_of()
    write(cluster, b"put k 1")
    turns = Turns(cluster, 0)
    order: list[Operation] = []
    requests: list[Operation] = [Visits(ENTITY, b"", order) for _ in range(30)]
    requests += [Visits(ENTITY, b"", order, read_only=True) for _ in range(30)]
    for request in requests:
        cluster.nodes[0].step(request)
    end(cluster, requests)
    assert [one for one in order if one.read_only] == [one for one in requests if one.read_only]
    assert [one for one in order if not one.read_only] == [one for one in requests if not one.read_only]
    assert max(turns.work) <= MOST + MOST // 2 + 2 * Visits.rows
    assert sum(turns.work) >= 60 * Visits.rows


def test_a_request_over_its_rows_is_refused_alone_and_names_the_setting() -> None:
    class Endless(Visits):
        rows = 10**9

    cluster = SimCluster(1, 3, TuningSettings(max_request_rows=500), HANDLERS)
    cluster.start_all()
    cluster.found()
    order: list[Operation] = []
    requests: list[Operation] = [Operation(ENTITY, b"incr c"), Endless(ENTITY, b"", order), Operation(ENTITY, b"incr c")]
    requests.append(Endless(ENTITY, b"", order, read_only=True))
    for request in requests:
        cluster.nodes[0].step(request)
    end(cluster, requests)
    assert [request.outcome for request in requests] == ["1", "TOOLARGE", "2", "TOOLARGE"]
    assert "max_request_rows" in str(requests[1].error)


def test_a_queue_of_repetitions_is_looked_up_over_several_turns() -> None:
    cluster = cluster_of(max_turn_work=100)
    names = [b"%016d" % number for number in range(300)]
    for repetition in range(2):
        requests: list[Operation] = [Operation(ENTITY, b"incr c", uuid=name) for name in names]
        turns = Turns(cluster, 0)
        for request in requests:
            cluster.nodes[0].step(request)
        end(cluster, requests)
        assert [request.outcome for request in requests] == [str(number) for number in range(1, 301)]
        assert max(turns.work) <= 400, repetition
    assert cluster.counters()["settled_by_uuid"] == 300
