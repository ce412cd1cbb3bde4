"""Linearizability of a history: `check` it, and `shrink` it if it is bad. How an order is searched for: see `search.py`."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from .history import Contradiction, Operation, one_per_uuid
from .models import Model
from .search import DeadEnd, Search, Undecided, is_optional

__all__ = ["ModelOf", "Undecided", "Verdict", "check", "shrink"]

BUDGET = 500_000
"""Steps per key: seconds, and some 100 MB, at worst."""
SHRINKING_BUDGET = 20_000
"""Steps per attempt to make a history smaller."""
SHOWN = 20
"""How many operations an explanation shows of the order."""

ModelOf = Callable[[Sequence[Operation]], Model[Any]]
"""A model's class."""


class Verdict(NamedTuple):
    """`good`, or one key whose operations have no order."""

    good: bool
    key: str = ""
    order: tuple[Operation, ...] = ()
    """The longest that was found."""
    stuck: tuple[Operation, ...] = ()
    """One of these must come next, and cannot."""
    explanation: str = "linearizable"
    """For a person."""

    def __str__(self) -> str:
        return self.explanation


def check(operations: Iterable[Operation], model: ModelOf, budget: int = BUDGET) -> Verdict:
    """Bad if any key is, whose verdict it then is. Raises Undecided if no key is known to be bad, nor all to be good."""
    by_key: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        by_key[operation.key].append(operation)
    undecided = []
    for key, own in by_key.items():
        try:
            verdict = _check_key(own, model, budget)
        except Undecided:
            undecided.append(key)
            continue
        if not verdict.good:
            return verdict
    if undecided:
        raise Undecided(f"not decided within {budget} steps: {', '.join(undecided)}")
    return Verdict(True)


def shrink(operations: Iterable[Operation], model: ModelOf, budget: int = SHRINKING_BUDGET) -> list[Operation]:
    """A small history that is bad, out of a bad one, about one key. Raises ValueError for a good one, and Undecided. What is not
    found to be bad within the budget, in steps, is not made smaller.

    To drop a write whose effect was seen makes any history bad, and so says nothing. Each step here keeps good ones good:
    - What was called after the first return that makes the history bad is cut off; what had not returned by then is unknown.
    - What clients were told is forgotten, wherever the rest stays bad. A read is gone with that. Anything else may then
      have happened at any time or never; it stays, to explain what others saw.
    - At last what cannot explain any reply that is left is dropped.
    """
    operations = list(operations)
    verdict = check(operations, model)
    if verdict.good:
        raise ValueError("the history is good")
    try:
        own = one_per_uuid(operation for operation in operations if operation.key == verdict.key)
    except Contradiction as contradiction:
        return contradiction.attempts

    def is_bad(tried: list[Operation]) -> bool:
        try:
            return not Search(tried, model(tried)).is_good(budget)
        except Undecided:
            return False

    ends = _ends(own)
    end = ends[bisect_left(ends[:-1], True, key=lambda end: is_bad(_known_at(end, own)))]
    known = _known_at(end, own)
    known.sort(key=model(known).is_read, reverse=True)  # a read that is forgotten is one less
    left = sorted(_forget(known, is_bad), key=lambda one: one.called)
    last, end = model(left), _ends(left)[-1]
    return [one for one in left if one.returned is not None or (one.called <= end and is_optional(one, last))]


def _ends(operations: list[Operation]) -> list[float]:
    return sorted(operation.returned for operation in operations if operation.returned is not None)


def _known_at(end: float, operations: list[Operation]) -> list[Operation]:
    called = [operation for operation in operations if operation.called <= end]
    return [one.unknown() if one.returned is not None and one.returned > end else one for one in called]


def _forget(operations: list[Operation], is_bad: Callable[[list[Operation]], bool]) -> list[Operation]:
    """All outcomes that need not be known, by halves. What must be known stays so when less is: one pass finds all."""
    parts = [range(len(operations))]
    while parts:
        part = parts.pop()
        tried = [one.unknown() if number in part else one for number, one in enumerate(operations)]
        if is_bad(tried):
            operations = tried
        elif len(part) > 1:
            half = len(part) // 2
            parts += [part[half:], part[:half]]
    return operations


def _check_key(operations: list[Operation], model: ModelOf, budget: int) -> Verdict:
    key = operations[0].key
    try:
        merged = one_per_uuid(operations)
    except Contradiction as contradiction:
        lines = [f"key {key}: {contradiction}:", *(f"  {attempt}" for attempt in contradiction.attempts)]
        return Verdict(False, key, (), tuple(contradiction.attempts), "\n".join(lines))
    promise = model(merged)
    search = Search(merged, promise)
    if search.is_good(budget):
        return Verdict(True)
    end = search.dead_end()
    answered = sum(operation.returned is not None for operation in merged)
    return Verdict(False, key, end.order, end.candidates, "\n".join(_explanation(key, answered, end, promise)))


def _explanation(key: str, answered: int, end: DeadEnd, model: Model[Any]) -> list[str]:
    placed = sum(operation.returned is not None for operation in end.order)
    lines = [f"key {key}: no order explains all replies. The longest order found has {placed} of {answered} answered operations:"]
    if len(end.order) > SHOWN:
        lines.append(f"  ... {len(end.order) - SHOWN} more")
    lines += [f"  {operation}" for operation in end.order[-SHOWN:]]
    lines.append(f"Then the state is {end.state!r}. One of these must come next, and cannot:")
    for candidate in end.candidates:
        lines.append(f"  {candidate}")
        following, reply = model.apply(end.state, candidate)
        if reply != candidate.reply:
            lines.append(f"    its reply would be {reply!r}")
            continue
        others = [other for other in end.watched if other is not candidate and model.hopeless(following, other)]
        lines += [f"    it would make this impossible: {other}" for other in others]
    return lines
