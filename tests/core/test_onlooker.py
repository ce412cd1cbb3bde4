"""Reads at a node whose disk takes no writes: what memory holds, how much of it, and what becomes of it (rule 8)."""

from __future__ import annotations

from paxosstore.core.batch.overlay import DATA, TIME, UUID, WriteBatch
from paxosstore.core.entity.ahead import KEY_BYTES, Ahead
from paxosstore.core.entity.entity import Entity
from paxosstore.core.entry.machine import EntryMachine
from paxosstore.core.entry.record import EMPTY, Record, Value
from paxosstore.core.interface.message import Message, PaxosMessage, ReadAnswer
from paxosstore.core.shard.shard import Shard
from paxosstore.errors import DiskFull, OutcomeUnknown
from paxosstore.settings import TuningSettings
from paxosstore.sim.cluster import SimCluster

from .support import HANDLERS, Operation

ONE, OTHER = 7, 8
FULL = 2
"""The node without room."""


class Cluster(SimCluster):
    """Three nodes; the last one's disk fails every write from the second entry on. Keeps what it says."""

    def __init__(self, keep_entries: int | None = None, **tuning: int) -> None:
        self.said: list[object] = []
        settings = TuningSettings(**tuning)  # type: ignore[arg-type]  # whole numbers only
        super().__init__(1, 3, settings, HANDLERS, keep_entries=keep_entries)
        self.start_all()
        self.found()
        for entity in (ONE, OTHER):
            assert self.do(0, entity, "put k first").reply == b"done"
        self.wait(100.0)
        self.nodes[FULL].store.full = True
        for entity in (ONE, OTHER):
            assert self.do(0, entity, "put k second").reply == b"done"
        self.wait(100.0)
        assert self.full.context.cannot_write
        self.said.clear()

    @property
    def full(self) -> Shard:
        return self.nodes[FULL].shard

    def held(self, entity: int) -> Entity:
        found = self.full.entity(entity)
        assert found is not None
        return found

    def send(self, sender: int, receiver: int, messages: list[Message]) -> None:
        if sender == FULL:
            self.said += messages
        super().send(sender, receiver, messages)

    def do(self, node: int, entity: int, operation: str, wait_ms: float = 100.0, *, read_only: bool = False) -> Operation:
        request = Operation(entity, operation.encode(), read_only=read_only)
        self.nodes[node].step(request)
        self.wait(wait_ms)
        return request

    def read(self, entity: int) -> Operation:
        return self.do(FULL, entity, "get k", read_only=True)

    def wait(self, time_ms: float) -> None:
        self.run_until(self.now_ms + time_ms)


def test_what_memory_alone_knows_is_told_to_nobody() -> None:
    cluster = Cluster()
    assert cluster.read(ONE).reply == b"second"
    entity = cluster.held(ONE)
    assert entity.log.applied == 2
    assert (entity.log.committed, entity.log.contiguous_chosen) == (1, 1)
    cluster.said.clear()
    assert cluster.do(1, ONE, "get k", read_only=True).reply == b"second"
    answers = [message for message in cluster.said if isinstance(message, ReadAnswer)]
    assert [(answer.highest, answer.max_chosen) for answer in answers] == [(2, 1)]  # it has heard that 2 is chosen
    assert not [message for message in cluster.said if isinstance(message, PaxosMessage)]


def test_nothing_is_learned_that_no_read_asks_for() -> None:
    cluster = Cluster()
    cluster.do(0, ONE, "put k third")
    assert cluster.full.context.counters.entries_read_ahead == 0
    assert cluster.read(ONE).reply == b"third"
    assert cluster.held(OTHER).log.ahead is None


def test_memory_is_bounded_in_bytes_over_all_entities_and_says_so() -> None:
    cluster = Cluster(max_unwritten_bytes=1_000)
    cluster.do(0, ONE, "put k " + "x" * 2_000)
    assert cluster.read(ONE).reply == b"x" * 2_000, "one reply more than the limit is taken, whatever its size"
    cluster.do(0, ONE, "put k more")
    refused = cluster.read(ONE)
    assert isinstance(refused.error, DiskFull)
    assert "max_unwritten_bytes" in str(refused.error)
    assert "1000" in str(refused.error)
    asked = cluster.full.context.counters.catchup_requests
    assert isinstance(cluster.read(ONE).error, DiskFull)
    assert cluster.full.context.counters.catchup_requests == asked, "at once: it is not fetched to find that out"
    assert cluster.read(OTHER).reply == b"second", "what nobody reads makes room for it"
    assert cluster.held(ONE).log.ahead is None


