"""What a node goes by, and what it says of clocks that differ."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from paxosstore.runtime.timekeeper import LOOK_MS, Timekeeper
from paxosstore.settings import TuningSettings

NOW_MS = 1_700_000_000_000.0


@dataclass
class Machine:
    offset_ms: float = 0.0
    ms: float = 5_000.0

    def clock_ms(self) -> float:
        return NOW_MS + self.ms + self.offset_ms

    def monotonic_ms(self) -> float:
        return self.ms


def keeper(machine: Machine, *offsets_ms: float) -> Timekeeper:
    found = Timekeeper(0, TuningSettings, machine.clock_ms, machine.monotonic_ms)
    for peer, offset_ms in enumerate(offsets_ms, 1):
        found.heard(peer, NOW_MS + machine.ms + offset_ms, machine.ms, machine.ms)
    return found


def test_it_goes_by_the_median_however_the_own_clock_is_set() -> None:
    machine = Machine()
    time = keeper(machine, 10.0, -10.0)
    for offset_ms, found_ms in ((0.0, 0.0), (3_600_000.0, 10.0), (-3_600_000.0, -10.0), (7.0, 7.0)):
        machine.offset_ms = offset_ms
        machine.ms += 100.0
        assert time.now_ms() == NOW_MS + machine.ms + found_ms


def test_a_clock_that_is_set_counts_a_moment_later_and_one_that_is_heard_at_once() -> None:
    machine = Machine()
    time = keeper(machine, 0.0, 0.0)
    assert time.now_ms() == NOW_MS + machine.ms
    time.heard(1, NOW_MS + machine.ms + 50.0, machine.ms, machine.ms)
    time.heard(2, NOW_MS + machine.ms + 50.0, machine.ms, machine.ms)
    assert time.now_ms() == NOW_MS + machine.ms + 50.0
    machine.offset_ms = 20.0
    time.heard(2, NOW_MS + machine.ms, machine.ms, machine.ms)
    assert time.now_ms() == NOW_MS + machine.ms + 20.0
    machine.offset_ms = 30.0
    machine.ms += LOOK_MS / 2
    assert time.now_ms() == NOW_MS + machine.ms + 20.0
    machine.ms += LOOK_MS / 2
    assert time.now_ms() == NOW_MS + machine.ms + 30.0


def test_a_clock_of_before_1970_is_none_that_breaks_anything() -> None:
    machine = Machine(-NOW_MS - 10**9)
    assert keeper(machine).now_ms() == 0


@pytest.mark.parametrize(
    ("own_ms", "peers_ms", "said", "expires"),
    [
        (0.0, (499.0, -499.0), "", True),
        (0.0, (0.0, 1_500.0), "by the median of 3 clocks, node 2 is 1.5 s ahead", True),
        (-9_000.0, (0.0, 0.0), "by the median of 3 clocks, node 0 is 9.0 s behind", True),
        (7_200_000.0, (0.0, 0.0), "node 0 is 2 h ahead; this node begins no expiry meanwhile", False),
        (0.0, (7_200_000.0,), "by the lower one of two clocks, node 1 is 2 h ahead", True),
        (7_200_000.0, (0.0,), "by the lower one of two clocks, node 0 is 2 h ahead; this node begins no expiry", False),
        (0.0, (150_000.0, -20_000.0), "node 1 is 2 min ahead, node 2 is 20.0 s behind", True),
    ],
)
def test_clocks_that_differ_are_said(own_ms: float, peers_ms: tuple[float, ...], said: str, expires: bool) -> None:
    time = keeper(Machine(own_ms), *peers_ms)
    status = time.status()
    assert said in status.trouble
    assert bool(status.trouble) == bool(said)
    assert status.expires == time.expires == expires
