"""The background budget as threads use it: they rest, they are measured, and they end when they should."""

from __future__ import annotations

import threading
import time

import pytest

from paxosstore.core.turn.budget import Job
from paxosstore.storage.background import Background

WAIT_S = 20.0


def in_debt(job: Job = Job.SCRUB) -> Background:
    """One whose job has to rest for ten seconds."""
    background = Background(1, 1.0)
    background.book(job, 1_000_000, 0.0)
    return background


def rest(background: Background, wanted: threading.Event) -> tuple[threading.Thread, list[bool]]:
    """A thread that rests, and what it is told in the end."""
    told: list[bool] = []
    thread = threading.Thread(target=lambda: told.append(background.rest(Job.SCRUB, wanted.is_set)), daemon=True)
    wanted.set()
    thread.start()
    return thread, told


def test_who_owes_nothing_goes_on_at_once() -> None:
    assert Background().rest(Job.SCRUB)


def test_who_rests_looks_again_meanwhile() -> None:
    background = in_debt()
    thread, told = rest(background, threading.Event())
    background.pay(Job.BACKUP, 1, 0.0, time.monotonic() * 1_000.0 + 3_600_000.0)  # an hour passes
    thread.join(WAIT_S)
    assert told == [True]


def test_who_rests_ends_when_it_is_not_wanted_any_more() -> None:
    wanted = threading.Event()
    thread, told = rest(in_debt(), wanted)
    wanted.clear()
    thread.join(WAIT_S)
    assert told == [False]


def test_who_rests_ends_when_all_ends_and_nobody_rests_any_more() -> None:
    background = in_debt()
    thread, told = rest(background, threading.Event())
    background.close()
    thread.join(WAIT_S)
    assert told == [False]
    assert not background.rest(Job.SCRUB)


def test_a_child_rests_never() -> None:
    background = in_debt()
    background._lock.acquire()  # another thread had it when the process forked
    background.forked()
    assert not background.rest(Job.SCRUB)
    assert background.wait_s(Job.SCRUB) > 0


def test_a_piece_is_booked_with_the_time_of_its_thread_also_when_it_fails() -> None:
    background = Background()
    with pytest.raises(ValueError), background.piece(Job.VERIFY) as piece:  # noqa: PT011, PT012  # our own
        sum(range(200_000))
        time.sleep(0.05)  # is nobody's processor time
        piece.bytes += 7
        raise ValueError
    taken = background.usage(time.monotonic() * 1_000.0).jobs["verify"]
    assert taken.bytes == 7
    assert taken.ms > 0.0
