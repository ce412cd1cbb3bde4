"""What the tests of the checker share: operations by hand, random histories of atomic objects, which are good, and oracles."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations, count, permutations
from typing import Any, NamedTuple

from paxosstore.sim.history import Operation, Value
from paxosstore.sim.linearizability import ModelOf
from paxosstore.sim.models import AppendList, CompareAndSet, Counter, Model, Register

Truth = Callable[[Any, str, tuple[Any, ...]], tuple[Any, Any]]
"""(state, kind, arguments) -> the state after it, and the reply."""


def register(state: Any, kind: str, arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    if kind == "cas":
        expected, new = arguments
        return (new, True) if state == expected else (state, False)
    return (arguments[0], None) if kind == "write" else (state, state)


def counter(state: Any, kind: str, arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    total = state + sum(arguments)
    return total, total


def append_list(state: Any, kind: str, arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    return ((*state, *arguments), len(state) + 1) if kind == "append" else (state, state)


def silent_list(state: Any, kind: str, arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    """A list that does not tell its length."""
    after, reply = append_list(state, kind, arguments)
    return after, None if kind == "append" else reply


def told(called: float, returned: float, kind: str, *arguments: Value, reply: Value = None, uuid: str | None = None) -> Operation:
    return Operation("c", "k", kind, arguments, called, returned, reply, uuid)


def unknown(called: float, kind: str, *arguments: Value, uuid: str | None = None) -> Operation:
    return Operation("c", "k", kind, arguments, called, uuid=uuid)


def refused(called: float, returned: float, kind: str, *arguments: Value) -> Operation:
    return Operation("c", "k", kind, arguments, called, returned).refuse()


TRUTHS: dict[ModelOf, tuple[Any, Truth]] = {
    Register: (None, register),
    CompareAndSet: (None, register),
    Counter: (0, counter),
    AppendList: ((), append_list),
}


class Mix(NamedTuple):
    """What clients ask of one kind of object."""

    model: ModelOf
    initial: Any
    truth: Truth
    ask: Callable[[random.Random, int, Any], tuple[str, tuple[Value, ...]]]
    """(randomness, number of the operation, state) -> kind and arguments."""


def plain(mix: Mix) -> ModelOf:
    """A user's model: nothing but the state and the rule."""

    class Plain(Model[Any]):
        initial = mix.initial

        def apply(self, state: Any, operation: Operation) -> tuple[Any, object]:
            return mix.truth(state, operation.kind, operation.arguments)

    return Plain


def _ask_register(values: int, rng: random.Random, number: int, state: Any) -> tuple[str, tuple[Value, ...]]:
    """All values different if `values` is 0."""
    return ("read", ()) if rng.random() < 0.5 else ("write", (rng.randrange(values) if values else number,))


def _ask_swap(values: int, rng: random.Random, number: int, state: Any) -> tuple[str, tuple[Value, ...]]:
    value, fate = rng.randrange(values) if values else number, rng.random()
    if fate < 0.5:
        return ("read", ()) if fate < 0.3 else ("write", (value,))
    return "cas", (rng.randrange(values) if values and fate < 0.7 else state, value)


def _ask_counter(largest: int, rng: random.Random, number: int, state: Any) -> tuple[str, tuple[Value, ...]]:
    return ("read", ()) if rng.random() < 0.3 else ("add", (rng.randint(1, largest),))


def _ask_list(reads: float, rng: random.Random, number: int, state: Any) -> tuple[str, tuple[Value, ...]]:
    return ("read", ()) if rng.random() < reads else ("append", (number,))


MIXES = {
    "register, all values different": Mix(Register, None, register, partial(_ask_register, 0)),
    "register, 4 values": Mix(Register, None, register, partial(_ask_register, 4)),
    "compare-and-set, all values different": Mix(CompareAndSet, None, register, partial(_ask_swap, 0)),
    "compare-and-set, 4 values": Mix(CompareAndSet, None, register, partial(_ask_swap, 4)),
    "counter, by 1": Mix(Counter, 0, counter, partial(_ask_counter, 1)),
    "counter, by 1 to 5": Mix(Counter, 0, counter, partial(_ask_counter, 5)),
    "list that tells its length": Mix(AppendList, (), append_list, partial(_ask_list, 0.3)),
    "list that tells its length, hardly read": Mix(AppendList, (), append_list, partial(_ask_list, 0.02)),
    "list that tells nothing": Mix(AppendList, (), silent_list, partial(_ask_list, 0.3)),
}


