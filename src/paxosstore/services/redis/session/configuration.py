"""CONFIG: the settings of this node; they can only be read."""

from __future__ import annotations

from ....errors import TooLarge
from ..glob import MAX_PATTERN_BYTES, compile_glob
from ..layout.keyspace import databases
from ..reply import error, map_of, store_error, text
from ..settings import RedisSettings
from .session import Session


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
        "databases": databases(settings.slots),
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
