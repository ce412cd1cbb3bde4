"""Commands on hashes. A field's row holds its rank, by which the fields of a small hash are listed as Redis lists them: in
the order in which they came; then its value."""

from __future__ import annotations

from collections.abc import Iterator

from ....core.batch.overlay import View
from ....errors import TooLarge
from ..layout.collection import LARGE
from ..layout.compact import limits
from ..layout.hashed import HashedCollection
from ..layout.keys import HASH
from ..reply import (
    NOT_A_FLOAT,
    NOT_AN_INTEGER,
    OK,
    ONE,
    SYNTAX_ERROR,
    ZERO,
    ReplyError,
    array,
    bulk,
    error,
    integer_reply,
    map_of,
    nil,
    wrong_arity,
)
from ..resp import integer
from . import long_double
from .scanning import EMPTY_PAGE, cursor, page_of, scan_options

MAX_DRAWN = 20_000
"""Fields that are drawn with repetition, of whatever hash or set."""
_RANK = 6
_MIN, _MAX = -(2**63), 2**63 - 1
_NO_INTEGER = error("hash value is not an integer")
_NO_FLOAT = error("hash value is not a float")
_NOT_FINITE = error("increment would produce NaN or Infinity")
_OUT_OF_RANGE = error("value is out of range")
OUT_OF_COUNT = error(f"value is out of range, value must between {-_MAX} and {_MAX}")


class Hash(HashedCollection):
    """Values by fields."""

    __slots__ = ()

    def __init__(self, view: View, name: bytes) -> None:
        super().__init__(view, name, HASH)

    def value(self, field: bytes) -> bytes | None:
        row = self.get(field)
        return None if row is None else row[_RANK:]

    def set(self, field: bytes, value: bytes) -> bool:
        """Whether the field is new."""
        row = self.get(field)
        if row is None:
            rank = (int.from_bytes(self.extra, "big") + 1).to_bytes(_RANK, "big")
            self.extra = rank
            self.size += 1
        else:
            rank = row[:_RANK]
        longest = max(len(field), len(value))
        if self.size > limits["hash-max-listpack-entries"] or longest > limits["hash-max-listpack-value"]:
            self.flags |= LARGE
        self.put(field, rank + value)
        return row is None

    def pairs(self) -> Iterator[list[bytes]]:
        """All of them, in the same order; one by one where they are many."""
        rows = self.members() if self.is_large else self.items()
        skip = _RANK if self.is_large else 0
        for field, row in rows:
            yield [field, row[skip:]]

    def items(self) -> list[tuple[bytes, bytes]]:
        """All of them, in Redis's order where it has one."""
        rows = list(self.members())
        if not self.is_large:
            rows.sort(key=lambda pair: pair[1][:_RANK])
        return [(field, row[_RANK:]) for field, row in rows]


def hset(view: View, args: list[bytes], proto: int) -> bytes:
    return integer_reply(_set(view, args, "hset"))


def hmset(view: View, args: list[bytes], proto: int) -> bytes:
    _set(view, args, "hmset")
    return OK


def _set(view: View, args: list[bytes], command: str) -> int:
    if len(args) % 2:
        raise ReplyError(wrong_arity(command))
    found = Hash(view, args[1])
    added = sum([found.set(field, value) for field, value in zip(args[2::2], args[3::2], strict=True)])
    found.save()
    return added


def hsetnx(view: View, args: list[bytes], proto: int) -> bytes:
    found = Hash(view, args[1])
    if found.get(args[2]) is not None:
        return ZERO
    found.set(args[2], args[3])
    found.save()
    return ONE


def hget(view: View, args: list[bytes], proto: int) -> bytes:
    value = Hash(view, args[1]).value(args[2])
    return nil(proto) if value is None else bulk(value)


def hmget(view: View, args: list[bytes], proto: int) -> bytes:
    found = Hash(view, args[1])
    values = [found.value(field) for field in args[2:]]
    return array([nil(proto) if value is None else bulk(value) for value in values])


def hdel(view: View, args: list[bytes], proto: int) -> bytes:
    found = Hash(view, args[1])
    before = found.size
    for field in args[2:]:
        if found.get(field) is not None:
            found.delete(field)
            found.size -= 1
    if found.size < before:
        found.save()
    return integer_reply(before - found.size)


