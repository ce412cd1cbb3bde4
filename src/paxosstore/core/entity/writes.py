"""The waiting writes of one entity, and the batch of them under proposal."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from ..batch.evaluate import Evaluated
from ..batch.request import Request
from ..entry.record import Value


class InFlight(NamedTuple):
    """The batch under proposal. Its requests are done if exactly this value is chosen at exactly its entry."""

    evaluated: Evaluated
    value: Value
    turn: int
    """The turn that proposed it: from the next one on, peers may have seen it."""
    since_ms: float
    """When its evaluation began."""


class Writes:
    """What is to be proposed here, and what is."""

    __slots__ = ("fill_through", "in_flight", "lost_turn", "queue")

    def __init__(self) -> None:
        self.queue: deque[Request] = deque()
        self.in_flight: InFlight | None = None
        self.lost_turn = 0
        """Turn in which the own batch was last found to have lost."""

        self.fill_through = 0
        """Entries up to this one are to be decided, though nobody here waits for them: a peer has asked (rule 19c)."""

    def __bool__(self) -> bool:
        return bool(self.queue or self.in_flight)

    @property
    def proposed(self) -> list[Request]:
        """Those of the batch in flight."""
        return [] if self.in_flight is None else [request for request, _ in self.in_flight.evaluated.proposed]
