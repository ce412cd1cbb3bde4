"""What a whole shard promises its callers, on the simulated cluster: bounds, refusals, requests for one entry, limits."""

from __future__ import annotations

import pytest

from paxosstore.core.batch.overlay import DATA, UUID, Overlay, View
from paxosstore.core.batch.request import digest_of
from paxosstore.core.entity.entity import Entity
from paxosstore.core.interface.event import Tick
from paxosstore.core.interface.ready import Release
from paxosstore.core.turn.context import Context
from paxosstore.errors import InvalidRequest, NotServing, OutcomeUnknown
from paxosstore.settings import TuningSettings
from paxosstore.sim.cluster import SimCluster

from ..pure import PURE_ONLY
from .support import HANDLERS, Operation, uuid

ENTITY = 7


def cluster_of(nodes: int = 3, tuning: TuningSettings | None = None, uuid_window_entries: int = 64) -> SimCluster:
    cluster = SimCluster(1, nodes, tuning, HANDLERS, uuid_window_entries)
    cluster.start_all()
    cluster.found()
    return cluster


def submit(
    cluster: SimCluster, node: int, text: str, name: str = "", *, floor: int = 0, read_only: bool = False, entity: int = ENTITY
) -> Operation:
    """Hand a request in; let time pass with `end`."""
    request = Operation(entity, text.encode(), uuid=uuid(name) if name else b"", floor=floor, read_only=read_only)
    cluster.nodes[node].step(request)
    return request


def end(cluster: SimCluster, *requests: Operation) -> list[str]:
    """Let time pass until all have ended, and what was sent has arrived."""
    last = cluster.now_ms + 30_000.0
    while not all(request.ended for request in requests) and cluster.now_ms < last:
        cluster.run_until(cluster.now_ms + 1.0)
    cluster.run_until(cluster.now_ms + 50.0)
    return [request.outcome for request in requests]


def do(cluster: SimCluster, node: int, text: str, name: str = "", *, floor: int = 0, read_only: bool = False) -> str:
    return end(cluster, submit(cluster, node, text, name, floor=floor, read_only=read_only))[0]


def run_at(cluster: SimCluster, node: int, entry: int, *uuids: str) -> Operation:
    """run_paxos: a request for exactly this entry."""
    request = Operation(ENTITY, b"incr c")
    request.at_entry = entry
    request.more_uuids = tuple(uuid(name) for name in uuids)
    cluster.nodes[node].step(request)
    end(cluster, request)
    return request


class Forger(Operation):
    """It writes past the view, where nothing is checked."""

    def evaluate(self, view: View) -> bytes:
        assert isinstance(view, Overlay)
        view.batch.writes[DATA + b"forged"] = object()  # type: ignore[assignment]  # that is the point
        return b"done"


def test_a_batch_that_cannot_be_written_costs_nobody_but_its_author() -> None:
    cluster = cluster_of()
    do(cluster, 0, "put k 0")
    waiting = submit(cluster, 0, "incr c")
    forger = Forger(ENTITY, b"")
    cluster.nodes[0].step(forger)
    others = [submit(cluster, 0, "incr c") for _ in range(3)]
    assert end(cluster, waiting, forger, *others) == ["1", "INVALID", "2", "3", "4"]
    assert cluster.counters()["batches_unwritable"] > 0
    assert all(node.up for node in cluster.nodes)


def test_a_write_stands_at_a_later_entry_than_any_read_before_it() -> None:
    cluster = cluster_of()
    for entry in range(1, 4):
        assert [do(cluster, node, "entry", read_only=True) for node in range(3)] == [str(entry - 1)] * 3
        assert do(cluster, entry % 3, "entry k") == str(entry)
    waiting = submit(cluster, 0, "put k 0")
    together = [submit(cluster, 0, "entry k") for _ in range(3)]
    assert end(cluster, waiting, *together) == ["done", "4", "4", "4"]
    assert do(cluster, 2, "entry", read_only=True) == "4"


