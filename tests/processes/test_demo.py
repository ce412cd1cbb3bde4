"""The demo as a command: what it prints, how it ends, and that it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from paxosstore.cli.cluster import PROGRAM


def start_demo(directory: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "TMPDIR": str(directory), "COLUMNS": "120"}
    return subprocess.Popen([*PROGRAM, "demo", "--once"], env=environment, stdout=subprocess.PIPE, text=True)


def processes_of(directory: Path) -> list[str]:
    """Command lines of this machine's processes that name the directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in line:
            found.append(line)
    return found


def check_nothing_is_left(directory: Path) -> None:
    assert processes_of(directory) == []
    assert list(directory.iterdir()) == []


def test_every_step_holds(tmp_path: Path) -> None:
    demo = start_demo(tmp_path)
    said, _ = demo.communicate(timeout=180)
    print(said)
    assert demo.returncode == 0
    lines = {line.strip("│ ").split("│")[0].strip(): line for line in said.splitlines() if "│" in line}
    assert lines["lost writes"].rstrip("│ ").endswith(" 0")
    assert "yes" in lines["every step held"]
    check_nothing_is_left(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_is_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    demo = start_demo(tmp_path)
    deadline = time.monotonic() + 20
    while len([line for line in processes_of(tmp_path) if " serve " in line]) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    demo.send_signal(number)
    demo.communicate(timeout=20)
    assert demo.returncode == 130
    check_nothing_is_left(tmp_path)
