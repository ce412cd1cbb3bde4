"""The cases of the article's CheckDBStatus (part 5): what stands between a caller and a DB that it may be served from."""

from __future__ import annotations

from paxosstore.core.batch.overlay import DATA, WriteBatch
from paxosstore.core.entry.ids import value_id
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.event import Durable, Received, Tick
from paxosstore.core.interface.message import (
    CatchUpReply,
    CatchUpRequest,
    Learned,
    Message,
    PaxosMessage,
    ReadAnswer,
    ReadQuestion,
)
from paxosstore.core.interface.ready import Apply, Ready
from paxosstore.core.shard.shard import Shard
from paxosstore.core.turn.context import Identity
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.memory import MemoryStore

from .support import HANDLERS, AloneOperation, Operation

ENTITY = 7
ME, PEER = 0, 1
TUNING = TuningSettings(max_commit_num=3, lease_ms=20.0)


def value(entry: int, proposer: int = PEER) -> Value:
    """At each entry, x is set to its number."""
    return Value(value_id(proposer, 9, entry), MsgpackBodyCodec().encode(WriteBatch({DATA + b"x": b"%d" % entry})))


def chosen(entry: int) -> Record:
    return Record(0, PEER + 1, PEER + 1, value(entry), True)


class Replica:
    """One node, its store, and a peer that is played by the test."""

    def __init__(self, committed: int, rows: list[tuple[int, Record]]) -> None:
        """The entity is on the disk, and not in memory."""
        self.store = MemoryStore()
        self.shard = Shard(Identity(ClusterSettings("test"), TUNING, ME, 1), self.store, MsgpackBodyCodec(), HANDLERS)
        self.now_ms = 100.0
        applied = range(1, committed + 1)
        self.store.write(
            {(ENTITY, entry): row for entry, row in [*((entry, chosen(entry)) for entry in applied), *rows]},
            [Apply(ENTITY, entry, WriteBatch({DATA + b"x": b"%d" % entry})) for entry in applied],
        )
        self.sent: list[Message] = []

    def step(self, *events: object) -> Ready:
        """One turn, and what it has the disk read."""
        for event in events:
            self.shard.step(event, self.now_ms, 0)  # type: ignore[arg-type]  # events and requests
        self.shard.step(Tick(), self.now_ms, 0)
        ready = self.shard.ready()
        self.store.write(ready.records, ready.applies)
        self.sent = [message for peer, message in ready.early.messages if peer == PEER]
        outcomes = list(ready.early.outcomes)
        self.shard.step(Durable(ready.turn), self.now_ms, 0)
        self.sent += [message for peer, message in ready.late.messages if peer == PEER]
        for request, reply, error in outcomes + ready.late.outcomes:
            request.settle(reply, error)
        if ready.loads:
            return self.step(*map(self.store.load, ready.loads))
        return ready

    def hear(self, *messages: Message) -> Ready:
        return self.step(Received(PEER, messages))

    def read(self, highest: int, *, commit_limit: int = 0) -> Operation:
        """A read; the peer answers that it has accepted nothing above this."""
        request = Operation(ENTITY, b"get x", read_only=True)
        request.commit_limit = commit_limit
        self.step(request)
        question = next(message for message in self.sent if isinstance(message, ReadQuestion))
        self.hear(ReadAnswer(ENTITY, question.number, highest, highest))
        return request

    @property
    def committed(self) -> int:
        entity = self.shard.entity(ENTITY)
        assert entity is not None
        return entity.log.committed

    @property
    def asked_for(self) -> list[int]:
        """The entries from which on the peer was asked for what is chosen."""
        return [message.first for message in self.sent if isinstance(message, CatchUpRequest)]


def test_up_to_date() -> None:
    """Committed = contiguous chosen = max chosen: the DB is what it is served from, and nobody is asked for entries."""
    replica = Replica(3, [])
    request = replica.read(highest=3)
    assert request.ended
    assert (replica.committed, replica.asked_for) == (3, [])
    assert replica.shard.context.counters.entries_applied == 0


def test_db_behind_with_everything_chosen() -> None:
    """Committed < contiguous chosen = max chosen: the own PLog has all of it, and it is applied from there."""
    replica = Replica(1, [(2, chosen(2)), (3, chosen(3))])
    request = replica.read(highest=3)
    assert (request.outcome, replica.committed) == ("3", 3)
    assert replica.shard.context.counters.catchup_requests == 0


def test_behind_the_log() -> None:
    """Contiguous chosen < max chosen: what is missing is asked for first, and the caller waits for it."""
    replica = Replica(1, [(3, chosen(3))])
    request = replica.read(highest=3)
    assert (request.outcome, replica.committed) == ("pending", 1)
    assert replica.shard.context.counters.catchup_requests == 1
    replica.hear(CatchUpReply(ENTITY, 3, [Learned(2, PEER + 1, value(2).id, value(2).body)]))
    assert (request.outcome, replica.committed) == ("3", 3)


def test_too_far_behind() -> None:
    """Further than one call may apply (max_commit_num): EntityCatchUp says so, and goes on when called again."""
    replica = Replica(1, [(entry, chosen(entry)) for entry in range(2, 7)])
    assert replica.read(highest=6, commit_limit=1).outcome == "COMMITLIMIT"
    assert 1 + TUNING.max_commit_num <= replica.committed <= 6
    replica.step()
    assert replica.committed == 6
    assert replica.read(highest=6, commit_limit=1).outcome == "6"


def test_lease_wait() -> None:
    """Somebody else was active at the next entry a moment ago: it is not competed with before the lease has passed."""
    replica = Replica(3, [])
    vote = PaxosMessage(ENTITY, 4, 0, PEER + 1, 0, False, value(4).id, value(4).body, 3, True, False)
    replica.hear(vote)
    replica.hear(vote)
    request = AloneOperation(ENTITY, b"incr c")
    replica.step(request)
    counters = replica.shard.context.counters
    assert (counters.lease_waits, counters.rounds_full) == (1, 0)
    replica.now_ms += TUNING.lease_ms - 1.0
    replica.step()
    assert counters.rounds_full == 0
    replica.now_ms += 1.0
    replica.step()
    assert counters.rounds_full == 1
