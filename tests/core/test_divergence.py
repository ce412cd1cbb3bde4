"""Replicas that differ are noticed, and what is noticed is said and kept."""

from __future__ import annotations

import pytest

from paxosstore.core.batch.overlay import WriteBatch
from paxosstore.core.entity.divergence import REMEMBERED, Divergence, RecentIds, Stop, Unreadable, decode
from paxosstore.core.entry.ids import value_id
from paxosstore.core.entry.machine import EntryMachine
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.event import Received
from paxosstore.core.interface.message import (
    CatchUpReply,
    CatchUpRequest,
    Learned,
    Message,
    PaxosMessage,
    ReadAnswer,
    ReadQuestion,
    Stopped,
)
from paxosstore.errors import Diverged, OutcomeUnknown
from paxosstore.settings import TuningSettings
from paxosstore.sim.cluster import SimCluster
from paxosstore.sim.invariants import Invariants

from .support import HANDLERS, Operation

ENTITY = 7
FALSE = value_id(1, 99, 1)
V, W = Value(value_id(0, 7, 1), b""), Value(value_id(1, 8, 1), b"")


def row(ballot: int, value: Value, *, chosen: bool = False) -> Record:
    return Record(0, ballot, ballot, value, chosen)


@pytest.mark.parametrize(
    ("n", "mine", "seen", "theirs", "excluded"),
    [
        pytest.param(3, row(4, V, chosen=True), {}, row(5, W, chosen=True), V, id="two values called chosen"),
        pytest.param(3, row(4, V, chosen=True), {}, row(5, V, chosen=True), None, id="one value called chosen twice"),
        pytest.param(3, row(4, V, chosen=True), {2: row(5, W)}, row(5, W), V, id="a majority accepts another"),
        pytest.param(3, row(4, V, chosen=True), {1: row(5, W)}, row(5, W), None, id="one vote twice is no majority"),
        pytest.param(3, row(4, V, chosen=True), {2: row(6, W)}, row(5, W), None, id="two ballots are no majority"),
        pytest.param(5, row(4, V, chosen=True), {2: row(6, W)}, row(6, W), None, id="two of five are no majority"),
        pytest.param(3, row(4, V), {}, row(4, W), V, id="two values under one ballot, here and there"),
        pytest.param(3, Record(), {2: row(4, V)}, row(4, W), V, id="two values under one ballot, both there"),
        pytest.param(3, row(4, V), {}, row(5, W), None, id="a later ballot may have another value"),
        pytest.param(3, row(4, V), {}, row(5, W, chosen=True), None, id="what was accepted may lose"),
        pytest.param(3, row(4, V, chosen=True), {}, Record(0, 9), None, id="a promise says nothing of values"),
        pytest.param(3, row(1, V), {}, Record(2, 2, 0, W), None, id="a pre-auth proposal is no vote yet"),
    ],
)
def test_a_row_that_cannot_be_true_beside_what_is_known(
    n: int, mine: Record, seen: dict[int, Record], theirs: Record, excluded: Value | None
) -> None:
    machine = EntryMachine(n, 0, mine)
    for peer, known in seen.items():
        machine.witness(peer, known)
    assert machine.excluded(1, theirs) == (b"" if excluded is None else excluded.id)


def test_the_last_chosen_ids_are_remembered() -> None:
    recent = RecentIds()
    assert recent.at(0) == recent.at(1) == b""
    for entry in range(1, 11):
        recent.applied(entry, b"%d" % entry)
    assert [recent.at(entry) for entry in range(10, 10 - REMEMBERED, -1)] == [b"10", b"9", b"8", b"7"]
    assert recent.at(10 - REMEMBERED) == recent.at(11) == b""


def test_ids_from_before_a_jump_are_not_taken_for_those_after_it() -> None:
    recent = RecentIds()
    recent.applied(1, b"one")
    recent.applied(9, b"nine")
    assert [recent.at(entry) for entry in (1, 8, 9, 10)] == [b"", b"", b"nine", b""]


def test_what_was_noticed_is_kept_and_read_again() -> None:
    found = Divergence(12, V.id, W.id, 2)
    assert decode(found.encode()) == found


def test_whoever_is_told_learns_where_what_and_what_to_do() -> None:
    text = Divergence(12, V.id, W.id, 2).describe(7, 0)
    for part in ("entity 7", "node 0", "node 2", "entry 12", V.id.hex(), W.id.hex(), "inspect entity 7 --entries 12"):
        assert part in text


def test_nobody_is_told_to_try_again() -> None:
    assert not Diverged.retry
    assert Diverged.outcome_known


# -- on a cluster