def test_another_request_under_a_uuid_is_refused_at_whichever_node() -> None:
    cluster = cluster_of()
    do(cluster, 0, "put k 0")
    told = []
    for node, text in ((1, "incr c"), (2, "incr c"), (0, "incr c"), (1, "put k 1"), (2, "put k 1"), (0, "put k 1")):
        request = Operation(ENTITY, text.encode(), uuid=uuid("a"))
        request.digest = digest_of("operation", request.operation)
        cluster.nodes[node].step(request)
        told += end(cluster, request)
    assert told == ["1"] * 3 + ["UUIDREUSED"] * 3
    assert cluster.counters()["handed_over"] > 0
    assert cluster.counters()["uuids_reused"] >= 3
    assert do(cluster, 0, "get k") == "0"


def test_another_request_is_refused_while_the_first_is_being_handed_over() -> None:
    cluster = cluster_of()
    do(cluster, 0, "put k 0")
    requests = [Operation(ENTITY, text, uuid=uuid("a")) for text in (b"incr c", b"put k 1", b"incr c")]
    for request in requests:
        request.digest = digest_of("operation", request.operation)
        cluster.nodes[1].step(request)
    assert end(cluster, *requests) == ["1", "UUIDREUSED", "UNKNOWN"]


def test_another_request_under_a_uuid_is_not_called_refused_while_a_copy_of_it_may_still_run() -> None:
    """Seed 100017: the copy ran when the first request's uuid was remembered no longer."""
    cluster = cluster_of()
    requests = [Operation(ENTITY, text, uuid=uuid("a")) for text in (b"incr c", b"put k 1")]
    told = []
    for node, request in enumerate(requests):
        request.digest = digest_of("operation", request.operation)
        cluster.nodes[node].step(request)
        told += end(cluster, request)
        cluster.weather.cuts = {(1, 0)}  # the second is handed over, does not arrive and is taken back
    assert told == ["1", "UNKNOWN"]
    assert cluster.counters()["handed_over_taken_back"] == 1


def test_a_request_that_is_taken_back_at_its_deadline_ends_then() -> None:
    """Seed 990502: each look at the deadlines found it between two peers, where nobody looked."""
    cluster = cluster_of()
    do(cluster, 0, "put k 0")
    cluster.weather.cuts = {(1, 0)}
    request = submit(cluster, 1, "incr c")
    shard = cluster.nodes[1].shard
    cluster.run_until(cluster.now_ms + 1.0)
    assert shard.waiting_requests == 1
    assert shard.context.counters.handed_over == 1
    shard.step(Tick(), request.deadline_ms, 0)
    assert shard.context.counters.handed_over_taken_back == 1, "it is taken back in the same turn"
    assert [outcome.request for outcome in shard.ready().early.outcomes] == [request]


class Wordless(Operation):
    """It cannot say its payload."""

    def payload(self) -> bytes:
        return "text"  # type: ignore[return-value]  # that is the point


def test_a_payload_that_is_no_bytes_reaches_no_link() -> None:
    cluster = cluster_of()
    do(cluster, 0, "put k 0")
    request = Wordless(ENTITY, b"incr c")
    cluster.nodes[1].step(request)
    assert end(cluster, request) == ["INVALID"]
    assert cluster.counters()["handed_over"] == 0


# -- requests for one entry


def test_a_request_for_the_next_entry_is_chosen_there_at_any_node() -> None:
    cluster = cluster_of()
    for entry, node in enumerate((0, 1, 2, 1), 1):
        assert run_at(cluster, node, entry, f"u{entry}").outcome == str(entry)
        assert {n.store.committed_entry(ENTITY) for n in cluster.nodes} == {entry}
    assert cluster.counters()["handed_over"] == 0, "it is proposed where it was computed"
    assert all(n.store.get(ENTITY, UUID + uuid("u3")) for n in cluster.nodes)


