"""Commands on the ends of lists. Those that may block are their non-blocking selves: they say nil where there is nothing."""

from __future__ import annotations

from collections.abc import Iterable

from .....core.batch.overlay import View
from ...layout.items import Items
from ...layout.keys import LIST, Key
from ...reply import (
    SYNTAX_ERROR,
    ZERO,
    ReplyError,
    WrongType,
    array,
    bulk,
    error,
    integer_reply,
    nil,
    nil_array,
    wrong_arity,
)
from ...run import Run
from ..arguments import need_between, need_count, need_timeout, numbered_keys

_MAX = 2**63 - 1


def push_command(*, left: bool, only_existing: bool = False) -> Run:
    """LPUSH and its kind."""

    def push(view: View, args: list[bytes], proto: int) -> bytes:
        items = Items(view, args[1])
        if only_existing and not items.size:
            return ZERO
        for value in args[2:]:
            items.push(value, left=left)
        items.save()
        return integer_reply(items.size)

    return push


def pop_command(name: str, *, left: bool) -> Run:
    """LPOP and RPOP."""

    def pop(view: View, args: list[bytes], proto: int) -> bytes:
        if len(args) > 3:
            return wrong_arity(name)
        count = need_count(args[2]) if len(args) == 3 else None
        items = Items(view, args[1])
        if not items.size:
            return nil(proto) if count is None else nil_array(proto)
        if count == 0:
            return array([])
        values = items.pop_many(1 if count is None else count, left=left)
        items.save()
        return bulk(values[0]) if count is None else array([bulk(value) for value in values])

    return pop


def blocking_pop_command(*, left: bool) -> Run:
    """BLPOP and BRPOP."""

    def pop(view: View, args: list[bytes], proto: int) -> bytes:
        need_timeout(args[-1])
        found = _first_list(view, args[1:-1])
        if found is None:
            return nil_array(proto)
        name, items = found
        value = items.pop(left=left)
        items.save()
        return array([bulk(name), bulk(value)])

    return pop


def multi_pop_command(*, waits: bool) -> Run:
    """LMPOP and BLMPOP."""
    at = 1 + waits

    def pop(view: View, args: list[bytes], proto: int) -> bytes:
        names, end = numbered_keys(args, at)
        left = _side(args[end])
        count = pop_count(args[end + 1 :])
        if waits:
            need_timeout(args[1])
        found = _first_list(view, names)
        if found is None:
            return nil_array(proto)
        name, items = found
        values = items.pop_many(count, left=left)
        items.save()
        return array([bulk(name), array([bulk(value) for value in values])])

    return pop


def pop_count(words: list[bytes]) -> int:
    """The COUNT at the end of LMPOP and ZMPOP. Raises ReplyError."""
    count = 0
    at = 0
    while at < len(words):
        if words[at].upper() != b"COUNT" or at + 1 == len(words) or count:
            raise ReplyError(SYNTAX_ERROR)
        count = need_between(words[at + 1], 1, _MAX, error("count should be greater than 0"))
        at += 2
    return count or 1


def lmove(view: View, args: list[bytes], proto: int) -> bytes:
    return _move(view, args[1], args[2], _side(args[3]), _side(args[4]), proto)


def blmove(view: View, args: list[bytes], proto: int) -> bytes:
    sides = _side(args[3]), _side(args[4])
    need_timeout(args[5])
    return _move(view, args[1], args[2], *sides, proto)


def rpoplpush(view: View, args: list[bytes], proto: int) -> bytes:
    return _move(view, args[1], args[2], False, True, proto)


def brpoplpush(view: View, args: list[bytes], proto: int) -> bytes:
    need_timeout(args[3])
    return _move(view, args[1], args[2], False, True, proto)


def _move(view: View, source: bytes, target: bytes, from_left: bool, to_left: bool, proto: int) -> bytes:
    items = Items(view, source)
    if not items.size:
        return nil(proto)
    if source == target:
        if items.size == 1 or from_left == to_left:
            value = items.get(0 if from_left else items.size - 1)
        else:
            value = items.pop(left=from_left)
            items.push(value, left=to_left)
        items.save()
        return bulk(value)
    if Key(view, target).kind not in (0, LIST):
        raise WrongType
    value = items.pop(left=from_left)
    items.save()
    others = Items(view, target)
    others.push(value, left=to_left)
    others.save()
    return bulk(value)


def _first_list(view: View, names: Iterable[bytes]) -> tuple[bytes, Items] | None:
    for name in names:
        items = Items(view, name)
        if items.size:
            return name, items
    return None


def _side(word: bytes) -> bool:
    """Whether it says left. Raises ReplyError."""
    side = word.upper()
    if side not in (b"LEFT", b"RIGHT"):
        raise ReplyError(SYNTAX_ERROR)
    return side == b"LEFT"
