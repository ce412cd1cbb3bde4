"""The checker of histories: by hand."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from paxosstore.sim import search
from paxosstore.sim.history import Operation, one_per_uuid, read_history, write_history
from paxosstore.sim.linearizability import ModelOf, Undecided, check, shrink
from paxosstore.sim.models import AppendList, CompareAndSet, Counter, Register

from .histories import (
    MIXES,
    TRUTHS,
    atomic_history,
    plain,
    refused,
    silent_list,
    some_order_is_allowed,
    some_order_is_found,
    told,
    unknown,
)

GOOD: dict[str, tuple[ModelOf, list[Operation]]] = {
    "nothing": (Register, []),
    "only unknown operations": (Register, [unknown(0, "write", 1), unknown(0, "read")]),
    "a read before any write": (Register, [told(0, 1, "read")]),
    "a write, then a read": (Register, [told(0, 1, "write", 1), told(2, 3, "read", reply=1)]),
    "a read beside a write may see it or not": (
        Register,
        [told(0, 9, "write", 1), told(1, 2, "read"), told(3, 4, "read", reply=1)],
    ),
    "two reads beside two writes, in the order of neither call": (
        Register,
        [told(0, 9, "write", 1), told(1, 9, "write", 2), told(2, 3, "read", reply=2), told(4, 5, "read", reply=1)],
    ),
    "at equal times nothing precedes": (Register, [told(0, 1, "write", 1), told(1, 2, "read")]),
    "an unknown write that never happened": (Register, [unknown(0, "write", 1), told(5, 6, "read")]),
    "an unknown write that happened much later": (
        Register,
        [unknown(0, "write", 1), told(1, 2, "read"), told(3, 4, "write", 2), told(5, 6, "read", reply=1)],
    ),
    "an unknown write that is seen twice": (
        Register,
        [unknown(0, "write", 1), told(1, 2, "read", reply=1), told(3, 4, "read", reply=1)],
    ),
    "two unknown writes of one value, seen, overwritten, seen": (
        Register,
        [
            *(unknown(0, "write", 1), unknown(0, "write", 1), told(1, 2, "read", reply=1)),
            *(told(3, 4, "write", 2), told(5, 6, "read", reply=1)),
        ],
    ),
    "a refused write that nobody saw": (Register, [refused(0, 1, "write", 1), told(2, 3, "read")]),
    "one of two swaps won": (
        CompareAndSet,
        [told(0, 5, "cas", None, 1, reply=True), told(0, 5, "cas", None, 2, reply=False), told(6, 7, "read", reply=1)],
    ),
    "a swap that failed because of an unknown write": (
        CompareAndSet,
        [told(0, 1, "write", 1), unknown(0, "write", 2), told(2, 3, "cas", 1, 3, reply=False)],
    ),
    "an unknown swap that others build on": (
        CompareAndSet,
        [unknown(0, "cas", None, 1), unknown(0, "cas", 1, 2), told(3, 4, "cas", 2, 3, reply=True), told(5, 6, "read", reply=3)],
    ),
    "adds beside each other, in any order": (
        Counter,
        [told(0, 5, "add", 1, reply=3), told(0, 5, "add", 2, reply=2), told(6, 7, "read", reply=3)],
    ),
    "two unknown adds, one of which happened": (
        Counter,
        [unknown(0, "add", 1), unknown(0, "add", 1), told(1, 2, "add", 1, reply=2), told(3, 4, "read", reply=2)],
    ),
    "an add that was answered at the second attempt": (
        Counter,
        [
            *(unknown(0, "add", 1, uuid="u"), told(3, 4, "read", reply=1), told(5, 6, "add", 1, reply=1, uuid="u")),
            *(told(7, 8, "read", reply=1), told(9, 10, "add", 1, reply=1, uuid="u")),
        ],
    ),
    "a counter that goes down": (Counter, [told(0, 1, "add", 5, reply=5), told(2, 3, "add", -2, reply=3)]),
    "appends beside each other": (
        AppendList,
        [told(0, 5, "append", "a", reply=2), told(0, 5, "append", "b", reply=1), told(6, 7, "read", reply=("b", "a"))],
    ),
    "appends that tell nothing": (
        AppendList,
        [told(0, 5, "append", "a"), told(0, 5, "append", "b"), told(6, 7, "read", reply=("b", "a"))],
    ),
    "unknown appends that only the length tells of": (
        AppendList,
        [unknown(0, "append", "a"), unknown(0, "append", "b"), told(1, 2, "append", "c", reply=3)],
    ),
    "an unknown append between two others": (
        AppendList,
        [
            *(told(0, 1, "append", "a"), unknown(2, "append", "b"), told(3, 4, "append", "c")),
            told(5, 6, "read", reply=("a", "b", "c")),
        ],
    ),
}

BAD: dict[str, tuple[ModelOf, list[Operation]]] = {
    "a stale read": (
        Register,
        [told(0, 1, "write", 1), told(2, 3, "write", 2), told(4, 5, "read", reply=1)],
    ),
    "a lost write": (Register, [told(0, 1, "write", 1), told(2, 3, "read")]),
    "a value that nobody wrote": (Register, [told(0, 1, "write", 1), told(2, 3, "read", reply=7)]),
    "a read of what is written later": (Register, [told(0, 1, "read", reply=1), told(2, 3, "write", 1)]),
    "a new value, then the old one": (
        Register,
        [told(0, 1, "write", 1), told(2, 9, "write", 2), told(3, 4, "read", reply=2), told(5, 6, "read", reply=1)],
    ),
    "two readers see two writes in different orders": (
        Register,
        [
            *(told(0, 9, "write", 1), told(0, 9, "write", 2), told(10, 11, "read", reply=1)),
            *(told(12, 13, "read", reply=2), told(14, 15, "read", reply=1)),
        ],
    ),
    "an unknown write is seen, then is gone": (
        Register,
        [told(0, 1, "write", 1), unknown(2, "write", 2), told(3, 4, "read", reply=2), told(5, 6, "read", reply=1)],
    ),
    "an unknown write happened twice": (
        Register,
        [
            *(unknown(0, "write", 1), told(1, 2, "read", reply=1), told(3, 4, "write", 2)),
            *(told(5, 6, "read", reply=2), told(7, 8, "read", reply=1)),
        ],
    ),
    "an unknown write is seen before it is called": (Register, [told(0, 1, "read", reply=1), unknown(2, "write", 1)]),
    "a refused write is seen": (Register, [refused(0, 1, "write", 1), told(2, 3, "read", reply=1)]),
    "two swaps from one value won": (
        CompareAndSet,
        [told(0, 5, "cas", None, 1, reply=True), told(0, 5, "cas", None, 2, reply=True)],
    ),
    "a swap failed that could not": (CompareAndSet, [told(0, 1, "write", 1), told(2, 3, "cas", 1, 2, reply=False)]),
    "a swap failed and happened": (
        CompareAndSet,
        [told(0, 1, "write", 1), told(2, 3, "cas", 2, 3, reply=False), told(4, 5, "read", reply=3)],
    ),
    "a swap won and is not seen": (
        CompareAndSet,
        [told(0, 1, "write", 1), told(2, 3, "cas", 1, 2, reply=True), told(4, 5, "read", reply=1)],
    ),
    "an unknown swap was seen, then one from before it won": (
        CompareAndSet,
        [
            *(told(0, 1, "write", 1), unknown(2, "cas", 1, 2), told(3, 4, "read", reply=2)),
            told(5, 6, "cas", 1, 3, reply=True),
        ],
    ),
    "an add is lost": (Counter, [told(0, 1, "add", 1, reply=1), told(2, 3, "add", 1, reply=1)]),
    "two adds got one reply": (Counter, [told(0, 5, "add", 1, reply=1), told(0, 5, "add", 1, reply=1)]),
    "an add happened twice": (Counter, [told(0, 1, "add", 1, reply=1), told(2, 3, "read", reply=2)]),
    "an unknown add happened twice": (
        Counter,
        [unknown(0, "add", 1), told(1, 2, "read", reply=1), told(3, 4, "add", 1, reply=3)],
    ),
    "a retry under the same uuid happened again": (
        Counter,
        [
            *(unknown(0, "add", 1, uuid="u"), told(1, 2, "read", reply=1)),
            *(told(3, 4, "add", 1, reply=2, uuid="u"), told(5, 6, "read", reply=2)),
        ],
    ),
    "a retry was answered, but only its first answer counts": (
        Counter,
        [
            *(unknown(0, "add", 1, uuid="u"), told(1, 2, "add", 1, reply=1, uuid="u")),
            *(told(3, 4, "read", reply=0), told(5, 6, "add", 1, reply=1, uuid="u")),
        ],
    ),
    "adds out of real time's order": (Counter, [told(0, 1, "add", 1, reply=2), told(2, 3, "add", 1, reply=1)]),
    "a counter that goes down by itself": (Counter, [told(0, 1, "add", 5, reply=5), told(2, 3, "read", reply=4)]),
    "a count that is no number": (Counter, [told(0, 1, "add", 1, reply="one")]),
    "a list lost its middle": (
        AppendList,
        [
            *(told(0, 1, "append", "a"), told(2, 3, "append", "b"), told(4, 5, "append", "c")),
            told(6, 7, "read", reply=("a", "c")),
        ],
    ),
    "a list holds an item twice": (AppendList, [told(0, 1, "append", "a"), told(2, 3, "read", reply=("a", "a"))]),
    "an unknown append happened twice": (AppendList, [unknown(0, "append", "a"), told(2, 3, "read", reply=("a", "a"))]),
    "a list in another order than real time's": (
        AppendList,
        [told(0, 1, "append", "a"), told(2, 3, "append", "b"), told(4, 5, "read", reply=("b", "a"))],
    ),
    "two readers see two appends in different orders": (
        AppendList,
        [
            *(told(0, 9, "append", "a"), told(0, 9, "append", "b")),
            *(told(10, 11, "read", reply=("a", "b")), told(10, 11, "read", reply=("b", "a"))),
        ],
    ),
    "a list got shorter": (
        AppendList,
        [unknown(0, "append", "a"), told(1, 2, "read", reply=("a",)), told(3, 4, "read", reply=())],
    ),
    "a length that was told twice": (AppendList, [told(0, 5, "append", "a", reply=1), told(0, 5, "append", "b", reply=1)]),
    "a list that is none": (AppendList, [told(0, 1, "append", "a"), told(2, 3, "read", reply="a")]),
}


@pytest.fixture(params=["exact", "refined"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small histories are decided by the first, exact try; without it, by way of repetition."""
    if request.param == "refined":
        monkeypatch.setattr(search, "FIRST_TRY", 0)
    return str(request.param)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", GOOD)
