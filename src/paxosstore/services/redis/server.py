"""The Redis service of a node: listens, keeps the connections, and tells what they did."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ...core.request import Request
from ...errors import NodeError, PortTaken
from .connection import Connection
from .resp import Limits
from .session import REDIS_VERSION, Session
from .settings import RedisSettings

Info = Callable[[], Mapping[str, Mapping[str, object]]]
"""Further sections for INFO, or further lines for one of its own."""


@dataclass(frozen=True, slots=True)
class RedisStatistics:
    """What the service has done since its start."""

    connections: int
    connections_total: int
    connections_refused: int
    commands: int
    protocol_errors: int
    waiting: int
    """Commands without a reply, the held back ones included."""


class RedisServer:
    """Listens for clients and hands their commands to `submit` (a node's), which settles each of them once."""

    def __init__(self, submit: Callable[[Request], None], settings: RedisSettings, *, info: Info | None = None) -> None:
        self.submit = submit
        self.settings = settings
        self.limits = Limits(settings.max_bulk_bytes, 2 * settings.max_bulk_bytes)
        self.commands = 0
        self.protocol_errors = 0
        self._extra_info = info
        self._server: asyncio.Server | None = None
        self._stopping = False
        self._connections: dict[int, Connection] = {}
        self._connections_total = 0
        self._connections_refused = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._dirty: list[Connection] = []
        self._started_s = 0.0

    # -- life

    async def start(self) -> None:
        """Begin to listen. Raises PortTaken, or NodeError if the address cannot be used."""
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._started_s = loop.time()
        host, port = self.settings.host, self.settings.port
        try:
            self._server = await loop.create_server(self.accept, host, port, backlog=1024)
        except OSError as fault:
            if fault.errno == errno.EADDRINUSE:
                raise PortTaken(f"cannot listen for Redis on {host}:{port}: the port is in use: free it or change it") from fault
            raise NodeError(f"cannot listen for Redis on {host}:{port}: {fault.strerror}") from fault

    async def stop(self) -> None:
        """Stop listening and drop every client; what is under way is not taken back."""
        self._stopping = True  # who comes from now on would have nobody to end it
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for connection in list(self._connections.values()):
            connection.drop()
        await self._empty.wait()

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None, "not started"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    # -- what connections need

    def accept(self) -> Connection:
        """A connection for a client that has come."""
        self._connections_total += 1
        return Connection(self, self._connections_total)

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more client; there is none while the server is being stopped."""
        if self._stopping or len(self._connections) >= self.settings.max_clients:
            self._connections_refused += 1
            return False
        self._connections[connection.id] = connection
        self._empty.clear()
        return True

    def forget(self, connection: Connection) -> None:
        self._connections.pop(connection.id, None)
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
        for connection in dirty:
            connection.flush()

    def seconds(self) -> float:
        return self._loop.time()

    def sessions(self) -> Iterable[Session]:
        return self._connections.values()

    # -- looking in

    def statistics(self) -> RedisStatistics:
        return RedisStatistics(
            connections=len(self._connections),
            connections_total=self._connections_total,
            connections_refused=self._connections_refused,
            commands=self.commands,
            protocol_errors=self.protocol_errors,
            waiting=sum([connection.waiting for connection in self._connections.values()]),
        )

    def info(self) -> Mapping[str, Mapping[str, object]]:
        """The sections of INFO."""
        now = self.statistics()
        uptime_s = int(self.seconds() - self._started_s)
        sections: dict[str, dict[str, object]] = {
            "Server": {
                "redis_version": REDIS_VERSION,
                "redis_mode": "standalone",
                "paxosstore_version": _version(),
                "tcp_port": self.port,
                "uptime_in_seconds": uptime_s,
                "uptime_in_days": uptime_s // 86_400,
            },
            "Clients": {"connected_clients": now.connections, "maxclients": self.settings.max_clients},
            "Stats": {
                "total_connections_received": now.connections_total,
                "total_commands_processed": now.commands,
                "rejected_connections": now.connections_refused,
            },
            "Replication": {"role": "master", "connected_slaves": 0},
        }
        for title, facts in (self._extra_info() if self._extra_info is not None else {}).items():
            sections.setdefault(title, {}).update(facts)
        return sections


def _version() -> str:
    from importlib import metadata  # rare, and not free to import

    try:
        return metadata.version("paxosstore")
    except metadata.PackageNotFoundError:
        return "unknown"
