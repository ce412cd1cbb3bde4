"""The loop's turn: what the store cannot do ends the process, in one call of `fatal`, and nothing is told after it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from paxosstore.core.batch.overlay import View
from paxosstore.core.batch.request import Request
from paxosstore.core.entry.record import Record
from paxosstore.core.interface.event import Loaded
from paxosstore.core.interface.ready import Apply, Change, FloorRead
from paxosstore.core.shard.shard import Shard
from paxosstore.core.turn.context import Identity
from paxosstore.errors import NodeError, NotServing, OutcomeUnknown, PaxosStoreError
from paxosstore.runtime.loop import TurnLoop
from paxosstore.runtime.syncer import Syncer
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.api import Store
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.memory import MemoryStore

from .test_links import until


class Unreadable(MemoryStore):
    def load(self, entity: int) -> Loaded:
        raise NodeError("input/output error while loading")


class UnreadableData(MemoryStore):
    def get(self, entity: int, key: bytes) -> bytes | None:
        raise NodeError("input/output error while reading")


class Unsyncable(MemoryStore):
    def sync(self) -> None:
        raise OSError("input/output error while syncing")


class Put(Request):
    def __init__(self, entity: int = 1) -> None:
        super().__init__(entity)
        self.told: list[tuple[bytes, PaxosStoreError | None]] = []

    def evaluate(self, view: View) -> bytes:
        view.get(b"x")
        view.put(b"x", b"1")
        return b"done"

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self.told.append((reply, error))


def turns_over(
    store: Store,
    fatal: Callable[[str], None],
    send: Callable[[object], None] = lambda by_peer: None,
    tuning: TuningSettings | None = None,
) -> TurnLoop:
    """The loop of node 0 of three, alone."""
    shard = Shard(Identity(ClusterSettings("test"), tuning or TuningSettings(), 0, 1), store, MsgpackBodyCodec(), {})
    return TurnLoop(shard, store, send, fatal)


@pytest.mark.parametrize(
    ("make_store", "reason"),
    [(Unreadable, "while loading"), (UnreadableData, "while reading"), (Unsyncable, "while syncing")],
)
def test_what_the_store_cannot_do_ends_the_process(make_store: Callable[[], MemoryStore], reason: str) -> None:
    async def main() -> None:
        reasons: list[str] = []
        store = make_store()
        turns = turns_over(store, reasons.append)
        request = Put()
        turns.step(request)
        await asyncio.sleep(0.1)
        assert len(reasons) == 1
        assert reason in reasons[0]
        assert request.told == []
        async with asyncio.timeout(5.0):  # an owner whose `fatal` returns can still close it
            await turns.close()

    asyncio.run(main())


class Watched(MemoryStore):
    """Notes in which threads syncs ran, and takes or fails as told."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[str] = set()
        self.takes_s = 0.0
        self.fails = False

    def sync(self) -> None:
        self.threads.add(threading.current_thread().name)
        time.sleep(self.takes_s)
        if self.fails:
            raise OSError("input/output error while syncing")
        super().sync()


def test_the_loop_waits_for_a_lone_turns_sync_while_syncs_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paxosstore.runtime.loop.QUICK_SYNC_MS", 250.0)  # no pause of this machine is taken for a slow disk
    monkeypatch.setattr("paxosstore.runtime.loop.LONE_WAIT_MS", 200.0)
    waits: list[float] = []
    start_and_wait = Syncer.start_and_wait

    def noted(self: Syncer, wait_ms: float) -> None:
        waits.append(wait_ms)
        start_and_wait(self, wait_ms)

    monkeypatch.setattr(Syncer, "start_and_wait", noted)

    async def main() -> None:
        reasons: list[str] = []
        store = Watched()
        turns = turns_over(store, reasons.append)

        async def waited(*entities: int) -> bool:
            """Whether the loop waited for the first sync that proposals at these entities need: one turn, after their loads."""
            waits.clear()
            for entity in entities:
                turns.step(Put(entity))
            await asyncio.sleep(store.takes_s + 0.25)
            return bool(waits)

        assert not await waited(1), "how quick the disk is has to be seen first"
        assert await waited(2)
        assert not await waited(3, 4), "with more to do, the next turn gathers meanwhile"
        store.takes_s = 0.4
        assert await waited(5)
        assert not await waited(6), "the last sync was slow"
        store.takes_s = 0.0
        assert not await waited(7)
        assert await waited(8), "and the one after it quick again"
        store.fails = True
        assert await waited(9)
        assert len(reasons) == 1
        assert "while syncing" in reasons[0]
        assert store.threads == {"paxosstore-sync"}, "none on the loop: it might not return"

    asyncio.run(main())


