"""Some seeds of simulated_calls.py: a call takes effect once, wherever it is repeated, whatever happens to the nodes."""

from __future__ import annotations

from collections import Counter

from .simulated_calls import run

SEEDS = (0, 9, 11, 13)


def test_what_is_called_takes_effect_once_and_gets_its_first_reply() -> None:
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        _, simulation = run(seed)
        seen += simulation.seen
    assert seen["told again"]
    assert seen["not done"]
    assert seen["UUIDEXPIRED"]
