"""The entry machine: the n rows of one entry as this replica knows them, and every transition of its own row.

READ THIS FIRST. The whole of Paxos is here; everything else decides when to call it and whom to tell.

    state of the own row            leaves it by
    EMPTY                           a peer's ballot (-> PROMISED), prepare (-> PREPARING), propose_preauth (-> ACCEPTED)
    PROMISED   to a peer's ballot   its accept (-> ACCEPTED), an own prepare (-> PREPARING)
    PREPARING  an own ballot        a majority promised exactly it (-> ACCEPTED); a higher ballot (-> PROMISED)
    ACCEPTED   a value              a higher ballot (-> PROMISED), a majority accepted one ballot (-> CHOSEN)
    CHOSEN                          never

Rules (docs/PROTOCOL.md): the own row takes a higher promise first, then accepts what is at least the promise (rule 2); a
proposal takes the value of the highest accepted ballot among all known rows (rule 2); chosen is a majority of rows
accepted under one ballot, or a row that says so (rule 3).
"""

from __future__ import annotations

from enum import Enum

from .ids import NO_BALLOT, majority, next_ballot, owner, preauth_ballot
from .record import EMPTY, Record, Value, is_newer, validate


class State(Enum):
    """Where the own row stands."""

    EMPTY = "empty"
    PROMISED = "promised"
    PREPARING = "preparing"
    ACCEPTED = "accepted"
    CHOSEN = "chosen"