class Stuck(MemoryStore):
    """From `stuck` on, no sync returns until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck = False
        self.answers = threading.Event()

    def sync(self) -> None:
        if self.stuck:
            self.answers.wait()
        super().sync()


def test_a_disk_that_does_not_answer_keeps_nobody_past_a_deadline() -> None:
    async def main() -> None:
        store = Stuck()
        store.stuck = True
        turns = turns_over(store, pytest.fail, tuning=TuningSettings(request_timeout_ms=100.0, slow_sync_ms=10.0))
        first, second = Put(1), Put(2)
        turns.step(first)
        await asyncio.sleep(0.05)
        turns.step(second)  # the turn before is being synced
        await until(lambda: bool(first.told and second.told))
        assert turns.disk_silent_ms > 0.0
        assert "this node's disk has not answered for" in str(first.told[0][1])
        store.answers.set()
        await until(lambda: not turns.disk_silent_ms)
        assert await turns.close()
        assert len(first.told) == len(second.told) == 1

    asyncio.run(main())


def test_a_stop_does_not_wait_for_a_disk_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paxosstore.runtime.loop.CLOSE_WAIT_S", 0.05)

    async def main() -> None:
        store = Stuck()
        store.stuck = True
        sent: list[object] = []
        turns = turns_over(store, pytest.fail, sent.append)
        request = Put()
        turns.step(request)
        await asyncio.sleep(0.05)
        async with asyncio.timeout(10.0):
            assert not await turns.close()
        ((_, error),) = request.told
        assert isinstance(error, OutcomeUnknown)
        store.answers.set()
        await asyncio.sleep(0.1)
        assert sent == [], "what it was to show then stays untold"
        assert len(request.told) == 1

    asyncio.run(main())


class Broken(MemoryStore):
    """Its first write breaks."""

    broken = False

    def write(self, records: dict[tuple[int, int], Record], applies: Sequence[Apply], changes: Sequence[Change] = ()) -> None:
        if not self.broken:
            self.broken = True
            raise AssertionError("not to be expected")
        super().write(records, applies, changes)


def test_half_a_turn_ends_the_process() -> None:
    """What was released early is out and nothing was written: the next turn must not take this one's rows for durable."""

    async def main() -> None:
        reasons: list[str] = []
        store = Broken()
        sent: list[object] = []
        turns = turns_over(store, reasons.append, sent.append)
        turns.step(Put())
        await asyncio.sleep(0.1)
        assert reasons == ["a turn broke: AssertionError: not to be expected"]
        turns.step(Put(2))
        await asyncio.sleep(0.3)
        assert sent == [], "an owner whose `fatal` returns does not make it go on"
        assert len(reasons) == 1
        await turns.close()

    asyncio.run(main())


class UnreadableInTheEnd(MemoryStore):
    """Takes its time for a sync, and cannot be read when that is over."""

    def __init__(self) -> None:
        super().__init__()
        self.syncing = threading.Event()
        self.may_sync = threading.Event()

    def entities(self, after: int, limit: int) -> list[tuple[int, int, int]]:
        raise NodeError("input/output error while loading")

    def sync(self) -> None:
        self.syncing.set()
        self.may_sync.wait()
        super().sync()


def test_what_fails_while_it_is_being_closed_does_not_keep_it_open() -> None:
    async def main() -> None:
        reasons: list[str] = []
        store = UnreadableInTheEnd()
        turns = turns_over(store, reasons.append)
        put = Put(1)

        def evaluate(view: View) -> bytes:
            context = turns._shard.context
            context.floor_reads[1] = FloorRead(-1, 10, 1, 1)  # is read when this turn is durable
            return b""

        put.evaluate = evaluate  # type: ignore[method-assign]  # of this one only
        turns.step(put)
        await asyncio.to_thread(store.syncing.wait)
        closing = asyncio.ensure_future(turns.close())
        await asyncio.sleep(0.05)
        assert not closing.done()
        store.may_sync.set()
        async with asyncio.timeout(5.0):
            await closing
        assert len(reasons) == 1
        assert "while loading" in reasons[0]

    asyncio.run(main())


def test_a_service_that_cannot_write_its_replies_breaks_no_turn() -> None:
    async def main() -> None:
        reasons: list[str] = []
        store = MemoryStore()
        turns = turns_over(store, reasons.append, tuning=TuningSettings(request_timeout_ms=1.0))
        called: list[bool] = []

        def fails() -> None:
            called.append(True)
            raise ValueError("no connection")

        turns.on_told.append(fails)
        request = Put()
        turns.step(request)
        await asyncio.sleep(0.3)
        assert request.told
        assert called
        assert reasons == []
        await turns.close()

    asyncio.run(main())


def test_a_request_that_no_turn_has_taken_in_is_refused_at_the_end() -> None:
    async def main() -> None:
        store = MemoryStore()
        turns = turns_over(store, pytest.fail)
        request = Put()
        turns.step(request)
        await turns.close()
        ((_, error),) = request.told
        assert isinstance(error, NotServing)

    asyncio.run(main())


class SlowToRead(MemoryStore):
    """What loading reads is not in memory, and the disk does not answer for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.warmed: list[int] = []
        self.answers = threading.Event()

    def warm(self, entities: Sequence[int]) -> None:
        if 2 in entities:
            self.answers.wait()
        self.warmed += entities

    def load(self, entity: int) -> Loaded:
        assert entity in self.warmed
        return super().load(entity)


def test_a_disk_that_is_slow_to_read_holds_up_nobody_but_who_waits_for_it() -> None:
    async def main() -> None:
        store = SlowToRead()
        turns = turns_over(store, pytest.fail)
        loaded = turns._shard.context.counters
        turns.step(Put(1))
        await until(lambda: loaded.loads == 1)
        turns.step(Put(2))
        await asyncio.sleep(0.02)
        again = Put(1)
        turns.step(again)
        await until(lambda: turns._shard.waiting_requests == 3)  # it was taken in, and waits with the others
        assert loaded.loads == 1
        store.answers.set()
        await until(lambda: loaded.loads == 2)
        await turns.close()
        assert again.told

    asyncio.run(main())


def test_a_read_that_does_not_return_keeps_no_loop_open() -> None:
    store = SlowToRead()

    async def main() -> TurnLoop:
        turns = turns_over(store, pytest.fail)
        turns.step(Put(2))
        await asyncio.sleep(0.02)
        async with asyncio.timeout(5.0):
            await turns.close()
        return turns

    thread = asyncio.run(main())._warmer._thread
    assert thread.is_alive()
    store.answers.set()  # the loop is closed by now: nobody is called
    thread.join(5.0)
    assert not thread.is_alive()
    assert store.warmed == [2]
