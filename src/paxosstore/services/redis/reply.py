"""Replies of the Redis protocol as bytes, in RESP2 and RESP3, and the store's errors in Redis's form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ...errors import PaxosStoreError

OK: Final = b"+OK\r\n"
ZERO: Final = b":0\r\n"
ONE: Final = b":1\r\n"
_NULL_2: Final = b"$-1\r\n"
_NULL_3: Final = b"_\r\n"

SYNTAX_ERROR: Final = b"-ERR syntax error\r\n"
WRONG_TYPE: Final = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
NOT_A_FLOAT: Final = b"-ERR value is not a valid float\r\n"
NO_SUCH_KEY: Final = b"-ERR no such key\r\n"
MAX_ERROR_BYTES: Final = 4_096
"""Of an error's text: it may hold what the client has sent."""
NOT_AN_INTEGER: Final = b"-ERR value is not an integer or out of range\r\n"


class ReplyError(Exception):
    """Ends a command with an error reply, before its first write. Caught where commands are run: commands/handler.py."""

    def __init__(self, reply: bytes) -> None:
        super().__init__(reply)
        self.reply = reply


class WrongType(ReplyError):
    """The key is of another kind than the command is for."""

    def __init__(self) -> None:
        super().__init__(WRONG_TYPE)


def nil(proto: int) -> bytes:
    """No value."""
    return _NULL_3 if proto == 3 else _NULL_2


def nil_array(proto: int) -> bytes:
    """No array."""
    return _NULL_3 if proto == 3 else b"*-1\r\n"


def simple(text: str) -> bytes:
    return b"+%b\r\n" % text.encode()


def integer_reply(number: int) -> bytes:
    return b":%d\r\n" % number


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def text(value: str) -> bytes:
    return bulk(value.encode())


def verbatim(value: str, proto: int) -> bytes:
    """Text for people."""
    content = value.encode()
    return b"=%d\r\ntxt:%b\r\n" % (len(content) + 4, content) if proto == 3 else bulk(content)


def array(items: Sequence[bytes]) -> bytes:
    """An array of replies that are encoded already."""
    return b"*%d\r\n%b" % (len(items), b"".join(items))


def set_of(items: Sequence[bytes], proto: int) -> bytes:
    return b"%b%d\r\n%b" % (b"~" if proto == 3 else b"*", len(items), b"".join(items))


def map_of(pairs: Iterable[tuple[bytes, bytes]], proto: int) -> bytes:
    """Pairs of encoded replies; in RESP2 an array of twice as many."""
    flat = [item for pair in pairs for item in pair]
    return b"%%%d\r\n%b" % (len(flat) // 2, b"".join(flat)) if proto == 3 else array(flat)


def error(message: str | bytes, code: str = "ERR") -> bytes:
    """An error in one line, whatever the message holds."""
    line = message[:MAX_ERROR_BYTES] if isinstance(message, bytes) else message[:MAX_ERROR_BYTES].encode("utf-8", "replace")
    return b"-%b %b\r\n" % (code.encode(), line.replace(b"\r", b" ").replace(b"\n", b" "))


def lines_of(lines: Iterable[str]) -> bytes:
    """As HELP of a command is answered."""
    return array([simple(line) for line in lines])


def wrong_arity(name: str) -> bytes:
    return error(f"wrong number of arguments for '{name}' command")


def unknown_command(args: list[bytes]) -> bytes:
    """The error for a name that is no command, with the beginning of its arguments."""
    words = b""
    for word in args[1:]:
        if len(words) >= 128:
            break
        words += b"'%b' " % word[: 128 - len(words)]
    return error(b"unknown command '%b', with args beginning with: %b" % (args[0][:128], words))


CODES: Final = {
    "ERR": "ERR",
    "CONFIG": "ERR",
    "INVALID": "ERR",
    "FAILED": "ERR",
    "REFUSED": "REFUSED",
    "NOHANDLER": "NOHANDLER",
    "TOOLARGE": "TOOLARGE",
    "WRONGENTRY": "ERR",
    "DUPLICATE": "ERR",
    "UUIDREUSED": "UUIDREUSED",
    "NOQUORUM": "NOQUORUM",
    "UNKNOWN": "UNKNOWN",
    "NOTKEPT": "NOTKEPT",
    "UUIDEXPIRED": "UUIDEXPIRED",
    "DIVERGED": "DIVERGED",
    "COMMITLIMIT": "TRYAGAIN",
    "NOTCAUGHTUP": "TRYAGAIN",
    "OVERLOADED": "OVERLOADED",
    "DISKFULL": "DISKFULL",
    "NOTSERVING": "NOTSERVING",
    "LEARNSONLY": "LEARNSONLY",
    "BACKUP": "ERR",
    "PORTTAKEN": "ERR",
    "DATADIR": "ERR",
    "DATADIRINUSE": "ERR",
    "DATADIRMISMATCH": "ERR",
    "DAMAGED": "ERR",
    "WIRE": "ERR",
}
"""The first word of a Redis error, by the `code` of the store's error: one for every class of the tree."""

_LEADS: Final = {
    "FAILED": "internal error: ",
    "UNKNOWN": "outcome unknown: ",
}


def store_error(failure: PaxosStoreError) -> bytes:
    """How a client is told of an error of the store."""
    code = failure.code
    return error(_LEADS.get(code, "") + str(failure), CODES.get(code, "ERR"))
