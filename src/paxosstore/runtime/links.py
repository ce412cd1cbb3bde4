"""The links to the peers. Every node dials every other and sends on that connection; it receives on those it accepted.

    dialler                          acceptor
    hello ─────────────────────────►          both check (wire/hello.py); whoever refuses says why in its log
          ◄───────────────────────── hello    the dialler's link is up: on_up
    messages, ping ────────────────►          on_messages
          ◄───────────────────────── pong     silence, EOF or reset: on_down, then dialled again with back-off

Frames may be lost at any moment, so nothing here is repeated: messages are repeatable, and the core knows when to say them
again. Hence a link that is down drops what it is given, and one that is stuck ends. What arrives over a link is a beginning of
what was sent over it: requests that were handed over keep their order by that.
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

from ..core.batch.published import Published
from ..core.interface.message import Message
from ..errors import ConfigError, PortTaken, WireError
from ..settings import ClusterSettings
from ..wire.codec import encode_payloads, writable
from ..wire.frame import encode_frame
from ..wire.hello import MAGIC, Hello, check_hello, decode_hello, encode_hello, fingerprint
from .connection import Connection, Incoming, LinkOptions, Outgoing
from .quiet_log import QuietLog
from .sockets import listening, said, where
from .timekeeper import clock_ms

log = logging.getLogger(__name__)

NOT_YET = "not reached yet"
_FLUSH_S = 0.2
MAX_PUBLISHED_BYTES = 8 * 1024 * 1024
"""When so much waits for a peer, published messages are not sent: those of the protocol would be held up, and the link end."""
_EARLIER_LIVES = 16


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """One peer's link at one moment."""

    up: bool
    queued_frames: int
    queued_bytes: int
    """What waits here and in the transport."""
    dropped: int
    """Frames that did not leave, or not as a whole: link down or ended, a message that cannot be written."""
    reconnects: int
    rtt_ms: float
    """Smoothed round trip of the pings; 0: unknown."""
    incarnation: int
    """As the peer last said it; 0: never heard of."""
    disk_id: bytes
    published_lost: int = 0
    """Published messages that this peer did not get: link down, or it reads too slowly."""
    down_s: float = 0.0
    """For how long it has been down, in seconds; 0: it is up."""
    down_reason: str = ""
    """Why, as the last attempt found it: "connection refused", "no answer", "refused: another cluster ..."."""


class _Peer:
    """What outlives the connections of one peer."""

    def __init__(self, number: int, address: tuple[str, int]) -> None:
        self.number = number
        self.address = address
        self.outgoing: Outgoing | None = None
        """Set while the link is up."""
        self.incoming: Incoming | None = None
        self.hello: Hello | None = None
        self.wake = asyncio.Event()
        """The peer has just dialled us: it is there, dial it at once."""
        self.down_since_s = time.monotonic()
        self.down_reason = NOT_YET
        self.earlier: deque[int] = deque(maxlen=_EARLIER_LIVES)
        """Incarnations that were replaced by others."""
        self.returns = 0
        """How often one of them spoke again."""
        self.dropped = 0
        self.published_lost = 0
        self.ups = 0
        self.rtt_ms = 0.0

    def observe_rtt(self, rtt_ms: float) -> None:
        self.rtt_ms = rtt_ms if self.rtt_ms == 0.0 else self.rtt_ms + (rtt_ms - self.rtt_ms) / 8

    def statistics(self) -> LinkStatistics:
        up = self.outgoing is not None
        frames, size = (0, 0) if self.outgoing is None else self.outgoing.queued
        return LinkStatistics(
            up=up,
            queued_frames=frames,
            queued_bytes=size,
            dropped=self.dropped,
            published_lost=self.published_lost,
            reconnects=max(0, self.ups - 1),
            rtt_ms=self.rtt_ms,
            incarnation=0 if self.hello is None else self.hello.incarnation,
            disk_id=b"" if self.hello is None else self.hello.disk_id,
            down_s=0.0 if up else time.monotonic() - self.down_since_s,
            down_reason="" if up else self.down_reason,
        )


