"""kill -9 between every two steps of the journal and its upkeep, over many lives of one store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .support import new_rocks

ROOT = Path(__file__).parents[2]


def test_a_kill_at_every_step_loses_nothing_that_was_synced(tmp_path: Path) -> None:
    new_rocks(tmp_path / "store", 4_096).close()
    command = [sys.executable, "-m", "tests.storage.kill_writer", str(tmp_path / "store"), "1", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    lives = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(lives) > 60
    assert all(found >= synced for _, synced, found in lives)
    assert lives[-1][2] > 100
