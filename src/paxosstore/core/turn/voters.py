"""Whom to ask for a vote first: as few peers as make a majority with this node, those that were the quickest to make one.

A majority is all that any rule needs, and the work of the others would be in the way of the work that somebody waits for:
they learn what was chosen a little later, several entries at a time. They are asked as well when the answer takes longer
than usual, the moment the link to a peer is lost, and now and then to see who is the quickest now.
"""

from __future__ import annotations

from collections.abc import Container

from .roundtrip import RoundTrip

EXPLORE_MS = 1_000.0
"""Once in so long all peers are asked."""


class Voters:
    """The peers, in the order in which they are asked."""

    __slots__ = ("_explore_at_ms", "_lost", "_needed", "_order", "_round_trip")

    def __init__(self, peers: list[int], needed: int, margin_ms: float) -> None:
        self._order = list(peers)
        self._needed = needed
        """Votes that make a majority, this node's own not counted."""
        self._lost: set[int] = set()
        """Those to which there is no link: they are asked last."""
        self._round_trip = RoundTrip(margin_ms)
        self._explore_at_ms = 0.0

    def tune(self, margin_ms: float) -> None:
        self._round_trip.margin_ms = margin_ms

    def first(self, now_ms: float) -> list[int]:
        """The peers to ask now."""
        if now_ms >= self._explore_at_ms:
            self._explore_at_ms = now_ms + EXPLORE_MS
            return list(self._order)
        return self._order[: self._needed]

    @property
    def patience_ms(self) -> float:
        """How long to wait for them before the others are asked too."""
        return self._round_trip.patience_ms

    def completed(self, voted: Container[int], took_ms: float) -> None:
        """These have made a majority, in so long."""
        self._round_trip.observe(took_ms)
        self._order.sort(key=lambda peer: (peer in self._lost, peer not in voted))

    def lost(self, peer: int) -> None:
        """The link to this peer is down."""
        self._lost.add(peer)
        self._order.sort(key=self._lost.__contains__)

    def back(self, peer: int) -> None:
        """The link to this peer is up."""
        self._lost.discard(peer)
        self._order.sort(key=self._lost.__contains__)