def test_reads_of_what_the_peers_keep_no_longer_are_served_by_them() -> None:
    """The entries have expired everywhere, and a copy of the data needs room here (rules 16 and 17)."""
    cluster = Cluster(keep_entries=1)
    for value in ("third", "fourth"):
        assert cluster.do(0, ONE, f"put k {value}").reply == b"done"
    cluster.wait(100.0)
    assert cluster.read(ONE).reply == b"fourth"
    assert cluster.full.context.counters.reads_handed_over == 1
    assert not cluster.held(ONE).is_copying, "a copy that cannot be written does not begin"
    cluster.nodes[FULL].store.full = False
    cluster.allow_writes(FULL, "")
    cluster.wait(500.0)
    assert cluster.nodes[FULL].store.committed_entry(ONE) == 4
    assert cluster.read(ONE).reply == b"fourth"
    assert cluster.full.context.counters.reads_handed_over == 1


def test_with_room_again_memory_is_dropped_and_the_disk_catches_up() -> None:
    cluster = Cluster()
    assert cluster.read(ONE).reply == b"second"
    cluster.nodes[FULL].store.full = False
    cluster.allow_writes(FULL, "")
    cluster.wait(1.0)
    assert cluster.held(ONE).log.ahead is None
    cluster.wait(300.0)
    for entity in (ONE, OTHER):  # the other one too, of which nobody has spoken since
        assert cluster.nodes[FULL].store.committed_entry(entity) == 2
    assert cluster.do(FULL, ONE, "put k third").reply == b"done"


def test_reads_that_could_be_answered_from_memory_ask_again_when_it_is_dropped() -> None:
    cluster = Cluster(max_turn_work=1)
    reads = [Operation(ONE, b"get k", read_only=True) for _ in range(50)]
    for read in reads:
        cluster.nodes[FULL].step(read)
    while not any(read.ended for read in reads):
        cluster.wait(0.01)
    assert cluster.held(ONE).reads.answerable, "a turn answers one of them, as little work as it may do"
    cluster.nodes[FULL].store.full = False
    cluster.allow_writes(FULL, "")
    cluster.wait(500.0)
    assert {read.reply for read in reads} == {b"second"}


def test_catching_up_means_on_the_disk() -> None:
    cluster = Cluster()
    request = Operation(ONE, b"get k", read_only=True)
    request.commit_limit = 1
    cluster.nodes[FULL].step(request)
    cluster.wait(100.0)
    assert isinstance(request.error, DiskFull)


def test_the_size_of_what_is_held() -> None:
    ahead = Ahead(4)
    ahead.apply(WriteBatch({DATA + b"a": b"123", DATA + b"b": None, UUID + b"u": b"outcome"}))
    assert (ahead.applied, ahead.size) == (5, 2 * KEY_BYTES + 2 * 2 + 3)
    assert UUID + b"u" not in ahead.batch.writes
    ahead.apply(WriteBatch({DATA + b"a": b"1"}))
    assert (ahead.applied, ahead.size) == (6, 2 * KEY_BYTES + 2 * 2 + 1)
    assert ahead.batch.writes == {DATA + b"a": b"1", DATA + b"b": None}
    ahead.apply(WriteBatch({DATA + b"c": b""}, cleared=True))
    assert (ahead.applied, ahead.size) == (7, KEY_BYTES + 2)
    assert ahead.batch == WriteBatch({DATA + b"c": b""}, cleared=True)


def test_the_time_goes_on_in_memory() -> None:
    """Else a key that is gone by the log is there again, where the own clock is behind (rule 20; seed 86007600)."""
    ahead = Ahead(4)
    ahead.apply(WriteBatch({TIME: b"12345678", DATA + b"a": None}))
    assert ahead.batch.writes[TIME] == b"12345678"
    ahead.apply(WriteBatch({DATA + b"c": b""}, cleared=True))
    assert ahead.batch == WriteBatch({TIME: b"12345678", DATA + b"c": b""}, cleared=True)
    ahead.apply(WriteBatch({TIME: b"12345679"}))
    assert ahead.batch.writes[TIME] == b"12345679"


