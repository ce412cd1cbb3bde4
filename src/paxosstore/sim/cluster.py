"""A whole cluster in one thread under one seed: the production core, batcher, turn and storage code on simulated disks,
networks and clocks. Same seed, same events, same trace."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from ..core.batch.overlay import View
from ..core.batch.request import Request
from ..core.entry.ids import majority
from ..core.interface.event import Event, PeerDown, PeerUp, Received, WritesAllowed
from ..core.interface.message import HandedBack, Message, PaxosMessage
from ..core.interface.ready import Release
from ..core.shard.shard import SWEEP_MS, Shard
from ..core.turn.context import Handler, Identity
from ..errors import DiskFull, PaxosStoreError, RequestFailed, TooLarge
from ..settings import ClusterSettings, TuningSettings
from ..storage.body import MsgpackBodyCodec
from ..storage.turn import Turn
from .brief import brief
from .clocks import Clocks
from .disk import Rows, SimDisk
from .invariants import Invariants, Place
from .workload import COSTLY

NEVER = float("inf")
GULP_MS = 1.0


class PowerCut(Exception):
    """Raised in the middle of a turn: nothing after this happens on this node."""


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

    def __init__(self, cluster: SimCluster, number: int) -> None:
        self.cluster = cluster
        self.number = number
        self.store = SimDisk()
        self.clocks = Clocks()
        self.life = 0
        """Counts starts, so that events of an earlier life are recognised."""
        self.up = False
        self.suspended = False
        """Like a process that was sent SIGSTOP: what is due happens when it goes on."""
        self.slowness = 1.0
        """Factor on the time of a sync."""
        self.hangs = False
        """No sync returns."""
        self.fails_after_gulps = False
        """The turn that is taken in gulps cannot be written."""
        self.crash_in_steps = 0
        """The power is cut so many steps from now, wherever that is inside a turn; 0: it is not."""
        self._deferred: list[Callable[[], None]] = []
        self._inbox: list[Event | Request] = []
        self._shown: dict[Request, set[tuple[Place, bytes]]] = {}
        """Request -> the values with it that have left this node, and where they were proposed."""
        self._timer_ms = NEVER
        self._syncs = 0
        self._slow = False
        """The sync under way takes long: the next turn is taken in gulps."""
        self._finishing = False
        self._awake_ms = 0.0
        """When it last went on, after it was suspended or busy."""
        self._busy_ms = 0.0
        """What the evaluations of the turn that begins have taken: what comes of it leaves so much later."""
        self._idle_at_ms = 0.0
        """When the last of them is over."""
        self._watch_disk()

    def start(self) -> None:
        assert not self.up
        self.up = True
        self.life += 1
        cluster = self.cluster
        cluster.invariants.started(self.number)
        identity = Identity(cluster.settings, cluster.tuning, self.number, cluster.random.getrandbits(64) | 1)
        self.shard = Shard(identity, self.store, cluster.codec, {**cluster.handlers, COSTLY: self.run_costly})
        self.turn = Turn(self.shard, self.store, self._release)
        self._inbox = []
        self._shown.clear()
        self._timer_ms = NEVER
        self._scheduled = self._slow = self._finishing = False
        self._busy_ms = self._idle_at_ms = 0.0
        self.crash_in_steps = 0

    def kill(self, keep_unsynced: int) -> None:
        """Lose memory, and all unsynced writes but the first `keep_unsynced`."""
        assert self.up
        self.up = False
        self.suspended = False
        self._deferred.clear()
        full = self.store.full
        self.store = self.store.crash(min(keep_unsynced, self.store.unsynced))
        self.store.full = full
        self._watch_disk()

    def step(self, event: Event | Request) -> None:
        self._inbox.append(event)
        self._schedule()

    def go_on(self) -> None:
        """Stop being suspended."""
        self.suspended = False
        self._awake_ms = max(self._awake_ms, self.clocks.monotonic(self.cluster.now_ms))
        deferred, self._deferred = self._deferred, []
        for action in deferred:
            action()

    def take(self, ms: float) -> None:
        """An evaluation of the turn that begins takes this long."""
        self._busy_ms += ms

    def run_costly(self, view: View, payload: bytes) -> bytes:
        """The handler `COSTLY`: it writes a key, and takes its time."""
        number, cost_ms = payload.split()
        self.cluster.evaluations[self.number, int(number)] += 1
        self.take(float(cost_ms))
        view.put(COSTLY.encode(), payload)
        return b""

    # -- the loop

    def _schedule(self) -> None:
        if not self._scheduled and (self._slow or not self.turn.syncing):
            self._scheduled = True
            self._after(0.01, self._begin)

    def _is_busy(self) -> float:
        """How long the evaluations of this turn take: nothing else happens here meanwhile."""
        busy_ms, self._busy_ms = self._busy_ms, 0.0
        if busy_ms:
            self._idle_at_ms = self.cluster.now_ms + busy_ms
            self._awake_ms = self.clocks.monotonic(self.cluster.now_ms) + busy_ms
        return busy_ms

    def _begin(self) -> None:
        if self.cluster.now_ms < self._idle_at_ms:
            self._scheduled = True
            self._after(self._idle_at_ms - self.cluster.now_ms, self._begin)
            return
        self._scheduled = False
        if self.turn.syncing:
            if self._slow:
                self._gulp()
            return
        inbox, self._inbox = self._inbox, []
        self.store.not_applied = {}  # nothing of this turn rests on what an earlier one could not write
        now = self.cluster.now_ms
        needs_sync = self.turn.begin(inbox, self.clocks.monotonic(now), self.clocks.wall(now))
        busy_ms = self._is_busy()
        if needs_sync:
            self._syncs += 1
            sync_ms = self.cluster.random.uniform(*self.cluster.weather.sync_ms) * self.slowness
            self._after(busy_ms + sync_ms, self._synced)
            self._after(busy_ms + self.cluster.tuning.slow_sync_ms, partial(self._look, self._syncs))
        elif busy_ms:
            self._after(busy_ms, self._finish)
        else:
            self._finish()

    def _look(self, sync: int) -> None:
        """Whether this sync takes long."""
        if self.turn.syncing and self._syncs == sync:
            self._slow = True
            self._begin()

    def _gulp(self) -> None:
        if self.fails_after_gulps:
            self.fails_after_gulps = False
            self.store.fail_next_write = DiskFull("no room for what came in gulps")
        inbox, self._inbox = self._inbox, []
        now = self.clocks.monotonic(self.cluster.now_ms)
        self._inbox += self.turn.gulp(inbox, now, self.clocks.wall(self.cluster.now_ms))
        self._is_busy()
        if self._inbox:
            self._schedule()
        self._set_timer(now, GULP_MS)

    def _synced(self) -> None:
        busy_ms = self._idle_at_ms - self.cluster.now_ms
        if self.hangs or busy_ms > 0.0:
            self._after(max(1.0, busy_ms), self._synced)
            return
        self.one_step()
        self.store.sync()
        self._finish()

    def _finish(self) -> None:
        self.one_step()
        now = self.clocks.monotonic(self.cluster.now_ms)
        self._finishing = True
        self._inbox += self.turn.finish(now, self.clocks.wall(self.cluster.now_ms))
        self._finishing = False
        self.cluster.on_turn(self)
        open_turn, self._slow = self._slow, False
        if self._inbox or open_turn:
            self._schedule()
            return
        self._set_timer(now)

    def _set_timer(self, now: float, pause_ms: float = 0.0) -> None:
        due = max(self.shard.next_deadline_ms, now + pause_ms)
        if due < self._timer_ms or self._timer_ms <= now:
            self._timer_ms = due
            if due != NEVER:
                self._after(max(0.05, due - now), self._on_timer)

    def _on_timer(self) -> None:
        self._timer_ms = NEVER  # also when a turn is under way, whose end sets the next one: the clock may stand still
        if not self._scheduled:
            self._begin()

    def _after(self, delay_ms: float, action: Callable[[], None]) -> None:
        """Let a thing happen on this node later, in this life, when it is not suspended."""
        life = self.life

        def happen() -> None:
            if not self.up or self.life != life:
                return
            if self.suspended:
                self._deferred.append(happen)
                return
            try:
                action()
            except PowerCut:
                self.cluster.kill(self.number, self.cluster.survivors(self.number))
            except PaxosStoreError as error:  # as in production: what cannot be read or written ends the process
                self.cluster.note("node", self.number, "stops:", error)
                self.cluster.kill(self.number, self.store.unsynced)

        self.cluster.after(delay_ms, happen)

    # -- what comes out

    def one_step(self) -> None:
        """A place inside a turn at which the power may be cut."""
        if self.crash_in_steps:
            self.crash_in_steps -= 1
            if not self.crash_in_steps:
                raise PowerCut

    def _release(self, release: Release) -> None:
        if self._busy_ms:
            self._after(self._busy_ms, partial(self._let_go, release))
        else:
            self._let_go(release)

    def _let_go(self, release: Release) -> None:
        cluster, invariants = self.cluster, self.cluster.invariants
        by_peer: dict[int, list[Message]] = {}
        for peer, message in release.messages:
            if not isinstance(message, HandedBack):
                invariants.sent(self.number, message, self.store.durable_rows)
                if isinstance(message, PaxosMessage):
                    self._note_shown(message)
            elif not message.code:
                invariants.told(self.number, message.entity, self._told_of(message.entity))
            by_peer.setdefault(peer, []).append(message)
        for peer, messages in by_peer.items():
            self.one_step()
            cluster.send(self.number, peer, messages)
        for request, reply, error in release.outcomes:
            self.one_step()
            self._check_in_time(request)
            if error is None and not request.exposed:  # else another node vouched for it, and was held to that
                invariants.told(self.number, request.entity, self._told_of(request.entity))
            shown = self._shown.pop(request, ())
            outcome = isinstance(error, RequestFailed | TooLarge)
            if error is not None and error.outcome_known and not outcome:
                invariants.refused(self.number, shown)
            request.settle(reply, error)

    def _check_in_time(self, request: Request) -> None:
        if request.deadline_ms:  # else it was refused before it got one
            margin_ms = self.cluster.tuning.slow_sync_ms + 2 * SWEEP_MS
            last_ms = max(request.deadline_ms, self._awake_ms) + margin_ms
            self.cluster.invariants.in_time(self.number, self.clocks.monotonic(self.cluster.now_ms), last_ms)

    def _note_shown(self, message: PaxosMessage) -> None:
        """Remember which requests a value carries that leaves this node, if they were asked for here."""
        found = self.shard.entity(message.entity)
        in_flight = None if found is None else found.writes.in_flight
        if in_flight is not None and in_flight.value.id == message.value_id:
            for request, _ in in_flight.evaluated.proposed:
                self._shown.setdefault(request, set()).add(((message.entity, message.entry), message.value_id))

    def committed(self, entity: int) -> int:
        """Highest entry that is applied in memory: what reads see there."""
        found = self.shard.entity(entity)
        return max(self.store.not_applied.get(entity, 0), 0 if found is None else found.log.applied)

    def _told_of(self, entity: int) -> int:
        """The entry that what is told rests on: at a turn's end what it has written, for the memory may be in the next one."""
        return self.store.committed_entry(entity) if self._finishing else self.committed(entity)

    def _watch_disk(self) -> None:
        number, invariants = self.number, self.cluster.invariants

        def rows_written(before: Rows, rows: Mapping[tuple[int, int], object]) -> None:
            invariants.written(number, before, rows)  # type: ignore[arg-type]  # rows are records

        self.store.on_write = self.one_step
        self.store.on_rows = rows_written
        self.store.on_durable = lambda rows: invariants.durable(number, rows)


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
        self.invariants = Invariants(nodes)
        self.now_ms = 0.0
        self.events = 0
        self.trace = trace
        self.lost_counters: dict[str, int] = {}
        """Counters of shards that were killed, so that coverage sums over all lives."""
        self.evaluations: Counter[tuple[int, int]] = Counter()
        """(node, number of a costly request) -> how often it was evaluated there."""
        self.on_turn: Callable[[SimNode], None] = lambda node: None
        self.on_kill: Callable[[SimNode], None] = lambda node: None
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

    def start(self, number: int) -> None:
        node = self.nodes[number]
        node.start()
        self.note("start", number)
        self._mark(1, number)
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
        node.kill(keep_unsynced)
        self.note("kill", number, "keeping", keep_unsynced, "unsynced writes")
        self._mark(2, number, keep_unsynced)
        for peer in self.nodes:
            if peer is not node and peer.up:
                peer.step(PeerDown(number, "it was killed"))
        self.on_kill(node)

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

    def _link_up(self, one: SimNode, other: SimNode) -> None:
        one.step(PeerUp(other.number))
        other.step(PeerUp(one.number))

    def send(self, sender: int, receiver: int, messages: list[Message]) -> None:
        """One frame; the weather decides when, how often, and whether it arrives."""
        weather, rng = self.weather, self.random
        link = self._links.get((sender, receiver), 0)
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
            self.after(delay, lambda: self._arrive(sender, receiver, link, messages))

    def _arrive(self, sender: int, receiver: int, link: int, messages: list[Message]) -> None:
        node = self.nodes[receiver]
        if not node.up or self._links.get((sender, receiver), 0) != link:
            return
        if self.trace is not None:
            self.note("frame", sender, "->", receiver, *map(brief, messages))
        first = messages[0]
        if type(first) is PaxosMessage:
            self._mark(3, sender, receiver, len(messages), first.entity, first.entry, first.promised, first.accepted)
        else:
            self._mark(3, sender, receiver, len(messages))
        node.step(Received(sender, messages))


def _add_counters(total: dict[str, int], node: SimNode) -> None:
    counters = node.shard.context.counters.as_dict()
    if node.life > 1:
        counters["entries_learned after a restart"] = counters["entries_learned"]
    for name, count in counters.items():
        total[name] = total.get(name, 0) + count
