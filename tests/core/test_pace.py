"""What is chosen is applied later where it is too much for a turn: the entity alone waits for that, and not for ever."""

from __future__ import annotations

import pytest

from paxosstore.core.batch.overlay import DATA, WriteBatch
from paxosstore.core.entry.ids import value_id
from paxosstore.core.entry.record import Value
from paxosstore.core.interface.event import Durable, Received, Tick, WriteFailed, WritesAllowed
from paxosstore.core.interface.message import (
    CatchUpReply,
    CatchUpRequest,
    Learned,
    Message,
    PaxosMessage,
    ReadAnswer,
    ReadQuestion,
)
from paxosstore.core.interface.ready import Ready
from paxosstore.core.shard.shard import Shard
from paxosstore.core.turn.context import Identity
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.memory import MemoryStore

from .support import HANDLERS, AloneOperation, Operation

ENTITY, OTHER = 7, 8
ME, PEER = 0, 1
BALLOT = PEER + 1
SLOW = TuningSettings(max_turn_applies=1)
"""Of entities that lag, an entry a turn."""


def value(entity: int, entry: int, size: int = 0) -> Value:
    """At each entry, x is set to its number, and y to so many bytes."""
    writes: dict[bytes, bytes | None] = {DATA + b"x": b"%d" % entry, DATA + b"y": bytes(size)}
    return Value(value_id(PEER, entity, entry), MsgpackBodyCodec().encode(WriteBatch(writes)))


def told(entity: int, entry: int, size: int = 0, *, chosen: bool = True, asks: bool = False) -> PaxosMessage:
    """The peer's row: its value is chosen, or merely accepted there."""
    body = value(entity, entry, size)
    return PaxosMessage(entity, entry, 0, BALLOT, BALLOT, chosen, body.id, body.body, entry if chosen else entry - 1, asks, False)


