"""What is said in the log without being asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paxosstore.core.entity.install import Transfer
from paxosstore.core.log.reconcile import Reconciliation
from paxosstore.core.reentry.progress import Progress
from paxosstore.runtime.inspection import NodeStatistics
from paxosstore.runtime.reporter import DAY_S, PROGRESS_S, REPEAT_S, WAITS_S, Reporter
from paxosstore.runtime.timekeeper import ClockStatus
from paxosstore.storage.expiry import LogKept

from ..services.http.test_pages import COMING_BACK, MEMBER, statistics

SOUND = replace(
    statistics(), stopped={}, differing={}, transfers=(), reconciliation=Reconciliation((), 0, 0), log_kept=LogKept(0, 1, 0, "")
)


class Log:
    """Tells what a look has added to the log."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        self._reporter = Reporter(lambda: SOUND)
        caplog.set_level("INFO")

    def look(self, now: NodeStatistics, at_s: float) -> list[str]:
        self._caplog.clear()
        self._reporter.look(now, at_s)
        return [f"{record.levelname} {record.getMessage()}" for record in self._caplog.records]

    def back(self, now: Progress, at_s: float) -> list[str]:
        return self.look(replace(SOUND, reentry=now), at_s)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    return Log(caplog)


def test_a_sound_node_says_nothing(log: Log) -> None:
    assert log.look(SOUND, 0.0) == log.look(SOUND, 1e6) == []


def test_an_entity_whose_replicas_differ_is_said_at_once_and_again_after_a_while(log: Log) -> None:
    broken = replace(SOUND, stopped={7: "THE REPLICAS DIFFER: entity 7 is stopped"})
    said = ["ERROR THE REPLICAS DIFFER: entity 7 is stopped"]
    assert log.look(broken, 1.0) == said
    assert log.look(broken, REPEAT_S) == []
    assert log.look(broken, 1.0 + REPEAT_S) == said
    two = replace(SOUND, stopped={**broken.stopped, 8: "A CHOSEN VALUE CANNOT BE READ: entity 8 is stopped"})
    assert log.look(two, 2.0 + REPEAT_S) == ["ERROR A CHOSEN VALUE CANNOT BE READ: entity 8 is stopped"]


def test_data_that_differs_is_said_loudly_and_once_a_day(log: Log) -> None:
    found = replace(SOUND, differing={7: "entity 7: node 2 differs"})
    said = ["ERROR THE DATA OF THE REPLICAS DIFFERS: entity 7: node 2 differs"]
    assert log.look(found, 1.0) == said
    assert log.look(found, DAY_S) == []
    assert log.look(found, 1.0 + DAY_S) == said


def test_whom_a_node_waits_for_is_said_when_it_changes_and_now_and_then(log: Log) -> None:
    one = MEMBER._replace(state="new", entities=0, passed=0, waits_for="waits for nodes 1, 2")
    other = one._replace(waits_for="waits for node 2")
    assert log.back(one, 0.0) == ["WARNING node 1 waits for nodes 1, 2"]
    assert log.back(one, 1.0) == []
    assert log.back(other, 2.0) == ["WARNING node 1 waits for node 2"]
    assert log.back(other, 2.0 + WAITS_S) == ["WARNING node 1 waits for node 2"]
    begun = MEMBER._replace(entities=0, passed=0)
    assert log.back(begun, 3.0 + WAITS_S) == ["INFO the cluster begins: all of its nodes are there, and know each other"]
    assert log.back(begun, 1e6) == []


def test_coming_back_is_told_of_from_its_beginning_to_its_end(log: Log) -> None:
    (first,) = log.back(COMING_BACK, 0.0)
    assert "4 of 10 entities are back" in first
    more = COMING_BACK._replace(passed=6, passed_now=5)
    assert log.back(more, PROGRESS_S - 1.0) == []
    (second,) = log.back(more, PROGRESS_S)
    assert "6 of 10 entities are back" in second
    over = COMING_BACK._replace(state="member", passed=10, passed_now=9)
    assert log.back(over, 12.0) == ["INFO node 1 is a member again: 9 entities are back, 6.0 kB learned in 3.0 s"]
    assert log.back(over, 1e6) == []


def test_coming_back_between_two_looks_is_told_of_too(log: Log) -> None:
    over = COMING_BACK._replace(passed=10, passed_now=10)
    once = replace(SOUND, reentry=over, counters={**SOUND.counters, "reentries": 1})
    assert log.look(once, 0.0) == ["INFO node 1 is a member again: 10 entities are back, 6.0 kB learned in 3.0 s"]
    assert log.look(once, 1.0) == []


def test_a_start_that_waits_for_its_peers_ends_with_a_word(log: Log) -> None:
    assert log.back(MEMBER._replace(waits_for="has just started"), 0.0) == ["WARNING node 1 has just started"]
    assert log.back(MEMBER, 1.0) == ["INFO node 1 is a member: the others know its disk"]


def test_only_copies_that_take_long_are_told_of(log: Log) -> None:
    def copying(seconds: float) -> NodeStatistics:
        return replace(SOUND, transfers=(Transfer(5, 2, False, 9, 40, 8_000, seconds),))

    assert log.look(copying(1.0), 1.0) == []
    said = ["INFO entity 5 is copied from node 2 as of entry 9: 8.0 kB in 10 s, 800 bytes a second"]
    assert log.look(copying(PROGRESS_S), PROGRESS_S) == said
    assert log.look(copying(PROGRESS_S + 1.0), PROGRESS_S + 1.0) == []
    assert len(log.look(copying(2 * PROGRESS_S), 2 * PROGRESS_S)) == 1


def test_a_log_that_cannot_be_cut_is_said(log: Log) -> None:
    stuck = replace(SOUND, log_kept=LogKept(0, 1, 0, "no room"))
    assert log.look(stuck, 0.0) == ["WARNING the log cannot be cut: no room"]
    assert log.look(stuck, 1.0) == []


def test_clocks_that_differ_are_said_once_and_when_it_is_over(log: Log) -> None:
    def odd(how: str, matter: str) -> NodeStatistics:
        return replace(SOUND, clock=ClockStatus(0.0, {}, True, f"THE CLOCKS DIFFER: {how}", matter))

    assert log.look(odd("node 1 is 1.0 s ahead", "1"), 1.0) == ["WARNING THE CLOCKS DIFFER: node 1 is 1.0 s ahead"]
    assert log.look(odd("node 1 is 1.1 s ahead", "1"), 2.0) == [], "it goes on drifting"
    assert log.look(odd("node 1 is 99.0 s ahead", "1 rests"), 3.0) == ["WARNING THE CLOCKS DIFFER: node 1 is 99.0 s ahead"]
    assert len(log.look(odd("node 1 is 99.0 s ahead", "1 rests"), 3.0 + REPEAT_S)) == 1
    assert log.look(SOUND, 9.0 + REPEAT_S) == ["INFO the clocks agree again"]
    assert log.look(SOUND, 10.0 + REPEAT_S) == []
