"""A disk that does not answer: deadlines hold, what needs no disk goes on, and what is told meanwhile is true afterwards."""

from __future__ import annotations

from paxosstore.core.batch.overlay import WriteBatch
from paxosstore.core.interface.event import Received
from paxosstore.core.interface.message import CatchUpReply, HandOver, Learned, PaxosMessage, ReadAnswer, ReadQuestion
from paxosstore.core.turn.silence import Silence
from paxosstore.errors import DiskFull, NoQuorum, NotServing, OutcomeUnknown

from .test_outcomes import ENTITY, Frames, Told

OTHER = 2
"""An entity whose write fills the turn that is stuck."""


def stuck(**tuning: float) -> Frames:
    """Node 0, preferred at both entities, waits for its disk with a write to OTHER."""
    cluster = Frames(slow_sync_ms=10.0, **tuning)
    warm_up = cluster.submit(0, b"set a 1", entity=OTHER)
    cluster.wait(200.0)
    assert warm_up.reply == b"ok"
    cluster.nodes[0].hangs = True
    cluster.submit(0, b"set a 2", entity=OTHER)
    cluster.wait(50.0)
    assert cluster.nodes[0].driver.syncing
    return cluster


def propose(cluster: Frames, operation: bytes) -> Told:
    """A write at node 0 that no other node can run."""
    request = Told(operation)
    request.handler = ""  # type: ignore[misc]  # a class constant elsewhere
    cluster.nodes[0].step(request)
    return request


def answer(cluster: Frames, wait_ms: float = 200.0) -> None:
    cluster.nodes[0].hangs = False
    cluster.wait(wait_ms)


def test_reads_that_need_no_disk_go_on() -> None:
    cluster = stuck()
    assert cluster.do(0, b"a", 5.0, read_only=True).reply == b"1"
    unheard_of = cluster.submit(0, b"a", read_only=True, entity=7)  # it has to be loaded first
    cluster.wait(5.0)
    assert unheard_of.ended
    assert unheard_of.error is None


def test_writes_go_through_the_others() -> None:
    cluster = stuck()
    assert cluster.do(0, b"set b 1", 50.0).reply == b"ok", "handed over, though this node is preferred"
    assert cluster.do(0, b"b", 20.0, read_only=True).reply == b"1"


def test_what_is_handed_over_to_a_silent_node_comes_back_at_once() -> None:
    cluster = stuck()
    before = cluster.counters()
    assert cluster.do(1, b"set b 1", 50.0).reply == b"ok"
    after = cluster.counters()
    assert after["handed_over"] - before["handed_over"] == 1
    assert after["handed_over_taken_back"] == before["handed_over_taken_back"], "it is refused, not waited for"


def test_nobody_waits_for_the_disk_past_a_deadline() -> None:
    cluster = stuck(request_timeout_ms=300.0)
    write = propose(cluster, b"set b 1")
    read = cluster.submit(0, b"a", read_only=True, entity=OTHER)
    cluster.wait(400.0)
    assert isinstance(write.error, OutcomeUnknown)
    assert isinstance(read.error, NoQuorum)
    for request in (write, read):
        assert "disk has not answered for" in str(request.error)
    answer(cluster)  # a request that ends twice fails
    assert cluster.do(1, b"b", read_only=True).reply == b"1"


def test_what_a_gulp_has_shown_is_not_called_refused_when_the_write_fails() -> None:
    cluster = stuck()
    cluster.cut((1, 0), (2, 0))
    write = propose(cluster, b"set secret 1")
    cluster.wait(5.0)
    cluster.nodes[0].store.fail_next_write = DiskFull("full")
    answer(cluster, 5.0)
    assert isinstance(write.error, OutcomeUnknown), "its proposal has left, before the turn was written"
    cluster.cut((0, 1), (0, 2), (1, 0), (2, 0))
    assert cluster.do(1, b"set b 1", 500.0).reply == b"ok"  # who proposes next finds it with those that have accepted it
    assert cluster.do(1, b"secret", 500.0, read_only=True).reply == b"1"


def test_a_loss_that_a_crash_may_forget_is_not_called_refused() -> None:
    """The vote that lets the other value win is not durable: the own one may yet be chosen."""
    cluster = stuck(request_timeout_ms=300.0)
    cluster.weather.cuts = {(one, other) for one in range(3) for other in range(3)}
    write = propose(cluster, b"set secret 1")
    cluster.wait(5.0)
    assert not write.ended
    rival = PaxosMessage(ENTITY, 2, 6, 6, 6, False, b"\x02" * 16, cluster.codec.encode(WriteBatch()), 1, True, False)
    cluster.nodes[0].step(Received(2, [rival]))
    cluster.lose_connection(0, 1)  # so it is not proposed again
    cluster.lose_connection(0, 2)
    cluster.wait(5.0)
    found = cluster.nodes[0].shard.entity(ENTITY)
    assert found is not None
    assert found.log.committed == 2, "it has lost, as far as the memory knows"
    assert not write.ended
    cluster.wait(400.0)
    assert isinstance(write.error, OutcomeUnknown)


def test_who_stops_while_its_disk_is_silent_says_what_it_knows() -> None:
    cluster = stuck()
    write = propose(cluster, b"set b 1")
    read = cluster.submit(0, b"a", read_only=True, entity=OTHER)
    cluster.wait(20.0)  # both are decided, and wait for the disk
    node = cluster.nodes[0]
    not_taken = Told(b"set c 1")
    for request, _, error in node.shard.stop([not_taken]).outcomes:
        request.settle(b"", error)
    assert isinstance(write.error, OutcomeUnknown)
    assert isinstance(read.error, NotServing)
    assert isinstance(not_taken.error, NotServing)


def test_a_vote_waits_for_the_disk() -> None:
    cluster = stuck()
    cluster.seen.clear()
    cluster.nodes[0].step(Received(1, [PaxosMessage(ENTITY, 2, 5, 5, 0, False, b"", None, 1, True, False)]))
    cluster.wait(20.0)
    assert not any(
        isinstance(m, PaxosMessage) and m.entity == ENTITY for sender, _, ms in cluster.seen if sender == 0 for m in ms
    )
    answer(cluster, 20.0)
    promises = [m for sender, _, ms in cluster.seen if sender == 0 for m in ms if isinstance(m, PaxosMessage) and m.promised == 5]
    assert promises


def test_what_is_kept_for_the_disk_is_bounded() -> None:
    value = b"v" * 2_000
    silence = Silence(5_000)
    silence.lasts(100.0)
    vote = PaxosMessage(1, 2, 5, 5, 5, False, b"i" * 16, value, 1, True, False)
    taught = CatchUpReply(1, 2, [Learned(2, 5, b"i" * 16, value)])
    given = HandOver(1, b"u" * 16, "h", value, 1, 100, b"")
    question, reply = ReadQuestion(1, 7), ReadAnswer(1, 7, 2, 2)
    assert list(silence.take_in([vote])) == [vote]
    assert list(silence.take_in([taught, given, question, reply])) == [taught, reply], "answers are always taken"
    silence.end()
    silence.lasts(100.0)
    assert list(silence.take_in([given])) == [given]


def test_silence_says_for_how_long() -> None:
    silence = Silence(1)
    assert not silence
    assert silence.describe() == ""
    silence.lasts(12_340.0)
    assert silence.describe() == "this node's disk has not answered for 12.3 s"
