"""Settings of the Redis service of one node."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ConfigError
from .keyspace import MAX_SLOTS


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Sizes are in bytes. `keyspace` must be the same on every node: it decides where a key lives."""

    host: str = "127.0.0.1"
    port: int = 6379
    """0: any free port."""
    keyspace: str = "db"
    """"db": databases 0 to 15, each one entity; "slots:N": one database over N entities."""
    max_clients: int = 10_000
    max_bulk_bytes: int = 64 * 1024 * 1024
    """Longest argument that is read at all; a longer one ends the connection."""
    max_request_bytes: int = 8 * 1024 * 1024
    """All arguments of one write; a longer one is refused."""
    max_pipelined: int = 1_024
    """Commands of one connection that wait for their outcome; while there are more, nothing is read from it."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"redis port: {self.port} is not a port")
        for name in ("max_clients", "max_bulk_bytes", "max_request_bytes", "max_pipelined"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"redis {name}: must be greater than 0, not {getattr(self, name)}")
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
