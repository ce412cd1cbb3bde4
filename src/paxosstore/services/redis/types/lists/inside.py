"""Commands on what lies between the ends of a list."""

from __future__ import annotations

from .....core.batch.overlay import View
from ...layout.items import Items
from ...reply import (
    NO_SUCH_KEY,
    OK,
    SYNTAX_ERROR,
    ZERO,
    ReplyError,
    array,
    bulk,
    error,
    integer_reply,
    nil,
)
from ..arguments import need_count, need_integer

_MAX = 2**63 - 1
_ZERO_RANK = error(
    "RANK can't be zero: use 1 to start from the first match, 2 from the second ... "
    "or use negative to start from the end of the list"
)


def llen(view: View, args: list[bytes], proto: int) -> bytes:
    return integer_reply(Items(view, args[1]).size)


def lindex(view: View, args: list[bytes], proto: int) -> bytes:
    items = Items(view, args[1])
    if not items.size:
        return nil(proto)
    position = _position(need_integer(args[2]), items.size)
    return nil(proto) if position is None else bulk(items.get(position))


def lset(view: View, args: list[bytes], proto: int) -> bytes:
    items = Items(view, args[1])
    if not items.size:
        return NO_SUCH_KEY
    position = _position(need_integer(args[2]), items.size)
    if position is None:
        return error("index out of range")
    items.set(position, args[3])
    items.save()
    return OK


def lrange(view: View, args: list[bytes], proto: int) -> bytes:
    start, stop = need_integer(args[2]), need_integer(args[3])
    items = Items(view, args[1])
    return array([bulk(value) for value in items.slice(*span(start, stop, items.size))])


def ltrim(view: View, args: list[bytes], proto: int) -> bytes:
    start, stop = need_integer(args[2]), need_integer(args[3])
    items = Items(view, args[1])
    if items.size:
        items.trim(*span(start, stop, items.size))
        items.save()
    return OK


def span(start: int, stop: int, size: int) -> tuple[int, int]:
    """A range of Redis, negative numbers counting from the end and both ends within, as start and one past the stop."""
    start = max(start + size if start < 0 else start, 0)
    stop = min(stop + size if stop < 0 else stop, size - 1) + 1
    return (start, stop) if start < stop else (0, 0)


def linsert(view: View, args: list[bytes], proto: int) -> bytes:
    where = args[2].upper()
    if where not in (b"BEFORE", b"AFTER"):
        return SYNTAX_ERROR
    items = Items(view, args[1])
    if not items.size:
        return ZERO
    pivot = args[3]
    found = next((position for position, value in items.each() if value == pivot), None)
    if found is None:
        return b":-1\r\n"
    items.insert(found + (where == b"AFTER"), args[4])
    items.save()
    return integer_reply(items.size)


def lrem(view: View, args: list[bytes], proto: int) -> bytes:
    count, unwanted = need_integer(args[2]), args[3]
    items = Items(view, args[1])
    if not items.size:
        return ZERO
    found: list[int] = []
    for position, value in items.each(reverse=count < 0):
        if value == unwanted:
            found.append(position)
            if len(found) == abs(count):
                break
    if found:
        items.remove(sorted(found))
        items.save()
    return integer_reply(len(found))


def lpos(view: View, args: list[bytes], proto: int) -> bytes:
    rank, count, most = _lpos_options(args[3:])
    wanted = args[2]
    items = Items(view, args[1])
    found: list[int] = []
    matches = 0
    for compared, (position, value) in enumerate(items.each(reverse=rank < 0) if items.size else ()):
        if most and compared >= most:
            break
        if value == wanted:
            matches += 1
            if matches >= abs(rank):
                found.append(position)
                if count is None or len(found) == count:
                    break
    if count is None:
        return integer_reply(found[0]) if found else nil(proto)
    return array([integer_reply(position) for position in found])


def _lpos_options(words: list[bytes]) -> tuple[int, int | None, int]:
    """RANK, COUNT (None: one, not in an array) and MAXLEN (0: any). Raises ReplyError."""
    rank, count, most = 1, None, 0
    for at in range(0, len(words), 2):
        name = words[at].upper()
        if at + 1 == len(words) or name not in (b"RANK", b"COUNT", b"MAXLEN"):
            raise ReplyError(SYNTAX_ERROR)
        word = words[at + 1]
        if name == b"RANK":
            rank = need_integer(word)
            if not rank:
                raise ReplyError(_ZERO_RANK)
            if rank < -_MAX:
                rank = -1  # as in Redis, where it has no positive counterpart
        elif name == b"COUNT":
            count = need_count(word, error("COUNT can't be negative"))
        else:
            most = need_count(word, error("MAXLEN can't be negative"))
    return rank, count, most


def _position(index: int, size: int) -> int | None:
    """Where an index points, negative ones counting from the end; None: outside."""
    position = index + size if index < 0 else index
    return position if 0 <= position < size else None
