"""Nodes that do with a call what a test wants, on one store: it takes effect once under its uuid, and the answer may be lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import hiredis

Fate = str
"""What becomes of a call: "done", "lost" (done, and the connection breaks), "dropped" (the connection breaks before), "silent",
"late" (silent, and done afterwards), "mute" (done, and silent), "unknown" (done, and UNKNOWN is said), or an error's text."""
FATES: tuple[Fate, ...] = (
    *("lost", "dropped", "silent", "late", "mute", "unknown", "NOQUORUM no majority", "NOTSERVING stopping", "OVERLOADED full"),
    *("UNKNOWN nobody knows", "DISKFULL no room", "ERR max number of clients reached", "LEARNSONLY it learns only"),
)


class Store:
    """A counter: what was done under which uuid, and all that was ever asked."""

    def __init__(self, fate: Callable[[int], Fate]) -> None:
        """`fate` of an attempt, by the number of the node."""
        self.fate = fate
        self.total = 0
        self.effects: dict[bytes, int] = {}
        """How often something took effect, by uuid: once, or there is a mistake in this fake."""
        self.replies: dict[bytes, bytes] = {}
        self.asked: list[tuple[bytes, ...]] = []
        self.told = asyncio.Condition()

    def do(self, words: list[bytes]) -> bytes:
        uuid, amount = words[3], int(words[4])
        if uuid not in self.replies:
            self.total += amount
            self.effects[uuid] = self.effects.get(uuid, 0) + 1
            self.replies[uuid] = b"%d" % self.total
        return self.replies[uuid]

    async def until(self, calls: int) -> None:
        """Wait until so many have been asked."""
        async with asyncio.timeout(20), self.told:
            await self.told.wait_for(lambda: len(self.asked) >= calls)

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(65_536):
                parser.feed(data)
                while (words := parser.gets()) is not False:
                    reply = self.answer(number, words)
                    async with self.told:
                        self.told.notify_all()
                    if reply is None:
                        writer.close()
                        return
                    writer.write(reply)
        writer.close()

    def answer(self, number: int, words: Any) -> bytes | None:
        """None: the connection breaks; empty: nothing is said."""
        if words == [b"TIME"]:
            return b"*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n"
        self.asked.append(tuple(words))
        fate = self.fate(number)
        if words[0] == b"PAXOS.READ":
            reply = b"%d" % self.total
        elif fate in ("done", "lost", "mute", "unknown"):
            reply = self.do(words)
        elif fate == "late":
            asyncio.get_running_loop().call_later(0.05, self.do, words)
        if fate in ("lost", "dropped"):
            return None
        if fate in ("silent", "late", "mute"):
            return b""
        if fate == "unknown":
            return b"-UNKNOWN outcome unknown: not decided in time\r\n"
        return b"$%d\r\n%b\r\n" % (len(reply), reply) if fate == "done" else b"-%b\r\n" % fate.encode()


@contextlib.asynccontextmanager
async def nodes(store: Store, number: int = 3) -> AsyncIterator[list[tuple[str, int]]]:
    """Their addresses."""
    servers = []
    for node in range(number):

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, node: int = node) -> None:
            await store.serve(node, reader, writer)

        servers.append(await asyncio.start_server(serve, "127.0.0.1", 0))
    try:
        yield [server.sockets[0].getsockname()[:2] for server in servers]
    finally:
        for server in servers:
            server.close()
