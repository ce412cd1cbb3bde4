"""CLIENT KILL: which clients of this node are meant, and their end."""

from __future__ import annotations

from collections.abc import Iterable

from ..reply import OK, SYNTAX_ERROR, error, integer_reply
from ..resp import integer
from .client import TYPES, Chosen
from .handshake import DEFAULT_USER
from .session import Session


def client_kill(session: Session, args: list[bytes]) -> bytes:
    if len(args) == 3:
        address = args[2].decode("latin-1")
        found = [client for client in session.host.sessions() if client.address == address]
        _end(session, found)
        return OK if found else error("No such client")
    if len(args) % 2:
        return SYNTAX_ERROR
    filters: list[Chosen] = []
    skip_me = True
    for name, value in zip(args[2::2], args[3::2], strict=True):
        option = name.upper()
        if option == b"SKIPME":
            if value.lower() not in (b"yes", b"no"):
                return SYNTAX_ERROR
            skip_me = value.lower() == b"yes"
            continue
        chosen = _filter(option, value)
        if isinstance(chosen, bytes):
            return chosen
        filters.append(chosen)
    found = [
        client
        for client in session.host.sessions()
        if not (skip_me and client is session) and all(chosen(client) for chosen in filters)
    ]
    _end(session, found)
    return integer_reply(len(found))


def _filter(option: bytes, value: bytes) -> Chosen | bytes:
    """Which clients it chooses, or an error."""
    word = value.decode("latin-1")
    if option == b"ID":
        number = integer(value)
        if number is None or number < 1:
            return error("client-id should be greater than 0")
        return lambda client: client.id == number
    if option == b"TYPE":
        return TYPES.get(value.lower()) or error(b"Unknown client type '%b'" % value)
    if option == b"ADDR":
        return lambda client: client.address == word
    if option == b"LADDR":
        return lambda client: client.local_address == word
    if option == b"USER":
        return (lambda client: True) if value == DEFAULT_USER else error(b"No such user '%b'" % value)
    return SYNTAX_ERROR


def _end(session: Session, clients: Iterable[Session]) -> None:
    for client in clients:
        if client is session:
            client.ending = True  # behind the reply
        else:
            client.drop()
