"""A collection as pieces: some of its members each, in an order in which they can be added.

Members are lists of words:

    hash    field, value                                set     member
    list    element                                     zset    member, score (as Python writes it: inf, -0.0, 1e+22)
    stream  "entry", id, field, value, ...              behind all entries:
            "ids", last id, highest deleted id, entries ever added
            "group", name, last delivered id, entries read ("" if that is not known)
            "consumer", group, name, seen (ms since 1970)
            "pending", group, consumer, id, delivered (ms since 1970), how often
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ....core.batch.overlay import View
from ..layout.collection import LARGE, Collection
from ..layout.items import Items
from ..layout.keys import HASH, KINDS, LIST, SET, STREAM, ZSET, Found, Key
from ..layout.scored import ScoredSet
from ..reply import ReplyError, error
from ..resp import integer
from ..types.hashes import Hash
from ..types.sets import Set
from ..types.streams.groups import Group
from ..types.streams.stream import Stream, id_text, parse_id

PIECE_MEMBERS = 200
PIECE_BYTES = 64 * 1024
"""A piece has no more of either, or one member."""
_BY_NAME = {name: kind for kind, name in KINDS.items()}

Words = list[bytes]


class Piece(NamedTuple):
    """Some members of a key."""

    name: bytes
    kind: str
    """As TYPE says it."""
    part: int
    """0: the first piece; what the key was before is gone."""
    is_large: bool
    """It has outgrown what Redis keeps in a compact form."""
    expires_ms: int
    """Since 1970; 0: never."""
    members: list[Words]


def pieces(view: View, found: Found) -> Iterator[Piece]:
    """All of a collection. One piece at a time is in memory."""
    kind = KINDS[found.kind]
    is_large = Collection(view, found.name, found.kind).is_large
    part, size = 0, 0
    members: list[Words] = []
    for words in _members(view, found):
        more = sum(map(len, words))
        if members and (len(members) >= PIECE_MEMBERS or size + more > PIECE_BYTES):
            yield Piece(found.name, kind, part, is_large, found.expires_ms, members)
            part, size, members = part + 1, 0, []
        members.append(words)
        size += more
    if members:
        yield Piece(found.name, kind, part, is_large, found.expires_ms, members)


def _members(view: View, found: Found) -> Iterator[Words]:
    name, kind = found.name, found.kind
    if kind == HASH:
        yield from Hash(view, name).pairs()
    elif kind == SET:
        for member, _ in Set(view, name).members():
            yield [member]
    elif kind == LIST:
        for _, value in Items(view, name).each():
            yield [value]
    elif kind == ZSET:
        for member, score in ScoredSet(view, name).members():
            yield [member, repr(score).encode()]
    else:
        yield from _stream(Stream(view, name))


def _stream(stream: Stream) -> Iterator[Words]:
    for number, fields in stream.range(0):
        yield [b"entry", id_text(number), *fields]
    yield [b"ids", id_text(stream.last_id), id_text(stream.max_deleted_id), b"%d" % stream.added]
    for group in Group.all(stream):
        name = group.name
        yield [b"group", name, id_text(group.last_id), b"" if group.entries_read is None else b"%d" % group.entries_read]
        for consumer in group.consumers():
            yield [b"consumer", name, consumer.name, b"%d" % consumer.seen_ms]
        for one in group.pending_range(0):
            yield [b"pending", name, one.consumer, id_text(one.number), b"%d" % one.delivered_ms, b"%d" % one.deliveries]


def put_piece(view: View, piece: Piece) -> None:
    """Add its members to the key; the first piece of a key begins it anew. Of one that has expired nothing is left.

    Raises ReplyError for members that are none of that kind, WrongType if the key has become another one since the first piece.
    """
    name, at_ms = piece.name, piece.expires_ms
    key = Key(view, name)
    if piece.part == 0 or 0 < at_ms < view.now_ms:
        key.delete()
    if 0 < at_ms < view.now_ms:
        return
    try:
        _add(view, piece)
    except (ValueError, LookupError, TypeError, OverflowError):
        raise ReplyError(error(b"members that are none of a %b" % piece.kind.encode())) from None
    key = Key(view, name)
    if key.exists and key.expires_ms != at_ms:
        key.expire(at_ms)


def _add(view: View, piece: Piece) -> None:
    kind, name, members = _BY_NAME[piece.kind], piece.name, piece.members
    if kind == LIST:
        items = Items(view, name)
        for (value,) in members:
            items.push(value, left=False)
        items.save()
    elif kind == HASH:
        fields = Hash(view, name)
        fields.flags |= LARGE if piece.is_large else 0
        for field, value in members:
            fields.set(field, value)
        fields.save()
    elif kind == SET:
        found = Set(view, name)
        found.flags |= LARGE if piece.is_large else 0
        for (member,) in members:
            found.add(member)
        found.save()
    elif kind == ZSET:
        scored = ScoredSet(view, name)
        scored.rows.flags |= LARGE if piece.is_large else 0
        for member, text in members:
            score = float(text)
            if score != score:
                raise ValueError(text)
            scored.put(member, score, scored.score(member))
        scored.save()
    elif kind == STREAM:
        _add_to_stream(Stream(view, name), members)
    else:
        raise ValueError(piece.kind)


def _add_to_stream(stream: Stream, members: list[Words]) -> None:
    groups: dict[bytes, Group] = {}
    for what, *words in members:
        if what == b"entry":
            _add_entry(stream, *words)
        elif what == b"ids":
            stream.last_id, stream.max_deleted_id = map(parse_id, words[:2])
            (stream.added,) = map(_number, words[2:])
        elif what == b"group":
            name, last_id, read = words
            groups[name] = Group(stream, name, parse_id(last_id), _number(read) if read else None)
        else:
            group = groups[words[0]] = groups.get(words[0]) or _group(stream, words[0])
            _add_to_group(group, what, *words[1:])
    for group in groups.values():
        group.save()
    stream.save()


def _add_entry(stream: Stream, text: bytes, *fields: bytes) -> None:
    number = parse_id(text)
    if number <= stream.last_id or len(fields) % 2 or not fields:
        raise ValueError(text)
    stream.add(number, list(fields))


def _group(stream: Stream, name: bytes) -> Group:
    found = Group.find(stream, name)
    if found is None:
        raise LookupError(name)
    return found


def _add_to_group(group: Group, what: bytes, name: bytes, *words: bytes) -> None:
    if what == b"consumer":
        (seen_ms,) = map(_number, words)
        group.create_consumer(name, seen_ms)
    elif what == b"pending":
        number, delivered_ms, deliveries = words
        consumer = group.consumer(name)
        if consumer is None:
            raise LookupError(name)
        group.deliver(parse_id(number), consumer, _number(delivered_ms), _number(deliveries))
    else:
        raise ValueError(what)


def _number(text: bytes) -> int:
    number = integer(text)
    if number is None or number < 0:
        raise ValueError(text)
    return number
