"""Some seeds of simulated_waiting.py: what was pushed is handed to one who waits, or is still there, whatever happens to the
nodes and to those who wait. They are seeds that kill the mutants of tests/mutants/collections.py."""

from __future__ import annotations

import pytest

from .simulated_waiting import run

SEEDS = (0, 9, 14, 21, 33, 35)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_pushed_is_handed_to_one(seed: int) -> None:
    report, _ = run(seed)
    assert report.operations