class Silent(Invariants):
    """Says nothing: what is tested here is that the nodes do."""

    def written(self, *_: object) -> None: ...
    def durable(self, *_: object) -> None: ...
    def sent(self, *_: object) -> None: ...
    def told(self, *_: object) -> None: ...


class Differing(SimCluster):
    """Three nodes that have written; node 2 can be given another value than the others."""

    def __init__(self, writes: int = 1) -> None:
        super().__init__(1, 3, TuningSettings(request_timeout_ms=1_000.0), HANDLERS)
        self.invariants = Silent(3)
        for node in self.nodes:
            node._watch_disk()
        self.start_all()
        self.wait(50.0)
        self.write(writes)

    def wait(self, ms: float) -> None:
        self.run_until(self.now_ms + ms)

    def write(self, times: int, entity: int = ENTITY) -> None:
        for _ in range(times):
            assert self.do(0, entity, b"incr a").reply is not None

    def do(self, node: int, entity: int, operation: bytes, *, read_only: bool = False) -> Operation:
        request = Operation(entity, operation, read_only=read_only)
        self.nodes[node].step(request)
        self.wait(1_500.0)
        return request

    def falsify(self, node: int, entry: int) -> None:
        """As if its disk had forgotten a vote, and another value had been chosen there with it."""
        self.kill(node, self.nodes[node].store.unsynced)
        body = self.codec.encode(WriteBatch())
        self.nodes[node].store.write({(ENTITY, entry): Record(0, 6, 6, Value(FALSE, body), True)}, [])
        self.nodes[node].store.sync()

    def stopped(self) -> dict[int, Stop | None]:
        return {node.number: node.shard.context.stopped.get(ENTITY) for node in self.nodes}

    def expect_stopped(self, entry: int) -> None:
        """On every node, durably; and other entities go on."""
        for number, node in enumerate(self.nodes):
            for read_only in (False, True):
                refused = self.do(number, ENTITY, b"get a", read_only=read_only)
                assert isinstance(refused.error, Diverged), refused.error
                assert f"entry {entry}" in str(refused.error)
            found = self.stopped()[number]
            assert found is not None
            assert found.entry == entry
            assert (found.ours == FALSE) == (number == 2)
            assert node.store.load(ENTITY).stopped == found.encode()
        self.write(1, ENTITY + 1)
        assert self.do(2, ENTITY + 1, b"get a", read_only=True).reply == b"1"


@pytest.mark.parametrize("asked", [0, 1, 2])
@pytest.mark.parametrize("read_only", [True, False], ids=["read", "write"])
def test_whoever_is_asked_for_an_entity_whose_replicas_differ_stops_it(asked: int, read_only: bool) -> None:
    cluster = Differing()
    cluster.falsify(2, 1)
    cluster.start(2)
    cluster.wait(100.0)
    request = cluster.do(asked, ENTITY, b"incr a" if not read_only else b"get a", read_only=read_only)
    if request.error is None:  # the other two were quicker to agree
        assert asked != 2
    else:
        assert isinstance(request.error, Diverged if read_only else Diverged | OutcomeUnknown)
        assert "the replicas differ" in str(request.error)
    cluster.expect_stopped(1)


@pytest.mark.parametrize("behind", [1, REMEMBERED, REMEMBERED + 1, 200])
def test_a_replica_that_learns_what_it_has_missed_learns_that_it_differs(behind: int) -> None:
    cluster = Differing()
    cluster.falsify(2, 1)
    cluster.write(behind)
    cluster.start(2)
    cluster.wait(1_000.0)
    cluster.expect_stopped(1)


def test_a_value_that_is_too_large_to_be_read_with_others_is_compared_too() -> None:
    cluster = Differing(writes=0)
    assert cluster.do(0, ENTITY, b"put big " + bytes(2_000_000)).error is None
    cluster.kill(2, 0)
    cluster.write(REMEMBERED + 2)
    cluster.start(2)
    cluster.wait(1_000.0)
    assert set(cluster.stopped().values()) == {None}
    assert cluster.nodes[2].store.committed_entry(ENTITY) == REMEMBERED + 3
    assert cluster.nodes[2].shard.context.counters.rounds_full == 0


def test_a_stopped_entity_is_stopped_after_a_restart_too() -> None:
    cluster = Differing()
    cluster.falsify(2, 1)
    cluster.start(2)
    cluster.wait(50.0)
    cluster.do(0, ENTITY, b"get a", read_only=True)
    for node in range(3):
        cluster.kill(node, 0)
    for node in range(3):
        cluster.start(node)
    cluster.wait(100.0)
    cluster.expect_stopped(1)


