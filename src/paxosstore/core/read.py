"""Linearizable reads that write nothing (rule 12). Deciding only.

Requests gather; one question goes to the peers for all of them; when a majority has answered, they wait until this
replica has applied everything that any answer showed; then they are evaluated on its DB.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from .request import Request


class Blocked(NamedTuple):
    """Reads whose quorum check is done and that wait for entry `highest` to be applied."""

    highest: int
    requests: list[Request]
    since_ms: float


class Reads:
    """The waiting reads of one entity."""

    __slots__ = ("_answers", "answerable", "asked", "asked_at_ms", "blocked", "gathering", "highest", "limited", "number")

    def __init__(self) -> None:
        self.gathering: list[Request] = []
        """Not asked for yet."""
        self.asked: list[Request] = []
        """Covered by the question under way."""
        self.number = 0
        """The question under way; 0: none. Answers to any other number are ignored."""
        self.asked_at_ms = 0.0
        self.highest = 0
        self._answers: set[int] = set()
        self.blocked: list[Blocked] = []
        self.answerable: deque[Request] = deque()
        """What they wait for is applied: they are evaluated as the turns' work allows."""
        self.limited: list[Request] = []
        """Those of all these that end at a number of entries (`commit_limit`)."""

    def __bool__(self) -> bool:
        return bool(self.gathering or self.number or self.blocked or self.answerable)

    @property
    def may_ask(self) -> bool:
        return bool(self.gathering) and not self.number

    def ask(self, number: int, own_highest: int, now_ms: float) -> None:
        """Start a question for everything gathered so far; our own answer is already in."""
        assert self.may_ask
        assert number
        self.asked, self.gathering = self.gathering, []
        self.number = number
        self.asked_at_ms = now_ms
        self.highest = own_highest
        self._answers.clear()

    def answer(self, peer: int, number: int, highest: int, quorum: int, now_ms: float) -> bool:
        """Count a peer's answer; whether it completed the question."""
        if number != self.number:
            return False
        self._answers.add(peer)
        self.highest = max(self.highest, highest)
        if len(self._answers) + 1 < quorum:
            return False
        self.blocked.append(Blocked(self.highest, self.asked, now_ms))
        self.asked = []
        self.number = 0
        return True

    def unanswered(self, n: int, me: int) -> list[int]:
        """Peers whose answer to the question under way is missing."""
        return [peer for peer in range(n) if peer != me and peer not in self._answers]

    @property
    def needs_entry(self) -> int:
        """The highest entry some read waits for; 0: none."""
        return max((blocked.highest for blocked in self.blocked), default=0)

    def applied(self, committed: int) -> None:
        """The DB is applied through `committed`: see which reads it may answer."""
        if self.blocked:
            self.answerable += [r for blocked in self.blocked if blocked.highest <= committed for r in blocked.requests]
            self.blocked = [blocked for blocked in self.blocked if blocked.highest > committed]

    def all(self) -> Iterator[Request]:
        yield from self.gathering
        yield from self.asked
        for blocked in self.blocked:
            yield from blocked.requests
        yield from self.answerable

    def drop_settled(self) -> None:
        """Forget reads whose deadline has passed; a question nobody waits for ends."""
        self.gathering = [request for request in self.gathering if not request.settled]
        self.asked = [request for request in self.asked if not request.settled]
        if self.number and not self.asked:
            self.number = 0
        kept = (blocked._replace(requests=[r for r in blocked.requests if not r.settled]) for blocked in self.blocked)
        self.blocked = [blocked for blocked in kept if blocked.requests]
        self.answerable = deque(request for request in self.answerable if not request.settled)
        self.limited = [request for request in self.limited if not request.settled]
