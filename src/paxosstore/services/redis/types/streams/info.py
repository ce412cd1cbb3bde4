"""XGROUP and XINFO."""

from __future__ import annotations

from itertools import islice

from .....core.batch.overlay import View
from ...reply import (
    NO_SUCH_KEY,
    NOT_AN_INTEGER,
    OK,
    ReplyError,
    array,
    bulk,
    error,
    integer_reply,
    map_of,
    nil,
    text,
)
from ...resp import integer
from ..container import container
from .groups import Consumer, Group, Pending
from .stream import Stream, entry_reply, id_reply, node_entries, parse_id

_NEEDS_KEY = error(
    "The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to"
    " create an empty stream automatically."
)
Pairs = list[tuple[bytes, bytes]]


def _wrong(name: str, word: bytes) -> ReplyError:
    """What Redis says of a subcommand with words too many."""
    return ReplyError(error(b"unknown subcommand or wrong number of arguments for '%b'. Try %b HELP." % (word, name.encode())))


def _no_group(args: list[bytes]) -> ReplyError:
    return ReplyError(error(b"No such consumer group '%b' for key name '%b'" % (args[3], args[2]), "NOGROUP"))


def _start_id(stream: Stream, word: bytes) -> int:
    return stream.last_id if word == b"$" else parse_id(word)


def _entries_read(word: bytes) -> int | None:
    number = integer(word)
    if number is None:
        raise ReplyError(NOT_AN_INTEGER)
    if number < -1:
        raise ReplyError(error("value for ENTRIESREAD must be positive or -1"))
    return None if number == -1 else number


def _create(view: View, args: list[bytes], proto: int) -> bytes:
    make, read = False, None
    at = 5
    while at < len(args):
        name = args[at].upper()
        if name == b"MKSTREAM":
            make = True
        elif name == b"ENTRIESREAD" and at + 1 < len(args):
            at += 1
            read = _entries_read(args[at])
        else:
            raise _wrong("XGROUP", args[1])
        at += 1
    stream = Stream(view, args[2])
    if not stream.exists and not make:
        return _NEEDS_KEY
    start = _start_id(stream, args[4])
    if stream.exists and Group.find(stream, args[3]) is not None:
        return error("Consumer Group name already exists", "BUSYGROUP")
    Group(stream, args[3], start, read).save()
    stream.save()
    return OK


def _existing(view: View, args: list[bytes]) -> Stream:
    stream = Stream(view, args[2])
    if not stream.exists:
        raise ReplyError(_NEEDS_KEY)
    return stream


def _group(stream: Stream, args: list[bytes]) -> Group:
    group = Group.find(stream, args[3])
    if group is None:
        raise _no_group(args)
    return group


def _setid(view: View, args: list[bytes], proto: int) -> bytes:
    read = None
    if len(args) > 5:
        if len(args) != 7 or args[5].upper() != b"ENTRIESREAD":
            raise _wrong("XGROUP", args[1])
        read = _entries_read(args[6])
    stream = _existing(view, args)
    group = _group(stream, args)
    group.last_id, group.entries_read = _start_id(stream, args[4]), read
    group.save()
    stream.save()
    return OK


def _destroy(view: View, args: list[bytes], proto: int) -> bytes:
    stream = _existing(view, args)
    group = Group.find(stream, args[3])
    if group is None:
        return integer_reply(0)
    group.destroy()
    stream.save()
    return integer_reply(1)


def _create_consumer(view: View, args: list[bytes], proto: int) -> bytes:
    stream = _existing(view, args)
    group = _group(stream, args)
    if group.consumer(args[4]) is not None:
        return integer_reply(0)
    group.create_consumer(args[4], view.now_ms)
    group.save()
    stream.save()
    return integer_reply(1)


def _drop_consumer(view: View, args: list[bytes], proto: int) -> bytes:
    stream = _existing(view, args)
    group = _group(stream, args)
    consumer = group.consumer(args[4])
    if consumer is None:
        return integer_reply(0)
    pending = group.drop_consumer(consumer)
    group.save()
    stream.save()
    return integer_reply(pending)


xgroup = container(
    "xgroup",
    {
        "create": (-5, _create),
        "setid": (-5, _setid),
        "destroy": (4, _destroy),
        "createconsumer": (5, _create_consumer),
        "delconsumer": (5, _drop_consumer),
    },
    [
        "CREATE <key> <groupname> <id|$> [option]",
        "    Create a new consumer group. Options are:",
        "    * MKSTREAM",
        "      Create the empty stream if it does not exist.",
        "    * ENTRIESREAD entries_read",
        "      Set the group's entries_read counter (internal use).",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Create a new consumer in the specified group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove the specified consumer.",
        "DESTROY <key> <groupname>",
        "    Remove the specified group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Set the current group ID and entries_read counter.",
    ],
)


def _seen(view: View, args: list[bytes]) -> Stream:
    stream = Stream(view, args[2])
    if not stream.exists:
        raise ReplyError(NO_SUCH_KEY)
    return stream


