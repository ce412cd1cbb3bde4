"""Commands that name members of a sorted set."""

from __future__ import annotations

import math

from .....core.batch.overlay import View
from ...floats import double, double_reply
from ...layout.scored import ScoredSet, place_of
from ...reply import NOT_A_FLOAT, SYNTAX_ERROR, ReplyError, array, bulk, error, integer_reply, nil
from ...run import Run
from ..scanning import cursor, scan_options
from .replies import pairs_flat

_OPTIONS = frozenset((b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"))
_NOT_A_NUMBER = error("resulting score is not a number (NaN)")


def zadd(view: View, args: list[bytes], proto: int) -> bytes:
    options, words = split_options(args)
    if len(words) % 2 or not words:
        return SYNTAX_ERROR
    _check(options, len(words) // 2)
    return add_members(view, args[1], list(zip(words[1::2], map(need_score, words[::2]), strict=True)), options, proto)


def split_options(args: list[bytes]) -> tuple[set[bytes], list[bytes]]:
    """The options of a ZADD, and the words behind them."""
    at = 2
    options: set[bytes] = set()
    while at < len(args) and (word := args[at].upper()) in _OPTIONS:
        options.add(word)
        at += 1
    return options, args[at:]


def zincrby(view: View, args: list[bytes], proto: int) -> bytes:
    return add_members(view, args[1], [(args[3], need_score(args[2]))], {b"INCR"}, proto)


def _check(options: set[bytes], members: int) -> None:
    """Raises ReplyError for options that exclude each other."""
    if {b"NX", b"XX"} <= options:
        raise ReplyError(error("XX and NX options at the same time are not compatible"))
    if len(options & {b"NX", b"GT", b"LT"}) > 1:
        raise ReplyError(error("GT, LT, and/or NX options at the same time are not compatible"))
    if b"INCR" in options and members > 1:
        raise ReplyError(error("INCR option supports a single increment-element pair"))


def need_score(word: bytes) -> float:
    """Raises ReplyError."""
    score = double(word)
    if score is None:
        raise ReplyError(NOT_A_FLOAT)
    return score


def add_members(view: View, name: bytes, members: list[tuple[bytes, float]], options: set[bytes], proto: int) -> bytes:
    scored = ScoredSet(view, name)
    increments = b"INCR" in options
    added = changed = 0
    result: float | None = None
    for member, score in members:
        before = scored.score(member)
        if b"NX" in options if before is not None else b"XX" in options:
            continue
        if before is not None:
            if increments:
                score += before
                if math.isnan(score):
                    return _NOT_A_NUMBER
            if (b"GT" in options and score <= before) or (b"LT" in options and score >= before):
                continue
        result = score
        if before != score:
            scored.put(member, score, before)
            added += before is None
            changed += 1
    if changed:
        scored.save()
    if increments:
        return nil(proto) if result is None else double_reply(result, proto)
    return integer_reply(changed if b"CH" in options else added)


def zrem(view: View, args: list[bytes], proto: int) -> bytes:
    scored = ScoredSet(view, args[1])
    found: dict[bytes, float] = {}
    for member in args[2:] if scored.size else ():
        score = None if member in found else scored.score(member)
        if score is not None:
            found[member] = score
    if found:
        scored.remove_many(sorted(found.items(), key=lambda one: place_of(*one)))
        scored.save()
    return integer_reply(len(found))


def zscore(view: View, args: list[bytes], proto: int) -> bytes:
    return _score_reply(ScoredSet(view, args[1]).score(args[2]), proto)


def zmscore(view: View, args: list[bytes], proto: int) -> bytes:
    scored = ScoredSet(view, args[1])
    return array([_score_reply(scored.score(member), proto) for member in args[2:]])


def zcard(view: View, args: list[bytes], proto: int) -> bytes:
    return integer_reply(ScoredSet(view, args[1]).size)


def rank_command(*, reverse: bool) -> Run:
    """ZRANK and ZREVRANK."""

    def rank(view: View, args: list[bytes], proto: int) -> bytes:
        scored = ScoredSet(view, args[1])
        score = scored.score(args[2])
        if score is None:
            return nil(proto)
        found = scored.rank(place_of(args[2], score))
        return integer_reply(scored.size - 1 - found if reverse else found)

    return rank


def zscan(view: View, args: list[bytes], proto: int) -> bytes:
    """A cursor is a hash: it holds at every node. What Redis keeps in a compact form comes at once and in order, as there."""
    at = cursor(args[2])
    scored = ScoredSet(view, args[1])
    options = scan_options(args[3:])
    if not scored.rows.is_large:
        page, following = list(scored.members()), 0
    elif at >= 1 << 32:
        page, following = [], 0
    else:
        page, following = scored.page(at, options.count, options.max_name_bytes)
    wanted = set(options.matching([member for member, _ in page]))
    found = [(member, score) for member, score in page if member in wanted]
    return array([bulk(b"%d" % following), array(pairs_flat(found, 2))])


def _score_reply(score: float | None, proto: int) -> bytes:
    return nil(proto) if score is None else double_reply(score, proto)
