"""python -m chaos: rounds of real chaos. Ends with 0 if all checks held, 1 on a violation, 2 if it could not run."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from rich.console import Console

from . import journal
from .checks import check
from .disk import release
from .errors import CannotRun
from .report import PAGE, PICTURE, Findings, save_page, show
from .run import RECORD, Record, Round, journals
from .schedule import MIN_SECONDS
from .timeline import draw

VIOLATION, COULD_NOT_RUN, INTERRUPTED = 1, 2, 130


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m chaos",
        description="Real nodes, clients and faults; the recorded histories are checked, a timeline is drawn.",
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults strike, over all rounds (default: 60)")
    parser.add_argument("--round", type=float, default=60.0, help="longest round; each has the next seed (default: 60)")
    parser.add_argument("--nodes", type=int, default=3, choices=(3, 5), help="nodes of the cluster (default: 3)")
    parser.add_argument("--seed", type=int, default=1, help="decides which faults strike when, and what is asked (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("out/chaos"), help="where everything goes (default: out/chaos)")
    parser.add_argument("--check", type=Path, metavar="DIR", help="check a recorded round again, and run nothing")
    options = parser.parse_args()
    for name in ("seconds", "round"):
        if not MIN_SECONDS <= getattr(options, name) < float("inf"):
            parser.error(f"--{name}: {MIN_SECONDS:g} seconds at least")
    return options


def run_round(directory: Path, seconds: float, nodes: int, seed: int, console: Console) -> Findings:
    """One round, its checks, its picture and its page. Raises CannotRun."""
    started = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - started:6.1f} s  {text}", markup=False, highlight=False)

    with Round(directory, seconds, nodes, seed, say) as one:
        record = one.run()
        findings = examine(directory, record)
        if findings.violations:
            one.keep_data()
    return findings


def examine(directory: Path, record: Record) -> Findings:
    """Check what a round has left. Raises CannotRun."""
    try:
        operations = journal.read(journals(directory))
    except ValueError as error:
        raise CannotRun(str(error)) from error
    findings = Findings(directory, record, operations, check(record, operations))
    draw(record, operations, directory / PICTURE)
    save_page(findings)
    return findings


def prepare(out: Path) -> None:
    """An empty directory; what earlier runs left there goes, what is anything else stays. Raises CannotRun."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for old in out.iterdir():
            if not (old.name.startswith("seed-") and old.is_dir()):
                raise CannotRun(f"{out} holds {old.name}, which is not of an earlier run: name another directory with --out")
            for left in old.glob("nodes/disk-*"):
                release(left)
            shutil.rmtree(old)
    except OSError as error:
        raise CannotRun(f"{error.filename or out}: {error.strerror}") from error


def run(options: argparse.Namespace, console: Console) -> int:
    """Rounds until the time is over. Raises CannotRun."""
    if options.check is not None:
        findings = examine(options.check, Record.load(options.check))
        show(findings, console)
        return VIOLATION if findings.violations else 0
    prepare(options.out)
    left_s, seed, failed = options.seconds, options.seed, []
    while left_s >= MIN_SECONDS:
        seconds = min(left_s, options.round)
        directory = options.out / f"seed-{seed}"
        findings = run_round(directory, seconds, options.nodes, seed, console)
        show(findings, console)
        console.print(f"saved: {directory / PAGE}")
        if findings.violations:
            failed.append(seed)
        elif options.seconds > options.round:
            forget(directory)
        left_s -= seconds
        seed += 1
    if options.seconds > options.round:
        seeds = f": seeds {', '.join(map(str, failed))}" if failed else ""
        console.print(f"{seed - options.seed} rounds, {len(failed)} with violations{seeds}")
    return VIOLATION if failed else 0


def forget(directory: Path) -> None:
    """Of a good round among many, keep the page and the picture."""
    shutil.rmtree(directory / "nodes")
    for path in journals(directory):
        path.unlink()
    (directory / RECORD).unlink()


def main() -> int:
    options = arguments()
    console = Console(width=None if sys.stdout.isatty() else 150, soft_wrap=True)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run(options, console)
    except CannotRun as error:
        console.print(f"chaos: {error}", style="bold red", markup=False)
        return COULD_NOT_RUN
    except KeyboardInterrupt:
        return INTERRUPTED


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
