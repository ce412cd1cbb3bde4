"""What the simulated cluster calls a violation, and what it does not."""

from __future__ import annotations

import pytest

from paxosstore.core.entry.ids import value_id
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.message import ReadAnswer, ReadQuestion
from paxosstore.sim.invariants import Invariants, Violation

FIRST, OTHER = Value(value_id(2, 1, 1), b"first"), Value(value_id(0, 1, 1), b"other")


def vote(invariants: Invariants, node: int, entry: int, ballot: int, value: Value) -> None:
    invariants.durable(node, {(1, entry): Record(ballot, ballot, ballot, value, False)})


def answer(invariants: Invariants, highest: int) -> None:
    invariants.sent(2, ReadAnswer(1, 7, highest, highest, FIRST.id), {})


@pytest.mark.parametrize("asked_first", [False, True])
def test_a_vote_that_decided_nothing_may_go_with_its_disk(asked_first: bool) -> None:
    """Also where another value was chosen without it, before or after."""
    invariants = Invariants(3)
    for node in (1, 2):
        vote(invariants, node, 1, 3, FIRST)
    vote(invariants, 2, 2, 3, FIRST)
    for node in (0, 1):
        vote(invariants, node, 2, 4, OTHER)
    if asked_first:
        invariants.sent(0, ReadQuestion(1, 7), {})
    invariants.disk_changed(2)
    if not asked_first:
        invariants.sent(0, ReadQuestion(1, 7), {})
    answer(invariants, 1)
    with pytest.raises(Violation, match="hides a vote"):
        answer(invariants, 0)


def test_a_vote_that_decided_may_not() -> None:
    invariants = Invariants(3)
    vote(invariants, 2, 1, 3, FIRST)
    invariants.disk_changed(2)
    vote(invariants, 1, 1, 3, FIRST)  # its voter's word was under way
    invariants.sent(0, ReadQuestion(1, 7), {})
    with pytest.raises(Violation, match="hides a vote"):
        answer(invariants, 0)
