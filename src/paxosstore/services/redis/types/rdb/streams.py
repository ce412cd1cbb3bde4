"""Streams in RDB's format: entries in listpacks, then ids, groups and what is pending."""

from __future__ import annotations

from collections.abc import Iterator

from ...portable.pieces import Words
from ...resp import integer
from ..streams.stream import id_text
from .packed import listpack
from .reading import BadData, Reader

_DELETED, _SAME_FIELDS = 1, 2
_UNKNOWN = 2**64 - 1
_MOST = 2**63


def load_stream(reader: Reader, version: int) -> list[Words]:
    """Its members; version 1: of before Redis 7.0. Raises BadData, TooLarge."""
    members: list[Words] = []
    last, first, count = 0, 0, 0
    for _ in range(reader.count()):
        node = int.from_bytes(_exactly(reader.string(), 16), "big")
        for number, fields in _node(_Words(listpack(reader.string(), reader.budget)), node):
            if number <= last:
                raise BadData
            first, last, count = first or number, number, count + 1
            members.append([b"entry", id_text(number), *fields])
    if reader.length() != count:
        raise BadData
    last_id = _id(reader)
    if last_id < last:
        raise BadData
    max_deleted, added = 0, count
    if version > 1:
        if _id(reader) != first:
            raise BadData
        max_deleted, added = _id(reader), _bounded(reader.length())
    if max_deleted > last_id or added < count:
        raise BadData
    members.append([b"ids", id_text(last_id), id_text(max_deleted), b"%d" % added])
    names: set[bytes] = set()
    for _ in range(reader.count()):
        name = reader.string()
        if name in names:
            raise BadData
        names.add(name)
        delivered = _id(reader)
        read = _read(reader.length()) if version > 1 else _estimate(delivered, first, last_id, count)
        members.append([b"group", name, id_text(delivered), read])
        members += _pending(reader, name)
    return members


def _read(number: int) -> bytes:
    return b"" if number == _UNKNOWN else b"%d" % _bounded(number)


def _estimate(delivered: int, first: int, last_id: int, count: int) -> bytes:
    """How many entries a group has read, where nobody has kept it and none is known to be deleted."""
    if not count:
        return b"0"
    if delivered == last_id:
        return b"%d" % count
    if delivered <= first:
        return b"%d" % (delivered == first)
    return b""


def _pending(reader: Reader, group: bytes) -> Iterator[Words]:
    """The consumers of a group, then what is pending for each."""
    known: dict[int, tuple[int, int]] = {}
    for _ in range(reader.count()):
        number = int.from_bytes(reader.take(16), "big")
        if number in known:
            raise BadData
        known[number] = (_bounded(reader.number(8, signed=True)), _bounded(reader.length()))
    names: set[bytes] = set()
    owned: list[Words] = []
    for _ in range(reader.count()):
        name = reader.string()
        if name in names:
            raise BadData
        names.add(name)
        yield [b"consumer", group, name, b"%d" % _bounded(reader.number(8, signed=True))]
        for _ in range(reader.count()):
            number = int.from_bytes(reader.take(16), "big")
            delivered_ms, deliveries = known.pop(number, (-1, 0))
            if delivered_ms < 0:
                raise BadData
            owned.append([b"pending", group, name, id_text(number), b"%d" % delivered_ms, b"%d" % deliveries])
    if known:
        raise BadData
    yield from owned


class _Words:
    """The elements of a listpack, one after the other."""

    def __init__(self, words: list[bytes]) -> None:
        self._words = words
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._words) - self._at

    def word(self) -> bytes:
        if not self.left:
            raise BadData
        self._at += 1
        return self._words[self._at - 1]

    def number(self) -> int:
        number = integer(self.word())
        if number is None:
            raise BadData
        return number

    def words(self, count: int) -> list[bytes]:
        if not 0 <= count <= self.left:
            raise BadData
        self._at += count
        return self._words[self._at - count : self._at]


def _node(words: _Words, node: int) -> Iterator[tuple[int, list[bytes]]]:
    """The entries of a listpack, those that are deleted left out. The first one says which fields most have."""
    count, deleted = words.number(), words.number()
    fields = words.words(words.number())
    if words.number():
        raise BadData
    found, gone = 0, 0
    while words.left:
        flags = words.number()
        ms, seq = (node >> 64) + words.number(), (node & _UNKNOWN) + words.number()
        if not 0 <= ms <= _UNKNOWN or not 0 <= seq <= _UNKNOWN or not 0 <= flags <= 3:
            raise BadData
        if flags & _SAME_FIELDS:
            pairs = [word for pair in zip(fields, words.words(len(fields)), strict=True) for word in pair]
            size = 3 + len(fields)
        else:
            number = words.number()
            if not 0 <= number <= words.left:
                raise BadData
            pairs = words.words(2 * number)
            size = 4 + len(pairs)
        if words.number() != size or not pairs:
            raise BadData
        if flags & _DELETED:
            gone += 1
        else:
            found += 1
            yield ms << 64 | seq, pairs
    if (found, gone) != (count, deleted):
        raise BadData


def _exactly(text: bytes, size: int) -> bytes:
    if len(text) != size:
        raise BadData
    return text


def _id(reader: Reader) -> int:
    ms = reader.length()
    return ms << 64 | reader.length()


def _bounded(number: int) -> int:
    if not 0 <= number < _MOST:
        raise BadData
    return number
