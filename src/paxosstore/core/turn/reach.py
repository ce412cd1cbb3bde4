"""Which peers this node has a link to. A hint: it decides how long a request waits in vain, never what is chosen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Down(NamedTuple):
    """A peer without a link."""

    peer: int
    since_ms: float
    reason: str


class Reach:
    """The peers that are known to be down, and since when they are too many for a majority.

    A peer of which nothing was said yet counts as there.
    """

    __slots__ = ("_down", "_spare", "lost_at_ms")

    def __init__(self, n: int, quorum: int) -> None:
        self._spare = n - quorum
        """So many peers may be down."""
        self._down: dict[int, Down] = {}
        self.lost_at_ms: float | None = None
        """Since when too few peers are there for a majority; None: there are enough."""

    def down(self, peer: int, reason: str, now_ms: float) -> bool:
        """There is no link to this peer, for this reason; whether that is news."""
        known = self._down.get(peer)
        self._down[peer] = Down(peer, now_ms if known is None else known.since_ms, reason)
        if len(self._down) > self._spare and self.lost_at_ms is None:
            self.lost_at_ms = now_ms
        return known is None

    def up(self, peer: int) -> None:
        """There is a link to this peer."""
        self._down.pop(peer, None)
        if len(self._down) <= self._spare:
            self.lost_at_ms = None

    def is_down(self, peer: int) -> bool:
        """Whether there is no link to this peer."""
        return peer in self._down

    def reason(self, peer: int) -> str:
        """Why there is no link to this peer; empty: there is one."""
        down = self._down.get(peer)
        return "" if down is None else down.reason

    def describe(self, now_ms: float) -> str:
        """Who is down, for how long and why; empty: nobody is."""
        return describe((down.peer, (now_ms - down.since_ms) / 1000.0, down.reason) for _, down in sorted(self._down.items()))


def describe(missing: Iterable[tuple[int, float, str]]) -> str:
    """(peer, seconds, reason) of each that is down, as a person reads it."""
    return ", ".join(f"node {peer} down for {duration(seconds)} ({reason})" for peer, seconds, reason in missing)


def duration(seconds: float) -> str:
    """As a person reads it."""
    if seconds < 10.0:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 600.0 else f"{seconds / 60.0:.0f} min"
