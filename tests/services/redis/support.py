"""A store in memory, and clients that speak bytes."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, cast

import pytest

from paxosstore.core.batch.overlay import NeedsWrite
from paxosstore.core.batch.published import Published
from paxosstore.core.batch.request import Request
from paxosstore.errors import InvalidRequest, PaxosStoreError
from paxosstore.runtime.feed import Feed
from paxosstore.services.redis.connection.connection import Connection
from paxosstore.services.redis.server import Info, RedisServer
from paxosstore.services.redis.session.topology import Topology
from paxosstore.services.redis.settings import RedisSettings

P = ParamSpec("P")
NOW_MS = 1_700_000_000_000


def pack(*words: bytes) -> bytes:
    """A request as an array of bulk strings."""
    return b"*%d\r\n%b" % (len(words), b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words]))


class DictView:
    """One entity's keys in a dict; the clock stands unless it is moved, and so does the entry."""

    def __init__(self, entity: int = 0, now_ms: int = NOW_MS) -> None:
        self.entity = entity
        self.entry = 1
        self.now_ms = now_ms
        self.request = 0
        self.read_only = False
        self.rows: dict[bytes, bytes] = {}
        self.published: list[Published] = []
        self._saved: list[dict[bytes, bytes]] = []

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self._check()
        self.rows[key] = value

    def delete(self, key: bytes) -> None:
        self._check()
        self.rows.pop(key, None)

    def scan(self, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        rows = dict(self.rows)
        for key in sorted(rows, reverse=reverse):
            if key >= start and (end is None or key < end):
                yield key, rows[key]

    def clear(self) -> None:
        self._check()
        self.rows.clear()

    def savepoint(self) -> tuple[int, int, int]:
        self._saved.append(dict(self.rows))
        return len(self._saved) - 1, 0, len(self.published)

    def undo(self, savepoint: tuple[int, int, int]) -> None:
        self.rows = dict(self._saved[savepoint[0]])
        del self.published[savepoint[2] :]

    def require_write(self) -> None:
        if self.read_only:
            raise NeedsWrite

    def publish(self, channel: bytes, payload: bytes, kind: int = 0) -> None:
        self._check()
        self.published.append(Published(channel, payload, kind))

    def _check(self) -> None:
        if self.read_only:
            raise InvalidRequest("a read-only request cannot write")


class MemoryStore:
    """Evaluates requests like a node does. `submit` is immediate; `holding` keeps them until `release`, `batching` until
    the next pass of the loop, and then evaluates all before it settles any."""

    def __init__(self) -> None:
        self.views: dict[int, DictView] = {}
        self.held: deque[Request] = deque()
        self.holding = False
        self.batching = False
        self.evaluated = 0
        """Requests whose function ran, and has read what it wanted."""
        self.put_off = 0
        self._batch: list[Request] = []
        self.submitted: list[Request] = []
        self.changed = asyncio.Event()
        self.now: Callable[[], int] = lambda: NOW_MS
        self.on_published: Callable[[Sequence[Published]], None] = lambda published: None

    def submit(self, request: Request) -> None:
        self.submitted.append(request)
        self.changed.set()
        if self.holding:
            self.held.append(request)
        elif self.batching:
            if not self._batch:
                asyncio.get_running_loop().call_soon(self._evaluate_batch)
            self._batch.append(request)
        else:
            self.evaluate(request)

    def _evaluate_batch(self) -> None:
        batch, self._batch = self._batch, []
        outcomes: list[tuple[bytes, PaxosStoreError | None]] = []
        for request in batch:
            try:
                reply = self._run(request)
                outcomes.append((reply, None))
                self.evaluated += bool(reply)
                self.put_off += not reply
            except PaxosStoreError as error:
                outcomes.append((b"", error))
        for request, outcome in zip(batch, outcomes, strict=True):
            request.settle(*outcome)

    def view(self, entity: int) -> DictView:
        return self.views.setdefault(entity, DictView(entity))

    def _view_for(self, request: Request) -> DictView:
        """Every write is an entry of its own."""
        view = self.view(request.entity)
        view.now_ms, view.read_only = self.now(), request.read_only
        view.entry += not request.read_only
        return view

    def _run(self, request: Request) -> bytes:
        """A read that needs it becomes a write."""
        try:
            reply = request.evaluate(self._view_for(request))
        except NeedsWrite:
            request.read_only = False
            reply = request.evaluate(self._view_for(request))
        return cast(bytes, reply or b"")

    def evaluate(self, request: Request) -> None:
        view = self.view(request.entity)
        try:
            reply = self._run(request)
        except PaxosStoreError as error:
            view.published.clear()
            request.settle(b"", error)
        else:
            published, view.published = view.published, []
            self.on_published(published)
            request.settle(reply, None)

    def release(self, request: Request) -> None:
        """Evaluate and settle one held request, whichever it is."""
        self.held.remove(request)
        self.evaluate(request)

    def fail(self, request: Request, error: PaxosStoreError) -> None:
        self.held.remove(request)
        request.settle(b"", error)


class Client:
    """Sends bytes, reads bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *lines: str) -> None:
        """Inline requests, in one piece."""
        self.writer.write("".join([line + "\r\n" for line in lines]).encode())

    async def expect(self, reply: bytes) -> None:
        """Read exactly this."""
        async with asyncio.timeout(10):
            got = await self.reader.readexactly(len(reply))
        assert got == reply

    async def expect_end(self, last: bytes = b"") -> None:
        """Read exactly this, and then the end of the stream."""
        async with asyncio.timeout(10):
            assert await self.reader.read() == last

    async def exchange(self, line: str, reply: bytes) -> None:
        self.send(line)
        await self.expect(reply)

    async def silent(self) -> None:
        """Nothing comes by itself: what the server had to say is here when it answers on another connection."""
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await self.reader.readexactly(1)


class FakeTransport(asyncio.Transport):
    """A client that takes nothing until it is told to; counts bytes."""

    HIGH, LOW = 65_536, 16_384

    def __init__(self, reads: bool) -> None:
        super().__init__()
        self.reads = reads
        """Whether it takes everything at once."""
        self.connection: Any = None
        self.written: list[bytes] = []
        """What the client has taken."""
        self.buffered = bytearray()
        self.most_buffered = 0
        self.paused = False
        self.ended = ""
        self._blocked = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return None if name == "socket" else ("127.0.0.1", 1)

    def write(self, data: Any) -> None:
        assert not self.ended
        if self.reads:
            self.written.append(bytes(data))
            return
        self.buffered += data
        self.most_buffered = max(self.most_buffered, len(self.buffered))
        if len(self.buffered) > self.HIGH and not self._blocked:
            self._blocked = True
            self.connection.pause_writing()

    def take(self, size: int = 2**60) -> None:
        """The client reads so many bytes."""
        self.written.append(bytes(self.buffered[:size]))
        del self.buffered[:size]
        if len(self.buffered) <= self.LOW and self._blocked:
            self._blocked = False
            self.connection.resume_writing()

    def get_write_buffer_size(self) -> int:
        return len(self.buffered)

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self._end("closed")

    def abort(self) -> None:
        self._end("aborted")

    def _end(self, how: str) -> None:
        if not self.ended:
            self.ended = how
            self.buffered.clear()
            asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)

    @property
    def got(self) -> bytes:
        return b"".join(self.written)


class Harness:
    """A server on a store in memory."""

    def __init__(self, server: RedisServer, store: MemoryStore) -> None:
        self.server = server
        self.store = store
        self.clients: list[Client] = []
        self.transports: list[FakeTransport] = []

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.server.port))
        self.clients.append(client)
        return client

    def plug(self, *, reads: bool = True) -> tuple[FakeTransport, Connection]:
        """A client without a socket."""
        transport, connection = FakeTransport(reads), self.server.accept()
        transport.connection = connection
        connection.connection_made(transport)
        self.transports.append(transport)
        return transport, connection

    async def passes(self, number: int) -> None:
        """Let the loop pass so many times."""
        for _ in range(number):
            await asyncio.sleep(0)

    async def settle(self) -> None:
        """Let the loop pass until it has nothing more to do."""
        await self.passes(100)

    async def arrived(self, requests: int) -> None:
        """Wait until the store has been given so many requests since its start."""
        async with asyncio.timeout(10):
            while len(self.store.submitted) < requests:
                self.store.changed.clear()
                await self.store.changed.wait()


@asynccontextmanager
async def serving(
    store: MemoryStore | None = None,
    info: Info | None = None,
    feed: Feed | None = None,
    topology: Topology | None = None,
    **settings: Any,
) -> AsyncIterator[Harness]:
    store = store or MemoryStore()
    server = RedisServer(store.submit, RedisSettings(port=0, **settings), info=info, feed=feed, topology=topology)
    store.on_published = server.hub.take
    await server.start()
    harness = Harness(server, store)
    try:
        yield harness
    finally:
        for client in harness.clients:
            client.writer.close()
        for transport in harness.transports:
            transport.abort()
        await server.stop()


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class ServerThread:
    """A server with a loop of its own, for clients that block; its clock runs."""

    def __init__(self, **settings: Any) -> None:
        self.port = 0
        self._settings = settings
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> ServerThread:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        store = MemoryStore()
        store.now = lambda: int(time.time() * 1000)
        async with serving(store, **self._settings) as harness:
            self.port = harness.server.port
            self._started.set()
            await self._stop.wait()
