"""The full scope, and the mutants: `python -m tests.modelcheck`. One core, about twenty minutes and four gigabytes.

Of it alone: `plans`, `mutants` (what is broken on purpose), `reentry` (rule 19 by itself).
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from time import perf_counter

from paxosstore.compiled import WHY_PURE

from .explorer import Explorer, Plan, Result
from .mutants import MUTANTS
from .plans import FULL
from .reentry import Model
from .reentry_plans import FULL as REENTRY
from .reentry_plans import REMOVED

LIMIT = 100_000_000


def main() -> int:
    """Print tables of plans and of what is broken on purpose; the number of rows that are not as they should be."""
    parts = {"plans": plans, "mutants": mutants, "reentry": reentry}
    parser = argparse.ArgumentParser(prog="python -m tests.modelcheck", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; none: all")
    wanted = parser.parse_args().parts
    if unknown := [part for part in wanted if part not in parts]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(parts)}")
    began = perf_counter()
    bad = sum(check() for part, check in parts.items() if part in wanted or not wanted)
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n{perf_counter() - began:.0f} s, {gigabytes:.1f} GB at most, {bad or 'nothing'} wrong")
    return min(bad, 1)


def plans() -> int:
    """Replicas that run production code."""
    bad = 0
    print(f"{'plan':52} {'states':>12} {'of a node':>10} {'seconds':>8}  verdict", flush=True)
    for name, plan in FULL.items():
        result, verdict = explore(plan)
        bad += verdict is not OK
        print(f"{name:52} {result.states:12,} {result.node_states:10,} {result.seconds:8.1f}  {verdict}", flush=True)
    return bad


def mutants() -> int:
    """The same, broken. They extend classes of the core, which compiled ones do not notice: in a pure process."""
    if not WHY_PURE:
        command = [sys.executable, "-m", "tests.modelcheck", "mutants"]
        return subprocess.run(command, env={**os.environ, "PAXOSSTORE_PURE": "1"}).returncode
    bad = 0
    print(f"\n{'mutant':52} {'states':>12} {'of a node':>10} {'seconds':>8}  found", flush=True)
    for mutant in MUTANTS:
        result = mutant.run(LIMIT)
        found = mutant.found in result.violation
        bad += not found
        last = result.violation.splitlines()[-1] if found else f"NOT FOUND: {mutant.found}"
        print(f"{mutant.name:52} {result.states:12,} {result.node_states:10,} {result.seconds:8.2f}  {last}", flush=True)
    return bad


def reentry() -> int:
    """Rule 19, and each of its clauses taken away."""
    bad = 0
    print(f"\n{'rule 19':52} {'states':>12} {'seconds':>19}  verdict", flush=True)
    for name, plan in REENTRY.items():
        states, seconds, violation = Model(plan).run(LIMIT)
        bad += bool(violation)
        print(f"{name:52} {states:12,} {seconds:19.1f}  {f'VIOLATION {violation}' if violation else OK}", flush=True)
    print(f"\n{'clause taken away':52} {'states':>12} {'seconds':>19}  found", flush=True)
    for removed in REMOVED:
        states, seconds, violation = removed.run(LIMIT)
        found = removed.found in violation
        bad += not found
        last = violation.splitlines()[-1] if found else f"NOT FOUND: {removed.found}"
        print(f"{removed.name:52} {states:12,} {seconds:19.2f}  {last}", flush=True)
    return bad


OK = "one value at most"


def explore(plan: Plan) -> tuple[Result, str]:
    """Explore a plan; where it can be settled as well, that has to come to the same."""
    explorer = Explorer(plan)
    result = explorer.run(LIMIT)
    if result.violation:
        return result, f"VIOLATION\n{result.violation}"
    if plan.joint and plan.crashes <= 1 and not (plan.hasty or plan.losses or plan.copies):
        settled = Explorer(plan._replace(joint=False))
        settled.run(LIMIT)
        if settled.seconds() != explorer.seconds():
            return result, "SETTLING LOSES STATES"
    return result, OK


if __name__ == "__main__":
    sys.exit(main())
