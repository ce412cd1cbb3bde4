"""One simulated node: a shard over a simulated disk, and the production driver over simulated time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from random import Random
from typing import NamedTuple, Protocol

from ..clock import Clocks as KnownClocks
from ..core.batch.overlay import View
from ..core.batch.request import Request
from ..core.entity.logstate import INFINITE
from ..core.interface.event import Event, Received, Tick
from ..core.interface.message import HandedBack, Message, PaxosMessage, ReadAnswer
from ..core.interface.ready import Apply, Change, Release
from ..core.shard.shard import SWEEP_MS, Shard
from ..core.turn.context import Handler, Identity
from ..core.turn.standing import Disk
from ..errors import Damaged, DiskFull, InvalidRequest, PaxosStoreError, Refused, RequestFailed, TooLarge, UuidReused
from ..settings import ClusterSettings, TuningSettings
from ..storage.body import MsgpackBodyCodec
from ..storage.driver import Driver
from ..storage.start import count_start
from .clocks import Clocks
from .disk import Rows, SimDisk
from .invariants import Invariants, Place
from .weather import Weather
from .workload import COSTLY

SOON_MS = 0.01
LONG_READ_MS = 50.0
"""How slow the disk is now is looked at so often while something is read."""
SHORTEST_TIMER_MS = 0.05
GULP_MS = 1.0


class PowerCut(Exception):
    """Raised in the middle of a turn: nothing after this happens on this node."""


class SimTimer:
    """A call that is due later, unless it is cancelled."""

    __slots__ = ("cancelled",)

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


NEVER_A_TURN = 1 << 62
NEVER_MS = float("-inf")
PINGS_MS = 20.0
"""So often it hears its peers' clocks."""


class World(Protocol):
    """What a node is in: a cluster, its network and its time."""

    random: Random
    settings: ClusterSettings
    tuning: TuningSettings
    handlers: Mapping[str, Handler]
    codec: MsgpackBodyCodec
    weather: Weather
    invariants: Invariants
    now_ms: float
    evaluations: Counter[tuple[int, int]]
    """(node, number of a costly request) -> how often it was evaluated there."""
    cuts: Counter[str]
    """At what the power was cut."""
    on_turn: Callable[[SimNode], None]
    on_applied: Callable[[SimNode, Sequence[Apply], Sequence[Change]], None]
    """Told what a durable turn has applied, as the feed of a real node is."""

    def new_disk(self) -> SimDisk: ...

    def after(self, delay_ms: float, action: Callable[[], None]) -> None: ...

    def note(self, *what: object) -> None: ...

    def send(self, sender: int, receiver: int, messages: list[Message]) -> None: ...

    def kill(self, number: int, keep_unsynced: int) -> None: ...

    def start(self, number: int) -> None: ...

    def relink(self, number: int) -> None: ...

    def survivors(self, number: int) -> int: ...

    def heard_by(self, number: int) -> Iterable[SimNode]: ...

    def clock_of(self, peer: SimNode, reader: int) -> float: ...


class CutAt(NamedTuple):
    """Cut the power where something is changed on the disk: right before such a write, after it, or when it is synced."""

    kinds: tuple[type[Change], ...]
    places: int
    """At the how-manieth of these places."""


