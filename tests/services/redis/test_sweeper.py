"""Who drops what has expired, when, and what it costs while nothing is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from paxosstore.errors import NoQuorum
from paxosstore.services.redis import sweeper
from paxosstore.services.redis.commands.handler import handle
from paxosstore.services.redis.layout.keys import Key, number_of_keys
from paxosstore.services.redis.layout.keyspace import REDIS_BASE, SLOT_BASE
from paxosstore.services.redis.sweeper import LOOKS, PATIENCE_MS, Schedule, Sweeper

from .support import NOW_MS, DictView


class FakeNode:
    """Entities in dicts; evaluates at once. Counts what it is asked for."""

    def __init__(self, node_id: int = 0) -> None:
        self.node_id = node_id
        self.views: dict[int, DictView] = {}
        self.preferred = node_id
        self.down: set[int] = set()
        self.peeks = 0
        self.calls: list[int] = []
        self.refusals = 0
        self.told: Sweeper | None = None
        self.expires = True
        self.now_ms: Callable[[], int] = lambda: NOW_MS

    def view(self, entity: int) -> DictView:
        return self.views.setdefault(entity, DictView(entity))

    async def call(self, entity: int, handler: str, payload: bytes) -> bytes:
        self.calls.append(entity)
        await asyncio.sleep(0)
        if self.refusals:
            self.refusals -= 1
            raise NoQuorum("no majority")
        reply = handle(self.view(entity), payload)
        assert self.told is not None
        self.told.applied([entity])
        return reply

    def peek(self, entity: int, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        self.peeks += 1
        return self.view(entity).scan(start, end)

    def committed(self, after: int) -> Iterable[tuple[int, int]]:
        return ((entity, 1) for entity in sorted(self.views) if entity > after)

    def preferred_proposer(self, entity: int) -> int:
        return self.preferred

    def is_up(self, node: int) -> bool:
        return node not in self.down


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time; sleeping moves it, and takes none."""
    now = SimpleNamespace(ms=NOW_MS)
    sleep = asyncio.sleep

    async def skip(seconds: float) -> None:
        now.ms += max(1, round(seconds * 1000))
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", skip)
    monkeypatch.setattr(sweeper, "LONGEST_SLEEP_S", 0.001)
    return now


def free_of_charge(size: int, ms: float) -> float:
    return 0.0


def sweep(node: FakeNode, clock: SimpleNamespace, until_ms: int, pay: Callable[[int, float], float] = free_of_charge) -> Sweeper:
    """Run the sweeper until that time."""
    swept = node.told = Sweeper(node, pay)
    node.now_ms = lambda: clock.ms

    async def story() -> None:
        task = asyncio.ensure_future(swept.run())
        while clock.ms < until_ms:
            for view in node.views.values():
                view.now_ms = clock.ms
            if task.done():
                task.result()
            await cast(asyncio.Future[None], asyncio.wait({task}, timeout=0))
            clock.ms += 10
        task.cancel()

    asyncio.run(story())
    return swept


def fill(node: FakeNode, entity: int, keys: int, at_ms: int) -> None:
    for number in range(keys):
        Key(node.view(entity), b"%d" % number).set(b"v", at_ms)


def test_what_is_due_is_dropped_and_the_rest_stays(clock: SimpleNamespace) -> None:
    node = FakeNode()
    fill(node, REDIS_BASE, 2_500, NOW_MS + 500)
    Key(node.view(REDIS_BASE), b"later").set(b"v", NOW_MS + 10**6)
    Key(node.view(REDIS_BASE), b"for ever").set(b"v")
    swept = sweep(node, clock, NOW_MS + 3_000)
    assert number_of_keys(node.view(REDIS_BASE)) == 2
    assert swept.dropped_keys == 2_500
    assert len(node.calls) == 3, "1,000 a step, and nothing is asked when nothing is due"


def test_who_has_an_odd_clock_drops_nothing_until_it_is_right(clock: SimpleNamespace) -> None:
    node = FakeNode()
    node.expires = False
    fill(node, REDIS_BASE, 10, NOW_MS + 500)
    sweep(node, clock, NOW_MS + 60_000)
    assert not node.calls
    assert node.peeks < 100, "nor does it look for it all the time"
    node.expires = True
    sweep(node, clock, clock.ms + 2_000)
    assert number_of_keys(node.view(REDIS_BASE)) == 0


