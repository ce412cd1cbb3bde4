"""Many seeds, on several cores, until the number or the time is reached; and what they reached."""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count, islice
from typing import NamedTuple

from ..errors import ConfigError
from .plan import DAMAGES, FAULTS, LOSSES, draw_plan
from .simulation import Report, Simulation
from .workload import STANDARD, Workload

SEEDS_PER_TASK = 20
BRANCHES = (
    "values_adopted",
    "noops_proposed",
    "proposals_lost",
    "proposals_repeated",
    "rounds_widened",
    "races_lost",
    "preauth_lost",
    "lease_waits",
    "values_asked_for",
    "read_drives",
    "handed_over_late",
    "handed_over_taken_back",
    "taken_over",
    "way_asked",
    "way_given",
    "way_given_in_vain",
    "settled_by_uuid",
    "uuids_reused",
    "entries_learned",
    "entries_learned after a restart",
    "entries_read_ahead",
    "applies_held",
    "entries_held",
    "messages_dropped",
    "turns_cut",
    "proposals_held",
    "catchups_held",
    "catchups_paced",
    "answers_paced",
    "entities_behind",
    "comparisons_repeated",
    "digests_late",
    "digests_not_ready",
    "requests_unknown",
    "requests_refused",
    "refused_without_majority",
    "evictions",
    "evictions_held",
    "gulps",
    "entries_gone",
    "snapshots_wanted",
    "snapshots_held",
    "snapshots_not_needed",
    "snapshots_refused",
    "snapshots_timed_out",
    "snapshots_recovered",
    "snapshots_installed",
    "snapshots_not_given",
    "snapshots_abandoned",
    "snapshot_pieces_late",
    "rows that expired",
    "power cut at BeginInstall",
    "power cut at InstallRows",
    "power cut at EndInstall",
    "power cut at SetStanding",
    "power cut at SetFloor",
    "a copy was put back",
    "a disk came back after a peer's was lost",
    "the original came after its copy",
    "peers_fenced",
    "messages_fenced",
    "copies_found_out",
    "reentries",
    "floors_set",
    "floors_passed",
    "defaults_settled",
    "rows_inherited",
    "accepted, not applied, when a majority was lost",
    "votes_withheld",
    "learn_only_switches",
    "refused_learning",
    "answers_withheld",
    "fills_asked",
    "entries_filled",
    "reads_handed_over",
    "overdue_for_the_disk",
    "dropped_for_the_disk",
    "compared with all",
    "compared in part",
    "a row was changed and found",
    "a row was added and found",
    "a row was deleted and found",
    "pieces_listed",
    "views_paused",
    "views_abandoned",
    *FAULTS,
    *LOSSES,
    "entities_damaged",
    *DAMAGES,
)
"""The rare ones: seeds that do not reach them say nothing about them."""
SEEDS_FOR_ALL_BRANCHES = 300
"""So many seeds must reach every branch."""


class Failure(NamedTuple):
    """A seed that broke a promise."""

    seed: int
    check: str

    @property
    def replay(self) -> str:
        return f"paxosstore sim --seed {self.seed} --trace"


@dataclass(slots=True)
class Summary:
    """What a campaign did."""

    seeds: int = 0
    operations: int = 0
    undecided: int = 0
    events: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    branches: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def add(self, report: Report) -> None:
        self.operations += report.operations
        self.undecided += report.undecided
        self.events += report.events
        self.outcomes += report.outcomes
        self.branches += report.branches

    def join(self, other: Summary) -> None:
        """Take in what another process did."""
        self.seeds += other.seeds
        self.operations += other.operations
        self.undecided += other.undecided
        self.events += other.events
        self.outcomes += other.outcomes
        self.branches += other.branches
        self.failures += other.failures

    @property
    def unreached(self) -> list[str]:
        return [name for name in BRANCHES if not self.branches[name]]

    @property
    def held(self) -> bool:
        """Whether nothing failed, and enough was reached for that to mean something."""
        return not self.failures and (self.seeds < SEEDS_FOR_ALL_BRANCHES or not self.unreached)


def load_workload(name: str) -> Workload:
    """`module:attribute`; empty: the standard one. Raises ConfigError."""
    if not name:
        return STANDARD
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"--workload {name!r}: {error}: module:attribute of a Workload is needed") from None
    if not isinstance(found, Workload):
        raise ConfigError(f"--workload {name!r}: it is a {type(found).__name__}, not a Workload")
    return found


def collect_between_seeds() -> None:
    """In a process that runs seeds: objects end with their seed, and looking through them all the time costs a fifth."""
    gc.freeze()
    gc.disable()


def run_seeds(seeds: range, workload: str) -> Summary:
    """These seeds, one after the other."""
    summary = Summary()
    requests = load_workload(workload)
    for seed in seeds:
        summary.seeds += 1
        try:
            summary.add(Simulation(draw_plan(seed, requests), requests).run())
        except Exception as error:  # whatever it is, it is the seed's finding
            summary.failures.append(Failure(seed, f"{type(error).__name__}: {error}"))
        gc.collect()
    return summary


def campaign(
    first: int,
    seeds: int | None,
    seconds: float | None,
    jobs: int,
    workload: str = "",
    progress: Callable[[Summary, Summary], None] = lambda part, whole: None,
) -> Summary:
    """Seeds from `first` on: so many, or for so long. `progress` is told of each part, and of all so far."""
    started = time.monotonic()
    whole = Summary()
    tasks: Iterator[range] = (range(at, at + SEEDS_PER_TASK) for at in count(first, SEEDS_PER_TASK))
    if seeds is not None:
        last = first + seeds
        tasks = (range(at, min(at + SEEDS_PER_TASK, last)) for at in range(first, last, SEEDS_PER_TASK))
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), collect_between_seeds) as pool:
        under_way: set[Future[Summary]] = {pool.submit(run_seeds, task, workload) for task in islice(tasks, 2 * jobs)}
        while under_way:
            ended, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in ended:
                part = future.result()
                whole.join(part)
                whole.seconds = time.monotonic() - started
                progress(part, whole)
                if seconds is None or whole.seconds < seconds:
                    under_way |= {pool.submit(run_seeds, task, workload) for task in islice(tasks, 1)}
    return whole
