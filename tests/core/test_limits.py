"""What a node holds in memory is bounded in bytes: requests that wait, values under proposal, mail for what is being loaded."""

from __future__ import annotations

import pytest

from paxosstore.core.batch.overlay import View
from paxosstore.core.batch.request import REQUEST_BYTES
from paxosstore.core.interface.event import Loaded, Received, Tick
from paxosstore.core.interface.message import (
    CatchUpReply,
    CatchUpRequest,
    HandedBack,
    HandOver,
    Message,
    PaxosMessage,
)
from paxosstore.core.shard.shard import Shard
from paxosstore.core.turn.context import Context, Identity
from paxosstore.errors import OutcomeUnknown, Overloaded
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.sim.cluster import SimCluster
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.memory import MemoryStore

from .support import HANDLERS, Operation, uuid

ENTITY = 7


class Heavy(Operation):
    """Carries so many bytes."""

    def __init__(self, entity: int, operation: bytes, size: int, *, read_only: bool = False) -> None:
        super().__init__(entity, operation, read_only=read_only)
        self.size = size


class Append(Operation):
    """Writes much more than it carries."""

    def evaluate(self, view: View) -> bytes:
        view.put(b"k", b"x" * 10_000)
        return b"done"


def cluster_of(tuning: TuningSettings) -> SimCluster:
    cluster = SimCluster(1, 3, tuning, HANDLERS)
    cluster.start_all()
    cluster.found()
    cluster.run_until(50.0)
    return cluster


def end(cluster: SimCluster, *requests: Operation) -> list[str]:
    last = cluster.now_ms + 30_000.0
    while not all(request.ended for request in requests) and cluster.now_ms < last:
        cluster.run_until(cluster.now_ms + 1.0)
    cluster.run_until(cluster.now_ms + 50.0)
    return [request.outcome for request in requests]


def lone_shard(**limits: float) -> tuple[Shard, Context]:
    tuning = TuningSettings(**limits)  # type: ignore[arg-type]  # all of them are numbers
    shard = Shard(Identity(ClusterSettings("test"), tuning, 0, 1), MemoryStore(), MsgpackBodyCodec(), HANDLERS)
    return shard, shard.context


def test_requests_that_wait_are_bounded_in_bytes_over_all_entities() -> None:
    shard, context = lone_shard(max_waiting_bytes=10 * (1_000 + REQUEST_BYTES))
    requests = [Heavy(entity, b"put k 1", 1_000, read_only=entity % 2 == 0) for entity in range(12)]
    for request in requests:
        shard.step(request, 0.0, 0)
    outcomes = {outcome.request: outcome.error for outcome in shard.ready().early.outcomes}
    assert list(outcomes) == requests[10:]
    assert all(isinstance(error, Overloaded) and "max_waiting_bytes" in str(error) for error in outcomes.values())
    assert context.waiting_bytes == 10 * (1_000 + REQUEST_BYTES)
    shard.stop([])
    assert context.waiting_bytes == 0


def test_small_requests_count_as_well() -> None:
    shard, _ = lone_shard(max_waiting_bytes=100 * REQUEST_BYTES)
    for _ in range(150):
        shard.step(Heavy(ENTITY, b"get k", 0, read_only=True), 0.0, 0)
    assert len(shard.ready().early.outcomes) == 50


def test_a_request_that_carries_too_much_is_refused_before_it_waits() -> None:
    shard, context = lone_shard(max_request_bytes=1_000)
    shard.step(Heavy(ENTITY, b"put k 1", 1_001), 0.0, 0)
    ready = shard.ready()
    (outcome,) = ready.early.outcomes
    assert outcome.error is not None
    assert outcome.error.code == "TOOLARGE"
    assert "max_request_bytes" in str(outcome.error)
    assert context.waiting_bytes == 0
    assert ready.loads == []


def test_what_peers_hand_over_counts_and_is_handed_back() -> None:
    shard, context = lone_shard(max_waiting_bytes=5_000)
    messages = [HandOver(ENTITY, uuid(f"u{number}"), "operation", b"put k " + b"x" * 1_500, 1, 1_000, b"") for number in range(4)]
    shard.step(Received(1, messages[:1]), 0.0, 0)
    ready = shard.ready()
    assert ready.loads == [ENTITY]
    shard.step(MemoryStore().load(ENTITY), 0.0, 0)
    shard.step(Received(1, messages[1:]), 0.0, 0)
    back = [message for _, message in shard.ready().early.messages if isinstance(message, HandedBack)]
    assert [(message.uuid, message.code) for message in back] == [(uuid("u2"), "OVERLOADED"), (uuid("u3"), "OVERLOADED")]
    assert context.waiting_bytes <= 5_000


