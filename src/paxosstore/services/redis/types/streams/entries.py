"""Commands on the entries of a stream: XADD, XTRIM, XDEL, XLEN, XRANGE, XREVRANGE, XSETID."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from .....core.batch.overlay import View
from ...layout.keys import Key
from ...reply import NO_SUCH_KEY, NOT_AN_INTEGER, OK, SYNTAX_ERROR, ReplyError, array, error, integer_reply, nil, wrong_arity
from ...resp import integer
from .stream import INVALID_ID, MAX_ID, Stream, entry_reply, id_reply, node_entries, parse_end, parse_id

MAX_TRIMMED = 4_000
"""Entries that inexact trimming drops at one time: the next command goes on."""
_SMALLER = "is smaller than the target stream top item"


class Trimming(NamedTuple):
    """What MAXLEN or MINID asks for."""

    by_length: bool
    threshold: int
    """The length to keep, or the lowest id."""
    exact: bool
    limit: int
    """Entries to drop at most."""


class _Options:
    """The options in front of an id: MAXLEN, MINID, LIMIT, and NOMKSTREAM for XADD."""

    def __init__(self, args: list[bytes], *, xadd: bool) -> None:
        self.no_stream = False
        self.strategy = b""
        self.threshold = 0
        self.exact = True
        self.limit: int | None = None
        at = 2
        while at < len(args):
            name, left = args[at].upper(), len(args) - 1 - at
            if xadd and name == b"*":
                break
            if name in (b"MAXLEN", b"MINID") and left:
                at = self._threshold(name, args, at, left)
            elif name == b"LIMIT" and left:
                self.limit = _limited("LIMIT", args[at + 1])
                at += 1
            elif xadd and name == b"NOMKSTREAM":
                self.no_stream = True
            elif xadd:
                break
            else:
                raise ReplyError(SYNTAX_ERROR)
            at += 1
        self.next = at
        """The word behind them."""

    def _threshold(self, name: bytes, args: list[bytes], at: int, left: int) -> int:
        if self.strategy:
            raise ReplyError(error("syntax error, MAXLEN and MINID options at the same time are not compatible"))
        self.exact = True
        if left >= 2 and args[at + 1] in (b"~", b"="):
            self.exact = args[at + 1] == b"="
            at += 1
        self.strategy = name
        self.threshold = _limited("MAXLEN", args[at + 1]) if name == b"MAXLEN" else parse_id(args[at + 1])
        return at + 1

    def trimming(self) -> Trimming | None:
        """Raises ReplyError for options that do not go together."""
        if self.limit is not None:
            if not self.strategy and self.limit:
                raise ReplyError(error("syntax error, LIMIT cannot be used without specifying a trimming strategy"))
            if self.strategy and self.exact:
                raise ReplyError(error("syntax error, LIMIT cannot be used without the special ~ option"))
        if not self.strategy:
            return None
        limit = 100 * node_entries() if self.limit is None else self.limit or MAX_ID
        return Trimming(self.strategy == b"MAXLEN", self.threshold, self.exact, limit)


def _limited(name: str, text: bytes) -> int:
    number = integer(text)
    if number is None:
        raise ReplyError(NOT_AN_INTEGER)
    if number < 0:
        raise ReplyError(error(f"The {name} argument must be >= 0."))
    return number


def xadd(view: View, args: list[bytes], proto: int) -> bytes:
    options = _Options(args, xadd=True)
    at = options.next
    wanted = args[at] if at < len(args) else b"*"
    automatic, any_sequence = wanted == b"*", wanted.endswith(b"-*")
    number = 0 if automatic else parse_id(wanted[:-2] if any_sequence else wanted)
    trimming = options.trimming()
    fields = args[at + 1 :]
    if not fields or len(fields) % 2:
        return wrong_arity("xadd")
    if not (automatic or any_sequence or number):
        return error("The ID specified in XADD must be greater than 0-0")
    stream = Stream(view, args[1])
    if not stream.exists and options.no_stream:
        return nil(proto)
    if stream.last_id == MAX_ID:
        return error("The stream has exhausted the last possible ID, unable to add more items")
    if automatic:
        number = max(view.now_ms << 64, stream.last_id + 1)
    elif any_sequence:
        number = _next_of(number >> 64, stream.last_id)
    if number <= stream.last_id:
        return error("The ID specified in XADD is equal or smaller than the target stream top item")
    stream.add(number, fields)
    if trimming is not None:
        trim(stream, trimming)
    stream.save()
    return id_reply(number)


def _next_of(ms: int, last_id: int) -> int:
    """The first id of a millisecond that is free; one that is too low if there is none."""
    if ms != last_id >> 64:
        return ms << 64
    return last_id + 1 if last_id + 1 >> 64 == ms else 0


def xtrim(view: View, args: list[bytes], proto: int) -> bytes:
    trimming = _Options(args, xadd=False).trimming()
    stream = Stream(view, args[1])
    if trimming is None or not stream.exists:
        return integer_reply(0)
    trimmed = trim(stream, trimming)
    if trimmed:
        stream.save()
    return integer_reply(trimmed)


def trim(stream: Stream, trimming: Trimming) -> int:
    """Drop what is over the threshold; inexactly, whole nodes of it. Returns how many entries went."""
    most = min(stream.size, trimming.limit)
    if trimming.by_length:
        over = max(0, stream.size - trimming.threshold)
        if trimming.exact:
            return stream.trim(over)
    else:
        looked = most if trimming.exact else min(most, MAX_TRIMMED)
        over = 0
        for number, _ in islice(stream.range(0), looked):
            if number >= trimming.threshold:
                break
            over += 1
        if trimming.exact:
            return stream.trim(over)
    node = node_entries()
    left_of_first = node - (stream.added - stream.size) % node
    over = min(over, most, MAX_TRIMMED)
    whole = 0 if over < left_of_first else left_of_first + (over - left_of_first) // node * node
    return stream.trim(over if over == stream.size else whole)


def xdel(view: View, args: list[bytes], proto: int) -> bytes:
    stream = Stream(view, args[1])
    if not stream.exists:
        return integer_reply(0)
    removed = stream.remove([parse_id(text) for text in args[2:]])
    if removed:
        stream.save()
    return integer_reply(removed)


def xlen(view: View, args: list[bytes], proto: int) -> bytes:
    return integer_reply(Stream(view, args[1]).size)


def xrange(view: View, args: list[bytes], proto: int) -> bytes:
    return _range(view, args, proto, args[2], args[3], reverse=False)


def xrevrange(view: View, args: list[bytes], proto: int) -> bytes:
    return _range(view, args, proto, args[3], args[2], reverse=True)


def interval(first: bytes, last: bytes) -> tuple[int, int]:
    """Both ends of a range, inclusive. Raises ReplyError."""
    start = parse_end(first.removeprefix(b"("), 0)
    end = parse_end(last.removeprefix(b"("), 2**64 - 1)
    if first.startswith(b"("):
        if first[1:] in (b"-", b"+"):
            raise ReplyError(INVALID_ID)
        if start == MAX_ID:
            raise ReplyError(error("invalid start ID for the interval"))
        start += 1
    if last.startswith(b"("):
        if last[1:] in (b"-", b"+"):
            raise ReplyError(INVALID_ID)
        if end == 0:
            raise ReplyError(error("invalid end ID for the interval"))
        end -= 1
    return start, end


def _range(view: View, args: list[bytes], proto: int, first: bytes, last: bytes, *, reverse: bool) -> bytes:
    start, end = interval(first, last)
    count = None
    words = iter(args[4:])
    for word in words:
        text = next(words, None)
        if text is None or word.upper() != b"COUNT":
            return SYNTAX_ERROR
        count = integer(text)
        if count is None:
            return NOT_AN_INTEGER
        count = max(0, count)
    stream = Stream(view, args[1])
    if not stream.exists:
        return array([])
    if count == 0:
        return b"_\r\n" if proto == 3 else b"*-1\r\n"
    return array([entry_reply(*pair) for pair in islice(stream.range(start, end, reverse=reverse), count)])


def xsetid(view: View, args: list[bytes], proto: int) -> bytes:
    last_id = parse_id(args[2])
    added, deleted = -1, None
    words = iter(args[3:])
    for word in words:
        name, text = word.upper(), next(words, None)
        if name == b"ENTRIESADDED" and text is not None:
            number = integer(text)
            if number is None:
                return NOT_AN_INTEGER
            if number < 0:
                return error("entries_added must be positive")
            added = number
        elif name == b"MAXDELETEDID" and text is not None:
            deleted = parse_id(text)
            if last_id < deleted:
                return error("The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
        else:
            return SYNTAX_ERROR
    if not Key(view, args[1]).exists:
        return NO_SUCH_KEY
    stream = Stream(view, args[1])
    if stream.size:
        top = next(stream.range(0, reverse=True))[0]
        if last_id < top:
            return error(f"The ID specified in XSETID {_SMALLER}")
        if added != -1 and stream.size > added:
            return error("The entries_added specified in XSETID is smaller than the target stream length")
    stream.last_id = last_id
    if added != -1:
        stream.added = added
    if deleted is not None and deleted:
        stream.max_deleted_id = deleted
    stream.save()
    return OK