def hexists(view: View, args: list[bytes], proto: int) -> bytes:
    return ONE if Hash(view, args[1]).get(args[2]) is not None else ZERO


def hlen(view: View, args: list[bytes], proto: int) -> bytes:
    return integer_reply(Hash(view, args[1]).size)


def hstrlen(view: View, args: list[bytes], proto: int) -> bytes:
    return integer_reply(len(Hash(view, args[1]).value(args[2]) or b""))


def hkeys(view: View, args: list[bytes], proto: int) -> bytes:
    return array([bulk(field) for field, _ in Hash(view, args[1]).items()])


def hvals(view: View, args: list[bytes], proto: int) -> bytes:
    return array([bulk(value) for _, value in Hash(view, args[1]).items()])


def hgetall(view: View, args: list[bytes], proto: int) -> bytes:
    return map_of([(bulk(field), bulk(value)) for field, value in Hash(view, args[1]).items()], proto)


def hincrby(view: View, args: list[bytes], proto: int) -> bytes:
    change = integer(args[3])
    if change is None:
        return NOT_AN_INTEGER
    found = Hash(view, args[1])
    value = found.value(args[2])
    number = 0 if value is None else integer(value)
    if number is None:
        return _NO_INTEGER
    number += change
    if not _MIN <= number <= _MAX:
        return error("increment or decrement would overflow")
    found.set(args[2], b"%d" % number)
    found.save()
    return integer_reply(number)


def hincrbyfloat(view: View, args: list[bytes], proto: int) -> bytes:
    change = long_double.parse(args[3])
    if change is None:
        return NOT_A_FLOAT
    if isinstance(change, float):
        return error("value is NaN or Infinity")
    found = Hash(view, args[1])
    before = found.value(args[2])
    number = long_double.parse(b"0" if before is None else before)
    if number is None:
        return _NO_FLOAT
    total = long_double.add(number, change)
    if total is None:
        return _NOT_FINITE
    value = long_double.human(total)
    found.set(args[2], value)
    found.save()
    return bulk(value)


def hrandfield(view: View, args: list[bytes], proto: int) -> bytes:
    if len(args) == 2:
        found = Hash(view, args[1])
        return bulk(found.sample(1)[0][0]) if found.exists else nil(proto)
    count = integer(args[2])
    if count is None:
        return NOT_AN_INTEGER
    if len(args) > 4 or (len(args) == 4 and args[3].upper() != b"WITHVALUES"):
        return SYNTAX_ERROR
    with_values = len(args) == 4
    if count == _MIN:
        return OUT_OF_COUNT
    if with_values and abs(count) > _MAX // 2:
        return _OUT_OF_RANGE
    found = Hash(view, args[1])
    if not found.exists or not count:
        return array([])
    if count < 0:
        check_drawn(-count)
        pairs = [(field, row[_RANK:]) for field, row in found.draw(-count)]
    elif count >= found.size:
        pairs = found.items()
    else:
        pairs = [(field, row[_RANK:]) for field, row in found.sample(count)]
    if not with_values:
        return array([bulk(field) for field, _ in pairs])
    if proto == 3:
        return array([array([bulk(field), bulk(value)]) for field, value in pairs])
    return array([bulk(word) for pair in pairs for word in pair])


def check_drawn(count: int) -> None:
    if count > MAX_DRAWN:
        raise TooLarge(f"{count} members drawn at once are over the limit of {MAX_DRAWN}")


def hscan(view: View, args: list[bytes], proto: int) -> bytes:
    """A small hash comes whole, as in Redis."""
    start = cursor(args[2])
    found = Hash(view, args[1])
    if not found.exists:
        return EMPTY_PAGE
    options = scan_options(args[3:])
    if found.is_large:
        following, rows = page_of(found, start, options)
        pairs = [(field, row[_RANK:]) for field, row in rows]
    else:
        items = found.items()
        wanted = set(options.matching([field for field, _ in items]))
        following, pairs = b"0", [pair for pair in items if pair[0] in wanted]
    return array([bulk(following), array([bulk(word) for pair in pairs for word in pair])])
