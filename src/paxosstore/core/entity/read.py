"""Linearizable reads that write nothing (rule 12). Deciding only.

Requests gather; one question goes to the peers for all of them; when a majority has answered, they wait until this
replica has applied everything that may have been chosen when they asked; then they are evaluated on its DB.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ..batch.request import Request


class Question:
    """Reads that share a question, and what was answered to it.

    An answer is the highest entry at which a replica has accepted anything, or that it knows to be chosen. What was chosen
    when the question was asked had been accepted by a majority; so above `needed`, where a majority of replicas has accepted
    nothing even when it answered, nothing was. The first majority makes that the highest of its answers. Those that come
    later may lower it: they show that what some replica has accepted was not chosen (yet).
    """

    __slots__ = ("_answers", "asked_all", "asked_at_ms", "needed", "number", "own", "requests", "since_ms")

    def __init__(self, number: int, requests: list[Request], own: int | None, now_ms: float) -> None:
        self.number = number
        """Its own: answers to any other do not count."""
        self.requests = requests
        self.own = own
        """This replica's own answer, as it stood when it asked; None: it may have forgotten votes, so it does not count."""
        self.asked_at_ms = self.since_ms = now_ms
        """When it was asked last; when it was asked first, and then, since when it has been answered."""
        self.asked_all = False
        """All peers, not only those whose answers make a majority."""
        self.needed = own or 0
        """The reads may be served from the DB once it is applied through this."""
        self._answers: dict[int, int] = {}

    def answer(self, peer: int, highest: int, quorum: int) -> bool:
        """Count a peer's answer; whether a majority has answered, this replica included if its answer counts."""
        self._answers[peer] = min(highest, self._answers.get(peer, highest))  # each of a peer's answers holds
        answers = [*self._answers.values(), *(() if self.own is None else (self.own,))]
        if len(answers) < quorum:
            return False
        self.needed = sorted(answers)[quorum - 1]
        return True

    @property
    def answered(self) -> Collection[int]:
        """The peers whose answer has come."""
        return self._answers.keys()

    def unanswered(self, n: int, me: int) -> list[int]:
        """Peers whose answer is missing."""
        return [peer for peer in range(n) if peer != me and peer not in self._answers]


class Reads:
    """The waiting reads of one entity."""

    __slots__ = ("answerable", "asked", "blocked", "gathering", "limited")

    def __init__(self) -> None:
        self.gathering: list[Request] = []
        """Not asked for yet."""
        self.asked: Question | None = None
        """The question under way: no majority has answered it yet."""
        self.blocked: list[Question] = []
        """Answered: their reads wait for an entry to be applied."""
        self.answerable: list[Request] = []
        """What they wait for is applied: they are evaluated as the turns' work allows."""
        self.limited: list[Request] = []
        """Those of all these that end at a number of entries (`commit_limit`)."""

    def __bool__(self) -> bool:
        return bool(self.gathering or self.asked is not None or self.blocked or self.answerable)

    @property
    def may_ask(self) -> bool:
        return bool(self.gathering) and self.asked is None

    def ask(self, number: int, own_highest: int | None, now_ms: float) -> Question:
        """Start a question for everything gathered so far; our own answer is already in."""
        assert self.may_ask
        assert number
        self.asked = Question(number, self.gathering, own_highest, now_ms)
        self.gathering = []
        return self.asked

    def answer(self, peer: int, number: int, highest: int, quorum: int, now_ms: float) -> bool:
        """Count a peer's answer; whether it completed the question under way."""
        question = self.asked
        if question is not None and number == question.number:
            if not question.answer(peer, highest, quorum):
                return False
            question.since_ms = now_ms
            self.asked = None
            self._block(question)
            return True
        for question in self.blocked:
            if number == question.number:
                question.answer(peer, highest, quorum)
        return False

    def _block(self, question: Question) -> None:
        """Let it wait. However many questions are asked while an entry is stuck, two of them wait for it: the first one for
        its last answers, and the latest one, which takes the others' reads along: what it shows holds for them too."""
        alike = [other for other in self.blocked if other.needed == question.needed]
        if len(alike) > 1:
            self.blocked.remove(alike[-1])
            question.requests = alike[-1].requests + question.requests
            question.since_ms = alike[-1].since_ms
        self.blocked.append(question)

    @property
    def needs_entry(self) -> int:
        """The highest entry some read waits for; 0: none."""
        return max((blocked.needed for blocked in self.blocked), default=0)

    def applied(self, committed: int) -> None:
        """The DB is applied through `committed`: see which reads it may answer."""
        if self.blocked:
            self.answerable += [r for blocked in self.blocked if blocked.needed <= committed for r in blocked.requests]
            self.blocked = [blocked for blocked in self.blocked if blocked.needed > committed]

    def ask_anew(self) -> None:
        """Now the own answer counts: ask once more, with it."""
        assert self.asked is not None
        self.gathering = [*self.asked.requests, *self.gathering]
        self.asked = None

    def ask_again(self) -> None:
        """What was answerable is no longer applied: ask anew, as for those that have just come."""
        self.gathering = [*self.answerable, *self.gathering]
        self.answerable.clear()

    def take_all(self) -> list[Request]:
        """Everything that waits: none of it waits here any more, and no answer is waited for."""
        waiting = [request for request in self.all() if not request.settled]
        self.gathering, self.asked, self.blocked = [], None, []
        self.answerable.clear()
        return waiting

    def all(self) -> Iterator[Request]:
        yield from self.gathering
        if self.asked is not None:
            yield from self.asked.requests
        for blocked in self.blocked:
            yield from blocked.requests
        yield from self.answerable

    def drop_settled(self) -> None:
        """Forget reads whose deadline has passed; a question nobody waits for ends."""
        self.gathering = [request for request in self.gathering if not request.settled]
        for question in (*self.blocked, *(() if self.asked is None else (self.asked,))):
            question.requests = [request for request in question.requests if not request.settled]
        self.blocked = [question for question in self.blocked if question.requests]
        if self.asked is not None and not self.asked.requests:
            self.asked = None
        self.answerable = [request for request in self.answerable if not request.settled]
        self.limited = [request for request in self.limited if not request.settled]
