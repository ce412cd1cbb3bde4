"""The links to the peers. Every node dials every other and sends on that connection; it receives on those it accepted.

    dialler                          acceptor
    hello ─────────────────────────►          both check (wire/hello.py); whoever refuses says why in its log
          ◄───────────────────────── hello    the dialler's link is up: on_up
    messages, ping ────────────────►          on_messages
          ◄───────────────────────── pong     silence, EOF or reset: on_down, then dialled again with back-off

Frames may be lost at any moment, so nothing here is repeated: messages are repeatable, and the core knows when to say them
again. Hence a link that is down drops what it is given, and one that is stuck drops its oldest frames.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import random
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import is_
from types import MappingProxyType
from typing import cast

from ..core.message import Message
from ..errors import ConfigError, PortTaken, WireError
from ..settings import ClusterSettings
from ..wire.codec import decode_messages, encode_payloads
from ..wire.frame import MAX_FRAME_BYTES, FrameReader, encode_frame
from ..wire.hello import (
    MAGIC,
    MAX_HELLO_BYTES,
    PING,
    PING_BYTES,
    PONG,
    Hello,
    check_hello,
    decode_hello,
    echo,
    encode_hello,
    encode_ping,
    fingerprint,
)
from .direct import descriptor, write_now

log = logging.getLogger(__name__)

_WRITE_BUFFER_BYTES = 1024 * 1024
"""What the transport may hold before frames wait in our own queue, where they can still be dropped."""
_PONG_BUFFER_BYTES = 64 * 1024
_LOG_INTERVAL_S = 10.0
_FLUSH_S = 0.2


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How patient the links are, and how much they hold."""

    ping_interval_ms: float = 200.0
    silence_ms: float = 1_000.0
    """A peer that says nothing for so long is down."""
    hello_timeout_ms: float = 1_000.0
    """For connecting and the hello together."""
    backoff_ms: float = 10.0
    """First pause before dialling again; doubles, randomised by half."""
    max_backoff_ms: float = 1_000.0
    max_queue_bytes: int = 64 * 1024 * 1024
    max_queue_frames: int = 4_096
    max_unknown: int = 64
    """Accepted connections that have not said hello yet; one more is closed."""


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """One peer's link at one moment."""

    up: bool
    queued_frames: int
    queued_bytes: int
    """What waits here and in the transport."""
    dropped: int
    """Frames that did not leave: link down, or queue full."""
    reconnects: int
    rtt_ms: float
    """Smoothed round trip of the pings; 0: unknown."""
    incarnation: int
    """As the peer last said it; 0: never heard of."""
    disk_id: bytes


class _QuietLog:
    """At most one warning per kind and interval; the next one tells how many were left out."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, int]] = {}

    def warning(self, kind: str, text: str) -> None:
        now = time.monotonic()
        said_at, left_out = self._last.get(kind, (-math.inf, 0))
        if now - said_at < _LOG_INTERVAL_S:
            self._last[kind] = (said_at, left_out + 1)
            return
        self._last[kind] = (now, 0)
        log.warning("%s%s", text, f" ({left_out} similar lines left out)" if left_out else "")


class _Connection(asyncio.Protocol):
    """What both directions share: frames in, signs of life, the end."""

    transport: asyncio.Transport

    def __init__(self, links: Links) -> None:
        self.links = links
        self.reader = FrameReader(MAX_HELLO_BYTES)
        self.hello: Hello | None = None
        """The peer's, once it is checked."""
        self.over = False
        """Nothing that still arrives counts."""
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._silent_ticks = 0

    @property
    def remote(self) -> str:
        name = self.transport.get_extra_info("peername")
        return f"{name[0]}:{name[1]}" if name else "an unknown address"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.links.connections.add(self)
        if self.links.closing:
            self.stop()  # it came while the links were being closed: nobody would end it any more

    def data_received(self, data: bytes) -> None:
        self._silent_ticks = 0
        try:
            if not self.over:
                for payload in self.reader.feed(data):
                    self.take(payload)
                    if self.over:
                        return
        except WireError as error:
            self.refuse(error)

    def eof_received(self) -> None:
        self.stop()

    def connection_lost(self, error: Exception | None) -> None:
        self.over = True
        self.links.connections.discard(self)
        if not self.lost.done():
            self.lost.set_result(None)

    def take(self, payload: bytes) -> None:
        raise AssertionError("each direction has its own frames")

    def refuse(self, error: WireError) -> None:
        raise AssertionError("each direction has its own words")

    def tick(self, silent_ticks: int) -> None:
        """One ping interval has passed. Counting own ticks, a pause of this process is not taken for the peer's silence."""
        self._silent_ticks += 1
        if self._silent_ticks > silent_ticks and self.hello is not None and not self.over:
            log.info("nothing heard from node %d any more: closing its connection", self.hello.node)
            self.stop()

    def stop(self, *, flush: bool = False) -> None:
        """End it, at once or after what is written has left."""
        self.over = True
        if flush:
            self.transport.close()
        else:
            self.transport.abort()


