"""Some seeds of simulated_once.py: what is under a uuid takes effect once, wherever it is repeated, whatever happens to the
nodes. They are seeds that kill the mutants of tests/mutants/once.py."""

from __future__ import annotations

from collections import Counter

from .simulated_once import run

SEEDS = (0, 9, 11, 13)


def test_what_is_repeated_takes_effect_once_and_gets_its_first_reply() -> None:
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        _, simulation = run(seed)
        seen += simulation.seen
    assert seen["told again"]
    assert seen["not done"]
    assert seen["UUIDEXPIRED"]
