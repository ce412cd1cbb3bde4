"""Catch-up: asking for what is missing, and answering who asks."""

from __future__ import annotations

from ..entity.catchup import ENTRIES_PER_REQUEST, CatchUpState, learned_from
from ..entity.entity import Entity
from ..entity.logstate import NEVER
from ..entry.ids import NOBODY
from ..entry.record import Value
from ..interface.event import LogLoaded
from ..interface.message import CatchUpReply, CatchUpRequest
from ..interface.ready import LogRead
from ..turn.agenda import Part
from ..turn.budget import Job
from ..turn.context import Context
from ..turn.entities import Entities
from .install import Installer
from .log import Log
from .reconcile import Reconciler
from .snapshot import LEAST_GAP, SnapshotSender
from .write import Proposer

USUAL_BYTES = 262_144
"""Of an answer, before the first one is there."""
LEARN_WORK = 50
"""What it costs to learn a small entry and to apply it, in units of `Context.work`."""
TELL_WORK = 20
"""What it costs to read a small entry and to send it."""
PATIENT_AT_A_TIME = 8
"""Of those that nobody waits for so many ask at a time: their answers come together, and hold up the requests of a turn."""
PATIENT_MS = 1_000.0
"""Where nobody waits for the entity, an answer is waited for at least so long: the peer has a rate to keep."""


