"""What CONFIG SET and GET know: Redis's parameters by name, and which values each of them takes.

Most of them have no meaning here. Tools set them all the same, so they are kept until the node ends, and change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from ..layout import compact
from ..layout.keyspace import databases
from ..pubsub.hub import FLAGS
from ..resp import integer
from ..settings import RedisSettings

Parse = Callable[[str], str]
"""A word as it is kept. Raises ValueError with Redis's words."""
MAX_VALUE_BYTES = 1_024
EVENTS = "notify-keyspace-events"
"""Which key events the clients of this node are told: kept by its hub."""
_MAX = 2**63 - 1
_UNITS = {"": 1, "b": 1, "k": 1_000, "kb": 1_024, "m": 1_000**2, "mb": 1_024**2, "g": 1_000**3, "gb": 1_024**3}


def yes_no(word: str) -> str:
    if word.lower() not in ("yes", "no"):
        raise ValueError("argument must be 'yes' or 'no'")
    return word.lower()


def number(least: int = 0, most: int = _MAX) -> Parse:
    def parse(word: str) -> str:
        value = integer(word.encode())
        if value is None:
            raise ValueError("argument couldn't be parsed into an integer")
        if not least <= value <= most:
            raise ValueError(f"argument must be between {least} and {most} inclusive")
        return str(value)

    return parse


_number = number()


def size_of(word: str) -> int | None:
    """Bytes, as in 10, 10k or 1gb; None: it is no size."""
    digits = word.rstrip("bBkKmMgG")
    factor = _UNITS.get(word[len(digits) :].lower())
    if factor is None or not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        return None
    return int(digits) * factor


def memory(word: str) -> str:
    size = size_of(word)
    if size is None:
        raise ValueError("argument must be a memory value")
    if size > _MAX:
        raise ValueError(f"argument must be between 0 and {_MAX} inclusive")
    return str(size)


def memory_or_percent(word: str) -> str:
    if not word.endswith("%"):
        if size_of(word) is None:
            raise ValueError("argument must be a memory or percent value")
        return memory(word)
    try:
        percent = Decimal(word[:-1])
    except InvalidOperation:
        raise ValueError("argument must be a memory or percent value") from None
    if not 0 <= percent <= 100:
        raise ValueError("percentage argument must be less or equal to 100")
    return word


def one_of(*words: str) -> Parse:
    def parse(word: str) -> str:
        if word.lower() not in words:
            raise ValueError(f"argument(s) must be one of the following: {', '.join(words)}")
        return word.lower()

    return parse


def anything(word: str) -> str:
    return word


def numbers(word: str) -> str:
    """Pairs of numbers, as of `save`."""
    words = word.split()
    if len(words) % 2 or not all(part.isascii() and part.isdigit() for part in words):
        raise ValueError("Invalid save parameters")
    return " ".join(words)


def events(word: str) -> str:
    """Classes of key events, and K, E or both; the hub knows what they mean."""
    if not set(word) <= set(FLAGS):
        raise ValueError(f"Invalid event class character. Use '{FLAGS}'.")
    return word


_POLICIES = one_of(
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "noeviction",
)

