"""The ends of ranges of scores and of names, as places in a sorted set."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NamedTuple

from ...floats import MAX_DIGITS, double
from ...layout.scored import MAX_MEMBER_BYTES, ScoredSet, ordered, place_of
from ...reply import ReplyError, error

_NOT_A_FLOAT = error("min or max is not a float")
_NOT_LEX = error("min or max not valid string range item")
_DECIMAL = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")

Places = tuple[bytes, bytes]
"""Members with the first <= place < the second."""
Find = Callable[[ScoredSet], Places]
"""A range, once it is known of which set."""


class _ScoreEnd(NamedTuple):
    score: float
    without: bool


class _LexEnd(NamedTuple):
    member: bytes
    without: bool
    infinite: int = 0
    """-1: before all; 1: behind all."""


def score_range(low: bytes, high: bytes) -> Find:
    """Raises ReplyError."""
    first, last = _score_end(low), _score_end(high)
    start = (ordered(first.score) + first.without).to_bytes(8, "big")
    end = (ordered(last.score) + (not last.without)).to_bytes(8, "big")
    return lambda scored: (start, end)


def lex_range(low: bytes, high: bytes) -> Find:
    """Of members that all have one score, that of the first. Raises ReplyError."""
    first, last = _lex_end(low), _lex_end(high)

    def find(scored: ScoredSet) -> Places:
        score = next((score for _, score in scored.members()), 0.0)
        start = scored.low if first.infinite < 0 else scored.high if first.infinite else _edge(first, score, first.without)
        end = scored.low if last.infinite < 0 else scored.high if last.infinite else _edge(last, score, not last.without)
        return start, end

    return find


def _edge(end: _LexEnd, score: float, behind: bool) -> bytes:
    place = place_of(end.member[: MAX_MEMBER_BYTES + 1], score)  # no member is longer: more would make no difference
    return place + b"\0" if behind and len(end.member) <= MAX_MEMBER_BYTES else place


def _score_end(word: bytes) -> _ScoreEnd:
    without = word[:1] == b"("
    score = _score(word[without:])
    if score is None:
        raise ReplyError(_NOT_A_FLOAT)
    return _ScoreEnd(score, without)


def _score(word: bytes) -> float | None:
    """Redis is less strict here than with scores that are stored: nothing is 0, and what is too large is infinite."""
    text = word.partition(b"\0")[0].lstrip(b" \t\n\v\f\r")
    if not text:
        return 0.0
    if len(text) <= MAX_DIGITS and _DECIMAL.fullmatch(text):
        score = float(text)
        return None if math.isnan(score) else score
    return double(text)


def _lex_end(word: bytes) -> _LexEnd:
    if word in (b"-", b"+"):
        return _LexEnd(b"", False, 1 if word == b"+" else -1)
    if word[:1] not in (b"(", b"["):
        raise ReplyError(_NOT_LEX)
    return _LexEnd(word[1:], word[:1] == b"(")
