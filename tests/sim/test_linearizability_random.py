"""The checker of histories against slow oracles, and on long random histories."""

from __future__ import annotations

import random
from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.sim import search
from paxosstore.sim.history import Operation, Value
from paxosstore.sim.linearizability import ModelOf, check, shrink
from paxosstore.sim.models import AppendList, CompareAndSet, Counter, Register

from .histories import (
    MIXES,
    TRUTHS,
    Truth,
    allowed,
    atomic_history,
    plain,
    some_order_is_allowed,
    some_order_is_found,
    told,
    with_one_reply_changed,
)

VALUES = st.integers(1, 3)
KINDS: dict[ModelOf, dict[str, st.SearchStrategy[tuple[Value, ...]]]] = {
    Register: {"read": st.just(()), "write": st.tuples(VALUES)},
    CompareAndSet: {"read": st.just(()), "write": st.tuples(VALUES), "cas": st.tuples(st.none() | VALUES, VALUES)},
    Counter: {"read": st.just(()), "add": st.tuples(st.integers(-1, 2))},
    AppendList: {"read": st.just(()), "append": st.tuples(VALUES)},
}
NUMBERS = st.integers(-1, 4)
REPLIES: dict[ModelOf, dict[str, st.SearchStrategy[Value]]] = {
    Register: {"read": st.none() | VALUES, "write": st.none()},
    CompareAndSet: {"read": st.none() | VALUES, "write": st.none(), "cas": st.booleans()},
    Counter: {"read": NUMBERS, "add": NUMBERS},
    AppendList: {"read": st.lists(VALUES, max_size=3).map(tuple), "append": NUMBERS},
}


@st.composite
def histories(draw: st.DrawFn, model: ModelOf, size: int) -> list[Operation]:
    """Replies of one order, or every other reply of no order: good ones, nearly good ones, bad ones. Equal times are frequent."""
    initial, truth = TRUTHS[model]
    state, history, honest = initial, [], draw(st.integers(0, 3)) == 3
    for number in range(draw(st.integers(3, size))):
        kind = draw(st.sampled_from(sorted(KINDS[model])))
        arguments = draw(KINDS[model][kind])
        happens = 2 * number + draw(st.integers(0, 2))
        state, reply = truth(state, kind, arguments)
        if not honest and draw(st.booleans()):
            reply = draw(REPLIES[model][kind])
        called, rest = happens - draw(st.integers(0, 3)), draw(st.integers(0, 3))
        operation = Operation(number, "k", kind, arguments, called)
        history.append(operation if draw(st.integers(0, 3)) == 3 else operation.done(happens + rest, reply))
    return draw(st.permutations(history))


def compare(model: ModelOf, size: int, oracle: Callable[[list[Operation], Any, Truth], bool], examples: int) -> None:
    """The checker, in both ways, and the oracle, on many histories, enough of them good and bad."""
    initial, truth = TRUTHS[model]
    tally: Tally[bool] = Tally()

    @settings(max_examples=examples, deadline=None, database=None)
    @given(histories(model, size))
    def agree(history: list[Operation]) -> None:
        good = oracle(history, initial, truth)
        tally[good] += 1
        assert check(history, model).good is good
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(search, "FIRST_TRY", 0)
            assert check(history, model).good is good

    agree()
    assert min(tally[True], tally[False]) > examples / 50, tally


@pytest.mark.parametrize("model", TRUTHS)
def test_the_verdict_is_that_of_all_permutations(model: ModelOf) -> None:
    compare(model, 6, some_order_is_allowed, 200)


@pytest.mark.parametrize("model", TRUTHS)
def test_the_verdict_is_that_of_a_plain_search(model: ModelOf) -> None:
    compare(model, 12, some_order_is_found, 300)


@pytest.mark.parametrize("name", MIXES)
def test_what_a_model_tells_to_save_time_changes_no_verdict(name: str) -> None:
    mix = MIXES[name]
    verdicts: Tally[bool] = Tally()
    for seed in range(60):
        history = atomic_history(mix, seed, operations=14, clients=3)
        if seed % 3:
            history = with_one_reply_changed(history, random.Random(seed))
        good = check(history, mix.model).good
        verdicts[good] += 1
        assert check(history, plain(mix)).good is good
        assert some_order_is_found(history, mix.initial, mix.truth) is good
    assert min(verdicts.values()) > 5, verdicts


# -- long histories


@pytest.mark.parametrize("name", MIXES)
def test_histories_of_atomic_objects_are_good(name: str) -> None:
    for seed in range(5):
        assert check(atomic_history(MIXES[name], seed), MIXES[name].model).good


def victims(name: str, history: list[Operation]) -> list[tuple[Operation, Value]]:
    """Operations, and replies that no order can explain, whatever the unknown ones did."""
    answered = [one for one in history if one.returned is not None]
    reads = [one for one in answered if one.kind == "read"]
    never = 10**6
    if name.startswith("register"):
        return [(one, never) for one in reads]
    if name.startswith("compare"):
        return [(one, True) for one in answered if one.kind == "cas" and one.arguments[0] == "never"]
    if name.startswith("counter"):
        adds = [one for one in answered if one.kind == "add"]
        return [(one, other.reply) for one, other in zip(adds, adds[7:], strict=False)]
    return [(one, one.reply[:-2] + one.reply[-1:]) for one in reads if isinstance(one.reply, tuple) and len(one.reply) > 1]


@pytest.mark.parametrize("name", MIXES)
def test_one_impossible_reply_among_four_hundred_is_found(name: str) -> None:
    mix = MIXES[name]
    for seed in range(3):
        history = atomic_history(mix, seed)
        if name.startswith("compare"):
            history.append(told(history[-1].called, history[-1].called + 9, "cas", "never", 1, reply=False))
        assert check(history, mix.model).good
        victim, reply = random.Random(seed).choice(victims(name, history))
        changed = [replace(one, reply=reply) if one is victim else one for one in history]
        verdict = check(changed, mix.model)
        assert not verdict.good
        assert allowed(verdict.order, mix.initial, mix.truth)


@pytest.mark.parametrize("name", [name for name in MIXES if "4 values" not in name])
def test_a_value_from_before_is_stale(name: str) -> None:
    """Where no value comes back and nothing is unknown, a reply from long before is impossible."""
    mix = MIXES[name]
    history = atomic_history(mix, 1, unknown=0.0)
    reads = [one for one in history if one.kind == "read"]
    for late in reads[-3:]:
        early = next(one for one in reads if one.reply and one.reply != late.reply)
        changed = [replace(one, reply=early.reply) if one is late else one for one in history]
        assert not check(changed, mix.model).good


# -- shrinking


@pytest.mark.parametrize("model", TRUTHS)
def test_what_is_left_is_not_bad_by_removal(model: ModelOf) -> None:
    """All that was told is needed; and with what else was unknown put back, it is still bad."""

    @settings(max_examples=60, deadline=None, database=None)
    @given(histories(model, 10))
    def holds(history: list[Operation]) -> None:
        if check(history, model).good:
            return
        small = shrink(history, model)
        weakened = [next((one for one in small if one.client == other.client), other.unknown()) for other in history]
        assert not check(small, model).good
        assert not check(weakened, model).good
        for needed in small:
            if needed.returned is not None:
                assert check([one.unknown() if one is needed else one for one in small], model).good

    holds()