class EntryMachine:
    """One entry at one acceptor. Pure; whatever changes `mine` has to be persisted before it is shown (rule 7)."""

    __slots__ = ("me", "proposal", "rows")

    def __init__(self, n: int, me: int, mine: Record = EMPTY) -> None:
        validate(mine)
        self.me = me
        self.rows: list[Record] = [EMPTY] * n
        self.rows[me] = mine
        self.proposal: Value | None = None
        """The own value to propose if no acceptor turns out to have accepted another."""

    @property
    def mine(self) -> Record:
        return self.rows[self.me]

    @property
    def state(self) -> State:
        mine = self.mine
        if mine.chosen:
            return State.CHOSEN
        if mine.promised > mine.accepted:
            return State.PREPARING if mine.prepared == mine.promised else State.PROMISED
        return State.ACCEPTED if mine.accepted else State.EMPTY

    @property
    def leads(self) -> bool:
        """Whether the own ballot is the highest this row knows of: nobody has overtaken our proposal."""
        mine = self.mine
        return not mine.chosen and mine.prepared > NO_BALLOT and mine.prepared == mine.promised

    def propose_preauth(self, value: Value) -> None:
        """Accept the own value at the pre-auth ballot without a prepare phase. The caller holds pre-auth (rule 5)."""
        assert self.mine.is_empty, "pre-auth needs an empty own row (rule 5b)"
        ballot = preauth_ballot(self.me)
        self._set(Record(ballot, ballot, ballot, value, False))
        self._conclude()

    def prepare(self, value: Value | None) -> None:
        """Start a prepare phase with the next own ballot, to propose `value` (None: only to finish what others began)."""
        mine = self.mine
        assert not mine.chosen
        known = max(row.promised for row in self.rows)
        ballot = next_ballot(self.me, len(self.rows), known)
        self.proposal = value
        self._set(mine._replace(prepared=ballot, promised=ballot))

    def update(self, peer: int, theirs: Record) -> None:
        """Take in a peer's row, whether it came as a request or as an answer (rule 2)."""
        self._see(peer, theirs)
        mine = self.mine
        if mine.chosen:
            return
        if theirs.chosen:
            assert theirs.value is not None
            self.learn(theirs.accepted, theirs.value)
            return
        promised = max(mine.promised, theirs.promised)
        # a pre-auth proposal (a value under a mere promise) asks to be accepted at that promise (rule 6)
        offered = theirs.promised if _is_preauth_proposal(theirs) else theirs.accepted
        if offered >= promised and offered > mine.accepted:
            assert theirs.value is not None
            self._set(Record(mine.prepared, promised, offered, theirs.value, mine.chosen))
        elif promised != mine.promised:
            self._set(mine._replace(promised=promised))
        self._conclude()

    def witness(self, peer: int, theirs: Record) -> tuple[int, Value] | None:
        """Take in a peer's row and leave the own one as it is; what is chosen, if the rows show that (rule 3)."""
        self._see(peer, theirs)
        if theirs.chosen:
            assert theirs.value is not None
            return theirs.accepted, theirs.value
        return self._decided

    def inherit(self, theirs: Record) -> None:
        """Take for the own row what an intact acceptor holds, whatever was promised: the own one is lost, and this the best that
        is left of it (rule 19, forced). Of several, the value of the highest ballot stays: if one was chosen, it is that."""
        mine = self.mine
        if mine.chosen:
            return
        if theirs.chosen:
            assert theirs.value is not None
            self.learn(theirs.accepted, theirs.value)
            return
        promised = max(mine.promised, theirs.promised)
        if theirs.accepted > mine.accepted:
            self._set(mine._replace(promised=promised, accepted=theirs.accepted, value=theirs.value))
        elif promised > mine.promised:
            self._set(mine._replace(promised=promised))

    def forget(self, peer: int) -> None:
        """What this peer has shown does not count any more (rule 19b)."""
        assert peer != self.me
        self.rows[peer] = EMPTY

    def learn(self, ballot: int, value: Value) -> None:
        """Take in that `value` was chosen under `ballot`, from whoever knows it (rule 3)."""
        mine = self.mine
        if not mine.chosen:
            promised = max(mine.promised, ballot)
            self._set(Record(mine.prepared, promised, ballot, value, True))

    def propose(self) -> bool:
        """Accept a value at the own prepared ballot, if a majority promised it; whether it did.

        Kept apart from `update`: a caller that has neither an own value nor found one supplies it first.
        """
        mine = self.mine
        ballot = mine.prepared
        if self.state is not State.PREPARING or not self.has_promises:
            return False
        value = self.found or self.proposal
        if value is None:
            return False
        self._set(mine._replace(accepted=ballot, value=value))
        self._conclude()
        return True

    @property
    def has_promises(self) -> bool:
        """Whether a majority promised exactly the own prepared ballot (rule 2)."""
        ballot = self.mine.prepared
        return sum(row.promised == ballot for row in self.rows) >= majority(len(self.rows))

    @property
    def found(self) -> Value | None:
        """The value with the highest accepted ballot among all known rows (rule 2)."""
        best = max(self.rows, key=lambda row: row.accepted)
        return best.value if best.accepted else None

    def resolve(self, value_id: bytes) -> Value | None:
        """A value known here by its id (rule 4)."""
        for row in self.rows:
            if row.value is not None and row.value.id == value_id:
                return row.value
        if self.proposal is not None and self.proposal.id == value_id:
            return self.proposal
        return None

    def excluded(self, peer: int, theirs: Record) -> bytes:
        """Id of a value known here that cannot be, if this row of a peer is true; empty: they go together.

        Under one ballot there is one value (rule 1), and one value is chosen: by a row that says so or a majority (rule 3).
        """
        value, ballot = theirs.value, theirs.accepted
        if value is None or ballot == NO_BALLOT:
            return b""
        alike = 1
        for other, row in enumerate(self.rows):
            if row.value is None or row.accepted == NO_BALLOT:
                continue
            if row.value.id != value.id:
                if row.accepted == ballot or (row.chosen and theirs.chosen):
                    return row.value.id
            elif row.accepted == ballot and other != peer:
                alike += 1
        mine = self.mine
        if mine.chosen and alike >= majority(len(self.rows)):
            assert mine.value is not None
            return b"" if mine.value.id == value.id else mine.value.id
        return b""

    def holds(self, peer: int, value_id: bytes) -> bool:
        """Whether a peer has shown that it holds a value (rule 4)."""
        value = self.rows[peer].value
        return value is not None and value.id == value_id

    def _see(self, peer: int, theirs: Record) -> None:
        assert peer != self.me
        if is_newer(theirs, self.rows[peer]):
            self.rows[peer] = _merge(self.rows[peer], theirs)

    def _conclude(self) -> None:
        """Mark the own row chosen if a majority of rows are accepted under one ballot (rule 3)."""
        decided = self._decided
        if decided is not None:
            self.learn(*decided)

    @property
    def _decided(self) -> tuple[int, Value] | None:
        """The ballot under which a majority of rows are accepted, and its value."""
        accepted = [row.accepted for row in self.rows]
        quorum = majority(len(accepted))
        for row in self.rows:
            ballot = row.accepted
            if ballot and accepted.count(ballot) >= quorum:
                assert row.value is not None
                return ballot, row.value
        return None

    def _set(self, record: Record) -> None:
        mine = self.mine
        validate(record)
        assert record.promised >= mine.promised, "a promise never goes back"
        assert not mine.chosen, "a chosen row never changes"
        assert record.chosen or record.accepted >= mine.accepted, "an accepted ballot never goes back"
        if record.accepted == mine.accepted and mine.value is not None and record.value is not None:
            assert record.value.id == mine.value.id, "one ballot, one value (rule 1)"
        self.rows[self.me] = record


def _is_preauth_proposal(row: Record) -> bool:
    return row.accepted == NO_BALLOT and row.value is not None


def _merge(old: Record, new: Record) -> Record:
    """The later of two sights of one row; what it showed once and left out now (a value) is kept."""
    if new.accepted == NO_BALLOT and old.accepted == NO_BALLOT and new.value is None:
        return new._replace(value=old.value) if new.promised == old.promised else new
    return new


def check_ballot(record: Record, acceptor: int, n: int) -> None:
    """Assert that a row of `acceptor` uses only ballots it may use (rule 1)."""
    assert record.prepared == NO_BALLOT or owner(record.prepared, n) == acceptor, record
