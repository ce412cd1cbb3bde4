"""The full scope, and the mutants: `python -m tests.modelcheck`. One core, about ten minutes and four gigabytes."""

from __future__ import annotations

import resource
import sys
from time import perf_counter

from .explorer import Explorer, Plan, Result
from .mutants import MUTANTS
from .plans import FULL

LIMIT = 100_000_000


def main() -> int:
    """Print a table of plans and one of mutants; the number of rows that are not as they should be."""
    began = perf_counter()
    bad = 0
    print(f"{'plan':52} {'states':>12} {'of a node':>10} {'seconds':>8}  verdict", flush=True)
    for name, plan in FULL.items():
        result, verdict = explore(plan)
        bad += verdict is not OK
        print(f"{name:52} {result.states:12,} {result.node_states:10,} {result.seconds:8.1f}  {verdict}", flush=True)
    print(f"\n{'mutant':52} {'states':>12} {'of a node':>10} {'seconds':>8}  found", flush=True)
    for mutant in MUTANTS:
        result = mutant.run(LIMIT)
        found = mutant.found in result.violation
        bad += not found
        last = result.violation.splitlines()[-1] if found else f"NOT FOUND: {mutant.found}"
        print(f"{mutant.name:52} {result.states:12,} {result.node_states:10,} {result.seconds:8.2f}  {last}", flush=True)
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n{perf_counter() - began:.0f} s, {gigabytes:.1f} GB at most, {bad or 'nothing'} wrong")
    return min(bad, 1)


OK = "one value at most"


def explore(plan: Plan) -> tuple[Result, str]:
    """Explore a plan; where it can be settled as well, that has to come to the same."""
    explorer = Explorer(plan)
    result = explorer.run(LIMIT)
    if result.violation:
        return result, f"VIOLATION\n{result.violation}"
    if plan.joint and plan.crashes <= 1 and not plan.hasty:
        settled = Explorer(plan._replace(joint=False))
        settled.run(LIMIT)
        if settled.seconds() != explorer.seconds():
            return result, "SETTLING LOSES STATES"
    return result, OK


if __name__ == "__main__":
    sys.exit(main())
