"""A node's configuration file: TOML in, checked settings out, and what `init` writes.

Every mistake becomes a ConfigError that names the file, the key and what to do.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..errors import ConfigError
from ..services.redis.settings import RedisSettings
from ..settings import ClusterSettings, TuningSettings

LOCALHOST = "127.0.0.1"


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Addresses(NamedTuple):
    """Where one node is reached, by what for."""

    peers: Address
    redis: Address
    grpc: Address
    http: Address

    def __str__(self) -> str:
        return f"peers {self.peers} redis {self.redis} grpc {self.grpc} http {self.http}"


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How a node logs, on standard error: one line an event."""

    format: str = "human"
    """"human" or "json"."""
    level: str = "info"
    """"debug", "info", "warning" or "error"."""

    def __post_init__(self) -> None:
        if self.format not in ("human", "json"):
            raise ConfigError(f'format: "human" or "json" is needed, not {self.format!r}')
        if self.level not in ("debug", "info", "warning", "error"):
            raise ConfigError(f'level: "debug", "info", "warning" or "error" is needed, not {self.level!r}')


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Everything that one node needs to run."""

    node: int
    """This node's number, 0 to nodes-1; also its acceptor number."""
    data_dir: Path
    listen: Addresses
    nodes: tuple[Addresses, ...]
    """Addresses of all nodes, by node number, this one's included."""
    cluster: ClusterSettings
    tuning: TuningSettings
    redis: RedisSettings
    log: LogSettings

    @property
    def peers(self) -> list[tuple[str, int]]:
        """The nodes' addresses as the library wants them."""
        return [(node.peers.host, node.peers.port) for node in self.nodes]


@dataclass(frozen=True, slots=True)
class _AddressTexts:
    """Addresses as they stand in the file: "host:port", or a port of this machine."""

    peers: str | int
    redis: str | int
    grpc: str | int
    http: str | int


@dataclass(frozen=True, slots=True)
class _File:
    """The shape of the file."""

    node: int
    data: str
    cluster: ClusterSettings
    listen: _AddressTexts
    nodes: list[_AddressTexts]
    tuning: TuningSettings = TuningSettings()
    log: LogSettings = LogSettings()
    redis: RedisSettings = RedisSettings()


_SECTIONS: dict[str, type[Any]] = {
    "cluster": ClusterSettings,
    "tuning": TuningSettings,
    "redis": RedisSettings,
    "log": LogSettings,
    "listen": _AddressTexts,
}


def load_config(path: Path) -> NodeConfig:
    """Read and check a node's configuration. Raises ConfigError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}): `paxosstore init DIR` writes such files") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no TOML ({error}): correct it there") from error
    try:
        return _check(table, path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse_address(text: str | int, key: str) -> Address:
    """ "host:port", "[v6]:port", "port" or a number; without a host this machine is meant. Raises ConfigError."""
    host, _, port = str(text).rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536) or any(c.isspace() for c in host):
        raise ConfigError(f'{key}: {text!r} is no address: write "host:port" with a port from 1 to 65535')
    return Address(host or LOCALHOST, int(port))


def _check(table: dict[str, Any], base: Path) -> NodeConfig:
    _reject_unknown(table, _File, "")
    for name, cls in _SECTIONS.items():
        if isinstance(table.get(name), dict):
            _reject_unknown(table[name], cls, f"{name}.")
    for place in ("host", "port"):
        if place in table.get("redis", {}):
            raise ConfigError(f"redis.{place}: does not belong here: set listen.redis")
    entries = table.get("nodes")
    for number, entry in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(entry, dict):
            _reject_unknown(entry, _AddressTexts, f"nodes[{number}].")

    content = _convert(table)
    cluster, node = content.cluster, content.node
    if not 0 <= node < cluster.nodes:
        raise ConfigError(f"node: {node} is not possible: the nodes of this cluster are 0 to {cluster.nodes - 1}")
    if len(content.nodes) != cluster.nodes:
        raise ConfigError(f"nodes: {len(content.nodes)} are listed, cluster.nodes says {cluster.nodes}: list every node once")
    if not content.data:
        raise ConfigError("data: is empty: name the directory for this node's data")
    listen = _addresses(content.listen, "listen")
    nodes = tuple(_addresses(texts, f"nodes[{number}]") for number, texts in enumerate(content.nodes))
    _reject_twice([("listen", listen)])
    _reject_twice([(f"nodes[{number}]", addresses) for number, addresses in enumerate(nodes)])
    redis = msgspec.structs.replace if False else content.redis
    return NodeConfig(
        node=node,
        data_dir=base / content.data,
        listen=listen,
        nodes=nodes,
        cluster=cluster,
        tuning=content.tuning,
        redis=redis,
        log=content.log,
    )


def _convert(table: dict[str, Any]) -> _File:
    try:
        return msgspec.convert(table, _File, strict=True)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$")
        key = place.rstrip("`").lstrip(".")
        if problem.startswith("Object missing required field `"):
            missing = problem.split("`")[1]
            raise ConfigError(f"{key}.{missing}".lstrip(".") + ": is missing: add it") from error
        problem = problem.replace("`", "").replace("Expected", "expected")
        raise ConfigError(f"{key or 'the file'}: {problem}: correct the value") from error


def _reject_unknown(table: dict[str, Any], cls: type[Any], where: str) -> None:
    known = [field.name for field in fields(cls)]
    for key in table:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            remedy = f"did you mean {close[0]}?" if close else f"remove it; there are {', '.join(known)}"
            raise ConfigError(f"{where}{key}: is unknown: {remedy}")
