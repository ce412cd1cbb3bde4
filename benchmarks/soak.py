"""Runs seeds of the simulated cluster until the time is over; keeps the seeds that failed.

make soak ARGS="--minutes 60 --first 1000000"
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from paxosstore.sim.workload import Workload


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--out", type=Path, default=Path("out/soak-failed-seeds.txt"))
    options = parser.parse_args()
    started = time.monotonic()
    seed, failed, events = options.first, 0, 0
    outcomes: Counter[str] = Counter()
    counters: Counter[str] = Counter()
    while time.monotonic() - started < options.minutes * 60:
        try:
            report = Workload(seed).run()
        except AssertionError as error:
            failed += 1
            options.out.parent.mkdir(parents=True, exist_ok=True)
            with options.out.open("a", encoding="utf-8") as file:
                file.write(f"{seed}\t{type(error).__name__}: {error}\n")
            print(f"seed {seed} failed: {error}", flush=True)
        else:
            outcomes.update(report.outcomes)
            counters.update(report.counters)
            events += report.events
        seed += 1
    seconds = time.monotonic() - started
    print(f"{seed - options.first} seeds, {failed} failed, {events / seconds:,.0f} events/s")
    print("outcomes:", dict(outcomes))
    print("branches:", dict(counters))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
