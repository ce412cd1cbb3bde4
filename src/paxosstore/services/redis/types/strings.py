"""Commands on strings: pure functions (view, arguments, protocol) -> reply. `args[0]` is the command's name.

A function checks everything before its first write: an error reply must leave nothing behind.
"""

from __future__ import annotations

from ....core.batch.overlay import View
from ....errors import TooLarge
from ..layout.keys import STRING, Key, get_value, set_many
from ..reply import NOT_AN_INTEGER, OK, ONE, SYNTAX_ERROR, ZERO, array, bulk, error, integer_reply, nil, wrong_arity
from ..resp import integer
from .expiry import deadline

MAX_REPLY_BYTES = 16_777_216
"""Of the values of several keys together; a single one is never refused."""
_MIN, _MAX = -(2**63), 2**63 - 1
_EXPIRES = {b"EX": (1000, True), b"PX": (1, True), b"EXAT": (1000, False), b"PXAT": (1, False)}
"""Option of SET -> (its unit in ms, whether it counts from now)."""
_TTL_OPTIONS = {*_EXPIRES, b"KEEPTTL"}
_CONDITIONS = {b"NX", b"XX"}


def get(view: View, args: list[bytes], proto: int) -> bytes:
    value = get_value(view, args[1])
    return nil(proto) if value is None else bulk(value)


def set_(view: View, args: list[bytes], proto: int) -> bytes:
    if len(args) == 3:
        Key(view, args[1]).set(args[2])
        return OK
    options = _set_options(args)
    if options is None:
        return SYNTAX_ERROR
    expires_ms = 0
    for name, (unit_ms, relative) in _EXPIRES.items():
        if name in options:
            at = deadline(options[name], unit_ms, view.now_ms if relative else 0, "set")
            if isinstance(at, bytes):
                return at
            expires_ms = at
    key = Key(view, args[1])
    refused = key.exists if b"NX" in options else b"XX" in options and not key.exists
    if b"GET" in options:
        reply = _bulk_or_nil(key.value, proto)
    else:
        reply = nil(proto) if refused else OK
    if not refused:
        key.set(args[2], key.expires_ms if b"KEEPTTL" in options else expires_ms)
    return reply


def _set_options(args: list[bytes]) -> dict[bytes, bytes] | None:
    """Options of SET, upper case, with their argument if they take one; None: they make no sense."""
    options: dict[bytes, bytes] = {}
    words = iter(args[3:])
    for word in words:
        name = word.upper()
        if name in _EXPIRES:
            argument = next(words, None)
            if argument is None:
                return None
            options[name] = argument
        elif name in (b"NX", b"XX", b"GET", b"KEEPTTL"):
            options[name] = b""
        else:
            return None
    clash = len(options.keys() & _TTL_OPTIONS) > 1 or len(options.keys() & _CONDITIONS) > 1
    return None if clash else options


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
