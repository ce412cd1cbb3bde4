"""The waiting room by itself: who is woken by what, in which order, and that nobody waits beside what is there for him."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush

import pytest

from paxosstore.core.batch.overlay import WriteBatch
from paxosstore.core.interface.ready import Apply, EndInstall
from paxosstore.errors import NotServing, PaxosStoreError
from paxosstore.runtime.feed import Feed
from paxosstore.services.redis.layout.keys import LIST, STREAM, ZSET
from paxosstore.services.redis.waiting.room import NEVER, STALE, Place, WaitingRoom, row_of

E = 3


def head(kind: int, members: int) -> bytes:
    """The row of a key, as the layout writes it."""
    return bytes((kind,)) + bytes(8) + bytes(12) + bytes(8) + members.to_bytes(8, "big") + bytes(1)


class Timer:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Bench:
    """A room, its feed and its clock."""

    def __init__(self) -> None:
        self.feed = Feed(0)
        self.now_s = 100.0
        self.timers: list[tuple[float, int, Timer]] = []
        self.timers_set = 0
        self.room = WaitingRoom(self.feed, lambda: self.now_s, self._call_later)
        self.told: list[str] = []
        self.entry = 0

    def _call_later(self, pause_s: float, call: Callable[[], None]) -> Timer:
        timer = Timer(call)
        self.timers_set += 1
        heappush(self.timers, (self.now_s + pause_s, self.timers_set, timer))
        return timer

    def pass_time(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        while self.timers and self.timers[0][0] <= until_s:
            self.now_s, _, timer = heappop(self.timers)
            if not timer.cancelled:
                timer.call()
        self.now_s = until_s

    def touch(self, **keys: int | None) -> None:
        """An entry that leaves these lists with so many members."""
        writes = {row_of(name.encode()): None if members is None else head(LIST, members) for name, members in keys.items()}
        self.apply(WriteBatch(dict(writes)))

    def apply(self, batch: WriteBatch) -> None:
        self.entry += 1
        self.feed.take([Apply(E, self.entry, batch)], [])

    def waiter(self, name: str, keys: str = "q", kind: int = LIST, until_s: float = NEVER) -> Waiter:
        """One that has tried in vain, unless it waits behind others."""
        waiter = Waiter(self, name, keys, kind, until_s)
        waiter.enter()
        if waiter.place.trying:
            self.room.found_nothing(waiter.place)
        return waiter


class Waiter:
    def __init__(self, bench: Bench, name: str, keys: str, kind: int, until_s: float) -> None:
        self.bench = bench
        self.name = name
        self.place = Place(self, E, [key.encode() for key in keys], kind, until_s)

    def enter(self) -> bool:
        return self.bench.room.enter(self.place)

    def retry(self) -> None:
        self.bench.told.append(f"{self.name} tries")

    def look(self) -> None:
        self.bench.told.append(f"{self.name} looks")

    def time_out(self) -> None:
        self.bench.told.append(f"{self.name} times out")
        self.bench.room.leave(self.place)

    def fail(self, error: PaxosStoreError) -> None:
        self.bench.told.append(f"{self.name} fails")
        self.bench.room.leave(self.place)

    def drop(self) -> None:
        self.bench.told.append(f"{self.name} drops")
        self.bench.room.leave(self.place)


def test_as_many_as_there_are_members_try_in_the_order_in_which_they_came() -> None:
    bench = Bench()
    for name in "abcd":
        bench.waiter(name)
    bench.waiter("other", "r")
    bench.touch(q=2)
    assert bench.told == ["a tries", "b tries"]
    bench.touch(x=5)
    assert len(bench.told) == 2


def test_who_comes_later_waits_behind_and_does_not_try() -> None:
    bench = Bench()
    first, second = Waiter(bench, "a", "q", LIST, NEVER), Waiter(bench, "b", "q", LIST, NEVER)
    assert first.enter()
    assert not second.enter()
    assert Waiter(bench, "c", "qr", LIST, NEVER).enter(), "for one of its keys it is the first"
    assert Waiter(bench, "d", "q", ZSET, NEVER).enter(), "it takes from another kind of key"


def test_who_comes_in_while_it_tries_is_tried_again() -> None:
    bench = Bench()
    first = Waiter(bench, "a", "q", LIST, NEVER)
    first.enter()
    bench.touch(q=1)
    assert bench.told == []
    bench.room.found_nothing(first.place)
    assert bench.told == ["a tries"]
    bench.room.found_nothing(first.place)
    assert not first.place.trying


def test_a_wake_that_was_not_needed_is_passed_on() -> None:
    bench = Bench()
    first, _ = bench.waiter("a", "qr"), bench.waiter("b", "q")
    bench.touch(q=1)
    bench.room.leave(first.place, b"r")
    assert bench.told == ["a tries", "b tries"]


def test_who_goes_while_it_tries_passes_its_wake_on() -> None:
    bench = Bench()
    first, _ = bench.waiter("a"), bench.waiter("b")
    bench.touch(q=1)
    bench.room.leave(first.place)
    assert bench.told == ["a tries", "b tries"]


def test_who_goes_without_having_found_out_lets_the_next_one_do_so() -> None:
    """The second has not tried, because of the first."""
    bench = Bench()
    first = Waiter(bench, "a", "qr", LIST, NEVER)
    assert first.enter()
    assert not Waiter(bench, "b", "r", LIST, NEVER).enter()
    bench.room.leave(first.place, b"q")  # whether there is anything in r is not known
    assert bench.told == ["b tries"]


def test_who_was_served_wakes_nobody() -> None:
    bench = Bench()
    first, _ = bench.waiter("a"), bench.waiter("b")
    bench.touch(q=1)
    bench.room.leave(first.place, b"q")
    bench.touch(q=None)
    assert bench.told == ["a tries"]


def test_only_keys_of_the_right_kind_wake() -> None:
    bench = Bench()
    bench.waiter("list")
    bench.waiter("zset", kind=ZSET)
    streams = [bench.waiter(name, kind=STREAM) for name in ("stream", "stream too")]

    def told() -> list[str]:
        said, bench.told[:] = list(bench.told), []
        for stream in streams:
            bench.room.found_nothing(stream.place)
        return said

    bench.apply(WriteBatch({row_of(b"q"): head(STREAM, 1)}))
    assert told() == ["stream tries", "stream too tries"]
    bench.apply(WriteBatch({row_of(b"q"): head(ZSET, 1)}))
    assert told() == ["zset tries", "stream tries", "stream too tries"], "whose group is gone with its stream"
    for batch in (WriteBatch({row_of(b"q"): bytes((2,)) + bytes(20) + b"string"}), WriteBatch(cleared=True)):
        bench.apply(batch)
        assert told() == ["stream tries", "stream too tries"]


def test_a_copy_of_the_data_wakes_all() -> None:
    bench = Bench()
    for name in "ab":
        bench.waiter(name)
    bench.feed.take([], [EndInstall(E, 10)])
    assert bench.told == ["a tries", "b tries"]


def test_times_are_over_in_their_order_by_one_timer() -> None:
    bench = Bench()
    for number in range(1_000):
        bench.waiter(str(number), until_s=100.0 + (number * 7 % 1_000) / 100.0 + 1.0)
    set_before = bench.timers_set
    assert set_before < 20
    bench.pass_time(6.0)
    assert 490 < len(bench.told) < 510
    assert all(line.endswith("times out") for line in bench.told)
    assert len(bench.room) == 1_000 - len(bench.told)


def test_who_tries_when_its_time_is_over_gets_what_it_finds_or_ends() -> None:
    bench = Bench()
    first = Waiter(bench, "a", "q", LIST, 101.0)
    first.enter()
    bench.pass_time(2.0)
    assert bench.told == []
    bench.room.found_nothing(first.place)
    assert bench.told == ["a times out"]
    assert not bench.feed


def test_the_timeouts_of_those_who_have_left_do_not_pile_up() -> None:
    bench = Bench()
    bench.waiter("stays", "r", until_s=1e9)
    for number in range(10_000):
        bench.room.leave(bench.waiter(str(number), until_s=1e6).place)
    assert len(bench.room._timeouts) <= STALE + 3


def test_ten_thousand_wait_and_nothing_is_done_for_them() -> None:
    bench = Bench()
    for number in range(10_000):
        bench.waiter(str(number), until_s=NEVER)
    for _ in range(100):
        bench.touch(other=1)
    assert bench.told == []
    assert bench.timers_set == 0
    assert len(bench.feed) == 1


def test_nobody_is_followed_when_nobody_waits() -> None:
    bench = Bench()
    waiters = [bench.waiter(name, keys) for name, keys in (("a", "q"), ("b", "qr"))]
    assert len(bench.feed) == 1
    for waiter in waiters:
        bench.room.leave(waiter.place)
        bench.room.leave(waiter.place)
    assert not bench.feed
    assert not bench.room._halls


def test_when_the_node_stops_serving_all_that_wait_are_told() -> None:
    bench = Bench()
    waiting, trying = bench.waiter("a"), bench.waiter("b", "r")
    bench.touch(r=1)
    bench.feed.stop(NotServing("the node has stopped"))
    assert bench.told == ["b tries", "a fails"]
    bench.room.found_nothing(trying.place)
    bench.waiter("c")
    bench.touch(q=1, r=1)
    assert bench.told[2:] == ["c tries"] or bench.told[2:] == ["b tries", "c tries"]
    assert waiting.place not in bench.room.places


def test_whoever_waits_is_sent_away_when_the_service_stops() -> None:
    bench = Bench()
    bench.waiter("a")
    trying = bench.waiter("b", "r")
    bench.touch(r=1)
    bench.room.drain()
    assert bench.told == ["b tries", "a drops"]
    bench.room.found_nothing(trying.place)
    assert bench.told[2:] == ["b drops"]
    assert len(bench.room) == 0


def test_one_looks_for_all_and_if_nothing_can_be_known_all_are_sent_away() -> None:
    bench = Bench()
    first, _, elsewhere = bench.waiter("a"), bench.waiter("b", "qr"), Waiter(bench, "other", "q", LIST, NEVER)
    elsewhere.place.entity = E + 1
    elsewhere.enter()
    bench.room.found_nothing(elsewhere.place)
    bench.room.probe()
    assert bench.told == ["a looks", "other looks"]
    bench.room.found_nothing(first.place)
    bench.room.found_nothing(elsewhere.place)
    bench.room.probe()
    bench.room.cut_off(first.place)
    assert bench.told[2:4] == ["a looks", "other looks"]
    assert sorted(bench.told[4:]) == ["a drops", "b drops"]


def test_a_look_that_finds_something_is_as_good_as_a_wake() -> None:
    bench = Bench()
    first, _ = bench.waiter("a"), bench.waiter("b")
    bench.room.probe()
    bench.touch(q=1)
    bench.room.leave(first.place, b"q")
    assert bench.told == ["a looks", "b tries"]


class Client(Waiter):
    """One that pops from the lists of a world, of which it learns late."""

    def __init__(self, world: World, name: str, keys: str, until_s: float) -> None:
        super().__init__(world.bench, name, keys, LIST, until_s)
        self.world = world
        self.keys = [key.encode() for key in keys]
        self.gone = False
        self.got: bytes | None = None

    def begin(self) -> None:
        if self.enter():
            self.world.submit(self)

    def retry(self) -> None:
        self.world.submit(self)

    def look(self) -> None:
        self.world.submit(self)

    def settle(self, found: tuple[bytes, bytes] | None) -> None:
        if found is None and not self.gone:
            self.bench.room.found_nothing(self.place)
        else:
            if found is not None:
                self.world.given(self, found[1])
            self.bench.room.leave(self.place, b"" if found is None else found[0])

    def leave(self) -> None:
        """The client goes away."""
        self.gone = True
        if not self.place.trying:
            self.bench.room.leave(self.place)


class World:
    """Requests are decided in order; outcomes and what is applied arrive later, each in its own order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.weights = (
            [self.random.choice([1, 3, 10]) for _ in range(2)] + [1, 1] + [self.random.choice([2, 10]) for _ in range(3)]
        )
        self.wide = seed % 2 == 0
        self.bench = Bench()
        self.lists: dict[bytes, deque[bytes]] = {}
        self.requests: deque[Client] = deque()
        self.outcomes: deque[Callable[[], None]] = deque()
        self.news: deque[WriteBatch] = deque()
        self.delivered: list[tuple[str, bytes]] = []
        self.pushed = 0
        self.taken_for_the_gone = 0
        self.clients: list[Client] = []

    def submit(self, client: Client) -> None:
        self.requests.append(client)

    def given(self, client: Client, element: bytes) -> None:
        if client.gone:
            self.taken_for_the_gone += 1  # that is given back
        else:
            client.got = element

    def push(self, key: bytes) -> None:
        self.pushed += 1
        self.lists.setdefault(key, deque()).append(b"%d" % self.pushed)
        self._applied(key)

    def _applied(self, key: bytes) -> None:
        members = len(self.lists[key])
        self.news.append(WriteBatch({row_of(key): head(LIST, members) if members else None}))

    def decide(self) -> None:
        client = self.requests.popleft()
        found = None
        for key in client.keys:
            if not client.gone and self.lists.get(key):
                found = key, self.lists[key].popleft()
                self._applied(key)
                break
        self.outcomes.append(lambda: client.settle(found))

    def come(self) -> None:
        keys = "".join(self.random.sample("qrs", self.random.choice([1, 1, 1, 2, 3]))) if self.wide else "q"
        client = Client(self, str(len(self.clients)), keys, self.random.choice([NEVER, self.bench.now_s + 5.0]))
        self.clients.append(client)
        client.begin()

    def step(self) -> None:
        what = self.random.choices(range(7), self.weights)[0]
        if what == 0 and len(self.clients) < 60:
            self.come()
        elif what == 1 and self.pushed < 80:
            self.push(self.random.choice([b"q", b"r", b"s"]) if self.wide else b"q")
        elif what == 2 and self.clients:
            self.random.choice(self.clients).leave()
        elif what == 3:
            self.bench.pass_time(1.0)
            self.bench.room.probe()
        elif what == 4 and self.requests:
            self.decide()
        elif what == 5 and self.outcomes:
            self.outcomes.popleft()()
        elif what == 6 and self.news:
            self.bench.apply(self.news.popleft())

    def quiet(self) -> None:
        while self.requests or self.outcomes or self.news:
            if self.requests:
                self.decide()
            if self.outcomes:
                self.outcomes.popleft()()
            if self.news:
                self.bench.apply(self.news.popleft())


@pytest.mark.parametrize("seed", range(300))
def test_nobody_waits_beside_what_is_there_for_it_and_nothing_is_lost(seed: int) -> None:
    world = World(seed)
    for _ in range(400):
        world.step()
    world.quiet()
    left = {key for key, members in world.lists.items() if members}
    for place in world.bench.room.places:
        client = place.waiter
        assert isinstance(client, Client)
        assert not left.intersection(client.keys), "it waits for a key that has members"
        assert not place.trying
    got = [client.got for client in world.clients if client.got is not None]
    assert len(got) == len(set(got))
    assert len(got) + world.taken_for_the_gone + sum(map(len, world.lists.values())) == world.pushed
