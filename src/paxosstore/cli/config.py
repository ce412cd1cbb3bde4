"""A node's configuration file: TOML in, checked settings out.

Every mistake becomes a ConfigError that names the file, the key and what to do.
"""

from __future__ import annotations

import json
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from ..boundary import is_host, shown
from ..errors import ConfigError
from ..runtime.sockets import where
from ..services.redis.settings import RedisSettings
from ..settings import ClusterSettings, TuningSettings, check_name

LOCALHOST = "127.0.0.1"
OFF = "off"
MAX_FILE_BYTES = 1 << 20

T = TypeVar("T")


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return where(self.host, self.port)


class Addresses(NamedTuple):
    """Where one node is reached, by what for."""

    peers: Address
    redis: Address
    grpc: Address | None
    """None: the node has no card service."""
    http: Address

    def __str__(self) -> str:
        return f"peers {self.peers} redis {self.redis} grpc {self.grpc or OFF} http {self.http}"


def services(addresses: Addresses) -> str:
    """Where a node's clients find it."""
    return f"redis {addresses.redis}" + ("" if addresses.grpc is None else f", grpc {addresses.grpc}")


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
class HttpSettings:
    """Settings of the HTTP service."""

    hosts: tuple[str, ...] = ()
    """Names under which clients may ask for it, besides its addresses, localhost, the machine's name and those in the file."""


@dataclass(frozen=True, slots=True)
class AppSettings:
    """Which application's functions the node runs for its clients; the same on every node."""

    module: str = ""
    """"module:name" of a mapping from names to functions, as `App` is one; empty: there is none."""
    path: str = "."
    """Where the module is looked for first; relative to the file."""

    def __post_init__(self) -> None:
        module, _, name = self.module.partition(":")
        if self.module and not (name.isidentifier() and all(part.isidentifier() for part in module.split("."))):
            raise ConfigError(f'module: "module:name" is needed, not {self.module!r:.100}')
        if not self.path or "\0" in self.path:
            raise ConfigError("path: name the directory of the module")


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
    http: HttpSettings
    log: LogSettings
    app: AppSettings

    @property
    def http_hosts(self) -> set[str]:
        """Names that this node's HTTP service answers to; what else a browser names may be somebody else's."""
        addresses = [self.listen, *self.nodes]
        named = {address.host.rstrip(".") for each in addresses for address in (each.http, each.peers)}
        return named | set(self.http.hosts) | {socket.gethostname()}

    @property
    def peers(self) -> list[tuple[str, int]]:
        """The nodes' addresses as the library wants them; for this node it is where it listens."""
        own, nodes = self.node, enumerate(self.nodes)
        return [(self.listen if number == own else node).peers[:2] for number, node in nodes]


@dataclass(frozen=True, slots=True)
class _AddressTexts:
    """Addresses as they stand in the file: "host:port", or a port of this machine."""

    peers: str | int
    redis: str | int
    http: str | int
    grpc: str | int = OFF


@dataclass(frozen=True, slots=True)
class _File:
    """The shape of the file; its sections are checked one by one."""

    node: int
    data: str
    cluster: dict[str, Any]
    listen: dict[str, Any]
    nodes: list[dict[str, Any]]
    tuning: dict[str, Any] = field(default_factory=dict)
    redis: dict[str, Any] = field(default_factory=dict)
    http: dict[str, Any] = field(default_factory=dict)
    log: dict[str, Any] = field(default_factory=dict)
    app: dict[str, Any] = field(default_factory=dict)


class Content(NamedTuple):
    """A configuration file as it was read."""

    path: Path
    text: str
    table: dict[str, Any]

    def check(self, changed: Mapping[str, Any] | None = None) -> NodeConfig:
        """The settings in it, of which these ("section.name") are others. Raises ConfigError, with the line if it is known."""
        table = {name: dict(part) if isinstance(part, dict) else part for name, part in self.table.items()}
        for name, value in (changed or {}).items():
            section, _, key = name.partition(".")
            table.setdefault(section, {})[key] = value
        try:
            return _check(table, self.path.parent)
        except ConfigError as error:
            line = 0 if changed else line_of(self.text, str(error).partition(":")[0])
            raise ConfigError(f"{self.path}{f', line {line}' if line else ''}: {error}") from error


def read_config(path: Path) -> Content:
    """A file's text as TOML. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigError(f"{path}: is larger than {MAX_FILE_BYTES} bytes: name the node's configuration file")
        text = content.decode("utf-8-sig")
        return Content(path, text, tomllib.loads(text))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}): `paxosstore init DIR` writes such files") from error
    except (ValueError, RecursionError) as error:  # of tomllib: also of numbers and lists that are beyond Python
        raise ConfigError(f"{path}: is no TOML: {error}") from error


def load_config(path: Path) -> NodeConfig:
    """Read and check a node's configuration. Raises ConfigError."""
    return read_config(path).check()


