"""A whole cluster in one thread under one seed: the production core, batcher, turn and storage code on a simulated
disk, network and clock. Same seed, same events, same trace."""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..core.context import Handler, Identity
from ..core.event import Event, PeerDown, PeerUp, Received, WritesAllowed
from ..core.message import Message
from ..core.ready import Release
from ..core.request import Request
from ..core.shard import Shard
from ..settings import ClusterSettings, TuningSettings
from ..storage.body import MsgpackBodyCodec
from ..storage.memory import MemoryStore
from ..storage.turn import Turn

NEVER = float("inf")


@dataclass(slots=True)
class Weather:
    """How the network and the disks behave now. Times in milliseconds, the rest are probabilities."""

    delay_ms: tuple[float, float] = (0.1, 1.0)
    loss: float = 0.0
    duplication: float = 0.0
    long_delay: float = 0.0
    """Probability that a frame takes up to 200 ms, and so is overtaken."""
    sync_ms: tuple[float, float] = (0.1, 0.5)
    cuts: set[tuple[int, int]] = field(default_factory=set)
    """(from, to) pairs that lose everything."""


class SimNode:
    """One node: a shard over a store, with the loop's turn driven by simulated time."""

    def __init__(self, cluster: SimCluster, number: int, store: MemoryStore) -> None:
        self.cluster = cluster
        self.number = number
        self.store = store
        self.life = 0
        """Counts starts, so that events of an earlier life are recognised."""
        self.up = False
        self.clock_offset_ms = 0.0
        self._inbox: list[Event | Request] = []
        self._timer_ms = NEVER

    def start(self) -> None:
        assert not self.up
        self.up = True
        self.life += 1
        cluster = self.cluster
        identity = Identity(cluster.settings, cluster.tuning, self.number, cluster.random.getrandbits(64) | 1)
        self.shard = Shard(identity, self.store, cluster.codec, cluster.handlers)
        self.turn = Turn(self.shard, self.store, self._release)
        self._inbox = []
        self._timer_ms = NEVER
        self._scheduled = False

    def kill(self, keep_unsynced: int) -> None:
        """Lose memory, and all unsynced writes but the first `keep_unsynced`."""
        assert self.up
        self.up = False
        self.store = self.store.crash(min(keep_unsynced, self.store.unsynced))

    def step(self, event: Event | Request) -> None:
        self._inbox.append(event)
        self._schedule()

    # -- the loop

    def _schedule(self) -> None:
        if not self._scheduled and not self.turn.syncing:
            self._scheduled = True
            self.cluster.after(0.01, self._alive(self._begin))

    def _begin(self) -> None:
        self._scheduled = False
        if self.turn.syncing:
            return
        inbox, self._inbox = self._inbox, []
        now = self.cluster.now_ms
        if self.turn.begin(inbox, now, self._wall_ms()):
            self.cluster.after(self.cluster.random.uniform(*self.cluster.weather.sync_ms), self._alive(self._synced))
        else:
            self._finish()

    def _synced(self) -> None:
        self.store.sync()
        self._finish()

    def _finish(self) -> None:
        now = self.cluster.now_ms
        self._inbox += self.turn.finish(now, self._wall_ms())
        self.cluster.on_turn(self)
        if self._inbox:
            self._schedule()
            return
        due = self.shard.next_deadline_ms
        if due < self._timer_ms or self._timer_ms <= now:
            self._timer_ms = due
            if due != NEVER:
                self.cluster.after(max(0.0, due - now), self._alive(self._on_timer))

    def _on_timer(self) -> None:
        if not self._scheduled and not self.turn.syncing:
            self._timer_ms = NEVER
            self._begin()

    def _alive(self, action: Callable[[], None]) -> Callable[[], None]:
        life = self.life
        return lambda: action() if self.up and self.life == life else None

    def _wall_ms(self) -> int:
        return int(1_700_000_000_000 + self.cluster.now_ms + self.clock_offset_ms)

    def _release(self, release: Release) -> None:
        by_peer: dict[int, list[Message]] = {}
        for peer, message in release.messages:
            by_peer.setdefault(peer, []).append(message)
        for peer, messages in by_peer.items():
            self.cluster.send(self.number, peer, messages)
        for request, reply, error in release.outcomes:
            request.settle(reply, error)


