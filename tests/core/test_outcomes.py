"""What a client is told is true, whatever happens afterwards: interleavings in which it once was not."""

from __future__ import annotations

from paxosstore.core.batch.overlay import DATA, View
from paxosstore.core.batch.request import Request
from paxosstore.core.entry.record import EMPTY
from paxosstore.core.interface.event import Received
from paxosstore.core.interface.message import HandedBack, HandOver, Message, PaxosMessage
from paxosstore.errors import DiskFull, InvalidRequest, NotServing, OutcomeUnknown, PaxosStoreError, RequestFailed, UuidReused
from paxosstore.settings import TuningSettings
from paxosstore.sim.cluster import SimCluster

ENTITY = 1
WINDOW = 16
"""Entries for which uuids are remembered."""


def run(view: View, payload: bytes) -> bytes:
    """`set K V`; `need K L`: set L if K is there, else refuse; `absent K V`: set K if it is not there, else refuse; `bad`."""
    verb, *words = payload.split(b" ")
    if verb == b"bad":
        raise ValueError("\ud800")
    if verb == b"need" and view.get(words[0]) is None:
        raise InvalidRequest("missing")
    if verb == b"absent" and view.get(words[0]) is not None:
        raise InvalidRequest("exists")
    view.put(words[1] if verb == b"need" else words[0], words[-1])
    return b"ok"


class Told(Request):
    """A request, and what its client was told."""

    handler = "told"

    def __init__(
        self, operation: bytes, *, read_only: bool = False, uuid: bytes = b"", digest: bytes = b"", entity: int = ENTITY
    ) -> None:
        super().__init__(entity, read_only=read_only, uuid=uuid)
        self.digest = digest
        self.operation = operation
        self.ended = False
        self.reply = b""
        self.error: PaxosStoreError | None = None

    def evaluate(self, view: View) -> bytes:
        return (view.get(self.operation) or b"") if self.read_only else run(view, self.operation)

    def payload(self) -> bytes:
        return self.operation

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        assert not self.ended
        self.ended, self.reply, self.error = True, reply, error


class Frames(SimCluster):
    """Keeps the frames that arrive, and can hold back those from one node to another."""

    def __init__(self, **tuning: float) -> None:
        self.seen: list[tuple[int, int, list[Message]]] = []
        super().__init__(1, 3, TuningSettings(**tuning), {Told.handler: run}, WINDOW)  # type: ignore[arg-type]  # floats only
        self.start_all()
        self.found()
        self.run_until(50.0)
        assert self.do(0, b"set a 1").reply == b"ok"  # node 0 is preferred from here on

    def send(self, sender: int, receiver: int, messages: list[Message]) -> None:
        self.seen.append((sender, receiver, messages))
        super().send(sender, receiver, messages)

    def submit(self, node: int, operation: bytes, *, read_only: bool = False, entity: int = ENTITY) -> Told:
        request = Told(operation, read_only=read_only, entity=entity)
        self.nodes[node].step(request)
        return request

    def do(
        self,
        node: int,
        operation: bytes,
        wait_ms: float = 200.0,
        *,
        read_only: bool = False,
        uuid: bytes = b"",
        digest: bytes = b"",
    ) -> Told:
        request = Told(operation, read_only=read_only, uuid=uuid, digest=digest)
        self.nodes[node].step(request)
        self.run_until(self.now_ms + wait_ms)
        return request

    def wait(self, time_ms: float) -> None:
        self.run_until(self.now_ms + time_ms)

    def cut(self, *pairs: tuple[int, int]) -> None:
        self.weather.cuts = set(pairs)

    def stored(self, node: int, key: bytes) -> bytes | None:
        return self.nodes[node].store.get(ENTITY, DATA + key)


def vote_of(cluster: Frames, node: int) -> PaxosMessage:
    """What a node has told node 0 of its vote at entry 2, whether it arrived or not."""
    told = (message for sender, receiver, messages in cluster.seen if (sender, receiver) == (node, 0) for message in messages)
    return next(m for m in told if isinstance(m, PaxosMessage) and m.entry == 2 and m.accepted)


