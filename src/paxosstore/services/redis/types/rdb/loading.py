"""A value in RDB's format, read and checked."""

from __future__ import annotations

import math
from collections.abc import Callable
from struct import Struct

from ...floats import double
from ...portable.pieces import Words
from .packed import intset, listpack, ziplist, zipmap
from .reading import BadData, Budget, Reader
from .streams import load_stream

_DOUBLE = Struct("<d")
_PLAIN, _PACKED = 1, 2
_SPECIAL = {253: math.nan, 254: math.inf, 255: -math.inf}


def load(data: bytes) -> tuple[str, bytes, list[Words]]:
    """Its kind, as TYPE says it, and the value of a string, or the members of anything else. Raises BadData, TooLarge."""
    reader = Reader(data, Budget())
    (code,) = reader.take(1)
    if code == 0:
        found: tuple[str, bytes, list[Words]] = ("string", reader.string(), [])
    elif code in _LOADERS:
        kind, loader = _LOADERS[code]
        found = (kind, b"", loader(reader))
    else:
        raise BadData
    if reader.left or (code and not found[2]):
        raise BadData
    return found


def _strings(reader: Reader) -> list[bytes]:
    return [reader.string() for _ in range(reader.count())]


def _singles(words: list[bytes]) -> list[Words]:
    return [[word] for word in words]


def _members(words: list[bytes]) -> list[Words]:
    if len(set(words)) != len(words):
        raise BadData
    return _singles(words)


def _pairs(words: list[bytes]) -> list[Words]:
    if len(words) % 2 or len(set(words[::2])) * 2 != len(words):
        raise BadData
    return [list(pair) for pair in zip(words[::2], words[1::2], strict=True)]


def _scored(words: list[bytes]) -> list[Words]:
    pairs = _pairs(words)
    for pair in pairs:
        score = double(pair[1])
        if score is None or score != score:
            raise BadData
        pair[1] = repr(score).encode()
    return pairs


def _list(reader: Reader) -> list[Words]:
    return _singles(_strings(reader))


def _set(reader: Reader) -> list[Words]:
    return _members(_strings(reader))


def _hash(reader: Reader) -> list[Words]:
    return _pairs([reader.string() for _ in range(reader.count()) for _ in range(2)])


def _old_zset(reader: Reader) -> list[Words]:
    return _scored([word for _ in range(reader.count()) for word in (reader.string(), _spelled_double(reader))])


def _spelled_double(reader: Reader) -> bytes:
    (size,) = reader.take(1)
    return repr(_SPECIAL[size]).encode() if size in _SPECIAL else reader.take(size)


def _zset(reader: Reader) -> list[Words]:
    words: list[bytes] = []
    for _ in range(reader.count()):
        words.append(reader.string())
        words.append(repr(_DOUBLE.unpack(reader.take(8))[0]).encode())
    return _scored(words)


def _quicklist(reader: Reader) -> list[Words]:
    return [[word] for _ in range(reader.count()) for word in ziplist(reader.string(), reader.budget)]


def _quicklist_2(reader: Reader) -> list[Words]:
    words: list[Words] = []
    for _ in range(reader.count()):
        form = reader.length()
        node = reader.string()
        if form == _PLAIN:
            words.append([node])
        elif form == _PACKED:
            words += _singles(listpack(node, reader.budget))
        else:
            raise BadData
    return words


Unpack = Callable[[bytes, Budget], list[bytes]]


def _in_one(unpack: Unpack, shape: Callable[[list[bytes]], list[Words]]) -> Callable[[Reader], list[Words]]:
    """A loader of what is one string."""
    return lambda reader: shape(unpack(reader.string(), reader.budget))


_LOADERS: dict[int, tuple[str, Callable[[Reader], list[Words]]]] = {
    1: ("list", _list),
    2: ("set", _set),
    3: ("zset", _old_zset),
    4: ("hash", _hash),
    5: ("zset", _zset),
    9: ("hash", _in_one(zipmap, _pairs)),
    10: ("list", _in_one(ziplist, _singles)),
    11: ("set", _in_one(intset, _members)),
    12: ("zset", _in_one(ziplist, _scored)),
    13: ("hash", _in_one(ziplist, _pairs)),
    14: ("list", _quicklist),
    15: ("stream", lambda reader: load_stream(reader, 1)),
    16: ("hash", _in_one(listpack, _pairs)),
    17: ("zset", _in_one(listpack, _scored)),
    18: ("list", _quicklist_2),
    19: ("stream", lambda reader: load_stream(reader, 2)),
}
