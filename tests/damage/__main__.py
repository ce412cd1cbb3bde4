"""`python -m tests.damage`: so many harms, each to one file of one node of three."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

from .campaign import Campaign, Failure, Outcome
from .small import small_stores


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.damage", description=__doc__)
    parser.add_argument("--harms", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL + 1)

    def told(outcome: Outcome) -> None:
        if arguments.verbose:
            print(f"{outcome.became:11} {outcome.harm}: {outcome.said[:200]}", flush=True)

    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="paxosstore-damage-") as folder, small_stores():
        campaign = Campaign(Path(folder), arguments.seed)
        try:
            asyncio.run(campaign.run(arguments.harms, arguments.seconds, told))
        except Failure as failure:
            print(f"FAILED (seed {arguments.seed}): {failure}")
            return 1
        finally:
            for what, count in sorted(campaign.counts.items()):
                print(f"{count:6} {what}")
            print(f"{len(campaign.outcomes)} harms in {time.monotonic() - began:.0f} s, seed {arguments.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
