"""Rule 19 by itself (`reentry.py`): nothing is lost in any order of events, and each clause is needed for that."""

from __future__ import annotations

import pytest

from .reentry import Clauses, Model, Plan
from .reentry_plans import FOUNDING, FOUNDING_DAMAGED, PREAUTH, REMOVED, SMALL, Removed

LIMIT = 500_000


@pytest.mark.parametrize(("name", "plan"), SMALL.items(), ids=SMALL)
def test_one_value_at_most(name: str, plan: Plan) -> None:
    result = Model(plan).run(LIMIT)
    print(f"\n{name}: {result.states:,} states")
    assert result.violation == ""
    assert result.states > 1_000, "the exploration has become smaller: what does it leave out?"


@pytest.mark.parametrize("removed", REMOVED, ids=lambda removed: removed.name)
def test_each_clause_is_needed(removed: Removed) -> None:
    result = removed.run(LIMIT)
    print(f"\n{result.violation}\nafter {result.states:,} states")
    assert removed.found in result.violation.splitlines()[-1]


def test_every_clause_is_taken_away() -> None:
    assert {removed.clause for removed in REMOVED} == set(Clauses._fields)


def test_a_founding_without_losses() -> None:
    assert Model(FOUNDING._replace(in_all=0)).run(LIMIT).violation == ""


def test_a_store_that_was_damaged_before_the_cluster_has_begun_may_begin_it() -> None:
    """Rule 19f; else the plans with damage would say nothing of it."""
    model = Model(FOUNDING_DAMAGED)
    assert model.run(LIMIT).violation == ""
    assert any(node.life and not node.damaged and node.life in node.founded for node in model._nodes)


def test_a_violation_tells_how_it_came_about() -> None:
    """Rule 19b's example: the old life's proposal reaches a peer after the new life has voted for another value."""
    lines = Removed("fence", PREAUTH._replace(reads=False), "").run(LIMIT).violation.splitlines()
    assert lines[0] == "0 proposes 100 by pre-auth"
    assert "0 loses its disk" in lines
    assert "1 hears 0: 1/1/1 100" in lines[lines.index("0 loses its disk") :]
    assert lines[-1].startswith("two values chosen")


def test_too_many_states_are_an_error() -> None:
    with pytest.raises(AssertionError, match="more than 100 states"):
        Model(PREAUTH).run(100)
