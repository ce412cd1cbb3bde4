"""The entities of one shard: `step(event)` takes in what happened, `ready()` says what has to be done about it.

A step only changes rows and queues; `ready` then looks once at every entity that was touched: applies what is chosen,
ends what is decided, serves reads, proposes the next batch, asks the next question. So whatever arrived in one turn
becomes one batch, one question and one write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...errors import NoQuorum, NotServing
from ...settings import TuningSettings
from ..batch.overlay import BodyCodec, DataReader
from ..batch.request import Request
from ..entity.entity import NEVER, Entity
from ..entity.install import Transfer
from ..handover.handover import HandOvers
from ..interface.event import (
    Compare,
    DigestsLoaded,
    DiskSilent,
    Durable,
    Event,
    FloorsLoaded,
    InventoryLoaded,
    Loaded,
    LogLoaded,
    LostLoaded,
    PeerDown,
    PeerUp,
    Received,
    Renew,
    SnapshotLoaded,
    Tick,
    ViewLoaded,
    WriteFailed,
    WritesAllowed,
)
from ..interface.message import (
    CatchUpReply,
    CatchUpRequest,
    CompareReply,
    CompareRequest,
    DigestReply,
    DigestRequest,
    Fill,
    FloorPage,
    FloorRequest,
    GiveWay,
    HandedBack,
    InventoryReply,
    InventoryRequest,
    LostPage,
    LostRequest,
    ReadAnswer,
    ReadQuestion,
    SnapshotPiece,
    SnapshotRequest,
    Stopped,
    TakeOver,
)
from ..interface.ready import Ready, Release
from ..log.giveway import RightOfWay
from ..log.install import Installer
from ..log.learn import Learner
from ..log.log import Log
from ..log.onlooker import Onlooker
from ..log.pace import Lag, Pace
from ..log.reconcile import Reconciliation
from ..log.serve import ReadServer
from ..log.snapshot import SnapshotSender
from ..log.write import Proposer
from ..reentry.lost import LostEntities
from ..reentry.membership import Membership
from ..reentry.passing import Passing
from ..reentry.progress import Progress
from ..reentry.unseen import UnseenFloors
from ..reentry.walk import FloorWalk
from ..turn.admission import Admission
from ..turn.context import Context, Handler, Identity
from ..turn.entities import Entities
from ..turn.errands import load, next_ms, read_for_peers
from ..turn.memory import MemoryUse
from ..turn.urgency import Urgency
from ..turn.waiting import describe_waiting
from ..verify.comparer import Comparer
from .attendance import Attendance
from .delivery import Delivery
from .intake import Intake
from .undecided import Undecided, values_shown

SWEEP_MS = 50.0
"""How often deadlines of requests are looked at."""


class Shard:
    """A single-threaded owner of entities. Pure: time, entropy and the disk come in as arguments and events."""

    def __init__(self, identity: Identity, reader: DataReader, codec: BodyCodec, handlers: Mapping[str, Handler]) -> None:
        self._context = context = Context(identity, reader, codec, handlers)
        self._log = Log(context)
        self._agreement = self._log.agreement
        self._entities = Entities(context)
        self._admission = Admission(context, self._entities)
        self._way = RightOfWay(context, self._entities)
        self._pace = Pace(context, self._entities)
        self._proposer = Proposer(context, self._entities, self._log, self._way)
        self._handovers = HandOvers(context, self._entities, self._log, self._admission)
        self._intake = Intake(context, self._entities, self._admission, self._handovers)
        self._reads = ReadServer(context, self._entities, self._log, self._intake.write)
        self._installer = Installer(context, self._entities, self._log, self._proposer)
        self._sender = SnapshotSender(context)
        self._learner = Learner(context, self._entities, self._log, self._proposer, self._installer, self._sender)
        self._reconciler = self._learner.reconciler
        self._onlooker = Onlooker(context, self._entities, self._log)
        self._membership = Membership(context, self._entities, self._proposer, self._admission)
        self._passing = Passing(context, self._entities, self._membership)
        self._unseen = UnseenFloors(context, self._entities)
        self._walk = FloorWalk(context, self._entities, self._log, self._membership, self._passing, self._unseen)
        self.comparer = Comparer(context, self._entities)
        """For inspection only."""
        self._lost = LostEntities(context, self._entities, self._membership, self._passing, self._unseen)
        self._undecided = Undecided(context, self._entities, self._handovers)
        self._urgency = Urgency(context)
        context.agenda.begin(
            self._sender,
            self._learner,
            self.comparer.views,
            self.comparer,
            self._handovers,
            self._membership,
            self._reconciler,
            self._pace,
            self._installer,
            self._walk,
            self._lost,
            self._passing,
        )
        self._attendance = Attendance(
            context,
            self._entities,
            self._log,
            pace=self._pace,
            proposer=self._proposer,
            handovers=self._handovers,
            passing=self._passing,
            reads=self._reads,
            installer=self._installer,
            learner=self._learner,
            onlooker=self._onlooker,
            way=self._way,
            comparer=self.comparer,
            undecided=self._undecided,
        )
        self._sweep_at_ms = 0.0
        self._released = context.ready
        self._unfinished = False
        """The last turn has left something undone: the next one may begin at once."""
        self._on_event: dict[type, Callable[[Any], None]] = {
            PeerUp: self._on_peer_up,
            PeerDown: self._on_peer_down,
            Loaded: self._on_loaded,
            LogLoaded: self._learner.log_loaded,
            DigestsLoaded: self._reconciler.digests_loaded,
            InventoryLoaded: self._reconciler.inventory_loaded,
            SnapshotLoaded: self._sender.loaded,
            FloorsLoaded: self._on_floors_loaded,
            LostLoaded: self._lost.loaded,
            Durable: self._on_durable,
            DiskSilent: self._on_disk_silent,
            WriteFailed: self._on_write_failed,
            WritesAllowed: self._on_writes_allowed,
            Compare: lambda event: self.comparer.start(event.comparison),
            Renew: lambda event: self._installer.renew(*event),
            ViewLoaded: self.comparer.views.loaded,
            Tick: self._on_tick,
        }
        to_entity: dict[type, Callable[[Entity, int, Any], None]] = {
            ReadQuestion: self._reads.question,
            ReadAnswer: self._reads.answer,
            CatchUpRequest: self._learner.requested,
            CatchUpReply: lambda *reply: (self._onlooker if context.cannot_write else self._learner).replied(*reply),
            SnapshotRequest: self._sender.requested,
            SnapshotPiece: self._installer.piece,
            TakeOver: self._handovers.told_to_take_over,
            GiveWay: self._way.asked,
            Stopped: self._agreement.heard,
            Fill: self._proposer.fill,
        }
        to_node: dict[type, Callable[[int, Any], None]] = {
            HandedBack: self._handovers.handed_back,
            DigestRequest: self._reconciler.digests_asked,
            DigestReply: self._reconciler.digests_told,
            InventoryRequest: self._reconciler.inventory_asked,
            InventoryReply: self._reconciler.inventory_told,
            FloorRequest: self._walk.requested,
            FloorPage: self._walk.answered,
            CompareRequest: self.comparer.views.requested,
            CompareReply: self.comparer.answered,
            LostRequest: self._lost.requested,
            LostPage: self._lost.answered,
        }
        self._delivery = Delivery(
            context,
            self._entities,
            self._log,
            admission=self._admission,
            handovers=self._handovers,
            intake=self._intake,
            membership=self._membership,
            onlooker=self._onlooker,
            proposer=self._proposer,
            to_entity=to_entity,
            to_node=to_node,
            go_on=self._go_on,
        )
        self._on_event[Received] = self._delivery.received

    # -- the interface

    def step(self, event: Event | Request, now_ms: float, wall_ms: int) -> None:
        """Take in one event, at a monotonic and a wall-clock time. The wall clock is only shown to requests."""
        self._context.now_ms = now_ms
        self._context.wall_ms = wall_ms
        handler = self._on_event.get(type(event))
        if handler is not None:
            handler(event)
        else:
            assert isinstance(event, Request)
            self._intake.take(event)

    def ready(self) -> Ready:
        """Decide on everything that was touched, and hand out what the turn produced."""
        self._unfinished = self._attendance.attend_touched()
        context = self._context
        self.comparer.go_on()
        self._unfinished |= load(context) | read_for_peers(context) | self._sender.read()
        context.counters.turns_cut += self._unfinished
        self._membership.speak()
        self._pace.written()
        ready = self._released = context.ready
        context.ready = Ready(ready.turn + 1)
        self._membership.turn_written()
        writes = ready.records or ready.applies or ready.changes
        assert not (context.cannot_write and writes), "a disk that failed a write is left alone"
        for apply in ready.applies:
            self._entities.get(apply.entity).log.unwritten = None  # the driver writes it before it steps again
        return ready

    def gulp(self) -> tuple[Release, list[int]]:
        """While the turn before is being synced: decide on what was touched; what may leave at once, and entities to load.

        All else stays in the open turn. Nothing of it is written, so the loads find what the turn before has written, and
        no entity of that turn is among them: it is in memory (rule 18).
        """
        self._unfinished = self._attendance.attend_touched()
        context = self._context
        self._unfinished |= load(context)
        context.counters.gulps += 1
        ready = context.ready
        early, ready.early = ready.early, Release()
        loads, ready.loads = ready.loads, []
        assert not loads or not {entity for entity, _ in self._released.records}.intersection(loads)
        ready.shown |= values_shown(early)
        return early, loads

    def stop(self, not_taken: Iterable[Request]) -> Release:
        """End every request that waits, and those that no turn has taken in, or none to its end. The last call."""
        unsynced = self._unsynced or [self._context.ready]
        self._undecided.end_unsynced(unsynced, NEVER, "the node has stopped before its disk answered", NotServing)
        return self._undecided.end_all(not_taken)

    def tune(self, tuning: TuningSettings) -> None:
        """These settings hold from now on. Between two turns."""
        switched = tuning.learn_only != self._context.tuning.learn_only
        self._context.tune(tuning)
        self._entities.memory.tuning = tuning
        for peer in self._handovers.peers:
            peer.round_trip.margin_ms = tuning.handover_margin_ms
        if switched:
            self._context.counters.learn_only_switches += 1
            self._membership.switched()
            for entity in self._entities.busy.values():
                self._entities.touch(entity)

    @property
    def next_deadline_ms(self) -> float:
        """When to step a Tick at the latest, on the monotonic clock."""
        context = self._context
        if self._unfinished:
            return context.now_ms
        entities, handovers = self._entities, self._handovers
        due, timer_ms = context.agenda.look(), entities.next_timer_ms
        if timer_ms < due:
            due = timer_ms
        if self._sweep_at_ms < due and (
            entities.busy or entities.memory.is_overfull or context.silence.for_ms or (handovers.on_agenda and handovers.at_work)
        ):
            due = self._sweep_at_ms
        return min(due, next_ms(context)) if context.patient_reads else due

    def entity(self, entity: int) -> Entity | None:
        """The state of an entity that is in memory, for inspection only."""
        return self._entities.find(entity)

    @property
    def context(self) -> Context:
        """Counters and identity, for inspection only."""
        return self._context

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        """The snapshots under way, to this node and from it, as they stand now."""
        return (*self._installer.transfers, *self._sender.transfers)

    @property
    def reconciliation(self) -> Reconciliation:
        """Which peers this node compares itself with, and what is missing here."""
        return self._reconciler.describe()

    @property
    def memory(self) -> MemoryUse:
        return self._entities.memory.taken

    @property
    def lag(self) -> Lag:
        """What is chosen here and not applied yet."""
        return self._pace.lag()

    @property
    def waiting_requests(self) -> int:
        """Requests that wait here or at a peer."""
        at_peers = sum(1 for _ in self._handovers.pending())
        return at_peers + sum(len(entity.requests()) for entity in self._entities.busy.values())

    @property
    def writes_refused_because(self) -> str:
        """Why this node does not write now; empty if it does."""
        return self._context.writes_refused_because

    @property
    def waits_for(self) -> str:
        """Whom this node waits for before it votes at all, and why (rule 19); empty: nobody."""
        return describe_waiting(self._context)

    @property
    def progress(self) -> Progress:
        """Where the re-entry of a node that lost its disk stands (rule 19)."""
        return self._passing.progress()

    @property
    def may_reset(self) -> bool:
        """Whether an entity whose rows cannot be read may be stepped in as damaged (rule 19e)."""
        return self._context.standing.may_lose

    @property
    def _unsynced(self) -> list[Ready]:
        """The turn that waits for its sync and the open one; none, if all turns so far are durable."""
        released = self._released
        return [released, self._context.ready] if released.turn > self._context.durable_turn else []

    # -- links

    def _on_peer_up(self, event: PeerUp) -> None:
        self._membership.peer_up(event)
        self._handovers.peer_up(event.peer)
        self._context.reach.up(event.peer)
        self._reconciler.peer_up(event.peer)
        if event.peer not in self._context.reach.resting:
            self._context.ask_as_any(event.peer)
        self._proposer.ask_again(everywhere=True)  # it missed what was sent while it was away

    def _on_peer_down(self, event: PeerDown) -> None:
        if not self._context.reach.down(event.peer, event.reason, self._context.now_ms):
            return  # only the reason is another one
        self._handovers.peer_down(event.peer)
        self._reconciler.peer_down(event.peer)
        self._context.ask_last(event.peer)
        self._reads.ask_the_others()
        self._proposer.ask_again(everywhere=False)  # it may have been the one that was asked

    # -- the disk

    def _on_loaded(self, event: Loaded) -> None:
        entity = self._entities.get(event.entity)
        context = self._context
        mailbox = entity.mailbox
        assert mailbox is not None, "each mailbox has one load"
        context.loading -= 1
        if event.damaged:
            self._lost.found(entity)
            return
        entity.load(event, context.n, context.me)
        stored = event.floor
        missed = self._unseen.take(entity.id)
        if missed is not None:
            entity.log.changed_turn = context.ready.turn  # it is not evicted before the disk has that floor
            stored = missed
        entity.log.set_floor(context.standing.floor_of(entity.id, stored, event.committed), stored=stored > 0)
        entity.mailbox = None
        self._agreement.loaded(entity, event.stopped)
        context.counters.loads += 1
        self._entities.touch(entity)
        self._passing.entity_loaded(entity)
        self._walk.tick()
        if event.recovering:
            self._installer.loaded(entity)
        for item in mailbox:
            if isinstance(item, Request):
                if not item.settled:
                    self._intake.deliver(item)
            else:
                self._admission.let_go(item[1])
                self._delivery.deliver(*item)

    def _on_durable(self, event: Durable) -> None:
        assert self._context.durable_turn <= event.turn < self._context.ready.turn
        context = self._context
        context.durable_turn = event.turn
        if context.silence.for_ms or context.silence.dropped:
            if context.silence.dropped:
                context.counters.dropped_for_the_disk += context.silence.dropped
                self._reconciler.ask_all()  # what it was told and did not take in, nobody tells it again
            context.silence.end()
        self._unfinished |= context.agenda.durable(event.turn)
        self._urgency.judge()

    def _on_floors_loaded(self, event: FloorsLoaded) -> None:
        if event.peer == self._context.me:
            self._passing.loaded(event)
        else:
            self._walk.loaded(event)

    def _go_on(self) -> None:
        """Go on with re-entry, if something of it can be done now."""
        self._walk.tick()
        self._lost.tick()
        self._passing.go_on()
        self._urgency.judge()

    def _on_disk_silent(self, event: DiskSilent) -> None:
        self._context.silence.lasts(event.for_ms)

    def _on_write_failed(self, event: WriteFailed) -> None:
        """Forget the entities of the turn: the disk has kept all earlier promises, memory has run ahead (rule 8)."""
        self._context.cannot_write = event.reason
        self._context.agenda.add_all()
        for read in self._undecided.forget(self._released, event.reason):
            self._intake.deliver(read)  # it waits for the entity to be loaded again: reads go on
        self._learner.forget()
        self._reconciler.forget()
        self._installer.forget()
        self.comparer.forget()
        self._membership.write_failed()
        self._walk.forget()
        self._lost.forget()
        self._unseen.forget()
        self._passing.forget()
        self._context.durable_turn = self._released.turn  # it left no row behind that could be missing

    def _on_writes_allowed(self, event: WritesAllowed) -> None:
        self._context.no_new_writes = event.reason
        self._context.agenda.add_all()
        if not event.reason:
            if self._context.cannot_write:
                self._onlooker.end()
                self._reconciler.ask_all()
            self._agreement.keep_all()
            self._installer.go_on()
            self._membership.writes_allowed()
            self._lost.writes_allowed()
            self._go_on()
            for entity in self._entities.busy.values():
                self._entities.touch(entity)

    # -- time

    def _on_tick(self, event: Tick) -> None:
        context = self._context
        now = context.now_ms
        self._entities.touch_due(now)
        context.agenda.tick()
        self._urgency.judge()
        if now >= self._sweep_at_ms:
            self._sweep_at_ms = now + SWEEP_MS
            self._entities.note_busy()  # what was taken back just now, too
            self._undecided.end_overdue()
            if context.silence:
                self._undecided.end_unsynced(self._unsynced, now, context.silence.describe(), NoQuorum)
