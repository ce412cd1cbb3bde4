"""The client for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TypeVar, overload
from uuid import UUID

import hiredis

from ..errors import InvalidRequest, NotServing, Overloaded
from .calls import ATTEMPT_S, CONNECT_S, MAX_REPLY_BYTES, READ_BYTES, TIME, TIMEOUT_S, Settings, Words, given_uuid, reader_of
from .clock import Clock
from .effort import Effort
from .nodes import Address

T = TypeVar("T")


class AsyncClient:
    """`Client` for asyncio: the same calls, to be awaited. The tasks of one loop may share it.

    A call that is cancelled may have happened, or may still happen: give it a `uuid` if it is to be repeated.
    """

    def __init__(
        self,
        servers: Sequence[str | Address],
        *,
        timeout_s: float = TIMEOUT_S,
        attempt_s: float = ATTEMPT_S,
        max_connections: int = 64,
    ) -> None:
        self._settings = Settings(servers, timeout_s, attempt_s, max_connections)
        self._clock = Clock()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._free = asyncio.Semaphore(self._settings.max_connections)
        self._idle: list[_Connection] = []

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Take no further call; those under way end as they would. Safe to repeat."""
        self._closed = True
        idle, self._idle = self._idle, []
        if self._loop is not None and self._loop.is_closed():
            return  # with all that was open in it
        for connection in idle:
            await connection.aclose()

    async def uuid(self) -> UUID:
        """A new one, by the store's time, for a call that is to be repeated by the program itself. Raises as a read does."""
        return UUID(bytes=await self._draw(self._settings.timeout_s))

    @overload
    async def call(
        self, handler: str, entity: int, payload: object = ..., *, uuid: bytes | UUID = ..., timeout_s: float | None = ...
    ) -> bytes: ...

    @overload
    async def call(
        self,
        handler: str,
        entity: int,
        payload: object = ...,
        *,
        into: type[T],
        uuid: bytes | UUID = ...,
        timeout_s: float | None = ...,
    ) -> T: ...

    async def call(
        self,
        handler: str,
        entity: int,
        payload: object = None,
        *,
        into: Any = bytes,
        uuid: bytes | UUID = b"",
        timeout_s: float | None = None,
    ) -> Any:
        """See `Client.call`."""
        words, read = Words(handler, entity, payload), reader_of(into)
        limit_s, given = self._settings.limit_s(timeout_s), given_uuid(uuid)
        until_s = time.monotonic() + limit_s
        drawn = given or await self._draw(limit_s)
        return read(await self._do(words.packed(drawn), words.what(drawn), until_s, writes=True))

    @overload
    async def read(self, handler: str, entity: int, payload: object = ..., *, timeout_s: float | None = ...) -> bytes: ...

    @overload
    async def read(
        self, handler: str, entity: int, payload: object = ..., *, into: type[T], timeout_s: float | None = ...
    ) -> T: ...

    async def read(
        self, handler: str, entity: int, payload: object = None, *, into: Any = bytes, timeout_s: float | None = None
    ) -> Any:
        """See `Client.read`."""
        words, read = Words(handler, entity, payload), reader_of(into)
        until_s = time.monotonic() + self._settings.limit_s(timeout_s)
        return read(await self._do(words.packed(b""), words.what(b""), until_s, writes=False))

    async def _draw(self, limit_s: float) -> bytes:
        if self._clock.due:
            reply: Any = await self._do(TIME, "the store's time", time.monotonic() + limit_s, writes=False)
            self._clock.learn(int(reply[0]), int(reply[1]))
        return self._clock.uuid()

    async def _do(self, packed: bytes, what: str, until_s: float, *, writes: bool) -> object:
        if self._closed:
            raise NotServing("the client is closed")
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not loop:
            raise InvalidRequest("an AsyncClient is of the loop that has used it first: make one for each")
        self._loop = loop
        try:
            async with asyncio.timeout(max(0.0, until_s - time.monotonic())):
                await self._free.acquire()
        except TimeoutError:
            most = self._settings.max_connections
            text = f"{what}: nothing happened, {most} calls were under way all the time: raise max_connections"
            raise Overloaded(text) from None
        try:
            now_s = time.monotonic()
            effort = Effort(self._settings.nodes, what, now_s, until_s - now_s, self._settings.attempt_s, writes=writes)
            while True:
                if pause_s := effort.pause_s(time.monotonic()):
                    await asyncio.sleep(pause_s)
                node, wait_s = effort.next(time.monotonic())
                done = await self._ask(effort, node, packed, wait_s)
                if done is not None:
                    return done
        finally:
            self._free.release()

    async def _ask(self, effort: Effort, node: Address, packed: bytes, wait_s: float) -> object | None:
        began_s = time.monotonic()
        connection = self._take(node)
        if connection is None:
            try:
                async with asyncio.timeout(min(wait_s, CONNECT_S)):
                    connection = _Connection(node, *await asyncio.open_connection(*node))
            except (OSError, TimeoutError) as error:
                effort.failed(node, f"cannot be reached: {error or 'timed out'}", sent=False)
                return None
        done = False
        try:
            async with asyncio.timeout(max(0.0, wait_s - (time.monotonic() - began_s))):
                reply = await connection.exchange(packed)
            done = True
        except (OSError, TimeoutError, hiredis.ProtocolError) as error:
            effort.failed(node, f"no answer: {error or 'timed out'}", sent=True)
            return None
        finally:
            if done and not self._closed:
                self._idle.append(connection)
            else:
                connection.close()  # an answer may be on its way: it is for nobody
        return effort.answered(node, reply)

    def _take(self, node: Address) -> _Connection | None:
        """A connection to this node that is not used, and works as far as is known."""
        while self._idle:
            connection = self._idle.pop()
            if connection.node == node and connection.is_open():
                return connection
            connection.close()
        return None


class _Connection:
    """One call at a time."""

    def __init__(self, node: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.node = node
        self._stream, self._writer = reader, writer
        self._reader = hiredis.Reader()

    def close(self) -> None:
        self._writer.transport.abort()  # what a node has not taken is kept for nobody

    async def aclose(self) -> None:
        """Close it, and wait until that is done."""
        self._writer.close()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)

    def is_open(self) -> bool:
        """Whether the other end has not closed it, nor sent what nobody asked for: the next call would take it for its own."""
        unasked = self._reader.has_data() or self._stream._buffer  # type: ignore[attr-defined]  # there is no other way to tell
        return not unasked and not self._stream.at_eof() and not self._writer.is_closing()

    async def exchange(self, packed: bytes) -> object:
        """Send, and wait for the reply. Raises OSError, or hiredis.ProtocolError; it is of no use any more then."""
        self._writer.write(packed)
        await self._writer.drain()
        size = 0
        while (reply := self._reader.gets()) is False:
            data = await self._stream.read(READ_BYTES)
            size += len(data)
            if not data or size > MAX_REPLY_BYTES:
                raise ConnectionResetError(f"a reply of over {MAX_REPLY_BYTES} bytes" if data else "it closed the connection")
            self._reader.feed(data)
        return reply
