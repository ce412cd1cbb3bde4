"""Members of sorted sets in replies."""

from __future__ import annotations

from collections.abc import Iterable

from ...floats import double_reply
from ...layout.scored import Scored
from ...reply import array, bulk


def members_reply(members: Iterable[Scored], scores: bool, proto: int) -> bytes:
    """Members, with their scores if asked for: in RESP3 each pair in an array of its own."""
    if not scores:
        return array([bulk(member) for member, _ in members])
    return array(pairs(members, proto)) if proto == 3 else array(pairs_flat(members, proto))


def pairs(members: Iterable[Scored], proto: int) -> list[bytes]:
    return [array([bulk(member), double_reply(score, proto)]) for member, score in members]


def pairs_flat(members: Iterable[Scored], proto: int) -> list[bytes]:
    return [item for member, score in members for item in (bulk(member), double_reply(score, proto))]