def test_a_failed_write_does_not_deny_what_an_earlier_turn_proposed() -> None:
    cluster = Frames(request_timeout_ms=5_000.0)
    cluster.weather.delay_ms = (5.0, 5.0)
    write = cluster.submit(0, b"set secret 1")
    cluster.wait(1.0)
    cluster.cut((1, 0), (2, 0), (2, 1), (0, 2))
    cluster.wait(2.0)
    cluster.nodes[0].store.fail_next_write = DiskFull("full")
    cluster.nodes[0].step(Received(2, [PaxosMessage(ENTITY, 2, 6, 6, 0, False, b"", None, 1, True, False)]))
    cluster.wait(3.0)
    assert isinstance(write.error, OutcomeUnknown)
    cluster.cut()
    cluster.allow_writes(0, "")
    cluster.wait(500.0)
    assert cluster.do(1, b"secret", 500.0, read_only=True).reply == b"1"


def test_a_failed_write_refuses_what_nobody_was_shown() -> None:
    cluster = Frames()
    cluster.seen.clear()
    cluster.nodes[1].store.fail_next_write = DiskFull("full")
    writes = [Told(b"set b 1"), Told(b"set c 1")]
    for write in writes:
        write.handler = ""  # type: ignore[misc]  # it is not handed over, so it takes a full round
        cluster.nodes[1].step(write)
    read = cluster.submit(1, b"a", read_only=True)
    cluster.wait(200.0)
    assert [type(write.error) for write in writes] == [DiskFull, DiskFull]
    assert read.reply == b"1", "reads go on"
    assert not any(isinstance(m, PaxosMessage) and m.entry == 2 for sender, _, ms in cluster.seen for m in ms)
    assert cluster.nodes[1].store.read_log(ENTITY, 2, 2) == []
    assert cluster.do(2, b"set d 1").error is None, "two are enough"


def test_a_failed_write_acknowledges_nothing_of_its_turn() -> None:
    """It was chosen, but this node cannot say so: in the same turn it has promised what it could not write."""
    cluster = Frames()
    cluster.cut((1, 0), (2, 0))
    write = cluster.submit(0, b"set secret 1")
    cluster.wait(20.0)
    cluster.nodes[0].store.fail_next_write = DiskFull("full")
    cluster.nodes[0].step(Received(2, [PaxosMessage(ENTITY, 2, 6, 6, 0, False, b"", None, 1, True, False)]))
    cluster.nodes[0].step(Received(1, [vote_of(cluster, 1)]))
    cluster.wait(20.0)
    assert isinstance(write.error, OutcomeUnknown)
    assert cluster.stored(0, b"secret") is None
    cluster.cut()
    cluster.allow_writes(0, "")
    assert cluster.do(0, b"secret", 500.0, read_only=True).reply == b"1"


def test_a_node_without_room_does_not_try_again_and_again_to_apply() -> None:
    """Seed 2693: what is chosen on its disk, and not applied yet, was loaded, tried and forgotten without a pause."""
    cluster = Frames(max_commit_num=1)
    cluster.cut((0, 2), (1, 2), (2, 0), (2, 1))
    for value in (b"2", b"3", b"4"):
        assert cluster.do(0, b"set a " + value).reply == b"ok"
    cluster.cut()
    store = cluster.nodes[2].store
    read = cluster.submit(2, b"a", read_only=True)
    while not store.rows.get((ENTITY, 4), EMPTY).chosen:  # all is taught at once, and applied one by one
        cluster.wait(0.1)
    assert store.committed_entry(ENTITY) < 4
    tries: list[float] = []
    store.full, store.on_write = True, lambda: tries.append(cluster.now_ms)
    cluster.wait(20.0)
    assert len(tries) == 1
    assert read.reply == b"4", "applied in memory only"
    assert store.committed_entry(ENTITY) < 4
    store.full = False
    cluster.allow_writes(2, "")
    assert cluster.do(2, b"a", 100.0, read_only=True).reply == b"4"
    assert store.committed_entry(ENTITY) == 4


