"""A peer as a place to hand requests over to: whether it answers, what it has been handed, and for how long that takes."""

from __future__ import annotations

from typing import NamedTuple

from ..batch.request import Request
from ..entity.entity import NEVER
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
        request.exposed = request.exposed or not request.read_only
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
        for request in requests:
            request.taken_back = not request.read_only
        return requests
