"""Commands on sets. A set of few integers is listed in their order, as Redis lists it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from ....core.batch.overlay import View
from ..layout.collection import LARGE
from ..layout.compact import limits
from ..layout.hashed import HashedCollection
from ..layout.keys import LOOKUPS, SET, Key
from ..reply import NOT_AN_INTEGER, ONE, SYNTAX_ERROR, ZERO, array, bulk, error, integer_reply, nil, set_of
from ..resp import integer
from .hashes import OUT_OF_COUNT, check_drawn
from .scanning import EMPTY_PAGE, cursor, page_of, scan_options

_MUST_BE_POSITIVE = error("value is out of range, must be positive")
_NO_KEYS = error("numkeys should be greater than 0")
_TOO_MANY_KEYS = error("Number of keys can't be greater than number of args")
_NEGATIVE_LIMIT = error("LIMIT can't be negative")
_LEAST = -(2**63)


class Set(HashedCollection):
    """Members without values. LARGE: it is no intset any more."""

    __slots__ = ()

    def __init__(self, view: View, name: bytes) -> None:
        super().__init__(view, name, SET)

    def __contains__(self, member: bytes) -> bool:
        return self.get(member) is not None

    def add(self, member: bytes) -> bool:
        """Whether it is new."""
        if member in self:
            return False
        self.put(member, b"")
        self.size += 1
        if self.size > limits["set-max-intset-entries"] or (not self.is_large and integer(member) is None):
            self.flags |= LARGE
        return True

    def fill(self, members: Sequence[bytes]) -> None:
        """These, each once, are the members of a set that had none."""
        self.size = len(members)
        is_intset = self.size <= limits["set-max-intset-entries"] and all(integer(member) is not None for member in members)
        self.flags = 0 if is_intset else LARGE
        put = self.put
        for member in members:
            put(member, b"")

    def remove(self, member: bytes) -> bool:
        """Whether it was there."""
        if member not in self:
            return False
        self.delete(member)
        self.size -= 1
        return True

    def items(self) -> Iterable[bytes]:
        """All of them, in Redis's order where it has one."""
        names = (name for name, _ in self.members())
        return names if self.is_large else sorted(names, key=int)


def sadd(view: View, args: list[bytes], proto: int) -> bytes:
    found = Set(view, args[1])
    added = sum([found.add(member) for member in args[2:]])
    if added:
        found.save()
    return integer_reply(added)


def srem(view: View, args: list[bytes], proto: int) -> bytes:
    found = Set(view, args[1])
    removed = sum([found.remove(member) for member in args[2:]])
    if removed:
        found.save()
    return integer_reply(removed)


def sismember(view: View, args: list[bytes], proto: int) -> bytes:
    return ONE if args[2] in Set(view, args[1]) else ZERO


def smismember(view: View, args: list[bytes], proto: int) -> bytes:
    found = Set(view, args[1])
    return array([ONE if member in found else ZERO for member in args[2:]])


def smembers(view: View, args: list[bytes], proto: int) -> bytes:
    return set_of([bulk(member) for member in Set(view, args[1]).items()], proto)


def scard(view: View, args: list[bytes], proto: int) -> bytes:
    return integer_reply(Set(view, args[1]).size)


def smove(view: View, args: list[bytes], proto: int) -> bytes:
    source, member = Set(view, args[1]), args[3]
    if not source.exists:
        return ZERO
    target = Set(view, args[2])
    if args[1] == args[2]:
        return ONE if member in source else ZERO
    if not source.remove(member):
        return ZERO
    source.save()
    if target.add(member):
        target.save()
    return ONE


def spop(view: View, args: list[bytes], proto: int) -> bytes:
    if len(args) > 3:
        return SYNTAX_ERROR
    if len(args) == 2:
        found = Set(view, args[1])
        if not found.exists:
            return nil(proto)
        return bulk(_pop(found, 1)[0])
    count = integer(args[2])
    if count is None or count < 0:
        return _MUST_BE_POSITIVE
    found = Set(view, args[1])
    if not found.exists or not count:
        return set_of([], proto)
    if count >= found.size:
        members = list(found.items())
        found.key.delete()
    else:
        members = _pop(found, count)
    return set_of([bulk(member) for member in members], proto)


def _pop(found: Set, count: int) -> list[bytes]:
    members = [name for name, _ in found.sample(count)]
    for member in members:
        found.delete(member)
    found.size -= count
    found.save()
    return members


