"""Where re-entry stands, for people: what is waited for, how much is done, how long it will take."""

from __future__ import annotations

from typing import NamedTuple

from ..turn.standing import State


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