class Links:
    """All links of node `me`. `addresses` are those of all nodes by number, this one's included.

    The callbacks run on the loop and must not block: on_messages(peer, messages of one frame, its bytes, disk id that the hello
    of that connection said), on_up(hello), and on_down(peer, reason): at the start, when the link goes down, and when it stays
    down for another reason. on_clock(peer, its clock, when that was asked for, and came, on time.monotonic; all in ms) comes
    before on_up, and with each pong.
    """

    def __init__(
        self,
        me: int,
        addresses: Sequence[tuple[str, int]],
        cluster_settings: ClusterSettings,
        incarnation: int,
        disk_id: bytes,
        on_messages: Callable[[int, list[Message], int, int], None],
        on_up: Callable[[Hello], None],
        on_down: Callable[[int, str], None],
        options: LinkOptions | None = None,
        starts: int = 0,
        cluster_id: Callable[[], str] = str,
        on_published: Callable[[int, list[Published]], None] = lambda peer, messages: None,
        on_clock: Callable[[int, float, float, float], None] = lambda peer, clock_ms, sent_ms, received_ms: None,
    ) -> None:
        self.on_published = on_published
        self.me = me
        self.settings = cluster_settings
        self.cluster_id = cluster_id
        """What this node knows of it now."""
        self.on_messages = on_messages
        self.options = options or LinkOptions()
        self.quiet = QuietLog(log)
        self.connections: set[Connection] = set()
        self._address = addresses[me]
        self._hello = Hello(cluster_settings.cluster, fingerprint(cluster_settings), me, -1, incarnation, disk_id, starts)
        self._on_up = on_up
        self._on_down = on_down
        self._on_clock = on_clock
        self._peers = {number: _Peer(number, address) for number, address in enumerate(addresses) if number != me}
        self._server: asyncio.Server | None = None
        self._dialling: list[asyncio.Task[None]] = []
        self._ticker: asyncio.TimerHandle | None = None
        self.closing = False
        self.held = False

    async def start(self) -> None:
        """Listen, and begin to dial. Raises PortTaken, or ConfigError for an address that this machine does not have."""
        loop = asyncio.get_running_loop()
        host, port = self._address
        try:
            self._server = await loop.create_server(lambda: Incoming(self), **listening(host, port))
        except OSError as error:
            what = f"node {self.me} cannot listen for its peers on {where(host, port)}"
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(
                    f"{what}: the port is in use. Stop the program that uses it, or give this node another (listen.peers)"
                ) from None
            raise ConfigError(f"{what}: {said(error)}: correct the address (listen.peers)") from None
        for peer in self._peers.values():
            peer.down_since_s = time.monotonic()
            self._on_down(peer.number, peer.down_reason)
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
                connection.stop("this node stops", flush=flush)
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
                frames = self._encode(number, messages)
                encoded = messages
            for frame in frames:
                outgoing.send(frame)

    def broadcast(self, payloads: Sequence[bytes], messages: int) -> None:
        """So many published messages for all peers, as frames. Never blocks: who reads too slowly loses them (counted)."""
        frames = [encode_frame(payload) for payload in payloads]
        for peer in self._peers.values():
            outgoing = peer.outgoing
            if outgoing is None or outgoing.over:
                peer.published_lost += messages
            elif outgoing.queued[1] > MAX_PUBLISHED_BYTES:
                peer.published_lost += messages
                self.quiet.warning(f"published {peer.number}", f"node {peer.number} reads too slowly: {messages} messages lost")
            else:
                for frame in frames:
                    outgoing.send(frame)

    def _encode(self, number: int, messages: list[Message]) -> list[bytes]:
        """Frames for these messages, without those that cannot be written: they are a loss to nobody but themselves."""
        try:
            return [encode_frame(payload) for payload in encode_payloads(messages)]
        except WireError as error:
            left = writable(messages)
            self.quiet.warning("encode", f"dropped {len(messages) - len(left)} messages to node {number}: {error}")
            self._peers[number].dropped += 1
            return [encode_frame(payload) for payload in encode_payloads(left)] if left else []

    def statistics(self) -> Mapping[int, LinkStatistics]:
        """Every peer's link at this moment."""
        return MappingProxyType({number: peer.statistics() for number, peer in self._peers.items()})

    def hold(self, held: bool) -> None:
        """Read nothing from the peers while `held`: what they have sent already is more than can be taken in."""
        self.held = held
        for peer in self._peers.values():
            if peer.incoming is not None:
                peer.incoming.hold(held)

    def renew(self, disk: int) -> None:
        """This node has another disk id from now on: end all connections, and begin anew under it (rule 19a)."""
        self._hello = self._hello._replace(disk_id=disk.to_bytes(16, "big"))
        for connection in list(self.connections):
            connection.stop("this node has become another one")

    def is_up(self, peer: int) -> bool:
        """Whether what is sent to this peer leaves."""
        return self._peers[peer].outgoing is not None

    # -- what connections tell

    def own_hello(self, target: int) -> Hello:
        return self._hello._replace(target=target, cluster_id=self.cluster_id(), clock_us=self.clock_us())

    def clock_us(self) -> int:
        return int(clock_ms() * 1_000.0)

    def greet(self, connection: Incoming, payload: bytes) -> None:
        """A dialler's first frame: answer it, check it, and let it replace the peer's older connection. Raises WireError."""
        target, problem = -1, None
        try:
            hello = connection.claimed = decode_hello(payload)
            target = hello.node
            check_hello(hello, self.settings, self.me, cluster_id=self.cluster_id())
        except WireError as error:
            problem = error
        if payload.startswith(MAGIC):
            connection.transport.write(encode_frame(encode_hello(self.own_hello(target))))
        if problem is not None:
            raise problem
        connection.hello = hello
        peer = self._peers[hello.node]
        self._recognise(peer, hello, connection.remote)
        if peer.incoming is not None:
            peer.incoming.stop("the peer has dialled again")
        peer.incoming = connection
        if peer.outgoing is not None and peer.outgoing.hello is not None and not peer.outgoing.hello.is_of_one_life_with(hello):
            peer.outgoing.stop("the peer has started again")  # it leads to an earlier life of the peer
        peer.wake.set()

    def dropped(self, peer: int, frames: int) -> None:
        self._peers[peer].dropped += frames

    def observe(self, peer: int, clock_us: int, sent_ms: float, received_ms: float) -> None:
        if self._peers[peer].outgoing is not None:  # else it was the hello, which takes longer
            self._peers[peer].observe_rtt(received_ms - sent_ms)
        self._on_clock(peer, clock_us / 1_000.0, sent_ms, received_ms)

    def went_up(self, connection: Outgoing, hello: Hello) -> None:
        peer = self._peers[connection.peer]
        peer.outgoing = connection
        self._recognise(peer, hello, connection.remote)
        peer.ups += 1
        peer.rtt_ms = 0.0
        log.info("node %d is up at %s", peer.number, connection.remote)
        self._on_up(hello)

    def went_down(self, connection: Outgoing) -> None:
        peer = self._peers[connection.peer]
        if peer.outgoing is connection:
            peer.outgoing = None
            peer.down_since_s = time.monotonic()
            peer.down_reason = connection.why
            if not self.closing:
                log.info("node %d is down: %s", peer.number, peer.down_reason)
                self._on_down(peer.number, peer.down_reason)

    def _recognise(self, peer: _Peer, hello: Hello, at: str) -> None:
        """Take what the peer says of itself, and warn if two processes speak under its number.

        A start draws a new incarnation: one that comes back after another has lived all the time beside it.
        """
        before, peer.hello = peer.hello, hello
        if before is None or before.incarnation == hello.incarnation:
            return
        who = f"node {peer.number} of cluster {self.settings.cluster!r} at {at}"
        disks = f"disk {hello.disk_id[:16].hex()}, before {before.disk_id[:16].hex()}"
        if hello.incarnation in peer.earlier:
            peer.returns += 1
        if peer.returns > 1:  # once may be a word of the old one that came late
            self.quiet.warning(
                f"twice {peer.number}",
                f"two processes run as {who} ({disks}): stop the one that should not be, before data is lost",
            )
        elif hello.disk_id != before.disk_id:
            self.quiet.warning(
                f"disk {peer.number}",
                f"{who} has come back with another data directory ({disks}): a second process under its number, or a lost disk",
            )
        peer.earlier.append(before.incarnation)

    def _stays_down(self, peer: _Peer, reason: str) -> None:
        """Another attempt has failed."""
        if peer.down_reason != reason:
            peer.down_reason = reason
            self._on_down(peer.number, reason)

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
            connection = Outgoing(self, peer.number)
            try:
                await self._dial(connection, peer.address)
                if connection.hello is not None:
                    await connection.lost
                else:
                    self._stays_down(peer, connection.why)
            except (OSError, TimeoutError) as error:  # (the one of asyncio.timeout is an OSError too)
                reason = "no answer" if isinstance(error, TimeoutError) else said(error)
                log.debug("node %d cannot be reached at %s: %s", peer.number, where(*peer.address), reason)
                self._stays_down(peer, reason)
            finally:
                if connection in self.connections:
                    connection.stop("given up", flush=self.closing)
            if (time.monotonic() - started) * 1000.0 > options.max_backoff_ms + options.hello_timeout_ms:
                backoff_ms = options.backoff_ms  # it was up for a while, so this is a new story
            with suppress(TimeoutError):  # (wait_for would lose a cancellation that comes in the same moment as the wake)
                async with asyncio.timeout(random.uniform(0.5, 1.5) * backoff_ms / 1000.0):
                    await peer.wake.wait()
            backoff_ms = min(2.0 * backoff_ms, options.max_backoff_ms)

    async def _dial(self, connection: Outgoing, address: tuple[str, int]) -> None:
        """Connect, and wait until the hello is answered or the connection lost. Raises OSError or TimeoutError."""
        async with asyncio.timeout(self.options.hello_timeout_ms / 1000.0):
            await asyncio.get_running_loop().create_connection(lambda: connection, *address)
            await connection.ready
