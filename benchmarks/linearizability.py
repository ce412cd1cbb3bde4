"""How long the checker takes for histories of random atomic objects, good ones and such with one reply changed.

python -m benchmarks.linearizability                                   400 operations of 5 clients
python -m benchmarks.linearizability --operations 2000 --clients 20    what is hard
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time

from rich.console import Console
from rich.table import Table

from paxosstore.sim.history import Operation
from paxosstore.sim.linearizability import ModelOf, Undecided, check
from tests.sim.histories import MIXES, atomic_history, with_one_reply_changed

TARGET_MS = 500.0


def timed(history: list[Operation], model: ModelOf) -> tuple[str, float]:
    """The verdict in a word, and milliseconds of CPU."""
    started = time.process_time()
    try:
        word = "good" if check(history, model).good else "bad"
    except Undecided:
        word = "undecided"
    return word, (time.process_time() - started) * 1_000.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30, help="histories per line")
    parser.add_argument("--operations", type=int, default=400)
    parser.add_argument("--clients", type=int, default=5)
    options = parser.parse_args()
    table = Table("object", "unknown", "a reply changed", "bad", "undecided", "median ms", "max ms")
    slowest = 0.0
    for name, mix in MIXES.items():
        for unknown in (0.0, 0.2):
            for changed in (False, True):
                results = []
                for seed in range(options.seeds):
                    history = atomic_history(mix, seed, options.operations, options.clients, unknown)
                    if changed:
                        history = with_one_reply_changed(history, random.Random(seed))
                    results.append(timed(history, mix.model))
                words = [word for word, _ in results]
                times = [ms for _, ms in results]
                slowest = max(slowest, *times)
                counts = [f"{words.count(word)}/{len(words)}" for word in ("bad", "undecided")]
                figures = [f"{ms:.1f}" for ms in (statistics.median(times), max(times))]
                table.add_row(name, f"{unknown:.0%}", "yes" if changed else "no", *counts, *figures)
    console = Console(width=130)
    console.print(table)
    console.print(
        f"{options.operations} operations of {options.clients} clients: at most {slowest:.0f} ms (aim: {TARGET_MS:.0f} ms)"
    )
    return 0 if slowest <= TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
