"""Many seeds of a simulation of this service, from the command line."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from paxosstore.sim.simulation import Report

S = TypeVar("S")


def run_seeds(run: Callable[[int], tuple[Report, S]], seen: Callable[[S], Counter[str]]) -> None:
    """NUMBER [FIRST]: run so many seeds, say what happened and what was `seen`, and end with 1 if one has failed."""
    number, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    operations = undecided = 0
    counts: Counter[str] = Counter()
    failed = []
    for seed in range(first, first + number):
        try:
            report, simulation = run(seed)
        except Exception as error:  # whatever it is, it is the seed's finding
            failed.append(seed)
            print(f"seed {seed} fails: {type(error).__name__}: {error}", flush=True)
            continue
        operations, undecided, counts = operations + report.operations, undecided + report.undecided, counts + seen(simulation)
    print(f"{number} seeds: {operations} operations, {dict(counts)}, {undecided} histories undecided, failed: {failed or 'none'}")
    sys.exit(bool(failed))
