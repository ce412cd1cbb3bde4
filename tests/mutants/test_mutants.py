"""The registry has not rotted: every mutant can be made of the code as it is, and the hunt finds some at once."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

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


def test_no_mutant_names_what_is_not_there(tmp_path: Path) -> None:
    """It would not run, which is no finding; only a run of all of them would show it."""
    for number, one in enumerate(MUTANTS):
        for file, text in one.texts(PACKAGE).items():
            copy = tmp_path / str(number) / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text)
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--select",
        "F821",
        "--output-format",
        "concise",
        str(tmp_path),
    ]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


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


def test_one_that_never_ends_was_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.mutants.runner.PATIENCE_S", 5.0)
    endless = mutant(
        "endless",
        1,
        "",
        ("core/entry/ids.py", "FIRST_ENTRY = 1\n", "while True:\n    pass\n"),
        shown_by="tests/core/test_voters.py",
    )
    (finding,) = hunt_all([endless], seeds=0, jobs=1)
    assert "did not end" in finding.check


def test_a_mutant_that_fits_nothing_is_an_error() -> None:
    lost = mutant("lost", 1, "", ("core/entry/ids.py", "what is not there", ""))
    with pytest.raises(ValueError, match=r"lost|core/ids\.py"):
        lost.texts(PACKAGE)