def test_mail_for_an_entity_that_is_being_loaded_is_bounded_in_bytes() -> None:
    shard, context = lone_shard(max_waiting_bytes=50_000)
    proposal = PaxosMessage(ENTITY, 1, 2, 2, 0, False, b"v" * 16, b"x" * 10_000, 0, True, False)
    shard.step(Received(1, [proposal] * 100), 0.0, 0)
    assert context.waiting_bytes <= 50_000
    assert context.counters.messages_dropped == 96
    shard.step(Received(1, [HandOver(ENTITY, uuid("u"), "operation", b"x" * 10_000, 1, 1_000, b"")]), 0.0, 0)
    assert [message.code for _, message in shard.ready().early.messages if isinstance(message, HandedBack)] == ["OVERLOADED"]
    shard.step(MemoryStore().load(ENTITY), 0.0, 0)
    assert context.waiting_bytes == 0


def test_reads_that_gather_are_bounded_in_number() -> None:
    shard, _ = lone_shard(max_queue_requests=3)
    shard.step(Operation(ENTITY, b"get k", read_only=True), 0.0, 0)
    shard.ready()
    shard.step(MemoryStore().load(ENTITY), 0.0, 0)
    for _ in range(5):
        shard.step(Operation(ENTITY, b"get k", read_only=True), 0.0, 0)
    errors = [str(outcome.error) for outcome in shard.ready().early.outcomes]
    assert len(errors) == 3
    assert all("max_queue_requests" in error for error in errors)


def test_values_under_proposal_are_bounded_in_bytes_and_all_get_their_turn() -> None:
    cluster = cluster_of(TuningSettings(max_in_flight_bytes=50_000))
    most = 0

    def note(node: object) -> None:
        nonlocal most
        most = max(most, *(one.shard.context.in_flight_bytes for one in cluster.nodes))

    cluster.on_turn = note
    requests = [Append(entity, b"") for entity in range(100)]
    for request in requests:
        cluster.nodes[0].step(request)
    assert set(end(cluster, *requests)) == {"done"}
    assert 50_000 <= most <= 61_000
    assert cluster.counters()["proposals_held"] > 0
    assert {one.shard.context.in_flight_bytes for one in cluster.nodes} == {0}


def test_what_is_held_back_still_has_its_deadline() -> None:
    cluster = cluster_of(TuningSettings(max_in_flight_bytes=1, request_timeout_ms=200.0, no_majority_ms=60_000.0))
    cluster.weather.cuts = {(0, 1), (0, 2), (1, 0), (2, 0)}
    requests = [Append(entity, b"") for entity in range(5)]
    for request in requests:
        cluster.nodes[0].step(request)
    assert sorted(end(cluster, *requests)) == ["NOQUORUM"] * 4 + ["UNKNOWN"]


def test_nothing_is_held_any_more_when_all_has_ended_whatever_went_wrong() -> None:
    tuning = TuningSettings(lease_ms=1.0, request_timeout_ms=300.0, max_waiting_bytes=5_000, max_in_flight_bytes=60)
    cluster = SimCluster(3, 3, tuning, HANDLERS)
    cluster.weather.loss = 0.1
    cluster.start_all()
    cluster.found()
    rng = cluster.random
    requests = []
    for number in range(400):
        read_only = rng.random() < 0.3
        node = cluster.nodes[rng.randrange(3)]
        requests.append(Operation(rng.randrange(5), b"get c" if read_only else b"incr c", read_only=read_only))
        if node.up:
            node.step(requests[-1])
        if number % 40 == 20:
            cluster.nodes[number % 3].store.fail_next_write = Overloaded("as asked")
        if number % 100 == 50:
            cluster.lose_connection(0, 1)
        if number % 100 == 80:
            cluster.connect(0, 1)
        cluster.run_until(cluster.now_ms + rng.expovariate(0.5))
    cluster.weather.loss = 0.0
    for node in cluster.nodes:
        node.store.fail_next_write = None
        cluster.allow_writes(node.number, "")
    cluster.run_until(cluster.now_ms + 5_000.0)
    assert len({request.outcome for request in requests}) > 3
    for node in cluster.nodes:
        assert node.shard.context.waiting_bytes == 0
        assert node.shard.context.in_flight_bytes == 0


