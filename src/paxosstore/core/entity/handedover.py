"""The requests of one entity that are at a peer, and what becomes of the habit. Written by core/handover/handover.py."""

from __future__ import annotations

from ..batch.request import Request
from ..entry.ids import NOBODY


class HandedOver:
    """Where the requests of one entity are, besides here, and whose requests are here."""

    __slots__ = ("count", "guest", "guest_requests", "peer", "returned", "taking_over")

    def __init__(self) -> None:
        self.peer = NOBODY
        self.count = 0
        """Requests handed over to `peer` without an outcome yet."""
        self.returned: list[Request] = []
        """Handed over and come back, while others are still away: they wait for those, to keep their order."""
        self.guest = NOBODY
        """The peer that all of the last `guest_requests` proposed here came from."""
        self.guest_requests = 0
        self.taking_over = False
        """The preferred proposer has asked us to propose ourselves."""