def test_every_slot_is_swept(clock: SimpleNamespace) -> None:
    node = FakeNode()
    entities = [SLOT_BASE + slot for slot in range(1_500)]
    for entity in entities:
        fill(node, entity, 1, NOW_MS + 1)
    sweep(node, clock, NOW_MS + 20_000)
    assert not any(number_of_keys(view) for view in node.views.values())


def test_what_is_at_rest_costs_nothing(clock: SimpleNamespace) -> None:
    node = FakeNode()
    for slot in range(300):
        fill(node, SLOT_BASE + slot, 1, 0)
        fill(node, SLOT_BASE + slot, 1, NOW_MS + 10**9)
    sweep(node, clock, NOW_MS + 60_000)
    assert node.peeks == 2 * 300, "one look each, at what expires and at what is gone, at the start"
    assert not node.calls


def test_an_entity_that_is_written_all_the_time_is_looked_at_now_and_then(clock: SimpleNamespace) -> None:
    node = FakeNode()
    swept = node.told = Sweeper(node)
    for _ in range(1_000):
        swept.applied([REDIS_BASE, 7])
    swept._look(NOW_MS)
    assert swept.looks == 1
    swept.applied([SLOT_BASE + slot for slot in range(10 * LOOKS)])
    swept._look(NOW_MS)
    assert swept.looks == 1 + LOOKS, "a pass of the loop is short"


def test_only_the_preferred_proposer_drops(clock: SimpleNamespace) -> None:
    node = FakeNode(node_id=1)
    node.preferred = 2
    fill(node, REDIS_BASE, 3, NOW_MS + 1)
    sweep(node, clock, NOW_MS + 2 * PATIENCE_MS - 500)
    assert not node.calls


@pytest.mark.parametrize(("preferred", "down"), [(2, {0, 2}), (-1, {0}), (0, {0})])
def test_the_lowest_node_drops_for_one_that_is_not_there(clock: SimpleNamespace, preferred: int, down: set[int]) -> None:
    node = FakeNode(node_id=1)
    node.preferred, node.down = preferred, down
    fill(node, REDIS_BASE, 3, NOW_MS + 1)
    sweep(node, clock, NOW_MS + 1_000)
    assert node.calls
    assert not number_of_keys(node.view(REDIS_BASE))


def test_anybody_drops_what_the_preferred_proposer_does_not(clock: SimpleNamespace) -> None:
    node = FakeNode(node_id=1)
    node.preferred = 2
    fill(node, REDIS_BASE, 3, NOW_MS + 1)
    sweep(node, clock, NOW_MS + 2 * PATIENCE_MS + 3_000)
    assert not number_of_keys(node.view(REDIS_BASE))


def test_it_goes_on_when_the_store_refuses(clock: SimpleNamespace) -> None:
    node = FakeNode()
    node.refusals = 3
    fill(node, REDIS_BASE, 3, NOW_MS + 1)
    sweep(node, clock, NOW_MS + 10_000)
    assert not number_of_keys(node.view(REDIS_BASE))
    assert len(node.calls) == 4, "once a second, not in a loop"


def test_the_schedule_forgets_what_was_put_again_or_dropped() -> None:
    schedule = Schedule()
    schedule.put(1, 50)
    schedule.put(1, 70)
    schedule.put(2, 60)
    schedule.put(3, 10)
    schedule.drop(3)
    assert schedule.next_ms() == 60
    assert schedule.take_due(60, 9) == []
    assert schedule.take_due(100, 9) == [2, 1]
    assert schedule.next_ms() is None


def test_it_books_what_it_drops_and_rests_as_long_as_it_is_told(clock: SimpleNamespace) -> None:
    node = FakeNode()
    booked: list[tuple[int, float, int]] = []

    def pay(size: int, ms: float) -> float:
        if size:
            booked.append((size, ms, clock.ms))
        return 5.0 if size else 0.0

    fill(node, REDIS_BASE, 2_500, NOW_MS + 500)
    sweep(node, clock, NOW_MS + 30_000, pay)
    assert [size for size, _, _ in booked] == [sweeper.KEY_BYTES * keys for keys in (1_000, 1_000, 500)]
    assert min(ms / size for size, ms, _ in booked) >= sweeper.KEY_MS / sweeper.KEY_BYTES
    (_, _, first), (_, _, second), (_, _, third) = booked
    assert min(second - first, third - second) >= 5_000
