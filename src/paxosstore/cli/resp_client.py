"""A small client of the Redis protocol that knows several nodes and goes on to the next one when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import TypeAlias, cast

import hiredis

from ..errors import BY_CODE, Fault, NoQuorum, OutcomeUnknown, PaxosStoreError, from_code

Reply: TypeAlias = "bytes | int | list[Reply] | None"
Argument: TypeAlias = "str | bytes | int | float | memoryview"

PAUSE_S = 0.01
"""Before an idempotent command is repeated: long enough not to spin, short against a gap."""
ERR = "ERR"


class ReplyError(Exception):
    """An error reply that is Redis's own, such as WRONGTYPE."""


class RespClient:
    """One connection at a time, to `servers[at]` first.

    `call` raises the store's own errors: a refusal (nothing happened), or OutcomeUnknown if the command was sent and no
    answer came in `timeout_s`. After an error that is not the caller's fault the next call goes to the next server.
    """

    def __init__(self, servers: Sequence[tuple[str, int]], at: int = 0, timeout_s: float = 1.0) -> None:
        self.at = at
        self._servers = list(servers)
        self._timeout_s = timeout_s
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._parser = hiredis.Reader()

    async def __aenter__(self) -> RespClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def call(self, *arguments: Argument) -> Reply:
        """Send one command to the server at hand, once."""
        try:
            async with asyncio.timeout(self._timeout_s):
                reader, writer = await self._connection()
        except (OSError, TimeoutError) as error:
            self._go_on()
            raise NoQuorum("the server cannot be reached: nothing was sent") from error
        try:
            async with asyncio.timeout(self._timeout_s):
                writer.write(hiredis.pack_command(arguments))  # type: ignore[arg-type]  # its stub knows tuples of one only
                reply = await self._reply(reader)
        except (OSError, TimeoutError) as error:
            self._go_on()
            raise OutcomeUnknown("the server was lost before it answered") from error
        except BaseException:
            self.close()  # cancelled with an answer on its way: the connection cannot be used again
            raise
        if isinstance(reply, hiredis.ReplyError):
            problem = _problem(str(reply))
            if isinstance(problem, PaxosStoreError) and problem.fault is not Fault.CALLER:
                self._go_on()
            raise problem
        return cast("Reply", reply)

    async def repeat(self, *arguments: Argument, within_s: float = 15.0) -> Reply:
        """Send an idempotent command until a server has done it.

        When the time is up, raises what the last one said; OutcomeUnknown if an earlier sending may have happened.
        """
        deadline = asyncio.get_running_loop().time() + within_s
        unknown: OutcomeUnknown | None = None
        while True:
            try:
                return await self.call(*arguments)
            except PaxosStoreError as error:
                if isinstance(error, OutcomeUnknown):
                    unknown = error
                if error.fault is Fault.CALLER or asyncio.get_running_loop().time() > deadline:
                    raise unknown or error from None
                await asyncio.sleep(PAUSE_S)

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            host, port = self._servers[self.at]
            self._parser = hiredis.Reader()
            self._reader, self._writer = await asyncio.open_connection(host, port)
        return self._reader, self._writer

    async def _reply(self, reader: asyncio.StreamReader) -> object:
        while (reply := self._parser.gets()) is False:
            data = await reader.read(65_536)
            if not data:
                raise ConnectionResetError("the server closed the connection")
            self._parser.feed(data)
        return reply

    def _go_on(self) -> None:
        with suppress(OSError):
            self.close()
        self.at = (self.at + 1) % len(self._servers)


def _problem(text: str) -> Exception:
    code, _, rest = text.partition(" ")
    return from_code(code, rest) if code in BY_CODE and code != ERR else ReplyError(text)
