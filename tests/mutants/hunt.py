"""Run as a program of its own, over whatever package it finds: seeds from 0 on until one fails. Prints what it found as JSON."""

from __future__ import annotations

import gc
import json
import signal
import sys
import time
from types import FrameType

from paxosstore.sim.plan import draw_plan
from paxosstore.sim.simulation import Simulation
from paxosstore.sim.workload import STANDARD

NOT_A_MISTAKE = (NameError, AttributeError, ImportError)
"""The mutant itself does not run: that is no finding."""


PATIENCE_S = 300
"""For one seed, which takes a second: what never ends was noticed as well."""


def _give_up(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"the seed did not end within {PATIENCE_S} s")


def hunt(seeds: int) -> tuple[int, str]:
    """How many seeds were run, and what the last one failed with; empty: nothing."""
    for seed in range(seeds):
        signal.alarm(PATIENCE_S)
        try:
            Simulation(draw_plan(seed, STANDARD), STANDARD).run()
        except NOT_A_MISTAKE:
            raise
        except Exception as error:  # whatever it is, it was noticed
            return seed + 1, f"{type(error).__name__}: {error}"
    signal.alarm(0)
    return seeds, ""


if __name__ == "__main__":
    gc.set_threshold(100_000)  # rarely, but not only between seeds: that of a mutant may never end
    signal.signal(signal.SIGALRM, _give_up)
    started = time.monotonic()
    seeds, check = hunt(int(sys.argv[1]))
    print(json.dumps({"seeds": seeds, "check": check, "seconds": time.monotonic() - started}))
