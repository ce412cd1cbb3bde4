"""Classic multi-acceptor Paxos for one entry, written as plainly as possible: the oracle for the entry machine.

It sees everything at once and keeps all of history, so it needs no cleverness: an acceptor is a promise and the votes it
ever cast; a ballot is safe for a value if some majority of acceptors shows it; a value is chosen if a majority voted for it
under one ballot. It shares no code with the package.
"""

from __future__ import annotations

from itertools import combinations


class ClassicAcceptor:
    """The textbook acceptor."""

    def __init__(self) -> None:
        self.promise = 0
        self.votes: dict[int, bytes] = {}
        """ballot -> value id, of every vote ever cast (and not forgotten)"""

    def hear_promise(self, ballot: int) -> None:
        if ballot > self.promise:
            self.promise = ballot

    def hear_proposal(self, ballot: int, value: bytes) -> None:
        if ballot >= self.promise and ballot not in self.votes:
            self.promise = ballot
            self.votes[ballot] = value

    @property
    def last_vote(self) -> int:
        return max(self.votes, default=0)


class ClassicPaxos:
    """All acceptors of one entry, as nobody in the system can see them."""

    def __init__(self, n: int) -> None:
        self.acceptors = [ClassicAcceptor() for _ in range(n)]
        self.proposed: dict[int, bytes] = {}
        """ballot -> the one value proposed under it"""
        self.quorums = list(combinations(range(n), n // 2 + 1))

    def is_safe(self, ballot: int, value: bytes) -> bool:
        """Whether some majority has promised this ballot, and voted last below it for this value, or not at all."""
        for quorum in self.quorums:
            members = [self.acceptors[number] for number in quorum]
            if any(member.promise < ballot for member in members):
                continue
            votes = [(b, v) for member in members for b, v in member.votes.items() if b < ballot]
            if not votes or max(votes)[1] == value:
                return True
        return False

    def propose(self, ballot: int, value: bytes) -> None:
        assert self.proposed.setdefault(ballot, value) == value, "one ballot, one value"

    def chosen(self) -> set[bytes]:
        """Every value that is chosen; one at most, if all is well."""
        return {
            value
            for quorum in self.quorums
            for ballot, value in self.acceptors[quorum[0]].votes.items()
            if all(self.acceptors[number].votes.get(ballot) == value for number in quorum)
        }
