"""A small HTTP/1 server: one request per connection, everything bounded.

It is for operators and scrapers on a trusted network: no bodies, no keep-alive, no TLS. Pages are plain functions, or coroutines
where the answer takes long: those end when the client hangs up.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from ...errors import Fault, NodeError, PaxosStoreError, PortTaken
from ...runtime.quiet_log import QuietLog
from ...runtime.sockets import keep_alive, listening, looks_like, remote, said, where
from .request import Refused, Request, may_be_http, parse

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 8_192
"""Request line and headers."""
MAX_CONNECTIONS = 64
"""More are answered with 503 at once."""
MAX_UNREAD_BYTES = 32 * 1024 * 1024
"""Of answers that clients have not read, over all connections; with more, there are no further ones but 503."""
READ_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 10.0
_FIXED_HEADERS = "\r\n".join(
    (
        "Connection: close",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Cross-Origin-Resource-Policy: same-origin",
    )
)


class Response(NamedTuple):
    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    retry_after_s: int = 0
    """When to ask again; 0: is not said."""
    allow: str = "GET, HEAD, POST"
    """Of one that is refused for its method: by which it is asked for."""


Page = Callable[[Mapping[str, str]], Response]
"""Query fields in, response out. It runs on the loop, so it must be quick. A PaxosStoreError becomes 400 or 503."""
SlowPage = Callable[[Mapping[str, str]], Awaitable[Response]]
"""The same where it takes long. It is cancelled when the client hangs up."""


def text(status: HTTPStatus, content: str) -> Response:
    return Response(status, content.encode() + b"\n")


def as_json(content: Mapping[str, Any]) -> Response:
    return Response(HTTPStatus.OK, json.dumps(content).encode() + b"\n", "application/json")


class HttpServer:
    """Serves pages by path. `port` is the one in use after `start`, also where 0 was asked for.

    `actions` are pages that change something: they are asked for by POST, all others by GET. `hosts` are the names under which
    clients may ask for it, besides its addresses and localhost.
    """

    def __init__(
        self,
        host: str,
        port: int,
        pages: Mapping[str, Page | SlowPage],
        *,
        actions: Mapping[str, Page | SlowPage] | None = None,
        hosts: Collection[str] = (),
        max_connections: int = MAX_CONNECTIONS,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self.host = host
        self.port = port
        self._pages = dict(pages)
        self._actions = dict(actions or {})
        self.answer_to(hosts)
        self._max_connections = max_connections
        self._read_timeout_s = read_timeout_s
        self._server: asyncio.Server | None = None
        self._stopping = False
        self._connections: set[asyncio.Task[None]] = set()
        self._asking: set[asyncio.Task[None]] = set()
        """Those whose request is not there yet."""
        self._unread_bytes = 0
        self._quiet = QuietLog(log)

    def answer_to(self, hosts: Collection[str]) -> None:
        """These are its names from now on."""
        self._hosts = frozenset(name.lower() for name in hosts)

    async def start(self) -> None:
        """Begin to listen. Raises PortTaken, or NodeError if the address cannot be used."""
        at = where(self.host, self.port)
        try:
            self._server = await asyncio.start_server(self._accept, limit=MAX_HEAD_BYTES, **listening(self.host, self.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(f"cannot listen for HTTP on {at}: the port is in use: free it or change listen.http") from error
            raise NodeError(f"cannot listen for HTTP on {at}: {said(error)}: change listen.http") from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self, grace_s: float = 0.0) -> None:
        """Stop listening, give the answers under way a moment, and end what is open."""
        self._stopping = True  # who comes from now on would have nobody to end it
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for connection in list(self._asking):
            connection.cancel()
        if self._connections and grace_s > 0:
            await asyncio.wait(self._connections, timeout=grace_s)
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    # -- one connection

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._stopping:
            writer.transport.abort()
            return
        keep_alive(writer.transport)
        task = asyncio.get_running_loop().create_task(self._connection(reader, writer))
        self._connections.add(task)
        self._asking.add(task)
        task.add_done_callback(self._connections.discard)
        task.add_done_callback(self._asking.discard)
        task.add_done_callback(lambda _: writer.close())  # not in the task: cancelled before its first step, it does nothing

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if len(self._connections) > self._max_connections:
                await self._send(writer, text(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")._replace(retry_after_s=1))
            else:
                await self._exchange(reader, writer)
        except (OSError, TimeoutError, _Gone):
            writer.transport.abort()  # the client went away, or does not read

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head_only = False
        try:
            head = await self._read_head(reader, writer)
            request = parse(head, self._hosts)
            head_only = request.head_only
            self._asking.discard(_this_task())
            response = await self._respond(request, reader)
        except Refused as refused:
            if refused.suspicious:
                self._quiet.warning("refused", f"refused a request from {remote(writer.transport)} to the HTTP port: {refused}")
            response = text(refused.status, str(refused))
        await self._send(writer, response, head_only)

    async def _read_head(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """The request up to the empty line. Raises Refused for what is none, _Gone."""
        head = b""
        try:
            async with asyncio.timeout(self._read_timeout_s):
                while (end := head.find(b"\r\n\r\n")) < 0:
                    if len(head) >= MAX_HEAD_BYTES:
                        raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a request has {MAX_HEAD_BYTES} bytes at most")
                    piece = await reader.read(MAX_HEAD_BYTES)
                    if not piece:
                        raise _Gone
                    head += piece
                    if not may_be_http(head):
                        who, what = remote(writer.transport), looks_like(head)
                        self._quiet.warning("foreign", f"closed a connection from {who} to the HTTP port: it looks like {what}")
                        raise Refused(HTTPStatus.BAD_REQUEST, "this is no HTTP/1 request")
        except TimeoutError:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, "no complete request came in time") from None
        return head[:end]

    async def _respond(self, request: Request, reader: asyncio.StreamReader) -> Response:
        page = (self._actions if request.changes else self._pages).get(request.path)
        if page is None:
            others = self._pages if request.changes else self._actions
            if request.path in others:
                asked_by = "GET" if request.changes else "POST"
                refusal = text(HTTPStatus.METHOD_NOT_ALLOWED, f"{request.path} is asked for by {asked_by}")
                return refusal._replace(allow="GET, HEAD" if request.changes else "POST")
            return text(HTTPStatus.NOT_FOUND, f"there are: {' '.join(self._pages)}")
        if self._unread_bytes > MAX_UNREAD_BYTES:
            return text(HTTPStatus.SERVICE_UNAVAILABLE, "too many answers wait for slow readers")._replace(retry_after_s=1)
        try:
            answer = page(request.query)
            return answer if isinstance(answer, Response) else await _while_there(answer, reader)
        except PaxosStoreError as error:
            status = HTTPStatus.BAD_REQUEST if error.fault is Fault.CALLER else HTTPStatus.SERVICE_UNAVAILABLE
            return text(status, str(error))
        except _Gone:
            raise
        except Exception:
            log.exception("the page %s failed", request.path)
            return text(HTTPStatus.INTERNAL_SERVER_ERROR, "this page failed; see the log")

    async def _send(self, writer: asyncio.StreamWriter, response: Response, head_only: bool = False) -> None:
        status = response.status
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {response.content_type}\r\n"
            f"Content-Length: {len(response.body)}\r\n{_FIXED_HEADERS}\r\n"
        )
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            head += f"Allow: {response.allow}\r\n"
        if response.retry_after_s:
            head += f"Retry-After: {response.retry_after_s}\r\n"
        writer.transport.set_write_buffer_limits(high=0)  # drain means: all of it has left
        size = len(response.body)
        self._unread_bytes += size
        try:
            writer.write(f"{head}\r\n".encode() + (b"" if head_only else response.body))
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await writer.drain()
        finally:
            self._unread_bytes -= size


class _Gone(Exception):
    """The client has hung up."""


async def _while_there(answer: Awaitable[Response], reader: asyncio.StreamReader) -> Response:
    """Wait for a page's answer, as long as the client does. Raises _Gone."""
    working = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(_until_gone(reader))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise _Gone
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _until_gone(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(MAX_HEAD_BYTES):
            pass
    except OSError:
        pass


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task
