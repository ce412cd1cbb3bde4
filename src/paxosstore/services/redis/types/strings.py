"""Commands on strings: pure functions (view, arguments, protocol) -> reply. `args[0]` is the command's name.

A function checks everything before its first write: an error reply must leave nothing behind.
"""

from __future__ import annotations

from typing import Final

from ....core.batch.overlay import View
from ....errors import TooLarge
from ..layout.keys import LOOKUPS, STRING, Key, get_value, set_many
from ..reply import (
    NOT_A_FLOAT,
    NOT_AN_INTEGER,
    OK,
    ONE,
    SYNTAX_ERROR,
    ZERO,
    ReplyError,
    array,
    bulk,
    error,
    integer_reply,
    nil,
    wrong_arity,
)
from ..resp import integer
from . import long_double
from .expiry import deadline

MAX_REPLY_BYTES: Final = 16_777_216
"""Of the values of several keys together; a single one is never refused."""
MAX_REDIS_BYTES: Final = 512 * 1024 * 1024
"""Longest string of Redis: beyond it, the error is Redis's."""
MAX_VALUE_BYTES: Final = 64 * 1024 * 1024
"""Of what is made longer by a number alone, before the node's own limits are asked."""
_MIN: Final = -(2**63)
_MAX: Final = 2**63 - 1
_EXPIRES: Final = {b"EX": (1000, True), b"PX": (1, True), b"EXAT": (1000, False), b"PXAT": (1, False)}
"""Option of SET -> (its unit in ms, whether it counts from now)."""
_TTL_OPTIONS: Final = {*_EXPIRES, b"KEEPTTL", b"PERSIST"}
_SET_OPTIONS: Final = frozenset((b"NX", b"XX", b"GET", b"KEEPTTL"))
_GETEX_OPTIONS: Final = frozenset((b"PERSIST",))
_CONDITIONS: Final = {b"NX", b"XX"}


def get(view: View, args: list[bytes], proto: int) -> bytes:
    value = get_value(view, args[1])
    return nil(proto) if value is None else bulk(value)


def set_(view: View, args: list[bytes], proto: int) -> bytes:
    if len(args) == 3:
        Key(view, args[1]).set(args[2])
        return OK
    options = _options(args[3:], _SET_OPTIONS)
    if options is None:
        return SYNTAX_ERROR
    expires_ms = _deadline_in(view, options, "set")
    key = Key(view, args[1])
    refused = key.exists if b"NX" in options else b"XX" in options and not key.exists
    if b"GET" in options:
        LOOKUPS.note(key.exists)
        reply = _bulk_or_nil(key.value, proto)
    else:
        reply = nil(proto) if refused else OK
    if not refused:
        key.set(args[2], key.expires_ms if b"KEEPTTL" in options else expires_ms)
    return reply


def _options(words: list[bytes], flags: frozenset[bytes]) -> dict[bytes, bytes] | None:
    """Options of SET and GETEX, upper case, with their argument if they take one; None: they make no sense.

    `flags`: those without an argument that may be there.
    """
    options: dict[bytes, bytes] = {}
    left = iter(words)
    for word in left:
        name = word.upper()
        if name in _EXPIRES:
            argument = next(left, None)
            if argument is None:
                return None
            options[name] = argument
        elif name in flags:
            options[name] = b""
        else:
            return None
    clash = len(options.keys() & _TTL_OPTIONS) > 1 or len(options.keys() & _CONDITIONS) > 1
    return None if clash else options


def _deadline_in(view: View, options: dict[bytes, bytes], command: str) -> int:
    """When a key is to expire, in ms since 1970; 0: no option says so. Raises ReplyError."""
    for name, (unit_ms, relative) in _EXPIRES.items():
        if name in options:
            at = deadline(options[name], unit_ms, view.now_ms if relative else 0, command)
            if isinstance(at, bytes):
                raise ReplyError(at)
            return at
    return 0


def setex(view: View, args: list[bytes], proto: int) -> bytes:
    return _set_for(view, args, 1000, "setex")


def psetex(view: View, args: list[bytes], proto: int) -> bytes:
    return _set_for(view, args, 1, "psetex")


def _set_for(view: View, args: list[bytes], unit_ms: int, command: str) -> bytes:
    at = deadline(args[2], unit_ms, view.now_ms, command)
    if isinstance(at, bytes):
        return at
    Key(view, args[1]).set(args[3], at)
    return OK


def getex(view: View, args: list[bytes], proto: int) -> bytes:
    options = _options(args[2:], _GETEX_OPTIONS)
    if options is None:
        return SYNTAX_ERROR
    key = Key(view, args[1])
    value = key.value
    if value is None:
        return nil(proto)
    at = _deadline_in(view, options, "getex")
    if at and at <= view.now_ms:
        key.delete()
    elif at or (b"PERSIST" in options and key.expires_ms):
        key.expire(at)
    return bulk(value)