def test_an_outcome_to_hand_back_that_a_failed_write_swallows_is_found_by_who_waits_for_it() -> None:
    cluster = Frames()
    request = cluster.submit(1, b"absent k 1")
    while not any(isinstance(m, HandOver) for s, r, ms in cluster.seen if (s, r) == (1, 0) for m in ms):
        cluster.wait(0.1)
    cluster.cut((1, 0), (2, 0))  # after the hand-over, no vote arrives
    cluster.wait(8.0)
    cluster.nodes[0].store.fail_next_write = DiskFull("full")
    cluster.nodes[0].step(Received(2, [PaxosMessage(ENTITY, 2, 6, 6, 0, False, b"", None, 1, True, False)]))
    cluster.nodes[0].step(Received(1, [vote_of(cluster, 1)]))
    cluster.wait(3.0)
    assert cluster.nodes[0].shard.writes_refused_because
    assert not request.ended
    cluster.cut()
    cluster.wait(300.0)
    assert request.reply == b"ok"


def test_a_vote_that_could_not_be_written_is_not_counted() -> None:
    cluster = Frames()
    cluster.weather.delay_ms = (5.0, 5.0)
    cluster.cut((0, 2), (2, 0), (1, 2), (2, 1))
    cluster.nodes[0].store.fail_next_write = DiskFull("full")
    write = cluster.submit(0, b"set secret 1")
    cluster.wait(1.0)
    assert isinstance(write.error, OutcomeUnknown), "the proposal left before the write"
    cluster.allow_writes(0, "")
    cluster.wait(8.0)
    cluster.cut((0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1))  # node 1's vote is on its way, nothing else arrives
    cluster.wait(50.0)
    assert cluster.nodes[1].store.read_log(ENTITY, 2, 2)[0][1].accepted, "one vote, of the two it takes"
    assert cluster.nodes[0].committed(ENTITY) == 1


def test_a_failed_write_forgets_the_loss_it_was_told_of() -> None:
    cluster = Frames(request_timeout_ms=5_000.0)
    cluster.cut((0, 1), (0, 2), (1, 0), (2, 0), (1, 2), (2, 1))
    write = cluster.submit(0, b"set secret 1")
    cluster.wait(2.0)
    cluster.cut((0, 1), (0, 2), (1, 0), (2, 0))
    cluster.seen.clear()
    cluster.submit(2, b"set other 1")

    def accept() -> PaxosMessage | None:
        frames = (message for sender, receiver, messages in cluster.seen if (sender, receiver) == (2, 0) for message in messages)
        return next((m for m in frames if isinstance(m, PaxosMessage) and m.accepted and m.entry == 2), None)

    for _ in range(4_000):
        cluster.wait(0.1)
        if accept() is not None:
            break
        promised = any(isinstance(m, PaxosMessage) and m.promised for s, r, ms in cluster.seen if (s, r) == (1, 2) for m in ms)
        if promised:  # from its promise on, node 1 hears nothing: only node 2 accepts
            cluster.cut((0, 1), (0, 2), (1, 0), (2, 0), (2, 1))
    message = accept()
    assert message is not None
    cluster.nodes[0].store.fail_next_write = DiskFull("full")
    cluster.nodes[0].step(Received(2, [message]))
    cluster.wait(5.0)
    assert isinstance(write.error, OutcomeUnknown)


def test_a_request_taken_back_is_not_refused_while_its_copy_may_run() -> None:
    cluster = Frames(request_timeout_ms=3_000.0)
    cluster.weather.delay_ms = (30.0, 30.0)
    request = cluster.submit(1, b"need k done")
    cluster.wait(1.0)
    cluster.weather.delay_ms = (0.2, 0.2)
    cluster.submit(0, b"set k 1")
    cluster.cut((0, 1))
    cluster.wait(15.0)
    cluster.cut()
    cluster.wait(2_000.0)
    happened = cluster.do(2, b"done", 500.0, read_only=True).reply != b""
    assert request.ended
    assert happened == (request.error is None)


def test_a_late_answer_to_another_request_under_the_same_uuid_is_not_taken_for_its_own() -> None:
    """Seed 10130: a write was told what became of another one, which had been handed over and taken back before."""
    cluster = Frames()
    request = Told(b"set k 1", uuid=b"u" * 16)
    request.digest = b"d" * 16
    cluster.cut((0, 1))
    cluster.nodes[1].step(request)
    cluster.wait(0.5)
    cluster.nodes[1].step(Received(0, [HandedBack(ENTITY, b"u" * 16, "FAILED", b"it is odd", b"e" * 16)]))
    cluster.wait(0.5)
    assert not request.ended
    cluster.nodes[1].step(Received(0, [HandedBack(ENTITY, b"u" * 16, "", b"ok", b"d" * 16)]))
    cluster.wait(0.5)
    assert request.reply == b"ok"