def _lag(stream: Stream, group: Group, proto: int) -> bytes:
    """How many entries the group has yet to read, if that can be known."""
    read = group.entries_read
    if not stream.added:
        return integer_reply(0)
    if read is None or stream.has_deleted_since(group.last_id):
        read = stream.entries_until(group.last_id)
    return nil(proto) if read is None else integer_reply(stream.added - read)


def _read(group: Group, proto: int) -> bytes:
    return nil(proto) if group.entries_read is None else integer_reply(group.entries_read)


def _groups(view: View, args: list[bytes], proto: int) -> bytes:
    stream = _seen(view, args)
    return array(
        [
            map_of(
                [
                    (text("name"), bulk(group.name)),
                    (text("consumers"), integer_reply(len(group.consumers()))),
                    (text("pending"), integer_reply(group.pending)),
                    (text("last-delivered-id"), id_reply(group.last_id)),
                    (text("entries-read"), _read(group, proto)),
                    (text("lag"), _lag(stream, group, proto)),
                ],
                proto,
            )
            for group in Group.all(stream)
        ]
    )


def _consumers(view: View, args: list[bytes], proto: int) -> bytes:
    stream = _seen(view, args)
    group = _group(stream, args)
    return array(
        [
            map_of(
                [
                    (text("name"), bulk(consumer.name)),
                    (text("pending"), integer_reply(consumer.pending)),
                    (text("idle"), integer_reply(max(0, view.now_ms - consumer.seen_ms))),
                ],
                proto,
            )
            for consumer in group.consumers()
        ]
    )


def _stream(view: View, args: list[bytes], proto: int) -> bytes:
    full, count = False, 10
    if len(args) > 3:
        if args[3].upper() != b"FULL" or len(args) not in (4, 6) or (len(args) == 6 and args[4].upper() != b"COUNT"):
            raise _wrong("XINFO", args[1])
        full = True
        if len(args) == 6:
            number = integer(args[5])
            if number is None:
                return NOT_AN_INTEGER
            count = 10 if number < 0 else number
    stream = _seen(view, args)
    nodes = -(-stream.size // node_entries())
    pairs: Pairs = [
        (text("length"), integer_reply(stream.size)),
        (text("radix-tree-keys"), integer_reply(nodes)),
        (text("radix-tree-nodes"), integer_reply(nodes + 1)),
        (text("last-generated-id"), id_reply(stream.last_id)),
        (text("max-deleted-entry-id"), id_reply(stream.max_deleted_id)),
        (text("entries-added"), integer_reply(stream.added)),
        (text("recorded-first-entry-id"), id_reply(stream.first())),
    ]
    if full:
        most = count or None
        pairs.append((text("entries"), array([entry_reply(*entry) for entry in islice(stream.range(0), most)])))
        pairs.append((text("groups"), array([_full_group(stream, group, most, proto) for group in Group.all(stream)])))
        return map_of(pairs, proto)
    pairs.append((text("groups"), integer_reply(sum(1 for _ in Group.all(stream)))))
    for title, reverse in (("first-entry", False), ("last-entry", True)):
        entry = next(stream.range(0, reverse=reverse), None)
        pairs.append((text(title), nil(proto) if entry is None else entry_reply(*entry)))
    return map_of(pairs, proto)


def _full_group(stream: Stream, group: Group, count: int | None, proto: int) -> bytes:
    pending = [_pending(each, with_consumer=True) for each in islice(group.pending_range(0), count)]
    pairs: Pairs = [
        (text("name"), bulk(group.name)),
        (text("last-delivered-id"), id_reply(group.last_id)),
        (text("entries-read"), _read(group, proto)),
        (text("lag"), _lag(stream, group, proto)),
        (text("pel-count"), integer_reply(group.pending)),
        (text("pending"), array(pending)),
        (text("consumers"), array([_full_consumer(group, consumer, count, proto) for consumer in group.consumers()])),
    ]
    return map_of(pairs, proto)


def _full_consumer(group: Group, consumer: Consumer, count: int | None, proto: int) -> bytes:
    pending = [_pending(each, with_consumer=False) for each in islice(group.pending_of(consumer), count)]
    pairs: Pairs = [
        (text("name"), bulk(consumer.name)),
        (text("seen-time"), integer_reply(consumer.seen_ms)),
        (text("pel-count"), integer_reply(consumer.pending)),
        (text("pending"), array(pending)),
    ]
    return map_of(pairs, proto)


def _pending(pending: Pending, *, with_consumer: bool) -> bytes:
    owner = [bulk(pending.consumer)] if with_consumer else []
    rest = [integer_reply(pending.delivered_ms), integer_reply(pending.deliveries)]
    return array([id_reply(pending.number), *owner, *rest])


xinfo = container(
    "xinfo",
    {"stream": (-3, _stream), "groups": (3, _groups), "consumers": (4, _consumers)},
    [
        "CONSUMERS <key> <groupname>",
        "    Show consumers of <groupname>.",
        "GROUPS <key>",
        "    Show the stream consumer groups.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    Show information about the stream.",
    ],
)


def second_key(args: list[bytes]) -> list[bytes]:
    """The key of a subcommand."""
    return args[2:3]
