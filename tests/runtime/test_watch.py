"""The feed of applied entries, and `Node.watch` on top of it: every entry once, in order, or the data that they have made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from paxosstore.core.batch.overlay import View, WriteBatch
from paxosstore.core.entity.divergence import Divergence
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.event import Event, Received
from paxosstore.core.interface.message import PaxosMessage
from paxosstore.core.interface.ready import Apply, BeginInstall, Change, EndInstall, InstallRows, StopEntity
from paxosstore.core.shard.shard import Shard
from paxosstore.core.turn.context import Identity
from paxosstore.errors import Diverged, InvalidRequest, NotServing, Overloaded, PaxosStoreError
from paxosstore.runtime import watch
from paxosstore.runtime.feed import Feed
from paxosstore.runtime.node import Node
from paxosstore.runtime.watch import EntityChange, EntitySnapshot, Source, Watch, Watches
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.memory import MemoryStore
from paxosstore.storage.turn import Turn

from .test_links import free_addresses, run

E = 7
CLUSTER = ClusterSettings("test")
CODEC = MsgpackBodyCodec()
Entries = AsyncGenerator[EntityChange | EntitySnapshot]


def batch_of(entry: int) -> WriteBatch:
    return WriteBatch({b"dk%d" % (entry % 3): b"%d" % entry, b"u" + bytes(16): b"+"})


def change_of(entry: int) -> EntityChange:
    return EntityChange(entry, {b"k%d" % (entry % 3): b"%d" % entry}, False)


class Bench:
    """A store, a feed, and turns that are written and finished one after the other."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.feed = Feed(0)
        self._under_way: list[Apply] = []
        self.watches = Watches(self.feed, Source(self.store, CODEC, self._unsynced))

    def _unsynced(self, entity: int) -> int:
        return next((apply.entry for apply in self._under_way if apply.entity == entity), 0)

    def begin(self, *entries: int, changes: Sequence[Change] = ()) -> None:
        self._under_way = [Apply(E, entry, batch_of(entry)) for entry in entries]
        rows = {(E, e): Record(1, 1, 1, Value(e.to_bytes(16, "big"), CODEC.encode(batch_of(e))), True) for e in entries}
        self.store.write(rows, self._under_way, changes)
        self._changes = changes

    def finish(self) -> None:
        applies, self._under_way = self._under_way, []
        self.feed.take(applies, self._changes)

    def apply(self, *entries: int, changes: Sequence[Change] = ()) -> None:
        self.begin(*entries, changes=changes)
        self.finish()

    def copy(self, entry: int, rows: list[tuple[bytes, bytes]]) -> None:
        """A peer's data takes the place of what is here."""
        self.apply(changes=[BeginInstall(E), InstallRows(E, rows), EndInstall(E, entry)])

    def cut_log(self, through: int) -> None:
        self.store._now.log[E].delete_range(0, through + 1)

    def watch(self, after: int | None = None) -> Entries:
        return Watch(self.watches, E, after).entries()


async def take(entries: Entries, count: int) -> list[EntityChange | EntitySnapshot]:
    return [await anext(entries) for _ in range(count)]


async def waits(entries: Entries) -> asyncio.Task[EntityChange | EntitySnapshot]:
    """The next one, which is not there yet."""
    task = asyncio.ensure_future(anext(entries))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    return task


def test_every_entry_is_given_once_in_order_from_the_log_and_then_from_memory() -> None:
    async def story() -> None:
        bench = Bench()
        bench.apply(*range(1, 300))  # several pieces
        entries = bench.watch(after=10)
        assert await take(entries, 289) == [change_of(entry) for entry in range(11, 300)]
        following = await waits(entries)
        bench.apply(300, 301)
        assert await following == change_of(300)
        bench.apply(302)
        assert await take(entries, 2) == [change_of(301), change_of(302)]
        bench.cut_log(302)  # what comes now is not read from it
        for entry in (303, 304):
            following = await waits(entries)
            bench.apply(entry)
            assert await following == change_of(entry)
        await entries.aclose()
        assert not bench.feed
        bench.apply(305)  # nobody is told

    run(story)