def test_a_stale_replica_refuses_nothing() -> None:
    cluster = Frames()
    cluster.cut((0, 2), (1, 2), (2, 0), (2, 1))
    assert cluster.do(0, b"set k 1").error is None
    assert not cluster.do(2, b"need k x", 20.0).ended


def test_a_refusal_waits_for_the_writes_it_was_decided_on() -> None:
    cluster = Frames(request_timeout_ms=300.0)
    cluster.cut((0, 1), (0, 2))
    cluster.submit(0, b"set k 1")
    refused = cluster.submit(0, b"absent k 2")
    cluster.wait(5.0)
    assert not refused.ended


def test_a_late_copy_of_a_refused_request_is_refused() -> None:
    cluster = Frames()
    refused = cluster.do(1, b"need k x")
    assert isinstance(refused.error, InvalidRequest)
    frame = next(frame for frame in cluster.seen if any(isinstance(message, HandOver) for message in frame[2]))
    cluster.do(0, b"set k 1")
    cluster.nodes[0].step(Received(frame[0], frame[2]))
    cluster.wait(200.0)
    assert cluster.stored(0, b"x") is None


def test_a_late_copy_of_a_request_refused_for_its_uuid_is_refused() -> None:
    """Seed 91001803: the copy ran when the other request under the uuid was remembered no longer."""
    cluster = Frames()
    assert cluster.do(1, b"set k 1", uuid=b"u" * 16, digest=b"d" * 16).error is None
    for number in range(WINDOW // 2):
        cluster.do(0, b"set k %d" % number)
    refused = cluster.do(1, b"set x 2", uuid=b"u" * 16, digest=b"e" * 16)
    assert isinstance(refused.error, UuidReused)
    frame = next(frame for frame in reversed(cluster.seen) if any(isinstance(message, HandOver) for message in frame[2]))
    for number in range(WINDOW // 2):
        cluster.do(0, b"set k %d" % number)
    disk = cluster.nodes[frame[0]].disk.id
    cluster.nodes[0].step(Received(frame[0], frame[2], 0, disk))
    cluster.wait(200.0)
    assert cluster.stored(0, b"x") is None


def test_a_request_that_came_back_is_not_refused_for_its_uuid_while_a_copy_may_run() -> None:
    """It was refused by a peer that may take it later, and then here, because of its uuid."""
    cluster = Frames()
    assert cluster.do(0, b"set k 1", uuid=b"u" * 16, digest=b"d" * 16).error is None
    cluster.cut((0, 1), (1, 0))
    request = Told(b"set x 2", uuid=b"u" * 16, digest=b"e" * 16)
    cluster.nodes[1].step(request)
    cluster.wait(0.2)
    back = HandedBack(ENTITY, b"u" * 16, NotServing.code, b"not now", b"e" * 16)
    cluster.nodes[1].step(Received(0, [back], 0, cluster.nodes[0].disk.id))
    cluster.wait(500.0)
    assert isinstance(request.error, OutcomeUnknown)


def test_a_refusal_that_cannot_be_encoded_is_told_all_the_same() -> None:
    request = Frames().do(0, b"bad", uuid=b"u" * 16)
    assert isinstance(request.error, RequestFailed)


def test_a_row_no_honest_peer_sends_is_dropped() -> None:
    cluster = Frames()
    for accepted, promised, prepared in ((6, 6, 6), (6, 3, 3), (0, 3, 6)):
        row = PaxosMessage(ENTITY, 2, prepared, promised, accepted, False, b"", None, 1, True, False)
        cluster.nodes[0].step(Received(2, [row]))
    cluster.wait(50.0)
    assert cluster.do(0, b"set a 2").reply == b"ok"


def test_the_patience_for_hand_overs_learns_from_late_answers() -> None:
    cluster = Frames()
    cluster.weather.sync_ms, cluster.weather.delay_ms = (8.0, 10.0), (10.0, 15.0)
    for number in range(100):
        cluster.do(number % 2, b"set a %d" % number, 120.0)
    counters = cluster.counters()
    assert counters["handed_over_taken_back"] < counters["handed_over"] / 2
