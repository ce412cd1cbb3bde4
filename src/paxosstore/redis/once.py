"""What both forms of the client share: which commands go under a uuid, the uuids, and the list of nodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from redis.exceptions import ConnectionError, ResponseError, TimeoutError

from ..client.clock import Clock as Clock
from ..client.nodes import Nodes as Nodes

P = TypeVar("P")
PATIENCE_S = 30.0
"""For how long a command goes on looking for a node that can do it."""
SOCKET_TIMEOUT_S = 5.0
"""Longer than the nodes take to say that they do not know (tuning.request_timeout_ms: 3 s)."""
CONNECT_TIMEOUT_S = 1.0
LONGEST_PAUSE_S = 0.5
ONCE = "PAXOS.ONCE"
REPEATED = "REPEATED"
AGAIN = frozenset(("UNKNOWN", "NOQUORUM", "OVERLOADED", "NOTSERVING", "LEARNSONLY", "DISKFULL", "TRYAGAIN"))
"""First words of errors that another node, or this one a little later, may not give."""
_WRITES = """
    APPEND BITFIELD BITOP COPY DECR DECRBY DEL EVAL EVALSHA EXPIRE EXPIREAT FCALL FLUSHDB GEOADD GEORADIUS GEORADIUSBYMEMBER
    GEOSEARCHSTORE GETDEL GETEX GETSET HDEL HINCRBY HINCRBYFLOAT HMSET HSET HSETNX INCR INCRBY INCRBYFLOAT LINSERT LMOVE LMPOP
    LPOP LPUSH LPUSHX LREM LSET LTRIM MSET MSETNX PERSIST PEXPIRE PEXPIREAT PFADD PFMERGE PSETEX RENAME RENAMENX RESTORE
    RPOP RPOPLPUSH RPUSH RPUSHX SADD SDIFFSTORE SET SETBIT SETEX SETNX SETRANGE SINTERSTORE SMOVE SORT SPOP SREM SUNIONSTORE
    UNLINK XACK XADD XAUTOCLAIM XCLAIM XDEL XGROUP XREADGROUP XSETID XTRIM ZADD ZDIFFSTORE ZINCRBY ZINTERSTORE ZMPOP ZPOPMAX
    ZPOPMIN ZRANGESTORE ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZUNIONSTORE
"""
WRITES = frozenset(_WRITES.split())
"""Those that go under a uuid: all that write to one entity, and do not wait."""

_until: ContextVar[float | None] = ContextVar("until", default=None)


class Again(ResponseError):
    """No node could do it, or say whether it did, for as long as the client is patient."""


RETRIED = (ConnectionError, TimeoutError, Again)


def patience() -> Iterator[float]:
    """Pauses until the time is over; who has begun within somebody else's time has no more than what is left of that."""
    until = _until.get()
    assert until is not None, "within `limit`"
    pause_s = 0.01
    while (left_s := until - time.monotonic()) > 0:
        yield min(pause_s, left_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """What is tried within it has so much time, together with what it tries itself."""
    outer = _until.get()
    token = _until.set(time.monotonic() + seconds if outer is None else outer)
    try:
        yield
    finally:
        _until.reset(token)


def pool_over(
    kind: Callable[..., P], connection_class: type, retry: object, nodes: Sequence[str | tuple[str, int]], options: dict[str, Any]
) -> P:
    """A pool of connections to the node that is used now."""
    patient = {"socket_timeout": SOCKET_TIMEOUT_S, "socket_connect_timeout": CONNECT_TIMEOUT_S, **options}
    return kind(connection_class=connection_class, nodes=Nodes(nodes), retry=retry, **patient)


def multi_of(uuid: bytes, *, repeated: bool) -> tuple[Any, ...]:
    """MULTI, in the words that make its EXEC take effect once."""
    return (ONCE, uuid, "MULTI", *([REPEATED] if repeated else []))


def check_again(responses: Sequence[Any]) -> None:
    """Raises Again if one of a pipeline's replies says so."""
    again = next((one for one in responses if isinstance(one, Again)), None)
    if again is not None:
        raise again


def told(error: ResponseError) -> Again | None:
    """What an error reply is, if the command is to be tried again."""
    return Again(*error.args) if str(error).split(" ", 1)[0] in AGAIN else None


def under_uuid(args: Sequence[Any]) -> list[Any] | None:
    """The words of a command that goes under a uuid; None: it does not."""
    name = args[0].decode() if isinstance(args[0], bytes) else str(args[0])
    first, *rest = name.split()
    if first.upper() not in WRITES or (first.upper() == "XREADGROUP" and _waits(args)):
        return None
    if first.upper() == "COPY" and "DB" in [_text(word).upper() for word in args[3:]]:
        return None  # each database is replicated by itself, and remembers its uuids
    return [first, *rest, *args[1:]]


def _waits(args: Sequence[Any]) -> bool:
    for word in args:
        if (text := _text(word).upper()) in ("BLOCK", "STREAMS"):
            return text == "BLOCK"
    return False


def _text(word: Any) -> str:
    return word.decode("latin-1") if isinstance(word, bytes) else str(word)


def nodes_of(url: str) -> tuple[list[str], int]:
    """The nodes and the database of "redis://node-a:6379,node-b:6379/0". Raises ValueError."""
    scheme, _, rest = url.partition("://")
    hosts, _, db = rest.partition("/")
    if scheme != "redis" or not hosts or (db and not db.isdigit()):
        raise ValueError(f'{url!r}: "redis://host:port,host:port/database" is needed')
    return hosts.split(","), int(db or 0)


class Begun:
    """A connection to which MULTI is said in other words."""

    def __init__(self, connection: Any, multi: tuple[Any, ...]) -> None:
        self._connection = connection
        self._multi = multi

    def pack_commands(self, commands: Any) -> Any:
        first, *others = commands
        assert first == ("MULTI",), first
        return self._connection.pack_commands([self._multi, *others])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
