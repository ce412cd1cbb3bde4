"""Commands on the life of keys. Times are in ms since 1970 inside, whatever unit a command counts in."""

from __future__ import annotations

from collections.abc import Callable

from ....core.batch.overlay import View
from ..layout.keys import Key
from ..reply import NOT_AN_INTEGER, ONE, ZERO, error, integer_reply
from ..resp import integer

Command = Callable[[View, list[bytes], int], bytes]

_MAX_MS = 2**63 - 1
_OPTIONS = frozenset((b"NX", b"XX", b"GT", b"LT"))


def deadline(argument: bytes, unit_ms: int, base_ms: int, command: str) -> int | bytes:
    """The moment that an option of a command names, or the error reply to a moment that cannot be."""
    number = integer(argument)
    if number is None:
        return NOT_AN_INTEGER
    at = number * unit_ms + base_ms
    return at if number > 0 and at <= _MAX_MS else _invalid(command)


def expire_command(command: str, unit_ms: int, relative: bool) -> Command:
    """EXPIRE and its kind: the unit, and whether it counts from now."""

    def expire(view: View, args: list[bytes], proto: int) -> bytes:
        options = set()
        for word in args[3:]:
            if word.upper() not in _OPTIONS:
                return error(b"Unsupported option " + word)
            options.add(word.upper())
        if b"NX" in options and len(options) > 1:
            return error("NX and XX, GT or LT options at the same time are not compatible")
        if {b"GT", b"LT"} <= options:
            return error("GT and LT options at the same time are not compatible")
        number = integer(args[2])
        if number is None:
            return NOT_AN_INTEGER
        at = number * unit_ms
        if not -_MAX_MS - 1 <= at <= _MAX_MS - (view.now_ms if relative else 0):
            return _invalid(command)
        at += view.now_ms if relative else 0
        key = Key(view, args[1])
        if not key.exists or not _allowed(options, key.expires_ms, at):
            return ZERO
        if at <= view.now_ms:
            key.delete()
        else:
            key.expire(at)
        return ONE

    return expire


def ttl_command(unit_ms: int) -> Command:
    """TTL and PTTL."""

    def ttl(view: View, args: list[bytes], proto: int) -> bytes:
        key = Key(view, args[1])
        if not key.exists:
            return b":-2\r\n"
        if not key.expires_ms:
            return b":-1\r\n"
        return integer_reply((key.expires_ms - view.now_ms + unit_ms // 2) // unit_ms)

    return ttl


def expiretime_command(unit_ms: int) -> Command:
    """EXPIRETIME and PEXPIRETIME."""

    def expiretime(view: View, args: list[bytes], proto: int) -> bytes:
        key = Key(view, args[1])
        if not key.exists:
            return b":-2\r\n"
        return integer_reply((key.expires_ms + unit_ms // 2) // unit_ms if key.expires_ms else -1)

    return expiretime


def persist(view: View, args: list[bytes], proto: int) -> bytes:
    key = Key(view, args[1])
    if not key.expires_ms:
        return ZERO
    key.expire(0)
    return ONE


def _allowed(options: set[bytes], current_ms: int, at_ms: int) -> bool:
    """No expiry at all counts as one that never comes."""
    if b"NX" in options and current_ms:
        return False
    if b"XX" in options and not current_ms:
        return False
    if b"GT" in options and (not current_ms or at_ms <= current_ms):
        return False
    return not (b"LT" in options and current_ms and at_ms >= current_ms)


def _invalid(command: str) -> bytes:
    return error(f"invalid expire time in '{command}' command")
