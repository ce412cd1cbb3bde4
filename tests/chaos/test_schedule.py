"""The schedule: the same for the same seed, within its time, and never more than a minority at once but for `kill all`."""

from __future__ import annotations

from itertools import pairwise

import pytest

from chaos.schedule import COOL_DOWN_S, WARM_UP_S, Kind, Track, draw

SEEDS = range(50)


def test_one_seed_is_one_schedule() -> None:
    assert draw(7, 60.0, 3) == draw(7, 60.0, 3)
    assert draw(7, 60.0, 3) != draw(8, 60.0, 3)
    assert draw(7, 60.0, 3) != draw(7, 60.0, 5)


@pytest.mark.parametrize("seconds", [5.0, 20.0, 60.0, 200.0])
@pytest.mark.parametrize("nodes", [3, 5])
def test_every_fault_is_in_time_and_on_nodes_that_exist(seconds: float, nodes: int) -> None:
    for seed in SEEDS:
        for fault in draw(seed, seconds, nodes):
            assert WARM_UP_S <= fault.at_s < fault.until_s <= seconds - COOL_DOWN_S
            assert fault.nodes
            assert set(fault.nodes) <= set(range(nodes))


def test_a_minute_has_every_kind() -> None:
    for seed in SEEDS:
        for nodes in (3, 5):
            assert {fault.kind for fault in draw(seed, 60.0, nodes)} == set(Kind)


def test_tracks_do_not_overlap_and_the_first_faults_are_alone() -> None:
    for seed in SEEDS:
        faults = draw(seed, 60.0, 5)
        for track in Track:
            mine = [fault for fault in faults if fault.kind.track is track]
            assert all(one.until_s < other.at_s for one, other in pairwise(mine))
        alone = faults[: len(Kind)]
        assert {fault.kind for fault in alone} == set(Kind)
        assert all(one.until_s < other.at_s for one, other in pairwise(alone))


def test_the_tracks_overlap_later() -> None:
    faults = draw(1, 120.0, 3)
    assert any(one.until_s > other.at_s for one, other in pairwise(faults))


def test_a_minority_at_once() -> None:
    for nodes in (3, 5):
        sizes = {kind: set[int]() for kind in Kind}
        for seed in SEEDS:
            for fault in draw(seed, 200.0, nodes):
                sizes[fault.kind].add(len(fault.nodes))
        for kind in (Kind.KILL, Kind.STOP, Kind.ISOLATE, Kind.LEARN_ONLY, Kind.LONG_ABSENCE):
            assert sizes[kind] == set(range(1, nodes // 2 + 1))
        assert sizes[Kind.KILL_ALL] == {nodes}
        assert sizes[Kind.DISK_LOST] == {1, 2}
        assert sizes[Kind.DISK_LOST_AGAIN] == sizes[Kind.OLD_COPY] == {1}


def test_a_long_absence_does_not_keep_shorter_faults_out_of_a_short_run() -> None:
    assert all(draw(seed, 12.0, 3) for seed in SEEDS)
    assert any(fault.kind is Kind.LONG_ABSENCE for seed in SEEDS for fault in draw(seed, 12.0, 3))


def test_only_the_kinds_that_are_asked_for() -> None:
    kinds = (Kind.KILL, Kind.LOSS)
    assert {fault.kind for fault in draw(1, 60.0, 3, kinds)} == set(kinds)
    assert draw(1, 60.0, 3, ()) == []
