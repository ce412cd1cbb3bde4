"""One connection between two nodes: frames in, frames out, signs of life, the end. Each direction has a kind of its own.

Whom it leads to, and what becomes of that when it ends, is its owner's business (links.py).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from ..core.batch.published import Published
from ..core.interface.message import Message
from ..errors import WireError
from ..settings import ClusterSettings
from ..wire.codec import decode_messages
from ..wire.frame import MAX_FRAME_BYTES, FrameReader, encode_frame
from ..wire.hello import (
    MAX_HELLO_BYTES,
    PING,
    PING_BYTES,
    Hello,
    check_hello,
    decode_hello,
    decode_pong,
    encode_hello,
    encode_ping,
    encode_pong,
)
from ..wire.published import PUBLISHED, decode_published
from .direct import descriptor, write_now
from .quiet_log import QuietLog
from .sockets import TELLING_BYTES, keep_alive, looks_like, remote, said

log = logging.getLogger(__name__)

_WRITE_BUFFER_BYTES = 1024 * 1024
"""What the transport may hold before frames wait in our own queue, where they can still be dropped."""
_PONG_BUFFER_BYTES = 64 * 1024
MAX_NAME = 64
"""Characters of a cluster's name: what a stranger sends may be longer."""
MAX_WHY = 400
"""Characters of a reason: part of it may be the peer's text."""


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


class Owner(Protocol):
    """What a connection needs of the links it is one of, and tells them."""

    me: int
    settings: ClusterSettings
    cluster_id: Callable[[], str]
    options: LinkOptions
    quiet: QuietLog
    connections: set[Connection]
    """All that are open, in both directions."""
    closing: bool

    def own_hello(self, target: int) -> Hello: ...

    def greet(self, connection: Incoming, payload: bytes) -> None:
        """A dialler's first frame. Raises WireError."""

    held: bool
    """Whether nothing is to be read from the peers now."""

    def on_messages(self, peer: int, messages: list[Message], size: int, disk: int, /) -> None:
        """What one frame of so many bytes held, over a connection of this disk (rule 19b)."""

    on_published: Callable[[int, list[Published]], None]
    """Takes what one frame of published messages held."""

    def went_up(self, connection: Outgoing, hello: Hello) -> None: ...

    def went_down(self, connection: Outgoing) -> None: ...

    def dropped(self, peer: int, frames: int) -> None: ...

    def observe(self, peer: int, clock_us: int, sent_ms: float, received_ms: float) -> None:
        """A peer has answered, and said what its clock showed (microseconds since 1970); the times are of time.monotonic."""

    def clock_us(self) -> int:
        """This node's clock, in microseconds since 1970."""


class Connection(asyncio.Protocol):
    """What both directions share: frames in, signs of life, the end."""

    transport: asyncio.Transport

    def __init__(self, links: Owner) -> None:
        self.links = links
        self.reader = FrameReader(MAX_HELLO_BYTES)
        self.hello: Hello | None = None
        """The peer's, once it is checked."""
        self.over = False
        """Nothing that still arrives counts."""
        self.why = ""
        """Why it ended, in a few words, as far as this side knows."""
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._silent_ticks = 0

    @property
    def remote(self) -> str:
        return remote(self.transport)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        keep_alive(transport)
        self.links.connections.add(self)
        if self.links.closing:
            self.stop("this node stops")  # it came while the links were being closed: nobody would end it any more

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
        self.stop("closed by the peer")

    def connection_lost(self, error: Exception | None) -> None:
        self.over = True
        self.why = self.why or (said(error) if isinstance(error, OSError) else "closed by the peer")
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
            self.stop(f"nothing heard for {self.links.options.silence_ms / 1000.0:g} s")

    def stop(self, why: str, *, flush: bool = False) -> None:
        """End it, at once or after what is written has left."""
        self.over = True
        self.why = self.why or why[:MAX_WHY]
        if flush:
            self.transport.close()
        else:
            self.transport.abort()


