"""Some seeds of simulated_streams.py: an entry is delivered to one consumer and pending until it is acknowledged or claimed, and
who waits misses nothing, whatever happens to the nodes and to readers. They kill the mutants of tests/mutants/streams.py."""

from __future__ import annotations

import pytest

from .simulated_streams import run

SEEDS = (0, 7, 24, 32)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_entry_is_delivered_to_one(seed: int) -> None:
    report, _ = run(seed)
    assert report.operations
