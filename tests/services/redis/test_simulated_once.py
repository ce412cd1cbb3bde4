"""Some seeds of simulated_once.py: what is under a uuid takes effect once, wherever it is repeated, whatever happens to the
nodes. They are seeds that kill the mutants of tests/mutants/once.py."""

from __future__ import annotations

from collections import Counter

from .simulated_once import run

SEEDS = (0, 9, 11, 13)
CHOSEN_AFTER_A_RESTART = 77000041
"""A proposer is started again before its votes come: with them it knows that its value is chosen, and two had not heard of it."""


def test_who_finds_its_value_chosen_after_a_restart_tells_all() -> None:
    run(CHOSEN_AFTER_A_RESTART)


def test_what_is_repeated_takes_effect_once_and_gets_its_first_reply() -> None:
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        _, simulation = run(seed)
        seen += simulation.seen
    assert seen["told again"]
    assert seen["not done"]
    assert seen["UUIDEXPIRED"]
