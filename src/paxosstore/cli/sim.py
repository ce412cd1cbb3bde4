"""`paxosstore sim`: seeds of the simulated cluster, one as a story or many as a table."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..errors import InvalidRequest
from ..sim.campaign import BRANCHES, SEEDS_FOR_ALL_BRANCHES, Summary, campaign, load_workload
from ..sim.plan import Plan, draw_plan
from ..sim.shrink import Selection, parse, select, shrink
from ..sim.simulation import Simulation
from ..sim.workload import Workload


def run_one(seed: int, workload: str, only: str, *, trace: bool, smaller: bool) -> int:
    """Run one seed, or what is left of it; as a story, and made smaller, if asked for. Returns the exit code."""
    requests = load_workload(workload)
    plan = draw_plan(seed, requests)
    plan = select(plan, parse(only, plan))
    if smaller:
        return _shrink(plan, requests, workload, trace=trace)
    return _tell(plan, requests, trace=trace)


def run_many(first: int, seeds: int | None, minutes: float | None, jobs: int, workload: str, keep: Path | None) -> int:
    """Run many seeds and show what they reached. Returns the exit code."""
    load_workload(workload)
    if seeds is None and minutes is None:
        raise InvalidRequest("sim: --seed, --seeds or --minutes is needed")

    def progress(part: Summary, whole: Summary) -> None:
        for failure in part.failures:
            print(f"seed {failure.seed} failed: {failure.check}\n    {failure.replay}", flush=True)
            if keep is not None:
                keep.parent.mkdir(parents=True, exist_ok=True)
                with keep.open("a", encoding="utf-8") as file:
                    file.write(f"{failure.seed}\t{' '.join(failure.check.split())}\n")

    seconds = None if minutes is None else minutes * 60.0
    summary = campaign(first, seeds, seconds, jobs or os.cpu_count() or 1, workload, progress)
    _show(summary)
    return 0 if summary.held else 1


def _tell(plan: Plan, workload: Workload, *, trace: bool) -> int:
    print(_describe(plan))
    try:
        report = Simulation(plan, workload, print if trace else None).run()
    except AssertionError as error:
        print(f"FAILED: {type(error).__name__}: {error}")
        return 1
    print(f"held: {report.operations} operations, {report.events} events, trace {report.trace_hash}")
    return 0


def _shrink(plan: Plan, requests: Workload, workload: str, *, trace: bool) -> int:
    if not _tell(plan, requests, trace=False):
        print("nothing to shrink: this seed holds")
        return 0
    least = shrink(plan, requests, lambda selection: print(f"smaller: {_size(selection)}", flush=True))
    option = f" --workload {workload}" if workload else ""
    print(f'replay: paxosstore sim --seed {plan.seed}{option} --only "{least}" --trace')
    return _tell(select(plan, least), requests, trace=trace)


def _size(selection: Selection) -> str:
    return f"{len(selection.faults)} faults, {len(selection.asks)} requests"


def _describe(plan: Plan) -> str:
    what = f"{plan.nodes} nodes, {len(plan.clients)} clients, {plan.size} requests and faults in {plan.length_ms:g} ms"
    return "\n".join([f"seed {plan.seed}: {what}", *(f"  {fault}" for fault in plan.faults)])


def _show(summary: Summary) -> None:
    console = Console(width=None if os.isatty(1) else 120)
    table = Table(title="how often each rare branch was taken, and each fault struck", title_justify="left")
    for _ in range(3):
        table.add_column("what")
        table.add_column("times", justify="right")
    cells = [(name, f"{summary.branches[name]:,}" if summary.branches[name] else "[red]never[/red]") for name in BRANCHES]
    for at in range(0, len(cells), 3):
        table.add_row(*(text for cell in cells[at : at + 3] for text in cell))
    console.print(table)
    console.print("outcomes: " + ", ".join(f"{code} {number:,}" for code, number in summary.outcomes.most_common()))
    console.print(
        f"{summary.seeds:,} seeds, {len(summary.failures)} failed, {summary.operations:,} operations judged, "
        f"{summary.undecided} histories undecided; {summary.events:,} events in {summary.seconds:.1f} s, "
        f"{summary.events / max(summary.seconds, 0.001):,.0f} a second",
        highlight=False,
    )
    if summary.unreached and summary.seeds >= SEEDS_FOR_ALL_BRANCHES:
        console.print(f"never reached: {', '.join(summary.unreached)}", style="red")
