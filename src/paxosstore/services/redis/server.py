"""The Redis service of a node: listens, keeps the connections, and tells what they did."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from ...core.batch.request import Request
from ...errors import NodeError, PortTaken
from ...runtime.feed import Feed
from ...runtime.sockets import listening, said, where
from .beside.reads import LongReads
from .beside.view import Frozen
from .commands.calls import Function, handlers
from .commands.once import Window
from .commands.spec import Spec
from .connection.connection import Connection
from .information import Rates, Section, counted, sections
from .pubsub.hub import Hub
from .resp import Limits
from .room import Room, Traffic
from .scripting.runtime import RUNTIME
from .session.monitor import Monitors
from .session.parameters import Parameters
from .session.pausing import Pause
from .session.session import Session
from .session.table import SPECS
from .session.times import Times
from .session.topology import Topology
from .settings import RedisSettings
from .waiting.room import Follows, WaitingRoom
from .waiting.takings import NodeTakings

log = logging.getLogger(__name__)

Info = Callable[[], Mapping[str, Mapping[str, object]]]
"""Further sections for INFO, or further lines for one of its own."""

WORK_PER_PASS = 4_096
"""Commands that are started in one pass of the loop: what is left waits for the next one."""
LOOK_INTERVAL_S = 1.0
PROBE_TICKS = 5
"""So often, counted in looks, it is found out whether the node knows what comes for those who wait."""
STUCK_S = 10.0
"""A client that holds much and does nothing for so long is closed, if there is no room."""
CLOSED_FOR = ("unread", "memory", "foreign", "idle")
SAY_INTERVAL_S = 10.0
"""Between two lines of the log on clients that were closed for the same reason."""


@dataclass(frozen=True, slots=True)
class RedisStatistics:
    """What the service has done since its start."""

    connections: int
    connections_total: int
    connections_refused: int
    commands: int
    protocol_errors: int
    closed_unread: int
    """Clients closed because they did not read their replies."""
    closed_memory: int
    """Clients closed because all of them together held too much, and these the most."""
    closed_foreign: int
    """Clients closed because they spoke another protocol."""
    closed_idle: int
    waiting: int
    """Commands without a reply, the held back ones included."""
    held_bytes: int
    """What is held for all clients: what they sent and is not done, and replies that they have not read."""
    read_bytes: int
    """What clients have sent."""
    written_bytes: int


def wall_ms() -> int:
    return int(time.time() * 1_000)


class RedisServer:
    """Listens for clients and hands their commands to `submit` (a node's), which settles each of them once."""

    def __init__(
        self,
        submit: Callable[[Request], None],
        settings: RedisSettings,
        *,
        info: Info | None = None,
        publish: Callable[[bytes, bytes, int], None] | None = None,
        feed: Follows | None = None,
        freeze: Callable[[int], Frozen] | None = None,
        now_ms: Callable[[], int] = wall_ms,
        replicas: int = 0,
        uuid_window_entries: int = 65_536,
        topology: Topology | None = None,
        app: Mapping[str, Function] | None = None,
        directory: Path | None = None,
    ) -> None:
        """`publish` tells every node's `hub`; None: there is this one alone. `feed` tells what is applied to an entity.
        `freeze` opens an entity as it is now, for reads that are too long for the loop; None: they are done on it, in one go.

        `replicas`: nodes beside this one that have every write that was answered, at least. `uuid_window_entries`: the
        cluster's setting. `topology`: where clients find the nodes; None: there is this one alone. `app`: an application's
        functions, which every node has among its handlers as well (commands/calls.py); None: there is none. `directory`: where
        the node has its data; None: what it takes for clients when it is killed is not given back.
        """
        self.seconds: Callable[[], float] = lambda: self._loop.time()
        """The loop's time. Asked several times for each command, so it is the loop's own from its start on."""
        self.now_ms = now_ms
        self.replicas = replicas
        self.submit = submit
        self.waiting = WaitingRoom(
            Feed(0) if feed is None else feed, self.seconds, lambda pause_s, call: self._loop.call_later(pause_s, call)
        )
        self.beside = None if freeze is None else LongReads(freeze, submit, self._call_soon, self._from_thread, self.later)
        self._ticks = 0
        self.takings = NodeTakings(submit, self.later)
        self._directory = directory
        self.hub = Hub(publish, self._call_soon)
        self.settings = settings
        self.specs: Mapping[bytes, Spec] = SPECS
        self.parameters = Parameters()
        RUNTIME.budget_ms = settings.script_budget_ms
        self.once_window = Window(uuid_window_entries)
        self.topology = topology or Topology()
        self.has_app = app is not None
        self.calls: Mapping[str, Function] = handlers(app or {}, self.once_window)
        self.times = Times(self.parameters)
        self.monitors = Monitors()
        self.pause = Pause(self.seconds, self.later, self._unpaused)
        self.limits = _limits(settings)
        self.room = Room(settings.max_clients_bytes)
        self.work = WORK_PER_PASS
        self.traffic = Traffic()
        self.commands = 0
        self.rates = Rates()
        """Of the last second."""
        self._forgotten: dict[str, int] = {}
        """What INFO's counters were at when CONFIG RESETSTAT came."""
        self.protocol_errors = 0
        self._closed = dict.fromkeys(CLOSED_FOR, 0)
        self._closed_unsaid = dict.fromkeys(CLOSED_FOR, 0)
        self._closed_said_s = dict.fromkeys(CLOSED_FOR, -math.inf)
        self._looking_for_room = False
        self._starved: set[Connection] = set()
        self._tick: asyncio.TimerHandle | None = None
        self._extra_info = info
        self._server: asyncio.Server | None = None
        self._port = 0
        self._stopping = False
        self._connections: dict[int, Connection] = {}
        self._connections_total = 0
        self._connections_refused = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._dirty: list[Connection] = []
        self._started_s = 0.0
        self.run_id = secrets.token_hex(20)

    # -- life

    async def start(self) -> None:
        """Begin to listen. Raises PortTaken, or NodeError if the address cannot be used."""
        loop = asyncio.get_running_loop()
        self._loop = loop
        self.seconds = loop.time
        self._started_s = loop.time()
        self.rates.count(0, self.traffic, self._started_s)
        host, port = self.settings.host, self.settings.port
        self.takings.open(self._directory)
        try:
            self._server = await loop.create_server(self._protocol, backlog=1024, **listening(host, port))
        except OSError as fault:
            what = f"cannot listen for Redis on {where(host, port)}"
            if fault.errno == errno.EADDRINUSE:
                raise PortTaken(f"{what}: the port is in use: free it or change listen.redis") from fault
            raise NodeError(f"{what}: {said(fault)}: change listen.redis") from fault
        self._port = int(self._server.sockets[0].getsockname()[1])
        self._look_at_clients()
        self.takings.go_on()

    async def drain(self, grace_s: float) -> None:
        """Take no client and no command any more, and wait until what is under way is answered, for so long at most."""
        self._close_port()
        for connection in list(self._connections.values()):
            connection.drain()
        self.waiting.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._empty.wait()

    async def stop(self) -> None:
        """Stop listening and drop every client; what is under way is not taken back."""
        self._close_port()
        if self._tick is not None:
            self._tick.cancel()
        self.hub.close()
        for connection in list(self._connections.values()):
            connection.drop()
        await self._empty.wait()
        self.takings.close()

    def tune(self, settings: RedisSettings) -> None:
        """These limits hold from now on, for clients that are there as well; who holds too much now is closed.

        Where it listens, and how keys map to entities, cannot change.
        """
        fixed = self.settings
        self.settings = replace(settings, host=fixed.host, port=fixed.port, keyspace=fixed.keyspace)
        RUNTIME.budget_ms = settings.script_budget_ms
        self.limits = _limits(settings)
        self.room.tune(settings.max_clients_bytes)
        for connection in self._connections.values():
            connection.tune()
        if self.room.over:
            self.look_for_room()
        self._feed_starved()

    def _close_port(self) -> None:
        self._stopping = True  # who comes from now on would have nobody to end it
        server, self._server = self._server, None
        if server is not None:
            server.close()

    @property
    def port(self) -> int:
        """The port it listens on, or has listened on."""
        assert self._port, "not started"
        return self._port

    # -- what connections need

    def accept(self) -> Connection:
        """A connection for a client that has come."""
        self._connections_total += 1
        return Connection(self, self._connections_total)

    def _protocol(self) -> asyncio.Protocol:
        return cast(asyncio.Protocol, self.accept())

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more client; there is none while the server is being stopped."""
        if self._stopping or len(self._connections) >= self.settings.max_clients:
            self._connections_refused += 1
            return False
        self._connections[connection.session.id] = connection
        self._empty.clear()
        return True

    def forget(self, connection: Connection) -> None:
        self._connections.pop(connection.session.id, None)
        self.monitors.forget(connection.session)
        self._feed_starved()
        if not self._connections:
            self._empty.set()

    def flush_soon(self, connection: Connection) -> None:
        """Call the connection's `flush` in the next pass of the loop."""
        if not self._dirty:
            self._loop.call_soon(self.flush)
        self._dirty.append(connection)

    def flush(self) -> None:
        """Write the replies that are complete; for the node, after it has settled requests."""
        dirty, self._dirty = self._dirty, []
        self.work = WORK_PER_PASS
        served, left = 0, True
        for connection in dirty:
            connection.flush()
            if left:
                served, left = len(self._dirty), self.work > 0
        if served < len(self._dirty):  # who got nothing of this pass comes first in the next one
            self._dirty = self._dirty[served:] + self._dirty[:served]
        if self._starved:
            self._feed_starved()

    def look_for_room(self) -> None:
        """Too much is held: close somebody in the next pass of the loop."""
        if not self._looking_for_room:
            self._looking_for_room = True
            self._loop.call_soon(self._make_room)

    def starve(self, connection: Connection) -> None:
        """Call the connection's `wake` when there is room again."""
        self._starved.add(connection)

    def closing(self, why: str, session: Session, text: str) -> None:
        """A client is closed, for one of `CLOSED_FOR`: count it, and say so, though not a thousand times."""
        self._closed[why] += 1
        now_s = self.seconds()
        if now_s - self._closed_said_s[why] < SAY_INTERVAL_S:
            self._closed_unsaid[why] += 1
            return
        others = f" (and {self._closed_unsaid[why]} others before it)" if self._closed_unsaid[why] else ""
        self._closed_said_s[why], self._closed_unsaid[why] = now_s, 0
        log.log(logging.INFO if why == "idle" else logging.WARNING, "closed client %s: %s%s", session.address, text, others)

    def _feed_starved(self) -> None:
        if not self.room.full:
            starved, self._starved = self._starved, set()
            for connection in starved:
                connection.wake()

    def _make_room(self) -> None:
        """Close those who hold most until there is no more than there may be."""
        self._looking_for_room = False
        clients = [(connection.weigh(), connection.session.id) for connection in self._connections.values()]
        for size, number in sorted(clients, reverse=True):
            if not self.room.over:
                break
            connection = self._connections[number]
            limit = self.room.limit
            text = (
                f"it holds {size} bytes and all clients {self.room.held}, over the limit of {limit}: see redis.max_clients_bytes"
            )
            self.closing("memory", connection.session, text)
            connection.drop()

    def _look_at_clients(self) -> None:
        """Once a second: end who has been idle for too long, and who is stuck where others want room."""
        self._tick = self._loop.call_later(LOOK_INTERVAL_S, self._look_at_clients)
        self.hub.tick()
        self._ticks += 1
        if self._ticks % PROBE_TICKS == 0:
            self.waiting.probe()
        now_s, limit_s = self.seconds(), self.settings.idle_timeout_s
        self.rates.count(self.commands, self.traffic, now_s)
        if limit_s:
            for connection in list(self._connections.values()):
                if connection.is_idle(now_s, limit_s):
                    self.closing("idle", connection.session, f"it has sent nothing for {limit_s} s: see redis.idle_timeout_s")
                    connection.drop()
        if self.room.full:
            for connection in list(self._connections.values()):
                if connection.is_stuck(now_s, STUCK_S):
                    text = f"it holds {connection.held} bytes and has neither sent nor read anything for {STUCK_S:g} s"
                    self.closing("memory", connection.session, f"{text}, and there is no room: see redis.max_clients_bytes")
                    connection.drop()

    def _unpaused(self) -> None:
        for connection in self._connections.values():
            connection.wake()

    def later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        return self._loop.call_later(seconds, call)

    def _call_soon(self, call: Callable[[], object]) -> None:
        self._loop.call_soon(call)

    def _from_thread(self, call: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(call)

    def sessions(self) -> Iterable[Session]:
        return [connection.session for connection in self._connections.values()]

    # -- looking in

    @property
    def blocked(self) -> int:
        """Clients that wait for something to come."""
        return len(self.waiting)

    @property
    def uptime_s(self) -> int:
        return int(self.seconds() - self._started_s)

    def statistics(self) -> RedisStatistics:
        return RedisStatistics(
            connections=len(self._connections),
            connections_total=self._connections_total,
            connections_refused=self._connections_refused,
            commands=self.commands,
            protocol_errors=self.protocol_errors,
            closed_unread=self._closed["unread"],
            closed_memory=self._closed["memory"],
            closed_foreign=self._closed["foreign"],
            closed_idle=self._closed["idle"],
            waiting=sum([connection.waiting for connection in self._connections.values()]),
            held_bytes=self.room.held,
            read_bytes=self.traffic.bytes_in,
            written_bytes=self.traffic.bytes_out,
        )

    def info(self) -> Mapping[str, Mapping[str, object]]:
        """The sections of INFO."""
        told = self._told()
        told["Stats"] |= {name: count - self._forgotten.get(name, 0) for name, count in counted(told).items()}
        return told

    def forget_counts(self) -> None:
        """INFO counts from now on; what is counted for metrics goes on."""
        self.times.forget_commands()
        self._forgotten = counted(self._told())

    def _told(self) -> dict[str, Section]:
        told = sections(self, self.statistics())
        for title, facts in (self._extra_info() if self._extra_info is not None else {}).items():
            told.setdefault(title, {}).update(facts)
        return told


def _limits(settings: RedisSettings) -> Limits:
    return Limits(settings.max_bulk_bytes, settings.max_request_bytes, settings.max_keys)
