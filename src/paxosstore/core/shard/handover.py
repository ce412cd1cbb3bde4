"""Handing requests over to the preferred proposer: when, for how long, and how a hand-over is settled. Deciding only.

The replica whose value filled the last entry has pre-auth: one round trip instead of two. So the others hand requests to
it while it answers. The moment it does not, they propose themselves: the uuid keeps a request that ran there from
running again here (rule 15).

The habit follows the load: a replica that has for long proposed nothing but what one peer handed over tells that peer to
propose itself. One full round makes it the preferred proposer, and saves it a hop from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...boundary import exact_bytes, kind
from ...errors import InvalidRequest, OutcomeUnknown, PaxosStoreError, UuidReused, from_code
from ..batch.evaluate import Reply
from ..batch.request import Request
from ..entity.entity import NEVER, Entity
from ..entry.ids import NOBODY
from ..interface.message import HandedBack, HandOver, TakeOver
from ..log.log import Log
from ..turn.context import Context, HandedOverRequest
from ..turn.roundtrip import LONGEST_MS, RoundTrip

BYTES_PER_MS = 1_024
"""What a node runs at least, of requests that only write what they carry."""

Copy = tuple[int, bytes]
"""(entity, uuid): a uuid means nothing without its entity."""


class Pending(NamedTuple):
    request: Request
    sent_at_ms: float
    size: int
    """Bytes of its payload."""


class Peer:
    """What this node knows of one peer as a place to hand requests over to."""

    __slots__ = ("_overdue", "_pending_bytes", "pending", "round_trip", "suspect_until_ms", "up")

    def __init__(self, margin_ms: float) -> None:
        self.up = False
        self.suspect_until_ms = 0.0
        self.pending: dict[Copy, Pending] = {}
        """What was handed over and has no outcome yet, oldest first."""
        self._pending_bytes = 0
        self._overdue: dict[Copy, float] = {}
        """When it was sent, of what was taken back: its late answer still tells the round trip."""
        self.round_trip = RoundTrip(margin_ms)

    def usable(self, now_ms: float) -> bool:
        return self.up and now_ms >= self.suspect_until_ms

    def hand_over(self, request: Request, size: int, now_ms: float) -> None:
        copy = request.entity, request.uuid
        assert copy not in self.pending
        request.exposed = True
        self.pending[copy] = Pending(request, now_ms, size)
        self._pending_bytes += size

    def settle(self, copy: Copy, now_ms: float) -> Request | None:
        """An outcome came back: the request it belongs to, unless it was taken back meanwhile."""
        # a late answer proves the peer alive as well
        self.suspect_until_ms = 0.0
        pending = self.pending.pop(copy, None)
        if pending is not None:
            self._pending_bytes -= pending.size
        sent_at_ms = pending.sent_at_ms if pending is not None else self._overdue.pop(copy, None)
        if sent_at_ms is not None:
            self.round_trip.observe(now_ms - sent_at_ms)
        return None if pending is None else pending.request

    @property
    def overdue_at_ms(self) -> float:
        """When the oldest hand-over has waited for too long: longer than is usual, and than a peer needs to run all of it."""
        for pending in self.pending.values():
            return pending.sent_at_ms + self.round_trip.patience_ms + min(self._pending_bytes / BYTES_PER_MS, LONGEST_MS)
        return NEVER

    def take_back(self) -> list[Request]:
        """Everything without an outcome, in order, to be proposed locally."""
        requests = [pending.request for pending in self.pending.values()]
        self._overdue = {copy: pending.sent_at_ms for copy, pending in self.pending.items()}
        self.pending.clear()
        self._pending_bytes = 0
        return requests


def _why_not_twice(first: Request, second: Request) -> PaxosStoreError:
    """Why a request is not handed over while another under its uuid is."""
    if first.digest and second.digest and first.digest != second.digest and not second.exposed:
        return UuidReused(f"another request is under way under the uuid {second.uuid.hex()}")
    return OutcomeUnknown("the same uuid is being handed over already")


def _may_be_handed_over(request: Request) -> bool:
    """Whether another node can run it."""
    return bool(request.handler) and not request.at_entry


class HandOvers:
    """Decides for each write whether it is handed over, and settles what comes back."""

    def __init__(self, context: Context, log: Log) -> None:
        self._context = context
        self._log = log
        self.peers = [Peer(context.tuning.handover_margin_ms) for _ in range(context.n)]
        self._count = 0

    def target(self, entity: Entity, request: Request) -> int:
        """The peer to hand this request over to; NOBODY: propose it here."""
        context = self._context
        if not _may_be_handed_over(request) or self._is_to_propose(entity):
            return NOBODY
        if entity.writes.queue or entity.writes.in_flight is not None or entity.handover.returned:
            return NOBODY  # what waits here already must not be overtaken
        # one at a time: requests of one client to one entity keep their order
        peer = entity.handover.peer if entity.handover.count else self._preferred(entity)
        if peer in (NOBODY, context.me) or not self.peers[peer].usable(context.now_ms):
            return NOBODY
        return peer

    def send(self, entity: Entity, peer: int, request: Request) -> None:
        """Hand a request over."""
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
        entity.handover.peer = peer
        entity.handover.count += 1
        context.counters.handed_over += 1
        budget_ms = max(1, int(request.deadline_ms - context.now_ms))
        context.send_early(
            peer, HandOver(entity.id, request.uuid, request.handler, payload, request.floor, budget_ms, request.digest)
        )

    def send_waiting(self, entity: Entity) -> bool:
        """Hand over what waits here, in order, rather than compete with the preferred proposer; whether that is possible.

        As much as makes one batch: the rest waits for its outcome.
        """
        context, peer, queue = self._context, self._preferred(entity), entity.writes.queue
        if peer in (NOBODY, context.me) or entity.log.committed != entity.log.max_chosen or not self._is_free(entity):
            return False
        if not self.peers[peer].usable(context.now_ms) or not all(map(_may_be_handed_over, queue)):
            return False
        if entity.writes.lost_turn > context.durable_turn:
            entity.wake_at(context.now_ms)  # as soon as the loss is durable: forgotten, what lost might yet be chosen as well
            return True
        pending, size = self.peers[peer].pending, 0
        most = min(len(queue), context.tuning.max_batch_requests)
        for _ in range(most):
            if (entity.id, queue[0].uuid) in pending or size >= context.tuning.max_batch_bytes:
                break  # a repetition waits for what it repeats
            request = queue.popleft()
            if not request.settled:
                size += request.size
                context.counters.handed_over_late += 1
                self.send(entity, peer, request)
        return True

    def _is_free(self, entity: Entity) -> bool:
        """Whether nothing is at a peer, on its way back, or to be proposed here."""
        return not (entity.handover.count or entity.handover.returned or self._is_to_propose(entity))

    def _is_to_propose(self, entity: Entity) -> bool:
        """Whether the preferred proposer has asked this node to propose itself, and it can."""
        return entity.handover.taking_over and not self._context.silence

    def _preferred(self, entity: Entity) -> int:
        """Who is to propose at this entity: the preferred proposer, or anybody else if that is this node, with a silent disk."""
        peer, context = entity.log.last_origin, self._context
        if peer in (NOBODY, context.me) and context.silence:
            return next((other for other in context.peers if self.peers[other].usable(context.now_ms)), NOBODY)
        return peer

    def handed_back(self, peer: int, message: HandedBack) -> tuple[Request, PaxosStoreError | None] | None:
        """An outcome came back: the request it belongs to, and its error if it ended in one."""
        copy = message.entity, message.uuid
        pending = self.peers[peer].pending.get(copy)
        if pending is not None and pending.request.digest != message.digest:
            return None  # a late answer to another request under the same uuid
        request = self.peers[peer].settle(copy, self._context.now_ms)
        if request is None:
            return None
        error = from_code(message.code, message.reply.decode("utf-8", "replace")) if message.code else None
        return request, error

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

    def count_back(self, entity: Entity, peer: int) -> None:
        """A request of this entity is not at that peer any more."""
        if entity.handover.peer == peer and entity.handover.count:
            entity.handover.count -= 1

    def overdue(self) -> list[int]:
        """Peers whose oldest hand-over has waited longer than it usually takes."""
        return [number for number, peer in enumerate(self.peers) if self._context.now_ms >= peer.overdue_at_ms]

    def take_back(self, peer: int) -> list[Request]:
        """Stop waiting for a peer: everything it was handed comes back, in order."""
        requests = self.peers[peer].take_back()
        self._context.counters.handed_over_taken_back += len(requests)
        return requests

    @property
    def next_deadline_ms(self) -> float:
        """When the first hand-over becomes overdue."""
        return min(peer.overdue_at_ms for peer in self.peers)