def test_without_an_entry_it_begins_with_what_is_applied_from_the_call_on() -> None:
    async def story() -> None:
        bench = Bench()
        bench.apply(1)
        bench.begin(2)  # in the turn that is being synced
        entries = bench.watch()
        bench.finish()
        bench.apply(3)
        assert await take(entries, 2) == [change_of(2), change_of(3)]

    run(story)


@pytest.mark.parametrize("after", [0, 2], ids=["behind", "live"])
def test_an_entry_is_not_shown_before_its_turn_is_durable(after: int) -> None:
    """Rule 7: it may be chosen by this node's own vote."""

    async def story() -> None:
        bench = Bench()
        bench.apply(1, 2)
        entries = bench.watch(after=after)
        assert await take(entries, 2 - after) == [change_of(entry) for entry in range(after + 1, 3)]
        following = None if after == 0 else await waits(entries)
        bench.begin(3, 4)
        following = following or await waits(entries)
        await asyncio.sleep(0)
        assert not following.done()
        bench.finish()
        assert await following == change_of(3)
        assert await take(entries, 1) == [change_of(4)]

    run(story)


def test_a_slow_reader_gets_every_entry_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MAX_QUEUE_ENTRIES", 4)

    async def story() -> None:
        bench = Bench()
        entries = bench.watch(after=0)
        following = await waits(entries)
        for entry in range(1, 20):
            bench.apply(entry)
        assert await following == change_of(1)
        assert await take(entries, 18) == [change_of(entry) for entry in range(2, 20)]
        assert bench.watches.overflows == 1
        (only,) = bench.watches.open
        assert not only._queue

    run(story)


def test_a_queue_is_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MAX_QUEUE_BYTES", 3 * watch.ENTRY_BYTES)

    async def story() -> None:
        bench = Bench()
        entries = bench.watch(after=0)
        following = await waits(entries)
        for entry in range(1, 10):
            bench.apply(entry)
        (only,) = bench.watches.open
        assert len(only._queue) == 3
        assert await following == change_of(1)
        assert await take(entries, 8) == [change_of(entry) for entry in range(2, 10)]

    run(story)


def test_where_the_log_is_cut_the_data_comes_instead_and_then_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PIECE_BYTES", 1)

    async def story() -> None:
        bench = Bench()
        bench.apply(*range(1, 9))
        bench.cut_log(5)
        entries = bench.watch(after=3)
        assert await take(entries, 1) == [EntitySnapshot(8, [(b"k0", b"6")], True, False)]
        bench.apply(9)  # the view does not show it
        assert await take(entries, 3) == [
            EntitySnapshot(8, [(b"k1", b"7")], False, False),
            EntitySnapshot(8, [(b"k2", b"8")], False, False),
            EntitySnapshot(8, [], False, True),
        ]
        assert await take(entries, 1) == [change_of(9)]
        assert not bench.store._views

    run(story)


def test_the_data_that_is_given_is_durable() -> None:
    async def story() -> None:
        bench = Bench()
        bench.apply(1, 2, 3)
        bench.cut_log(3)
        bench.begin(4, 5)
        entries = bench.watch(after=0)
        following = await waits(entries)
        bench.finish()
        piece = EntitySnapshot(5, [(b"k0", b"3"), (b"k1", b"4"), (b"k2", b"5")], True, True)
        assert await following == piece
        following = await waits(entries)
        bench.apply(6)
        assert await following == change_of(6)

    run(story)


def test_a_copy_of_a_peers_data_is_said_to_be_one() -> None:
    async def story() -> None:
        bench = Bench()
        entries = bench.watch(after=0)
        bench.apply(1, 2)
        assert await take(entries, 2) == [change_of(1), change_of(2)]
        following = await waits(entries)
        bench.copy(100, [(b"da", b"b"), (b"u" + bytes(16), b"+")])
        assert await following == EntitySnapshot(100, [(b"a", b"b")], True, True)
        bench.apply(101)
        assert await take(entries, 1) == [change_of(101)]
        await waits(entries)

    run(story)


