"""SORT and SORT_RO: elements by their own weight or that of other keys, and other keys in their place.

Names are compared byte by byte, as Redis does where its locale is C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ....core.batch.overlay import View
from ....errors import TooLarge
from ..floats import double
from ..layout.items import Items
from ..layout.keys import LOOKUPS, SET, ZSET, Key, get_value, kind_of
from ..layout.keyspace import slot_of
from ..layout.scored import ScoredSet
from ..reply import SYNTAX_ERROR, ReplyError, WrongType, array, bulk, error, integer_reply, nil
from ..run import Run
from .arguments import need_integer
from .hashes import Hash
from .sets import Set
from .strings import MAX_REPLY_BYTES

MAX_VALUES = 50_000
"""That GET looks up in one SORT."""
_NO_WEIGHT = error("One or more scores can't be converted into double")
_LEAST_NORMAL = 2.0**-1022


@dataclass(slots=True)
class _Options:
    by: bytes | None = None
    """None: elements are their own weight."""
    get: list[bytes] = field(default_factory=list)
    limit: tuple[int, int] = (0, -1)
    descending: bool = False
    alpha: bool = False
    target: bytes | None = None
    unsorted: bool = False
    """The order in which the elements lie is wanted. As in Redis, a later BY does not change that."""


def sort_command(*, stores: bool) -> Run:
    """SORT, and with stores=False SORT_RO."""

    def sort(view: View, args: list[bytes], proto: int) -> bytes:
        options = _parse(view, args[2:], stores)
        with LOOKUPS:
            values = _chosen(view, args[1], options)
        if options.target is None:
            return array([nil(proto) if value is None else bulk(value) for value in values])
        return _store(view, options.target, [value or b"" for value in values])

    return sort


def _chosen(view: View, name: bytes, options: _Options) -> Sequence[bytes | None]:
    """What it replies or stores. Raises ReplyError."""
    elements = _elements(view, name)
    if options.unsorted and options.target is not None and isinstance(elements, _Unordered):
        options.by, options.alpha, options.unsorted = None, True, False
    if not options.unsorted:
        elements = _sorted(view, list(elements), options)
    elif options.descending and not isinstance(elements, _Unordered):
        elements = elements[::-1]
    start, end = _span(options.limit, len(elements))
    chosen = elements[start:end]
    return _values(view, chosen, options.get) if options.get else chosen


def _parse(view: View, words: list[bytes], stores: bool) -> _Options:
    """Raises ReplyError."""
    options = _Options()
    in_slot = slot_of(view.entity) >= 0
    at = 0
    while at < len(words):
        word, left = words[at].upper(), len(words) - at - 1
        taken = 1
        if word in (b"ASC", b"DESC"):
            options.descending, taken = word == b"DESC", 0
        elif word == b"ALPHA":
            options.alpha, taken = True, 0
        elif word == b"LIMIT" and left >= 2:
            options.limit, taken = (need_integer(words[at + 1]), need_integer(words[at + 2])), 2
        elif word == b"STORE" and left and stores:
            options.target = words[at + 1]
        elif word == b"BY" and left:
            options.by = words[at + 1]
            options.unsorted = options.unsorted or b"*" not in options.by
            if in_slot and b"*" in options.by:
                raise ReplyError(error("BY option of SORT denied in cluster mode."))
        elif word == b"GET" and left:
            if in_slot:
                raise ReplyError(error("GET option of SORT denied in cluster mode."))
            options.get.append(words[at + 1])
        else:
            raise ReplyError(SYNTAX_ERROR)
        at += 1 + taken
    return options


class _Unordered(list[bytes]):
    """Elements that lie in no order."""


def _elements(view: View, name: bytes) -> list[bytes]:
    """Raises WrongType."""
    kind = kind_of(view, name)
    if kind == SET:
        return _Unordered(Set(view, name).items())
    if kind == ZSET:
        return [member for member, _ in ScoredSet(view, name).members()]
    items = Items(view, name)
    return items.slice(0, items.size)


def _sorted(view: View, elements: list[bytes], options: _Options) -> list[bytes]:
    """Raises ReplyError for weights that are no numbers."""
    by = options.by
    weights: dict[bytes, bytes | None] | None = None
    if by is not None:
        weights = {element: _look_up(view, by, element) for element in elements}
    key: Callable[[bytes], tuple[object, ...]]
    if options.alpha:
        key = _by_name(weights)
    else:
        numbers = {element: _number(element if weights is None else weights[element]) for element in elements}
        key = lambda element: (numbers[element], element)  # noqa: E731
    return sorted(elements, key=key, reverse=options.descending)


def _by_name(weights: dict[bytes, bytes | None] | None) -> Callable[[bytes], tuple[object, ...]]:
    def key(element: bytes) -> tuple[object, ...]:
        weight = element if weights is None else weights[element]
        return (weight is not None, weight or b"")

    return key


def _number(weight: bytes | None) -> float:
    """Raises ReplyError."""
    text = (weight or b"").partition(b"\0")[0].lstrip(b" \t\n\v\f\r")
    number = double(text) if text else 0.0
    if number is None or 0 < abs(number) < _LEAST_NORMAL:
        raise ReplyError(_NO_WEIGHT)
    return number


def _values(view: View, elements: list[bytes], patterns: list[bytes]) -> list[bytes | None]:
    """What each pattern says of each element. Raises TooLarge: not all of them visit a row, which would limit them."""
    if len(elements) * len(patterns) > MAX_VALUES:
        raise TooLarge(f"SORT with GET replies with {MAX_VALUES} values at most")
    values: list[bytes | None] = []
    left = MAX_REPLY_BYTES
    for element in elements:
        for pattern in patterns:
            value = _look_up(view, pattern, element)
            values.append(value)
            left -= len(value or b"")
            if left < 0:
                raise TooLarge(f"the values are over the limit of {MAX_REPLY_BYTES} bytes in one reply")
    return values


def _look_up(view: View, pattern: bytes, element: bytes) -> bytes | None:
    """What a pattern says of an element: the key, or the field of one, whose name it becomes with the element for its star."""
    if pattern == b"#":
        return element
    before, star, behind = pattern.partition(b"*")
    if not star:
        return None
    behind, arrow, name = behind.partition(b"->")
    if arrow and not name:
        behind, arrow = behind + arrow, b""
    try:
        if arrow:
            return Hash(view, before + element + behind).value(name)
        return get_value(view, before + element + behind)
    except WrongType:
        return None


def _span(limit: tuple[int, int], size: int) -> tuple[int, int]:
    start = min(max(limit[0], 0), size)
    return start, size if limit[1] < 0 else min(start + limit[1], size)


def _store(view: View, name: bytes, values: Iterable[bytes]) -> bytes:
    """Make a key a list of these, whatever it was."""
    Key(view, name).delete()
    items = Items(view, name)
    for value in values:
        items.push(value, left=False)
    items.save()
    return integer_reply(items.size)


def keys_of_sort(args: list[bytes]) -> list[bytes]:
    """Its key, and that of its last STORE."""
    stored: list[bytes] = []
    at = 2
    while at < len(args):
        word = args[at].upper()
        if word == b"STORE":
            stored = args[at + 1 : at + 2]
        at += {b"LIMIT": 3, b"STORE": 2, b"BY": 2, b"GET": 2}.get(word, 1)
    return [args[1], *stored]


SORT, SORT_RO = sort_command(stores=True), sort_command(stores=False)