def test_a_witness_sees_the_choice_and_casts_no_vote() -> None:
    value = Value(b"v" * 16, b"")
    vote = Record(5, 5, 5, value, False)
    machine = EntryMachine(3, 2)
    assert machine.witness(0, vote) is None, "one vote is no choice"
    assert machine.witness(0, vote) is None
    assert machine.witness(1, Record(0, 5, 5, value, False)) == (5, value)
    assert machine.mine == EMPTY

    machine = EntryMachine(3, 2, Record(0, 5, 5, value, False))
    assert machine.witness(0, Record(5, 5, 0, value, False)) is None, "a proposal that is not counted yet (rule 6)"
    assert machine.witness(0, vote) == (vote.accepted, value), "with the own vote, which is on the disk"
    assert not machine.mine.chosen

    machine = EntryMachine(3, 2)
    assert machine.witness(1, vote._replace(prepared=0, chosen=True)) == (vote.accepted, value), "a row that says so (rule 3)"
    assert machine.mine == EMPTY


def test_what_waits_to_be_written_is_refused_when_the_disk_fails_not_when_its_deadline_comes() -> None:
    cluster = SimCluster(1, 3, TuningSettings(), HANDLERS)
    cluster.start_all()
    cluster.found()

    def submit(entity: int, wait_ms: float) -> Operation:
        request = Operation(entity, b"put k v")
        cluster.nodes[0].step(request)
        cluster.run_until(cluster.now_ms + wait_ms)
        return request

    for entity in (ONE, OTHER):
        assert submit(entity, 100.0).reply == b"done"
    cluster.weather.cuts |= {(1, 0), (2, 0)}
    shown, waits = submit(ONE, 5.0), submit(ONE, 5.0)
    cluster.nodes[0].store.full = True
    submit(OTHER, 5.0)
    assert cluster.nodes[0].shard.context.cannot_write
    assert isinstance(waits.error, DiskFull)
    assert not shown.ended, "it may yet be chosen"


class Here(Operation):
    """One that no peer can run."""

    handler = ""


def started_without_room(missed: int) -> Cluster:
    """Its start is not counted, so it votes for nothing; it has missed so many entries of the one entity."""
    cluster = Cluster()
    cluster.kill(FULL)
    for number in range(missed):
        assert cluster.do(0, ONE, f"put k {number}", 10.0).reply == b"done"
    cluster.start(FULL)
    cluster.wait(500.0)
    assert cluster.full.context.cannot_write
    assert not cluster.full.context.standing.votes
    return cluster


def test_who_was_started_without_room_learns_for_reads_as_who_ran_out_of_it_does() -> None:
    """That something was chosen it can hear, whether it votes or not."""
    cluster = started_without_room(1)
    here = Here(ONE, b"get k", read_only=True)
    cluster.nodes[FULL].step(here)
    cluster.wait(200.0)
    assert here.reply == b"0"
    assert (cluster.held(ONE).log.applied, cluster.held(ONE).log.committed) == (3, 1)
    assert cluster.do(1, ONE, "get k", read_only=True).reply == b"0"
    cluster.nodes[FULL].store.full = False
    cluster.allow_writes(FULL, "")
    cluster.wait(500.0)
    assert cluster.full.context.standing.votes
    assert cluster.nodes[FULL].store.committed_entry(ONE) == 3


def test_who_knows_little_of_what_was_chosen_is_told_once_that_a_uuid_is_too_old_and_not_for_ever() -> None:
    """A write by way of it, and a read that becomes one at the peer (seed 96001016)."""
    for read_only, operation in ((False, "incr c"), (True, "take k")):
        cluster = started_without_room(70)
        first = cluster.do(FULL, ONE, operation, read_only=read_only)
        assert isinstance(first.error, OutcomeUnknown)
        assert "older than the window" in str(first.error)
        assert cluster.do(FULL, ONE, operation, read_only=read_only).error is None
