"""Requests that end without a decision: the deadline passes, too few peers are there, the node stops, a write fails.

What the request's proposal or hand-over may still make happen is unknown; of the rest, nothing happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...errors import DiskFull, Diverged, NoQuorum, NotServing, OutcomeUnknown, Overloaded, PaxosStoreError
from ..batch.request import Request
from ..entity.entity import Entity
from ..handover.handover import HandOvers
from ..interface.message import PaxosMessage
from ..interface.ready import Outcome, Ready, Release, SetStanding
from ..turn.context import Context
from ..turn.entities import Entities
from ..turn.waiting import describe_floor, describe_waiting, learns_only


def values_shown(release: Release) -> set[bytes]:
    """Ids of the values in what is released."""
    return {message.value_id for _, message in release.messages if isinstance(message, PaxosMessage)}


class Undecided:
    """Ends what waits."""

    def __init__(self, context: Context, entities: Entities, handovers: HandOvers) -> None:
        self._context = context
        self._entities = entities
        self._handovers = handovers

    def end_overdue(self) -> None:
        """End every request whose deadline has passed; without a majority, soon, what was shown to nobody."""
        context = self._context
        now, lost = context.now_ms, context.reach.lost_at_ms
        missing = context.reach.describe(now)
        if lost is None and not context.standing.learns:  # rule 19: it does not vote, nor does it know that the others do
            lost, missing = 0.0, f"node {context.me} {describe_waiting(context)}"
        remarks = ", ".join(filter(None, (context.silence.describe(), missing)))
        remark = f" ({remarks})" if remarks else ""
        self._end_unloaded(now)
        for request, may_happen, not_served in self._waiting():
            if now >= request.deadline_ms and not_served:
                why = f"{not_served}{remark}"
                self._end(request, may_happen, f"not decided before the deadline: {why}", NotServing(f"{why}: nothing happened"))
            elif now >= request.deadline_ms:
                refusal = NoQuorum(f"no majority answered before the deadline{remark}: nothing happened")
                self._end(request, may_happen, f"not decided before the deadline{remark}", refusal)
            elif lost is not None and not may_happen and now >= max(lost, request.arrived_ms) + context.tuning.no_majority_ms:
                context.counters.refused_without_majority += not request.settled
                context.refuse(request, NoQuorum(f"no majority: {missing}: nothing happened"))
        for entity in self._entities.busy.values():
            entity.reads.drop_settled()
            while entity.writes.queue and entity.writes.queue[0].settled:
                entity.writes.queue.popleft()
            self._entities.touch(entity)

    def end_unsynced(self, unsynced: Iterable[Ready], now_ms: float, why: str, refusal: type[PaxosStoreError]) -> None:
        """Tell those whose deadline has passed, and whose outcome waits for the disk, that it is unknown; reads are refused."""
        for ready in unsynced:
            waiting, ready.late.outcomes = ready.late.outcomes, []
            for outcome in waiting:
                request = outcome.request
                if now_ms < request.deadline_ms:
                    ready.late.outcomes.append(outcome)
                    continue
                error = (
                    refusal(f"{why}: nothing happened") if request.read_only else OutcomeUnknown(f"{why}: it may have happened")
                )
                self._context.counters.overdue_for_the_disk += 1
                self._context.ready.early.outcomes.append(Outcome(request, b"", error))

    def end_all(self, not_taken: Iterable[Request]) -> Release:
        """The node stops: end every request, those that no turn has taken in too.

        What peers have handed over is not answered: they see this node go, and propose it themselves.
        """
        for request, may_happen, _ in [*self._waiting(), *((request, False, "") for request in not_taken)]:
            self._end(request, may_happen, "the node has stopped", NotServing("the node has stopped: nothing happened"))
        told = Release()
        told.outcomes = self._context.ready.early.outcomes
        return told

    def forget(self, failed: Ready, reason: str) -> list[Request]:
        """Forget the entities of a turn whose write failed, and end their writes (rule 8). Returns their reads."""
        context = self._context
        for request, _, _ in failed.late.outcomes:  # a refusal as well: it was decided on rows that are forgotten now
            unknown = OutcomeUnknown(f"this node cannot write: {reason}")
            context.ready.early.outcomes.append(Outcome(request, b"", DiskFull(reason) if request.read_only else unknown))
        shown = failed.shown | values_shown(failed.early)
        dirty = {entity for entity, _ in failed.records} | {apply.entity for apply in failed.applies}
        changed = {change.entity for change in failed.changes if not isinstance(change, SetStanding)}
        known = {number: self._entities.find(number) for number in changed}
        # what is being loaded has nothing to forget, and that load comes
        dirty |= {number for number, entity in known.items() if entity is not None and entity.mailbox is None}
        reads: list[Request] = []
        for number in dirty:
            entity = self._entities.forget(number)
            proposed = {id(request) for request in entity.writes.proposed}
            revealed = entity.writes.in_flight is not None and (
                entity.writes.in_flight.turn < failed.turn or entity.writes.in_flight.value.id in shown
            )
            lost = entity.writes.lost_turn == failed.turn  # found on rows that are forgotten now: it may still be chosen
            for request in entity.requests():
                if request.read_only:
                    reads.append(request)
                elif request.exposed or lost or (revealed and id(request) in proposed):
                    context.refuse(request, OutcomeUnknown(f"proposed, then this node could not write: {reason}"))
                else:
                    context.refuse(request, DiskFull(reason))
        for request, may_happen, _ in self._waiting():
            if not may_happen and not request.read_only:
                context.refuse(request, DiskFull(reason))  # it would wait for its deadline
        # what asked for no write is not lost
        context.ready.loads += [number for number in failed.loads if number not in dirty]
        context.ready.log_reads += failed.log_reads
        context.ready.digest_reads += failed.digest_reads
        context.ready.inventory_reads += failed.inventory_reads
        context.ready.snapshot_reads += failed.snapshot_reads
        context.ready.snapshot_closes += failed.snapshot_closes
        return reads

    def end_stopped(self, entity: Entity) -> None:
        """End what waits at an entity that is stopped."""
        assert entity.stopped is not None
        refusal = Diverged(entity.stopped.describe(entity.id, self._context.me))
        for request, may_happen, _ in list(self._waiting_at(entity)):
            self._end(request, may_happen, str(refusal), refusal)
        if entity.writes.in_flight is not None:
            self._context.in_flight_bytes -= len(entity.writes.in_flight.value.body)
            entity.writes.in_flight = None
        entity.writes.queue.clear()
        entity.handover.returned.clear()
        entity.reads.drop_settled()

    def end_learning(self, entity: Entity) -> None:
        """This node learns only: end what waits here. What it has proposed waits on: the others may decide it."""
        refusal, writes = learns_only(self._context), entity.writes
        proposed = {id(request) for request in writes.proposed}
        if writes.lost_turn > self._context.durable_turn:
            entity.wake_at(self._context.now_ms)  # what was lost might be chosen as well, if that is forgotten
            proposed |= {id(request) for request in writes.queue}
        for request, may_happen, _ in list(self._waiting_at(entity)):
            if not request.settled and id(request) not in proposed:
                self._context.counters.refused_learning += 1
                self._end(request, may_happen, str(refusal), refusal)
        left = [request for request in writes.queue if not request.settled]
        writes.queue.clear()
        writes.queue.extend(left)
        entity.reads.drop_settled()

    def _end_unloaded(self, now_ms: float) -> None:
        """End requests that have waited for too long for their entity to be loaded: the disk is busy with others."""
        context = self._context
        for entity in self._entities.busy.values():
            for request in entity.mailbox or ():
                if not isinstance(request, Request) or request.settled or request.exposed:
                    continue
                if now_ms >= min(request.deadline_ms, request.arrived_ms + context.tuning.max_load_wait_ms):
                    text = (
                        f"busy: {len(context.loads)} entities wait to be loaded (max_loads, max_load_wait_ms): nothing happened"
                    )
                    context.counters.refused_while_loading += 1
                    context.refuse(request, Overloaded(text))

    def _end(self, request: Request, may_happen: bool, why: str, refusal: PaxosStoreError) -> None:
        unknown = OutcomeUnknown(f"{why}: it may have happened, or may yet happen")
        self._context.refuse(request, unknown if may_happen else refusal)

    def _waiting(self) -> Iterator[tuple[Request, bool, str]]:
        """Every request that waits; whether it may happen without this node: it was proposed or handed over; and why this node
        does not serve its entity now, if so."""
        for entity in self._entities.busy.values():
            yield from self._waiting_at(entity)
        for request in self._handovers.pending():
            yield request, not request.read_only, ""

    def _waiting_at(self, entity: Entity) -> Iterator[tuple[Request, bool, str]]:
        """The same of one entity."""
        proposed = {id(request) for request in entity.writes.proposed}
        # found on rows that a crash may forget: it may still be chosen
        lost = entity.writes.lost_turn > self._context.durable_turn
        not_served = entity.describe() or describe_floor(self._context, entity)
        for request in entity.requests():
            yield request, not request.read_only and (request.exposed or lost or id(request) in proposed), not_served
