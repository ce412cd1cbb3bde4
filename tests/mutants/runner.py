"""Makes each mutant and lets the simulator hunt it, in processes of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import paxosstore

from .mutant import Mutant

PACKAGE = Path(paxosstore.__file__).parent
HUNT = Path(__file__).with_name("hunt.py")
REPOSITORY = Path(__file__).parents[2]
NOT_A_MISTAKE = r"^E +(NameError|AttributeError|ImportError)"
"""The mutant itself does not run: that is no finding."""
PATIENCE_S = 300.0
"""For the tests that show a mutant, seconds: they end within one. What never ends was noticed as well."""
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
    """Run seeds over the mutant until one fails, or the tests that show it; none fails: it has survived.

    Raises ValueError if it cannot be made, RuntimeError if it does not run.
    """
    with tempfile.TemporaryDirectory(prefix="paxosstore-mutant-") as folder:
        copy = Path(folder) / PACKAGE.name
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.so", "STAMP"))
        for file, text in mutant.texts(PACKAGE).items():
            (copy / file).write_text(text)
        environment = {**os.environ, "PYTHONPATH": folder, "PYTHONHASHSEED": "0", "PAXOSSTORE_PURE": "1"}
        if mutant.shown_by:
            return _test(mutant, environment)
        command = [sys.executable, "-P", str(HUNT), str(seeds)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"mutant {mutant.name} does not run:\n{ended.stderr}")
    return Finding(mutant, **json.loads(ended.stdout))


def _test(mutant: Mutant, environment: dict[str, str]) -> Finding:
    """Run the tests that show the mutant. What does not run is no finding."""
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutant.shown_by.split()]
    run = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = run.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)  # and the processes that a test has started: they hold the pipe open
        run.communicate()
        return Finding(mutant, 0, f"{mutant.shown_by} did not end within {PATIENCE_S:.0f} s", time.monotonic() - began)
    failed = re.search(r"^FAILED (\S+)", said, re.MULTILINE)
    # a test that fails leaves its store open, and the process is aborted at its end if a thread is reading there
    aborted = failed and run.returncode == -signal.SIGABRT
    if (run.returncode not in (0, 1) and not aborted) or (run.returncode and not failed) or re.search(NOT_A_MISTAKE, said):
        raise RuntimeError(f"mutant {mutant.name} does not run:\n{said}")
    return Finding(mutant, 0, failed[1] if failed else "", time.monotonic() - began)


def hunt_all(
    mutants: Iterable[Mutant], seeds: int, jobs: int, progress: Callable[[Finding], None] = lambda finding: None
) -> list[Finding]:
    """Hunt several mutants, `jobs` at a time. The findings are in their order, and the same every time.

    Raises RuntimeError for those that do not run, when all others are done.
    """
    broken: list[str] = []

    def one(mutant: Mutant) -> Finding | None:
        try:
            finding = hunt(mutant, seeds)
        except RuntimeError as error:
            broken.append(str(error))
            return None
        progress(finding)
        return finding

    with ThreadPoolExecutor(jobs) as pool:
        findings = [finding for finding in pool.map(one, mutants) if finding is not None]
    if broken:
        raise RuntimeError("\n".join(broken))
    return findings
