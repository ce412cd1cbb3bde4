"""Handing requests over to the preferred proposer: when, for how long, and how a hand-over is settled. Deciding only.

The replica whose value filled the last entry has pre-auth: one round trip instead of two. So the others hand requests to
it while it answers. The moment it does not, they propose themselves: the uuid keeps a request that ran there from
running again here (rule 15).

The habit follows the load: a replica that has for long proposed nothing but what one peer handed over tells that peer to
propose itself. One full round makes it the preferred proposer, and saves it a hop from then on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...boundary import exact_bytes, kind
from ...errors import (
    Diverged,
    Fault,
    InvalidRequest,
    NotServing,
    OutcomeUnknown,
    PaxosStoreError,
    UnknownHandler,
    UuidReused,
    from_code,
)
from ..batch.evaluate import Reply, uuid_reused
from ..batch.request import Request
from ..entity.entity import Entity
from ..entry.ids import NOBODY
from ..interface.message import HandedBack, HandOver, TakeOver
from ..log.log import Log
from ..turn.admission import Admission
from ..turn.agenda import Part
from ..turn.context import Context, HandedOverRequest
from ..turn.entities import Entities
from ..turn.waiting import describe_floor, learns_only
from .peer import Peer


def _why_not_twice(first: Request, second: Request) -> PaxosStoreError:
    """Why a request is not handed over while another under its uuid is."""
    if first.digest and second.digest and first.digest != second.digest and not second.exposed:
        return UuidReused(f"another request is under way under the uuid {second.uuid.hex()}")
    return OutcomeUnknown("the same uuid is being handed over already")


def _may_be_handed_over(request: Request) -> bool:
    """Whether another node can run it."""
    return bool(request.handler) and not request.at_entry and not request.commit_limit


def _may_try_another(error: PaxosStoreError) -> bool:
    """Whether that node cannot, and another one might."""
    return error.outcome_known and error.fault is not Fault.CALLER and type(error) is not Diverged


class HandOvers(Part):
    """Decides for each write whether it is handed over, and settles what comes back."""

    def __init__(self, context: Context, entities: Entities, log: Log, admission: Admission) -> None:
        self._context = context
        self._entities = entities
        self._log = log
        self._admission = admission
        self.peers = [Peer(context.tuning.handover_margin_ms) for _ in range(context.n)]
        self._count = 0

    # -- away

    def send_new(self, entity: Entity, request: Request) -> bool:
        """Hand a request over that has just come; False: it is to be proposed here."""
        peer = self._target(entity, request)
        if peer != NOBODY:
            self._send(entity, peer, request)
        return peer != NOBODY

    def _target(self, entity: Entity, request: Request) -> int:
        """The peer to hand this request over to; NOBODY: propose it here."""
        context = self._context
        if isinstance(request, HandedOverRequest):
            return NOBODY
        if not _may_be_handed_over(request) or self._is_to_propose(entity):
            return NOBODY
        if entity.writes.queue or entity.writes.in_flight is not None or entity.handover.returned:
            return NOBODY  # what waits here already must not be overtaken
        # one at a time: requests of one client to one entity keep their order
        peer = entity.handover.peer if entity.handover.count else self._preferred(entity)
        if peer in (NOBODY, context.me) or not self.peers[peer].usable(context.now_ms):
            return NOBODY
        return peer

    def send_read(self, entity: Entity, request: Request) -> bool:
        """Hand a read over that cannot be served here; False: no peer can run it now."""
        peer = self._anybody()
        if peer == NOBODY or not _may_be_handed_over(request):
            return False
        request.uuid, request.digest = self._context.new_id(), b""  # only to know its outcome by
        self._send(entity, peer, request)
        return True

    def send_away(self, entity: Entity) -> None:
        """Hand over all that waits at an entity which this node does not serve now, as far as peers can run it."""
        waiting = entity.reads.take_all()
        entity.reads.gathering = [request for request in waiting if not self._leaves(entity, request)]
        writes, queue = entity.writes, entity.writes.queue
        if any(isinstance(request, HandedOverRequest) for request in queue):
            left = [request for request in queue if not self._leaves(entity, request)]
            queue.clear()
            queue.extend(left)
        if queue and writes.in_flight is None:
            self.send_waiting(entity)

    def _leaves(self, entity: Entity, request: Request) -> bool:
        """Whether a read, or a request of a peer's, does not wait here any longer: a peer's goes back, to be run there."""
        if isinstance(request, HandedOverRequest):
            self._context.refuse(request, NotServing(entity.describe()))
            return True
        return request.read_only and self.send_read(entity, request)

    def _send(self, entity: Entity, peer: int, request: Request) -> None:
        context = self._context
        try:
            payload = exact_bytes("a payload", request.payload())
        except Exception as error:  # of a service's own class of requests
            text = f"the request cannot say its payload: {kind(error)}"
            context.refuse(request, OutcomeUnknown(text) if request.exposed else InvalidRequest(text))
            return
        if not request.uuid:
            request.uuid = context.new_id()
        if not request.floor:
            request.floor = max(1, entity.log.max_chosen)
        twin = self.peers[peer].pending.get((entity.id, request.uuid))
        if twin is not None:
            context.refuse(request, _why_not_twice(twin.request, request))
            return
        self._count += 1
        request.hand_over = self._count
        self.peers[peer].hand_over(request, len(payload), context.now_ms)
        context.agenda.add(self)
        if request.read_only:
            context.counters.reads_handed_over += 1
        else:
            entity.handover.peer = peer
            entity.handover.count += 1
            context.counters.handed_over += 1
        budget_ms = max(1, int(request.deadline_ms - context.now_ms))
        message = HandOver(
            entity.id,
            request.uuid,
            request.handler,
            payload,
            request.floor,
            budget_ms,
            request.digest,
            request.read_only,
        )
        context.send_early(peer, message)

    def send_waiting(self, entity: Entity) -> bool:
        """Hand over what waits here, in order, rather than compete with the preferred proposer; whether that is possible.

        As much as makes one batch: the rest waits for its outcome.
        """
        context, peer, queue = self._context, self._preferred(entity), entity.writes.queue
        if peer in (NOBODY, context.me) or not self.peers[peer].usable(context.now_ms) or not self._is_free(entity):
            return False
        if self._proposes(entity) and (entity.log.committed != entity.log.max_chosen or not all(map(_may_be_handed_over, queue))):
            return False
        if entity.writes.lost_turn > context.durable_turn:
            entity.wake_at(context.now_ms)  # as soon as the loss is durable: forgotten, what lost might yet be chosen as well
            return True
        pending, size = self.peers[peer].pending, 0
        most = min(len(queue), context.tuning.max_batch_requests)
        for _ in range(most):
            if (entity.id, queue[0].uuid) in pending or size >= context.tuning.max_batch_bytes:
                break  # a repetition waits for what it repeats
            if not _may_be_handed_over(queue[0]):
                break
            request = queue.popleft()
            if not request.settled:
                size += request.size
                context.counters.handed_over_late += 1
                self._send(entity, peer, request)
        return True

    def _is_free(self, entity: Entity) -> bool:
        """Whether nothing is at a peer, on its way back, or to be proposed here."""
        return not (entity.handover.count or entity.handover.returned or self._is_to_propose(entity))

    def _is_to_propose(self, entity: Entity) -> bool:
        """Whether the preferred proposer has asked this node to propose itself, and it can."""
        return entity.handover.taking_over and not self._context.silence and self._proposes(entity)

    def _proposes(self, entity: Entity) -> bool:
        """Whether this node may propose there: it has the data, and may vote at the next entry (rules 16 and 19)."""
        return entity.serves and self._context.may_vote(entity, entity.log.committed + 1)

    def reads_here(self, entity: Entity) -> bool:
        """Whether reads are best served by this node."""
        return entity.serves and self._context.may_answer(entity)

    def _preferred(self, entity: Entity) -> int:
        """Who is to propose at this entity: the preferred proposer, or anybody else if that is this node and it cannot now."""
        peer, context = entity.log.last_origin, self._context
        if peer in (NOBODY, context.me):
            return self._anybody() if context.silence or not self._proposes(entity) else peer
        if self._proposes(entity):
            return peer if context.standing.serves(peer) else context.me
        return peer if self._takes_requests(peer) else self._anybody()

    def _anybody(self) -> int:
        """A peer that takes requests now."""
        return next((peer for peer in self._context.peers if self._takes_requests(peer)), NOBODY)

    def _takes_requests(self, peer: int) -> bool:
        return self.peers[peer].usable(self._context.now_ms) and self._context.standing.serves(peer)

    # -- the habit

    def chosen(self, entity: Entity, proposed: Sequence[tuple[Request, Reply]]) -> None:
        """A batch proposed here was chosen: see whether one peer alone sends what this entity is filled with."""
        first = proposed[0][0]
        guest = first.peer if isinstance(first, HandedOverRequest) else NOBODY
        if guest == NOBODY or guest != entity.handover.guest:
            entity.handover.guest, entity.handover.guest_requests = guest, 0
        if guest == NOBODY:
            return
        if any(not isinstance(request, HandedOverRequest) or request.peer != guest for request, _ in proposed):
            entity.handover.guest = NOBODY
            return
        entity.handover.guest_requests += len(proposed)
        if entity.handover.guest_requests >= self._context.tuning.takeover_requests:
            entity.handover.guest_requests = 0
            self._log.tell_chosen(entity, [guest])  # it proposes at the entry after this one
            self._context.send(entity, guest, TakeOver(entity.id))

    def told_to_take_over(self, entity: Entity, peer: int, message: TakeOver) -> None:
        """The preferred proposer wants us to propose ourselves."""
        if entity.log.last_origin == peer:  # else it is not up to that peer
            self._context.counters.taken_over += 1
            entity.handover.taking_over = True

    # -- at the peer that it was handed over to

    def received(self, entity: Entity, peer: int, message: HandOver) -> HandedOverRequest | None:
        """A peer hands a request over: the request, unless it goes back at once."""
        context = self._context
        context.counters.handed_over_received += 1
        if (peer, message.entity, message.uuid, message.digest) in context.refused_copies:
            self._give_back(peer, message, uuid_reused(message.uuid))
            return None
        handler = context.handlers.get(message.handler)
        takes = entity.serves if message.read_only else self._proposes(entity)
        if handler is None or context.silence or not takes:  # what would wait here, another node may do
            text = f"node {context.me} has no handler {message.handler!r}: run the same services on all nodes"
            why = context.silence.describe() or entity.describe() or describe_floor(context, entity)
            self._give_back(peer, message, UnknownHandler(text) if handler is None else NotServing(why))
            return None
        if entity.log.contiguous_chosen - message.floor >= context.cluster.uuid_window_entries:
            # whether it ran already cannot be told: its node has to hear how far this is, or that stays so for all that comes
            self._log.teach(entity, entity.log.contiguous_chosen, peer)
        return HandedOverRequest(
            entity.id,
            peer,
            handler,
            message.payload,
            uuid=message.uuid,
            digest=message.digest,
            floor=message.floor,
            deadline_ms=context.now_ms + message.budget_ms,
            read_only=message.read_only,
        )

    def turn_away(self, peer: int, message: HandOver) -> None:
        """This node learns only: another one may run it."""
        self._context.counters.refused_learning += 1
        self._give_back(peer, message, learns_only(self._context))

    def _give_back(self, peer: int, message: HandOver, error: PaxosStoreError) -> None:
        """Refuse what a peer has handed over, before anything is done for it."""
        back = HandedBack(message.entity, message.uuid, error.code, str(error).encode(), message.digest)
        self._context.send_early(peer, back)

    # -- how it ends

    def handed_back(self, peer: int, message: HandedBack) -> None:
        """An outcome came back."""
        context = self._context
        copy = message.entity, message.uuid
        pending = self.peers[peer].pending.get(copy)
        if pending is not None and pending.request.digest != message.digest:
            return  # a late answer to another request under the same uuid
        request = self.peers[peer].settle(copy, context.now_ms)
        if request is None:
            return
        error = from_code(message.code, message.reply.decode("utf-8", "replace")) if message.code else None
        if request.read_only:
            self._read_came_back(request, peer, message.reply, error)
            return
        entity = self._came_back(request, peer)
        if error is not None and _may_try_another(error):
            # that node cannot, this one may: the uuid keeps it from running twice, should a copy still be under way
            self._suspect(peer)
            request.taken_back = True
            entity.handover.returned.append(request)
        else:
            for earlier in entity.handover.returned:
                if earlier.hand_over < request.hand_over:  # run now, it would take effect after a later one
                    context.refuse(earlier, OutcomeUnknown("handed over and refused, while a later request was not"))
            request.published = message.published
            context.finish(request, message.reply if error is None else b"", error, context.ready.early)
        self._requeue(entity)

    def _read_came_back(self, request: Request, peer: int, reply: bytes, error: PaxosStoreError | None) -> None:
        context = self._context
        if error is not None and _may_try_another(error):
            self._suspect(peer)
            self._read_again(request)
        else:
            context.finish(request, reply if error is None else b"", error, context.ready.early)

    def _read_again(self, request: Request) -> None:
        """A read that no peer has answered: another may, or it waits here."""
        entity = self._entities.get(request.entity)
        if request.settled:
            return
        if entity.mailbox is not None:
            self._admission.mail(entity, request)
        elif self.reads_here(entity) or not self.send_read(entity, request):
            entity.reads.gathering.append(request)
            self._entities.touch(entity)

    def peer_up(self, peer: int) -> None:
        """There is a link to this peer."""
        self.peers[peer].up = True
        self.peers[peer].suspect_until_ms = 0.0
        for copy in [copy for copy in self._context.refused_copies if copy[0] == peer]:
            del self._context.refused_copies[copy]  # what comes late over the link before counts for nothing

    def peer_down(self, peer: int) -> None:
        """The link to this peer is gone, and with it whatever was handed over."""
        self.peers[peer].up = False
        self._take_back(peer)

    @property
    def at_work(self) -> bool:
        """Whether any request is at a peer."""
        return any(peer.pending for peer in self.peers)

    def tick(self) -> None:
        """Wait no longer for peers whose oldest hand-over has waited longer than it usually takes."""
        for number in [number for number, peer in enumerate(self.peers) if self._context.now_ms >= peer.overdue_at_ms]:
            self._suspect(number)
            self._take_back(number)

    @property
    def next_ms(self) -> float:
        """When the first hand-over becomes overdue."""
        return min(peer.overdue_at_ms for peer in self.peers)

    def pending(self) -> Iterator[Request]:
        """Every request that is at a peer."""
        return (pending.request for peer in self.peers for pending in peer.pending.values())

    def _suspect(self, peer: int) -> None:
        """Hand nothing over to this peer for a while."""
        self.peers[peer].suspect_until_ms = self._context.now_ms + self._context.tuning.suspect_ms

    def _take_back(self, peer: int) -> None:
        """Stop waiting for a peer: everything it was handed comes back, in order, to be proposed here."""
        requests = self.peers[peer].take_back()
        self._context.counters.handed_over_taken_back += len(requests)
        writes = [request for request in requests if not request.read_only]
        for request in writes:
            self._came_back(request, peer).handover.returned.append(request)
        for number in {request.entity for request in writes}:
            self._requeue(self._entities.get(number))
        for request in requests:
            if request.read_only:
                self._read_again(request)

    def _came_back(self, request: Request, peer: int) -> Entity:
        """A request is not at that peer any more. Returns its entity."""
        entity = self._entities.get(request.entity)
        if entity.handover.peer == peer and entity.handover.count:
            entity.handover.count -= 1
        return entity

    def _requeue(self, entity: Entity) -> None:
        """Once nothing is handed over any more, what has come back waits here, before all others."""
        self._entities.touch(entity)
        if entity.handover.count:
            return
        returned, entity.handover.returned = entity.handover.returned, []
        for request in sorted(returned, key=lambda request: request.hand_over, reverse=True):
            if request.settled:
                continue
            if entity.mailbox is not None:
                entity.mailbox.insert(0, request)
                self._entities.busy[entity.id] = entity
            else:
                self._admission.enqueue(entity, request, first=True)
