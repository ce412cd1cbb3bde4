"""What a node does while its disk does not answer: the sync of a turn takes long, and the next turn stays open meanwhile.

The open turn takes in what comes in gulps (storage/turn.py): what shows only rows that are durable leaves at once, all else
waits. So deadlines hold, and what needs no disk goes on. Nobody waits for the disk past a deadline: what had been decided,
and was to be told when its rows are durable, is unknown then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..interface.message import HandedBack, Message, ReadAnswer, size_of

ANSWERS = (HandedBack, ReadAnswer)
"""Somebody here waits for them, and they leave nothing behind."""


class Silence:
    """How long the disk has not answered, and how much of what came meanwhile is kept in memory."""

    __slots__ = ("_kept_bytes", "dropped", "for_ms", "most_bytes")

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        """Of messages that are taken in meanwhile."""
        self._kept_bytes = 0
        self.for_ms = 0.0
        """How long the sync under way has taken, if that is unusually long; 0: it is not."""
        self.dropped = 0
        """Messages that were not taken in."""

    def __bool__(self) -> bool:
        return self.for_ms > 0.0

    def lasts(self, for_ms: float) -> None:
        """The sync has taken so long, and goes on."""
        self.for_ms = for_ms

    def end(self) -> None:
        """The disk has answered."""
        self.for_ms = 0.0
        self._kept_bytes = self.dropped = 0

    def take_in(self, messages: Sequence[Message]) -> Iterator[Message]:
        """The messages that are taken in: all of them, until what they may leave in the open turn is too much."""
        for message in messages:
            if self._kept_bytes < self.most_bytes:
                self._kept_bytes += size_of(message)
                yield message
            elif isinstance(message, ANSWERS):
                yield message
            else:
                self.dropped += 1

    def describe(self) -> str:
        """As a person reads it; empty: the disk answers."""
        return f"this node's disk has not answered for {self.for_ms / 1000.0:.1f} s" if self else ""
