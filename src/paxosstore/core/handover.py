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

from ..boundary import exact_bytes, kind
from ..errors import InvalidRequest, OutcomeUnknown, PaxosStoreError, UuidReused, from_code
from .batch import Reply
from .context import Context, HandedOverRequest
from .entity import NEVER, NOBODY, Entity
from .log import Log
from .message import HandedBack, HandOver, TakeOver
from .request import Request
from .roundtrip import RoundTrip

Copy = tuple[int, bytes]
"""(entity, uuid): a uuid means nothing without its entity."""


class Pending(NamedTuple):
    request: Request
    sent_at_ms: float


class Peer:
    """What this node knows of one peer as a place to hand requests over to."""

    __slots__ = ("_overdue", "pending", "round_trip", "suspect_until_ms", "up")

    def __init__(self, margin_ms: float) -> None:
        self.up = False
        self.suspect_until_ms = 0.0
        self.pending: dict[Copy, Pending] = {}
        """What was handed over and has no outcome yet, oldest first."""
        self._overdue: dict[Copy, float] = {}
        """When it was sent, of what was taken back: its late answer still tells the round trip."""
        self.round_trip = RoundTrip(margin_ms)

    def usable(self, now_ms: float) -> bool:
        return self.up and now_ms >= self.suspect_until_ms

    def hand_over(self, request: Request, now_ms: float) -> None:
        copy = request.entity, request.uuid
        assert copy not in self.pending
        request.exposed = True
        self.pending[copy] = Pending(request, now_ms)

    def settle(self, copy: Copy, now_ms: float) -> Request | None:
        """An outcome came back: the request it belongs to, unless it was taken back meanwhile."""
        # a late answer proves the peer alive as well
        self.suspect_until_ms = 0.0
        pending = self.pending.pop(copy, None)
        sent_at_ms = pending.sent_at_ms if pending is not None else self._overdue.pop(copy, None)
        if sent_at_ms is not None:
            self.round_trip.observe(now_ms - sent_at_ms)
        return None if pending is None else pending.request

    @property
    def oldest_sent_at_ms(self) -> float | None:
        for pending in self.pending.values():
            return pending.sent_at_ms
        return None

    def take_back(self) -> list[Request]:
        """Everything without an outcome, in order, to be proposed locally."""
        requests = [pending.request for pending in self.pending.values()]
        self._overdue = {copy: pending.sent_at_ms for copy, pending in self.pending.items()}
        self.pending.clear()
        return requests


def _why_not_twice(first: Request, second: Request) -> PaxosStoreError:
    """Why a request is not handed over while another under its uuid is."""
    if first.digest and second.digest and first.digest != second.digest and not second.exposed:
        return UuidReused(f"another request is under way under the uuid {second.uuid.hex()}")
    return OutcomeUnknown("the same uuid is being handed over already")


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
        if not request.handler or request.at_entry or entity.taking_over:
            return NOBODY
        if entity.queue or entity.in_flight is not None or entity.returned:
            return NOBODY  # what waits here already must not be overtaken
        # one at a time: requests of one client to one entity keep their order
        peer = entity.handed_to if entity.handed_count else entity.last_origin
        if peer in (NOBODY, context.me) or not self.peers[peer].usable(context.now_ms):
            return NOBODY
        return peer

    def send(self, entity: Entity, peer: int, request: Request) -> None:
        """Hand a request over."""
        context = self._context
        try:
            payload = exact_bytes("a payload", request.payload())
        except Exception as error:  # of a service's own class of requests
            context.refuse(request, InvalidRequest(f"the request cannot say its payload: {kind(error)}"))
            return
        if not request.uuid:
            request.uuid = context.new_id()
        if not request.floor:
            request.floor = max(1, entity.committed)
        twin = self.peers[peer].pending.get((entity.id, request.uuid))
        if twin is not None:
            context.refuse(request, _why_not_twice(twin.request, request))
            return
        self._count += 1
        request.hand_over = self._count
        self.peers[peer].hand_over(request, context.now_ms)
        entity.handed_to = peer
        entity.handed_count += 1
        context.counters.handed_over += 1
        budget_ms = max(1, int(request.deadline_ms - context.now_ms))
        context.send_early(
            peer, HandOver(entity.id, request.uuid, request.handler, payload, request.floor, budget_ms, request.digest)
        )

    def handed_back(self, peer: int, message: HandedBack) -> tuple[Request, PaxosStoreError | None] | None:
        """An outcome came back: the request it belongs to, and its error if it ended in one."""
        request = self.peers[peer].settle((message.entity, message.uuid), self._context.now_ms)
        if request is None:
            return None
        error = from_code(message.code, message.reply.decode("utf-8", "replace")) if message.code else None
        return request, error

    def chosen(self, entity: Entity, proposed: Sequence[tuple[Request, Reply]]) -> None:
        """A batch proposed here was chosen: see whether one peer alone sends what this entity is filled with."""
        first = proposed[0][0]
        guest = first.peer if isinstance(first, HandedOverRequest) else NOBODY
        if guest == NOBODY or guest != entity.guest:
            entity.guest, entity.guest_requests = guest, 0
        if guest == NOBODY:
            return
        if any(not isinstance(request, HandedOverRequest) or request.peer != guest for request, _ in proposed):
            entity.guest = NOBODY
            return
        entity.guest_requests += len(proposed)
        if entity.guest_requests >= self._context.tuning.takeover_requests:
            entity.guest_requests = 0
            self._log.tell_chosen(entity, [guest])  # it proposes at the entry after this one
            self._context.send(entity, guest, TakeOver(entity.id))

    def overdue(self) -> list[int]:
        """Peers whose oldest hand-over has waited longer than it usually takes."""
        late = []
        for number, peer in enumerate(self.peers):
            sent = peer.oldest_sent_at_ms
            if sent is not None and self._context.now_ms >= sent + peer.round_trip.patience_ms:
                late.append(number)
        return late

    def take_back(self, peer: int) -> list[Request]:
        """Stop waiting for a peer: everything it was handed comes back, in order."""
        requests = self.peers[peer].take_back()
        self._context.counters.handed_over_taken_back += len(requests)
        return requests

    @property
    def next_deadline_ms(self) -> float:
        """When the first hand-over becomes overdue."""
        return min(
            (sent + peer.round_trip.patience_ms for peer in self.peers if (sent := peer.oldest_sent_at_ms) is not None),
            default=NEVER,
        )
