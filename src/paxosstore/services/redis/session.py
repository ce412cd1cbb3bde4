"""Commands that concern the session or this node alone: functions (session, arguments) -> reply."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from ...errors import TooLarge
from . import introspection
from .commands.spec import Spec, index
from .commands.table import DATA_COMMANDS
from .glob import MAX_PATTERN_BYTES, compile_glob
from .layout.keyspace import DATABASES
from .reply import (
    NOT_AN_INTEGER,
    OK,
    SYNTAX_ERROR,
    array,
    bulk,
    error,
    integer_reply,
    map_of,
    nil,
    simple,
    store_error,
    text,
    verbatim,
)
from .reply import wrong_arity as arity_error
from .resp import integer
from .settings import RedisSettings

REDIS_VERSION = "7.0.0"
"""The version whose behaviour and texts are followed."""
DEFAULT_USER = b"default"


class Host(Protocol):
    """What the server tells the sessions."""

    @property
    def settings(self) -> RedisSettings: ...

    def sessions(self) -> Iterable[Session]: ...

    def seconds(self) -> float:
        """Monotonic time."""
        ...

    def info(self) -> Mapping[str, Mapping[str, object]]:
        """Sections of INFO."""
        ...


class Session:
    """What a connection is set to."""

    __slots__ = (
        "active_s",
        "address",
        "db",
        "ending",
        "host",
        "id",
        "last",
        "library",
        "local_address",
        "name",
        "proto",
        "since_s",
    )

    def __init__(self, host: Host, number: int) -> None:
        self.host = host
        self.id = number
        self.proto = 2
        self.db = 0
        self.name = b""
        self.library = {b"LIB-NAME": b"", b"LIB-VER": b""}
        self.address = ""
        self.local_address = ""
        self.last = ""
        """Name of the command under way."""
        self.ending = False
        """The connection is closed behind the reply to the command under way."""
        self.since_s = self.active_s = host.seconds()

    @property
    def held(self) -> int:
        """Bytes that are held for it."""
        return 0

    def reset(self) -> None:
        self.proto = 2
        self.db = 0
        self.name = b""

    def describe(self) -> str:
        """One line of CLIENT LIST."""
        now_s = self.host.seconds()
        return (
            f"id={self.id} addr={self.address} laddr={self.local_address} name={self.name.decode('latin-1')}"
            f" age={int(now_s - self.since_s)} idle={int(now_s - self.active_s)} flags=N db={self.db} cmd={self.last}"
            f" tot-mem={self.held} user=default lib-name={self.library[b'LIB-NAME'].decode('latin-1')}"
            f" lib-ver={self.library[b'LIB-VER'].decode('latin-1')} resp={self.proto}\n"
        )


Local = Callable[[Session, list[bytes]], bytes]


def ping(session: Session, args: list[bytes]) -> bytes:
    if len(args) > 2:
        return arity_error("ping")
    return bulk(args[1]) if len(args) == 2 else b"+PONG\r\n"


def echo(session: Session, args: list[bytes]) -> bytes:
    return bulk(args[1])


def quit_(session: Session, args: list[bytes]) -> bytes:
    session.ending = True
    return OK


def reset(session: Session, args: list[bytes]) -> bytes:
    session.reset()
    return simple("RESET")


def select(session: Session, args: list[bytes]) -> bytes:
    db = integer(args[1])
    if db is None:
        return NOT_AN_INTEGER
    if not -(2**31) <= db < 2**31:
        return error("value is out of range, value must between -2147483648 and 2147483647")
    if not 0 <= db < databases(session.host.settings):
        return error("DB index is out of range")
    session.db = db
    return OK


def databases(settings: RedisSettings) -> int:
    return 1 if settings.slots else DATABASES


def auth(session: Session, args: list[bytes]) -> bytes:
    if len(args) > 3:
        return SYNTAX_ERROR
    if len(args) == 2:
        return error(
            "AUTH <password> called without any password configured for the default user."
            " Are you sure your configuration is correct?"
        )
    return _authenticate(args[1]) or OK


def _authenticate(user: bytes) -> bytes | None:
    """There is one user, and no password: any will do. Returns the error for another user."""
    return None if user == DEFAULT_USER else error("invalid username-password pair or user is disabled.", "WRONGPASS")


def hello(session: Session, args: list[bytes]) -> bytes:
    proto, name = session.proto, session.name
    if len(args) > 1:
        number = integer(args[1])
        if number is None:
            return error("Protocol version is not an integer or out of range")
        if number not in (2, 3):
            return error("unsupported protocol version", "NOPROTO")
        proto = number
    words = iter(args[2:])
    left = len(args) - 2
    for word in words:
        left -= 1
        option = word.upper()
        if option == b"AUTH" and left >= 2:
            refused = _authenticate(next(words))
            next(words)
            left -= 2
            if refused is not None:
                return refused
        elif option == b"SETNAME" and left >= 1:
            name = next(words)
            left -= 1
            if not _is_plain(name):
                return _BAD_NAME
        else:
            return error(b"Syntax error in HELLO option '" + word + b"'")
    session.proto, session.name = proto, name
    pairs = [
        ("server", text("redis")),
        ("version", text(REDIS_VERSION)),
        ("proto", integer_reply(proto)),
        ("id", integer_reply(session.id)),
        ("mode", text("standalone")),
        ("role", text("master")),
        ("modules", array([])),
    ]
    return map_of([(text(key), value) for key, value in pairs], proto)


# -- CLIENT

_BAD_NAME = error("Client names cannot contain spaces, newlines or special characters.")
_PLAIN = re.compile(rb"[!-~]*")
MAX_LABEL_BYTES = 1_024
"""Of a client's name: CLIENT LIST shows all of them."""


