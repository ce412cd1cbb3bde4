"""The checks hold on a good round, and each mistake of a store is found by the check that is there for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chaos.checks import accounts_hold, check, gaps, linearizable, longest_gap, nodes_agree, nothing_fails_after_healing
from chaos.faults import Struck
from chaos.journal import Operation, Outcome, Word
from chaos.nodes import MEMBER
from chaos.schedule import Kind

from .support import CARD, History, good

Find = Callable[[History], object]


def find(history: History, key: str, name: str, argument: Word = None) -> Operation:
    """The first operation like this."""
    return next(o for o in history.operations if (o.key, o.name) == (key, name) and argument in (None, *o.arguments))


def finals(history: History, key: str) -> list[Operation]:
    return [o for o in history.operations if o.key == key and o.client >= history.record.first_reader]


def violated(history: History) -> set[str]:
    return {found.name for found in check(history.record, history.operations) if found.violations}


LINEARIZABLE = "linearizable"
ACCOUNTS = "nothing lost, nothing twice"
AGREE = "the nodes agree"
HEALED = "nothing fails after healing"
WRONG = "no wrong answer, no crash"
MEMBERS = "all are members again"


def test_a_good_round_passes() -> None:
    history = good()
    checks = check(history.record, history.operations)
    assert [violation for found in checks for violation in found.violations] == []
    assert {found.name for found in checks} == {LINEARIZABLE, ACCOUNTS, AGREE, MEMBERS, HEALED, WRONG}


@pytest.mark.parametrize(
    ("key", "final", "checks"),
    [
        ("register:0:0", "00.000000;", {LINEARIZABLE}),
        ("register:0:0", "00.000003;", {LINEARIZABLE, ACCOUNTS}),
        ("register:0:0", "99.999999;", {LINEARIZABLE, ACCOUNTS}),
        ("register:0:0", None, {LINEARIZABLE, ACCOUNTS}),
        ("counter:0:0", "8", {LINEARIZABLE}),
        ("counter:0:0", "6", {LINEARIZABLE, ACCOUNTS}),
        ("counter:0:0", "10", {LINEARIZABLE, ACCOUNTS}),
        ("once:0:0", "00.000009;", {LINEARIZABLE}),
        ("lease:0:0", "00.000021;", set()),
        ("lease:0:0", "00.000018;", {LINEARIZABLE}),
        ("lease:0:0", "99.999999;", {LINEARIZABLE, ACCOUNTS}),
        ("list:0:0", "00.000014;", {LINEARIZABLE, ACCOUNTS}),
        ("list:0:0", "00.000017;00.000014;", {LINEARIZABLE}),
        ("list:0:0", "00.000014;00.000017;00.000017;", {LINEARIZABLE, ACCOUNTS}),
        ("list:0:0", "00.000014;00.000017;00.000016;", {LINEARIZABLE, ACCOUNTS}),
        ("list:0:0", "00.000014;00.000017;00.0", {LINEARIZABLE, ACCOUNTS}),
        ("card:0:0", 18, {LINEARIZABLE, ACCOUNTS}),
        ("card:0:0", 10, {LINEARIZABLE, ACCOUNTS}),
        ("card:0:0", "missing", {LINEARIZABLE, ACCOUNTS}),
    ],
)
def test_something_else_is_there_at_the_end(key: str, final: Word, checks: set[str]) -> None:
    history = good()
    for last in finals(history, key):
        last.reply = final
    assert violated(history) == checks


@pytest.mark.parametrize(
    ("key", "name", "argument", "reply"),
    [
        ("register:0:0", "swap", None, None),
        ("register:0:0", "get", None, "00.000000;"),
        ("counter:0:0", "add", 7, 8),
        ("once:0:0", "set if missing", "00.000010;", "OK"),
        ("once:0:0", "take", None, None),
        ("lease:0:0", "get", None, "00.000019;"),
        ("lease:0:0", "take", None, "00.000019;"),
        ("list:0:0", "append", "00.000017;", 30),
        ("list:0:0", "append", "00.000017;", 15),
        ("card:0:0", "insert", 20, "ok"),
        ("card:0:0", "update", -11, -1),
        ("card:0:0", "select", None, 10),
    ],
)
def test_a_reply_is_wrong(key: str, name: str, argument: Word, reply: Word) -> None:
    history = good()
    find(history, key, name, argument).reply = reply
    assert LINEARIZABLE in violated(history)


def test_a_read_is_stale() -> None:
    history = good()
    stale = find(history, "counter:0:0", "get")
    history.operations.append(replace(stale, client=1, reply="7", called_s=stale.called_s + 1.0, returned_s=stale.called_s + 2.0))
    assert violated(history) == {LINEARIZABLE}


def test_an_unknown_outcome_may_take_effect_late_and_once() -> None:
    history = History()
    history.add("counter:0:0", "add", 1, outcome=Outcome.UNKNOWN)
    for reply in ("0", "0", "1"):
        history.add("counter:0:0", "get", reply=reply)
    assert not linearizable(history.record, history.operations).violations
    history.add("counter:0:0", "get", reply="2")
    assert linearizable(history.record, history.operations).violations


def test_one_uuid_is_answered_in_two_ways() -> None:
    history = good()
    history.add("card:0:0", "update", 4, reply=18, client=CARD, uuid="04")
    assert LINEARIZABLE in violated(history)


def test_a_repetition_is_applied_twice() -> None:
    history = good()
    for last in finals(history, "card:0:0"):
        last.reply = 18
    assert accounts_hold(history.record, history.operations).violations


def test_an_attempt_that_was_refused_says_nothing_of_the_others() -> None:
    history = good()
    history.add("card:0:0", "update", 4, outcome=Outcome.REFUSED, client=CARD, uuid="04", times_s=(23.1, 23.2))
    assert violated(history) == set()


def test_the_nodes_differ() -> None:
    history = good()
    finals(history, "list:0:0")[1].reply = "00.000014;"
    assert AGREE in violated(history)
    history = good()
    history.record.hashes[1] = "0dd"
    assert violated(history) == {AGREE}
    history.record.hashes = []
    assert nodes_agree(history.record, history.operations).violations


@pytest.mark.parametrize("said", [[MEMBER, "re-entering", MEMBER], [MEMBER, MEMBER, ""], []])
def test_a_node_is_no_member_at_the_end(said: list[str]) -> None:
    history = good()
    history.record.standings = said
    assert violated(history) == {MEMBERS}


def lost(returned_s: float, skipped: str = "") -> Struck:
    return Struck(Kind.OLD_COPY, "old copy 1", [1], 1.0, 2.0, started_s=2.0, returned_s=returned_s, skipped=skipped)


def test_a_node_with_an_old_disk_is_never_found_out() -> None:
    history = good()
    history.record.struck = [lost(2.5), lost(0.0, skipped="there is no copy")]
    assert violated(history) == set()
    history.record.struck.append(lost(0.0))
    assert violated(history) == {MEMBERS}


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.UNKNOWN])
def test_something_fails_after_healing(outcome: Outcome) -> None:
    history = good()
    history.add("counter:0:0", "get", outcome=outcome)
    assert violated(history) == {HEALED}


def test_nothing_was_asked_after_healing() -> None:
    history = good()
    history.record.calm_s = 1_000.0
    assert nothing_fails_after_healing(history.record, history.operations).violations


def test_a_wrong_answer_or_a_complaint() -> None:
    history = good()
    history.add("counter:0:0", "add", 1, outcome=Outcome.WRONG, times_s=(0.0, 0.1))
    assert WRONG in violated(history)
    history = good()
    history.record.complaints.append("node 1 had ended by itself")
    assert violated(history) == {WRONG}


def test_gaps_are_between_successful_writes() -> None:
    history = History()
    for at_s in (1.0, 2.0, 5.0, 5.5):
        history.add("counter:0:0", "add", 1, reply=1, times_s=(at_s - 0.1, at_s))
    history.add("counter:0:0", "get", reply="1", times_s=(3.0, 3.1))
    history.add("counter:0:0", "add", 1, outcome=Outcome.UNKNOWN, times_s=(3.0, 3.5))
    all_gaps = gaps(history.operations)
    assert [gap.seconds for gap in all_gaps] == [1.0, 3.0, 0.5]
    assert longest_gap(all_gaps, Struck(Kind.KILL, "kill 1", [1], 1.2, 1.3)) == 1.0
    assert longest_gap(all_gaps, Struck(Kind.KILL, "kill 1", [1], 2.5, 4.0)) == 3.0
    assert longest_gap(all_gaps, Struck(Kind.KILL, "kill 1", [1], 5.1, 5.2)) == 0.5
    assert longest_gap(all_gaps, Struck(Kind.KILL, "kill 1", [1], 8.0, 9.0)) == 0.0
