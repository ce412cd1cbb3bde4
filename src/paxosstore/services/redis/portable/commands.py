"""A key as the commands that make it, for this store or Redis. Each is of bounded size."""

from __future__ import annotations

from collections.abc import Iterator

from ....core.batch.overlay import View
from ..layout.keys import STRING, Found
from .pieces import Piece, Words, pieces

_ADDING = {"hash": b"HSET", "list": b"RPUSH", "set": b"SADD"}


def commands_of(view: View, found: Found) -> Iterator[Words]:
    """They do away with what the key was. Of a stream they leave out what is pending and deleted, and when consumers were seen:
    no command can say that."""
    name, expires_ms = found.name, b"%d" % found.expires_ms
    if found.kind <= STRING:
        yield [b"SET", name, found.body, *((b"PXAT", expires_ms) if found.expires_ms else ())]
        return
    yield [b"DEL", name]
    for piece in pieces(view, found):
        if piece.kind == "stream":
            yield from _stream(piece)
        elif piece.kind == "zset":
            yield [b"ZADD", name, *[word for member, score in piece.members for word in (score, member)]]
        else:
            yield [_ADDING[piece.kind], name, *[word for words in piece.members for word in words]]
        if found.expires_ms:  # after each: it may pass in between
            yield [b"PEXPIREAT", name, expires_ms]


def _stream(piece: Piece) -> Iterator[Words]:
    name = piece.name
    for what, *words in piece.members:
        if what == b"entry":
            yield [b"XADD", name, *words]
        elif what == b"ids":
            last_id, max_deleted_id, added = words
            # a stream without entries begins with a group
            yield [b"XGROUP", b"CREATE", name, b"", b"$", b"MKSTREAM"]
            yield [b"XGROUP", b"DESTROY", name, b""]
            yield [b"XSETID", name, last_id, b"ENTRIESADDED", added, b"MAXDELETEDID", max_deleted_id]
        elif what == b"group":
            group, last_id, read = words
            yield [b"XGROUP", b"CREATE", name, group, last_id, b"ENTRIESREAD", read or b"-1"]
        elif what == b"consumer":
            yield [b"XGROUP", b"CREATECONSUMER", name, *words[:2]]
        else:
            group, consumer, number, delivered_ms, deliveries = words
            claim = [b"XCLAIM", name, group, consumer, b"0", number, b"TIME", delivered_ms, b"RETRYCOUNT", deliveries]
            yield [*claim, b"FORCE", b"JUSTID"]