def _is_plain(value: bytes) -> bool:
    return len(value) <= MAX_LABEL_BYTES and _PLAIN.fullmatch(value) is not None


def client_id(session: Session, args: list[bytes]) -> bytes:
    return integer_reply(session.id)


def client_info(session: Session, args: list[bytes]) -> bytes:
    return verbatim(session.describe(), session.proto)


def client_list(session: Session, args: list[bytes]) -> bytes:
    """The clients of this node."""
    if len(args) == 4 and args[2].upper() == b"TYPE" and args[3].lower() == b"normal":
        chosen = list(session.host.sessions())
    elif len(args) > 3 and args[2].upper() == b"ID":
        numbers = {integer(word) for word in args[3:]}
        if None in numbers:
            return error("Invalid client ID")
        chosen = [other for other in session.host.sessions() if other.id in numbers]
    elif len(args) == 2:
        chosen = list(session.host.sessions())
    else:
        return SYNTAX_ERROR
    return verbatim("".join([other.describe() for other in chosen]), session.proto)


def client_reply(session: Session, args: list[bytes]) -> bytes:
    """Replies cannot be switched off, and a client that expects none would take them for those to later commands."""
    mode = args[2].upper()
    if mode == b"ON":
        return OK
    if mode not in (b"OFF", b"SKIP"):
        return SYNTAX_ERROR
    session.ending = True
    return error("CLIENT REPLY OFF and SKIP are not possible here: the connection ends")


def client_setname(session: Session, args: list[bytes]) -> bytes:
    if not _is_plain(args[2]):
        return _BAD_NAME
    session.name = args[2]
    return OK


def client_getname(session: Session, args: list[bytes]) -> bytes:
    return bulk(session.name) if session.name else nil(session.proto)


def client_setinfo(session: Session, args: list[bytes]) -> bytes:
    option = args[2].upper()
    if option not in session.library:
        return error(b"Unrecognized option '" + args[2] + b"'")
    if not _is_plain(args[3]):
        return error(option.decode().lower() + " cannot contain spaces, newlines or special characters.")
    session.library[option] = args[3]
    return OK


# -- INFO and CONFIG


def info(session: Session, args: list[bytes]) -> bytes:
    wanted = {word.decode("latin-1").lower() for word in args[1:]}
    everything = not wanted or bool(wanted & {"default", "all", "everything"})
    parts = []
    for title, facts in session.host.info().items():
        if everything or title.lower() in wanted:
            lines = [f"# {title}", *[f"{key}:{value}" for key, value in facts.items()], ""]
            parts.append("\r\n".join(lines))
    return verbatim("\r\n".join(parts), session.proto)


def config_get(session: Session, args: list[bytes]) -> bytes:
    size = sum(map(len, args[2:]))
    if size > MAX_PATTERN_BYTES:
        return error(f"patterns of {size} bytes are over the limit of {MAX_PATTERN_BYTES}", "TOOLARGE")
    try:
        patterns = [compile_glob(word.lower()) for word in args[2:]]
    except TooLarge as refusal:
        return store_error(refusal)
    facts = _config(session.host.settings)
    found = [(key, value) for key, value in facts.items() if any(p.fullmatch(key.encode()) for p in patterns)]
    return map_of([(text(key), text(str(value))) for key, value in found], session.proto)


def _config(settings: RedisSettings) -> dict[str, object]:
    """What clients ask for to know what they deal with."""
    return {
        "appendfsync": "always",
        "appendonly": "yes",
        "bind": settings.host,
        "client-output-buffer-limit": f"normal {settings.max_unread_bytes} 0 0",
        "databases": databases(settings),
        "maxclients": settings.max_clients,
        "maxmemory": 0,
        "maxmemory-clients": settings.max_clients_bytes,
        "maxmemory-policy": "noeviction",
        "port": settings.port,
        "proto-max-bulk-len": settings.max_bulk_bytes,
        "requirepass": "",
        "save": "",
        "tcp-keepalive": settings.tcp_keepalive_s,
        "timeout": settings.idle_timeout_s,
    }