def test_what_was_stopped_while_the_disk_takes_no_writes_is_kept_when_it_does() -> None:
    cluster = Differing()
    cluster.falsify(2, 1)
    cluster.nodes[0].store.full = True
    cluster.do(0, ENTITY + 1, b"incr a")
    cluster.start(2)
    cluster.wait(50.0)  # it answers when it is known
    cluster.do(0, ENTITY, b"get a", read_only=True)
    assert cluster.stopped()[0] is not None
    assert not cluster.nodes[0].store.load(ENTITY).stopped
    cluster.nodes[0].store.full = False
    cluster.allow_writes(0, "")
    cluster.wait(100.0)
    cluster.expect_stopped(1)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(PaxosMessage(ENTITY, 3, 0, 6, 6, True, FALSE, b"", 3, False, False), id="a row that says chosen"),
        pytest.param(PaxosMessage(ENTITY, 4, 5, 5, 0, False, b"", None, 3, True, False, FALSE), id="a row at the next entry"),
        pytest.param(ReadAnswer(ENTITY, 1, 3, 3, FALSE), id="an answer to a read question"),
        pytest.param(CatchUpReply(ENTITY, 3, [Learned(3, 6, FALSE, b"")]), id="a learned entry"),
        pytest.param(CatchUpRequest(ENTITY, 4, 1, FALSE), id="a request for what comes next"),
        pytest.param(Stopped(ENTITY, 3, FALSE), id="the word of one who has stopped"),
    ],
)
def test_each_message_that_shows_another_value_stops_the_entity(message: Message) -> None:
    cluster = Differing(writes=3)
    node = cluster.nodes[0]
    node.step(Received(1, [message]))
    cluster.wait(50.0)
    found = node.shard.context.stopped[ENTITY]
    assert isinstance(found, Divergence)
    assert (found.entry, found.theirs, found.peer) == (3, FALSE, 1)
    assert found.ours == node.store.rows[ENTITY, 3].value.id  # type: ignore[union-attr]  # it is chosen
    assert node.shard.context.counters.divergences_seen == 1


def test_a_write_under_way_is_unknown_when_the_entity_stops() -> None:
    cluster = Differing(writes=3)
    cluster.weather.cuts = {(1, 0), (2, 0)}
    cluster.wait(5.0)
    request = Operation(ENTITY, b"incr a")
    cluster.nodes[0].step(request)
    cluster.wait(50.0)
    assert not request.ended
    cluster.nodes[0].step(Received(1, [Stopped(ENTITY, 3, FALSE)]))
    cluster.wait(50.0)
    assert isinstance(request.error, OutcomeUnknown)
    assert "entity 7 is stopped" in str(request.error)
    assert cluster.nodes[0].shard.context.in_flight_bytes == 0


def test_two_values_under_one_ballot_stop_the_entity() -> None:
    cluster = Differing(writes=3)
    for peer, value in ((1, V), (2, W)):
        row = PaxosMessage(ENTITY, 4, 5 if peer == 1 else 0, 5, 5, False, value.id, value.body, 3, False, False)
        cluster.nodes[0].step(Received(peer, [row]))
    cluster.wait(50.0)
    assert cluster.stopped()[0] == Divergence(4, V.id, W.id, 2)


@pytest.mark.parametrize(
    "message",
    [
        PaxosMessage(ENTITY, 4, 5, 5, 0, False, b"", None, 3, True, False),
        ReadQuestion(ENTITY, 7),
        CatchUpRequest(ENTITY, 4, 1),
    ],
    ids=lambda message: type(message).__name__,
)
def test_whoever_asks_for_a_stopped_entity_is_told_what_is_known_here(message: Message) -> None:
    cluster = Differing(writes=3)
    cluster.nodes[0].step(Received(1, [Stopped(ENTITY, 3, FALSE)]))
    cluster.wait(50.0)
    found = cluster.stopped()[0]
    assert found is not None
    sent: list[tuple[int, int, list[Message]]] = []
    cluster.send = lambda *frame: sent.append(frame)  # type: ignore[method-assign]  # a spy
    cluster.nodes[0].step(Received(2, [message]))
    cluster.wait(50.0)
    assert sent == [(0, 2, [Stopped(ENTITY, 3, found.ours)])]


def test_a_request_is_not_tried_elsewhere_when_the_preferred_proposer_has_stopped_the_entity() -> None:
    cluster = Differing(writes=3)
    cluster.nodes[0].step(Received(1, [Stopped(ENTITY, 3, FALSE)]))
    cluster.wait(50.0)
    assert isinstance(cluster.do(1, ENTITY, b"incr a").error, Diverged)


# -- a chosen value that cannot be read


NONSENSE = Value(value_id(1, 77, 1), b"nonsense")


