"""`python -m tests.crash_images`: the full form. Exits with 1 if an image fails, and keeps it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from .campaign import Failure, Report, run
from .disk import write_tree
from .fate import KINDS
from .recorder import why_not


def main() -> int:
    parser = argparse.ArgumentParser(description="Disks as a power cut may leave them, mounted and checked.")
    parser.add_argument("--images", type=int, default=2_000, help="how many, no two the same")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    arguments = parser.parse_args()
    reason = why_not()
    if reason:
        print(f"crash images: nothing can be recorded here: {reason}", file=sys.stderr)
        return 2
    report = Report()
    run(arguments.seed, arguments.images, report)
    print(f"{report.calls.total():,} calls of {report.recordings} nodes recorded:", _counts(report.calls))
    print(f"{report.images.total():,} images judged in {report.seconds:.0f} s, {report.torn:,} of them with a torn journal,")
    print(f"{report.expired:,} with a PLog of which rows have expired")
    failed = Counter((failure.image.kind, failure.fault.kind) for failure in report.failures)
    for kind in KINDS:
        found = {fault: count for (name, fault), count in failed.items() if name == kind.__name__}
        print(f"  {kind.__name__:<12}{report.images[kind.__name__]:>6}   {_counts(Counter(found)) or 'all sound'}")
    for failure in report.failures:
        print(f"seed {failure.seed}, generation {failure.generation}, moment {failure.image.moment}: {failure.fault}")
        print(f"  {failure.image.promise}; kept in {_keep(failure)}")
    return 1 if report.failures else 0


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counter.most_common())


def _keep(failure: Failure) -> Path:
    """A recording is not the same twice, so an image is kept as it is."""
    path = Path(tempfile.mkdtemp(prefix="crash-image-")) / "disk"
    write_tree(path, failure.image.tree)
    return path


if __name__ == "__main__":
    sys.exit(main())
