"""What a client says first, or last: PING, ECHO, SELECT, AUTH, HELLO, RESET, QUIT."""

from __future__ import annotations

from ..layout.keyspace import databases
from ..reply import NOT_AN_INTEGER, OK, SYNTAX_ERROR, array, bulk, error, integer_reply, map_of, simple, text, wrong_arity
from ..resp import integer
from .client import BAD_NAME, is_plain
from .session import REDIS_VERSION, Session

DEFAULT_USER = b"default"


def ping(session: Session, args: list[bytes]) -> bytes:
    if len(args) > 2:
        return wrong_arity("ping")
    if session.listens:
        return array([bulk(b"pong"), bulk(args[1] if len(args) == 2 else b"")])
    return bulk(args[1]) if len(args) == 2 else b"+PONG\r\n"


def echo(session: Session, args: list[bytes]) -> bytes:
    return bulk(args[1])


def quit_(session: Session, args: list[bytes]) -> bytes:
    session.ending = True
    return OK


def reset(session: Session, args: list[bytes]) -> bytes:
    session.reset()
    return simple("RESET")


def select(session: Session, args: list[bytes]) -> bytes:
    db = integer(args[1])
    if db is None:
        return NOT_AN_INTEGER
    if not -(2**31) <= db < 2**31:
        return error("value is out of range, value must between -2147483648 and 2147483647")
    if not 0 <= db < databases(session.host.settings.slots):
        return error("DB index is out of range")
    session.db = db
    return OK


def auth(session: Session, args: list[bytes]) -> bytes:
    if len(args) > 3:
        return SYNTAX_ERROR
    if len(args) == 2:
        return error(
            "AUTH <password> called without any password configured for the default user."
            " Are you sure your configuration is correct?"
        )
    return _authenticate(args[1]) or OK


def _authenticate(user: bytes) -> bytes | None:
    """There is one user, and no password: any will do. Returns the error for another user."""
    return None if user == DEFAULT_USER else error("invalid username-password pair or user is disabled.", "WRONGPASS")


def hello(session: Session, args: list[bytes]) -> bytes:
    proto, name = session.proto, session.name
    if len(args) > 1:
        number = integer(args[1])
        if number is None:
            return error("Protocol version is not an integer or out of range")
        if number not in (2, 3):
            return error("unsupported protocol version", "NOPROTO")
        proto = number
    words = iter(args[2:])
    left = len(args) - 2
    for word in words:
        left -= 1
        option = word.upper()
        if option == b"AUTH" and left >= 2:
            refused = _authenticate(next(words))
            next(words)
            left -= 2
            if refused is not None:
                return refused
        elif option == b"SETNAME" and left >= 1:
            name = next(words)
            left -= 1
            if not is_plain(name):
                return BAD_NAME
        else:
            return error(b"Syntax error in HELLO option '" + word + b"'")
    session.proto, session.name = proto, name
    pairs = [
        ("server", text("redis")),
        ("version", text(REDIS_VERSION)),
        ("proto", integer_reply(proto)),
        ("id", integer_reply(session.id)),
        ("mode", text("standalone")),
        ("role", text("master")),
        ("modules", array([])),
    ]
    return map_of([(text(key), value) for key, value in pairs], proto)
