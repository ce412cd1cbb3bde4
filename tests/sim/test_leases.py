"""The models of what goes by the time: by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paxosstore.sim.clocks import WALL_MS
from paxosstore.sim.history import Operation
from paxosstore.sim.leases import CLOCK_ERROR_MS, TOLERANCE_MS, Lease, NeverBack, Timed, TimedLease
from paxosstore.sim.linearizability import ModelOf, check
from paxosstore.sim.plan import HOUR_MS, Fault, draw_plan
from paxosstore.sim.workload import STANDARD

from .histories import told, unknown


def take(called: float, owner: int, ttl_ms: float, reply: bool | None = True) -> Operation:
    if reply is None:
        return unknown(called, "take", owner, ttl_ms)
    return told(called, called + 1, "take", owner, ttl_ms, reply=reply)


def read(called: float, owner: int | None) -> Operation:
    return told(called, called + 1, "read", reply=owner)


def free(called: float, owner: int, reply: bool) -> Operation:
    return told(called, called + 1, "free", owner, reply=reply)


LATE = 100.0 + TOLERANCE_MS

GOOD: dict[str, list[Operation]] = {
    "taken, and over after its time": [take(0, 1, 100), read(2, 1), read(LATE, None), read(LATE + 2, None)],
    "who takes it next sees it over": [take(0, 1, 100), take(2, 2, 100, False), take(LATE, 2, 100), read(LATE + 2, 2)],
    "it may last longer": [take(0, 1, 100), read(900, 1)],
    "freed": [take(0, 1, 100), free(2, 2, False), free(4, 1, True), free(6, 1, False), take(8, 2, 100)],
    "nobody knows whether it was taken": [take(0, 1, 100, None), read(2, None), read(4, 1), read(LATE + 4, None)],
    "nobody knows, and it was over meanwhile": [take(0, 1, 100), take(2, 2, 100, None), read(4, 1), read(LATE, 2)],
    "the owner finds it over": [take(0, 1, 100), free(LATE, 1, False), take(LATE + 2, 2, 100)],
}
BAD: dict[str, list[Operation]] = {
    "gone, and there again": [take(0, 1, 100), read(LATE, None), read(LATE + 2, 1)],
    "over for its owner, and there again": [take(0, 1, 100), free(LATE, 1, False), read(LATE + 2, 1)],
    "held by two": [take(0, 1, 100), take(LATE, 2, 100), read(LATE + 2, 1)],
    "nobody has it, and nobody gets it": [take(0, 1, 100, False)],
    "of somebody who never took it": [take(0, 1, 100), read(2, 2)],
}
BAD_IN_TIME: dict[str, list[Operation]] = {
    "gone too early": [take(0, 1, 100), read(50, None)],
    "held by two at one time": [take(0, 1, 100), take(50, 2, 100)],
    "over for its owner too early": [take(0, 1, 100), free(50, 1, False)],
}


@pytest.mark.parametrize("model", [Lease, TimedLease])
@pytest.mark.parametrize("name", GOOD)
def test_good(model: ModelOf, name: str) -> None:
    assert check(GOOD[name], model).good


@pytest.mark.parametrize("model", [Lease, TimedLease])
@pytest.mark.parametrize("name", BAD)
def test_bad(model: ModelOf, name: str) -> None:
    assert not check(BAD[name], model).good


@pytest.mark.parametrize("name", BAD_IN_TIME)
def test_bad_where_clocks_are_right(name: str) -> None:
    assert check(BAD_IN_TIME[name], Lease).good
    assert not check(BAD_IN_TIME[name], TimedLease).good


def test_time() -> None:
    now = WALL_MS + 10
    good = [told(0, 10, "tell", reply=now), told(11, 12, "read", reply=now), unknown(12, "tell"), told(13, 14, "tell", reply=now)]
    assert check(good, NeverBack).good
    assert check(good, Timed).good
    back = [told(0, 10, "tell", reply=now), told(11, 12, "read", reply=now - 1)]
    assert not check(back, NeverBack).good
    ahead = [told(0, 10, "tell", reply=now + round(TOLERANCE_MS) + 1)]
    assert check(ahead, NeverBack).good
    assert not check(ahead, Timed).good


def test_which_clocks_are_right() -> None:
    plan = replace(draw_plan(1, STANDARD), nodes=3, wall_offsets_ms=(0.0, HOUR_MS, 0.0), faults=(), clock_error_ms=CLOCK_ERROR_MS)
    assert plan.right_clocks

    def jump(node: int, value: float, name: str = "wall clock jumps") -> Fault:
        return Fault(1.0, name, node, 2.0, value)

    assert replace(plan, faults=(jump(1, HOUR_MS),)).right_clocks
    for wrong in (jump(2, HOUR_MS), jump(1, -HOUR_MS), jump(1, 0.0, "clocks stop")):
        assert not replace(plan, faults=(wrong,)).right_clocks
    assert not replace(plan, wall_offsets_ms=(0.0, -HOUR_MS, 0.0)).right_clocks
    assert not replace(plan, clock_error_ms=2 * CLOCK_ERROR_MS).right_clocks, "seed 93042"
    plans = [draw_plan(seed, STANDARD) for seed in range(100)]
    assert 40 <= sum(plan.right_clocks for plan in plans) <= 80
