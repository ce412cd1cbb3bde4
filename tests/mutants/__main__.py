"""python -m tests.mutants [--seeds N] [--only NAME] [--jobs N]: the table of mutants; fails if one survives."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.table import Table

from .registry import BY_NAME, MUTANTS
from .runner import UNCHANGED, Finding, hunt, hunt_all

SEEDS_UNCHANGED = 300
"""Seeds that must hold on the code as it is, or the table means nothing."""
SHOWN = 110
"""Characters of what a check says."""


def _row(finding: Finding) -> tuple[str, ...]:
    said = finding.check if len(finding.check) <= SHOWN else finding.check[:SHOWN] + " …"
    return (
        str(finding.mutant.rule),
        finding.mutant.name,
        finding.mutant.breaks,
        said or "survived",
        str(finding.seeds),
        f"{finding.seconds:.1f}",
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5_000, help="after which a mutant has survived")
    parser.add_argument("--only", choices=sorted(BY_NAME), action="append", metavar="NAME", help="may be repeated")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 240)
    unchanged = hunt(UNCHANGED, min(SEEDS_UNCHANGED, arguments.seeds))
    if unchanged.check:
        console.print(f"without any mutant, seed {unchanged.seeds - 1} fails: {unchanged.check}", markup=False)
        return 1

    def progress(finding: Finding) -> None:
        console.print(finding.mutant.name, "killed" if finding.check else "SURVIVED", f"after {finding.seeds}", markup=False)

    mutants = [BY_NAME[name] for name in arguments.only] if arguments.only else MUTANTS
    findings = hunt_all(mutants, arguments.seeds, arguments.jobs, progress)
    table = Table("rule", "mutant", "what it breaks", "killed by", "seeds", "s", title="Mutants")
    for finding in findings:
        table.add_row(*_row(finding), style="" if finding.check else "bold red")
    console.print(table)
    survivors = [finding.mutant.name for finding in findings if not finding.check]
    console.print(f"{len(findings)} mutants, {len(survivors)} survived" + (": " if survivors else "") + ", ".join(survivors))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
