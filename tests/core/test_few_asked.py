"""Many reads ask as few peers as make a majority; the others when these do not answer, or when an answer more can tell more."""

from __future__ import annotations

from paxosstore.core.interface.message import Message, ReadQuestion
from paxosstore.core.turn.voters import EXPLORE_MS
from paxosstore.settings import TuningSettings
from paxosstore.sim.cluster import SimCluster

from .support import HANDLERS, Operation

ENTITY = 7
RETRY_MS = 500.0
MANY_READS = TuningSettings().many_reads


class Watched(SimCluster):
    """Notes who is asked, and loses what is sent to some."""

    def __init__(self, nodes: int = 3) -> None:
        super().__init__(1, nodes, TuningSettings(retry_ms=RETRY_MS, takeover_requests=1_000_000), HANDLERS)
        self.asked: list[int] = []
        self.deaf: set[int] = set()
        self.start_all()
        self.found()
        self.end(Operation(ENTITY, b"put x 1"))
        self.end(*self.reads())  # the first question goes to all
        self.asked.clear()

    def send(self, sender: int, receiver: int, messages: list[Message]) -> None:
        if sender == 0:
            self.asked += [receiver for message in messages if isinstance(message, ReadQuestion)]
        if receiver not in self.deaf:
            super().send(sender, receiver, messages)

    def submit(self, *requests: Operation) -> None:
        for request in requests:
            self.nodes[0].step(request)

    def reads(self, count: int = MANY_READS) -> list[Operation]:
        return [Operation(ENTITY, b"get x", read_only=True) for _ in range(count)]

    def end(self, *requests: Operation) -> float:
        """Hand them in, and let time pass until all have ended; how long that took."""
        began = self.now_ms
        self.submit(*requests)
        while not all(request.ended for request in requests):
            self.run_until(self.now_ms + 0.25)
            assert self.now_ms < began + 10_000.0
        return self.now_ms - began

    def usual(self) -> int:
        """The one that is asked first."""
        self.end(*self.reads())
        (peer,) = set(self.asked)
        self.asked.clear()
        return peer


def test_many_reads_ask_one_of_two_and_a_few_both() -> None:
    cluster = Watched()
    reads = cluster.reads()
    cluster.end(*reads)
    assert len(cluster.asked) == 1
    assert [read.outcome for read in reads] == ["1"] * MANY_READS
    cluster.asked.clear()
    cluster.end(*cluster.reads(MANY_READS - 1))
    assert sorted(cluster.asked) == [1, 2]


def test_two_of_four_are_asked() -> None:
    cluster = Watched(5)
    cluster.end(*cluster.reads())
    assert len(cluster.asked) == 2


def test_now_and_then_all_are_asked_to_see_who_is_quickest() -> None:
    cluster = Watched()
    cluster.run_until(cluster.now_ms + EXPLORE_MS)
    cluster.end(*cluster.reads())
    assert sorted(cluster.asked) == [1, 2]


def test_the_other_is_asked_when_the_first_does_not_answer_and_first_from_then_on() -> None:
    cluster = Watched()
    silent = cluster.usual()
    cluster.deaf.add(silent)
    took_ms = cluster.end(*cluster.reads())
    assert took_ms < RETRY_MS / 2, "its patience is that of a usual answer"
    assert set(cluster.asked) == {1, 2}
    cluster.asked.clear()
    cluster.end(*cluster.reads())
    assert cluster.asked == [3 - silent]


def test_the_other_is_asked_at_once_when_the_link_to_the_first_is_lost() -> None:
    cluster = Watched()
    first = cluster.usual()
    cluster.deaf.add(first)
    reads = cluster.reads()
    cluster.submit(*reads)
    cluster.run_until(cluster.now_ms + 0.05)
    assert cluster.asked == [first]
    cluster.kill(first)
    cluster.run_until(cluster.now_ms + 0.05)
    assert 3 - first in cluster.asked


def test_all_are_asked_while_something_that_is_accepted_here_is_not_decided() -> None:
    cluster = Watched()
    cluster.deaf = {1, 2}
    write = Operation(ENTITY, b"put x 2")
    cluster.submit(write)
    cluster.run_until(cluster.now_ms + 3.0)
    cluster.deaf.clear()
    assert not write.ended
    cluster.submit(*cluster.reads())
    cluster.run_until(cluster.now_ms + 0.25)
    assert sorted(set(cluster.asked)) == [1, 2]
