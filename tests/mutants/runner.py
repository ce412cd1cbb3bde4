"""Makes each mutant and lets the simulator hunt it, in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import paxosstore

from .mutant import Mutant

PACKAGE = Path(paxosstore.__file__).parent
HUNT = Path(__file__).with_name("hunt.py")
UNCHANGED = Mutant("nothing", 0, "nothing is broken", ())


class Finding(NamedTuple):
    """What became of a mutant."""

    mutant: Mutant
    seeds: int
    """How many were run, the one that failed included."""
    check: str
    """What failed; empty: it survived."""
    seconds: float


def hunt(mutant: Mutant, seeds: int) -> Finding:
    """Run seeds over the mutant until one fails. Raises ValueError if it cannot be made, RuntimeError if it does not run."""
    with tempfile.TemporaryDirectory(prefix="paxosstore-mutant-") as folder:
        copy = Path(folder) / PACKAGE.name
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        for file, text in mutant.texts(PACKAGE).items():
            (copy / file).write_text(text)
        command = [sys.executable, "-P", str(HUNT), str(seeds)]
        environment = {**os.environ, "PYTHONPATH": folder, "PYTHONHASHSEED": "0"}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"mutant {mutant.name} does not run:\n{ended.stderr}")
    return Finding(mutant, **json.loads(ended.stdout))


def hunt_all(
    mutants: Iterable[Mutant], seeds: int, jobs: int, progress: Callable[[Finding], None] = lambda finding: None
) -> list[Finding]:
    """Hunt several mutants, `jobs` at a time. The findings are in their order, and the same every time."""

    def one(mutant: Mutant) -> Finding:
        finding = hunt(mutant, seeds)
        progress(finding)
        return finding

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, mutants))
