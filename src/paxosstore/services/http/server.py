"""A small HTTP/1 server for GET: one request per connection, everything bounded.

It is for operators and scrapers on a trusted network: no bodies, no keep-alive, no TLS. Pages are plain functions.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from ...errors import Fault, NodeError, PaxosStoreError, PortTaken

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 8_192
"""Request line and headers."""
MAX_CONNECTIONS = 64
"""More are answered with 503 at once."""
READ_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 10.0
MAX_QUERY_FIELDS = 16


class Response(NamedTuple):
    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Page = Callable[[Mapping[str, str]], Response]
"""Query fields in, response out. It runs on the loop, so it must be quick. A PaxosStoreError becomes 400 or 503."""


def text(status: HTTPStatus, content: str) -> Response:
    return Response(status, content.encode() + b"\n")


def as_json(content: Mapping[str, Any]) -> Response:
    return Response(HTTPStatus.OK, json.dumps(content).encode() + b"\n", "application/json")


class HttpServer:
    """Serves pages by path. `port` is the one in use after `start`, also where 0 was asked for."""

    def __init__(self, host: str, port: int, pages: Mapping[str, Page], *, read_timeout_s: float = READ_TIMEOUT_S) -> None:
        self.host = host
        self.port = port
        self._pages = dict(pages)
        self._read_timeout_s = read_timeout_s
        self._server: asyncio.Server | None = None
        self._stopping = False
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen. Raises PortTaken, or NodeError if the address cannot be used."""
        try:
            self._server = await asyncio.start_server(self._accept, self.host, self.port, limit=MAX_HEAD_BYTES)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(f"cannot listen for HTTP on {self.host}:{self.port}: free the port or change it") from error
            raise NodeError(f"cannot listen for HTTP on {self.host}:{self.port}: {error}: change the address") from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and end what is open."""
        self._stopping = True  # who comes from now on would have nobody to end it
        server, self._server = self._server, None
        if server is not None:
            server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._stopping:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._connection(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        task.add_done_callback(lambda _: writer.close())  # not in the task: cancelled before its first step, it does nothing

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if len(self._connections) > MAX_CONNECTIONS:
                await self._send(writer, text(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections"))
            else:
                await self._exchange(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            writer.transport.abort()  # the client went away, or does not read

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head_only = False
        try:
            async with asyncio.timeout(self._read_timeout_s):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            response = text(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a request has {MAX_HEAD_BYTES} bytes at most")
        except TimeoutError:
            response = text(HTTPStatus.REQUEST_TIMEOUT, "no complete request came in time")
        else:
            head_only = head.startswith(b"HEAD ")
            response = self._respond(head)
        await self._send(writer, response, head_only)

    async def _send(self, writer: asyncio.StreamWriter, response: Response, head_only: bool = False) -> None:
        status = response.status
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {response.content_type}\r\n"
            f"Content-Length: {len(response.body)}\r\nConnection: close\r\n"
        )
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            head += "Allow: GET, HEAD\r\n"
        writer.transport.set_write_buffer_limits(high=0)  # drain means: all of it has left
        writer.write(f"{head}\r\n".encode() + (b"" if head_only else response.body))
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await writer.drain()

    def _respond(self, head: bytes) -> Response:
        parts = head.split(b"\r\n", 1)[0].split(b" ")
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
            return text(HTTPStatus.BAD_REQUEST, "this is no HTTP/1 request")
        if parts[0] not in (b"GET", b"HEAD"):
            return text(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD")
        try:
            target = urlsplit(parts[1].decode("ascii"))
            query = dict(parse_qsl(target.query, max_num_fields=MAX_QUERY_FIELDS))
        except ValueError:
            return text(HTTPStatus.BAD_REQUEST, "this is no address")
        page = self._pages.get(target.path)
        if page is None:
            return text(HTTPStatus.NOT_FOUND, f"there are: {' '.join(self._pages)}")
        try:
            return page(query)
        except PaxosStoreError as error:
            status = HTTPStatus.BAD_REQUEST if error.fault is Fault.CALLER else HTTPStatus.SERVICE_UNAVAILABLE
            return text(status, str(error))
        except Exception:
            log.exception("the page %s failed", target.path)
            return text(HTTPStatus.INTERNAL_SERVER_ERROR, "this page failed; see the log")
