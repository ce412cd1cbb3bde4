"""What a turn reads for peers: as far as there is time, the rest in later turns."""

from __future__ import annotations

import pytest

from paxosstore.core.batch.overlay import DATA, WriteBatch
from paxosstore.core.interface.event import Event, LogLoaded, SnapshotLoaded
from paxosstore.core.interface.ready import Apply, LogRead, Ready, SnapshotRead
from paxosstore.core.shard.shard import Shard
from paxosstore.core.turn.context import Identity
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage import turn as turn_module
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.memory import MemoryStore
from paxosstore.storage.turn import Turn

PEER = 1


class Turns:
    """A turn after the other, each with what the test asks for."""

    def __init__(self, *, has_time: bool) -> None:
        self.store = MemoryStore()
        self.shard = Shard(Identity(ClusterSettings("t"), TuningSettings(), 0, 1), self.store, MsgpackBodyCodec(), {})
        self.turn = Turn(self.shard, self.store, lambda release: None, reads_on=lambda: has_time)

    @property
    def ready(self) -> Ready:
        """What the next turn asks for."""
        return self.shard.context.ready

    def next(self) -> list[Event]:
        self.turn.begin([], 0.0, 0)
        return self.turn.finish(0.0, 0)


@pytest.fixture(params=[True, False])
def turns(request: pytest.FixtureRequest) -> Turns:
    return Turns(has_time=request.param)


def test_all_are_read_in_order(turns: Turns) -> None:
    turns.ready.log_reads += [LogRead(entity, 1, 2, PEER) for entity in range(5)]
    found: list[int] = []
    rounds = 0
    while len(found) < 5:
        rounds += 1
        events = turns.next()
        assert events, "one at least, or no turn would come that goes on"
        found += [event.entity for event in events if isinstance(event, LogLoaded)]
    assert found == list(range(5))
    assert rounds == (1 if turns.turn._reads_on() else 5)


def test_what_waits_for_later_turns_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn_module, "MAX_LATER", 3)
    turns = Turns(has_time=False)
    turns.ready.log_reads += [LogRead(entity, 1, 2, PEER) for entity in range(10)]
    assert len(turns.next()) == 7
    assert len(turns.next()) == 1


def test_a_view_that_was_closed_before_it_was_read_is_not_opened() -> None:
    turns = Turns(has_time=False)
    turns.store.write({}, [Apply(entity, 1, WriteBatch({DATA + b"k": b"v"})) for entity in (1, 2)])
    turns.ready.snapshot_reads += [SnapshotRead(PEER, entity, 9, b"", 1) for entity in (1, 2)]
    assert len(turns.next()) == 1
    turns.ready.snapshot_closes += [(PEER, 1, 9), (PEER, 2, 9)]
    assert not [event for event in turns.next() if isinstance(event, SnapshotLoaded)]
    assert not turns.store._views
