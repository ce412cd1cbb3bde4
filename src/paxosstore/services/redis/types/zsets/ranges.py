"""Commands on ranges of a sorted set: by rank, by score, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from .....core.batch.overlay import View
from ...layout.compact import limits
from ...layout.keys import LOOKUPS, Key
from ...layout.pages import PAGE
from ...layout.scored import Scored, ScoredSet
from ...reply import SYNTAX_ERROR, ZERO, ReplyError, error, integer_reply
from ...run import Run
from ..arguments import need_integer
from ..lists.inside import span
from .bounds import Find, lex_range, score_range
from .replies import members_reply

_ONLY_WITH = error("syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
_NO_SCORES = error("syntax error, WITHSCORES not supported in combination with BYLEX")
_ALL = 2**62


@dataclass(slots=True)
class _Range:
    """What a command on a range asks for."""

    find: Find | None
    """None: by rank."""
    start: int = 0
    stop: int = 0
    reverse: bool = False
    scores: bool = False
    offset: int = 0
    limit: int = -1
    """Negative: all."""

    def members(self, scored: ScoredSet) -> list[Scored]:
        if not scored.size:
            return []
        if self.find is None:
            return scored.ranked(*span(self.start, self.stop, scored.size), reverse=self.reverse)
        first, last = self.find(scored)
        if self.offset < 0 or not self.limit:
            return []
        limit = self.limit if self.limit > 0 else _ALL
        if self.offset <= PAGE:
            return list(islice(scored.between(first, last, reverse=self.reverse), self.offset, self.offset + limit))
        low, high = scored.rank(first), scored.rank(last)
        if self.reverse:
            low, high = scored.size - high, scored.size - low
        start = low + self.offset
        return scored.ranked(start, min(high, start + limit), reverse=self.reverse)


def range_command(by: str = "", *, reverse: bool | None = None) -> Run:
    """ZRANGE and its older forms. `by`: rank, score, lex; where nothing is said the words decide."""

    def find_range(view: View, args: list[bytes], proto: int) -> bytes:
        wanted = _parse(args, 2, by, reverse, may_have_scores=True)
        return members_reply(wanted.members(ScoredSet(view, args[1])), wanted.scores, proto)

    return find_range


def zrangestore(view: View, args: list[bytes], proto: int) -> bytes:
    wanted = _parse(args, 3, "", None, may_have_scores=False)
    with LOOKUPS:
        source = ScoredSet(view, args[2])
    members = wanted.members(source)
    return store(view, args[1], members[::-1] if wanted.reverse else members)


def store(view: View, name: bytes, members: list[Scored]) -> bytes:
    """Make a key a sorted set of these members, in ascending order, whatever it was; returns how many, as a reply."""
    Key(view, name).delete()
    if not members:
        return ZERO
    scored = ScoredSet(view, name)
    longest = max([len(member) for member, _ in members])
    large = len(members) > limits["zset-max-listpack-entries"] or longest > limits["zset-max-listpack-value"]
    scored.fill(members, large=large)
    scored.save()
    return integer_reply(len(members))


def _parse(args: list[bytes], at: int, by: str, reverse: bool | None, *, may_have_scores: bool) -> _Range:
    """Raises ReplyError."""
    scores, kind, backwards, limit = False, by, reverse, None
    where = at + 2
    while where < len(args):
        word, left = args[where].upper(), len(args) - where - 1
        if may_have_scores and word == b"WITHSCORES":
            scores = True
        elif word == b"LIMIT" and left >= 2:
            limit = need_integer(args[where + 1]), need_integer(args[where + 2])
            where += 2
        elif backwards is None and word == b"REV":
            backwards = True
        elif not kind and word in (b"BYLEX", b"BYSCORE"):
            kind = "lex" if word == b"BYLEX" else "score"
        else:
            raise ReplyError(SYNTAX_ERROR)
        where += 1
    backwards = bool(backwards)
    if limit is not None and kind in ("", "rank") and limit[1] != -1:
        raise ReplyError(_ONLY_WITH)
    if scores and kind == "lex":
        raise ReplyError(_NO_SCORES)
    first, last = args[at], args[at + 1]
    if kind in ("", "rank"):
        return _Range(None, need_integer(first), need_integer(last), backwards, scores)
    if backwards:
        first, last = last, first
    find = score_range(first, last) if kind == "score" else lex_range(first, last)
    return _Range(find, 0, 0, backwards, scores, *(limit or (0, -1)))


def count_command(make: Callable[[bytes, bytes], Find]) -> Run:
    """ZCOUNT and ZLEXCOUNT."""

    def count(view: View, args: list[bytes], proto: int) -> bytes:
        find = make(args[2], args[3])
        scored = ScoredSet(view, args[1])
        if not scored.size:
            return ZERO
        first, last = find(scored)
        return integer_reply(scored.rank(last) - scored.rank(first) if first < last else 0)

    return count


def remove_range_command(make: Callable[[bytes, bytes], Find] | None) -> Run:
    """ZREMRANGEBYSCORE, ZREMRANGEBYLEX; with None ZREMRANGEBYRANK."""

    def remove(view: View, args: list[bytes], proto: int) -> bytes:
        if make is None:
            wanted = _Range(None, need_integer(args[2]), need_integer(args[3]))
        else:
            wanted = _Range(make(args[2], args[3]))
        scored = ScoredSet(view, args[1])
        members = wanted.members(scored)
        if members:
            scored.remove_many(members)
            scored.save()
        return integer_reply(len(members))

    return remove