def atomic_history(mix: Mix, seed: int, operations: int = 400, clients: int = 5, unknown: float = 0.2) -> list[Operation]:
    """Each operation takes effect at one moment between call and return. Of those of unknown outcome half never do, and some
    long after their client has gone on."""
    rng = random.Random(seed)
    tie = count()
    agenda: list[tuple[float, int, str, int]] = [(rng.random(), next(tie), "call", client) for client in range(clients)]
    heapq.heapify(agenda)
    history: list[Operation] = []
    replies: dict[int, Any] = {}
    state = mix.initial

    def later(now: float, delay: float, what: str, number: int) -> None:
        heapq.heappush(agenda, (now + delay, next(tie), what, number))

    while agenda:
        now, _, what, number = heapq.heappop(agenda)
        if what == "call":
            if len(history) == operations:
                continue
            kind, arguments = mix.ask(rng, len(history) + 1, state)
            history.append(Operation(number, "k", kind, arguments, now))
            effect, rest = rng.expovariate(1.0), rng.expovariate(1.0)
            if rng.random() >= unknown:
                later(now, effect, "effect", len(history) - 1)
                later(now, effect + rest, "return", len(history) - 1)
                continue
            later(now, rng.uniform(1.0, 6.0), "call", number)
            if rng.random() < 0.5:
                later(now, effect if rng.random() < 0.8 else rng.uniform(0.0, operations / 2), "effect", len(history) - 1)
        elif what == "effect":
            state, replies[number] = mix.truth(state, history[number].kind, history[number].arguments)
        else:
            history[number] = history[number].done(now, replies[number])
            later(now, rng.expovariate(5.0), "call", int(history[number].client))
    return history


def with_one_reply_changed(history: Sequence[Operation], rng: random.Random) -> list[Operation]:
    """A reply that another operation of the same kind got, or the opposite. The history may stay good."""
    told = [number for number, one in enumerate(history) if one.returned is not None and one.reply is not None]
    if not told:
        return list(history)
    number = rng.choice(told)
    victim = history[number]
    others = [one.reply for one in (history[other] for other in told) if one.kind == victim.kind and one.reply != victim.reply]
    reply = not victim.reply if victim.kind == "cas" else rng.choice(others) if others else victim.reply
    changed = list(history)
    changed[number] = replace(victim, reply=reply)
    return changed


# -- oracles


def allowed(order: Sequence[Operation], initial: Any, truth: Truth) -> bool:
    """Whether this order agrees with real time and explains every reply."""
    state = initial
    for place, one in enumerate(order):
        if any(after.returned is not None and after.returned < one.called for after in order[place + 1 :]):
            return False
        state, reply = truth(state, one.kind, one.arguments)
        if one.returned is not None and reply != one.reply:
            return False
    return True


def some_order_is_allowed(history: Sequence[Operation], initial: Any, truth: Truth) -> bool:
    """All orders of all answered operations and any of the others: slow and obvious."""
    answered = [one for one in history if one.returned is not None]
    unknown = [one for one in history if one.returned is None]
    return any(
        allowed(order, initial, truth)
        for happened in range(len(unknown) + 1)
        for some in combinations(unknown, happened)
        for order in permutations([*answered, *some])
    )


def some_order_is_found(history: Sequence[Operation], initial: Any, truth: Truth) -> bool:
    """The same by plain search, for histories too long for that. It remembers what failed, and knows nothing else."""
    failed: set[tuple[frozenset[int], Any]] = set()

    def found(left: frozenset[int], state: Any) -> bool:
        if all(history[number].returned is None for number in left):
            return True
        if (left, state) in failed:
            return False
        failed.add((left, state))
        return any(found(left - {number}, after) for number, after in steps(left, state))

    def steps(left: frozenset[int], state: Any) -> Iterator[tuple[int, Any]]:
        ends = [end for number in left if (end := history[number].returned) is not None]
        for number in left:
            one = history[number]
            after, reply = truth(state, one.kind, one.arguments)
            if one.called <= min(ends) and (one.returned is None or reply == one.reply):
                yield number, after

    return found(frozenset(range(len(history))), initial)
