"""Unions, intersections and differences of sorted sets, and of plain sets, whose members count as scored 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from .....core.batch.overlay import View
from ...floats import double
from ...layout.keys import LOOKUPS, SET, kind_of
from ...layout.scored import Scored, ScoredSet
from ...reply import SYNTAX_ERROR, ReplyError, error, integer_reply
from ...run import Run
from ..arguments import need_count, need_integer
from ..sets import Set
from .ranges import store
from .replies import members_reply


class _Source:
    """A set of one kind or the other, as sorted sets see it. Raises WrongType."""

    __slots__ = ("_found", "weight")

    def __init__(self, view: View, name: bytes) -> None:
        self._found = Set(view, name) if kind_of(view, name) == SET else ScoredSet(view, name)
        self.weight = 1.0

    @property
    def size(self) -> int:
        return self._found.size

    def members(self) -> Iterator[Scored]:
        if isinstance(self._found, ScoredSet):
            return self._found.members()
        return ((member, 1.0) for member, _ in self._found.members())

    def score(self, member: bytes) -> float | None:
        if isinstance(self._found, ScoredSet):
            return self._found.score(member)
        return 1.0 if member in self._found else None

    def weighted(self, score: float) -> float:
        score *= self.weight
        return 0.0 if math.isnan(score) else score


Aggregate = Callable[[float, float], float]


def _sum(one: float, other: float) -> float:
    total = one + other
    return 0.0 if math.isnan(total) else total


def _min(one: float, other: float) -> float:
    return other if other < one else one


def _max(one: float, other: float) -> float:
    return other if other > one else one


_AGGREGATES: dict[bytes, Aggregate] = {b"SUM": _sum, b"MIN": _min, b"MAX": _max}


class _Options(NamedTuple):
    aggregate: Aggregate
    scores: bool
    limit: int


def _union(sources: list[_Source], aggregate: Aggregate) -> dict[bytes, float]:
    found: dict[bytes, float] = {}
    for source in sorted(sources, key=lambda source: source.size):
        for member, score in source.members():
            score = source.weighted(score)
            before = found.get(member)
            found[member] = score if before is None else aggregate(before, score)
    return found


def _inter(sources: list[_Source], aggregate: Aggregate) -> dict[bytes, float]:
    first, *others = sorted(sources, key=lambda source: source.size)
    found: dict[bytes, float] = {}
    for member, score in first.members():
        total: float | None = first.weighted(score)
        for other in others:
            theirs = other.score(member)
            if theirs is None:
                total = None
                break
            assert total is not None
            total = aggregate(total, other.weighted(theirs))
        if total is not None:
            found[member] = total
    return found


def _diff(sources: list[_Source], aggregate: Aggregate) -> dict[bytes, float]:
    """By looking up each member of the first in the others, or by reading all of those: whichever is less."""
    first, *others = sources
    if first.size * len(others) <= sum([other.size for other in others]):
        return {member: score for member, score in first.members() if all(other.score(member) is None for other in others)}
    found = dict(first.members())
    for other in others:
        for member, _ in other.members():
            found.pop(member, None)
    return found


_OPERATIONS = {"union": _union, "inter": _inter, "diff": _diff}


def combine_command(name: str, *, stores: bool = False) -> Run:
    """ZUNION, ZINTER, ZDIFF, and with `stores` their forms that keep the result."""
    operation = _OPERATIONS[name]
    command = f"z{name}store" if stores else f"z{name}"

    def combine(view: View, args: list[bytes], proto: int) -> bytes:
        sources, words = _sources(view, args, 1 + stores, command)
        options = _options(words, sources, command)
        found = sorted(operation(sources, options.aggregate).items(), key=_in_order)
        return store(view, args[1], found) if stores else members_reply(found, options.scores, proto)

    return combine


def _in_order(scored: Scored) -> tuple[float, bytes]:
    return scored[1], scored[0]


def zintercard(view: View, args: list[bytes], proto: int) -> bytes:
    sources, words = _sources(view, args, 1, "zintercard")
    limit = _options(words, sources, "zintercard").limit
    first, *others = sorted(sources, key=lambda source: source.size)
    count = 0
    for member, _ in first.members():
        if all(other.score(member) is not None for other in others):
            count += 1
            if count == limit:
                break
    return integer_reply(count)


def _sources(view: View, args: list[bytes], at: int, command: str) -> tuple[list[_Source], list[bytes]]:
    """The sets behind their number, and the words behind them. Raises ReplyError."""
    number = need_integer(args[at])
    if number < 1:
        raise ReplyError(error(f"at least 1 input key is needed for '{command}' command"))
    if number > len(args) - at - 1:
        raise ReplyError(SYNTAX_ERROR)
    end = at + 1 + number
    with LOOKUPS:
        return [_Source(view, name) for name in args[at + 1 : end]], args[end:]


def _options(words: list[bytes], sources: list[_Source], command: str) -> _Options:
    """Gives the sources their weights. Raises ReplyError."""
    aggregate: Aggregate = _sum
    scores, limit = False, 0
    may_weigh = command.startswith(("zunion", "zinter")) and command != "zintercard"
    at = 0
    while at < len(words):
        word, left = words[at].upper(), len(words) - at
        if may_weigh and word == b"WEIGHTS" and left > len(sources):
            _weigh(sources, words[at + 1 :])
            at += len(sources)
        elif may_weigh and word == b"AGGREGATE" and left >= 2 and words[at + 1].upper() in _AGGREGATES:
            at += 1
            aggregate = _AGGREGATES[words[at].upper()]
        elif word == b"WITHSCORES" and command in ("zunion", "zinter", "zdiff"):
            scores = True
        elif word == b"LIMIT" and command == "zintercard" and left >= 2:
            at += 1
            limit = need_count(words[at], error("LIMIT can't be negative"))
        else:
            raise ReplyError(SYNTAX_ERROR)
        at += 1
    return _Options(aggregate, scores, limit)


def _weigh(sources: Iterable[_Source], words: Iterable[bytes]) -> None:
    for source, word in zip(sources, words, strict=False):
        weight = double(word)
        if weight is None:
            raise ReplyError(error("weight value is not a float"))
        source.weight = weight