def line_of(text: str, name: str) -> int:
    """Where a setting, "section.key" or "key", stands in a file; 0: nowhere that is found by looking at its lines."""
    wanted_section, _, wanted = name.rpartition(".")
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            section = stripped.strip("[]").strip()
        elif section == wanted_section and stripped.partition("=")[0].strip() == wanted:
            return number
    return 0


def as_in_a_file(value: Any) -> str:
    """A setting. Numbers, words and lists look in JSON as they do in TOML."""
    return json.dumps(value)


def parse_address(text: str | int, key: str) -> Address:
    """The address in "host:port", "[v6]:port" or a bare port, which means this machine. Raises ConfigError."""
    host, _, port = (text if isinstance(text, str) else shown(text)).rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        port = ""  # an IPv6 address without brackets is ambiguous
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65_536) or not is_host(host or LOCALHOST):
        raise ConfigError(f'{key}: {shown(text)} is no address: write "host:port" or "[IPv6]:port" with a port from 1 to 65535')
    return Address(host or LOCALHOST, int(port))


def _check(table: dict[str, Any], base: Path) -> NodeConfig:
    file = _section(table, _File, "")
    cluster = _section(file.cluster, ClusterSettings, "cluster")
    try:
        check_name(cluster.cluster)
    except ConfigError as error:
        raise ConfigError(f"cluster.{error}") from error
    if not 0 <= file.node < cluster.nodes:
        raise ConfigError(f"node: {shown(file.node)} is not possible: the nodes of this cluster are 0 to {cluster.nodes - 1}")
    if len(file.nodes) != cluster.nodes:
        raise ConfigError(f"nodes: {len(file.nodes)} are listed, cluster.nodes says {cluster.nodes}: list every node once")
    if not file.data or "\0" in file.data:
        raise ConfigError("data: is no path: name the directory for this node's data")
    listen = _addresses(file.listen, "listen")
    nodes = tuple(_addresses(entry, f"nodes[{number}]") for number, entry in enumerate(file.nodes))
    _reject_twice({"listen": listen})
    _reject_twice({f"nodes[{number}]": addresses for number, addresses in enumerate(nodes)})
    for key in ("host", "port"):
        if key in file.redis:
            raise ConfigError(f"redis.{key}: does not belong here: set listen.redis")
    tuning = _section(file.tuning, TuningSettings, "tuning")
    redis = _section({"max_request_bytes": tuning.max_request_bytes, **file.redis}, RedisSettings, "redis")
    return NodeConfig(
        node=file.node,
        data_dir=base / file.data,
        listen=listen,
        nodes=nodes,
        cluster=replace(cluster, services=f"redis.keyspace={redis.keyspace}"),
        tuning=tuning,
        redis=replace(redis, host=listen.redis.host, port=listen.redis.port),
        http=_section(file.http, HttpSettings, "http"),
        log=_section(file.log, LogSettings, "log"),
        app=_section(file.app, AppSettings, "app"),
    )


def _section(table: dict[str, Any], cls: type[T], section: str) -> T:
    """One section as its class. Raises ConfigError with the key's full name."""
    prefix = f"{section}." if section else ""
    known = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # T is always a dataclass
    for key in table:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            remedy = f"did you mean {close[0]}?" if close else f"remove it; there are {', '.join(known)}"
            raise ConfigError(f"{prefix}{key}: is unknown: {remedy}")
    try:
        return msgspec.convert(table, cls, strict=True)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).replace("`", "").partition(" - at $")
        missing = problem.removeprefix("Object missing required field ")
        if missing != problem:
            raise ConfigError(f"{prefix}{missing}: is missing: add it") from error
        raise ConfigError(f"{prefix}{place.lstrip('.')}: {problem[:1].lower()}{problem[1:]}: correct it") from error
    except ConfigError as error:
        raise ConfigError(f"{prefix}{str(error).removeprefix(f'{section} ')}") from error


def _addresses(table: dict[str, Any], section: str) -> Addresses:
    texts = _section(table, _AddressTexts, section)
    return Addresses(
        peers=parse_address(texts.peers, f"{section}.peers"),
        redis=parse_address(texts.redis, f"{section}.redis"),
        grpc=None if texts.grpc == OFF else parse_address(texts.grpc, f"{section}.grpc"),
        http=parse_address(texts.http, f"{section}.http"),
    )


def _reject_twice(by_section: dict[str, Addresses]) -> None:
    seen: dict[Address, str] = {}
    for section, addresses in by_section.items():
        for name, address in addresses._asdict().items():
            key = f"{section}.{name}"
            if address is None:
                continue
            if address in seen:
                raise ConfigError(f"{key}: {address} is taken by {seen[address]}: give each its own")
            seen[address] = key
