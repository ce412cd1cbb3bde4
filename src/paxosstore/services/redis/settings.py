"""Settings of the Redis service of one node."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ConfigError
from .layout.keyspace import MAX_SLOTS

LIMITS = (
    "max_clients",
    "max_bulk_bytes",
    "max_request_bytes",
    "max_keys",
    "max_pipelined",
    "max_transaction_commands",
    "script_budget_ms",
    "max_transaction_bytes",
    "max_unread_bytes",
    "max_clients_bytes",
)
MAX_NAME = 64
MAX_SECONDS = 32_767
"""What the system's keepalive can count."""


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Sizes are in bytes. `keyspace` must be the same on every node: it decides where a key lives."""

    host: str = "127.0.0.1"
    port: int = 6379
    """0: any free port."""
    keyspace: str = "db"
    """"db": databases 0 to 15, each one entity; "slots:N": one database over N entities."""
    master_name: str = "mymaster"
    """What SENTINEL calls the cluster: the name that clients of sentinels ask for."""
    max_clients: int = 10_000
    max_bulk_bytes: int = 64 * 1024 * 1024
    """Longest argument that is read at all; a longer one ends the connection."""
    max_request_bytes: int = 8 * 1024 * 1024
    """All arguments of one command; a longer one is passed over and refused."""
    max_keys: int = 8_000
    """Keys of one command; one of more is passed over and refused. Each costs two rows of the node's `max_request_rows`."""
    max_pipelined: int = 1_024
    """Commands of one connection that wait for their outcome; while there are more, none is begun."""
    max_transaction_commands: int = 10_000
    """Commands between MULTI and EXEC; one more is refused, and EXEC with it."""
    max_transaction_bytes: int = 8 * 1024 * 1024
    """What they and the watched keys take of memory; what goes over it is refused, and EXEC with it."""
    max_unread_bytes: int = 64 * 1024 * 1024
    """Replies that one client does not read, and commands that wait behind them; one with more is closed."""
    max_clients_bytes: int = 512 * 1024 * 1024
    """What is held for all clients together. Large commands wait or are refused from half of it on; above it, the clients
    that hold most are closed."""
    script_budget_ms: int = 50
    """Time on the processor that one script may take, its commands included; then it is stopped, and nothing of it is done. The
    node does nothing else meanwhile. Servers of one process share it: the last one started or tuned says it."""
    tcp_keepalive_s: int = 300
    """Silence after which the system asks whether the client is still there; 0: never."""
    idle_timeout_s: int = 0
    """A client that has sent nothing for so long and waits for nothing is closed; 0: never."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"redis port: {self.port} is not a port")
        for name in LIMITS:
            if getattr(self, name) <= 0:
                raise ConfigError(f"redis {name}: must be greater than 0, not {getattr(self, name)}")
        for name in ("tcp_keepalive_s", "idle_timeout_s"):
            if not 0 <= getattr(self, name) <= MAX_SECONDS:
                raise ConfigError(f"redis {name}: must be 0 to {MAX_SECONDS}, not {getattr(self, name)}")
        if self.max_clients_bytes < 4 * self.max_request_bytes:
            least = 4 * self.max_request_bytes
            raise ConfigError(f"redis max_clients_bytes: must be at least {least}, four times max_request_bytes")
        if (
            not self.master_name.isprintable()
            or not self.master_name
            or len(self.master_name) > MAX_NAME
            or " " in self.master_name
        ):
            raise ConfigError(f"redis master_name: a word of 1 to {MAX_NAME} characters is needed, not {self.master_name!r:.80}")
        _ = self.slots

    @property
    def slots(self) -> int:
        """Number of slots; 0: one entity for each database. Raises ConfigError."""
        if self.keyspace == "db":
            return 0
        kind, _, count = self.keyspace.partition(":")
        if kind != "slots" or not (count.isascii() and count.isdigit()) or not 1 <= int(count) <= MAX_SLOTS:
            raise ConfigError(f'redis keyspace: "db" or "slots:N" with N from 1 to {MAX_SLOTS} is needed, not {self.keyspace!r}')
        return int(count)
