"""What of a node is open, from its start to its stop: opened, shut, and opened again when damage has its store replaced."""

from __future__ import annotations

import asyncio
import gc
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import get_ident
from typing import NamedTuple, Protocol

from ..core.batch.published import Published
from ..core.entity.divergence import decode
from ..core.interface.event import Compare, PeerDown, PeerUp, Received, Renew, WritesAllowed
from ..core.interface.message import Message
from ..core.shard.shard import Shard
from ..core.turn.context import Handler, Identity
from ..errors import Damaged, DirectoryInUse, NodeError, NotServing
from ..settings import ClusterSettings
from ..storage.background import Background
from ..storage.body import MsgpackBodyCodec
from ..storage.damage import let_go
from ..storage.directory import Directory, open_directory
from ..storage.epochs import Keep
from ..storage.findings import Findings
from ..storage.places import forget_places
from ..storage.replace import open_store, say_lost
from ..storage.rocks import RocksStore
from ..storage.scrub import NAME as SCRUB
from ..wire.hello import Hello
from .broadcast import Broadcast
from .damage import watch_return
from .disk import CLOSE_S, close_in_time, watch_room
from .feed import Feed
from .gate import Gate
from .home import Home
from .links import Links
from .loop import TurnLoop, now_ms
from .reporter import Reporter
from .rounds import Host as RoundsHost
from .rounds import rounds_of
from .timekeeper import Timekeeper
from .watch import Source, Watches

log = logging.getLogger(__name__)


class Given(NamedTuple):
    """What a node was made with, exact, and for all its lives."""

    cluster: ClusterSettings
    node_id: int
    peers: Sequence[tuple[str, int]]
    data_dir: Path
    handlers: Mapping[str, Handler]
    min_free_bytes: int
    force_reentry: bool
    fatal: Callable[[str], None]


class Host(RoundsHost, Protocol):
    """What of the node outlives a life, and may change meanwhile. Its own docstrings say what each is."""

    background: Background
    elsewhere: dict[int, str]
    feed: Feed
    on_told: list[Callable[[], None]]
    on_applied: list[Callable[[Iterable[int]], None]]
    on_published: list[Callable[[Sequence[Published]], None]]