def test_good(name: str) -> None:
    model, history = GOOD[name]
    assert check(history, model).good
    with pytest.raises(ValueError, match="good"):
        shrink(history, model)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", BAD)
def test_bad(name: str) -> None:
    model, history = BAD[name]
    verdict = check(history, model)
    assert not verdict.good
    assert verdict.key == "k"
    assert verdict.stuck
    assert set(verdict.stuck) <= set(one_per_uuid(history))
    assert all(str(one) in verdict.explanation for one in verdict.stuck)
    small = shrink(history, model)
    assert not check(small, model).good


def test_two_replies_under_one_uuid_are_bad() -> None:
    history = [told(0, 1, "add", 1, reply=1, uuid="u"), told(2, 3, "add", 1, reply=2, uuid="u")]
    verdict = check([*history, told(4, 5, "read", reply=1)], Counter)
    assert not verdict.good
    assert "uuid u has more than one reply" in verdict.explanation
    assert list(verdict.stuck) == history
    assert shrink(history, Counter) == history


BY_HAND = [(name, *GOOD[name], True) for name in GOOD] + [(name, *BAD[name], False) for name in BAD]


@pytest.mark.parametrize(("name", "model", "history", "good"), BY_HAND)
def test_the_oracles_agree_with_what_was_written_by_hand(name: str, model: ModelOf, history: list[Operation], good: bool) -> None:
    initial, truth = TRUTHS[model]
    if any(one.kind == "append" and one.returned is not None and one.reply is None for one in history):
        truth = silent_list
    merged = one_per_uuid(history)
    assert some_order_is_allowed(merged, initial, truth) is good
    assert some_order_is_found(merged, initial, truth) is good


