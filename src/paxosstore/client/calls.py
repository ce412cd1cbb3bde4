"""What both clients share: what they are made with, a call's words, and what its reply is read as."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import hiredis
import msgspec

from ..app import MAX_NAME, encoded
from ..boundary import exact_entity, exact_int, exact_list, exact_number, exact_text, exact_uuid, kind, shown
from ..errors import InvalidRequest, TooLarge
from .nodes import Address, Nodes

TIMEOUT_S = 30.0
"""For how long a call looks for a node that does it."""
ATTEMPT_S = 2.0
"""For how long a node is waited for before the next one is asked; in later rounds for longer."""
CONNECT_S = 1.0
MAX_TIMEOUT_S = 86_400.0
MAX_NODES = 64
MAX_CONNECTIONS = 10_000
MAX_PAYLOAD_BYTES = 48 * 1024 * 1024
"""More than this fits into no entry, whatever the nodes' settings."""
MAX_REPLY_BYTES = 64 * 1024 * 1024
READ_BYTES = 65_536
TIME = hiredis.pack_command(("TIME",))


class Settings:
    """A client's arguments, made exact. Raises InvalidRequest."""

    def __init__(self, servers: object, timeout_s: object, attempt_s: object, max_connections: object) -> None:
        try:
            self.nodes = Nodes([_server(server) for server in exact_list("servers", servers, MAX_NODES)])
        except ValueError as error:
            raise InvalidRequest(f"servers: {error}") from None
        self.timeout_s = exact_number("timeout_s", timeout_s, MAX_TIMEOUT_S)
        self.attempt_s = exact_number("attempt_s", attempt_s, MAX_TIMEOUT_S)
        self.max_connections = exact_int("max_connections", max_connections, 1, MAX_CONNECTIONS)

    def limit_s(self, timeout_s: object) -> float:
        return self.timeout_s if timeout_s is None else exact_number("timeout_s", timeout_s, MAX_TIMEOUT_S)


def _server(server: object) -> str | Address:
    if isinstance(server, str):
        return exact_text("a server", server, 300)
    pair = exact_list("a server", server, 2)
    if len(pair) != 2:
        raise InvalidRequest('a server must be "host:port" or (host, port)')
    return exact_text("a server's host", pair[0], 300), exact_int("a server's port", pair[1], 1, 65_535)


class Words:
    """One call, checked and encoded: how errors name it, and what is sent for it. Raises InvalidRequest, TooLarge."""

    def __init__(self, handler: object, entity: object, payload: object) -> None:
        self._handler = exact_text("handler", handler, MAX_NAME)
        self._entity = exact_entity(entity)
        try:
            self._payload = encoded(payload)
        except Exception as error:
            raise InvalidRequest(f"{self._handler}: its payload, a {kind(payload)}, cannot be written as JSON: {error}") from None
        if len(self._payload) > MAX_PAYLOAD_BYTES:
            raise TooLarge(f"{self._handler}: a payload of {len(self._payload)} bytes is over the limit of {MAX_PAYLOAD_BYTES}")

    def what(self, uuid: bytes) -> str:
        under = f" under {UUID(bytes=uuid)}" if uuid else ""
        return f"{self._handler} on entity {self._entity}{under}"

    def packed(self, uuid: bytes) -> bytes:
        """The command: a call under a uuid, or a read."""
        first: Sequence[Any] = ("PAXOS.CALL" if uuid else "PAXOS.READ", self._handler, self._entity)
        packed: bytes = hiredis.pack_command((*first, *([uuid] if uuid else []), self._payload))
        return packed


def given_uuid(uuid: object) -> bytes:
    """The caller's uuid; empty: one has to be drawn. Raises InvalidRequest."""
    exact = exact_uuid(uuid)
    if exact and not 1 <= (UUID(bytes=exact).version or 0) <= 8:
        raise InvalidRequest(f"{exact.hex()} is no uuid as RFC 9562 has it: draw one by client.uuid() or uuid.uuid4()")
    return exact


def reader_of(into: Any) -> Callable[[object], Any]:
    """What reads a reply as the type that is wanted. Raises InvalidRequest for a type that msgspec knows nothing of.

    Once a call is done it is done: whoever gets something of another type then gets msgspec's own error.
    """
    decode: Callable[[bytes], Any] = bytes
    if into is not bytes:
        try:
            decode = msgspec.json.Decoder(into).decode
        except Exception as error:
            raise InvalidRequest(f"into: a reply cannot be read as {shown(into)}: {error}") from None

    def read(reply: object) -> Any:
        if type(reply) is not bytes:
            raise InvalidRequest(f"the server's reply is a {kind(reply)}, no call's: is it a node of a paxosstore?")
        return decode(reply)

    return read
