"""Proposing: a batch at the next entry, an own proposal that nobody answers, somebody else's that is stuck. Deciding only."""

from __future__ import annotations

from ...errors import InvalidRequest, OutcomeUnknown
from ..batch.evaluate import Evaluated, evaluate, forget_uuids
from ..batch.overlay import WriteBatch
from ..entity.entity import Entity
from ..entity.logstate import INFINITE, OpenEntry
from ..entity.writes import InFlight
from ..entry.ids import preauth_ballot
from ..entry.machine import State
from ..entry.record import Value
from ..interface.message import Fill
from ..interface.ready import Release
from ..turn.context import Context
from ..turn.entities import Entities
from .giveway import RightOfWay
from .log import Log

MAX_DOUBLINGS = 4
MAX_BACKOFF_DOUBLINGS = 6


class Proposer:
    """Decides when this replica proposes, and with which round."""

    def __init__(self, context: Context, entities: Entities, log: Log, way: RightOfWay) -> None:
        self._context = context
        self._entities = entities
        self._log = log
        self._way = way

    # -- the batch

    def start(self, entity: Entity, release: Release) -> None:
        """Evaluate the waiting requests on the DB at `committed`, and propose them at the next entry (rule 14)."""
        context = self._context
        if entity.writes.in_flight is not None or not entity.writes.queue:
            return
        if context.reach.lost_at_ms is not None:
            return  # nobody could decide it: what is not shown can still be refused
        if entity.log.committed != entity.log.max_chosen:
            return  # there is more to learn and apply first
        if entity.handover.count:
            return  # what was handed over before this must not be overtaken
        entry = entity.log.committed + 1
        if not context.may_vote(entity, entry):
            return  # rule 19: it waits until this node may, or a peer can take it
        opened = entity.log.opened.get(entry)
        if opened is not None and not opened.machine.mine.is_empty and not self._may_compete(entity, opened):
            return
        preauth = self._holds_preauth(entity, opened)
        if preauth and entity.log.row_turn > context.durable_turn:
            entity.wake_at(context.now_ms)  # rule 5c: as soon as the row before is durable
            return
        if context.in_flight_bytes >= context.tuning.max_in_flight_bytes:
            self._entities.hold(entity)
            return
        found = self._evaluate(entity, entry, release)
        if found is None:
            return
        evaluated, value = found
        entity.writes.in_flight = InFlight(evaluated, value, context.ready.turn, context.now_ms)
        context.in_flight_bytes += len(value.body)
        context.counters.entries_proposed += 1
        context.counters.requests_proposed += len(evaluated.proposed)
        opened = self._log.open(entity, entry)
        if preauth:
            self._propose_preauth(entity, entry, opened, value)
        else:
            self._prepare(entity, entry, opened, value)

    def _evaluate(self, entity: Entity, entry: int, release: Release) -> tuple[Evaluated, Value] | None:
        """The next batch as a value that can be sent and written; None: nothing is to be proposed."""
        context, tuning = self._context, self._context.tuning
        most = tuning.max_batch_requests
        while True:
            overlay = context.overlay(entity)
            evaluated = evaluate(
                entity.writes.queue,
                overlay,
                entry,
                context.cluster.uuid_window_entries,
                most,
                tuning.max_batch_bytes,
                # half a turn's in any case: what was applied and read before must not make the batches small
                max_work=max(tuning.max_turn_work - context.work, tuning.max_turn_work // 2),
                max_kept_bytes=tuning.max_kept_reply_bytes,
            )
            context.work += overlay.work
            for request, reply in evaluated.decided:
                if reply.error is None:
                    context.counters.settled_by_uuid += 1
                context.finish(request, reply.content, reply.error, release)
            if not evaluated.proposed:
                if entity.writes.queue:
                    entity.wake_at(context.now_ms)  # to look all of it up would have been too much for one turn
                return None
            try:
                return evaluated, self._new_value(evaluated.batch)
            except InvalidRequest as error:
                context.counters.batches_unwritable += 1
                if len(evaluated.proposed) == 1:
                    context.refuse_here(evaluated.proposed[0][0], error)
                else:  # one by one, to find whose fault it is
                    entity.writes.queue.extendleft(request for request, _ in reversed(evaluated.proposed))
                    most = 1

    def finish(self, entity: Entity, in_flight: InFlight, chosen: bool, release: Release) -> None:
        """End the own batch: done if its value was chosen, else its requests wait again, before all others."""
        proposed = in_flight.evaluated.proposed
        if chosen:
            for request, reply in proposed:
                self._context.finish(request, reply.content, reply.error, release)
        else:
            self._context.counters.proposals_lost += 1
            entity.writes.lost_turn = self._context.ready.turn
            entity.writes.queue.extendleft(request for request, _ in reversed(proposed) if not request.settled)
        self._way.decided(entity, in_flight, chosen)

    def overtaken(self, entity: Entity) -> None:
        """The entry of the own batch is decided, and no row tells how: only a snapshot, by the uuids in it.

        So what has a uuid waits again, and finds its outcome under it, if it took effect; of the rest nothing can be known.
        """
        context, in_flight = self._context, entity.writes.in_flight
        assert in_flight is not None
        entity.writes.in_flight = None
        context.in_flight_bytes -= len(in_flight.value.body)
        for request, _ in reversed(in_flight.evaluated.proposed):
            if request.settled:
                continue
            if request.uuid and not request.at_entry:
                request.exposed = True
                entity.writes.queue.appendleft(request)
            else:
                text = "proposed at an entry of which only a snapshot tells: it may have happened"
                context.refuse(request, OutcomeUnknown(text))

    # -- rounds

    def answered(self, entity: Entity, entry: int, opened: OpenEntry) -> None:
        """A peer's row came in: go on with the own proposal if it allows that, step back if it was overtaken."""
        context, machine = self._context, opened.machine
        if not opened.driving or machine.mine.chosen or not context.may_vote(entity, entry):
            return
        if not machine.leads:
            if opened.retry_at_ms > context.now_ms + self._longest_backoff_ms(opened):
                self._back_off(entity, opened)
            return
        if machine.state is not State.PREPARING or not machine.has_promises:
            return
        found = machine.found
        if found is None and entity.log.doubt_chosen(entry):
            context.counters.claims_refuted += 1
        if found is None and machine.proposal is None:
            machine.proposal = self._new_value(self._nothing(entity, entry))
            context.counters.noops_proposed += 1
        elif found is not None and (machine.proposal is None or found.id != machine.proposal.id):
            context.counters.values_adopted += 1
        before = machine.mine
        if machine.propose():
            self._log.changed(entity, entry, before, machine.mine)
            self._ask_all(entity, entry, opened)

    def see_through(self, entity: Entity) -> None:
        """See that the open entry is decided, if anybody here waits for that."""
        context = self._context
        if entity.log.committed != entity.log.max_chosen:
            return
        entry = entity.log.committed + 1
        opened = entity.log.opened.get(entry)
        if entity.writes.in_flight is not None or (opened is not None and opened.driving):
            self.drive(entity, entry)
        elif entry <= entity.writes.fill_through and not self._way.gives_way(entity):
            context.counters.entries_filled += 1
            self.drive(entity, entry)
        elif entity.reads.needs_entry >= entry and not self._way.gives_way(entity):
            since = min(blocked.since_ms for blocked in entity.reads.blocked)
            if context.now_ms >= since + context.tuning.drive_after_ms:
                context.counters.read_drives += 1
                self.drive(entity, entry)
            else:
                entity.wake_at(since + context.tuning.drive_after_ms)

    def drive(self, entity: Entity, entry: int) -> None:
        """Bring an undecided entry to its end, whoever began it; at most once per retry interval."""
        context = self._context
        if not context.may_vote(entity, entry):
            self._have_filled(entity, entry)
            return
        opened = self._log.open(entity, entry)
        if opened.machine.mine.chosen:
            return
        if opened.driving and context.now_ms < opened.retry_at_ms:
            entity.wake_at(opened.retry_at_ms)
            return
        leads = opened.driving and opened.machine.leads
        if not leads and not opened.machine.mine.is_empty and context.now_ms < entity.log.lease_until_ms:
            context.counters.lease_waits += 1
            entity.wake_at(entity.log.lease_until_ms)
            return
        if leads:
            if opened.asked_all:
                context.counters.proposals_repeated += 1
                opened.attempts += 1
            else:
                context.counters.rounds_widened += 1
            self._ask_all(entity, entry, opened)
            return
        in_flight = entity.writes.in_flight
        own = in_flight.value if in_flight is not None and in_flight.evaluated.entry == entry else None
        self._prepare(entity, entry, opened, own)

    def _have_filled(self, entity: Entity, entry: int) -> None:
        """Rule 19c: this node may not propose there. Ask the peers in turn to see to it that it is decided."""
        context, catchup = self._context, entity.catchup
        if context.now_ms >= catchup.fill_at_ms and context.standing.learns:
            catchup.fill_at_ms = context.now_ms + 2 * context.tuning.retry_ms
            catchup.fill_peer = (catchup.fill_peer + 1) % context.n
            if catchup.fill_peer == context.me:
                catchup.fill_peer = (context.me + 1) % context.n
            context.counters.fills_asked += 1
            through = entity.log.floor - 1 if entity.log.floor < INFINITE else entry
            context.send_early(catchup.fill_peer, Fill(entity.id, max(entry, through)))
        entity.wake_at(max(catchup.fill_at_ms, context.now_ms + context.tuning.retry_ms))

    def fill(self, entity: Entity, peer: int, message: Fill) -> None:
        """A peer may not propose there, and needs these entries decided."""
        last = min(message.through, entity.log.max_chosen + 1)
        if self._context.may_vote(entity, entity.log.committed + 1) and last > entity.writes.fill_through:
            entity.writes.fill_through = last
        self._entities.touch(entity)

    def ask_again(self, *, everywhere: bool) -> None:
        """Let proposals under way go to all peers at once: all of them, or those that have not gone to all yet."""
        for entity in self._entities.busy.values():
            opened = entity.log.opened.get(entity.log.committed + 1)
            if opened is not None and opened.driving and opened.machine.leads and (everywhere or not opened.asked_all):
                opened.retry_at_ms = self._context.now_ms
            self._entities.touch(entity)

    def _propose_preauth(self, entity: Entity, entry: int, opened: OpenEntry, value: Value) -> None:
        machine = opened.machine
        before = machine.mine
        machine.propose_preauth(value)
        opened.driving = True
        self._context.counters.rounds_preauth += 1
        self._log.tell_preauth(entity, entry, opened)
        self._log.changed(entity, entry, before, machine.mine)
        self._expect_answers(entity, opened)

    def _prepare(self, entity: Entity, entry: int, opened: OpenEntry, value: Value | None) -> None:
        machine = opened.machine
        before = machine.mine
        if before.prepared == preauth_ballot(self._context.me):
            self._context.counters.preauth_lost += 1
        machine.prepare(value if value is not None else machine.proposal)
        opened.driving = True
        self._context.counters.rounds_full += 1
        self._log.changed(entity, entry, before, machine.mine)
        self._ask_all(entity, entry, opened)

    def _ask_all(self, entity: Entity, entry: int, opened: OpenEntry) -> None:
        """Show the own row to every peer and ask for theirs; in the same frame, what they were not told yet."""
        peers = self._context.peers
        opened.asked_all = True
        self._log.tell_chosen(entity, peers)
        self._log.tell(entity, entry, opened, peers, asks=True)
        self._expect_answers(entity, opened)

    # -- when

    def _holds_preauth(self, entity: Entity, opened: OpenEntry | None) -> bool:
        """Rules 5 and 6: the value at `committed` originated here, our row is empty, and no load lies in between."""
        return (
            self._context.tuning.pre_auth
            and entity.log.last_origin == self._context.me
            and entity.log.committed >= 1
            and entity.log.committed + 1 > entity.log.no_preauth_through
            and (opened is None or opened.machine.mine.is_empty)
        )

    def _may_compete(self, entity: Entity, opened: OpenEntry) -> bool:
        """Whether to propose at an entry where somebody else is active: not within the lease or our own back-off."""
        until = max(entity.log.lease_until_ms, opened.retry_at_ms if opened.driving else 0.0)
        if self._context.now_ms < until:
            self._context.counters.lease_waits += 1
            entity.wake_at(until)
            return False
        return True

    def _expect_answers(self, entity: Entity, opened: OpenEntry) -> None:
        context = self._context
        if opened.asked_all:
            interval = context.tuning.retry_ms * (1 << min(opened.attempts, MAX_DOUBLINGS)) * context.jitter()
        else:
            interval = context.voters.patience_ms
        opened.retry_at_ms = context.now_ms + interval
        entity.wake_at(opened.retry_at_ms)

    def _longest_backoff_ms(self, opened: OpenEntry) -> float:
        return 1.5 * self._context.tuning.backoff_ms * (1 << min(opened.attempts, MAX_BACKOFF_DOUBLINGS))

    def _back_off(self, entity: Entity, opened: OpenEntry) -> None:
        interval = self._longest_backoff_ms(opened) / 1.5 * self._context.jitter()
        self._context.counters.races_lost += 1
        opened.attempts += 1
        opened.retry_at_ms = self._context.now_ms + interval
        entity.wake_at(opened.retry_at_ms)

    def _nothing(self, entity: Entity, entry: int) -> WriteBatch:
        """What fills an entry for which nobody has a value: no request, only what every entry does about old uuids."""
        if entity.log.committed != entry - 1:
            return WriteBatch()
        overlay = self._context.overlay(entity)
        forget_uuids(overlay, entry - self._context.cluster.uuid_window_entries)
        return overlay.batch

    def _new_value(self, batch: WriteBatch) -> Value:
        return Value(self._context.new_id(), self._context.codec.encode(batch))