# -- verdicts, shrinking, budgets, files


def test_each_key_is_judged_by_itself() -> None:
    good = [told(0, 1, "write", 1), told(2, 3, "read", reply=1)]
    other = [replace(one, key="other") for one in (told(0, 1, "write", 2), told(2, 3, "read", reply=2))]
    assert check([*good, *other], Register).good
    other[1] = replace(other[1], reply=1)
    verdict = check([*good, *other], Register)
    assert (verdict.good, verdict.key) == (False, "other")
    assert shrink([*good, *other], Register) == other[1:], "nobody wrote 1 there"


def test_the_explanation_can_be_read() -> None:
    history = [
        *(told(0, 1, "append", "a", reply=1), told(2, 3, "append", "b", reply=2)),
        *(told(4, 6, "append", "c", reply=3), told(5, 7, "append", "d", reply=3), told(8, 9, "read", reply=("a", "b", "c"))),
    ]
    verdict = check(history, AppendList)
    assert str(verdict) == verdict.explanation
    assert verdict.explanation.splitlines() == [
        "key k: no order explains all replies. The longest order found has 2 of 5 answered operations:",
        "  [0 .. 1] client c: append('a') -> 1",
        "  [2 .. 3] client c: append('b') -> 2",
        "Then the state is ('a', 'b'). One of these must come next, and cannot:",
        "  [4 .. 6] client c: append('c') -> 3",
        "    it would make this impossible: [5 .. 7] client c: append('d') -> 3",
        "  [5 .. 7] client c: append('d') -> 3",
        "    it would make this impossible: [4 .. 6] client c: append('c') -> 3",
        "    it would make this impossible: [8 .. 9] client c: read() -> ('a', 'b', 'c')",
    ]
    assert "its reply would be None" in check([told(0, 1, "read", reply=1)], Register).explanation


