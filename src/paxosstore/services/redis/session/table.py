"""The commands that concern the session or its node alone, and with those on data: all there are."""

from __future__ import annotations

from ..commands.spec import Spec, index
from ..commands.table import DATA_COMMANDS
from . import client, configuration, handshake, info, introspection
from .spec import Local, SessionSpec, container

_CLIENT: dict[bytes, tuple[int, Local]] = {
    b"getname": (2, client.client_getname),
    b"id": (2, client.client_id),
    b"info": (2, client.client_info),
    b"list": (-2, client.client_list),
    b"reply": (3, client.client_reply),
    b"setinfo": (4, client.client_setinfo),
    b"setname": (3, client.client_setname),
}
_COMMAND: dict[bytes, tuple[int, Local]] = {
    b"count": (2, introspection.command_count),
    b"docs": (-2, introspection.command_docs),
    b"getkeys": (-4, introspection.command_getkeys),
    b"info": (-2, introspection.command_info),
    b"list": (-2, introspection.command_list),
}
_CONFIG: dict[bytes, tuple[int, Local]] = {b"get": (-3, configuration.config_get)}


def _connection(name: str, arity: int, summary: str, flags: tuple[str, ...], local: Local) -> SessionSpec:
    return SessionSpec(name, arity, "connection", summary, flags, local=local)


def _server(name: str, arity: int, summary: str, flags: tuple[str, ...], local: Local) -> SessionSpec:
    return SessionSpec(name, arity, "server", summary, flags, local=local)


_STALE = ("loading", "stale")
_ALWAYS = ("noscript", "loading", "stale", "fast")
SESSION_COMMANDS = (
    _connection("auth", -2, "Authenticate; there are no passwords.", _ALWAYS, handshake.auth),
    _connection("client", -2, "Name this connection, list those of this node.", (), container("client", _CLIENT)),
    _server("command", -1, "What commands there are.", _STALE, container("command", _COMMAND, introspection.command)),
    _server(
        "config",
        -2,
        "Settings of this node; they can only be read.",
        ("admin", "noscript", *_STALE),
        container("config", _CONFIG),
    ),
    _connection("echo", 2, "Returns what it is given.", ("fast",), handshake.echo),
    _connection("hello", -1, "Choose the version of the protocol.", _ALWAYS, handshake.hello),
    _server("info", -1, "What this node can tell of itself.", _STALE, info.info),
    _connection("ping", -1, "Whether the node answers.", ("fast",), handshake.ping),
    _connection("quit", -1, "Close the connection.", _ALWAYS, handshake.quit_),
    _connection("reset", 1, "Bring the connection to its first state.", _ALWAYS, handshake.reset),
    _connection("select", 2, "Choose the database.", (*_STALE, "fast"), handshake.select),
)
ALL_COMMANDS: tuple[Spec, ...] = (*DATA_COMMANDS, *SESSION_COMMANDS)
TABLE = index(ALL_COMMANDS)
"""By name, in lower and in upper case."""
SPECS = {spec.name.encode(): spec for spec in ALL_COMMANDS}
"""By name, in lower case."""
