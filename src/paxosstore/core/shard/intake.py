"""A request comes in, and is put where it waits: in the mailbox, with the reads, with the writes, or at a peer."""

from __future__ import annotations

from ...errors import Diverged, InvalidRequest, Overloaded
from ..batch.request import Request
from ..entity.entity import Entity
from ..entry.ids import is_uuid
from ..handover.handover import HandOvers
from ..turn.admission import Admission
from ..turn.context import Context
from ..turn.entities import Entities
from ..turn.waiting import learns_only


class Intake:
    """Puts requests where they wait."""

    def __init__(self, context: Context, entities: Entities, admission: Admission, handovers: HandOvers) -> None:
        self._context = context
        self._entities = entities
        self._admission = admission
        self._handovers = handovers

    def take(self, request: Request) -> None:
        """A request that is new here."""
        if self._admission.admit(request):
            self.deliver(request)

    def deliver(self, request: Request) -> None:
        """A request that was admitted, now or before its entity was loaded."""
        context = self._context
        if context.tuning.learn_only:
            context.counters.refused_learning += 1
            context.refuse_here(request, learns_only(context))
            return
        if not request.arrived_ms:
            request.arrived_ms = context.now_ms
        if not request.deadline_ms:
            request.deadline_ms = context.now_ms + context.tuning.request_timeout_ms
        if request.uuid and not is_uuid(request.uuid):
            context.refuse(request, InvalidRequest(f"a uuid is 16 bytes, not {request.uuid!r:.80}"))
            return
        entity = self._entities.get(request.entity)
        if entity.mailbox is not None:
            self._admission.mail(entity, request)
        elif entity.stopped is not None:
            context.refuse_here(request, Diverged(entity.stopped.describe(entity.id, context.me)))
        elif request.read_only:
            self._read(entity, request)
        else:
            self.write(entity, request)

    def _read(self, entity: Entity, request: Request) -> None:
        context = self._context
        context.counters.reads += 1
        if not self._handovers.reads_here(entity) and self._handovers.send_read(entity, request):
            return
        if len(entity.reads.gathering) >= context.tuning.max_queue_requests:
            text = f"{len(entity.reads.gathering)} reads wait for this entity (max_queue_requests)"
            context.refuse(request, Overloaded(text))
            return
        if request.commit_limit:
            request.commit_limit = entity.log.committed + context.tuning.max_commit_num
            entity.reads.limited.append(request)
        entity.reads.gathering.append(request)
        self._entities.touch(entity)

    def write(self, entity: Entity, request: Request) -> None:
        """A write that is new here, or was a read."""
        self._context.counters.writes += 1
        if request.uuid and not request.floor:
            request.floor = max(1, entity.log.max_chosen)  # it may wait for longer than its uuid is remembered
        if not self._handovers.send_new(entity, request):
            self._admission.enqueue(entity, request)
