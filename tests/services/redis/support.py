"""A store in memory, and clients that speak bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from paxosstore.core.request import Request
from paxosstore.errors import InvalidRequest, PaxosStoreError
from paxosstore.services.redis.server import RedisServer
from paxosstore.services.redis.settings import RedisSettings

NOW_MS = 1_700_000_000_000


class DictView:
    """One entity's keys in a dict; the clock stands unless it is moved."""

    def __init__(self, entity: int = 0, now_ms: int = NOW_MS) -> None:
        self.entity = entity
        self.now_ms = now_ms
        self.read_only = False
        self.rows: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self._check()
        self.rows[key] = value

    def delete(self, key: bytes) -> None:
        self._check()
        self.rows.pop(key, None)

    def scan(self, start: bytes = b"", end: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(self.rows):
            if key >= start and (end is None or key < end):
                yield key, self.rows[key]

    def clear(self) -> None:
        self._check()
        self.rows.clear()

    def _check(self) -> None:
        if self.read_only:
            raise InvalidRequest("a read-only request cannot write")


class MemoryStore:
    """Evaluates requests like a node does. `submit` is immediate; `hold` keeps them until `release`."""

    def __init__(self) -> None:
        self.views: dict[int, DictView] = {}
        self.held: deque[Request] = deque()
        self.holding = False
        self.submitted: list[Request] = []
        self.now: Callable[[], int] = lambda: NOW_MS

    def submit(self, request: Request) -> None:
        self.submitted.append(request)
        if self.holding:
            self.held.append(request)
        else:
            self.evaluate(request)

    def view(self, entity: int) -> DictView:
        return self.views.setdefault(entity, DictView(entity))

    def evaluate(self, request: Request) -> None:
        view = self.view(request.entity)
        view.now_ms = self.now()
        view.read_only = request.read_only
        try:
            reply = request.evaluate(view)
        except PaxosStoreError as error:
            request.settle(b"", error)
        else:
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
        """Inline requests."""
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

    async def silence(self) -> None:
        """Let everything happen that can happen by itself, then see that nothing came."""
        for _ in range(20):
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)
        assert not self.reader._buffer  # type: ignore[attr-defined]  # the only way to look without waiting

    async def exchange(self, line: str, reply: bytes) -> None:
        self.send(line)
        await self.expect(reply)


@asynccontextmanager
async def serving(
    store: MemoryStore, settings: RedisSettings | None = None, **options: object
) -> AsyncIterator[tuple[RedisServer, Callable[[], object]]]:
    raise NotImplementedError
    yield
