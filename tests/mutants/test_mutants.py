"""The registry has not rotted: every mutant can be made of the code as it is, and the hunt finds some at once."""

from __future__ import annotations

import ast

import pytest

from .mutant import Mutant, mutant
from .registry import BY_NAME, MUTANTS
from .runner import PACKAGE, hunt_all

QUICK = ("ballots shared", "own value first", "released before the sync", "max plog not raised", "applied twice")


@pytest.mark.parametrize("one", MUTANTS, ids=lambda one: one.name)
def test_a_mutant_can_be_made_of_the_code(one: Mutant) -> None:
    texts = one.texts(PACKAGE)
    assert texts
    for file, text in texts.items():
        assert text != (PACKAGE / file).read_text()
        ast.parse(text)


def test_every_rule_has_one() -> None:
    assert {one.rule for one in MUTANTS} >= {*range(1, 19), 20}
    assert len(BY_NAME) == len(MUTANTS)


def test_some_are_killed_at_once() -> None:
    findings = hunt_all([BY_NAME[name] for name in QUICK], seeds=100, jobs=2)
    assert [finding.mutant.name for finding in findings if not finding.check] == []


def test_one_that_a_test_shows() -> None:
    (finding,) = hunt_all([BY_NAME["floor at the highest entry"]], seeds=0, jobs=1)
    assert finding.check.startswith("tests/core/test_reentry_rules.py::")


def test_one_that_no_test_shows_has_survived() -> None:
    unseen = BY_NAME["floor at the highest entry"]._replace(shown_by="tests/core/test_voters.py")
    (finding,) = hunt_all([unseen], seeds=0, jobs=1)
    assert finding.check == ""


def test_a_mutant_that_fits_nothing_is_an_error() -> None:
    lost = mutant("lost", 1, "", ("core/entry/ids.py", "what is not there", ""))
    with pytest.raises(ValueError, match=r"lost|core/ids\.py"):
        lost.texts(PACKAGE)
