"""A value in RDB's format, written: in the plain forms, which every version of Redis since 4.0 reads, streams as 7.0 does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from struct import Struct

from .....core.batch.overlay import View
from ...layout.keys import STRING, Found, Key
from ...portable.pieces import Words, pieces
from ...resp import integer
from ..streams.stream import parse_id
from .lzf import MAX_BYTES, compress
from .packed import Element, make_listpack

_DOUBLE = Struct("<d")
_CODES = {"list": 1, "set": 2, "hash": 4, "zset": 5, "stream": 19}
_SAME_FIELDS = 2
_NODE_ENTRIES = 100
_NODE_BYTES = 4_096
_UNKNOWN = 2**64 - 1
_PACKED_SHIFT, _SUMMED_SHIFT = 4, 8
"""A row is as much work as 16 bytes that are compressed, or 256 whose checksum is taken."""
_LONGEST_NUMBER = 11
_SHORT = 20
"""What is not longer is not compressed."""


def save(view: View, key: Key) -> bytes:
    """Of a key that exists."""
    if key.kind <= STRING:
        return b"\0" + packed_string(key.body)
    found = Found(key.name, key.kind, key.body, key.expires_ms)
    kind, members = "", list[Words]()
    for piece in pieces(view, found):
        kind = piece.kind
        members += piece.members
    code = bytes((_CODES[kind],))
    if kind == "stream":
        return code + _stream(members)
    if kind == "zset":
        scored = [string(member) + _DOUBLE.pack(float(score)) for member, score in members]
        return code + length(len(members)) + b"".join(scored)
    return code + length(len(members)) + b"".join([string(word) for words in members for word in words])


def dump_work(size: int) -> int:
    """What it takes to write so many bytes, in rows: their checksum, and to compress them."""
    return size >> (_PACKED_SHIFT if size <= MAX_BYTES else _SUMMED_SHIFT)


def length(number: int) -> bytes:
    if number < 64:
        return bytes((number,))
    if number < 16_384:
        return bytes((0x40 | number >> 8, number & 255))
    if number < 2**32:
        return b"\x80" + number.to_bytes(4, "big")
    return b"\x81" + number.to_bytes(8, "big")


def string(text: bytes) -> bytes:
    return length(len(text)) + text


def packed_string(text: bytes) -> bytes:
    """As Redis's own DUMP has it: as a number of 32 bits, compressed, or as it is. What is compressed has `MAX_BYTES` at most."""
    if len(text) <= _LONGEST_NUMBER and (number := integer(text)) is not None:
        for code, size in enumerate((1, 2, 4)):
            if -(1 << 8 * size - 1) <= number < 1 << 8 * size - 1:
                return bytes((0xC0 | code,)) + number.to_bytes(size, "little", signed=True)
    compressed = compress(text) if len(text) > _SHORT else b""
    return b"\xc3" + length(len(compressed)) + length(len(text)) + compressed if compressed else string(text)


def _stream(members: list[Words]) -> bytes:
    entries = [(parse_id(words[1]), words[2:]) for words in members if words[0] == b"entry"]
    nodes = _nodes(entries)
    out = [length(len(nodes)), *[string(node[0].to_bytes(16, "big")) + string(node[1]) for node in nodes], length(len(entries))]
    _, last_id, max_deleted, added = members[len(entries)]
    first = entries[0][0] if entries else 0
    out += [_id(parse_id(last_id)), _id(first), _id(parse_id(max_deleted)), length(int(added))]
    rest = members[len(entries) + 1 :]
    starts = [at for at, words in enumerate(rest) if words[0] == b"group"]
    out.append(length(len(starts)))
    for start, end in pairwise([*starts, len(rest)]):
        out.append(_group(rest[start], rest[start + 1 : end]))
    return b"".join(out)


def _id(number: int) -> bytes:
    return length(number >> 64) + length(number & _UNKNOWN)


def _nodes(entries: Sequence[tuple[int, Words]]) -> list[tuple[int, bytes]]:
    """The first id and the listpack of each node."""
    nodes: list[tuple[int, bytes]] = []
    start = size = 0
    for at, (_, fields) in enumerate(entries):
        size += sum(map(len, fields))
        if at + 1 == len(entries) or size >= _NODE_BYTES or at + 1 - start >= _NODE_ENTRIES:
            nodes.append((entries[start][0], make_listpack(_node(entries[start : at + 1]))))
            start, size = at + 1, 0
    return nodes


def _node(entries: Sequence[tuple[int, Words]]) -> Iterable[Element]:
    base, fields = entries[0][0], entries[0][1][::2]
    yield len(entries)
    yield 0
    yield len(fields)
    yield from fields
    yield 0
    for number, pairs in entries:
        same = pairs[::2] == fields
        yield _SAME_FIELDS if same else 0
        yield _small((number >> 64) - (base >> 64))
        yield _small((number & _UNKNOWN) - (base & _UNKNOWN))
        if same:
            yield from pairs[1::2]
            yield 3 + len(fields)
        else:
            yield len(pairs) // 2
            yield from pairs
            yield 4 + len(pairs)


def _small(number: int) -> int:
    """A difference as Redis keeps it: 64 bits, signed."""
    return (number + 2**63) % 2**64 - 2**63


def _group(head: Words, rest: Sequence[Words]) -> bytes:
    _, name, last_id, read = head
    consumers = [words for words in rest if words[0] == b"consumer"]
    pending = [words for words in rest if words[0] == b"pending"]
    out = [string(name), _id(parse_id(last_id)), length(int(read) if read else _UNKNOWN), length(len(pending))]
    owned: dict[bytes, list[bytes]] = {words[2]: [] for words in consumers}
    for _, _, consumer, text, delivered_ms, deliveries in pending:
        number = parse_id(text).to_bytes(16, "big")
        owned[consumer].append(number)
        out.append(number + int(delivered_ms).to_bytes(8, "little") + length(int(deliveries)))
    out.append(length(len(consumers)))
    for _, _, consumer, seen_ms in consumers:
        ids = owned[consumer]
        out += [string(consumer), int(seen_ms).to_bytes(8, "little"), length(len(ids)), *ids]
    return b"".join(out)