def learned(entry: int, *, more: bool = False) -> CatchUpReply:
    """A peer's word that nonsense was chosen there."""
    after = Learned(entry + 1, 6, W.id, b"\x92\xc2\x80")
    return CatchUpReply(ENTITY, entry + more, [Learned(entry, 6, *NONSENSE), after][: 1 + more])


def test_what_was_kept_of_a_value_that_cannot_be_read_is_read_again_by_earlier_versions_too() -> None:
    found = Unreadable(12, NONSENSE.id)
    assert decode(found.encode()) == found
    entry, ours, theirs, peer = found.encode().split(" ")
    assert (int(entry), bytes.fromhex(ours), bytes.fromhex(theirs), int(peer)) == (12, NONSENSE.id, b"", 1)
    for part in ("entity 7", "node 0", "node 1", "entry 12", NONSENSE.id.hex(), "another version", "resume 7", "OPERATING"):
        assert part in found.describe(7, 0)


@pytest.mark.parametrize("more", [False, True], ids=["the last one", "one with more after it"])
@pytest.mark.parametrize("message", ["row", "answer"])
def test_a_chosen_value_that_cannot_be_read_stops_its_entity_alone(message: str, more: bool) -> None:
    cluster = Differing(writes=3)
    node = cluster.nodes[0]
    row = PaxosMessage(ENTITY, 4, 0, 6, 6, True, *NONSENSE, 4, False, False)
    node.step(Received(1, [row, learned(4, more=more)] if message == "row" else [learned(4, more=more)]))
    cluster.wait(50.0)
    assert cluster.stopped()[0] == Unreadable(4, NONSENSE.id)
    assert node.shard.context.counters.values_unreadable == 1
    assert node.shard.context.counters.divergences_seen == 0
    assert node.store.load(ENTITY).committed == 3
    for read_only in (True, False):
        refused = cluster.do(0, ENTITY, b"get a", read_only=read_only)
        assert isinstance(refused.error, Diverged)
        assert "entry 4" in str(refused.error)
    cluster.write(2, ENTITY + 1)
    cluster.kill(0, 0)
    cluster.start(0)
    cluster.wait(100.0)
    assert isinstance(cluster.do(0, ENTITY, b"get a", read_only=True).error, Diverged), "it is stopped after a restart, too"
    cluster.write(1, ENTITY + 1)


def test_a_value_that_cannot_be_read_and_is_on_the_disk_already_stops_the_entity_when_it_is_loaded() -> None:
    cluster = Differing(writes=3)
    cluster.kill(0, 0)
    cluster.nodes[0].store.write({(ENTITY, 4): Record(0, 6, 6, NONSENSE, True)}, [])
    cluster.nodes[0].store.sync()
    cluster.start(0)
    cluster.wait(100.0)
    assert isinstance(cluster.do(0, ENTITY, b"get a", read_only=True).error, Diverged)
    assert cluster.stopped()[0] == Unreadable(4, NONSENSE.id)
    cluster.write(1, ENTITY + 1)


def test_the_own_batch_that_has_lost_to_a_value_that_cannot_be_read_is_refused() -> None:
    cluster = Differing(writes=3)
    cluster.weather.cuts = {(1, 0), (2, 0)}
    cluster.wait(5.0)
    request = Operation(ENTITY, b"incr a")
    cluster.nodes[0].step(request)
    cluster.wait(50.0)
    cluster.nodes[0].step(Received(1, [learned(4)]))
    cluster.wait(50.0)
    assert isinstance(request.error, Diverged | OutcomeUnknown)
    assert "entity 7 is stopped" in str(request.error)
    assert cluster.nodes[0].shard.context.in_flight_bytes == 0


def test_a_value_that_cannot_be_read_stops_the_entity_while_the_disk_takes_no_writes_too() -> None:
    cluster = Differing(writes=3)
    node = cluster.nodes[0]
    node.store.full = True
    cluster.do(0, ENTITY + 1, b"incr a")
    assert node.shard.context.cannot_write
    cluster.weather.cuts = {(1, 0), (2, 0)}
    cluster.wait(5.0)
    request = Operation(ENTITY, b"get a", read_only=True)
    node.step(request)
    cluster.wait(5.0)
    entity = node.shard.entity(ENTITY)
    assert entity is not None
    assert entity.reads.asked is not None
    node.step(Received(1, [ReadAnswer(ENTITY, entity.reads.asked.number, 4, 4)]))
    node.step(Received(1, [learned(4)]))
    cluster.wait(500.0)
    assert isinstance(request.error, Diverged), request.error
    assert not node.store.load(ENTITY).stopped
    node.store.full = False
    cluster.allow_writes(0, "")
    cluster.wait(100.0)
    assert node.store.load(ENTITY).stopped == Unreadable(4, NONSENSE.id).encode()