MUTABLE: dict[str, tuple[Parse, str]] = {
    "active-expire-effort": (number(1, 10), "1"),
    "activedefrag": (yes_no, "no"),
    "activerehashing": (yes_no, "yes"),
    "aof-use-rdb-preamble": (yes_no, "yes"),
    "appendonly": (yes_no, "yes"),
    "appendfsync": (one_of("everysec", "always", "no"), "always"),
    "auto-aof-rewrite-min-size": (memory, "67108864"),
    "auto-aof-rewrite-percentage": (number(0, 2**31 - 1), "100"),
    "busy-reply-threshold": (number(), "5000"),
    "client-query-buffer-limit": (memory, "1073741824"),
    "crash-log-enabled": (yes_no, "yes"),
    "dynamic-hz": (yes_no, "yes"),
    "hz": (number(0, 2**31 - 1), "10"),
    "key-load-delay": (number(-(2**31), 2**31 - 1), "0"),
    "latency-monitor-threshold": (number(), "0"),
    "latency-tracking": (yes_no, "yes"),
    "lazyfree-lazy-eviction": (yes_no, "no"),
    "lazyfree-lazy-expire": (yes_no, "no"),
    "lazyfree-lazy-server-del": (yes_no, "no"),
    "lazyfree-lazy-user-del": (yes_no, "no"),
    "lazyfree-lazy-user-flush": (yes_no, "no"),
    "lfu-decay-time": (number(0, 2**31 - 1), "1"),
    "lfu-log-factor": (number(0, 2**31 - 1), "10"),
    "list-compress-depth": (number(0, 2**31 - 1), "0"),
    "list-max-listpack-size": (number(-(2**31), 2**31 - 1), "-2"),
    "loglevel": (one_of("debug", "verbose", "notice", "warning"), "notice"),
    "maxmemory": (memory, "0"),
    "maxmemory-eviction-tenacity": (number(0, 100), "10"),
    "maxmemory-policy": (_POLICIES, "noeviction"),
    "maxmemory-samples": (number(1, 2**31 - 1), "5"),
    "min-replicas-max-lag": (number(0, 2**31 - 1), "10"),
    "min-replicas-to-write": (number(0, 2**31 - 1), "0"),
    "no-appendfsync-on-rewrite": (yes_no, "no"),
    EVENTS: (events, ""),
    "proc-title-template": (anything, "{title} {listen-addr} {server-mode}"),
    "rdb-key-save-delay": (number(-(2**31), 2**31 - 1), "0"),
    "rdbcompression": (yes_no, "yes"),
    "repl-backlog-size": (memory, "1048576"),
    "repl-backlog-ttl": (number(), "3600"),
    "repl-ping-replica-period": (number(1, 2**31 - 1), "10"),
    "repl-timeout": (number(1, 2**31 - 1), "60"),
    "replica-priority": (number(0, 2**31 - 1), "100"),
    "replica-read-only": (yes_no, "yes"),
    "replica-serve-stale-data": (yes_no, "yes"),
    "sanitize-dump-payload": (one_of("no", "yes", "clients"), "yes"),
    "save": (numbers, ""),
    "shutdown-on-sigint": (anything, "default"),
    "shutdown-on-sigterm": (anything, "default"),
    "shutdown-timeout": (number(0, 2**31 - 1), "10"),
    "slowlog-log-slower-than": (number(-1), "100000"),  # of the whole way, agreement included; Redis counts the work alone
    "slowlog-max-len": (number(0, 10_000), "128"),
    "stop-writes-on-bgsave-error": (yes_no, "yes"),
    "stream-node-max-bytes": (memory, "4096"),
    "tracking-table-max-keys": (number(), "1000000"),
}
"""What clients may set: how it is read, and what it is at first."""
HIDDEN = frozenset(("key-load-delay",))
"""Of these, what a pattern does not find."""
ALIASES = {
    "list-max-ziplist-size": "list-max-listpack-size",
    "lua-time-limit": "busy-reply-threshold",
    "min-slaves-max-lag": "min-replicas-max-lag",
    "min-slaves-to-write": "min-replicas-to-write",
    "repl-ping-slave-period": "repl-ping-replica-period",
    "slave-priority": "replica-priority",
    "slave-read-only": "replica-read-only",
    "slave-serve-stale-data": "replica-serve-stale-data",
}
"""Old names."""
FIXED = {
    "aclfile": "",
    "cluster-enabled": "no",
    "daemonize": "no",
    "dbfilename": "",
    "dir": "",
    "enable-debug-command": "no",
    "io-threads": "1",
    "logfile": "",
    "masterauth": "",
    "replicaof": "",
    "requirepass": "",
    "slaveof": "",
    "supervised": "no",
    "unixsocket": "",
}
"""What nobody can set."""
_SHAPES: dict[str, Parse] = {"maxmemory-clients": memory_or_percent}
"""Of what the configuration file says: what a value must look like at least."""


def parsed(name: str, present: str, word: str) -> str:
    """A value that a parameter may be set to. Raises ValueError, with Redis's words."""
    if name in compact.limits:
        return _number(word)
    if name in MUTABLE:
        return MUTABLE[name][0](word)
    _SHAPES.get(name, anything)(word)
    if word != present:  # what it is already changes nothing
        raise ValueError("can't set immutable config")
    return word


class Parameters:
    """What clients have set at this node."""

    def __init__(self) -> None:
        self._values = {name: default for name, (_, default) in MUTABLE.items()}

    def number(self, name: str) -> int:
        """One whose values are numbers."""
        return int(self._values[name])

    def all(self, settings: RedisSettings) -> dict[str, str]:
        """Every parameter there is, old names included."""
        facts = {**FIXED, **_node(settings), **self._values}
        facts |= {name: str(value) for name, value in compact.limits.items()}
        return facts | {old: facts[name] for old, name in (*ALIASES.items(), *compact.ALIASES.items())}

    def set(self, wanted: dict[str, str]) -> None:
        for name, value in wanted.items():
            if name in compact.limits:
                compact.limits[name] = int(value)
            elif name != EVENTS and name in self._values:
                self._values[name] = value


def _node(settings: RedisSettings) -> dict[str, str]:
    """What the node's configuration file says, by Redis's names."""
    facts = {
        "bind": settings.host,
        "client-output-buffer-limit": f"normal {settings.max_unread_bytes} 0 0",
        "databases": databases(settings.slots),
        "maxclients": settings.max_clients,
        "maxmemory-clients": settings.max_clients_bytes,
        "port": settings.port,
        "proto-max-bulk-len": settings.max_bulk_bytes,
        "tcp-keepalive": settings.tcp_keepalive_s,
        "timeout": settings.idle_timeout_s,
    }
    return {name: str(value) for name, value in facts.items()}