def setnx(view: View, args: list[bytes], proto: int) -> bytes:
    key = Key(view, args[1])
    if key.exists:
        return ZERO
    key.set(args[2])
    return ONE


def getset(view: View, args: list[bytes], proto: int) -> bytes:
    key = Key(view, args[1])
    old = key.value
    key.set(args[2])
    return _bulk_or_nil(old, proto)


def getdel(view: View, args: list[bytes], proto: int) -> bytes:
    key = Key(view, args[1])
    old = key.value
    key.delete()
    return _bulk_or_nil(old, proto)


def mget(view: View, args: list[bytes], proto: int) -> bytes:
    replies: list[bytes] = []
    size = 0
    for name in args[1:]:
        key = Key(view, name)
        reply = _bulk_or_nil(key.value if key.kind <= STRING else None, proto)
        size += len(reply)
        if size > MAX_REPLY_BYTES and replies:
            raise TooLarge(f"the values are over the limit of {MAX_REPLY_BYTES} bytes in one reply: ask for fewer at a time")
        replies.append(reply)
    return array(replies)


def mset(view: View, args: list[bytes], proto: int) -> bytes:
    if len(args) % 2 == 0:
        return wrong_arity("mset")
    set_many(view, zip(args[1::2], args[2::2], strict=True))
    return OK


def msetnx(view: View, args: list[bytes], proto: int) -> bytes:
    if len(args) % 2 == 0:
        return wrong_arity("msetnx")
    if any(Key(view, name).exists for name in args[1::2]):
        return ZERO
    set_many(view, zip(args[1::2], args[2::2], strict=True))
    return ONE


def getrange(view: View, args: list[bytes], proto: int) -> bytes:
    start, end = integer(args[2]), integer(args[3])
    if start is None or end is None:
        return NOT_AN_INTEGER
    value = get_value(view, args[1]) or b""
    if 0 > start > end:
        return bulk(b"")
    start, end = (max(at + len(value) if at < 0 else at, 0) for at in (start, end))
    return bulk(value[start : max(start, end + 1)])  # compiled, a slice that ends before it starts is an error


def setrange(view: View, args: list[bytes], proto: int) -> bytes:
    start, piece = integer(args[2]), args[3]
    if start is None:
        return NOT_AN_INTEGER
    if start < 0:
        return error("offset is out of range")
    key = Key(view, args[1])
    value = key.value or b""
    if not piece:
        return integer_reply(len(value))
    check_length(start + len(piece))
    value = value[:start].ljust(start, b"\0") + piece + value[start + len(piece) :]
    key.set(value, key.expires_ms)
    return integer_reply(len(value))


def check_length(length: int) -> None:
    """Raises ReplyError, or TooLarge, for a value that is not even worth making."""
    if length > MAX_REDIS_BYTES:
        raise ReplyError(error("string exceeds maximum allowed size (proto-max-bulk-len)"))
    if length > MAX_VALUE_BYTES:
        raise TooLarge(f"a value of {length} bytes is over the limit of {MAX_VALUE_BYTES}")


def append(view: View, args: list[bytes], proto: int) -> bytes:
    key = Key(view, args[1])
    value = (key.value or b"") + args[2]
    key.set(value, key.expires_ms)
    return integer_reply(len(value))


def strlen(view: View, args: list[bytes], proto: int) -> bytes:
    return integer_reply(len(get_value(view, args[1]) or b""))


def incr(view: View, args: list[bytes], proto: int) -> bytes:
    return _add(view, args[1], 1)


def decr(view: View, args: list[bytes], proto: int) -> bytes:
    return _add(view, args[1], -1)


def incrby(view: View, args: list[bytes], proto: int) -> bytes:
    change = integer(args[2])
    return NOT_AN_INTEGER if change is None else _add(view, args[1], change)


def decrby(view: View, args: list[bytes], proto: int) -> bytes:
    change = integer(args[2])
    if change is None:
        return NOT_AN_INTEGER
    return error("decrement would overflow") if change == _MIN else _add(view, args[1], -change)


def incrbyfloat(view: View, args: list[bytes], proto: int) -> bytes:
    key = Key(view, args[1])
    value = key.value
    number = long_double.parse(b"0" if value is None else value)
    change = long_double.parse(args[2])
    if number is None or change is None:
        return NOT_A_FLOAT
    total = long_double.add(number, change)
    if total is None:
        return error("increment would produce NaN or Infinity")
    written = long_double.human(total)
    key.set(written, key.expires_ms)
    return bulk(written)


def _add(view: View, name: bytes, change: int) -> bytes:
    key = Key(view, name)
    value = key.value
    number = 0 if value is None else integer(value)
    if number is None:
        return NOT_AN_INTEGER
    number += change
    if not _MIN <= number <= _MAX:
        return error("increment or decrement would overflow")
    key.set(b"%d" % number, key.expires_ms)
    return integer_reply(number)


def _bulk_or_nil(value: bytes | None, proto: int) -> bytes:
    return nil(proto) if value is None else bulk(value)
