"""A whole cluster in one thread under one seed: the production core, batcher, turn and storage code on simulated disks,
networks and clocks. Same seed, same events, same trace."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from ..core.entry.ids import majority
from ..core.interface.event import PeerDown, PeerUp, Received, WritesAllowed
from ..core.interface.message import HandOver, Message, PaxosMessage
from ..core.interface.ready import Apply, Change
from ..core.turn.context import Handler
from ..settings import ClusterSettings, TuningSettings
from ..storage.body import MsgpackBodyCodec
from .brief import brief
from .disk import SimDisk
from .invariants import Invariants
from .node import SimNode
from .weather import Weather

DISKS_SEED = 0xD15C
CLOCKS_SEED = 0xC10C
REDIAL_MS = 1_000.0


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
        keep_entries: int | None = None,
    ) -> None:
        self.random = random.Random(seed)
        self._disk_ids = random.Random(seed ^ DISKS_SEED)
        self.settings = ClusterSettings("sim", nodes, uuid_window_entries)
        self.tuning = tuning or TuningSettings()
        self.handlers = handlers or {}
        self.codec = MsgpackBodyCodec()
        self.weather = Weather()
        self.clock_error_ms = 0.0
        """How wrong a node is at most about a peer's clock."""
        errors = random.Random(seed ^ CLOCKS_SEED)
        self._clock_errors = {(one, other): errors.uniform(-1.0, 1.0) for one in range(nodes) for other in range(nodes)}
        self.keep_entries = keep_entries
        self.invariants = Invariants(nodes)
        self.now_ms = 0.0
        self.events = 0
        self.trace = trace
        self.lost_counters: dict[str, int] = {}
        """Counters of shards that were killed, so that coverage sums over all lives."""
        self.evaluations: Counter[tuple[int, int]] = Counter()
        """(node, number of a costly request) -> how often it was evaluated there."""
        self.cuts: Counter[str] = Counter()
        """At what kinds of changes the power was cut."""
        self.losses = [0] * nodes
        """Node -> how often it has found another disk."""
        self.on_turn: Callable[[SimNode], None] = lambda node: None
        self.on_applied: Callable[[SimNode, Sequence[Apply], Sequence[Change]], None] = lambda node, applies, changes: None
        self.on_kill: list[Callable[[SimNode], None]] = []
        self._hash = 0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0
        self._links: dict[tuple[int, int], int] = {}
        """(from, to) -> how often that connection was lost."""
        self._unlinked: set[tuple[int, int]] = set()
        self.nodes = [SimNode(self, number) for number in range(nodes)]
        self.spare = nodes - majority(nodes)
        """So many nodes are not needed to decide anything."""

    # -- time

    def after(self, delay_ms: float, action: Callable[[], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._sequence, action))

    def run_until(self, time_ms: float) -> None:
        """Let everything happen that happens before this time."""
        queue, pop = self._queue, heapq.heappop
        while queue and queue[0][0] <= time_ms:
            self.now_ms, _, action = pop(queue)
            self.events += 1
            action()
        self.now_ms = time_ms

    # -- the trace

    def note(self, *what: object) -> None:
        """A line of the story, for a person."""
        if self.trace is not None:
            self.trace(f"{self.now_ms:10.3f} " + " ".join(map(str, what)))

    def _mark(self, *numbers: float) -> None:
        """What the trace hash is made of. (Hashes of numbers are the same in every process, those of text are not.)"""
        self._hash = hash((self._hash, self.now_ms, *numbers))

    @property
    def trace_hash(self) -> str:
        return f"{self._hash & 0xFFFFFFFFFFFFFFFF:016x}"

    # -- nodes

    def start_all(self) -> None:
        for node in self.nodes:
            self.start(node.number)

    def found(self, within_ms: float = 1_000.0) -> None:
        """Let all nodes, which have been started on empty disks, become members (rule 19)."""
        last_ms = self.now_ms + within_ms
        while any(node.shard.waits_for for node in self.nodes):
            assert self.now_ms < last_ms, [node.shard.waits_for for node in self.nodes]
            self.run_until(self.now_ms + 1.0)

    def start(self, number: int) -> None:
        node = self.nodes[number]
        came_up = node.start()
        self.note("start", number, "" if came_up else "in vain: the power is cut")
        self._mark(1, number)
        if not came_up:
            return
        for peer in self.nodes:
            if peer is node:
                continue
            if peer.up and (number, peer.number) not in self._unlinked:
                self._link_up(peer, node)
            else:
                node.step(PeerDown(peer.number, "not reached yet"))

    def kill(self, number: int, keep_unsynced: int = 0) -> None:
        node = self.nodes[number]
        _add_counters(self.lost_counters, node)
        if node.loses_disk is not None:
            keep_unsynced = 0
        node.kill(keep_unsynced)
        self.note("kill", number, "keeping", keep_unsynced, "unsynced writes")
        self._mark(2, number, keep_unsynced)
        for peer in self.nodes:
            if peer is not node and peer.up:
                peer.step(PeerDown(number, "it was killed"))
        for tell in self.on_kill:
            tell(node)
        if node.loses_disk is not None:
            disk, node.loses_disk = node.loses_disk(), None
            self.change_disk(number, disk)

    def new_disk(self) -> SimDisk:
        """An empty one."""
        disk = SimDisk()
        disk.keep_entries = self.keep_entries
        disk.clock = lambda: self.now_ms / 1_000.0
        disk.id = self._disk_ids.getrandbits(63) | 1
        return disk

    def change_disk(self, number: int, disk: SimDisk) -> None:
        """A node that is down finds another disk when it starts again."""
        self.note("the disk of", number, "is another one:", f"{disk.id:x}")
        self.nodes[number].change_disk(disk)
        self.losses[number] += 1
        self.invariants.disk_changed(number)

    def survivors(self, number: int) -> int:
        """How many of a node's unsynced writes a power cut leaves: any subset may, and the log is read up to the first hole."""
        kept = 0
        keep_each = self.random.choice((0.0, 0.5, 1.0))
        while kept < self.nodes[number].store.unsynced and self.random.random() < keep_each:
            kept += 1
        return kept

    def allow_writes(self, number: int, reason: str) -> None:
        """Tell a node that its disk is full (a reason) or has room again (none)."""
        self.note("disk of", number, reason or "has room")
        self.nodes[number].step(WritesAllowed(reason))

    def counters(self) -> dict[str, int]:
        """Sums over all nodes and all their lives."""
        total = dict(self.lost_counters)
        for node in self.nodes:
            if node.up:
                _add_counters(total, node)
        return total

    def strangers(self) -> list[SimNode]:
        """Nodes that are of another cluster than most, as far as they know of which they are, and so have no links to those."""
        known = [node for node in self.nodes if node.up and node.shard.context.standing.cluster_id]
        ids = [node.shard.context.standing.cluster_id for node in known]
        common = max(ids, key=ids.count, default="")
        return [node for node, cluster_id in zip(known, ids, strict=True) if cluster_id != common]

    # -- network

    def lose_connection(self, one: int, other: int) -> None:
        """The connections between two nodes break: both notice, and what was under way is lost."""
        for pair in ((one, other), (other, one)):
            self._unlinked.add(pair)
            self._links[pair] = self._links.get(pair, 0) + 1
            if self.nodes[pair[0]].up:
                self.nodes[pair[0]].step(PeerDown(pair[1], "connection lost"))
        self.note("lost connection", one, "<->", other)

    def connect(self, one: int, other: int) -> None:
        if (one, other) in self._unlinked:
            self._unlinked -= {(one, other), (other, one)}
            if self.nodes[one].up and self.nodes[other].up:
                self._link_up(self.nodes[one], self.nodes[other])

    def relink(self, number: int) -> None:
        """All links of a node begin anew: it has become another one (rule 19a)."""
        node = self.nodes[number]
        for peer in self.nodes:
            if peer is node or not peer.up or (number, peer.number) in self._unlinked:
                continue
            for pair in ((number, peer.number), (peer.number, number)):
                self._links[pair] = self._links.get(pair, 0) + 1
                self.nodes[pair[0]].step(PeerDown(pair[1], "it begins anew"))
            self._link_up(node, peer)

    def clock_of(self, peer: SimNode, reader: int) -> float:
        """What a node knows of a peer's clock when it has just heard it."""
        return peer.clocks.wall(self.now_ms) + self.clock_error_ms * self._clock_errors[reader, peer.number]

    def heard_by(self, number: int) -> list[SimNode]:
        """The peers whose pongs arrive at this node."""
        return [
            peer
            for peer in self.nodes
            if peer.number != number
            and peer.up
            and not peer.suspended
            and (number, peer.number) not in self._unlinked
            and not {(number, peer.number), (peer.number, number)} & self.weather.cuts
        ]

    def _link_up(self, one: SimNode, other: SimNode) -> None:
        ids = {node.shard.context.standing.cluster_id for node in (one, other)} - {""}
        if len(ids) > 1:
            self._refuse(one, other)
            return
        one.hear_clock(other)  # each hello says it
        other.hear_clock(one)
        one.step(PeerUp(other.number, *other.disk))
        other.step(PeerUp(one.number, *one.disk))

    def _refuse(self, one: SimNode, other: SimNode) -> None:
        """Their hellos say that they are of different clusters of one name (`check_hello`). They dial again and again."""
        self.note("refused", one.number, other.number, "of another cluster of the same name")
        self._unlinked |= {(one.number, other.number), (other.number, one.number)}
        for node, peer in ((one, other), (other, one)):
            node.step(PeerDown(peer.number, "another cluster of the same name"))
        self.after(REDIAL_MS, lambda: self.connect(one.number, other.number))

    def send(self, sender: int, receiver: int, messages: list[Message]) -> None:
        """One frame; the weather decides when, how often, and whether it arrives."""
        weather, rng = self.weather, self.random
        link, disk = self._links.get((sender, receiver), 0), self.nodes[sender].disk.id
        lives = self.nodes[sender].life, self.nodes[receiver].life
        copies = 2 if rng.random() < weather.duplication else 1
        for _ in range(copies):
            if (sender, receiver) in weather.cuts or (sender, receiver) in self._unlinked or rng.random() < weather.loss:
                if self.trace is not None:
                    self.note("lost", sender, "->", receiver, *map(brief, messages))
                continue
            low, high = weather.delay_ms
            delay = low + (high - low) * rng.random()
            if rng.random() < weather.long_delay:
                delay = rng.uniform(delay, 200.0)
            self.after(delay, lambda: self._arrive(sender, receiver, link, disk, lives, messages))

    def _arrive(self, sender: int, receiver: int, link: int, disk: int, lives: tuple[int, int], messages: list[Message]) -> None:
        node = self.nodes[receiver]
        if not node.up or self._links.get((sender, receiver), 0) != link:
            return
        if (self.nodes[sender].life, node.life) != lives:
            # whatever else comes later than over any real link; but who refused a hand-over remembers that as long as it stands
            messages = [message for message in messages if not isinstance(message, HandOver)]
            if not messages:
                return
        if self.trace is not None:
            self.note("frame", sender, "->", receiver, *map(brief, messages))
        first = messages[0]
        if type(first) is PaxosMessage:
            self._mark(3, sender, receiver, len(messages), first.entity, first.entry, first.promised, first.accepted)
        else:
            self._mark(3, sender, receiver, len(messages))
        node.step(Received(sender, messages, 0, disk))


def _add_counters(total: dict[str, int], node: SimNode) -> None:
    counters = node.shard.context.counters.as_dict()
    if node.life > 1:
        counters["entries_learned after a restart"] = counters["entries_learned"]
    for name, count in counters.items():
        total[name] = total.get(name, 0) + count
