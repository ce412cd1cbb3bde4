"""The loop's turn: what the store cannot do ends the process, in one call of `fatal`, and nothing is told after it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from paxosstore.core.context import Identity
from paxosstore.core.event import Loaded
from paxosstore.core.overlay import View
from paxosstore.core.ready import Apply
from paxosstore.core.record import Record
from paxosstore.core.request import Request
from paxosstore.core.shard import Shard
from paxosstore.errors import NodeError, NotServing, PaxosStoreError
from paxosstore.runtime.loop import TurnLoop
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.api import Store
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.memory import MemoryStore


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
    """Notes where each sync ran, and takes or fails as told."""

    def __init__(self) -> None:
        super().__init__()
        self.on_loop: list[bool] = []
        self.takes_s = 0.0
        self.fails = False

    def sync(self) -> None:
        self.on_loop.append(threading.current_thread() is threading.main_thread())
        time.sleep(self.takes_s)
        if self.fails:
            raise OSError("input/output error while syncing")
        super().sync()


def test_a_lone_turn_syncs_on_the_loop_while_syncs_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paxosstore.runtime.loop.QUICK_SYNC_MS", 250.0)  # no pause of this machine is taken for a slow disk

    async def main() -> None:
        reasons: list[str] = []
        store = Watched()
        turns = turns_over(store, reasons.append)

        async def where(*entities: int) -> list[bool]:
            """Where the syncs ran that a proposal at each of these entities needs: all in one turn, after their loads."""
            store.on_loop.clear()
            for entity in entities:
                turns.step(Put(entity))
            await asyncio.sleep(store.takes_s + 0.2)
            return store.on_loop[:1]

        assert await where(1) == [False], "how quick the disk is has to be seen first"
        assert await where(2) == [True]
        assert await where(3, 4) == [False], "with more to do, the next turn gathers meanwhile"
        store.takes_s = 0.3
        assert await where(5) == [True]
        assert await where(6) == [False], "the last sync was slow"
        store.takes_s = 0.0
        assert await where(7) == [False]
        assert await where(8) == [True], "and the one after it quick again"
        store.fails = True
        assert await where(9) == [True]
        assert len(reasons) == 1
        assert "while syncing" in reasons[0]

    asyncio.run(main())


class Broken(MemoryStore):
    """Its first write breaks."""

    broken = False

    def write(self, records: dict[tuple[int, int], Record], applies: Sequence[Apply]) -> None:
        if not self.broken:
            self.broken = True
            raise AssertionError("not to be expected")
        super().write(records, applies)


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


class UnreadableInTheEnd(Unreadable):
    """Takes its time for a sync, and cannot load what is asked for meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.syncing = threading.Event()
        self.may_sync = threading.Event()

    def load(self, entity: int) -> Loaded:
        return MemoryStore.load(self, entity) if entity == 1 else super().load(entity)

    def sync(self) -> None:
        self.syncing.set()
        self.may_sync.wait()
        super().sync()


def test_what_fails_while_it_is_being_closed_does_not_keep_it_open() -> None:
    async def main() -> None:
        reasons: list[str] = []
        store = UnreadableInTheEnd()
        turns = turns_over(store, reasons.append)
        turns.step(Put(1))
        await asyncio.sleep(0)
        turns.step(Put(2))  # in the turn after the load of entity 1, the one that syncs and then loads
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
