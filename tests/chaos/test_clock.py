"""The shim: a child's wall clock jumps when its file says so, its monotonic clock does not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.clock import Clock, build_shim

CHILD = """
import ctypes, sys, time
libc = ctypes.CDLL(None)
for _ in sys.stdin:
    now = (ctypes.c_long * 2)()
    libc.gettimeofday(now, None)
    print(time.time(), libc.time(None), now[0], time.monotonic(), flush=True)
"""
HOUR_S = 3_600.0


class Child:
    """A process under the shim that tells its clocks."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def offsets(self) -> list[float]:
        """How far its clocks are from ours: by clock_gettime, time, gettimeofday, and the monotonic one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("now\n")
        self._process.stdin.flush()
        told = [float(word) for word in self._process.stdout.readline().split()]
        ours = [time.time(), time.time(), time.time(), time.monotonic()]
        return [theirs - own for theirs, own in zip(told, ours, strict=True)]

    def end(self) -> None:
        self._process.communicate()


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(build_shim(tmp_path), tmp_path / "clock")


@pytest.fixture
def child(clock: Clock) -> Iterator[Child]:
    child = Child({**os.environ, **clock.environment})
    yield child
    child.end()


def test_the_wall_clock_jumps_while_it_runs(clock: Clock, child: Child) -> None:
    for offset_s in (0.0, HOUR_S, -HOUR_S, 0.25, 0.0):
        clock.set(offset_s)
        *wall, monotonic = child.offsets()
        assert wall == pytest.approx([offset_s] * 3, abs=1.1)  # two of them know whole seconds only
        assert wall[0] == pytest.approx(offset_s, abs=0.1)
        assert abs(monotonic) < 0.1


def test_without_the_shim_nothing_moves(clock: Clock) -> None:
    child = Child({**os.environ})
    clock.set(HOUR_S)
    assert all(abs(offset) < 1.1 for offset in child.offsets())
    child.end()