class Replica:
    """One node over its store; its peer is played by the test, turn by turn."""

    def __init__(self, tuning: TuningSettings = SLOW, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.shard = Shard(Identity(ClusterSettings("test"), tuning, ME, 1), self.store, MsgpackBodyCodec(), HANDLERS)
        self.now_ms = 100.0
        self.sent: list[Message] = []
        """By the last turn, to the peer."""
        self.applied: list[tuple[int, int]] = []
        """By the last turn."""
        self.counters = self.shard.context.counters

    def turn(self, *events: object, takes_ms: float = 0.0) -> Ready:
        for event in events:
            self.shard.step(event, self.now_ms, 0)  # type: ignore[arg-type]  # events and requests
        self.shard.step(Tick(), self.now_ms, 0)
        ready = self.shard.ready()
        self.store.write(ready.records, ready.applies, ready.changes)
        self.applied = [(apply.entity, apply.entry) for apply in ready.applies]
        self.now_ms += takes_ms
        self.shard.step(Durable(ready.turn), self.now_ms, 0)
        self.sent = [message for peer, message in [*ready.early.messages, *ready.late.messages] if peer == PEER]
        for request, reply, error in [*ready.early.outcomes, *ready.late.outcomes]:
            request.settle(reply, error)
        return self.turn(*map(self.store.load, ready.loads)) if ready.loads else ready

    def hear(self, *messages: Message) -> Ready:
        return self.turn(Received(PEER, messages))

    def pointers(self, entity: int = ENTITY) -> tuple[int, int]:
        """(committed, contiguous chosen)"""
        found = self.shard.entity(entity)
        assert found is not None
        return found.log.committed, found.log.contiguous_chosen

    def ask(self, request: Operation) -> Operation:
        """A read, and the peer's answer: it has accepted nothing above what it has told."""
        self.turn(request)
        question = next(message for message in self.sent if isinstance(message, ReadQuestion))
        last = self.pointers(request.entity)[1]
        self.hear(ReadAnswer(request.entity, question.number, last, last))
        return request


def test_an_entity_that_lags_goes_on_choosing_and_voting() -> None:
    replica = Replica()
    replica.hear(*(told(ENTITY, entry) for entry in range(1, 6)))
    assert replica.pointers() == (1, 5)
    replica.hear(told(ENTITY, 6, chosen=False, asks=True))
    votes = [message for message in replica.sent if isinstance(message, PaxosMessage)]
    assert [(vote.entry, vote.accepted, vote.max_chosen) for vote in votes] == [(6, BALLOT, 5)]
    assert replica.pointers() == (2, 6)  # with this node's vote it is chosen
    for entry in range(3, 7):
        replica.turn()
        assert replica.applied == [(ENTITY, entry)]
    assert replica.shard.lag.entities == 0
    assert replica.store.get(ENTITY, DATA + b"x") == b"6"


def test_who_does_not_lag_waits_for_nobody() -> None:
    replica = Replica()
    replica.hear(*(told(ENTITY, entry) for entry in range(1, 9)))
    for entry in range(1, 4):
        replica.hear(told(OTHER, entry))
        assert (OTHER, entry) in replica.applied
        assert replica.pointers(OTHER) == (entry, entry)
    assert replica.pointers()[0] < 8


def test_those_that_lag_take_turns() -> None:
    """However much one has to apply, each gets its slice."""
    replica = Replica()
    replica.hear(*(told(ENTITY, entry) for entry in range(1, 40)), *(told(OTHER, entry) for entry in range(1, 4)))
    ended = 0
    while replica.pointers(OTHER)[0] < 3:
        replica.turn()
        ended += 1
    assert ended <= 4
    assert replica.pointers()[0] <= 4


def test_a_turn_applies_a_share_and_one_entry_at_least() -> None:
    """Entries of a MB count as a thousand units: two of them cross the limit, and a smaller limit still lets one go."""
    for limit, at_most in ((2_000, 3), (1, 1)):
        replica = Replica(TuningSettings(max_turn_applies=limit))
        replica.hear(*(told(ENTITY, entry, 1_000_000) for entry in range(1, 8)))
        while replica.pointers()[0] < 7:
            replica.turn()
            assert 1 <= len(replica.applied) <= at_most


def test_after_a_slice_that_took_long_the_disk_is_left_to_others_for_as_long() -> None:
    replica = Replica()
    replica.hear(*(told(ENTITY, entry) for entry in range(1, 6)))
    replica.turn(takes_ms=40.0)
    assert replica.pointers()[0] == 2
    assert replica.shard.next_deadline_ms == replica.now_ms + 40.0
    replica.now_ms += 39.0
    replica.hear(told(OTHER, 1))
    assert replica.applied == [(OTHER, 1)]
    replica.now_ms += 1.0
    replica.turn()
    assert replica.applied == [(ENTITY, 3)]


def test_reads_and_batches_wait_for_their_entry() -> None:
    """Rules 12 and 14: nothing is evaluated on a DB that lags."""
    replica = Replica()
    replica.hear(*(told(ENTITY, entry) for entry in range(1, 6)))
    read = replica.ask(Operation(ENTITY, b"get x", read_only=True))
    write = AloneOperation(ENTITY, b"incr x")
    replica.turn(write)
    assert (read.outcome, write.evaluations) == ("pending", 0)
    for _ in range(5):
        replica.turn()
        assert write.evaluations == (replica.pointers()[0] >= 5)
    assert (read.outcome, write.evaluations) == ("5", 1)


def test_what_lags_is_bounded_in_entries_and_the_rest_is_learned_later() -> None:
    replica = Replica(TuningSettings(max_turn_applies=1, max_open_entries=4))
    replica.hear(*(told(ENTITY, entry) for entry in range(1, 5)))
    replica.hear(*(told(ENTITY, entry) for entry in range(5, 9)))
    committed, chosen = replica.pointers()
    assert chosen - committed <= 4
    assert chosen < 8
    assert replica.counters.entries_held > 0
    assert not any(isinstance(message, CatchUpRequest) for message in replica.sent)
    replica.hear(told(OTHER, 1))
    assert replica.pointers(OTHER) == (1, 1), "no other is held up"
    while replica.pointers()[0] < 8:
        asked = [message for message in replica.sent if isinstance(message, CatchUpRequest)]
        replica.now_ms += 1.0
        if not asked:
            replica.turn()
            continue
        first, limit = asked[-1].first, asked[-1].limit
        assert limit <= 4
        found = [value(ENTITY, entry) for entry in range(first, min(first + limit, 9))]
        replica.hear(
            CatchUpReply(ENTITY, 8, [Learned(first + at, BALLOT, one.id, one.body) for at, one in enumerate(found)]),
        )
    assert replica.store.committed_entry(ENTITY) == 8


def test_what_lags_is_bounded_in_bytes_for_each_and_for_all() -> None:
    """A quarter for each; beyond that, and beyond the whole for all, an entity takes in its next entry only."""
    limit = 4_000_000
    tuning = TuningSettings(max_turn_applies=1, max_unapplied_bytes=limit)
    replica = Replica(tuning)
    entities = range(100, 110)
    for first in range(1, 9, 2):
        replica.hear(*(told(entity, entry, 400_000) for entity in entities for entry in (first, first + 1)))
    assert replica.shard.memory.bytes <= limit + 2 * len(entities) * 410_000
    assert replica.counters.entries_held > 0
    assert replica.shard.lag.bytes <= replica.shard.memory.bytes
    replica.hear(told(OTHER, 1, 400_000))
    assert replica.pointers(OTHER) == (1, 1), "no other is held up"


def test_the_next_entry_is_taken_in_however_much_others_hold() -> None:
    """Else nobody would ever apply anything again."""
    replica = Replica(TuningSettings(max_turn_applies=1, max_unapplied_bytes=1))
    for entry in range(1, 4):
        replica.hear(told(ENTITY, entry), told(ENTITY, entry + 1))
        assert replica.pointers() == (entry, entry)


def test_catch_up_is_helped() -> None:
    """Without it, a slice of a quarter each turn, and pauses; with it, all that a turn may apply, at once."""
    pace = []
    for called in (False, True):
        replica = Replica(TuningSettings(max_turn_applies=40))
        replica.hear(*(told(ENTITY, entry) for entry in range(1, 60)))
        if called:
            request = Operation(ENTITY, b"get x", read_only=True)
            request.commit_limit = 1
            replica.turn(request)
        turns = 0
        while replica.pointers()[0] < 59:
            turns += 1
            replica.turn(takes_ms=1.0)
        pace.append(turns)
    assert pace[1] * 3 < pace[0]


def test_catch_up_is_not_held_up_by_others() -> None:
    """However much others apply in each turn, its entity gets its slice."""
    replica = Replica(TuningSettings(max_turn_applies=4))
    replica.hear(*(told(100 + number, 1) for number in range(3)))
    replica.hear(*(told(ENTITY, entry) for entry in range(1, 30)))
    request = Operation(ENTITY, b"get x", read_only=True)
    request.commit_limit = 1
    replica.turn(request)
    for entry in range(2, 5):
        before = replica.pointers()[0]
        replica.hear(*(told(100 + number, entry, 50_000) for number in range(3)))
        assert replica.pointers()[0] > before


def test_a_crash_between_choosing_and_applying_is_made_good_for() -> None:
    replica = Replica()
    replica.hear(*(told(ENTITY, entry) for entry in range(1, 6)))
    assert replica.store.committed_entry(ENTITY) == 1
    replica.store.sync()
    again = Replica(store=replica.store.crash())
    assert again.ask(Operation(ENTITY, b"get x", read_only=True)).outcome == "pending"
    assert again.pointers()[0] < 5
    assert again.pointers()[1] == 5
    for _ in range(3):
        again.turn()
    assert again.store.get(ENTITY, DATA + b"x") == b"5"
    assert again.counters.catchup_requests == 0


def test_who_lags_does_not_leave_memory() -> None:
    replica = Replica(TuningSettings(max_turn_applies=1, max_mem_entities=1))
    replica.hear(*(told(ENTITY, entry) for entry in range(1, 6)))
    for entry in range(1, 4):
        replica.hear(told(OTHER, entry))
        assert replica.shard.entity(ENTITY) is not None


def test_nothing_is_applied_while_the_disk_takes_no_writes_and_all_of_it_afterwards() -> None:
    replica = Replica()
    replica.hear(*(told(ENTITY, entry) for entry in range(1, 6)))
    replica.hear(told(OTHER, 1))
    replica.turn(takes_ms=40.0)
    replica.shard.step(Received(PEER, [told(OTHER, 2)]), replica.now_ms, 0)
    assert [apply.entity for apply in replica.shard.ready().applies] == [OTHER]
    replica.shard.step(WriteFailed("no room"), replica.now_ms, 0)
    replica.now_ms += 40.0
    replica.shard.step(Tick(), replica.now_ms, 0)
    assert not replica.shard.ready().applies
    assert replica.shard.next_deadline_ms > replica.now_ms, "it does not look again and again meanwhile"
    assert replica.shard.lag.entity == ENTITY
    replica.turn(WritesAllowed(""))
    for _ in range(6):
        replica.turn()
    assert replica.store.committed_entry(ENTITY) == 5


def test_who_is_forgotten_while_it_lags_and_loaded_again_lags_again() -> None:
    """Its turn could not be written: what stands in its place in the queue is not what is in memory."""
    replica = Replica()
    replica.hear(*(told(ENTITY, entry) for entry in range(1, 9)))
    replica.shard.step(Tick(), replica.now_ms, 0)
    assert [apply.entity for apply in replica.shard.ready().applies] == [ENTITY]
    replica.shard.step(WriteFailed("no room"), replica.now_ms, 0)
    assert replica.shard.entity(ENTITY) is None
    failed = replica.shard.ready()
    replica.now_ms += 40.0
    replica.shard.step(Durable(failed.turn), replica.now_ms, 0)
    replica.turn(WritesAllowed(""), Received(PEER, [told(ENTITY, 8)]))  # in the pause after that slice
    replica.now_ms += 100.0
    for _ in range(9):
        replica.turn()
    assert replica.store.committed_entry(ENTITY) == 8


@pytest.mark.parametrize("entities", [0, 1, 2])
def test_how_far_all_lag_can_be_seen(entities: int) -> None:
    replica = Replica()
    replica.hear(*(told(100 + number, entry) for number in range(entities) for entry in range(1, 6 + number)))
    lag = replica.shard.lag
    expected = {0: (0, 0, -1, 0), 1: (1, 4, 100, 4), 2: (2, 9, 101, 5)}[entities]
    assert (lag.entities, lag.entries, lag.entity, lag.entity_entries) == expected
    assert (lag.bytes > 0) == (entities > 0)