class Incoming(Connection):
    """A connection that a peer dialled: its messages arrive here."""

    claimed: Hello | None = None
    """Who the other end says it is, before that is checked."""
    _opening = b""
    """How it began, until the hello is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        links = self.links
        if sum(1 for c in links.connections if isinstance(c, Incoming) and c.hello is None) > links.options.max_unknown:
            links.quiet.warning("unknown", f"too many connections without a hello: closed one from {self.remote}")
            self.stop("too many connections")
            return
        asyncio.get_running_loop().call_later(links.options.hello_timeout_ms / 1000.0, self._no_hello)

    def data_received(self, data: bytes) -> None:
        if self.hello is None and len(self._opening) < TELLING_BYTES:
            self._opening += data[:TELLING_BYTES]
        super().data_received(data)

    def take(self, payload: bytes) -> None:
        if self.hello is None:
            self.links.greet(self, payload)
            self.reader.max_bytes = MAX_FRAME_BYTES
            if self.links.held:
                self.hold(True)
        elif payload[0] == PING and len(payload) == PING_BYTES:
            if self.transport.get_write_buffer_size() < _PONG_BUFFER_BYTES:
                self.transport.write(encode_frame(encode_pong(payload, self.links.clock_us())))
        else:
            try:
                if payload[0] == PUBLISHED:
                    self.links.on_published(self.hello.node, decode_published(payload))
                    return
                messages = decode_messages(payload)
            except WireError as error:  # the frame is whole, so the stream is: what follows can be read
                self.links.quiet.warning(f"from {self.hello.node}", f"dropped a frame from node {self.hello.node}: {error}")
                return
            self.links.on_messages(self.hello.node, messages, len(payload), self.hello.disk)

    def tick(self, silent_ticks: int) -> None:
        if self.links.held:
            self._silent_ticks = 0  # it is not listened to
        super().tick(silent_ticks)

    def hold(self, held: bool) -> None:
        """Read nothing from the peer for a while: what it sends waits in the kernel, then at the peer. Or go on."""
        if not self.over:
            self.transport.pause_reading() if held else self.transport.resume_reading()

    def refuse(self, error: WireError) -> None:
        who, what = "an unknown peer", ""
        if self.hello is not None:
            who = f"node {self.hello.node}"
        elif self.claimed is not None:
            who = (
                f"node {self.claimed.node} of cluster {self.claimed.cluster[:MAX_NAME]!r}, disk {self.claimed.disk_id[:16].hex()}"
            )
        else:
            what = f": it looks like {looks_like(self._opening)}"
        self.links.quiet.warning(
            f"from {who}", f"closed a connection from {self.remote} ({who}) to the peer port: {str(error)[:MAX_WHY]}{what}"
        )
        self.stop(f"refused: {error}", flush=self.hello is None)  # our own hello has to leave: it tells the peer what is wrong

    def _no_hello(self) -> None:
        if self.hello is None and not self.over:
            what = f", but something that looks like {looks_like(self._opening)}" if self._opening else ""
            self.links.quiet.warning(
                "no hello", f"closed a connection from {self.remote} to the peer port: it said no hello{what}"
            )
            self.stop("no hello")


class Outgoing(Connection):
    """A connection that this node dialled: its messages leave here."""

    def __init__(self, links: Owner, peer: int) -> None:
        super().__init__(links)
        self.peer = peer
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._paused = False
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._buffered = 0
        self._descriptor = -1
        self._greeted_ms = 0.0

    @property
    def queued(self) -> tuple[int, int]:
        """Frames that wait here, and bytes that wait here and in the transport."""
        return len(self._queue), self._queued_bytes + self.transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._descriptor = descriptor(transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        self._greeted_ms = time.monotonic() * 1_000.0
        self.transport.write(encode_frame(encode_hello(self.links.own_hello(self.peer))))

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.links.dropped(self.peer, len(self._queue))
        self._queue.clear()
        if not self.ready.done():
            self.ready.set_result(False)
        self.links.went_down(self)

    def take(self, payload: bytes) -> None:
        if self.hello is None:
            hello = decode_hello(payload)
            check_hello(hello, self.links.settings, self.links.me, self.peer, self.links.cluster_id())
            self.hello = hello
            self.links.observe(self.peer, hello.clock_us, self._greeted_ms, time.monotonic() * 1_000.0)
            self.links.went_up(self, hello)
            if not self.ready.done():
                self.ready.set_result(True)
        else:
            stamp, clock_us = decode_pong(payload)
            self.links.observe(self.peer, clock_us, int.from_bytes(stamp, "big") / 1e6, time.monotonic_ns() / 1e6)

    def refuse(self, error: WireError) -> None:
        text = f"refused node {self.peer} at {self.remote}: {error}"
        self.links.quiet.warning(f"to {self.peer}", text)
        self.stop(f"refused: {error}")

    def tick(self, silent_ticks: int) -> None:
        if self.hello is not None and not self.over:
            self.transport.write(encode_frame(encode_ping(time.monotonic_ns().to_bytes(8, "big"))))
        buffered = self.transport.get_write_buffer_size()
        if buffered < self._buffered:
            self._silent_ticks = 0  # it still reads: the pong waits behind a large frame
        self._buffered = buffered
        super().tick(silent_ticks)

    def send(self, frame: bytes) -> None:
        """Write it, or queue it; over the bound the link ends.

        To leave single frames out would be to keep order no longer: what was handed over in a later one would be done before.
        """
        if not self._paused:
            write_now(self.transport, self._descriptor, frame)
            return
        options, queue = self.links.options, self._queue
        queue.append(frame)
        self._queued_bytes += len(frame)
        if len(queue) > 1 and (len(queue) > options.max_queue_frames or self._queued_bytes > options.max_queue_bytes):
            text = f"it reads too slowly: {len(queue)} frames, {self._queued_bytes} bytes wait for it"
            self.links.quiet.warning(f"slow {self.peer}", f"closed the connection to node {self.peer}: {text}")
            self.stop(text)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._silent_ticks = 0
        while self._queue and not self._paused:
            frame = self._queue.popleft()
            self._queued_bytes -= len(frame)
            self.transport.write(frame)