# -- COMMAND


def command(session: Session, args: list[bytes]) -> bytes:
    return introspection.info_of(ALL_COMMANDS, session.proto)


def command_count(session: Session, args: list[bytes]) -> bytes:
    return integer_reply(len(ALL_COMMANDS))


def command_list(session: Session, args: list[bytes]) -> bytes:
    if len(args) > 2:
        return SYNTAX_ERROR
    return introspection.names(ALL_COMMANDS)


def command_docs(session: Session, args: list[bytes]) -> bytes:
    named = [TABLE.get(word.lower()) for word in args[2:]]
    specs = [spec for spec in named if spec is not None] if named else ALL_COMMANDS
    return introspection.docs(specs, session.proto)


def command_info(session: Session, args: list[bytes]) -> bytes:
    specs = [TABLE.get(word.lower()) for word in args[2:]]
    return introspection.info_of(specs or ALL_COMMANDS, session.proto)


def command_getkeys(session: Session, args: list[bytes]) -> bytes:
    return introspection.keys_of(TABLE.get(args[2].lower()), args[2:])


# -- the tables


def container(name: str, subcommands: Mapping[bytes, tuple[int, Local]], alone: Local | None = None) -> Local:
    """A command whose second word says what to do; the table holds the arity of each."""

    def run(session: Session, args: list[bytes]) -> bytes:
        if len(args) == 1 and alone is not None:
            return alone(session, args)
        sub = args[1].lower()
        if sub not in subcommands:
            return error(b"unknown subcommand '%b'. Try %b HELP." % (args[1][:128], name.upper().encode()))
        arity, function = subcommands[sub]
        if (len(args) != arity) if arity > 0 else (len(args) < -arity):
            return arity_error(f"{name}|{sub.decode()}")
        return function(session, args)

    return run


_CLIENT: dict[bytes, tuple[int, Local]] = {
    b"getname": (2, client_getname),
    b"id": (2, client_id),
    b"info": (2, client_info),
    b"list": (-2, client_list),
    b"reply": (3, client_reply),
    b"setinfo": (4, client_setinfo),
    b"setname": (3, client_setname),
}
_COMMAND: dict[bytes, tuple[int, Local]] = {
    b"count": (2, command_count),
    b"docs": (-2, command_docs),
    b"getkeys": (-4, command_getkeys),
    b"info": (-2, command_info),
    b"list": (-2, command_list),
}
_CONFIG: dict[bytes, tuple[int, Local]] = {b"get": (-3, config_get)}

LOCAL: dict[str, Local] = {
    "auth": auth,
    "client": container("client", _CLIENT),
    "command": container("command", _COMMAND, command),
    "config": container("config", _CONFIG),
    "echo": echo,
    "hello": hello,
    "info": info,
    "ping": ping,
    "quit": quit_,
    "reset": reset,
    "select": select,
}
"""What runs the commands that need no entity."""

_FLAGS = ("noscript", "loading", "stale", "fast")
CONNECTION_COMMANDS = (
    Spec("auth", -2, "connection", "Authenticate; there are no passwords.", _FLAGS),
    Spec("client", -2, "connection", "Name this connection, list those of this node.", ()),
    Spec("command", -1, "server", "What commands there are.", ("loading", "stale")),
    Spec("config", -2, "server", "Settings of this node; they can only be read.", ("admin", "noscript", "loading", "stale")),
    Spec("echo", 2, "connection", "Returns what it is given.", ("fast",)),
    Spec("hello", -1, "connection", "Choose the version of the protocol.", _FLAGS),
    Spec("info", -1, "server", "What this node can tell of itself.", ("loading", "stale")),
    Spec("ping", -1, "connection", "Whether the node answers.", ("fast",)),
    Spec("quit", -1, "connection", "Close the connection.", _FLAGS),
    Spec("reset", 1, "connection", "Bring the connection to its first state.", _FLAGS),
    Spec("select", 2, "connection", "Choose the database.", ("loading", "stale", "fast")),
)
ALL_COMMANDS = (*DATA_COMMANDS, *CONNECTION_COMMANDS)
TABLE = index(ALL_COMMANDS)


def unknown_command(args: list[bytes]) -> bytes:
    """The error for a name that is no command, with the beginning of its arguments."""
    words = b""
    for word in args[1:]:
        if len(words) >= 128:
            break
        words += b"'%b' " % word[: 128 - len(words)]
    return error(b"unknown command '%b', with args beginning with: %b" % (args[0][:128], words))
