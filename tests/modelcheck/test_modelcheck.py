"""Every state of a small scope: one value at most in each, at both entries. And the exploration itself: it can fail."""

from __future__ import annotations

from functools import cache

import pytest

from ..pure import PURE_ONLY
from .explorer import Explorer, Plan, Result, Rounds
from .mutants import MUTANTS, Mutant
from .plans import SMALL

LIMIT = 1_000_000


@cache
def explored(plan: Plan) -> tuple[Explorer, Result]:
    explorer = Explorer(plan)
    return explorer, explorer.run(LIMIT)


@pytest.mark.parametrize(
    ("name", "floor", "values"),
    [
        ("one entry, rounds 2 : 1", 70_000, (3, 0)),
        ("two entries, two ballots each, a crash", 150_000, (2, 2)),
        ("both at once, one ballot each, a crash", 150_000, (2, 2)),
        ("both at once, hasty", 70_000, (1, 1)),
        ("a lost disk", 50_000, (2, 0)),
        ("copied data, expired rows", 60_000, (1, 2)),
    ],
)
def test_one_value_at_most(name: str, floor: int, values: tuple[int, int]) -> None:
    _, result = explored(SMALL[name])
    print(f"\n{name}: {result.states:,} states, {result.node_states:,} of a node")
    assert result.violation == ""
    assert result.states > floor, "the exploration has become smaller: what does it leave out?"
    assert tuple(map(len, result.chosen)) == values, "every round's value is chosen in some state, or too little was explored"


@PURE_ONLY
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_broken_rule_is_found(mutant: Mutant) -> None:
    result = mutant.run(LIMIT)
    print(f"\n{result.violation}\nafter {result.states:,} states")
    assert mutant.found in result.violation.splitlines()[-1]


@pytest.mark.parametrize(
    "plan",
    [
        SMALL["both at once, one ballot each, a crash"],
        Plan((1,), Rounds((1, 1, 0), 2), Rounds((1, 1, 0), 1), joint=True),
    ],
    ids=["a crash", "two ballots"],
)
def test_settling_loses_nothing(plan: Plan) -> None:
    """What the replicas can have at the second entry is the same, whether the first is settled before or not."""
    joint, whole = explored(plan)
    settled, part = explored(plan._replace(joint=False))
    assert joint.seconds() == settled.seconds()
    assert part.states < whole.states / 5


def test_any_two_proposers_have_the_same_states() -> None:
    """Ballots are compared, never counted; so replicas 0 and 1 may stand for any two of three."""
    plans = [
        Plan((before,), Rounds(by, 2), Rounds(by, 1), crashes=1)
        for before, by in ((0, (1, 1, 0)), (0, (1, 0, 1)), (1, (0, 1, 1)))
    ]
    results = [explored(plan)[1] for plan in plans]
    assert len({(result.states, result.node_states) for result in results}) == 1


def test_a_violation_tells_how_it_came_about() -> None:
    mutant = next(mutant for mutant in MUTANTS if mutant.breaks.__name__ == "shows_preauth_as_accepted")
    lines = mutant.run(LIMIT).violation.splitlines()
    assert lines[0].startswith("0 begins a round; entry 2: 1/1/1 v0.1")
    assert any(line.startswith("0 crashes") for line in lines)
    assert lines[-1] == "two values chosen at entry 2"


def test_too_many_states_are_an_error() -> None:
    with pytest.raises(AssertionError, match="more than 100 states"):
        Explorer(SMALL["one entry, rounds 2 : 1"]).run(100)
