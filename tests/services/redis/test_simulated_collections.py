"""Some seeds of simulated_collections.py: every kind is linearizable, and what has an end, whatever happens to the nodes."""

from __future__ import annotations

from paxosstore.sim.collections import EXPIRE

from .simulated_collections import run


def test_collections_are_linearizable_and_so_are_their_ends() -> None:
    operations = ends = 0
    for seed in range(8):
        report, simulation = run(seed)
        operations, ends = operations + report.operations, ends + simulation.seen(EXPIRE, reply=1)
    assert operations > 300
    assert ends > 3
