"""python-socketio: two servers behind one Redis manager, a writer outside, a client at each server."""

from __future__ import annotations

import asyncio
import contextlib

import socketio
from aiohttp import web
from support import PATIENCE_S, SERVERS, URL, did, harm, used

used("python-socketio", "redis")
URLS = [f"redis://{host}:{port}/0" for host, port in SERVERS]


async def serve(url: str) -> tuple[socketio.AsyncServer, web.AppRunner, int]:
    server = socketio.AsyncServer(client_manager=socketio.AsyncRedisManager(url), async_mode="aiohttp")

    @server.event
    async def join(sid: str, room: str) -> None:
        await server.enter_room(sid, room)

    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return server, runner, runner.addresses[0][1]


async def main() -> None:
    servers = [await serve(URL), await serve(URL)]
    clients = [socketio.AsyncClient() for _ in servers]
    heard: list[set[int]] = [set(), set()]
    for number, (client, (_, _, port)) in enumerate(zip(clients, servers, strict=True)):
        client.on("news", lambda data, number=number: heard[number].add(data["n"]))
        await client.connect(f"http://127.0.0.1:{port}")
        await client.emit("join", "room")
    writer = socketio.AsyncRedisManager(URL, write_only=True)
    await asyncio.sleep(1)

    async def tell(numbers: range) -> None:
        """Until all were heard by both: what is told while the listener's node is away is lost, with Redis as here."""
        async with asyncio.timeout(PATIENCE_S):
            for n in numbers:
                while not all(n in seen for seen in heard):
                    with contextlib.suppress(ConnectionError, OSError):
                        await writer.emit("news", {"n": n}, room="room")
                    await asyncio.sleep(0.1)

    await tell(range(10))
    await asyncio.to_thread(harm)
    await tell(range(10, 30))
    await servers[0][0].emit("news", {"n": 99}, room="room")
    await asyncio.sleep(1)
    assert all(99 in seen for seen in heard)
    for client in clients:
        await client.disconnect()
    for _, runner, _ in servers:
        await runner.cleanup()
    did("31 events from a writer and a server to clients at two servers")


asyncio.run(asyncio.wait_for(main(), 2 * PATIENCE_S))