def test_a_copy_that_leads_no_further_than_what_was_given_is_no_news() -> None:
    """The data here was damaged: the reader knows all of it already."""

    async def story() -> None:
        bench = Bench()
        entries = bench.watch(after=100)
        following = await waits(entries)
        bench.copy(99, [(b"da", b"b")])
        bench.apply(100, 101)
        assert await following == change_of(101)

    run(story)


def test_a_view_that_is_not_read_on_is_closed_and_the_data_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PIECE_BYTES", 1)

    async def story() -> None:
        bench = Bench()
        bench.apply(1, 2, 3)
        bench.cut_log(3)
        entries = bench.watch(after=0)
        await anext(entries)
        (only,) = bench.watches.open
        only.close_view()  # as its timer does
        assert not bench.store._views
        bench.apply(4)
        assert await take(entries, 1) == [EntitySnapshot(4, [(b"k0", b"3")], True, False)]
        await entries.aclose()
        assert not bench.store._views

    run(story)


def test_as_many_views_as_there_may_be_are_read_at_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PIECE_BYTES", 1)

    async def story() -> None:
        bench = Bench()
        bench.apply(1, 2, 3)
        bench.cut_log(3)
        readers = [bench.watch(after=0) for _ in range(watch.MAX_VIEWS)]
        for reader in readers:
            await anext(reader)
        late = bench.watch(after=0)
        following = await waits(late)
        assert len(bench.store._views) == watch.MAX_VIEWS
        await readers[0].aclose()
        assert isinstance(await following, EntitySnapshot)
        following = await waits(bench.watch(after=0))
        for one in bench.watches.open:
            one.close_view()  # as their timers do, where nobody takes the next piece
        assert isinstance(await following, EntitySnapshot)
        assert isinstance(await anext(readers[1]), EntitySnapshot), "who was so slow begins anew"

    run(story)


def test_what_was_applied_before_the_end_is_given_first() -> None:
    async def story() -> None:
        bench = Bench()
        live, new = bench.watch(after=0), bench.watch(after=0)
        following = await waits(live)
        bench.apply(1, 2)
        bench.watches.stop(NotServing("the node has stopped"))
        assert await following == change_of(1)
        assert await take(live, 1) == [change_of(2)]
        for entries in (live, new):
            with pytest.raises(NotServing):
                await anext(entries)
        assert not bench.feed

    run(story)


def test_nothing_that_is_not_whole_is_followed_by_entries_when_the_node_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PIECE_BYTES", 1)

    async def story() -> None:
        bench = Bench()
        bench.apply(1, 2, 3)
        bench.cut_log(3)
        entries = bench.watch(after=0)
        await anext(entries)
        bench.apply(4)
        bench.watches.stop(NotServing("the node has stopped"))
        assert not bench.store._views
        with pytest.raises(NotServing):
            await anext(entries)

    run(story)


def test_a_stopped_entity_ends_its_watches_and_no_others() -> None:
    async def story() -> None:
        bench = Bench()
        entries, other = bench.watch(after=0), Watch(bench.watches, E + 1, 0).entries()
        following, quiet = await waits(entries), await waits(other)
        bench.apply(changes=[StopEntity(E, Divergence(3, bytes(16), b"x" * 16, 2).encode())])
        with pytest.raises(Diverged, match="entry 3"):
            await following
        assert not quiet.done()
        assert len(bench.feed) == 1

    run(story)


def test_there_may_be_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MAX_WATCHES", 1)

    async def story() -> None:
        bench = Bench()
        first = bench.watch()
        following = await waits(first)
        with pytest.raises(Overloaded, match="close one"):
            await anext(bench.watch())
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await waits(bench.watch())

    run(story)


