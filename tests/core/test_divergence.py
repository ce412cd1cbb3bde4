"""Replicas that differ are noticed, and what is noticed is said and kept."""

from __future__ import annotations

import pytest

from paxosstore.core.entity.divergence import REMEMBERED, Divergence, RecentIds, decode
from paxosstore.core.entry.ids import value_id
from paxosstore.core.entry.machine import EntryMachine
from paxosstore.core.entry.record import Record, Value
from paxosstore.errors import Diverged

V, W = Value(value_id(0, 7, 1), b""), Value(value_id(1, 8, 1), b"")


def row(ballot: int, value: Value, *, chosen: bool = False) -> Record:
    return Record(0, ballot, ballot, value, chosen)


@pytest.mark.parametrize(
    ("n", "mine", "seen", "theirs", "excluded"),
    [
        pytest.param(3, row(4, V, chosen=True), {}, row(5, W, chosen=True), V, id="two values called chosen"),
        pytest.param(3, row(4, V, chosen=True), {}, row(5, V, chosen=True), None, id="one value called chosen twice"),
        pytest.param(3, row(4, V, chosen=True), {2: row(5, W)}, row(5, W), V, id="a majority accepts another"),
        pytest.param(3, row(4, V, chosen=True), {1: row(5, W)}, row(5, W), None, id="one vote twice is no majority"),
        pytest.param(3, row(4, V, chosen=True), {2: row(6, W)}, row(5, W), None, id="two ballots are no majority"),
        pytest.param(5, row(4, V, chosen=True), {2: row(6, W)}, row(6, W), None, id="two of five are no majority"),
        pytest.param(3, row(4, V), {}, row(4, W), V, id="two values under one ballot, here and there"),
        pytest.param(3, Record(), {2: row(4, V)}, row(4, W), V, id="two values under one ballot, both there"),
        pytest.param(3, row(4, V), {}, row(5, W), None, id="a later ballot may have another value"),
        pytest.param(3, row(4, V), {}, row(5, W, chosen=True), None, id="what was accepted may lose"),
        pytest.param(3, row(4, V, chosen=True), {}, Record(0, 9), None, id="a promise says nothing of values"),
        pytest.param(3, row(1, V), {}, Record(2, 2, 0, W), None, id="a pre-auth proposal is no vote yet"),
    ],
)
def test_a_row_that_cannot_be_true_beside_what_is_known(
    n: int, mine: Record, seen: dict[int, Record], theirs: Record, excluded: Value | None
) -> None:
    machine = EntryMachine(n, 0, mine)
    for peer, known in seen.items():
        machine.witness(peer, known)
    assert machine.excluded(1, theirs) == (b"" if excluded is None else excluded.id)


def test_the_last_chosen_ids_are_remembered() -> None:
    recent = RecentIds()
    assert recent.at(0) == recent.at(1) == b""
    for entry in range(1, 11):
        recent.applied(entry, b"%d" % entry)
    assert [recent.at(entry) for entry in range(10, 10 - REMEMBERED, -1)] == [b"10", b"9", b"8", b"7"]
    assert recent.at(10 - REMEMBERED) == recent.at(11) == b""


def test_ids_from_before_a_jump_are_not_taken_for_those_after_it() -> None:
    recent = RecentIds()
    recent.applied(1, b"one")
    recent.applied(9, b"nine")
    assert [recent.at(entry) for entry in (1, 8, 9, 10)] == [b"", b"", b"nine", b""]


def test_what_was_noticed_is_kept_and_read_again() -> None:
    found = Divergence(12, V.id, W.id, 2)
    assert decode(found.encode()) == found


def test_whoever_is_told_learns_where_what_and_what_to_do() -> None:
    text = Divergence(12, V.id, W.id, 2).describe(7, 0)
    for part in ("entity 7", "node 0", "node 2", "entry 12", V.id.hex(), W.id.hex(), "inspect entity 7 --entries 12"):
        assert part in text


def test_nobody_is_told_to_try_again() -> None:
    assert not Diverged.retry
    assert Diverged.outcome_known
