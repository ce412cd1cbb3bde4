"""Every server of a node, stopped in the very moment in which a client comes: it ends, and so does the client's connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, cast

import pytest
import uvloop

from paxosstore.runtime.connection import LinkOptions
from paxosstore.runtime.links import Links
from paxosstore.services.card.server import Caller, CardServer
from paxosstore.services.http.server import HttpServer
from paxosstore.services.redis.server import RedisServer
from paxosstore.services.redis.settings import RedisSettings
from paxosstore.settings import ClusterSettings

HOST = "127.0.0.1"
PASSES = 8
"""Of the loop, between a client's coming and the stop: each of them finds the server at another step of taking it in."""
PATIENCE_S = 5.0
NEVER_MS = 3_600_000.0


class Server(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


class PeerPort:
    """The links of a node whose peers are away."""

    def __init__(self, port: int) -> None:
        addresses = [(HOST, port), (HOST, 1), (HOST, 1)]
        options = LinkOptions(hello_timeout_ms=NEVER_MS, silence_ms=NEVER_MS)
        self._links = Links(
            0, addresses, ClusterSettings("test"), 1, b"", lambda *_: None, lambda _: None, lambda *_: None, options
        )

    async def start(self) -> None:
        await self._links.start()

    async def stop(self) -> None:
        await self._links.close()


SERVERS: dict[str, Callable[[int], Server]] = {
    "peers": PeerPort,
    "redis": lambda port: RedisServer(lambda request: None, RedisSettings(port=port)),
    "http": lambda port: HttpServer(HOST, port, {}, read_timeout_s=NEVER_MS),
    "card": lambda port: CardServer(cast(Caller, None), HOST, port),
}


def free_port() -> int:
    with socket.create_server((HOST, 0)) as found:
        return int(found.getsockname()[1])


async def ended(client: socket.socket) -> None:
    """The server has closed the connection, whatever it has said before."""
    client.setblocking(False)
    with suppress(ConnectionError):
        while await asyncio.get_running_loop().sock_recv(client, 1_000):
            pass


async def come_and_stop(make: Callable[[int], Server], passes: int, *, another: bool) -> None:
    port = free_port()
    server = make(port)
    await server.start()
    clients = []
    if another:
        clients.append(socket.create_connection((HOST, port)))
        await asyncio.sleep(0.02)
    clients.append(socket.create_connection((HOST, port)))
    for _ in range(passes):
        await asyncio.sleep(0)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await server.stop()
            for client in clients:
                await ended(client)
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize("another", [False, True], ids=["alone", "not alone"])
@pytest.mark.parametrize("name", SERVERS)
def test_who_comes_while_a_server_stops_holds_nothing_up(name: str, another: bool) -> None:
    for passes in range(PASSES):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as in `serve`
            runner.run(come_and_stop(SERVERS[name], passes, another=another))