class SimCluster:
    """Nodes, network, disks and time. What is random comes from `random`, which is seeded."""

    def __init__(
        self,
        seed: int,
        nodes: int = 3,
        tuning: TuningSettings | None = None,
        handlers: Mapping[str, Handler] | None = None,
        uuid_window_entries: int = 64,
        trace: Callable[[str], None] | None = None,
    ) -> None:
        self.random = random.Random(seed)
        self.settings = ClusterSettings("sim", nodes, uuid_window_entries)
        self.tuning = tuning or TuningSettings()
        self.handlers = handlers or {}
        self.codec = MsgpackBodyCodec()
        self.weather = Weather()
        self.now_ms = 0.0
        self.events = 0
        self.trace = trace
        self.lost_counters: dict[str, int] = {}
        """Counters of shards that were killed, so that coverage sums over all lives."""
        self.on_turn: Callable[[SimNode], None] = lambda node: None
        self._hash = hashlib.sha256()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self.nodes = [SimNode(self, number, MemoryStore()) for number in range(nodes)]

    # -- time

    def after(self, delay_ms: float, action: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._sequence, action))

    def run_until(self, time_ms: float) -> None:
        """Let everything happen that happens before this time."""
        while self._queue and self._queue[0][0] <= time_ms:
            self.now_ms, _, action = heapq.heappop(self._queue)
            self.events += 1
            action()
        self.now_ms = time_ms

    def note(self, *what: object) -> None:
        """A line of the trace; all of them make the trace hash."""
        line = f"{self.now_ms:10.3f} " + " ".join(map(str, what))
        self._hash.update(line.encode())
        if self.trace is not None:
            self.trace(line)

    @property
    def trace_hash(self) -> str:
        return self._hash.hexdigest()

    # -- nodes

    def start_all(self) -> None:
        for node in self.nodes:
            self.start(node.number)

    def start(self, number: int) -> None:
        node = self.nodes[number]
        node.start()
        self.note("start", number)
        for peer in self.nodes:
            if peer is not node and peer.up:
                peer.step(PeerUp(number))
                node.step(PeerUp(peer.number))

    def kill(self, number: int, keep_unsynced: int = 0) -> None:
        node = self.nodes[number]
        for name, count in node.shard.context.counters.as_dict().items():
            self.lost_counters[name] = self.lost_counters.get(name, 0) + count
        node.kill(keep_unsynced)
        self.note("kill", number, "keeping", keep_unsynced, "unsynced writes")
        for peer in self.nodes:
            if peer is not node and peer.up:
                peer.step(PeerDown(number))

    def allow_writes(self, number: int, reason: str) -> None:
        """Tell a node that its disk is full (a reason) or has room again (none)."""
        self.note("disk of", number, reason or "has room")
        self.nodes[number].step(WritesAllowed(reason))

    def counters(self) -> dict[str, int]:
        """Sums over all nodes and all their lives."""
        total = dict(self.lost_counters)
        for node in self.nodes:
            if node.up:
                for name, count in node.shard.context.counters.as_dict().items():
                    total[name] = total.get(name, 0) + count
        return total

    # -- network

    def send(self, sender: int, receiver: int, messages: list[Message]) -> None:
        """One frame; the weather decides when, how often, and whether it arrives."""
        weather, rng = self.weather, self.random
        copies = 2 if rng.random() < weather.duplication else 1
        for _ in range(copies):
            if (sender, receiver) in weather.cuts or rng.random() < weather.loss:
                self.note("lost", sender, "->", receiver, *map(brief, messages))
                continue
            delay = rng.uniform(*weather.delay_ms)
            if rng.random() < weather.long_delay:
                delay = rng.uniform(delay, 200.0)
            self.after(delay, lambda: self._arrive(sender, receiver, messages))

    def _arrive(self, sender: int, receiver: int, messages: list[Message]) -> None:
        node = self.nodes[receiver]
        if node.up:
            self.note("frame", sender, "->", receiver, *map(brief, messages))
            node.step(Received(sender, messages))


def brief(message: Message) -> str:
    """A message in a few words, for traces."""
    name = type(message).__name__
    parts = []
    for key, value in message._asdict().items():
        if isinstance(value, bytes):
            value = value.hex()[:2] + ".." + value.hex()[-6:] if len(value) == 16 else f"{len(value)}B"
        if isinstance(value, list):
            value = f"{len(value)} items"
        if value is None or value is False or value == "":
            continue
        parts.append(key if value is True else f"{key}={value}")
    return f"{name}({' '.join(parts)})"