def test_after_a_long_absence_only_some_entities_ask_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = cluster_of(TuningSettings(max_catch_ups=5))
    cluster.kill(2)
    entities = range(300)
    requests = [Operation(entity, b"put k 1") for entity in entities]
    for request in requests:
        cluster.nodes[0].step(request)
    assert set(end(cluster, *requests)) == {"done"}
    send = cluster.send
    outstanding = most = 0

    def counting(sender: int, receiver: int, messages: list[Message]) -> None:
        nonlocal outstanding, most
        if sender == 2:
            outstanding += sum(isinstance(message, CatchUpRequest) for message in messages)
        else:
            outstanding -= sum(isinstance(message, CatchUpReply) for message in messages)
        most = max(most, outstanding)
        send(sender, receiver, messages)

    monkeypatch.setattr(cluster, "send", counting)
    cluster.start(2)
    cluster.run_until(cluster.now_ms + 3_000.0)
    assert [cluster.nodes[2].store.committed_entry(entity) for entity in entities] == [1] * 300
    assert most == 5
    assert cluster.counters()["catchups_held"] > 0


def test_entities_whose_peers_are_silent_do_not_keep_the_others_from_asking() -> None:
    """Nobody knows the missing entry of the first ones: they give up their places in turn."""
    cluster = cluster_of(TuningSettings(max_catch_ups=2, retry_ms=20.0))
    cluster.kill(2)
    requests = [Operation(entity, b"put k 1") for entity in range(20)]
    for request in requests:
        cluster.nodes[0].step(request)
    end(cluster, *requests)
    cluster.start(2)
    cluster.weather.loss = 0.5
    cluster.run_until(cluster.now_ms + 20_000.0)
    assert [cluster.nodes[2].store.committed_entry(entity) for entity in range(20)] == [1] * 20


def test_a_large_value_is_not_kept_for_those_that_were_not_asked() -> None:
    cluster = cluster_of(TuningSettings(notice_ms=1_000.0))
    end(cluster, Operation(ENTITY, b"put k 1"))
    first = [Operation(ENTITY, b"put k 1"), Operation(ENTITY, b"put k " + b"x" * 100_000)]
    for request in first:
        cluster.nodes[0].step(request)
        end(cluster, request)
        entity = cluster.nodes[0].shard.entity(ENTITY)
        assert entity is not None
        assert bool(entity.news.untold) == (request is first[0])


def test_some_entities_only_are_loaded_at_one_time() -> None:
    shard, context = lone_shard(max_loads=3)
    for entity in range(7):
        shard.step(Operation(entity, b"get k", read_only=True), 100.0, 0)
    shard.step(Tick(), 100.0, 0)
    assert [shard.ready().loads for _ in range(2)] == [[0, 1, 2], []]
    assert shard.next_deadline_ms > 100.0, "it does not look again and again meanwhile"
    for entity in (1, 0):
        shard.step(Loaded(entity, 0, [], 0, b""), 100.0, 0)
    assert shard.ready().loads == [3, 4]
    assert context.loading == 3


def test_who_waits_too_long_for_the_disk_is_told_that_it_is_busy() -> None:
    shard, context = lone_shard(max_load_wait_ms=200.0, request_timeout_ms=1_000.0)
    first, later = (Operation(ENTITY, b"get k", read_only=True) for _ in range(2))
    shard.step(first, 100.0, 0)
    shard.step(later, 250.0, 0)
    shard.ready()
    assert shard.next_deadline_ms <= 150.0
    shard.step(Tick(), 299.0, 0)
    assert not shard.ready().early.outcomes
    shard.step(Tick(), 350.0, 0)
    [(request, _, error)] = shard.ready().early.outcomes
    assert request is first
    assert isinstance(error, Overloaded)
    assert "max_load_wait_ms" in str(error)
    assert context.counters.refused_while_loading == 1


def test_a_copy_may_run_of_what_was_handed_over_before_so_it_is_not_called_refused() -> None:
    shard, _ = lone_shard(max_load_wait_ms=200.0, request_timeout_ms=1_000.0)
    request = Operation(ENTITY, b"incr c")
    request.exposed = True
    shard.step(request, 100.0, 0)
    shard.ready()
    shard.step(Tick(), 500.0, 0)
    assert not shard.ready().early.outcomes
    shard.step(Tick(), 1_100.0, 0)
    [(_, _, error)] = shard.ready().early.outcomes
    assert isinstance(error, OutcomeUnknown)
