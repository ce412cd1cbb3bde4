"""The background budget: what each job gets of it, under load and beside others, whatever the clock does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from paxosstore.core.turn.budget import BURST_MS, FLOOR, LONGEST_WAIT_MS, MAX_DEBT_MS, Budget, Job

MB = 1_000_000
PIECE = 50_000
SECONDS = 20


def busy(budget: Budget, jobs: Sequence[Job], seconds: float = SECONDS, load: float = 0.0, began_ms: float = 0.0) -> list[float]:
    """Bytes per second of jobs that take as much as they get."""
    taken = dict.fromkeys(jobs, 0)
    for now_ms in range(int(seconds * 1_000)):
        budget.busy_ms += load
        for job in jobs:
            while not budget.wait_ms(job, began_ms + now_ms):
                budget.pay(job, PIECE, 0.0, began_ms + now_ms)
                taken[job] += PIECE
    return [size / seconds for size in taken.values()]


def test_one_job_gets_all_of_it() -> None:
    assert busy(Budget(10 * MB, 1_000.0), [Job.SCRUB]) == [pytest.approx(10 * MB, rel=0.05)]


def test_those_that_want_something_share_and_who_rests_takes_nothing() -> None:
    three = busy(Budget(12 * MB, 1_000.0), [Job.SCRUB, Job.BACKUP, Job.CATCH_UP])
    assert three == [pytest.approx(4 * MB, rel=0.05)] * 3


def test_what_takes_time_and_no_bytes_is_limited_by_that() -> None:
    budget = Budget(10 * MB, 500.0)
    for now_ms in range(10_000):
        while not budget.wait_ms(Job.VERIFY, float(now_ms)):
            budget.pay(Job.VERIFY, 1, 2.0, float(now_ms))
    assert budget.usage(10_000.0).jobs["verify"].ms == pytest.approx(5_000.0, rel=0.05)


def test_under_load_it_falls_to_a_floor_and_no_further() -> None:
    loaded = Budget(10 * MB, 1_000.0)
    assert busy(loaded, [Job.SCRUB], load=0.99) == [pytest.approx(10 * MB * FLOOR, rel=0.1)]
    assert loaded.pace == pytest.approx(FLOOR)
    between = busy(Budget(10 * MB, 1_000.0), [Job.SCRUB], load=0.35)[0]
    assert 10 * MB * FLOOR * 2 < between < 10 * MB * 0.8


def test_the_load_is_forgotten_when_nothing_happens() -> None:
    budget = Budget(10 * MB, 1_000.0)
    busy(budget, [Job.SCRUB], seconds=2.0, load=0.99)
    assert busy(budget, [Job.SCRUB], began_ms=2_000.0) == [pytest.approx(10 * MB, rel=0.1)]


def test_a_silent_disk_is_load() -> None:
    budget = Budget(10 * MB, 1_000.0)
    budget.disk_silent = True
    assert busy(budget, [Job.SCRUB]) == [pytest.approx(10 * MB * FLOOR, rel=0.1)]


def test_what_is_urgent_is_neither_slowed_down_by_load_nor_starved_by_others() -> None:
    budget = Budget(9 * MB, 1_000.0)
    budget.urgent.add(Job.LOG_EXPIRY)
    expiry, scrub = busy(budget, [Job.LOG_EXPIRY, Job.SCRUB], load=0.99)
    assert expiry == pytest.approx(8 * MB, rel=0.1)
    assert scrub == pytest.approx(1 * MB * FLOOR, rel=0.3)


def test_urgent_or_not_nobody_stands_still() -> None:
    budget = Budget(10 * MB, 1_000.0)
    budget.urgent.update(set(Job) - {Job.SCRUB})
    assert all(rate > 0 for rate in busy(budget, list(Job), load=0.99))


def test_whatever_a_job_owes_it_may_go_on_after_a_while() -> None:
    budget = Budget(1, 1.0)
    budget.pay(Job.BACKUP, 10 * MB, 0.0, 5_000.0)
    assert budget.wait_ms(Job.BACKUP, 5_000.0) == LONGEST_WAIT_MS
    assert not budget.wait_ms(Job.BACKUP, 5_000.0 + LONGEST_WAIT_MS)


def test_what_a_huge_piece_owes_is_forgotten_before_long() -> None:
    budget = Budget(1 * MB, 1_000.0)
    budget.pay(Job.BACKUP, 1_000 * MB, 0.0, 0.0)
    budget.pay(Job.BACKUP, 0, 0.0, MAX_DEBT_MS)
    assert not budget.wait_ms(Job.BACKUP, MAX_DEBT_MS)


def test_a_debt_is_priced_as_the_load_is_now() -> None:
    budget = Budget(1 * MB, 1_000.0)
    budget.busy_ms = 1_000.0
    budget.pay(Job.SNAPSHOTS, MB // 10, 0.0, 1_000.0)
    slow = budget.wait_ms(Job.SNAPSHOTS, 1_000.0)
    assert slow == pytest.approx((100.0 - BURST_MS) / FLOOR)
    assert 0.0 < budget.wait_ms(Job.SNAPSHOTS, 1_100.0) < slow / 3, "nothing was asked for since"
    assert not budget.wait_ms(Job.SNAPSHOTS, 1_200.0)


def test_settings_hold_from_now_on() -> None:
    budget = Budget(1 * MB, 1_000.0)
    budget.tune(20 * MB, 1_000.0)
    assert busy(budget, [Job.SCRUB]) == [pytest.approx(20 * MB, rel=0.05)]


def test_a_clock_that_stands_still_gives_nothing_and_takes_nothing() -> None:
    budget = Budget(1 * MB, 1_000.0)
    budget.pay(Job.SCRUB, MB, 0.0, 5_000.0)
    assert budget.wait_ms(Job.SCRUB, 5_000.0) == budget.wait_ms(Job.SCRUB, 5_000.0) > 0


@pytest.mark.parametrize("back_ms", [0.5, 60_000.0, 1e9])
def test_a_clock_that_goes_back_stops_nobody(back_ms: float) -> None:
    budget = Budget(1 * MB, 1_000.0)
    budget.pay(Job.SCRUB, MB, 0.0, 2e9)
    now_ms = 2e9 - back_ms
    wait_ms = budget.wait_ms(Job.SCRUB, now_ms)
    assert wait_ms <= 1_000.0
    assert not budget.wait_ms(Job.SCRUB, now_ms + wait_ms + 1.0)


def test_a_clock_of_another_thread_that_is_a_little_behind_lets_no_time_count_twice() -> None:
    budget = Budget(1 * MB, 1_000.0)
    budget.pay(Job.SCRUB, MB, 0.0, 1_000.0)
    for ahead_ms in range(100):
        budget.wait_ms(Job.SCRUB, 1_000.0 + ahead_ms)
        budget.wait_ms(Job.SCRUB, 995.0 + ahead_ms)
    assert budget.wait_ms(Job.SCRUB, 1_100.0) == pytest.approx(1_000.0 - 100.0 - BURST_MS)


def test_figures_tell_who_has_taken_what() -> None:
    budget = Budget(10 * MB, 500.0)
    budget.urgent.add(Job.CATCH_UP)
    budget.pay(Job.CATCH_UP, MB, 3.0, 1_000.0)
    use = budget.usage(1_000.0)
    assert (use.bytes_per_second, use.ms_per_second, use.pace) == (10 * MB, 500.0, 1.0)
    taken = use.jobs["catch_up"]
    assert (taken.bytes, taken.ms, taken.urgent) == (MB, 3.0, True)
    assert taken.bytes_per_second == pytest.approx(MB / 10)
    assert use.jobs["scrub"].bytes == 0
    assert budget.usage(61_000.0).jobs["catch_up"].bytes_per_second < taken.bytes_per_second / 5
