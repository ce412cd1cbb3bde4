"""CONFIG: the settings of this node. Clients can set those of compact forms (layout/compact.py), and which key events they are
told (pubsub/hub.py)."""

from __future__ import annotations

from ....errors import TooLarge
from ..glob import MAX_PATTERN_BYTES, compile_glob
from ..layout import compact
from ..layout.keyspace import databases
from ..pubsub.hub import FLAGS
from ..reply import OK, SYNTAX_ERROR, error, map_of, store_error, text
from ..resp import integer
from .session import Session

EVENTS = "notify-keyspace-events"
"""Of this node's clients: the classes of events, as Redis names them, and K, E or both."""


def config_get(session: Session, args: list[bytes]) -> bytes:
    size = sum(map(len, args[2:]))
    if size > MAX_PATTERN_BYTES:
        return error(f"patterns of {size} bytes are over the limit of {MAX_PATTERN_BYTES}", "TOOLARGE")
    try:
        patterns = [compile_glob(word.lower()) for word in args[2:]]
    except TooLarge as refusal:
        return store_error(refusal)
    facts = _config(session)
    found = [(key, value) for key, value in facts.items() if any(p.fullmatch(key.encode()) for p in patterns)]
    return map_of([(text(key), text(str(value))) for key, value in found], session.proto)


def config_set(session: Session, args: list[bytes]) -> bytes:
    """All or nothing."""
    if len(args) % 2:
        return SYNTAX_ERROR
    known = _config(session)
    wanted: dict[str, int] = {}
    events: str | None = None
    for name, word in zip(args[2::2], args[3::2], strict=True):
        asked = name.decode("latin-1").lower()
        if asked not in known:
            return error(b"Unknown option or number of arguments for CONFIG SET - '%b'" % name[:128])
        if asked == EVENTS and events is None and {*word.decode("latin-1")} <= {*FLAGS}:
            events = word.decode("latin-1")
            continue
        setting = compact.ALIASES.get(asked, asked)
        number = integer(word)
        if asked == EVENTS:
            why = "duplicate parameter" if events is not None else f"Invalid event class character. Use '{FLAGS}'."
        elif setting not in compact.limits:
            why = "can't set immutable config"
        elif setting in wanted:
            why = "duplicate parameter"
        elif number is None:
            why = "argument couldn't be parsed into an integer"
        elif number < 0:
            why = f"argument must be between 0 and {2**63 - 1} inclusive"
        else:
            wanted[setting] = number
            continue
        return error(f"CONFIG SET failed (possibly related to argument '{asked}') - {why}")
    compact.limits.update(wanted)
    if events is not None:
        session.host.hub.notify(events)
    return OK


def _config(session: Session) -> dict[str, object]:
    """What clients ask for to know what they deal with."""
    settings = session.host.settings
    return {
        "appendfsync": "always",
        "appendonly": "yes",
        **compact.limits,
        **{alias: compact.limits[name] for alias, name in compact.ALIASES.items()},
        "bind": settings.host,
        "client-output-buffer-limit": f"normal {settings.max_unread_bytes} 0 0",
        "databases": databases(settings.slots),
        "maxclients": settings.max_clients,
        "maxmemory": 0,
        "maxmemory-clients": settings.max_clients_bytes,
        "maxmemory-policy": "noeviction",
        EVENTS: session.host.hub.events,
        "port": settings.port,
        "proto-max-bulk-len": settings.max_bulk_bytes,
        "requirepass": "",
        "save": "",
        "tcp-keepalive": settings.tcp_keepalive_s,
        "timeout": settings.idle_timeout_s,
    }
