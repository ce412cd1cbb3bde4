"""Which peers this node has a link to, and which of them vote.

A hint: it decides how long a request waits in vain, never what is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Down(NamedTuple):
    """A peer without a link."""

    peer: int
    since_ms: float
    reason: str


class Reach:
    """The peers that are known to be down or not to vote, and since when they are too many for a majority.

    A peer of which nothing was said yet counts as there.
    """

    __slots__ = ("_down", "_members", "_spare", "learners", "lost_at_ms", "resting")

    def __init__(self, n: int, quorum: int) -> None:
        self._spare = n - quorum
        """So many peers may be down."""
        self._down: dict[int, Down] = {}
        self.learners: set[int] = set()
        """Peers that said last that they only learn (rule 19)."""
        self.resting: set[int] = set()
        """Peers that said last that they are to learn only (learn_only)."""
        self._members: dict[int, int] = {}
        """Peer -> the disk as which it has said that it votes: from then on it does, and other words of that disk are late."""
        self.lost_at_ms: float | None = None
        """Since when too few peers are there for a majority; None: there are enough."""

    def down(self, peer: int, reason: str, now_ms: float) -> bool:
        """There is no link to this peer, for this reason; whether that is news."""
        known = self._down.get(peer)
        self._down[peer] = Down(peer, now_ms if known is None else known.since_ms, reason)
        self._judge(now_ms)
        return known is None

    def up(self, peer: int) -> None:
        """There is a link to this peer."""
        self._down.pop(peer, None)
        self._judge(None)

    def says(self, peer: int, disk: int, *, votes: bool, now_ms: float) -> None:
        """A peer has said whether it votes, as this disk."""
        if votes:
            self._members[peer] = disk
            self.learners.discard(peer)
        elif self._members.get(peer) != disk:
            self.learners.add(peer)
        self._judge(now_ms)

    def rests(self, peer: int, *, learns_only: bool, now_ms: float) -> None:
        """A peer has said whether it is to learn only."""
        (self.resting.add if learns_only else self.resting.discard)(peer)
        self._judge(now_ms)

    def _judge(self, now_ms: float | None) -> None:
        if len(self._down.keys() | self.learners | self.resting) <= self._spare:
            self.lost_at_ms = None
        elif self.lost_at_ms is None:
            self.lost_at_ms = now_ms

    @property
    def is_anybody_missing(self) -> bool:
        """Whether a peer is down, or only learns."""
        return bool(self._down or self.learners or self.resting)

    def is_down(self, peer: int) -> bool:
        """Whether there is no link to this peer."""
        return peer in self._down

    def reason(self, peer: int) -> str:
        """Why there is no link to this peer; empty: there is one."""
        down = self._down.get(peer)
        return "" if down is None else down.reason

    def describe(self, now_ms: float) -> str:
        """Who is down, for how long and why, and who does not vote; empty: nobody."""
        down = [(down.peer, (now_ms - down.since_ms) / 1000.0, down.reason) for _, down in sorted(self._down.items())]
        return describe(down, self.learners, self.resting)


def describe(down: Iterable[tuple[int, float, str]], learners: Iterable[int] = (), resting: Iterable[int] = ()) -> str:
    """(peer, seconds, reason) of each that is down, and those of the others that only learn, as a person reads it."""
    missing = {peer: f"node {peer} down for {duration(seconds)} ({reason})" for peer, seconds, reason in down}
    for peer in sorted(learners):
        missing.setdefault(peer, f"node {peer} does not vote yet (it lost its disk)")
    for peer in sorted(resting):
        missing.setdefault(peer, f"node {peer} learns only (learn_only)")
    return ", ".join(missing.values())


def duration(seconds: float) -> str:
    """As a person reads it."""
    if seconds < 10.0:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 600.0 else f"{seconds / 60.0:.0f} min"
