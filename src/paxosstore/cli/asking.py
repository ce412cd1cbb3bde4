"""How commands ask a node over HTTP: past all proxies, and not for ever, however slowly it answers."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlencode

from ..errors import InvalidRequest
from ..services.http.request import CHANGE_HEADER
from .config import Address


class Answer(NamedTuple):
    status: int
    reason: str
    body: bytes

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """What it says, in short."""
        return self.body[:1_000].decode(errors="replace").strip() or self.reason


class Unanswered(OSError):
    """The request was sent, so it may be done, or may be yet; no whole answer came."""


def ask(server: Address, path: str, *, program: str = "", silent_s: float, within_s: float, most: int = 1_000) -> Answer:
    """A node's answer to a request, which changes something if a program is named that wants it to.

    `silent_s`: how long nothing may come; `within_s`: when all of it has to be there. Raises Unanswered, another OSError if the
    request was not sent, HTTPException for what is no answer.
    """
    connection = http.client.HTTPConnection(server.host, server.port, timeout=silent_s)
    try:
        connection.connect()
        late = threading.Event()
        timer = threading.Timer(within_s, _give_up, (connection.sock, late))
        timer.daemon = True
        timer.start()
        try:
            return _ask(connection, path, program, most, late)
        except (OSError, http.client.HTTPException) as error:
            if late.is_set():
                raise Unanswered(f"no whole answer within {within_s:.0f} s") from error
            if isinstance(error, http.client.RemoteDisconnected):  # a node that ends just now, or another of its ports
                raise Unanswered("the connection was closed without an answer: is it the node's HTTP address?") from error
            if isinstance(error, OSError):
                raise Unanswered(error.strerror or str(error)) from error
            raise
        finally:
            timer.cancel()
    finally:
        connection.close()


def _ask(connection: http.client.HTTPConnection, path: str, program: str, most: int, late: threading.Event) -> Answer:
    headers = {CHANGE_HEADER.decode(): program} if program else {}
    connection.request("POST" if program else "GET", path, headers=headers)
    with connection.getresponse() as response:
        body = response.read(most)
    if late.is_set():  # then what ends is not the answer
        raise TimeoutError
    return Answer(response.status, response.reason, body)


def _give_up(connected: socket.socket, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def query_of(fields: Mapping[str, str]) -> str:
    """Fields as the end of a path. Raises InvalidRequest for what is no text."""
    for name, value in fields.items():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidRequest(f"{name}: {value!r:.100} is no text: its bytes are not in UTF-8") from None
    return urlencode(fields)
