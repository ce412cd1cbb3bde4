"""The runner of the clients' jobs: what counts as working, and the table. The jobs themselves: `make clients`."""

import sys

import pytest

from .__main__ import HERE, Job, Outcome, run, table

HARMED = "print('@with thing 1.0'); print('@harm', flush=True); input(); print('@did something')"


class Target:
    """Counts what is done to it."""

    servers = (("127.0.0.1", 1), ("127.0.0.1", 2))

    def __init__(self) -> None:
        self.kills: list[str] = []

    def heal(self) -> None:
        self.kills.append("healed")

    def harm(self, kill: str) -> None:
        self.kills.append(kill)


def run_python(text: str, target: Target) -> Outcome:
    return run(Job("job", (sys.executable, "-c", text)), target, "other")


def test_a_job_works_if_it_was_harmed_in_its_middle_and_says_what_it_did() -> None:
    target = Target()
    outcome = run_python(HARMED, target)
    assert outcome.works
    assert (outcome.used, outcome.did) == ("thing 1.0", "something")
    assert target.kills == ["healed", "other"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("print('@did something')", "it ended with 0 and said nothing"),  # never harmed
        ("print('@harm', flush=True); input()", "it ended with 0 and said nothing"),  # did nothing
        (f"{HARMED}; raise SystemExit('a value was lost')", "a value was lost"),
    ],
)
def test_a_job_fails_if_it_was_not_harmed_or_did_nothing_or_says_so(text: str, reason: str) -> None:
    outcome = run_python(text, Target())
    assert not outcome.works
    assert outcome.reason == reason


def test_the_table_has_a_row_for_each_job_and_says_why_one_fails() -> None:
    good, bad = Outcome(0, "a 1", "much", harmed=True), Outcome(1, "b 2", harmed=True, words=["Error: x | y"])
    lines = table({"one": {"none": good, "own": good}, "two": {"none": good, "own": bad}}, ["none", "own"]).splitlines()
    assert lines[2] == "| one | a 1 | works | works | much |"
    assert lines[3] == "| two | a 1 | works | fails | Error: x \\| y |"


def test_no_job_hides_another_of_its_name() -> None:
    """One of node.js had the name of one in Python, which was never run."""
    names = [path.stem[4:] for folder in ("jobs", "node") for path in (HERE / folder).glob("job_*.[jp]*")]
    assert len(names) == len(set(names)) > 15
