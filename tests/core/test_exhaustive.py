"""Every state of one entry: two proposers, three acceptors, two ballots each, a bad network, one crash. One value at most."""

from __future__ import annotations

import pytest

from paxosstore.core.entry.machine import EntryMachine
from paxosstore.core.entry.record import Record, Value

from ..pure import PURE_ONLY
from .explorer import Explorer, Plan

LIMIT = 3_000_000
NOBODY = (False, False, False)
NODE_0 = (True, False, False)
ANYBODY = (True, True, True)


@pytest.mark.parametrize(
    ("plan", "floor", "values"),
    [
        pytest.param(Plan((2, 1, 0), NOBODY), 70_000, 2, id="2+1 prepares, everything"),
        pytest.param(Plan((1, 1, 0), NODE_0, ANYBODY), 150_000, 4, id="pre-auth+1 against 1, any crash, everything"),
        pytest.param(Plan((1, 2, 0), NODE_0, ANYBODY, thin=True), 700_000, 4, id="pre-auth+1 against 2, any crash"),
        pytest.param(Plan((2, 2, 0), NOBODY, NODE_0, thin=True), 1_000_000, 3, id="2+2 prepares, proposer 0 may crash"),
    ],
)
def test_one_value_at_most(plan: Plan, floor: int, values: int) -> None:
    result = Explorer(plan).run(LIMIT)
    print(f"\n{plan}: {result.states:,} states, {result.node_states:,} states of a node")
    assert result.violation == ""
    assert result.states > floor, "the exploration has become smaller: what does it leave out?"
    assert len(result.chosen) == values, "every proposed value is chosen in some state, or too little was explored"


# -- the exploration can fail: break a rule, and it finds two chosen values

TWO = "two values chosen"


class AdoptsNothing(EntryMachine):
    """Rule 2: proposes its own value, whatever was accepted before."""

    __slots__ = ()

    @property
    def found(self) -> Value | None:
        return None


class AdoptsTheLowest(EntryMachine):
    """Rule 2: takes a value that was accepted, but not under the highest ballot."""

    __slots__ = ()

    @property
    def found(self) -> Value | None:
        return min((row for row in self.rows if row.accepted), key=lambda row: row.accepted, default=Record()).value


class ForgetsItsPromise(EntryMachine):
    """Rule 2: accepts below what it has promised."""

    __slots__ = ()

    def update(self, peer: int, theirs: Record) -> None:
        mine = self.mine
        if not mine.chosen and mine.accepted < theirs.accepted < mine.promised:
            self.rows[self.me] = mine._replace(prepared=min(mine.prepared, mine.accepted), promised=mine.accepted)
        super().update(peer, theirs)


class ProposesWithoutMajority(EntryMachine):
    """Rule 2: its own promise is enough."""

    __slots__ = ()

    @property
    def has_promises(self) -> bool:
        return self.mine.promised == self.mine.prepared


class CountsAnyBallot(EntryMachine):
    """Rule 3: takes a majority that accepted anything for a majority under one ballot."""

    __slots__ = ()

    def _conclude(self) -> None:
        rows = [row for row in self.rows if row.accepted and row.value is not None]
        if len(rows) >= 2:
            last = max(rows, key=lambda row: row.accepted)
            assert last.value is not None
            self.learn(last.accepted, last.value)


class CountsTheEarlySender(EntryMachine):
    """Rule 6: takes a pre-auth proposal for a durable row of its sender."""

    __slots__ = ()

    def update(self, peer: int, theirs: Record) -> None:
        if theirs.accepted == 0 and theirs.value is not None:
            theirs = theirs._replace(accepted=theirs.promised)
        super().update(peer, theirs)


@PURE_ONLY
@pytest.mark.parametrize(
    ("machine", "plan", "found"),
    [
        (AdoptsNothing, Plan((1, 1, 0), NOBODY), TWO),
        (AdoptsTheLowest, Plan((2, 2, 0), NOBODY, thin=True), TWO),
        (ForgetsItsPromise, Plan((1, 1, 0), NOBODY), TWO),
        (ProposesWithoutMajority, Plan((1, 1, 0), NOBODY), TWO),
        (CountsAnyBallot, Plan((1, 1, 0), NODE_0), TWO),
        (CountsTheEarlySender, Plan((1, 1, 0), NODE_0, NODE_0), TWO),
        (EntryMachine, Plan((0, 0, 0), (True, True, False)), TWO),  # rule 5: two hold pre-auth
        (
            EntryMachine,
            Plan((0, 0, 0), NODE_0, NODE_0, preauth_again=True),
            "one ballot, one value",
        ),  # rule 6: pre-auth after a load
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_broken_rule_is_found(machine: type[EntryMachine], plan: Plan, found: str) -> None:
    assert found in Explorer(plan, machine).run(LIMIT).violation
