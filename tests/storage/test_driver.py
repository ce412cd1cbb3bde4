"""When a turn begins: one at a time, soon after something arrives, at the next deadline, and in gulps while a sync takes long."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from paxosstore.core.batch.overlay import View
from paxosstore.core.batch.request import Request
from paxosstore.core.interface.ready import Apply, Change, Release
from paxosstore.core.shard.shard import Shard
from paxosstore.core.turn.context import Identity
from paxosstore.errors import Damaged, PaxosStoreError
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.driver import Driver
from paxosstore.storage.memory import MemoryStore


class Due:
    def __init__(self, at_ms: float, action: Callable[[], None]) -> None:
        self.at_ms = at_ms
        self.action = action
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Hand:
    """A host in which everything happens when the test says so."""

    def __init__(self, **tuning: float) -> None:
        self.now = 1_000.0
        self.soon: list[Callable[[], None]] = []
        self.timers: list[Due] = []
        self.turns: list[tuple[int, bool]] = []
        self.outcomes: list[PaxosStoreError | None] = []
        self.warms = True
        """What is to be loaded is at once."""
        self.cold: list[Sequence[int]] = []
        """Else it waits here."""
        self.has_time = True
        store = MemoryStore()
        shard = Shard(Identity(ClusterSettings("t"), TuningSettings(**tuning), 0, 1), store, MsgpackBodyCodec(), {})  # type: ignore[arg-type]  # floats
        self.driver = Driver(shard, store, self, 10.0)

    def monotonic_ms(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return 0

    def call_soon(self, action: Callable[[], None]) -> None:
        self.soon.append(action)

    def call_later(self, delay_ms: float, action: Callable[[], None]) -> Due:
        self.timers.append(Due(self.now + delay_ms, action))
        return self.timers[-1]

    def written(self, events: int, needs_sync: bool) -> None:
        self.turns.append((events, needs_sync))
        if not needs_sync:
            self.driver.finish()

    def release(self, release: Release) -> None:
        for request, reply, error in release.outcomes:
            request.settle(reply, error)

    def applied(self, applies: Sequence[Apply], changes: Sequence[Change]) -> None:
        pass

    def renewed(self, disk: int) -> None:
        pass

    def warm(self, entities: Sequence[int]) -> None:
        if self.warms:
            self.driver.warmed(entities)
        else:
            self.cold.append(entities)

    def reads_on(self) -> bool:
        return self.has_time

    def lost(self, found: Damaged) -> None:
        pass

    def run(self) -> None:
        """What is to happen soon."""
        while self.soon:
            self.soon.pop(0)()

    @property
    def pending(self) -> list[Due]:
        return [timer for timer in self.timers if not timer.cancelled]

    def wake(self) -> None:
        """The next timer is due."""
        timer = min(self.pending, key=lambda timer: timer.at_ms)
        self.timers.remove(timer)
        self.now = timer.at_ms
        timer.action()

    def put(self, entity: int = 1) -> None:
        self.driver.step(Put(self, entity))


class Put(Request):
    def __init__(self, host: Hand, entity: int) -> None:
        super().__init__(entity)
        self.host = host

    def evaluate(self, view: View) -> bytes:
        view.put(b"x", b"1")
        return b""

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self.host.outcomes.append(error)


def syncing(host: Hand, entity: int = 1) -> Hand:
    """Until a proposal of node 0 at this entity is to be synced."""
    host.put(entity)
    host.run()
    assert host.driver.syncing
    return host


def test_what_arrives_together_is_one_turn() -> None:
    host = Hand()
    host.put(1)
    host.put(2)
    host.run()
    assert host.turns[0] == (2, False)
    assert host.turns[1] == (2, True), "both loads"


def test_turns_go_on_while_what_is_to_be_loaded_is_read_ahead() -> None:
    host = Hand()
    host.warms = False
    host.put(1)
    host.run()
    host.put(2)
    host.run()
    assert host.cold == [[1], [2]]
    host.driver.warmed(host.cold.pop())
    host.run()
    assert host.driver.syncing, "a proposal at entity 2"
    host.driver.warmed(host.cold.pop())
    assert len(host.driver.inbox) == 1, "it is stepped when the sync under way is over, or in a gulp"
    host.run()
    assert len(host.driver.inbox) == 1
    host.driver.finish()
    host.run()
    assert host.driver.syncing, "a proposal at entity 1"
    assert len(host.driver.inbox) == 0


def test_loads_leave_room_for_what_else_there_is() -> None:
    """Where each takes long, one at a time, and whatever is to be done soon is done in between."""
    host = Hand()
    host.warms = False
    host.has_time = False
    for entity in range(4):
        host.put(entity)
    host.run()
    assert host.cold == [[0, 1, 2, 3]]
    host.driver.warmed(host.cold.pop())
    assert len(host.driver.inbox) == 1
    assert len(host.soon) == 2, "the next load, and the turn"
    host.driver.warmed([])
    assert len(host.soon) == 2
    for _ in range(4):
        host.run()
        if host.driver.syncing:
            host.driver.finish()
    assert host.driver._shard.context.counters.loads == 4


def test_nothing_is_loaded_after_the_end() -> None:
    host = Hand()
    host.warms = False
    host.put(1)
    host.run()
    host.driver.close()
    host.driver.warmed(host.cold.pop())
    assert len(host.driver.inbox) == 0


def test_one_turn_at_a_time() -> None:
    host = syncing(Hand())
    turns = len(host.turns)
    host.put(2)
    host.run()
    assert len(host.turns) == turns
    assert len(host.driver.inbox) == 1
    host.driver.finish()
    host.run()
    assert host.turns[turns] == (1, False)


def test_while_a_sync_takes_long_what_comes_is_taken_in_gulps() -> None:
    host = syncing(Hand())
    turns = len(host.turns)
    host.driver.sync_takes_long()
    assert host.driver.slow
    host.put(2)
    host.run()
    assert len(host.turns) == turns, "none is written"
    assert not host.driver.inbox
    host.driver.finish()
    assert not host.driver.slow
    host.run()
    assert len(host.turns) > turns, "the turn of the gulps is written, though nothing else has arrived"


def test_a_deadline_wakes_it_up() -> None:
    host = syncing(Hand(request_timeout_ms=50.0))
    host.driver.finish()
    host.run()
    while not host.outcomes and host.now < 2_000.0:
        host.wake()
        host.run()
        if host.driver.syncing:
            host.driver.finish()
    assert len(host.outcomes) == 1
    assert host.now < 1_200.0


def test_there_is_one_timer() -> None:
    host = syncing(Hand(request_timeout_ms=50.0))
    host.driver.finish()
    for entity in range(2, 10):
        host.now += 0.5
        host.put(entity)
        host.run()
        if host.driver.syncing:
            host.driver.finish()
            host.run()
    assert len(host.pending) == 1


def test_a_timer_that_comes_for_nothing_does_no_harm() -> None:
    host = syncing(Hand())
    host.driver.finish()
    host.run()
    stale = host.timers[-1].action
    stale()
    stale()
    assert not host.driver.syncing
    assert not host.outcomes


def test_when_it_is_closed_the_turn_under_way_ends_and_none_begins() -> None:
    host = syncing(Hand())
    turns = len(host.turns)
    host.put(2)
    host.driver.close()
    host.driver.finish()
    host.run()
    assert not host.pending
    assert len(host.turns) == turns
    assert len(host.driver.inbox) == 1
