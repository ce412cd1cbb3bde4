"""CLIENT: what a connection is called, and which others there are at this node."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..reply import NOT_AN_INTEGER, OK, SYNTAX_ERROR, array, bulk, error, integer_reply, map_of, nil, set_of, verbatim
from ..resp import integer
from .session import Session
from .spec import misused

Chosen = Callable[[Session], bool]
TYPES: dict[bytes, Chosen] = {
    b"normal": lambda client: not client.subscriptions,
    b"pubsub": lambda client: bool(client.subscriptions),
    b"master": lambda client: False,
    b"replica": lambda client: False,
    b"slave": lambda client: False,
}
"""Of clients, by their names in CLIENT LIST and CLIENT KILL."""

BAD_NAME = error("Client names cannot contain spaces, newlines or special characters.")
_PLAIN = re.compile(rb"[!-~]*")
FOR_EVER = 2**62
TRACKING = frozenset((b"BCAST", b"OPTIN", b"OPTOUT", b"NOLOOP"))
MAX_LABEL_BYTES = 1_024
"""Of a client's name: CLIENT LIST shows all of them."""


def is_plain(value: bytes) -> bool:
    return len(value) <= MAX_LABEL_BYTES and _PLAIN.fullmatch(value) is not None


def client_id(session: Session, args: list[bytes]) -> bytes:
    return integer_reply(session.id)


def client_info(session: Session, args: list[bytes]) -> bytes:
    return verbatim(session.describe(), session.proto)


def client_list(session: Session, args: list[bytes]) -> bytes:
    """The clients of this node."""
    if len(args) == 4 and args[2].upper() == b"TYPE":
        kind = TYPES.get(args[3].lower())
        if kind is None:
            return error(b"Unknown client type '%b'" % args[3])
        chosen = [other for other in session.host.sessions() if kind(other)]
    elif len(args) > 3 and args[2].upper() == b"ID":
        numbers = {integer(word) for word in args[3:]}
        if None in numbers:
            return error("Invalid client ID")
        chosen = [other for other in session.host.sessions() if other.id in numbers]
    elif len(args) == 2:
        chosen = list(session.host.sessions())
    else:
        return SYNTAX_ERROR
    return verbatim("".join([other.describe() for other in chosen]), session.proto)


def client_reply(session: Session, args: list[bytes]) -> bytes:
    """ON; OFF: no reply to this command and all after it; SKIP: nor to the next one. Messages come all the same."""
    mode = args[2].upper()
    if mode not in (b"ON", b"OFF", b"SKIP"):
        return SYNTAX_ERROR
    session.silence({b"ON": 0, b"OFF": FOR_EVER, b"SKIP": 2}[mode])
    return OK


def client_unblock(session: Session, args: list[bytes]) -> bytes:
    """End the wait of another client's command."""
    if len(args) > 4:
        return misused(args)
    number = integer(args[2])
    if number is None:
        return NOT_AN_INTEGER
    how = args[3].upper() if len(args) == 4 else b"TIMEOUT"
    if how not in (b"TIMEOUT", b"ERROR"):
        return error("CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
    found = [other for other in session.host.sessions() if other.id == number]
    return integer_reply(any(other.unblock(how == b"ERROR") for other in found))


def client_setname(session: Session, args: list[bytes]) -> bytes:
    if not is_plain(args[2]):
        return BAD_NAME
    session.name = args[2]
    return OK


def client_getname(session: Session, args: list[bytes]) -> bytes:
    return bulk(session.name) if session.name else nil(session.proto)


def client_setinfo(session: Session, args: list[bytes]) -> bytes:
    option = args[2].upper()
    if option not in session.library:
        return error(b"Unrecognized option '" + args[2] + b"'")
    if not is_plain(args[3]):
        return error(option.decode().lower() + " cannot contain spaces, newlines or special characters.")
    session.library[option] = args[3]
    return OK


def client_no_evict(session: Session, args: list[bytes]) -> bytes:
    """Accepted; who holds too much is closed all the same."""
    return OK if args[2].upper() in (b"ON", b"OFF") else SYNTAX_ERROR


def client_getredir(session: Session, args: list[bytes]) -> bytes:
    return integer_reply(-1)


def client_tracking(session: Session, args: list[bytes]) -> bytes:
    """It is off."""
    mode, options = args[2].upper(), [word.upper() for word in args[3:]]
    while options and (options[0] in TRACKING or (options[0] == b"PREFIX" and len(options) > 1)):
        del options[: 1 + (options[0] == b"PREFIX")]
    if mode == b"OFF" and not options:
        return OK
    return error("client side caching is not supported") if mode == b"ON" else SYNTAX_ERROR


def client_trackinginfo(session: Session, args: list[bytes]) -> bytes:
    facts = [
        (b"flags", set_of([bulk(b"off")], session.proto)),
        (b"redirect", integer_reply(-1)),
        (b"prefixes", array([])),
    ]
    return map_of([(bulk(name), value) for name, value in facts], session.proto)


def client_caching(session: Session, args: list[bytes]) -> bytes:
    return error("CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