class _Incoming(_Connection):
    """A connection that a peer dialled: its messages arrive here."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        links = self.links
        if sum(1 for c in links.connections if isinstance(c, _Incoming) and c.hello is None) > links.options.max_unknown:
            links.quiet.warning("unknown", f"too many connections without a hello: closed one from {self.remote}")
            self.stop()
            return
        asyncio.get_running_loop().call_later(links.options.hello_timeout_ms / 1000.0, self._no_hello)

    def take(self, payload: bytes) -> None:
        if self.hello is None:
            self.links.greet(self, payload)
            self.reader.max_bytes = MAX_FRAME_BYTES
        elif payload[0] == PING and len(payload) == PING_BYTES:
            if self.transport.get_write_buffer_size() < _PONG_BUFFER_BYTES:
                self.transport.write(encode_frame(echo(payload)))
        else:
            self.links.on_messages(self.hello.node, decode_messages(payload))

    def refuse(self, error: WireError) -> None:
        who = "an unknown peer" if self.hello is None else f"node {self.hello.node}"
        self.links.quiet.warning(f"from {who}", f"closed a connection from {self.remote} ({who}) to the peer port: {error}")
        self.stop(flush=self.hello is None)  # our own hello has to leave: it tells the peer what is wrong

    def _no_hello(self) -> None:
        if self.hello is None and not self.over:
            self.links.quiet.warning("no hello", f"closed a connection from {self.remote} to the peer port: it said no hello")
            self.stop()


class _Outgoing(_Connection):
    """A connection that this node dialled: its messages leave here."""

    def __init__(self, links: Links, peer: _Peer) -> None:
        super().__init__(links)
        self.peer = peer
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._paused = False
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._buffered = 0
        self._descriptor = -1

    @property
    def queued(self) -> tuple[int, int]:
        """Frames that wait here, and bytes that wait here and in the transport."""
        return len(self._queue), self._queued_bytes + self.transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._descriptor = descriptor(transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        self.transport.write(encode_frame(encode_hello(self.links.own_hello(self.peer.number))))

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.peer.dropped += len(self._queue)
        self._queue.clear()
        if not self.ready.done():
            self.ready.set_result(False)
        self.links.went_down(self)

    def take(self, payload: bytes) -> None:
        if self.hello is None:
            hello = decode_hello(payload)
            check_hello(hello, self.links.settings, self.links.me, self.peer.number)
            self.hello = hello
            self.links.went_up(self, hello)
            if not self.ready.done():
                self.ready.set_result(True)
        elif payload[0] == PONG and len(payload) == PING_BYTES:
            self.peer.observe_rtt((time.monotonic_ns() - int.from_bytes(payload[1:], "big")) / 1e6)
        else:
            raise WireError("an answer that is no pong")

    def refuse(self, error: WireError) -> None:
        text = f"refused node {self.peer.number} at {self.remote}: {error}"
        self.links.quiet.warning(f"to {self.peer.number}", text)
        self.stop()

    def tick(self, silent_ticks: int) -> None:
        if self.hello is not None and not self.over:
            self.transport.write(encode_frame(encode_ping(time.monotonic_ns().to_bytes(8, "big"))))
        buffered = self.transport.get_write_buffer_size()
        if buffered < self._buffered:
            self._silent_ticks = 0  # it still reads: the pong waits behind a large frame
        self._buffered = buffered
        super().tick(silent_ticks)

    def send(self, frame: bytes) -> None:
        """Write it, or queue it and drop the oldest ones over the bound."""
        if not self._paused:
            write_now(self.transport, self._descriptor, frame)
            return
        options, queue = self.links.options, self._queue
        queue.append(frame)
        self._queued_bytes += len(frame)
        while len(queue) > 1 and (len(queue) > options.max_queue_frames or self._queued_bytes > options.max_queue_bytes):
            self._queued_bytes -= len(queue.popleft())
            self.peer.dropped += 1

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._silent_ticks = 0
        while self._queue and not self._paused:
            frame = self._queue.popleft()
            self._queued_bytes -= len(frame)
            self.transport.write(frame)


class _Peer:
    """What outlives the connections of one peer."""

    def __init__(self, number: int, address: tuple[str, int]) -> None:
        self.number = number
        self.address = address
        self.outgoing: _Outgoing | None = None
        """Set while the link is up."""
        self.incoming: _Incoming | None = None
        self.hello: Hello | None = None
        self.wake = asyncio.Event()
        """The peer has just dialled us: it is there, dial it at once."""
        self.dropped = 0
        self.ups = 0
        self.rtt_ms = 0.0

    def observe_rtt(self, rtt_ms: float) -> None:
        self.rtt_ms = rtt_ms if self.rtt_ms == 0.0 else self.rtt_ms + (rtt_ms - self.rtt_ms) / 8

    def statistics(self) -> LinkStatistics:
        frames, size = (0, 0) if self.outgoing is None else self.outgoing.queued
        return LinkStatistics(
            up=self.outgoing is not None,
            queued_frames=frames,
            queued_bytes=size,
            dropped=self.dropped,
            reconnects=max(0, self.ups - 1),
            rtt_ms=self.rtt_ms,
            incarnation=0 if self.hello is None else self.hello.incarnation,
            disk_id=b"" if self.hello is None else self.hello.disk_id,
        )


class Links:
    """All links of node `me`. `addresses` are those of all nodes by number, this one's included.

    The callbacks run on the loop and must not block: on_messages(peer, messages of one frame), on_up(peer), on_down(peer).
    """

    def __init__(
        self,
        me: int,
        addresses: Sequence[tuple[str, int]],
        cluster_settings: ClusterSettings,
        incarnation: int,
        disk_id: bytes,
        on_messages: Callable[[int, list[Message]], None],
        on_up: Callable[[int], None],
        on_down: Callable[[int], None],
        options: LinkOptions | None = None,
    ) -> None:
        self.me = me
        self.settings = cluster_settings
        self.on_messages = on_messages
        self.options = options or LinkOptions()
        self.quiet = _QuietLog()
        self.connections: set[_Connection] = set()
        self._address = addresses[me]
        self._hello = Hello(cluster_settings.cluster, fingerprint(cluster_settings), me, -1, incarnation, disk_id)
        self._on_up = on_up
        self._on_down = on_down
        self._peers = {number: _Peer(number, address) for number, address in enumerate(addresses) if number != me}
        self._server: asyncio.Server | None = None
        self._dialling: list[asyncio.Task[None]] = []
        self._ticker: asyncio.TimerHandle | None = None
        self.closing = False

    async def start(self) -> None:
        """Listen, and begin to dial. Raises PortTaken, or ConfigError for an address that this machine does not have."""
        loop = asyncio.get_running_loop()
        host, port = self._address
        try:
            self._server = await loop.create_server(lambda: _Incoming(self), host, port)
        except OSError as error:
            where = f"node {self.me} cannot listen for its peers on {host}:{port}"
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(
                    f"{where}: the port is in use. Stop the program that uses it, or give this node another"
                ) from None
            raise ConfigError(f"{where}: {error.strerror or error}") from None
        self._dialling = [loop.create_task(self._keep(peer)) for peer in self._peers.values()]
        self._tick()

    async def close(self) -> None:
        """Let what is written leave, for a moment, and end all connections. No callback comes afterwards."""
        self.closing = True
        if self._ticker is not None:
            self._ticker.cancel()
        if self._server is not None:
            self._server.close()
        for task in self._dialling:
            task.cancel()
        await asyncio.gather(*self._dialling, return_exceptions=True)
        for flush in (True, False):
            ends = [connection.lost for connection in self.connections]
            for connection in list(self.connections):
                connection.stop(flush=flush)
            if ends:
                await asyncio.wait(ends, timeout=_FLUSH_S)
        if self._server is not None:
            await self._server.wait_closed()

    def send(self, peer: int, messages: list[Message]) -> None:
        """One frame for one peer. Never blocks and never raises: what cannot leave is dropped and counted."""
        self.send_many({peer: messages})

    def send_many(self, by_peer: Mapping[int, list[Message]]) -> None:
        """One frame per peer; the same messages for several peers are encoded once. Otherwise like `send`."""
        encoded: list[Message] = []
        frames: list[bytes] = []
        for number, messages in by_peer.items():
            peer = self._peers[number]
            outgoing = peer.outgoing
            if outgoing is None or outgoing.over:
                peer.dropped += 1
                continue
            # by identity: plain tuples of different kinds can be equal
            if len(messages) != len(encoded) or not all(map(is_, messages, encoded)):
                try:
                    frames = [encode_frame(payload) for payload in encode_payloads(messages)]
                except WireError as error:
                    self.quiet.warning("encode", f"dropped messages to node {number}: {error}")
                    peer.dropped += 1
                    continue
                encoded = messages
            for frame in frames:
                outgoing.send(frame)

    def statistics(self) -> Mapping[int, LinkStatistics]:
        """Every peer's link at this moment."""
        return MappingProxyType({number: peer.statistics() for number, peer in self._peers.items()})

    # -- what connections tell

    def own_hello(self, target: int) -> Hello:
        return self._hello._replace(target=target)

    def greet(self, connection: _Incoming, payload: bytes) -> None:
        """A dialler's first frame: answer it, check it, and let it replace the peer's older connection. Raises WireError."""
        target, problem = -1, None
        try:
            hello = decode_hello(payload)
            target = hello.node
            check_hello(hello, self.settings, self.me)
        except WireError as error:
            problem = error
        if payload.startswith(MAGIC):
            connection.transport.write(encode_frame(encode_hello(self.own_hello(target))))
        if problem is not None:
            raise problem
        connection.hello = hello
        peer = self._peers[hello.node]
        if peer.incoming is not None:
            peer.incoming.stop()
        peer.incoming = connection
        peer.hello = hello
        if peer.outgoing is not None and peer.outgoing.hello != hello:
            peer.outgoing.stop()  # it leads to an earlier life of the peer
        peer.wake.set()

    def went_up(self, connection: _Outgoing, hello: Hello) -> None:
        peer = connection.peer
        peer.outgoing = connection
        peer.hello = hello
        peer.ups += 1
        peer.rtt_ms = 0.0
        log.info("node %d is up at %s", peer.number, connection.remote)
        self._on_up(peer.number)

    def went_down(self, connection: _Outgoing) -> None:
        peer = connection.peer
        if peer.outgoing is connection:
            peer.outgoing = None
            if not self.closing:
                log.info("node %d is down", peer.number)
                self._on_down(peer.number)

    # -- time

    def _tick(self) -> None:
        options = self.options
        limit = math.ceil(options.silence_ms / options.ping_interval_ms)
        for connection in list(self.connections):
            connection.tick(limit)
        self._ticker = asyncio.get_running_loop().call_later(options.ping_interval_ms / 1000.0, self._tick)

    async def _keep(self, peer: _Peer) -> None:
        """Dial one peer for ever."""
        options = self.options
        backoff_ms = options.backoff_ms
        while True:
            peer.wake.clear()
            started = time.monotonic()
            connection = _Outgoing(self, peer)
            try:
                await self._dial(connection)
                if connection.hello is not None:
                    await connection.lost
            except (OSError, TimeoutError) as error:
                log.debug("node %d cannot be reached at %s:%d: %s", peer.number, *peer.address, error or "no answer")
            finally:
                if connection in self.connections:
                    connection.stop(flush=self.closing)
            if (time.monotonic() - started) * 1000.0 > options.max_backoff_ms + options.hello_timeout_ms:
                backoff_ms = options.backoff_ms  # it was up for a while, so this is a new story
            with suppress(TimeoutError):  # (wait_for would lose a cancellation that comes in the same moment as the wake)
                async with asyncio.timeout(random.uniform(0.5, 1.5) * backoff_ms / 1000.0):
                    await peer.wake.wait()
            backoff_ms = min(2.0 * backoff_ms, options.max_backoff_ms)

    async def _dial(self, connection: _Outgoing) -> None:
        """Connect, and wait until the hello is answered or the connection lost. Raises OSError or TimeoutError."""
        async with asyncio.timeout(self.options.hello_timeout_ms / 1000.0):
            await asyncio.get_running_loop().create_connection(lambda: connection, *connection.peer.address)
            await connection.ready
