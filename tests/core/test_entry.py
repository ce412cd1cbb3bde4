"""The entry machine: every transition by hand, then random histories against classic Paxos."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from paxosstore.core.entry.machine import EntryMachine, State, check_ballot
from paxosstore.core.entry.record import EMPTY, Record, Value, is_newer, needs_sync, validate

from .classic import ClassicPaxos

V = Value(b"v", b"v")
W = Value(b"w", b"w")


def accepted(ballot: int, value: Value, prepared: int = 0) -> Record:
    return Record(prepared, ballot, ballot, value)


def promised(ballot: int, prepared: int = 0) -> Record:
    return Record(prepared, ballot)


# -- from EMPTY


def test_a_new_machine_is_empty() -> None:
    machine = EntryMachine(3, 0)
    assert machine.state is State.EMPTY
    assert machine.mine == EMPTY
    assert machine.mine.is_empty
    assert not machine.leads
    assert machine.found is None


def test_empty_takes_a_promise() -> None:
    machine = EntryMachine(3, 0)
    machine.update(1, promised(5, 5))
    assert machine.state is State.PROMISED
    assert machine.mine == Record(0, 5)


def test_empty_accepts_a_proposal() -> None:
    machine = EntryMachine(5, 0)
    machine.update(1, accepted(7, V, 7))
    assert machine.state is State.ACCEPTED
    assert machine.mine == Record(0, 7, 7, V)


@pytest.mark.parametrize(("me", "ballot"), [(0, 4), (1, 5), (2, 6)])
def test_empty_prepares_above_all_preauth_ballots(me: int, ballot: int) -> None:
    machine = EntryMachine(3, me)
    machine.prepare(V)
    assert machine.state is State.PREPARING
    assert machine.mine == Record(ballot, ballot)
    assert machine.leads


def test_empty_proposes_by_preauth() -> None:
    machine = EntryMachine(3, 2)
    machine.propose_preauth(V)
    assert machine.state is State.ACCEPTED
    assert machine.mine == Record(3, 3, 3, V)
    assert machine.leads


@pytest.mark.parametrize("row", [promised(5), accepted(5, V), Record(0, 5, 5, V, True)])
def test_preauth_needs_an_empty_row(row: Record) -> None:
    machine = EntryMachine(3, 0, row)
    with pytest.raises(AssertionError, match="rule 5b"):
        machine.propose_preauth(W)


# -- from PROMISED


def test_promised_accepts_at_its_promise() -> None:
    machine = EntryMachine(5, 0, promised(7))
    machine.update(1, accepted(7, V, 7))
    assert machine.mine == Record(0, 7, 7, V)


def test_promised_refuses_below_its_promise() -> None:
    machine = EntryMachine(5, 0, promised(9))
    machine.update(1, accepted(7, V, 7))
    assert machine.mine == promised(9)
    assert machine.found == V  # it is known, though


def test_promised_takes_a_higher_promise_and_no_lower_one() -> None:
    machine = EntryMachine(5, 0, promised(7))
    machine.update(1, promised(12, 12))
    assert machine.mine.promised == 12
    machine.update(2, promised(8, 8))
    assert machine.mine.promised == 12


def test_promise_comes_before_accept() -> None:
    """A peer that accepted 7 and has promised 12 since does not make us accept 7."""
    machine = EntryMachine(5, 0)
    machine.update(1, Record(7, 12, 7, V))
    assert machine.mine == promised(12)


def test_promised_prepares_above_everything_promised_anywhere() -> None:
    machine = EntryMachine(3, 0, promised(5))
    machine.update(2, promised(9, 9))
    machine.prepare(V)
    assert machine.mine == Record(10, 10)


# -- from PREPARING


def test_preparing_needs_a_majority_at_exactly_its_ballot() -> None:
    machine = EntryMachine(5, 0)
    machine.prepare(V)
    assert machine.mine.promised == 6
    machine.update(1, promised(6))
    machine.update(2, promised(3, 3))
    assert not machine.propose()
    machine.update(3, promised(6))
    assert machine.has_promises
    assert machine.propose()
    assert machine.mine == Record(6, 6, 6, V)
    assert machine.state is State.ACCEPTED


def test_preparing_adopts_the_value_of_the_highest_ballot() -> None:
    machine = EntryMachine(5, 0)
    machine.prepare(Value(b"own", b""))
    machine.update(1, Record(2, 6, 2, V))
    machine.update(2, Record(0, 6, 3, W))
    assert machine.propose()
    assert machine.mine.value == W


def test_preparing_adopts_what_itself_has_accepted() -> None:
    machine = EntryMachine(3, 0, accepted(2, V))
    machine.prepare(W)
    assert machine.mine == Record(4, 4, 2, V)
    machine.update(2, promised(4))
    assert machine.propose()
    assert machine.mine == Record(4, 4, 4, V)


def test_preparing_with_no_value_waits_for_one() -> None:
    machine = EntryMachine(3, 0)
    machine.prepare(None)
    machine.update(1, promised(4))
    assert machine.has_promises
    assert not machine.propose()
    machine.proposal = V
    assert machine.propose()


def test_preparing_is_overtaken() -> None:
    machine = EntryMachine(3, 0)
    machine.prepare(V)
    machine.update(1, promised(5, 5))
    assert machine.state is State.PROMISED
    assert not machine.leads
    machine.update(2, promised(4))
    assert not machine.propose()
    machine.prepare(V)
    assert machine.mine == Record(7, 7)


def test_preparing_survives_a_restart_but_its_proposal_does_not() -> None:
    before = EntryMachine(3, 0)
    before.prepare(V)
    after = EntryMachine(3, 0, before.mine)
    assert after.state is State.PREPARING
    assert after.proposal is None
    after.update(1, promised(4))
    assert not after.propose()


# -- from ACCEPTED


def test_accepted_takes_a_higher_promise_and_keeps_its_value() -> None:
    machine = EntryMachine(5, 0, accepted(7, V))
    machine.update(1, promised(12, 12))
    assert machine.state is State.PROMISED
    assert machine.mine == Record(0, 12, 7, V)


def test_accepted_takes_a_higher_proposal() -> None:
    machine = EntryMachine(5, 0, accepted(7, V))
    machine.update(1, accepted(12, W, 12))
    assert machine.mine == Record(0, 12, 12, W)


def test_accepted_becomes_chosen_by_a_majority_under_one_ballot() -> None:
    machine = EntryMachine(5, 0, accepted(7, V))
    machine.update(1, accepted(7, V, 7))
    assert machine.state is State.ACCEPTED
    machine.update(2, accepted(7, V))
    assert machine.state.value == "chosen"
    assert machine.mine == Record(0, 7, 7, V, True)


def test_different_ballots_make_no_majority() -> None:
    """The same value under two ballots is not chosen by that."""
    machine = EntryMachine(3, 0, accepted(4, V, 4))
    machine.update(1, Record(0, 8, 5, V))
    machine.update(2, Record(0, 9, 6, V))
    assert machine.state is State.PROMISED
    assert not machine.mine.chosen


def test_two_peers_make_a_majority_without_us() -> None:
    """A promise keeps us from accepting, not from learning."""
    machine = EntryMachine(3, 0, promised(10, 10))
    machine.update(1, accepted(5, V, 5))
    machine.update(2, accepted(5, V))
    assert machine.state is State.CHOSEN
    assert machine.mine == Record(10, 10, 5, V, True)


def test_one_acceptor_and_a_preauth_proposal_are_not_a_majority() -> None:
    """Rule 6: the sender of an early pre-auth proposal is asked to be accepted, not counted."""
    machine = EntryMachine(3, 1)
    machine.update(0, Record(1, 1, 0, V))
    assert machine.mine == Record(0, 1, 1, V)
    machine.update(0, Record(1, 1, 1, V))
    assert machine.state.value == "chosen"


def test_a_preauth_proposal_is_refused_below_the_promise() -> None:
    machine = EntryMachine(3, 1, promised(6))
    machine.update(0, Record(1, 1, 0, V))
    assert machine.mine == promised(6)
    assert machine.resolve(b"v") == V  # its value is known from now on (rule 4)


def test_a_preauth_value_is_no_vote_for_the_next_proposer() -> None:
    machine = EntryMachine(3, 1, promised(6))
    machine.update(0, Record(1, 1, 0, V))
    assert machine.found is None


def test_accepted_below_contiguous_chosen_stays_accepted() -> None:
    """A leftover that lost is never marked chosen by anything but rule 3."""
    machine = EntryMachine(3, 2, accepted(4, V))
    machine.update(0, promised(7, 7))
    machine.update(1, promised(7))
    assert not machine.mine.chosen
    machine.update(0, Record(7, 7, 7, W, True))
    assert machine.mine == Record(0, 7, 7, W, True)


# -- CHOSEN


@pytest.mark.parametrize("row", [EMPTY, promised(9), accepted(5, W), Record(5, 9, 5, W)])
def test_a_chosen_row_makes_any_row_chosen(row: Record) -> None:
    machine = EntryMachine(3, 0, Record(0, row.promised, row.accepted, row.value))
    machine.update(1, Record(8, 8, 8, V, True))
    assert machine.state is State.CHOSEN
    assert machine.mine.value == V
    assert machine.mine.promised >= row.promised
    validate(machine.mine)


def test_learning_from_anywhere() -> None:
    machine = EntryMachine(3, 0, promised(9))
    machine.learn(5, V)
    assert machine.mine == Record(0, 9, 5, V, True)


@pytest.mark.parametrize("row", [promised(20, 20), accepted(20, W, 20), Record(20, 20, 20, V, True), Record(2, 2, 0, W)])
def test_chosen_never_changes(row: Record) -> None:
    chosen = Record(4, 4, 4, V, True)
    machine = EntryMachine(3, 0, chosen)
    machine.update(1, row)
    machine.learn(20, V)
    assert machine.mine is chosen
    assert not machine.leads
    assert not machine.propose()
    with pytest.raises(AssertionError):
        machine.prepare(W)


# -- messages that come late, twice, or out of order


def test_an_older_sight_of_a_row_is_not_remembered() -> None:
    machine = EntryMachine(3, 0)
    new = Record(5, 8, 5, V)
    machine.update(1, new)
    machine.update(1, promised(5, 5))
    assert machine.rows[1] == new


def test_a_late_old_row_never_undoes_ours() -> None:
    machine = EntryMachine(5, 0, accepted(12, W))
    machine.update(1, accepted(7, V, 7))
    assert machine.mine == accepted(12, W)


def test_twice_is_once() -> None:
    one, two = EntryMachine(5, 0), EntryMachine(5, 0)
    for machine, times in ((one, 1), (two, 3)):
        for row in (promised(7, 7), accepted(7, V, 7)):
            for _ in range(times):
                machine.update(1, row)
    assert one.rows == two.rows


def test_values_are_known_by_their_ids() -> None:
    machine = EntryMachine(3, 0)
    machine.prepare(W)
    machine.update(1, accepted(2, V, 2))
    assert machine.resolve(b"v") == V
    assert machine.resolve(b"w") == W
    assert machine.resolve(b"x") is None
    assert machine.holds(1, b"v")
    assert not machine.holds(2, b"v")
    assert not machine.holds(1, b"w")


def test_a_value_seen_once_is_kept_while_the_row_has_not_moved() -> None:
    machine = EntryMachine(3, 1, promised(6))
    machine.update(0, Record(1, 1, 0, V))
    machine.update(0, Record(1, 1, 0, None))
    assert machine.resolve(b"v") == V


# -- records


@pytest.mark.parametrize(
    "row",
    [Record(5, 4), Record(0, 3, 4, V), Record(0, 4, 4, None), Record(0, 4, 0, V, True), Record(-1, 4), Record(0, 4, -1)],
)
def test_invalid_rows_are_noticed(row: Record) -> None:
    with pytest.raises(AssertionError):
        validate(row)
    with pytest.raises(AssertionError):
        EntryMachine(3, 0, row)


def test_a_row_is_newer_than_those_before_it() -> None:
    life = [EMPTY, Record(0, 2), Record(0, 2, 2, V), Record(4, 4, 2, V), Record(4, 4, 4, V), Record(4, 4, 4, V, True)]
    for at, row in enumerate(life):
        assert [is_newer(row, other) for other in life] == [before < at for before in range(len(life))]


def test_all_but_the_chosen_mark_needs_a_sync() -> None:
    row = Record(4, 4, 4, V)
    assert not needs_sync(row, row._replace(chosen=True))
    assert not needs_sync(row, row)
    for other in (EMPTY, Record(4, 9, 4, V), Record(4, 4, 2, V), Record(1, 4, 4, V)):
        assert needs_sync(other, row)


def test_a_ballot_belongs_to_one_acceptor() -> None:
    check_ballot(Record(4, 4), 0, 3)
    check_ballot(Record(0, 5), 0, 3)
    with pytest.raises(AssertionError):
        check_ballot(Record(5, 5), 0, 3)


# -- random histories against classic Paxos


class Sent(NamedTuple):
    sender: int
    row: Record


class AgainstClassicPaxos(RuleBasedStateMachine):
    """Machines that talk through a network which loses, repeats and reorders; each step is done by the oracle as well."""

    @initialize(n=st.sampled_from([3, 5]))
    def begin(self, n: int) -> None:
        self.n = n
        self.machines = [EntryMachine(n, me) for me in range(n)]
        self.oracle = ClassicPaxos(n)
        self.seen: list[list[dict[int, int]]] = [[{} for _ in range(n)] for _ in range(n)]
        """[here][peer]: promise -> accepted ballot, of every row shown here since the last crash."""
        self.sent: list[Sent] = []
        self.values = 0
        self.preauth_free = True

    def _new_value(self) -> Value:
        self.values += 1
        return Value(b"%d" % self.values, b"")

    def _show(self, me: int) -> None:
        self.sent.append(Sent(me, self.machines[me].mine))

    @rule(me=st.integers(0, 4))
    def prepare(self, me: int) -> None:
        self._prepare(me % self.n)

    @rule(me=st.integers(0, 4), asked=st.sets(st.integers(0, 4)), told=st.sets(st.integers(0, 4)), answered=st.booleans())
    def round(self, me: int, asked: set[int], told: set[int], answered: bool) -> None:
        """A whole round that reaches some acceptors and not others: what random deliveries alone would rarely make."""
        me %= self.n
        self._prepare(me)
        for peers, answers in ((asked, True), (told, answered)):
            mine = self.machines[me].mine
            for peer in sorted({peer % self.n for peer in peers} - {me}):
                self._deliver(me, mine, peer)
                if answers:
                    self._deliver(peer, self.machines[peer].mine, me)

    def _prepare(self, me: int) -> None:
        machine = self.machines[me]
        if machine.mine.chosen:
            return
        machine.prepare(self._new_value())
        assert machine.mine.prepared > self.oracle.acceptors[me].promise, "an own ballot is a new one"
        self.oracle.acceptors[me].hear_promise(machine.mine.prepared)
        self._show(me)

    @precondition(lambda self: self.preauth_free)
    @rule(early_only=st.booleans())
    def preauth(self, early_only: bool) -> None:
        """Acceptor 0 holds pre-auth; its row may be lost in a crash right after the early message (rule 6)."""
        self.preauth_free = False
        machine = self.machines[0]
        if not machine.mine.is_empty:
            return
        value = self._new_value()
        self.oracle.propose(1, value.id)
        self.sent.append(Sent(0, Record(1, 1, 0, value)))
        if early_only:
            self._restart(0)
            return
        machine.propose_preauth(value)
        self.oracle.acceptors[0].hear_proposal(1, value.id)
        self._show(0)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), to=st.integers(0, 4))
    def deliver(self, data: st.DataObject, to: int) -> None:
        """Any row ever shown may arrive anywhere, at any time, any number of times; newer ones more often."""
        to %= self.n
        back = data.draw(st.integers(0, min(len(self.sent) - 1, 12)))
        sender, row = self.sent[-1 - back]
        if sender != to:
            self._deliver(sender, row, to)

    def _deliver(self, sender: int, row: Record, to: int) -> None:
        machine, acceptor = self.machines[to], self.oracle.acceptors[to]
        was_chosen = machine.mine.chosen
        machine.update(sender, row)
        self.seen[to][sender][row.promised] = max(row.accepted, self.seen[to][sender].get(row.promised, 0))
        if not was_chosen and not row.chosen:
            acceptor.hear_promise(row.promised)
            if row.value is not None:
                acceptor.hear_proposal(row.accepted or row.promised, row.value.id)
        mine = machine.mine
        if not mine.chosen:
            assert (mine.promised, mine.accepted) == (acceptor.promise, acceptor.last_vote)
            assert mine.accepted == 0 or (mine.value is not None and mine.value.id == acceptor.votes[mine.accepted])
        if machine.propose():
            mine = machine.mine
            assert mine.value is not None
            ballot = mine.prepared
            assert self.oracle.is_safe(ballot, mine.value.id)
            self.oracle.propose(ballot, mine.value.id)
            acceptor.hear_proposal(ballot, mine.value.id)
        self._show(to)

    @rule(me=st.integers(0, 4))
    def crash(self, me: int) -> None:
        self._restart(me % self.n)

    def _restart(self, me: int) -> None:
        self.machines[me] = EntryMachine(self.n, me, self.machines[me].mine)
        self.seen[me] = [{} for _ in range(self.n)]
        self.preauth_free = self.preauth_free and me != 0

    @invariant()
    def one_value(self) -> None:
        chosen = self.oracle.chosen()
        assert len(chosen) <= 1
        for machine in self.machines:
            mine = machine.mine
            validate(mine)
            check_ballot(mine, machine.me, self.n)
            if mine.chosen:
                assert mine.value is not None
                assert {mine.value.id} == chosen, "what is marked chosen was chosen by votes"

    @invariant()
    def chosen_as_soon_as_known(self) -> None:
        """A machine that has before its eyes a majority of rows under one ballot says so (rule 3)."""
        for machine in self.machines:
            latest = [rows[max(rows)] if rows else 0 for rows in self.seen[machine.me]]
            latest[machine.me] = machine.mine.accepted
            if any(latest.count(ballot) > self.n // 2 for ballot in latest if ballot):
                assert machine.mine.chosen


AgainstClassicPaxos.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestAgainstClassicPaxos = AgainstClassicPaxos.TestCase