class SimNode:
    """One node: the host of a driver."""

    def __init__(self, cluster: World, number: int) -> None:
        self.cluster = cluster
        self.number = number
        self.store = cluster.new_disk()
        self.disk = Disk()
        """What its links say of it (rule 19)."""
        self.clocks = Clocks()
        self._known = KnownClocks()
        """What it knows of its peers' (rule 20)."""
        self._looked_ms = NEVER_MS
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
        self.cut_at: CutAt | None = None
        self.loses_disk: Callable[[], SimDisk] | None = None
        """The disk does not survive the next power cut, and what is there instead then."""
        self.lost_ranges: list[tuple[int, int]] = []
        """Entities whose damage has ended the last life: the next one begins without them."""
        self.force = False
        """The operator lets it re-enter with fewer peers than it takes."""
        self.learns_only = False
        """Its setting learn_only."""
        self._learns_from = NEVER_A_TURN
        """Turns from this one on write no vote."""
        self._deferred: list[Callable[[], None]] = []
        self.saw: dict[Request, int] = {}
        """Read -> the entry that it was answered from: by the time it is told, more may be applied in memory."""
        self._shown: dict[Request, set[tuple[Place, bytes]]] = {}
        """Request -> the values with it that have left this node, and where they were proposed."""
        self._fenced = 0
        """Frames that have come here over links of disks that another has taken the place of."""
        self._passed = 0
        """Floors that were passed since its start, and the turn that passed the last of them, until it is durable; 0: it is."""
        self._passed_turn = 0
        self._syncs = 0
        self._finishing = False
        self._awake_ms = 0.0
        """When it last went on, after it was suspended or busy."""
        self._busy_ms = 0.0
        """How long the evaluations of `_busy_from_ms` take: what comes of them leaves so much later."""
        self._busy_from_ms = 0.0
        self._idle_at_ms = 0.0
        """When the last of them is over."""
        self._watch_disk()

    def start(self) -> bool:
        """Come up; False: the power was cut while that was noted on the disk."""
        assert not self.up
        self.up = True
        self.life += 1
        self._learns_from = NEVER_A_TURN
        self._known = KnownClocks()
        self._looked_ms = NEVER_MS
        cluster = self.cluster
        cluster.invariants.started(self.number)
        self.crash_in_steps = 0
        identity = Identity(cluster.settings, self._tuning, self.number, cluster.random.getrandbits(64) | 1)
        try:
            identity = count_start(identity, self.store, self.store.id, force=self.force, lost=self.lost_ranges)
        except PowerCut:
            self.kill(cluster.survivors(self.number))
            return False
        self.lost_ranges.clear()
        self.disk = self._own_disk(identity)
        self.shard = Shard(identity, self.store, cluster.codec, {**cluster.handlers, COSTLY: self.run_costly})
        self.driver = Driver(self.shard, self.store, self, GULP_MS)
        self._learns_from = 0 if self.learns_only else NEVER_A_TURN
        self._shown.clear()
        self.saw.clear()
        self._fenced = self._passed = self._passed_turn = 0
        self._finishing = False
        self._busy_ms = self._idle_at_ms = 0.0
        return True

    @staticmethod
    def _own_disk(identity: Identity) -> Disk:
        assert identity.standing is not None
        return identity.standing.disks[identity.me]

    def renewed(self, disk: int) -> None:
        self.disk = self.disk._replace(id=disk)
        self.cluster.relink(self.number)

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

    def learn_only(self, wanted: bool) -> None:
        """Set learn_only, now and for the next starts."""
        self.learns_only = wanted
        if self.up:
            self.shard.tune(self._tuning)
            # the open turn may hold votes already, and the one before it may wait to be written
            self._learns_from = self.shard.context.ready.turn + 1 if wanted else NEVER_A_TURN
            self.driver.step(Tick())

    @property
    def _tuning(self) -> TuningSettings:
        return replace(self.cluster.tuning, learn_only=self.learns_only)

    def change_disk(self, disk: SimDisk) -> None:
        """Find another disk at the next start."""
        assert not self.up
        self.store = disk
        self._watch_disk()

    def step(self, event: Event | Request) -> None:
        if isinstance(event, Received) and event.disk:
            row = self.store.durable_standing
            self._fenced += row is not None and (event.peer, event.disk) in row.replaced
        self.driver.step(event)

    def go_on(self) -> None:
        """Stop being suspended."""
        self.suspended = False
        self._awake_ms = max(self._awake_ms, self.monotonic_ms())
        deferred, self._deferred = self._deferred, []
        for action in deferred:
            action()

    def run_costly(self, view: View, payload: bytes) -> bytes:
        """The handler `COSTLY`: it writes a key, and takes its time."""
        number, cost_ms = payload.split()
        self.cluster.evaluations[self.number, int(number)] += 1
        self.take(float(cost_ms))
        view.put(COSTLY.encode(), payload)
        return b""

    def take(self, ms: float) -> None:
        """An evaluation takes this long: nothing else happens here meanwhile."""
        now = self.cluster.now_ms
        self._busy_ms = self._busy_for + ms
        self._busy_from_ms = now
        self._idle_at_ms = now + self._busy_ms
        self._awake_ms = self.clocks.monotonic(now) + self._busy_ms

    @property
    def _busy_for(self) -> float:
        """How long what is evaluated now takes."""
        return self._busy_ms if self._busy_from_ms == self.cluster.now_ms else 0.0

    # -- the driver's host

    def monotonic_ms(self) -> float:
        return self.clocks.monotonic(self.cluster.now_ms)

    def wall_ms(self) -> int:
        now_ms = self.cluster.now_ms
        if now_ms >= self._looked_ms + PINGS_MS:
            self._looked_ms = now_ms
            for peer in self.cluster.heard_by(self.number):
                self.hear_clock(peer)
        return max(0, int(self._known.now_ms(self.clocks.wall(now_ms), self.monotonic_ms())))

    def hear_clock(self, peer: SimNode) -> None:
        now_ms = self.monotonic_ms()
        self._known.heard(peer.number, self.cluster.clock_of(peer, self.number), now_ms, now_ms)

    def call_soon(self, action: Callable[[], None]) -> None:
        self._after(SOON_MS, action, when_idle=True)

    def call_later(self, delay_ms: float, action: Callable[[], None]) -> SimTimer:
        timer = SimTimer()

        def due() -> None:
            if not timer.cancelled:
                self._when_idle(action)

        self._after(max(SHORTEST_TIMER_MS, delay_ms), due)
        return timer

    def written(self, events: int, needs_sync: bool) -> None:
        busy_ms = self._busy_for
        self.shard.context.budget.busy_ms += busy_ms
        if needs_sync:
            self._syncs += 1
            sync_ms = self.cluster.random.uniform(*self.cluster.weather.sync_ms) * self.slowness
            self._after(busy_ms + sync_ms, self._synced)
            self._after(busy_ms + self.cluster.tuning.slow_sync_ms, partial(self._look, self._syncs))
        elif busy_ms:
            self._after(busy_ms, self._finish)
        else:
            self._finish()

    def release(self, release: Release) -> None:
        if busy_ms := self._busy_for:
            self._after(busy_ms, partial(self._let_go, release))
        else:
            self._let_go(release)

    def warm(self, entities: Sequence[int]) -> None:
        """Reading takes no time, or as long as it likes: turns come in between."""
        random = self.cluster.random
        if random.random() < 0.5:
            self.driver.warmed(entities)
        else:
            self._read(random.uniform(0.0, 3.0) * random.uniform(*self.cluster.weather.sync_ms), entities)

    def _read(self, left_ms: float, entities: Sequence[int]) -> None:
        """So much of it is left, on a disk that may be slow now, and mended before it is over (seed 86010157)."""
        took_ms = left_ms * self.slowness
        if took_ms > LONG_READ_MS:
            self._after(LONG_READ_MS, partial(self._read, left_ms - LONG_READ_MS / self.slowness, entities))
        else:
            self._after(took_ms, partial(self._when_idle, partial(self.driver.warmed, entities)))

    def reads_on(self) -> bool:
        return self.cluster.random.random() < 0.5

    def lost(self, found: Damaged) -> None:
        self.cluster.note("node", self.number, "has lost an entity:", found)

    def applied(self, applies: Sequence[Apply], changes: Sequence[Change]) -> None:
        self.cluster.on_applied(self, applies, changes)

    def _when_idle(self, action: Callable[[], None]) -> None:
        left_ms = self._idle_at_ms - self.cluster.now_ms
        if left_ms > 0.0:
            self._after(left_ms, partial(self._when_idle, action))
        else:
            action()

    def _look(self, sync: int) -> None:
        """Whether this sync takes long."""
        if self.driver.syncing and self._syncs == sync:
            self._fail_after_gulps()
            self.driver.sync_takes_long()

    def hang_up(self, fails_after: bool) -> None:
        """No sync returns any more, and what is taken in meanwhile may fail to be written."""
        self.hangs = True
        self.fails_after_gulps = fails_after
        if self.up and self.driver.slow:
            self._fail_after_gulps()

    def _fail_after_gulps(self) -> None:
        if self.fails_after_gulps:
            self.fails_after_gulps = False
            self.store.fail_next_write = DiskFull("no room for what came in gulps")

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
        self._finishing = True
        self.driver.finish()
        self._finishing = False
        if self._fenced and not self.driver.inbox:
            self.cluster.invariants.fenced(self.number, self._fenced, self.shard.context.counters.messages_fenced)
        self._check_back()
        self.store.not_applied = {}  # nothing of the next turn rests on what this one could not write
        self.cluster.on_turn(self)

    def _after(self, delay_ms: float, action: Callable[[], None], *, when_idle: bool = False) -> None:
        """Let a thing happen on this node later, in this life, when it is not suspended, nor busy if that is asked for."""
        life = self.life

        def happen() -> None:
            if not self.up or self.life != life:
                return
            if self.suspended:
                self._deferred.append(happen)
                return
            if when_idle and self._idle_at_ms > self.cluster.now_ms:
                self._when_idle(action)
                return
            try:
                action()
            except PowerCut:
                self.cluster.kill(self.number, self.cluster.survivors(self.number))
            except Damaged as found:
                self.cluster.note("node", self.number, "begins anew:", found)
                self.cluster.kill(self.number, self.store.unsynced)
                if found.entity is not None:
                    self.lost_ranges.append((found.entity, found.entity))
                self.cluster.start(self.number)
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

    def _change_step(self, changes: Sequence[Change]) -> None:
        """A place at which the power may be cut because of what is changed."""
        cut = self.cut_at
        if cut is not None and any(isinstance(change, cut.kinds) for change in changes):
            self.cut_at = cut._replace(places=cut.places - 1) if cut.places > 1 else None
            if self.cut_at is None:
                self.cluster.cuts.update(
                    {f"power cut at {type(change).__name__}" for change in changes if isinstance(change, cut.kinds)}
                )
                raise PowerCut

    def _let_go(self, release: Release) -> None:
        cluster, invariants = self.cluster, self.cluster.invariants
        by_peer: dict[int, list[Message]] = {}
        for peer, message in release.messages:
            if not isinstance(message, HandedBack):
                invariants.sent(self.number, message, self.store.durable_rows)
                if isinstance(message, PaxosMessage | ReadAnswer):
                    self._check_floor(message)
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
            if error is None and not request.hand_over:  # else another node vouched for it, and was held to that
                invariants.told(self.number, request.entity, self.saw.get(request) or self._told_of(request.entity))
            self.saw.pop(request, None)
            shown = self._shown.pop(request, ())
            outcome = isinstance(error, RequestFailed | TooLarge | Refused | InvalidRequest)
            if error is not None and error.outcome_known and not outcome:
                invariants.refused(self.number, shown)
            request.settle(reply, error)
        for comparison in release.compared:
            comparison.settle()

    def _check_back(self) -> None:
        context = self.shard.context
        if self._passed != context.counters.floors_passed:
            self._passed, self._passed_turn = context.counters.floors_passed, context.ready.turn
        if self._passed_turn and context.durable_turn >= self._passed_turn:
            self._passed_turn = 0
            if self.shard.progress.done:
                self.cluster.invariants.back(self.number, self.store.below_floors)

    def _check_floor(self, message: PaxosMessage | ReadAnswer) -> None:
        entity = message.entity
        floor = self.store.durable_floor(entity)
        settled = self.store.has_default_floor(entity) and not self.shard.context.standing.row.default
        # an answer need not wait until its floor is durable, or the end of the default one (seed 99014758)
        if isinstance(message, PaxosMessage) or (floor != INFINITE and not settled):
            self.cluster.invariants.above_floor(self.number, message, floor)

    def _check_in_time(self, request: Request) -> None:
        if request.deadline_ms:  # else it was refused before it got one
            margin_ms = self.cluster.tuning.slow_sync_ms + 2 * SWEEP_MS
            last_ms = max(request.deadline_ms, self._awake_ms) + margin_ms
            self.cluster.invariants.in_time(self.number, self.monotonic_ms(), last_ms)

    def _note_shown(self, message: PaxosMessage) -> None:
        """Remember which requests a value carries that leaves this node, if they were asked for here."""
        found = self.shard.entity(message.entity)
        in_flight = None if found is None else found.writes.in_flight
        if in_flight is not None and in_flight.value.id == message.value_id:
            for request, reply in in_flight.evaluated.proposed:
                if type(reply.error) is UuidReused:
                    continue  # another one of the batch took its uuid: it does nothing there (seed 9206, a false alarm)
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
            if self._learns_from != NEVER_A_TURN and self.shard.context.ready.turn - 1 >= self._learns_from:
                invariants.learns_only(number, before, rows)  # type: ignore[arg-type]  # as above

        self.store.on_write = self.one_step
        self.store.on_changes = self._change_step
        self.store.on_rows = rows_written
        self.store.on_reset = lambda entity: invariants.entity_lost(number, entity)
        self.store.on_durable = lambda rows: invariants.durable(number, rows)