def test_a_follower_that_fails_fails_alone() -> None:
    class Broken:
        def applied(self, entry: int, batch: WriteBatch) -> None:
            raise RuntimeError("mine")

        def replaced(self, entry: int) -> None: ...

        def ended(self, error: PaxosStoreError) -> None: ...

    async def story() -> None:
        bench = Bench()
        bench.feed.follow(E, Broken())
        entries = bench.watch(after=0)
        following = await waits(entries)
        bench.apply(1)
        assert await following == change_of(1)

    run(story)


def test_a_turn_tells_what_it_has_applied_when_it_is_durable_also_of_entities_that_left_memory() -> None:
    """The hook, on a real shard: two entities, one of which is in memory at a time."""
    store = MemoryStore()
    tuning = TuningSettings(max_mem_entities=1)
    shard = Shard(Identity(CLUSTER, tuning, 0, 1), store, CODEC, {})
    told: list[tuple[int, int]] = []
    turn = Turn(shard, store, lambda release: None, lambda applies, changes: told.extend((a.entity, a.entry) for a in applies))

    def chosen(entity: int, entry: int) -> Received:
        value = entry.to_bytes(16, "big")
        message = PaxosMessage(entity, entry, 5, 5, 5, True, value, CODEC.encode(batch_of(entry)), entry, False, False)
        return Received(1, [message])

    now = 0.0

    def one(events: list[Event]) -> list[Event]:
        nonlocal now
        now += 1_000.0
        turn.begin(events, now, 0)
        applied = E, turn.unsynced(E)
        assert applied not in told
        loaded = turn.finish(now, 0)
        assert applied in told or not applied[1]
        assert turn.unsynced(E) == 0
        return loaded

    for entry in (1, 2, 3):
        for entity in (E, E + 1):
            events: list[Event] = [chosen(entity, entry)]
            for _ in range(4):
                events = one(events)
    assert shard.context.counters.evictions >= 4
    assert told == [(entity, entry) for entry in (1, 2, 3) for entity in (E, E + 1)]


def test_a_watch_goes_on_at_another_node(tmp_path: Path) -> None:
    def put(view: View) -> None:
        number = int(view.get(b"n") or b"0") + 1
        view.put(b"n", b"%d" % number)

    async def story() -> None:
        addresses = free_addresses(3)
        nodes = [Node(CLUSTER, me, addresses, tmp_path / str(me), min_free_bytes=1, fatal=pytest.fail) for me in range(3)]
        with pytest.raises(NotServing):
            nodes[0].watch(E)
        await asyncio.gather(*(node.start() for node in nodes))
        await asyncio.gather(*(node.ready(timeout_ms=20_000) for node in nodes))
        with pytest.raises(InvalidRequest):
            nodes[0].watch(-1)
        entries = nodes[2].watch(E, after=0)
        seen: list[tuple[int, int]] = []
        for number in range(1, 11):
            await nodes[number % 2].execute(E, put)
            while not seen or seen[-1][1] < number:
                change = await anext(entries)
                assert isinstance(change, EntityChange)
                seen.append((change.entry, int((change.writes or {b"n": b"0"})[b"n"] or b"0")))
        following = await waits(entries)
        await nodes[2].stop()
        with pytest.raises(NotServing, match="watch on"):
            await following
        await nodes[0].execute(E, put)
        other = nodes[1].watch(E, after=seen[-1][0])
        change = await anext(other)
        assert change == EntityChange(seen[-1][0] + 1, {b"n": b"11"}, False)
        assert [entry for entry, _ in seen] == list(range(1, len(seen) + 1))
        await nodes[2].start()  # and here, after its start
        again = nodes[2].watch(E, after=0)
        got = [await anext(again) for _ in range(len(seen) + 1)]
        assert [change.entry for change in got] == list(range(1, len(seen) + 2))
        for node in nodes:
            await node.stop()
            assert not node.feed

    run(story)
