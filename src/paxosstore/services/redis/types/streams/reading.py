"""XREAD, XREADGROUP and XACK: consumers take entries."""

from __future__ import annotations

from itertools import islice

from .....core.batch.overlay import View
from ...reply import NOT_AN_INTEGER, SYNTAX_ERROR, ReplyError, array, bulk, error, integer_reply, map_of
from ...resp import integer
from .groups import Consumer, Group, no_group
from .stream import MAX_ID, Stream, entry_reply, id_reply, parse_id

_NO_GROUP_OPTION = "The {} option is only supported by XREADGROUP. You called XREAD instead."
_LAST = (
    "The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a"
    " proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set."
)
_UNBALANCED = "Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified."
_NEW = "The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."


class Reading:
    """The words of XREAD or XREADGROUP. Raises ReplyError."""

    __slots__ = ("blocks", "consumer", "count", "group", "ids", "keys", "no_ack", "streams_at")

    def __init__(self, args: list[bytes], *, grouped: bool) -> None:
        self.group = self.consumer = b""
        self.count: int | None = None
        self.no_ack = self.blocks = False
        self.streams_at = 0
        at = 1
        while at < len(args):
            name, left = args[at].upper(), len(args) - 1 - at
            if name == b"BLOCK" and left:
                _check_timeout(args[at + 1])
                self.blocks = True
                at += 1
            elif name == b"COUNT" and left:
                number = integer(args[at + 1])
                if number is None:
                    raise ReplyError(NOT_AN_INTEGER)
                self.count = number if number > 0 else None
                at += 1
            elif name == b"STREAMS" and left:
                self.streams_at = at + 1
                break
            elif name == b"GROUP" and left >= 2:
                if not grouped:
                    raise ReplyError(error(_NO_GROUP_OPTION.format("GROUP")))
                self.group, self.consumer = args[at + 1 : at + 3]
                at += 2
            elif name == b"NOACK":
                if not grouped:
                    raise ReplyError(error(_NO_GROUP_OPTION.format("NOACK")))
                self.no_ack = True
            else:
                raise ReplyError(SYNTAX_ERROR)
            at += 1
        if not self.streams_at:
            raise ReplyError(SYNTAX_ERROR)
        words = args[self.streams_at :]
        if len(words) % 2:
            raise ReplyError(error(_UNBALANCED))
        self.keys, self.ids = words[: len(words) // 2], words[len(words) // 2 :]
        if grouped and not self.group:
            raise ReplyError(error("Missing GROUP option for XREADGROUP"))


def stream_keys(args: list[bytes]) -> list[bytes]:
    """The keys of XREAD and XREADGROUP."""
    words = [word.upper() for word in args]
    if b"STREAMS" not in words:
        return []
    rest = args[words.index(b"STREAMS") + 1 :]
    return rest[: len(rest) // 2]


def _check_timeout(text: bytes) -> None:
    number = integer(text)
    if number is None:
        raise ReplyError(error("timeout is not an integer or out of range"))
    if number < 0:
        raise ReplyError(error("timeout is negative"))


def nothing(proto: int) -> bytes:
    return b"_\r\n" if proto == 3 else b"*-1\r\n"


def xread(view: View, args: list[bytes], proto: int) -> bytes:
    reading = Reading(args, grouped=False)
    starts: list[tuple[Stream, int]] = []
    for key, text in zip(reading.keys, reading.ids, strict=True):
        stream = Stream(view, key)
        if text == b"$":
            starts.append((stream, stream.last_id))
        elif text == b">":
            return error(_NEW)
        else:
            starts.append((stream, parse_id(text)))
    found: list[tuple[bytes, bytes]] = []
    for key, (stream, after) in zip(reading.keys, starts, strict=True):
        entries = [] if after >= stream.last_id else list(islice(stream.range(after + 1), reading.count))
        if entries:
            found.append((bulk(key), array([entry_reply(*entry) for entry in entries])))
    return _streams(found, proto) if found else nothing(proto)


def from_now(view: View, args: list[bytes]) -> list[bytes]:
    """The words of an XREAD that found nothing and waits: `$` is the last id as it is now, not as it will be later."""
    reading = Reading(args, grouped=False)
    ids = [
        b"%d-%d" % divmod(Stream(view, key).last_id, 2**64) if text == b"$" else text
        for key, text in zip(reading.keys, reading.ids, strict=True)
    ]
    return [*args[: reading.streams_at], *reading.keys, *ids]


def xreadgroup(view: View, args: list[bytes], proto: int) -> bytes:
    reading = Reading(args, grouped=True)
    wanted: list[tuple[bytes, Stream, Group, int | None]] = []
    for key, text in zip(reading.keys, reading.ids, strict=True):
        stream = Stream(view, key)
        group = Group.find(stream, reading.group) if stream.exists else None
        if group is None:
            what = b"No such key '%b' or consumer group '%b' in XREADGROUP with GROUP option" % (key, reading.group)
            return error(what, "NOGROUP")
        if text == b"$":
            return error(_LAST)
        wanted.append((key, stream, group, None if text == b">" else parse_id(text)))
    found: list[tuple[bytes, bytes]] = []
    for key, stream, group, after in wanted:
        if after == MAX_ID or (after is None and (not stream.size or stream.last_id <= group.last_id)):
            continue  # Redis takes the highest id for >
        consumer = group.see(reading.consumer, view.now_ms)
        if after is None:
            entries = _deliver(view, stream, group, None if reading.no_ack else consumer, reading.count)
        else:
            entries = _history(view, stream, group, consumer, after, reading.count, proto)
        group.save()
        stream.save()
        if entries or after is not None:
            found.append((bulk(key), array(entries)))
    return _streams(found, proto) if found else nothing(proto)


def _deliver(view: View, stream: Stream, group: Group, consumer: Consumer | None, count: int | None) -> list[bytes]:
    """New entries, pending from now on for this consumer, if there is one."""
    replies: list[bytes] = []
    for number, fields in islice(stream.range(group.last_id + 1), count):
        if group.entries_read is not None and not stream.has_deleted_since(number):
            group.entries_read += 1
        elif stream.added:
            group.entries_read = stream.entries_until(number)
        group.last_id = number
        if consumer is not None:
            group.deliver(number, consumer, view.now_ms, 1)
        replies.append(entry_reply(number, fields))
    return replies


def _history(
    view: View, stream: Stream, group: Group, consumer: Consumer, after: int, count: int | None, proto: int
) -> list[bytes]:
    """What is pending for this consumer, delivered once more."""
    replies: list[bytes] = []
    for pending in list(islice(group.pending_of(consumer, after + 1), count)):
        fields = stream.entry(pending.number)
        if fields is None:
            replies.append(array([id_reply(pending.number), nothing(proto)]))
            continue
        group.deliver(pending.number, consumer, view.now_ms, pending.deliveries + 1)
        replies.append(entry_reply(pending.number, fields))
    return replies


def _streams(found: list[tuple[bytes, bytes]], proto: int) -> bytes:
    return map_of(found, proto) if proto == 3 else array([array(pair) for pair in found])


def xack(view: View, args: list[bytes], proto: int) -> bytes:
    stream = Stream(view, args[1])
    group = Group.find(stream, args[2]) if stream.exists else None
    if group is None:
        return integer_reply(0)
    acknowledged = sum([group.acknowledge(number) for number in [parse_id(text) for text in args[3:]]])
    if acknowledged:
        group.save()
        stream.save()
    return integer_reply(acknowledged)


def pending_group(view: View, args: list[bytes]) -> tuple[Stream, Group]:
    """The stream args[1] and its group args[2]. Raises ReplyError."""
    stream = Stream(view, args[1])
    group = Group.find(stream, args[2]) if stream.exists else None
    if group is None:
        raise no_group(args[1], args[2])
    return stream, group
