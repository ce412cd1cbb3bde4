"""What may wait on this node: requests that are new here, in bytes; writes and events of one entity, in number."""

from __future__ import annotations

from ...errors import DiskFull, Overloaded, PaxosStoreError, TooLarge
from ..batch.request import REQUEST_BYTES, Request
from ..entity.entity import Entity
from ..interface.message import HandedBack, HandOver, Message, size_of
from .context import Context
from .entities import Entities
from .waiting import learns_only


class Admission:
    """Lets in what there is room for; `Context.waiting_bytes` is what waits already."""

    def __init__(self, context: Context, entities: Entities) -> None:
        self._context = context
        self._entities = entities

    def admit(self, request: Request) -> bool:
        """Let a request in, or refuse it; `Context.finish` lets go of it."""
        context, tuning = self._context, self._context.tuning
        context.waiting_bytes += request.size + REQUEST_BYTES
        if request.size > tuning.max_request_bytes:
            text = f"a request of {request.size} bytes: {tuning.max_request_bytes} are possible (max_request_bytes)"
            context.refuse(request, TooLarge(text))
        elif context.waiting_bytes > tuning.max_waiting_bytes:
            text = f"more than {tuning.max_waiting_bytes} bytes of requests wait on this node (max_waiting_bytes)"
            context.refuse(request, Overloaded(text))
        else:
            return True
        return False

    def enqueue(self, entity: Entity, request: Request, *, first: bool = False) -> None:
        """Let a write wait for this node's next batch, behind all others or before them; or refuse it."""
        context, queue = self._context, entity.writes.queue
        if context.tuning.learn_only:
            error: PaxosStoreError = learns_only(context)
        elif reason := context.cannot_write if request.was_read else context.writes_refused_because:
            error = DiskFull(reason)  # what a read has to write makes room, as a rule
        elif len(queue) >= context.tuning.max_queue_requests:
            error = Overloaded(f"{len(queue)} requests wait for this entity (max_queue_requests)")
        else:
            if first:
                queue.appendleft(request)
            else:
                queue.append(request)
            self._entities.touch(entity)
            return
        context.refuse_here(request, error)

    def mail(self, entity: Entity, request: Request) -> None:
        """Let a request wait until its entity is loaded; or refuse it."""
        assert entity.mailbox is not None
        if len(entity.mailbox) >= self._context.tuning.max_mailbox:
            text = f"{len(entity.mailbox)} events wait for this entity to be loaded (max_mailbox)"
            self._context.refuse(request, Overloaded(text))
        else:
            entity.mailbox.append(request)
            self._entities.busy[entity.id] = entity

    def keep(self, mailbox: list[Request | tuple[int, Message]], peer: int, message: Message) -> None:
        """Let a message wait until its entity is loaded, if there is room."""
        context, tuning = self._context, self._context.tuning
        size = size_of(message)
        if len(mailbox) < tuning.max_mailbox and context.waiting_bytes + size <= tuning.max_waiting_bytes:
            context.waiting_bytes += size
            mailbox.append((peer, message))
            return
        context.counters.messages_dropped += 1
        if isinstance(message, HandOver):  # without a word, it would be run here after later ones
            error = Overloaded("too much waits for this entity to be loaded (max_mailbox, max_waiting_bytes)")
            context.send_early(peer, HandedBack(message.entity, message.uuid, error.code, str(error).encode(), message.digest))

    def let_go(self, message: Message) -> None:
        """A message that was kept is delivered."""
        self._context.waiting_bytes -= size_of(message)