def test_a_filled_entry_is_wrong_and_so_is_one_too_far() -> None:
    cluster = cluster_of()
    do(cluster, 0, "put x 1")
    do(cluster, 0, "put x 2")
    assert [run_at(cluster, 1, entry).outcome for entry in (1, 2, 4)] == ["WRONGENTRY"] * 3
    assert run_at(cluster, 1, 3).outcome == "1"


def test_two_for_the_same_entry_one_wins() -> None:
    cluster = cluster_of()
    do(cluster, 0, "put x 1")
    requests = []
    for node in range(3):
        request = Operation(ENTITY, b"incr c")
        request.at_entry = 2
        cluster.nodes[node].step(request)
        requests.append(request)
    assert sorted(end(cluster, *requests)) == ["1", "WRONGENTRY", "WRONGENTRY"]
    assert cluster.nodes[0].store.get(ENTITY, DATA + b"c") == b"1"


def test_a_uuid_of_any_kind_of_request_is_applied_once() -> None:
    cluster = cluster_of()
    do(cluster, 0, "incr c", "a")
    assert run_at(cluster, 1, 2, "b", "a").outcome == "DUPLICATE"
    assert run_at(cluster, 1, 2, "b").outcome == "2"
    assert do(cluster, 2, "incr c", "b") == "2"


# -- uuids


def test_a_request_that_waited_too_long_elsewhere_is_of_unknown_outcome() -> None:
    cluster = cluster_of(uuid_window_entries=16)
    for _ in range(20):
        do(cluster, 0, "put x 1")
    assert do(cluster, 0, "incr c", "old", floor=4) == "UNKNOWN"
    assert do(cluster, 0, "incr c", "young", floor=5) == "1"


def test_the_window_is_pruned_everywhere_alike() -> None:
    cluster = cluster_of(uuid_window_entries=16)
    assert do(cluster, 1, "incr c", "a") == "1"
    for _ in range(16):
        do(cluster, 0, "put x 1")
    assert not any(node.store.get(ENTITY, UUID + uuid("a")) for node in cluster.nodes)
    assert len({node.store.content_hash() for node in cluster.nodes}) == 1


def test_a_uuid_has_16_bytes() -> None:
    cluster = cluster_of()
    request = Operation(ENTITY, b"incr c", uuid=b"short")
    cluster.nodes[0].step(request)
    assert end(cluster, request) == ["INVALID"]
    assert request.evaluations == 0


# -- limits


def test_catch_up_ends_at_its_limit_and_says_so() -> None:
    cluster = cluster_of(tuning=TuningSettings(max_commit_num=4))
    do(cluster, 0, "put x 0")
    cluster.kill(2)
    for number in range(1, 10):
        do(cluster, 0, f"put x {number}")
    cluster.start(2)
    found = []
    for _ in range(5):
        request = Operation(ENTITY, b"get x", read_only=True)
        request.commit_limit = 1  # the shard sets how many
        cluster.nodes[2].step(request)
        found += [end(cluster, request)[0]]
    assert found[0] == "COMMITLIMIT"
    assert found[-1] == "9"
    assert cluster.nodes[2].store.committed_entry(ENTITY) == 10


def test_a_full_queue_refuses() -> None:
    cluster = cluster_of(tuning=TuningSettings(max_queue_requests=3, max_batch_requests=1))
    do(cluster, 0, "put x 1")
    requests = [submit(cluster, 0, "incr c") for _ in range(6)]
    outcomes = end(cluster, *requests)
    assert outcomes == ["1", "2", "3", "OVERLOADED", "OVERLOADED", "OVERLOADED"]
    assert do(cluster, 0, "incr c") == "4", "what was refused did not happen"


def test_a_full_mailbox_refuses() -> None:
    cluster = cluster_of(tuning=TuningSettings(max_mailbox=2))
    requests = [submit(cluster, 0, "incr c") for _ in range(4)]
    assert end(cluster, *requests) == ["1", "2", "OVERLOADED", "OVERLOADED"]