def srandmember(view: View, args: list[bytes], proto: int) -> bytes:
    if len(args) > 3:
        return SYNTAX_ERROR
    if len(args) == 2:
        found = Set(view, args[1])
        return bulk(found.sample(1)[0][0]) if found.exists else nil(proto)
    count = integer(args[2])
    if count is None:
        return NOT_AN_INTEGER
    if count == _LEAST:
        return OUT_OF_COUNT
    found = Set(view, args[1])
    if not found.exists or not count:
        return array([])
    if count < 0:
        check_drawn(-count)
        members = [name for name, _ in found.draw(-count)]
    elif count >= found.size:
        members = list(found.items())
    else:
        members = [name for name, _ in found.sample(count)]
    return array([bulk(member) for member in members])


def sscan(view: View, args: list[bytes], proto: int) -> bytes:
    """A small set of integers comes whole, as in Redis."""
    start = cursor(args[2])
    found = Set(view, args[1])
    if not found.exists:
        return EMPTY_PAGE
    options = scan_options(args[3:])
    if found.is_large:
        following, rows = page_of(found, start, options)
        members = [name for name, _ in rows]
    else:
        following, members = b"0", options.matching(list(found.items()))
    return array([bulk(following), array([bulk(member) for member in members])])


# -- several sets


def _inter(sets: list[Set]) -> Iterator[bytes]:
    """It costs by the smallest of them."""
    smallest, *others = sorted(sets, key=lambda one: one.size)
    return (member for member in smallest.items() if all(member in other for other in others))


def _union(sets: list[Set]) -> Iterator[bytes]:
    return iter(dict.fromkeys(member for one in sets for member in one.items()))


def _diff(sets: list[Set]) -> Iterator[bytes]:
    """It costs by the first one and its lookups in the others, or by all of them, whichever is less."""
    first, *others = sets
    if first.size * len(others) // 2 <= first.size + sum([other.size for other in others]):
        return (member for member in first.items() if not any(member in other for other in others))
    left = dict.fromkeys(first.items())
    for other in others:
        for member in other.items():
            left.pop(member, None)
    return iter(left)


Combination = Callable[[list[Set]], Iterator[bytes]]


def _combined(view: View, names: list[bytes], combine: Combination) -> list[bytes]:
    """In the order of integers if there are only few of these, as Redis's own results are."""
    with LOOKUPS:
        sets = [Set(view, name) for name in names]
    members = list(combine(sets))
    if len(members) <= limits["set-max-intset-entries"] and all(integer(member) is not None for member in members):
        members.sort(key=int)
    return members


def combination(combine: Combination) -> Callable[[View, list[bytes], int], bytes]:
    """SINTER, SUNION and SDIFF."""

    def run(view: View, args: list[bytes], proto: int) -> bytes:
        return set_of([bulk(member) for member in _combined(view, args[1:], combine)], proto)

    return run


def stored_combination(combine: Combination) -> Callable[[View, list[bytes], int], bytes]:
    """SINTERSTORE, SUNIONSTORE and SDIFFSTORE."""

    def run(view: View, args: list[bytes], proto: int) -> bytes:
        members = _combined(view, args[2:], combine)
        Key(view, args[1]).delete()
        if members:
            target = Set(view, args[1])
            target.fill(members)
            target.save()
        return integer_reply(len(members))

    return run


sinter, sunion, sdiff = combination(_inter), combination(_union), combination(_diff)
sinterstore, sunionstore, sdiffstore = stored_combination(_inter), stored_combination(_union), stored_combination(_diff)


def sintercard(view: View, args: list[bytes], proto: int) -> bytes:
    number = integer(args[1])
    if number is None or number < 1:
        return _NO_KEYS
    if number > len(args) - 2:
        return _TOO_MANY_KEYS
    limit = 0
    words = iter(args[2 + number :])
    for word in words:
        argument = next(words, None)
        if word.upper() != b"LIMIT" or argument is None:
            return SYNTAX_ERROR
        bound = integer(argument)
        if bound is None or bound < 0:
            return _NEGATIVE_LIMIT
        limit = bound
    found = 0
    for _ in _inter([Set(view, name) for name in args[2 : 2 + number]]):
        found += 1
        if found == limit:
            break
    return integer_reply(found)
