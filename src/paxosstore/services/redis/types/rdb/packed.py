"""Compact forms of small collections: listpack, and the older ziplist, zipmap and intset."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from .reading import BadData, Budget, Reader

_END = 0xFF
_UNKNOWN = 0xFFFF
_LISTPACK_HEADER = 6
_LISTPACK_INTEGERS = {0xF1: 2, 0xF2: 3, 0xF3: 4, 0xF4: 8}
_ZIPLIST_INTEGERS = {0xC0: 2, 0xD0: 4, 0xE0: 8, 0xF0: 3, 0xFE: 1}

Element = bytes | int


def listpack(data: bytes, budget: Budget) -> list[bytes]:
    """Its elements, numbers as text."""
    reader = Reader(data, budget)
    if reader.number(4) != len(data):
        raise BadData
    said = reader.number(2)
    elements: list[bytes] = []
    while True:
        start = reader.at
        (first,) = reader.take(1)
        if first == _END:
            break
        budget.elements(1)
        elements.append(_listpack_element(reader, first))
        behind = _backwards(reader.at - start)
        if reader.take(len(behind)) != behind:
            raise BadData
    if reader.left or (said not in (_UNKNOWN, len(elements))):
        raise BadData
    return elements


def _listpack_element(reader: Reader, first: int) -> bytes:
    if first < 0x80:
        return b"%d" % first
    if first < 0xC0:
        return reader.take(first & 63)
    if first < 0xE0:
        number = (first & 31) << 8 | reader.take(1)[0]
        return b"%d" % (number - (1 << 13) if number >= 1 << 12 else number)
    if first < 0xF0:
        return reader.take((first & 15) << 8 | reader.take(1)[0])
    if first == 0xF0:
        return reader.take(reader.number(4))
    if first in _LISTPACK_INTEGERS:
        return b"%d" % reader.number(_LISTPACK_INTEGERS[first], signed=True)
    raise BadData


def _backwards(size: int) -> bytes:
    """The size of an element as it stands behind it, to be read from the end: 7 bits each, the highest first."""
    count = 1 if size <= 127 else 2 if size < 16_383 else 3 if size < 2_097_151 else 4 if size < 268_435_455 else 5
    parts = [size >> 7 * at & 127 | (128 if at < count - 1 else 0) for at in reversed(range(count))]
    return bytes([parts[0] & 127, *[part | 128 for part in parts[1:]]])


def make_listpack(elements: Iterable[Element]) -> bytes:
    out, count = bytearray(_LISTPACK_HEADER), 0
    for element in elements:
        packed = _pack_integer(element) if isinstance(element, int) else _pack_text(element)
        out += packed + _backwards(len(packed))
        count += 1
    out.append(_END)
    out[:4] = len(out).to_bytes(4, "little")
    out[4:6] = min(count, _UNKNOWN).to_bytes(2, "little")
    return bytes(out)


def _pack_text(text: bytes) -> bytes:
    size = len(text)
    if size < 64:
        return bytes((0x80 | size,)) + text
    if size < 4_096:
        return bytes((0xE0 | size >> 8, size & 255)) + text
    return b"\xf0" + size.to_bytes(4, "little") + text


def _pack_integer(number: int) -> bytes:
    if 0 <= number < 128:
        return bytes((number,))
    return b"\xf4" + number.to_bytes(8, "little", signed=True)


def ziplist(data: bytes, budget: Budget) -> list[bytes]:
    reader = Reader(data, budget)
    if reader.number(4) != len(data):
        raise BadData
    reader.take(4)
    said = reader.number(2)
    elements: list[bytes] = []
    while True:
        (before,) = reader.take(1)
        if before == _END:
            break
        if before == 0xFE:
            reader.take(4)
        budget.elements(1)
        elements.append(_ziplist_element(reader))
    if reader.left or (said not in (_UNKNOWN, len(elements))):
        raise BadData
    return elements


def _ziplist_element(reader: Reader) -> bytes:
    (first,) = reader.take(1)
    kind = first >> 6
    if kind == 0:
        return reader.take(first)
    if kind == 1:
        return reader.take((first & 63) << 8 | reader.take(1)[0])
    if first == 0x80:
        return reader.take(int.from_bytes(reader.take(4), "big"))
    if first in _ZIPLIST_INTEGERS:
        return b"%d" % reader.number(_ZIPLIST_INTEGERS[first], signed=True)
    if 0xF1 <= first <= 0xFD:
        return b"%d" % (first - 0xF1)
    raise BadData


def intset(data: bytes, budget: Budget) -> list[bytes]:
    reader = Reader(data, budget)
    width, count = reader.number(4), reader.number(4)
    if width not in (2, 4, 8) or count * width != reader.left:
        raise BadData
    budget.elements(count)
    numbers = [reader.number(width, signed=True) for _ in range(count)]
    if any(one >= following for one, following in pairwise(numbers)):
        raise BadData
    return [b"%d" % number for number in numbers]


def zipmap(data: bytes, budget: Budget) -> list[bytes]:
    """Fields and values by turns."""
    reader = Reader(data, budget, at=1)
    words: list[bytes] = []
    while True:
        (first,) = reader.take(1)
        if first == _END:
            break
        if first == 0xFE:
            first = reader.number(4)
        budget.elements(1)
        if len(words) % 2:
            (free,) = reader.take(1)
            words.append(reader.take(first))
            reader.take(free)
        else:
            words.append(reader.take(first))
    if reader.left:
        raise BadData
    return words
