"""Clusters under random load and faults; a failing seed is named, and `Workload(seed, print).run()` tells its story."""

from __future__ import annotations

from collections import Counter

import pytest

from paxosstore.core.batch import Reply
from paxosstore.core.entry import EntryMachine
from paxosstore.core.record import Value
from paxosstore.sim.workload import Violation, Workload

SEEDS = range(60)
RARE = (
    "values_adopted",
    "noops_proposed",
    "proposals_lost",
    "values_asked_for",
    "read_drives",
    "handed_over_taken_back",
    "settled_by_uuid",
    "entries_learned",
    "requests_unknown",
)
"""Branches of the protocol that a run which does not reach them says nothing about."""


def test_seeds_hold_and_reach_the_rare_branches() -> None:
    reached: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    for seed in SEEDS:
        try:
            report = Workload(seed).run()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        reached.update(report.counters)
        outcomes.update(report.outcomes)
    print(dict(outcomes), dict(reached))
    assert [name for name in RARE if not reached[name]] == []
    assert outcomes["done"] > sum(outcomes.values()) / 2
    assert {"DISKFULL", "FAILED", "UNKNOWN", "NOQUORUM"} <= set(outcomes)


def test_a_seed_is_a_story_that_repeats() -> None:
    story: list[str] = []
    first = Workload(7, story.append).run()
    assert Workload(7).run() == first
    assert Workload(8).run().trace_hash != first.trace_hash
    assert len(story) > 1_000


def fails_within(seeds: int) -> str:
    for seed in range(seeds):
        try:
            Workload(seed).run()
        except AssertionError as error:
            return str(error) or type(error).__name__
    return ""


def test_a_proposer_that_ignores_what_was_accepted_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(self: EntryMachine) -> Value | None:
        return None

    monkeypatch.setattr(EntryMachine, "found", property(found))
    assert fails_within(40)


def test_forgotten_uuids_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paxosstore.core.batch._uuids", lambda request: ())
    assert "twice" in fails_within(40) or "counts" in fails_within(40) or "refused" in fails_within(40)


def test_refusals_told_before_they_are_chosen_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reply, "encode", lambda self: b"+" + self.content)
    assert fails_within(40)


def test_violations_are_assertions() -> None:
    assert issubclass(Violation, AssertionError)