def test_requests_that_wait_together_are_one_entry() -> None:
    cluster = cluster_of()
    do(cluster, 0, "put x 1")
    before = cluster.counters()["entries_proposed"]
    requests = [submit(cluster, 0, "incr c") for _ in range(50)]
    assert end(cluster, *requests) == [str(number) for number in range(1, 51)]
    assert cluster.counters()["entries_proposed"] - before == 1


def test_reads_that_wait_together_are_one_question() -> None:
    cluster = cluster_of()
    do(cluster, 0, "put x 1")
    before = cluster.counters()["read_questions"]
    requests = [submit(cluster, 1, "get x", read_only=True) for _ in range(50)]
    assert end(cluster, *requests) == ["1"] * 50
    assert cluster.counters()["read_questions"] - before == 1


def test_a_read_cannot_write() -> None:
    cluster = cluster_of()
    request = submit(cluster, 0, "put x 1", read_only=True)
    assert end(cluster, request) == [InvalidRequest.code]
    assert do(cluster, 0, "get x") == "nil"


def test_an_unknown_handler_is_the_callers_fault() -> None:
    class Elsewhere(Operation):
        handler = "elsewhere"

        def evaluate(self, view: View) -> bytes:
            return b"here"

    cluster = cluster_of()
    do(cluster, 0, "put x 1")
    request = Elsewhere(ENTITY, b"")
    cluster.nodes[1].step(request)
    assert end(cluster, request) == ["NOHANDLER"]
    assert "elsewhere" in str(request.error)


def test_requests_of_one_client_keep_their_order_across_a_hand_over() -> None:
    cluster = cluster_of()
    do(cluster, 0, "put x 1")
    requests = [submit(cluster, 1, "incr c") for _ in range(20)]
    assert end(cluster, *requests) == [str(number) for number in range(1, 21)]


def test_a_request_that_waited_longer_than_its_uuid_is_remembered_is_not_run_again() -> None:
    cluster = cluster_of(uuid_window_entries=16)
    do(cluster, 0, "incr c")
    cluster.weather.cuts = {(1, 0), (2, 0), (0, 1), (0, 2)}
    waiting = submit(cluster, 0, "incr c", "once")
    assert do(cluster, 1, "incr c", "once") == "2"
    for _ in range(20):
        do(cluster, 1, "put x 1")
    cluster.weather.cuts.clear()
    assert end(cluster, waiting) == ["UNKNOWN"]
    assert do(cluster, 2, "get c") == "2"


@pytest.mark.parametrize("wrong", [b"short", pytest.param("sixteen letters!", marks=PURE_ONLY)])
def test_a_uuid_that_is_none(wrong: object) -> None:
    cluster = cluster_of()
    request = Operation(ENTITY, b"incr c", uuid=wrong)  # type: ignore[arg-type]  # that is the point
    cluster.nodes[0].step(request)
    assert end(cluster, request) == ["INVALID"]


def test_what_was_handed_over_is_not_overtaken() -> None:
    cluster = cluster_of()
    do(cluster, 0, "put x 1")
    first = submit(cluster, 1, "incr c")  # handed over
    second = Operation(ENTITY, b"incr c")
    second.handler = ""  # type: ignore[misc]  # cannot be handed over
    cluster.nodes[1].step(second)
    assert end(cluster, first, second) == ["1", "2"]


def refuse_at_the_preferred_proposer(cluster: SimCluster, before: str, refused: str, after: str) -> list[Operation]:
    """Requests of one client to node 1, which hands them over; node 0 refuses those in the middle, and says so."""
    do(cluster, 0, "put k 0")
    cluster.weather.delay_ms = (1.0, 1.0)
    requests = []
    for texts in (before, refused, after):
        requests += [submit(cluster, 1, text) for text in texts.split("; ") if text]
        cluster.run_until(cluster.now_ms + 0.3)
    cluster.run_until(cluster.now_ms + 0.25)  # the first ones have arrived
    cluster.allow_writes(0, "almost full")
    cluster.run_until(cluster.now_ms + 0.3)
    cluster.allow_writes(0, "")
    cluster.run_until(cluster.now_ms + 1.6)
    entity = cluster.nodes[1].shard.entity(ENTITY)
    assert entity is not None
    assert len(entity.handover.returned) == len(refused.split("; "))
    return requests


