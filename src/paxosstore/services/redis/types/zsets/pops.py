"""Commands that take members from the ends of sorted sets, or some by chance.

Those that may block are their non-blocking selves: they say nil where there is nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from .....core.batch.overlay import View
from ...floats import double_reply
from ...layout.hashed import CHANCE
from ...layout.pages import PAGE
from ...layout.scored import Scored, ScoredSet
from ...reply import SYNTAX_ERROR, ReplyError, array, bulk, error, nil, nil_array
from ...run import Run
from ..arguments import need_count, need_integer, need_timeout, numbered_keys
from ..lists.ends import pop_count
from .replies import members_reply, pairs, pairs_flat

_MAX = 2**63 - 1
MAX_DRAWS = 20_000
"""Of ZRANDMEMBER with a negative count: it would be the longest loop that no row limits."""


def pop_command(*, highest: bool) -> Run:
    """ZPOPMIN and ZPOPMAX."""

    def pop(view: View, args: list[bytes], proto: int) -> bytes:
        if len(args) > 3:
            return SYNTAX_ERROR
        count = need_count(args[2]) if len(args) == 3 else 1
        members = _take(ScoredSet(view, args[1]), count, highest)
        return array(pairs(members, proto) if proto == 3 and len(args) == 3 else pairs_flat(members, proto))

    return pop


def blocking_pop_command(*, highest: bool) -> Run:
    """BZPOPMIN and BZPOPMAX."""

    def pop(view: View, args: list[bytes], proto: int) -> bytes:
        need_timeout(args[-1])
        found = _first_set(view, args[1:-1])
        if found is None:
            return nil_array(proto)
        name, scored = found
        ((member, score),) = _take(scored, 1, highest)
        return array([bulk(name), bulk(member), double_reply(score, proto)])

    return pop


def multi_pop_command(*, waits: bool) -> Run:
    """ZMPOP and BZMPOP."""
    at = 1 + waits

    def pop(view: View, args: list[bytes], proto: int) -> bytes:
        names, end = numbered_keys(args, at)
        where = args[end].upper()
        if where not in (b"MIN", b"MAX"):
            raise ReplyError(SYNTAX_ERROR)
        count = pop_count(args[end + 1 :])
        if waits:
            need_timeout(args[1])
        found = _first_set(view, names)
        if found is None:
            return nil_array(proto)
        name, scored = found
        return array([bulk(name), array(pairs(_take(scored, count, where == b"MAX"), proto))])

    return pop


def _take(scored: ScoredSet, count: int, highest: bool) -> list[Scored]:
    members = scored.pop(count, highest=highest) if count and scored.size else []
    if members:
        scored.save()
    return members


def _first_set(view: View, names: Iterable[bytes]) -> tuple[bytes, ScoredSet] | None:
    for name in names:
        scored = ScoredSet(view, name)
        if scored.size:
            return name, scored
    return None


def zrandmember(view: View, args: list[bytes], proto: int) -> bytes:
    if len(args) == 2:
        scored = ScoredSet(view, args[1])
        return bulk(_chosen(scored, [CHANCE.randrange(scored.size)])[0][0]) if scored.size else nil(proto)
    count = need_integer(args[2])
    if count < -_MAX:
        return error(f"value is out of range, value must between -{_MAX} and {_MAX}")
    scores = len(args) > 3
    if len(args) > 4 or (scores and args[3].upper() != b"WITHSCORES"):
        return SYNTAX_ERROR
    if scores and not -(_MAX // 2) <= count <= _MAX // 2:
        return error("value is out of range")
    scored = ScoredSet(view, args[1])
    size = scored.size
    if not size or not count:
        return array([])
    if count >= size:
        return members_reply(scored.members(), scores, proto)
    if count > 0:
        ranks = CHANCE.sample(range(size), count)
    else:
        if -count > MAX_DRAWS:
            return error(f"a count below -{MAX_DRAWS} is over the limit", "TOOLARGE")
        ranks = CHANCE.choices(range(size), k=-count)
    return members_reply(_chosen(scored, ranks), scores, proto)


def _chosen(scored: ScoredSet, ranks: list[int]) -> list[Scored]:
    """The members of these ranks: one by one, or out of all, where that is less."""
    if scored.size <= PAGE * len(ranks):
        members = list(scored.members())
        return [members[rank] for rank in ranks]
    return [scored.ranked(rank, rank + 1)[0] for rank in ranks]


BZPOPMIN, BZPOPMAX = blocking_pop_command(highest=False), blocking_pop_command(highest=True)
ZMPOP, BZMPOP = multi_pop_command(waits=False), multi_pop_command(waits=True)