def test_a_small_part_is_left_that_is_bad_for_the_same_reason() -> None:
    mix = MIXES["register, all values different"]
    history = atomic_history(mix, 4)
    reads = [one for one in history if one.kind == "read" and one.returned is not None and one.reply]
    late, early = reads[-40], reads[10]
    changed = [replace(one, reply=early.reply) if one is late else one for one in history]
    small = shrink(changed, mix.model)
    assert not check(small, mix.model).good
    assert len(small) <= 6
    assert any(one.called == late.called for one in small), small
    assert any(one.arguments == (early.reply,) for one in small), "the write that was read too late is still there"


def test_reads_go_before_writes_are_forgotten() -> None:
    history = [
        *(told(0, 1, "write", 1), told(0.2, 0.5, "read", reply=1), unknown(2, "write", 2)),
        *(told(3, 4, "read", reply=2), told(5, 6, "read", reply=1)),
    ]
    assert shrink(history, Register) == [history[0], *history[2:]]


def test_what_was_not_answered_yet_when_it_became_bad_is_no_reason() -> None:
    """The read of 3 rests on a write that was called later."""
    history = [
        *(told(0, 1, "write", 1), told(0.5, 4, "read", reply=3), told(3, 5, "write", 3)),
        *(told(6, 7, "read", reply=9), told(8, 9, "read", reply=3)),
    ]
    assert shrink(history, Register) == [history[3]]
    at_once = told(3, 3, "read", reply=9)
    assert shrink([history[0], at_once], Register) == [at_once]


def test_what_takes_too_long_is_undecided() -> None:
    """Which of many different amounts make this sum?"""
    adds = [unknown(0, "add", 2 ** (number % 12) * 1000 + number) for number in range(24)]
    history = [*adds, told(1, 2, "read", reply=123_457), told(3, 4, "read", reply=246_913)]
    with pytest.raises(Undecided, match="not decided within 2000 steps: k"):
        check(history, Counter, budget=2_000)


def test_a_bad_key_outweighs_an_undecided_one() -> None:
    undecided = [told(0, 1, "write", 1), told(2, 3, "read", reply=1)]
    with pytest.raises(Undecided):
        check(undecided, Register, budget=1)
    bad = replace(told(0, 0.5, "read", reply=9), key="bad")
    assert check([*undecided, bad], Register, budget=1).key == "bad"


def test_a_model_without_bounds_ends_as_well() -> None:
    """A count that may fall: an unknown add could be repeated for ever."""
    mix = MIXES["counter, by 1"]
    history = [*(unknown(0, "add", number - 5) for number in range(10)), told(1, 2, "read", reply=1000)]
    assert not check(history, plain(mix)).good


def test_histories_are_saved_and_loaded() -> None:
    history = [
        *(told(0, 1.5, "append", "a", reply=1, uuid="u"), unknown(2, "append", "b"), refused(2, 3, "append", "ü")),
        told(4, 5, "read", reply=("a", ("b", None), True, 1.5)),
    ]
    file = io.StringIO()
    write_history(history, file)
    assert file.getvalue().count("\n") == len(history)
    assert list(read_history(io.StringIO(file.getvalue()))) == history


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"client": 1}', '{"colour": 1}'])
def test_a_line_that_is_no_operation_is_an_error(line: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        list(read_history([line]))


def test_wrong_use() -> None:
    with pytest.raises(ValueError, match="returned before it was called"):
        told(2, 1, "read")
    with pytest.raises(ValueError, match="stands for different operations"):
        check([unknown(0, "add", 1, uuid="u"), unknown(0, "add", 2, uuid="u")], Counter)
    for model in TRUTHS:
        with pytest.raises(ValueError, match="not an operation of this model"):
            check([told(0, 1, "fly", 1)], model)
