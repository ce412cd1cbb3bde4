"""XPENDING, XCLAIM and XAUTOCLAIM: what was delivered and never acknowledged, and who takes it over."""

from __future__ import annotations

from itertools import islice

from .....core.batch.overlay import View
from ...reply import NOT_AN_INTEGER, SYNTAX_ERROR, ReplyError, array, bulk, error, integer_reply, nil
from ...resp import integer
from .entries import interval
from .groups import Group, Pending
from .reading import pending_group
from .stream import MAX_ID, Stream, entry_reply, id_reply, parse_id

ATTEMPTS = 10
"""XAUTOCLAIM looks at so many entries for each that it may claim."""
MAX_CLAIMED = 2_000
"""Claimed by one XAUTOCLAIM, whatever COUNT says: the cursor goes on."""
_TOO_MANY, _TOO_LARGE = 2**63 // 16, 2**40
"""Counts that Redis refuses, and those that it has no memory for."""


def xpending(view: View, args: list[bytes], proto: int) -> bytes:
    if len(args) == 3:
        _, group = pending_group(view, args)
        return _summary(group, proto)
    at, min_idle = 3, 0
    if len(args) >= 4 and args[3].upper() == b"IDLE":
        if len(args) < 8:
            return SYNTAX_ERROR
        number = integer(args[4])
        if number is None:
            return NOT_AN_INTEGER
        at, min_idle = 5, number
    if len(args) < at + 3:
        return SYNTAX_ERROR
    count = integer(args[at + 2])
    if count is None:
        return NOT_AN_INTEGER
    start, end = interval(args[at], args[at + 1])
    _, group = pending_group(view, args)
    consumer = None
    if len(args) > at + 3:
        consumer = group.consumer(args[at + 3])
        if consumer is None:
            return array([])
    found = group.pending_range(start, end) if consumer is None else group.pending_of(consumer, start, end)
    chosen = (pending for pending in found if view.now_ms - pending.delivered_ms >= min_idle)
    return array([_row(view, pending) for pending in islice(chosen, max(0, count))])


def _row(view: View, pending: Pending) -> bytes:
    idle_ms = max(0, view.now_ms - pending.delivered_ms)
    return array([id_reply(pending.number), bulk(pending.consumer), integer_reply(idle_ms), integer_reply(pending.deliveries)])


def _summary(group: Group, proto: int) -> bytes:
    first = next(group.pending_range(0), None)
    if first is None:
        return array([integer_reply(0), nil(proto), nil(proto), b"_\r\n" if proto == 3 else b"*-1\r\n"])
    last = next(group.pending_range(0, reverse=True))
    consumers = [
        array([bulk(consumer.name), bulk(b"%d" % consumer.pending)]) for consumer in group.consumers() if consumer.pending
    ]
    return array([integer_reply(group.pending), id_reply(first.number), id_reply(last.number), array(consumers)])


class _Claim:
    """The options of XCLAIM, behind the ids. Raises ReplyError."""

    def __init__(self, args: list[bytes], at: int, now_ms: int) -> None:
        self.delivered_ms = now_ms
        self.deliveries: int | None = None
        self.force = self.just_id = False
        self.last_id = 0
        while at < len(args):
            name, left = args[at].upper(), len(args) - 1 - at
            if name == b"FORCE":
                self.force = True
            elif name == b"JUSTID":
                self.just_id = True
            elif name in (b"IDLE", b"TIME", b"RETRYCOUNT") and left:
                self._number(name, args[at + 1], now_ms)
                at += 1
            elif name == b"LASTID" and left:
                self.last_id = parse_id(args[at + 1])
                at += 1
            else:
                raise ReplyError(error(b"Unrecognized XCLAIM option '%b'" % args[at]))
            at += 1
        if not 0 <= self.delivered_ms <= now_ms:
            self.delivered_ms = now_ms

    def _number(self, name: bytes, text: bytes, now_ms: int) -> None:
        number = integer(text)
        if number is None:
            raise ReplyError(error(f"Invalid {name.decode()} option argument for XCLAIM"))
        if name == b"IDLE":
            self.delivered_ms = now_ms - number
        elif name == b"TIME":
            self.delivered_ms = number
        else:
            self.deliveries = max(0, number)


def _min_idle(text: bytes, command: str) -> int:
    number = integer(text)
    if number is None:
        raise ReplyError(error(f"Invalid min-idle-time argument for {command}"))
    return max(0, number)


def xclaim(view: View, args: list[bytes], proto: int) -> bytes:
    stream, group = pending_group(view, args)
    min_idle = _min_idle(args[4], "XCLAIM")
    numbers: list[int] = []
    for text in args[5:]:
        try:
            numbers.append(parse_id(text))
        except ReplyError:
            break
    claim = _Claim(args, 5 + len(numbers), view.now_ms)
    group.last_id = max(group.last_id, claim.last_id)
    replies: list[bytes] = []
    for number in numbers:
        pending, fields = group.pending_entry(number), stream.entry(number)
        if fields is None:
            if pending is not None:
                group.acknowledge(number)
            continue
        if pending is None and not claim.force:
            continue
        if pending is not None and pending.consumer and view.now_ms - pending.delivered_ms < min_idle:
            continue
        before = 0 if pending is None else pending.deliveries
        deliveries = claim.deliveries if claim.deliveries is not None else before + (not claim.just_id)
        group.deliver(number, group.see(args[3], view.now_ms), claim.delivered_ms, deliveries)
        replies.append(id_reply(number) if claim.just_id else entry_reply(number, fields))
    group.save()
    stream.save()
    return array(replies)


def xautoclaim(view: View, args: list[bytes], proto: int) -> bytes:
    min_idle = _min_idle(args[4], "XAUTOCLAIM")
    start, _ = interval(args[5], b"+")
    count, just_id = 100, False
    words = iter(args[6:])
    for word in words:
        name = word.upper()
        if name == b"COUNT" and (text := next(words, None)) is not None:
            number = integer(text)
            if number is None or not 1 <= number < _TOO_MANY:
                return error("COUNT must be > 0")
            if number > _TOO_LARGE:
                return error("Insufficient memory, failed allocating transient memory, COUNT too high.")
            count = number
        elif name == b"JUSTID":
            just_id = True
        else:
            return SYNTAX_ERROR
    stream, group = pending_group(view, args)
    return _claim_idle(view, stream, group, args[3], start, min(count, MAX_CLAIMED), min_idle, just_id=just_id)


def _claim_idle(
    view: View, stream: Stream, group: Group, name: bytes, start: int, count: int, min_idle: int, *, just_id: bool
) -> bytes:
    claimed: list[bytes] = []
    gone: list[bytes] = []
    looked = list(islice(group.pending_range(start), count * ATTEMPTS + 1))
    at = 0
    while at < min(len(looked), count * ATTEMPTS) and len(claimed) + len(gone) < count:
        pending = looked[at]
        at += 1
        fields = stream.entry(pending.number)
        if fields is None:
            group.acknowledge(pending.number)
            gone.append(id_reply(pending.number))
            continue
        if view.now_ms - pending.delivered_ms < min_idle:
            continue
        group.deliver(pending.number, group.see(name, view.now_ms), view.now_ms, pending.deliveries + (not just_id))
        claimed.append(id_reply(pending.number) if just_id else entry_reply(pending.number, fields))
    group.save()
    stream.save()
    following = looked[at].number if at < len(looked) else 0
    return array([id_reply(min(following, MAX_ID)), array(claimed), array(gone)])
