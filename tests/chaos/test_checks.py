"""The checks hold on a good round, and each mistake of a store is found by the check that is there for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chaos.checks import (
    accounts_hold,
    check,
    gaps,
    has_changed,
    linearizable,
    longest_gap,
    nodes_agree,
    nothing_fails_after_healing,
)
from chaos.faults import Struck
from chaos.journal import Operation, Outcome, Reply, Word
from chaos.nodes import MEMBER
from chaos.schedule import Kind

from .support import CALLER, CARD, History, good

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
        ("call:0:0", 14, {LINEARIZABLE}),
        ("call:0:0", 18, {LINEARIZABLE, ACCOUNTS}),
        ("call:0:0", 22, {LINEARIZABLE, ACCOUNTS}),
        ("call:0:0", 10, {LINEARIZABLE, ACCOUNTS}),
        ("call:0:0", None, {LINEARIZABLE, ACCOUNTS}),
        ("deque:0:0", ("t0", "t1"), {LINEARIZABLE}),
        ("deque:0:0", ("t1",), {LINEARIZABLE, ACCOUNTS}),
        ("deque:0:0", ("t1", "t0", "t2"), set()),
        ("deque:0:0", ("t1", "t0", "t3"), {LINEARIZABLE, ACCOUNTS}),
        ("deque:0:0", ("t1", "t0", "t0"), {LINEARIZABLE, ACCOUNTS}),
        ("queue:0:0", ("t16",), {LINEARIZABLE}),  # plain sums: an unknown wait may have taken t15
        ("queue:0:0", ("t16", "t15"), {LINEARIZABLE}),
        ("queue:0:0", ("t13", "t15", "t16"), {LINEARIZABLE, ACCOUNTS}),
        ("queue:0:0", ("t12", "t15", "t16"), set()),  # given back late
        ("queue:0:0", ("t99", "t15", "t16"), {LINEARIZABLE, ACCOUNTS}),
        ("queue:0:0", (), {LINEARIZABLE, ACCOUNTS}),
        ("pile:0:0", (), {LINEARIZABLE, ACCOUNTS}),
        ("pile:0:0", (("t30", 3), ("t31", 5)), {LINEARIZABLE, ACCOUNTS}),
        ("pile:0:0", (("t31", 6),), {LINEARIZABLE}),
        ("set:0:0", ("a", "b"), set()),
        ("set:0:0", (), {LINEARIZABLE, ACCOUNTS}),
        ("set:0:0", ("b", "c"), {LINEARIZABLE, ACCOUNTS}),
        ("hash:0:0", (("a", "t42"), ("m", "8")), {LINEARIZABLE}),
        ("hash:0:0", (("a", "t44"), ("m", "8")), {LINEARIZABLE, ACCOUNTS}),
        ("hash:0:0", (("a", "t43"), ("m", "7")), set()),
        ("hash:0:0", (("a", "t43"), ("m", "9")), {LINEARIZABLE, ACCOUNTS}),
        ("hash:0:0", (("m", "8"),), {LINEARIZABLE, ACCOUNTS}),
        ("zset:0:0", (("a", 1),), {LINEARIZABLE}),
        ("zset:0:0", (("b", 5),), {LINEARIZABLE, ACCOUNTS}),
        ("brief-set:0:0", ("b",), set()),
        ("brief-set:0:0", ("a", "b"), {LINEARIZABLE}),
    ],
)
def test_something_else_is_there_at_the_end(key: str, final: Reply, checks: set[str]) -> None:
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
        ("call:0:0", "change", 10, 11),
        ("call:0:0", "change", -11, -1),
        ("call:0:0", "change", 10, "not enough"),
        ("call:0:0", "balance", None, 10),
        ("deque:0:0", "rpush", "t0", 2),
        ("queue:0:0", "blpop", None, "t11"),
        ("queue:0:0", "brpop", None, "t10"),
        ("queue:0:0", "blpop", None, None),
        ("pile:0:0", "bzpopmin", None, ("t31", 5)),
        ("set:0:0", "sadd", "b", 0),
        ("hash:0:0", "hset", "a", 0),
        ("hash:0:0", "hincrby", "m", 8),
        ("zset:0:0", "zincrby", "a", 5),
    ],
)
def test_a_reply_is_wrong(key: str, name: str, argument: Word, reply: Reply) -> None:
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


def handed(*popped: str, unknown: int = 0, pushed: int = 3) -> History:
    """Of a queue that has t1, t2, … pushed these were popped; at the end nothing is left."""
    history = History()
    for number in range(1, pushed + 1):
        history.add("queue:0:0", "rpush", f"t{number}", reply=number)
    for _ in range(unknown):
        history.add("queue:0:0", "blpop", "1", outcome=Outcome.UNKNOWN, client=7)
    for token in popped:
        history.add("queue:0:0", "blpop", "1", reply=token, client=8)
    history.heal()
    history.add("queue:0:0", "llen", reply=0)
    history.look({"queue:0:0": ()})
    return history


def test_what_was_pushed_is_popped_once_or_went_to_who_had_gone() -> None:
    assert violated(handed("t1", "t2", "t3")) == set()
    assert violated(handed("t2", "t3", unknown=1)) == set()
    assert violated(handed("t3", unknown=3)) == set()
    assert violated(handed("t2", "t3")) == {LINEARIZABLE, ACCOUNTS}  # lost
    assert violated(handed("t3", unknown=1)) == {LINEARIZABLE, ACCOUNTS}
    assert violated(handed("t1", "t1", "t2", "t3")) == {LINEARIZABLE, ACCOUNTS}  # handed twice
    assert violated(handed("t1", "t2", "t3", "t9")) == {LINEARIZABLE, ACCOUNTS}  # nobody pushed it
    assert violated(handed("t2", "t1", "t3")) == {LINEARIZABLE}  # out of order


def test_what_has_ended_is_read_later() -> None:
    history = good()
    gone = find(history, "brief-set:0:0", "scard")
    later = replace(gone, client=1, name="smembers", reply=("a",), called_s=gone.called_s + 0.95, returned_s=gone.called_s + 0.98)
    history.operations.append(later)
    assert violated(history) == {LINEARIZABLE}


def test_a_key_ends_that_was_given_no_end() -> None:
    history = good()
    history.operations.remove(find(history, "brief-set:0:0", "expire", 30))
    assert violated(history) == {LINEARIZABLE}


def test_a_wait_in_vain_is_no_write() -> None:
    history = good()
    waits = [o for o in history.operations if o.name == "blpop" and o.outcome is Outcome.DONE]
    assert [has_changed(wait) for wait in waits] == [True, False, True, True]


def test_one_uuid_is_answered_in_two_ways() -> None:
    history = good()
    history.add("card:0:0", "update", 4, reply=18, client=CARD, uuid="04")
    assert LINEARIZABLE in violated(history)
    history = good()
    history.add("call:0:0", "change", 4, reply=18, client=CALLER, uuid="12")
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