class Learner(Part):
    """Acts on the catch-up state (catchup.py) of entities."""

    def __init__(
        self,
        context: Context,
        entities: Entities,
        log: Log,
        proposer: Proposer,
        installer: Installer,
        sender: SnapshotSender,
    ) -> None:
        self._context = context
        self._entities = entities
        self._log = log
        self._proposer = proposer
        self._installer = installer
        self._sender = sender
        self.reconciler = Reconciler(context, entities)
        self._asking: dict[int, float] = {}
        """Entity -> until when it waits for the answer to its question: each may be a megabyte, so only some ask at a time."""
        self._waiting: dict[int, Entity] = {}
        """Those that would ask, the one that has waited for longest first."""
        self._ask_at_ms = 0.0
        """When the background budget lets the next one of these ask; 0: it is not that for which they wait."""
        self._answer_bytes = float(USUAL_BYTES)
        """What the last answers have held, on average."""

    def learn(self, entity: Entity) -> None:
        """Ask for what is missing: known to be chosen, or accepted here and never heard of again."""
        self._learn(entity)
        if self._waiting and self._context.now_ms >= self._ask_at_ms and self._has_place:
            self._let_next_ask()

    @property
    def at_work(self) -> bool:
        return bool(self._waiting)

    def tick(self) -> None:
        """Go on with what waited for the background budget."""
        if self.next_ms <= self._context.now_ms:
            self._ask_at_ms = 0.0
            self._let_next_ask()

    @property
    def next_ms(self) -> float:
        """When the background budget lets the next one ask; never, if none waits for it."""
        return self._ask_at_ms if self._waiting and self._ask_at_ms else NEVER

    def give_up(self, entity: Entity) -> None:
        """It is stopped: others may have its place."""
        self._asking.pop(entity.id, None)
        self._waiting.pop(entity.id, None)
        entity.catchup.waits = False
        self.reconciler.ended(entity)
        self._let_next_ask()

    def forget(self) -> None:
        """Entities were dropped from memory, and with them what they have asked for."""
        self._asking.clear()
        self._let_next_ask()

    def _learn(self, entity: Entity) -> None:
        context, catchup = self._context, entity.catchup
        goal = max(entity.log.max_chosen, entity.catchup.wanted)
        first = entity.log.contiguous_chosen + 1
        if goal < first:
            if entity.catchup.wanted:
                entity.catchup.wanted = 0
                self.reconciler.ended(entity)
            catchup.weighs = True
            catchup.lacking.clear()
            self._asking.pop(entity.id, None)
            opened = entity.log.opened.get(first)
            if opened is None or opened.driving or opened.machine.mine.is_empty or catchup.attempts >= 4:
                if opened is None:
                    catchup.restart()
                return
            if catchup.asked_at_ms < 0.0:
                catchup.asked_at_ms = context.now_ms  # give its proposer the time to say so first
        elif self.must_copy(entity):
            return
        limit = context.tuning.max_open_entries - entity.log.lag
        if entity.log.lag and (limit * 2 < context.tuning.max_open_entries or not self._log.has_room(entity, first)):
            self._asking.pop(entity.id, None)
            return  # it is looked at again when some of what it has is applied
        hearsay = entity.log.max_chosen < first and not entity.log.floor  # somebody has named a number, and that is all
        denied = hearsay and False in catchup.lacking.values()
        if goal >= first and not denied and catchup.attempts >= context.n - 1:
            self._proposer.drive(entity, first)  # chosen, but nobody reachable knows it: a full round finds the value
        patient = self._is_patient(entity)
        interval = max(PATIENT_MS if patient else 0.0, context.tuning.retry_ms * (1 << min(catchup.attempts, 4)))
        if not catchup.due(context.now_ms, interval):
            entity.wake_at(catchup.asked_at_ms + interval)
            return
        if not self._may_ask(entity, context.now_ms + interval):
            return
        peer = catchup.next_peer(context.n, context.me)
        catchup.asked(context.now_ms)
        context.counters.catchup_requests += 1
        weighs = catchup.weighs and goal - first >= LEAST_GAP
        catchup.weighs = False
        chosen_id = entity.log.chosen_id(first - 1)
        request = CatchUpRequest(entity.id, first, min(limit, ENTRIES_PER_REQUEST), chosen_id, weighs, patient)
        context.send_early(peer, request)
        entity.wake_at(context.now_ms + interval)

    def must_copy(self, entity: Entity) -> bool:
        """Whether the first entry that is missing is kept by nobody any more; its data is copied then."""
        offer = entity.catchup.offer
        if offer == NOBODY or not self._nobody_else_has_it(entity.catchup):
            return False
        self._copy(entity, offer)
        return True

    def _nobody_else_has_it(self, catchup: CatchUpState) -> bool:
        """Whether every peer that can be asked for the entry has said that it does not have it, or says nothing."""
        context = self._context
        return catchup.attempts >= context.n - 1 or all(
            peer in catchup.lacking or context.reach.is_down(peer) for peer in context.peers
        )

    def _copy(self, entity: Entity, peer: int) -> None:
        """Have all data copied instead: the log begins anew behind it."""
        self._asking.pop(entity.id, None)
        self._waiting.pop(entity.id, None)
        entity.catchup.waits = False
        entity.catchup.has_come()
        self._installer.start(entity, peer)
        self._let_next_ask()

    def _may_ask(self, entity: Entity, until_ms: float) -> bool:
        """Whether this entity's turn has come; else it waits, behind those that wait already."""
        asking, now = self._asking, self._context.now_ms
        answered_late = asking.pop(entity.id, None) is not None
        most = self._most_asking(entity)
        if len(asking) >= most:
            for silent in [other for other, until in asking.items() if until < now]:
                del asking[silent]
        wait_ms = self._wait_ms(entity)
        if wait_ms:
            self._ask_at_ms = now + wait_ms
            self._context.counters.catchups_paced += 1
        if wait_ms or len(asking) >= most or (answered_late and self._waiting):
            self._context.counters.catchups_held += 1
            self._waiting[entity.id] = entity
            self._context.agenda.add(self)
            entity.catchup.waits = True
            return False
        self._waiting.pop(entity.id, None)
        entity.catchup.waits = False
        asking[entity.id] = until_ms
        return True

    @property
    def _has_place(self) -> bool:
        """Whether the one that has waited for longest may ask, as far as others go."""
        return len(self._asking) < self._most_asking(next(iter(self._waiting.values())))

    def _most_asking(self, entity: Entity) -> int:
        """With how many waiting for an answer this one may ask; what they get is paid for when it is here."""
        context = self._context
        burst = int(context.budget.burst_bytes(Job.CATCH_UP) / (self._answer_bytes + 1.0))
        most = PATIENT_AT_A_TIME if self._is_patient(entity) else context.tuning.max_catch_ups
        return min(context.tuning.max_catch_ups, most, max(1, burst))

    @staticmethod
    def _is_patient(entity: Entity) -> bool:
        """Whether nobody waits for it: it was found to be behind a peer, or below its floor."""
        return entity.catchup.wanted > 0 and not entity.busy

    def _wait_ms(self, entity: Entity) -> float:
        """How long the background budget has it wait; not at all, if a request waits for what is missing."""
        context = self._context
        return 0.0 if entity.reads or entity.writes.queue else context.budget.wait_ms(Job.CATCH_UP, context.now_ms)

    def _let_next_ask(self) -> None:
        while self._waiting:
            number = next(iter(self._waiting))
            entity = self._waiting.pop(number)
            entity.catchup.waits = False
            if self._entities.find(number) is entity:
                self._entities.touch(entity)
                return

    def requested(self, entity: Entity, peer: int, message: CatchUpRequest) -> None:
        first, agreement = message.first, self._log.agreement
        if not agreement.holds(entity, peer, first - 1, message.chosen_id):
            return
        last = min(entity.log.contiguous_chosen, first + min(message.limit, ENTRIES_PER_REQUEST) - 1)
        if first <= last:
            cheaper = message.weighs and self._sender.is_cheaper(entity, entity.log.contiguous_chosen - first + 1)
            begin = agreement.expect(entity, peer, first - 1, message.chosen_id)
            read = LogRead(entity.id, begin, last, peer, first - begin, cheaper, message.patient and not entity.busy)
            self._context.read_log(read)
        else:
            self._context.send(entity, peer, CatchUpReply(entity.id, entity.log.contiguous_chosen, []))

    def log_loaded(self, event: LogLoaded) -> None:
        self._pay(event)
        entity = self._entities.find(event.entity)
        if entity is None or entity.mailbox is not None:
            self._tell_from_disk(event)
            return
        records, asked = list(event.records), event.asked
        if records and self._log.agreement.read(entity, event.peer, *records[0]):
            entry, _ = records.pop(0)
            if entity.stopped is None and not records and entry < entity.log.contiguous_chosen:
                self._log.teach(entity, entry + 1, event.peer)  # it was too large for others to be read with it
                return
            asked = max(asked, entry + 1)
        if entity.stopped is not None:
            self._entities.touch(entity)
            return
        entries = learned_from(asked, records)
        # the row is gone, or was never chosen here: what the entry did is in the data
        gone = not entries and asked <= entity.log.committed
        self._context.counters.entries_gone += gone
        reply = CatchUpReply(entity.id, entity.log.contiguous_chosen, entries, gone, event.cheaper)
        self._context.send(entity, event.peer, reply)

    def _pay(self, event: LogLoaded) -> None:
        """Book what was read, for the rates."""
        context = self._context
        size = sum(len(record.value.body) for _, record in event.records if record.value is not None)
        context.pay(Job.CATCH_UP, size, TELL_WORK * (1 + len(event.records)) + (size >> 10))
        if event.patient:
            context.catch_up_rate.pay(size, context.tuning.catch_up_bytes_per_second, context.now_ms)

    def _tell_from_disk(self, event: LogLoaded) -> None:
        """The entity has left memory since it was asked: all of it is on the disk (rule 18), and it is not loaded for this."""
        context = self._context
        if event.entity in context.stopped:
            return
        known = context.reader.committed_entry(event.entity)
        entries = learned_from(event.asked, list(event.records))
        gone = not entries and event.asked <= known
        context.counters.entries_gone += gone
        context.send_early(event.peer, CatchUpReply(event.entity, known, entries, gone, event.cheaper))

    def replied(self, entity: Entity, peer: int, message: CatchUpReply) -> None:
        self._asking.pop(entity.id, None)
        entity.raise_max_chosen(message.max_chosen, peer)
        for learned in message.entries:
            entity.raise_max_chosen(learned.entry, peer)
            self._log.learn(entity, peer, learned.entry, learned.ballot, Value(learned.value_id, learned.body))
        if message.entries:
            size = sum(len(learned.body) for learned in message.entries)
            self._answer_bytes += (size - self._answer_bytes) / 8.0
            self._context.pay(Job.CATCH_UP, size, LEARN_WORK * len(message.entries) + (size >> 10))
            entity.catchup.has_come()
        else:
            entity.catchup.lacks(peer, gone=message.gone)
            self._doubt(entity)
            entity.catchup.had_nothing(self._context.n - 1)
        if message.cheaper:
            self._copying_is_cheaper(entity, peer)
        self._entities.touch(entity)

    def _doubt(self, entity: Entity) -> None:
        """Somebody has said that there is more, and no peer has it, not even who said so: that is not looked for any longer."""
        log, catchup = entity.log, entity.catchup
        if (
            catchup.wanted <= max(log.max_chosen, log.contiguous_chosen) or log.floor
        ):  # below a floor, what is missing may be undecided
            return
        if log.max_chosen <= log.contiguous_chosen and all(catchup.lacking.get(peer) is False for peer in self._context.peers):
            self._context.counters.catchups_in_vain += 1
            catchup.wanted = 0
            self.reconciler.ended(entity)

    def _copying_is_cheaper(self, entity: Entity, peer: int) -> None:
        """So a peer says, and has room for it. If this node has none, entries do as well."""
        missing = max(entity.log.max_chosen, entity.catchup.wanted) - entity.log.contiguous_chosen
        if entity.install is None and missing >= LEAST_GAP and self._installer.has_room:
            self._context.counters.snapshots_cheaper += 1
            self._copy(entity, peer)