class Life:
    """The open parts of a node, None where it is not open, and what they tell each other. One at a time opens or shuts it
    (`Home.life`)."""

    def __init__(self, given: Given, host: Host) -> None:
        self._given = given
        self._host = host
        self.codec = MsgpackBodyCodec()
        self.directory: Directory | None = None
        self.store: RocksStore | None = None
        self.shard: Shard | None = None
        self.gate = Gate()
        self.links: Links | None = None
        self.watches: Watches | None = None
        self.broadcast: Broadcast | None = None
        self.findings = Findings()
        self._home: Home | None = None
        self.met = asyncio.Event()
        """Set when a link comes up, and when the node stops."""
        self.coming_back: asyncio.Task[None] | None = None
        """Replaces the store after damage was found in it."""
        self.time = Timekeeper(given.node_id, lambda: host.tuning)
        self._watching: list[asyncio.Task[None]] = []

    @property
    def turns(self) -> TurnLoop | None:
        return self.gate.turns

    @property
    def home(self) -> Home | None:
        """Set from the beginning of the start to the end of the stop."""
        return self._home

    @home.setter
    def home(self, home: Home | None) -> None:
        self._home = self.gate.home = home

    async def open(self, found: Damaged | None = None) -> None:
        """`found`: what damage has ended the life before this one."""
        self.directory = open_directory(self._given.data_dir, self._given.cluster, self._given.node_id)
        forget_places(self._given.data_dir)
        tuning = self._host.tuning
        background = self._host.background = Background(tuning.background_bytes_per_second, tuning.background_ms_per_second)
        incarnation = secrets.randbits(64) | 1
        identity = Identity(self._given.cluster, tuning, self._given.node_id, incarnation, caller=get_ident, budget=background)
        opened = partial(RocksStore, keep=Keep.of(tuning), background=background)
        force = self._given.force_reentry and found is None
        self.store, identity = open_store(self.directory, identity, opened, self.findings, force=force, found=found)
        self.shard = Shard(identity, self.store, self.codec, self._given.handlers)
        self.shard.context.stopped.update((entity, decode(kept)) for entity, kept in self.store.stopped())
        self.shard.context.elsewhere = self._host.elsewhere
        turns = TurnLoop(self.shard, self.store, self._send, self._given.fatal, self._host.feed, wall_ms=self.time.now_ms)
        self.gate.turns = turns
        self.watches = Watches(self._host.feed, Source(self.store, self.codec, turns.unsynced))
        turns.on_told = self._host.on_told
        turns.on_applied = self._host.on_applied
        turns.on_renewed = self._on_renewed
        turns.on_damaged = self._on_damaged
        turns.on_lost = self._on_lost
        self.store.scrub(self._given.data_dir / SCRUB, lambda: self._host.tuning.scrub_days, self.directory.mend)
        self.store.on_damaged = partial(self._damaged_elsewhere, asyncio.get_running_loop(), turns)
        standing = self.shard.context.standing
        own = standing.disk
        self.links = Links(
            self._given.node_id,
            self._given.peers,
            self._given.cluster,
            incarnation,
            own.id.to_bytes(16, "big"),
            on_messages=self._on_messages,
            on_up=self._on_up,
            on_down=lambda peer, reason: self.step(PeerDown(peer, reason)),
            starts=own.starts,
            cluster_id=lambda: standing.cluster_id,
            on_published=lambda peer, messages: broadcast.take(messages),
            on_clock=self.time.heard,
        )
        broadcast = self.broadcast = Broadcast(self.links, self._host.on_published)
        turns.on_published = self._on_published
        turns.inbox.on_full = lambda full: None if self.links is None else self.links.hold(full)
        await self.links.start()
        room = watch_room(self._given.data_dir, self._given.min_free_bytes, self.shard, self.step)
        report = Reporter(self._host.statistics).run()
        whole = watch_return(self.directory, lambda: self.shard is not None and self.shard.progress.done)
        rounds = rounds_of(self._host, self._given.data_dir).run()
        self._watching = [asyncio.get_running_loop().create_task(watching) for watching in (room, report, whole, rounds)]

    def _on_damaged(self, found: Damaged) -> None:
        """No turn is taken any more: have the store replaced, and go on."""
        if self.home is not None:
            self.coming_back = self.home.loop.create_task(self._come_back(self.home, found))

    def _on_lost(self, found: Damaged) -> None:
        self.findings.found(found)
        say_lost(found)

    @staticmethod
    def _damaged_elsewhere(loop: asyncio.AbstractEventLoop, turns: TurnLoop, found: Damaged) -> None:
        """The same, found by whoever reads beside the turns, in any thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody is served
            loop.call_soon_threadsafe(turns.end_damaged, found)

    async def _come_back(self, home: Home, found: Damaged) -> None:
        log.error("node %d stops serving for a moment: %s", self._given.node_id, found.what or found)
        async with home.life:
            if self.home is not home:
                return  # it was stopped meanwhile
            try:
                await self._shut()
                await self._open_again(found)
            except NodeError as error:
                await self.close()
                self._given.fatal(f"the damage cannot be mended here: {error}")
            else:
                log.warning("node %d serves again", self._given.node_id)

    async def _open_again(self, found: Damaged) -> None:
        """RocksDB closes when nobody reads it any more; who does has its iterator in an error's frames, or in a thread's."""
        let_go(found)
        deadline_ms = now_ms() + CLOSE_S * 1_000.0
        while True:
            gc.collect()
            try:
                return await self.open(found)
            except DirectoryInUse:
                if now_ms() > deadline_ms:
                    raise
            await self._shut()
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        try:
            await self._shut()
        finally:
            self.home = None

    async def _shut(self) -> None:
        for watching in self._watching:
            watching.cancel()
        answers = False
        turns, self.gate.turns = self.gate.turns, None
        links, self.links = self.links, None
        self.met.set()
        self._host.verifier.stop()
        try:
            if turns is not None:
                answers = await turns.close()
        finally:
            try:
                if links is not None:
                    await links.close()
            finally:
                await close_in_time(self._let_go(), self._given.data_dir, CLOSE_S if answers or turns is None else 0.0)

    def _let_go(self) -> Callable[[], None]:
        """Returns what closes the store and gives the data directory back, in this order, and may have to wait for the disk."""
        store, self.store = self.store, None
        directory, self.directory = self.directory, None
        watches, self.watches, self.broadcast = self.watches, None, None
        if watches is not None:
            watches.stop(NotServing("the node has stopped: watch on behind the last entry that was given, here or elsewhere"))
        self._host.background.close()

        def close() -> None:
            try:
                if store is not None:
                    store.close()
            finally:
                if directory is not None:
                    directory.close()

        return close

    def abandon(self, home: Home) -> None:
        """End what is left of a life whose loop is closed, or that came along with a fork: the life itself goes on elsewhere."""
        turns, self.gate.turns, self.links = self.gate.turns, None, None
        if self.watches is not None:
            self.watches.abandon(NotServing("the loop of the node is closed"))
        self.watches = self.broadcast = None
        if home.forked:
            self.store = self.directory = self.home = None
            return
        if turns is not None:
            turns.abandon()
        self._let_go()()
        self.home = None
        gc.collect()  # the sockets that a closed loop has left open go with it

    # -- what comes in, and goes out

    def step(self, event: PeerUp | PeerDown | Received | WritesAllowed | Compare | Renew) -> None:
        """Have it taken in, if turns are taken."""
        if self.gate.turns is not None:
            self.gate.turns.step(event)

    def _on_up(self, hello: Hello) -> None:
        self.met.set()
        self.step(PeerUp(hello.node, hello.disk, hello.starts, hello.incarnation))

    def _on_renewed(self, disk: int) -> None:
        log.warning(
            "node %d is on a stale copy of its disk: it goes on as disk %x, and learns what it lacks", self._given.node_id, disk
        )
        if self.links is not None:
            self.links.renew(disk)

    def _on_messages(self, peer: int, messages: list[Message], size: int, disk: int) -> None:
        self.step(Received(peer, messages, size, disk))

    def _on_published(self, messages: list[Published]) -> None:
        """The turns outlive the links, where the loop is closed, and must not hold their sockets."""
        if self.broadcast is not None:
            self.broadcast.publish(messages)

    def _send(self, by_peer: dict[int, list[Message]]) -> None:
        if self.links is not None:
            self.links.send_many(by_peer)
