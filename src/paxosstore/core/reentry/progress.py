"""Where re-entry stands, for people: what is waited for, how much is done, how long it will take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..interface.message import Standing
from ..turn.context import Context
from ..turn.standing import OwnStanding, State


class Progress(NamedTuple):
    """One moment of it. Entities and bytes count from the beginning, those of this start alone have a rate."""

    state: str
    """new, member or reentering."""
    waits_for: str
    """Whom this node waits for, and why; empty: nobody."""
    passed: int
    """Entities that have learned all that this node may have forgotten of them, and vote again."""
    entities: int
    """How many there are."""
    counting: bool
    """The peers are still being asked which entities there are."""
    passed_now: int
    """Passed since this start."""
    bytes_now: int
    """Bytes of values learned since this start."""
    seconds: float
    """Since this start has begun with it."""
    forced_without: tuple[int, ...]
    """Peers whose answers the operator has given up (--force)."""

    @property
    def done(self) -> bool:
        """Whether this node is a member like any other."""
        return self.state == State.MEMBER.value and self.passed >= self.entities and not self.waits_for

    @property
    def entities_per_s(self) -> float:
        return self.passed_now / self.seconds if self.seconds > 0.0 else 0.0

    @property
    def bytes_per_s(self) -> float:
        return self.bytes_now / self.seconds if self.seconds > 0.0 else 0.0

    @property
    def eta_s(self) -> float:
        """Seconds that are left at this rate; negative: not known."""
        if self.done:
            return 0.0
        rate = self.entities_per_s
        return -1.0 if self.counting or rate <= 0.0 else (self.entities - self.passed) / rate


def floors_needed(context: Context) -> int:
    """Rule 19c: how many intact peers have to be asked: so many meet every majority, this node left out."""
    return context.n - context.quorum + 1


def describe_waiting(context: Context) -> str:
    """What keeps this node from voting; empty: nothing does, but for entities below their floor."""
    standing = context.standing
    state = standing.row.state
    if not standing.active:
        return ""
    if state is State.NEW:
        return _new_waits(context, standing)
    if state is State.REENTERING:
        missing = [peer for peer in context.peers if _why_not_asked(context, peer)]
        if len(context.peers) - len(missing) >= floors_needed(context):
            return ""
        reasons = ", ".join(f"node {peer} ({_why_not_asked(context, peer)})" for peer in missing)
        return f"lost its disk: waits for {reasons}"
    if not standing.confirmed:
        silent = [peer for peer in context.peers if peer not in standing.confirmed_by]
        return f"has just started: waits for {_nodes(silent)} to say that its disk is still the one they know"
    return ""


def _new_waits(context: Context, standing: OwnStanding) -> str:
    silent = [peer for peer in context.peers if peer not in standing.words]
    if silent:
        return f"a new cluster: waits for {_nodes(silent)} to start for the first time"
    return f"a new cluster: waits until {_nodes(context.peers)} know the disks of all"


def _why_not_asked(context: Context, peer: int) -> str:
    """Why this peer cannot say which entities there are; empty: it can."""
    reason = context.reach.reason(peer)
    if reason:
        return reason
    word: Standing | None = context.standing.words.get(peer)
    if word is None:
        return "it has not said yet what it is"
    if word.state != State.MEMBER.value:
        return "it has lost its disk as well" if word.state == State.REENTERING.value else "it is new"
    return "" if peer in context.standing.intact() else "it has not noted the new disk yet"


def _nodes(peers: Iterable[int]) -> str:
    numbers = list(peers)
    return ("node " if len(numbers) == 1 else "nodes ") + ", ".join(map(str, numbers))
