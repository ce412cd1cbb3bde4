"""A TCP proxy between the nodes: delay, loss, cuts and resets, for each direction of each pair.

Node i reaches node j through a door of its own, so the proxy knows who is speaking:

    node i ──► door (i, j) ──► node j      bytes on line (i, j): hello, pings, messages
           ◄──             ◄──             bytes on line (j, i): hello, pongs

A stream cannot lose bytes, so whole frames are lost: messages are repeatable, and the store must bear it. Frames never
overtake each other. Run as a process: the routes come as the first line of standard input, orders as further lines (JSON),
and each is answered by one line. The end of standard input ends the process.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import sys
from collections import deque
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, cast

from paxosstore.errors import WireError
from paxosstore.wire.frame import FrameReader, encode_frame

HOST = "127.0.0.1"
_MESSAGES = range(0x90, 0xA0)
"""First byte of a payload that holds messages (wire/hello.py)."""
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Line:
    """How the network is from one node to another."""

    delay_ms: float = 0.0
    """Each frame takes from this to twice this."""
    loss: float = 0.0
    """Part of the frames that are lost."""
    cut: bool = False
    """Nothing arrives."""
    mute: bool = False
    """No messages arrive, though signs of life do: the link stays up."""


@dataclass(slots=True)
class Counts:
    """What the proxy has done so far."""

    passed: int = 0
    delayed: int = 0
    lost: int = 0
    reset: int = 0
    """Connections."""


@dataclass(slots=True)
class Proxy:
    """All doors of one cluster. `peers` are the ports where the nodes listen for each other."""

    peers: list[int]
    doors: dict[tuple[int, int], int]
    """(who dials, whom) -> port."""
    rng: random.Random
    counts: Counts = field(default_factory=Counts)
    lines: dict[tuple[int, int], Line] = field(init=False)
    _streams: dict[tuple[int, int], set[_Stream]] = field(init=False)
    _servers: list[asyncio.Server] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lines = {pair: Line() for pair in self.doors}
        self._streams = {pair: set() for pair in self.doors}

    async def start(self) -> None:
        """Open all doors. Raises OSError."""
        loop = asyncio.get_running_loop()
        for pair, port in self.doors.items():
            self._servers.append(await loop.create_server(partial(self._accepted, *pair), HOST, port))

    def close(self) -> None:
        for server in self._servers:
            server.close()
        for pair in self.doors:
            self.reset(*pair)

    def set_line(self, sender: int, receiver: int, line: Line) -> None:
        """From now on. Frames that are on their way stay on it."""
        self.lines[sender, receiver] = line

    def reset(self, dialler: int, acceptor: int) -> None:
        """End every connection of this door at once, with all that is on its way."""
        for stream in list(self._streams[dialler, acceptor]):
            self.counts.reset += 1
            stream.reset()

    def _accepted(self, dialler: int, acceptor: int) -> _Stream:
        """A node has dialled: one stream in, and one out to where it wanted to go."""
        streams = self._streams[dialler, acceptor]
        inner = _Stream(self, (acceptor, dialler), streams)
        outer = _Stream(self, (dialler, acceptor), streams)
        inner.other, outer.other = outer, inner
        outer.dialling = asyncio.get_running_loop().create_task(inner.dial(self.peers[acceptor]))
        return outer


class _Stream(asyncio.Protocol):
    """One side of a connection: takes frames in, and lets those that arrive out at the other side."""

    other: _Stream

    def __init__(self, proxy: Proxy, pair: tuple[int, int], streams: set[_Stream]) -> None:
        self.dialling: asyncio.Task[None] | None = None
        self._proxy = proxy
        self._pair = pair
        self._streams = streams
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = FrameReader()
        self._on_the_way: deque[tuple[float, bytes]] = deque()
        """(when it arrives, frame), for the other side."""
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False

    async def dial(self, port: int) -> None:
        try:
            await self._loop.create_connection(lambda: self, HOST, port)
        except OSError:
            self.other.reset()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._streams.add(self)
        if self._ended:
            self._transport.abort()
        self.other.deliver()

    def data_received(self, data: bytes) -> None:
        try:
            payloads = self._reader.feed(data)
        except WireError:
            self.reset()  # no node sends such bytes; whoever did is told so by the end of the connection
            return
        now = self._loop.time()
        for payload in payloads:
            self._take(payload, now)
        self.deliver()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._ended = True
        self._streams.discard(self)
        self.deliver()

    def pause_writing(self) -> None:
        if self.other._transport is not None:
            self.other._transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other._transport is not None:
            self.other._transport.resume_reading()

    def reset(self) -> None:
        """End both sides as if the machine between them had been restarted."""
        for side in (self, self.other):
            side._ended = True
            side._on_the_way.clear()
            if side._transport is not None:
                connection: socket.socket = side._transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
                side._transport.abort()

    def deliver(self) -> None:
        """Let out what has arrived by now; when this side has ended and all is out, end the other."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        out, queue, now = self.other._transport, self._on_the_way, self._loop.time()
        if out is not None and not out.is_closing():
            while queue and queue[0][0] <= now:
                out.write(queue.popleft()[1])
            if not queue and self._ended:
                out.close()
        if queue and not self.other._ended:
            self._timer = self._loop.call_at(max(now, queue[0][0]), self.deliver)

    def _take(self, payload: bytes, now: float) -> None:
        """Decide what becomes of a frame."""
        line, rng, counts = self._proxy.lines[self._pair], self._proxy.rng, self._proxy.counts
        if line.cut or (line.mute and payload[0] in _MESSAGES) or rng.random() < line.loss:
            counts.lost += 1
            return
        due = now
        if line.delay_ms:
            due += rng.uniform(1.0, 2.0) * line.delay_ms / 1000.0
            counts.delayed += 1
        if self._on_the_way:
            due = max(due, self._on_the_way[-1][0])
        counts.passed += 1
        self._on_the_way.append((due, encode_frame(payload)))


def obey(proxy: Proxy, order: dict[str, Any]) -> None:
    """{"set": [[sender, receiver], …], "line": {…}} or {"reset": [[dialler, acceptor], …]}."""
    for sender, receiver in order.get("set", ()):
        proxy.set_line(sender, receiver, Line(**order["line"]))
    for dialler, acceptor in order.get("reset", ()):
        proxy.reset(dialler, acceptor)


async def serve() -> None:
    """What the process does."""
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    routes = json.loads(await orders.readline())
    doors = {(dialler, acceptor): port for dialler, acceptor, port in routes["doors"]}
    proxy = Proxy(routes["peers"], doors, random.Random(routes["seed"]))
    try:
        await proxy.start()
    except OSError as error:
        print(json.dumps({"error": f"the proxy cannot listen: {error}"}), flush=True)
        return
    print("{}", flush=True)
    while line := await orders.readline():
        obey(proxy, json.loads(line))
        print(json.dumps(asdict(proxy.counts)), flush=True)
    proxy.close()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve())