def test_what_the_preferred_proposer_refuses_does_not_come_after_what_it_takes() -> None:
    cluster = cluster_of()
    requests = refuse_at_the_preferred_proposer(cluster, "put k 1", "put k 2; incr n", "put k 3; incr n")
    assert end(cluster, *requests) == ["done", "UNKNOWN", "UNKNOWN", "done", "1"]
    assert do(cluster, 0, "get k") == "3"


def test_what_the_preferred_proposer_refuses_is_proposed_here_in_order() -> None:
    cluster = cluster_of(tuning=TuningSettings(max_batch_requests=1))
    requests = refuse_at_the_preferred_proposer(cluster, "put k 1; incr n", "put k 2; put k 3", "")
    while not requests[0].ended:
        cluster.run_until(cluster.now_ms + 0.1)
    assert not requests[1].ended
    later = submit(cluster, 1, "incr k")
    assert end(cluster, *requests, later) == ["done", "1", "done", "done", "4"]


def test_at_its_end_a_node_ends_what_it_has_handed_over_and_what_has_come_back() -> None:
    cluster = cluster_of()
    requests = refuse_at_the_preferred_proposer(cluster, "put k 1", "put k 2", "put k 3")
    never_taken = Operation(ENTITY, b"put k 4")
    told = {outcome.request: outcome.error for outcome in cluster.nodes[1].shard.stop([never_taken]).outcomes}
    assert {request: type(error) for request, error in told.items()} == {
        **dict.fromkeys(requests, OutcomeUnknown),
        never_taken: NotServing,
    }


def test_a_node_without_room_is_asked_once_and_the_others_write_without_it() -> None:
    """It was the preferred proposer of all entities: whoever is refused there proposes at once, and is preferred from then on."""
    cluster = cluster_of()
    entities = range(20)
    end(cluster, *[submit(cluster, 0, "put k 1", entity=entity) for entity in entities])
    cluster.allow_writes(0, "full")
    end(cluster)
    before = cluster.counters()["handed_over"]
    for node in (1, 2):
        for entity in entities:
            request = submit(cluster, node, "incr n", entity=entity)
            cluster.run_until(cluster.now_ms + 8.0)
            assert request.outcome == str(node)
    refused_by_0, handed_to_1 = 1, len(entities)
    assert cluster.counters()["handed_over"] - before == refused_by_0 + handed_to_1


# -- rule 7


def run_under_load(seed: int) -> None:
    """The cluster compares every row that leaves a node with what that node's disk would hold after a crash."""
    cluster = SimCluster(seed, 3, TuningSettings(lease_ms=1.0), HANDLERS)
    cluster.weather.loss = 0.1
    cluster.weather.sync_ms = (0.5, 5.0)
    cluster.start_all()
    cluster.found()
    rng = cluster.random
    for number in range(150):
        read_only = rng.random() < 0.3
        operation = Operation(rng.choice((1, 2)), b"get c" if read_only else b"incr c m%d" % number, read_only=read_only)
        cluster.nodes[rng.randrange(3)].step(operation)
        cluster.run_until(cluster.now_ms + rng.expovariate(0.2))
    cluster.run_until(cluster.now_ms + 2_000.0)
    assert len(cluster.invariants.chosen) > 50


def test_nothing_leaves_that_a_crash_would_forget() -> None:
    for seed in range(4):
        run_under_load(seed)


@PURE_ONLY
def test_a_release_that_is_too_early_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def early(self: Context, entity: Entity) -> Release:
        return self.ready.early

    monkeypatch.setattr(Context, "release", early)
    with pytest.raises(AssertionError, match="not on its disk"):
        run_under_load(0)
