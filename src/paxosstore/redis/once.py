"""What both forms of the client share: which commands go under a uuid, the uuids, and the list of nodes."""

from __future__ import annotations

import math
import socket
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
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.01, 0.5
LEAST_WAIT_S = 0.01
"""What is left of a wait that is over: none at all would be for ever."""
PROBES = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""A node that is gone without a word is found out in 20 s, also by who waits for ever."""
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

_LAST = ("BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BZPOPMIN", "BZPOPMAX")
_FIRST = ("BLMPOP", "BZMPOP")
"""Commands that wait, by where they say for how many seconds."""

_until: ContextVar[float | None] = ContextVar("until", default=None)
_waits_s: ContextVar[float | None] = ContextVar("waits_s", default=0.0)
"""How much longer than usual the reply may take, for the command waits for so long; None: for ever."""


class Again(ResponseError):
    """No node could do it, or say whether it did, for as long as the client is patient."""


RETRIED = (ConnectionError, TimeoutError, Again)


def patience() -> Iterator[float]:
    """Pauses until the time is over; who has begun within somebody else's time has no more than what is left of that."""
    until = _until.get()
    assert until is not None, "within `limit`"
    pause_s = FIRST_PAUSE_S
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


def reply_timeout_s(usual_s: float | None) -> float | None:
    """For how long the reply to the command under way is waited for; None: for ever."""
    waits_s = _waits_s.get()
    return None if waits_s is None or usual_s is None else usual_s + waits_s


def pool_over(
    kind: Callable[..., P], connection_class: type, retry: object, nodes: Sequence[str | tuple[str, int]], options: dict[str, Any]
) -> P:
    """A pool of connections to the node that is used now."""
    probes = {getattr(socket, name): value for name, value in PROBES.items() if hasattr(socket, name)}
    patient = {
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_keepalive": True,
        "socket_keepalive_options": probes,
        **options,
    }
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
    first, *rest = _text(args[0]).split()
    if first.upper() not in WRITES or (first.upper() == "XREADGROUP" and _waits_at(args) is not None):
        return None
    if first.upper() == "COPY" and "DB" in [_text(word).upper() for word in args[3:]]:
        return None  # each database is replicated by itself, and remembers its uuids
    return [first, *rest, *args[1:]]


def _waits_at(args: Sequence[Any]) -> tuple[int, float] | None:
    """Where a command says for how long it waits, and in what, in seconds; None: it does not wait."""
    name = _text(args[0]).upper()
    if name in _LAST:
        return len(args) - 1, 1.0
    if name in _FIRST:
        return 1, 1.0
    if name in ("XREAD", "XREADGROUP"):
        at = 1 if name == "XREAD" else 4  # behind the group and the consumer
        while at < len(args) - 1 and (word := _text(args[at]).upper()) in ("COUNT", "BLOCK", "NOACK"):
            if word == "BLOCK":
                return at + 1, 0.001
            at += 1 if word == "NOACK" else 2
    return None


class Answers:
    """The replies to the first commands of a pipeline: they are not asked for again, whatever becomes of those behind them."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self._whole = False

    def begin(self) -> list[Any]:
        """What is known already; what is noted from now on comes behind that."""
        self._whole = True
        return [*self.kept]

    def note(self, reply: Any) -> None:
        self._whole = self._whole and not isinstance(reply, Again)
        if self._whole:
            self.kept.append(reply)


class Waiting:
    """A command that waits, over as many tries as it takes: each for what is left of the time."""

    def __init__(self, args: Sequence[Any], at: int, unit_s: float, wait_s: float, patience_s: float) -> None:
        self._args = args
        self._at, self._unit_s = at, unit_s
        self._until = time.monotonic() + wait_s if wait_s else math.inf
        self._patience_s = patience_s
        self._tries = 0
        self._tried = self._failing = -math.inf
        """When it was tried last, and since when no node has let it wait."""
        self._pause_s = FIRST_PAUSE_S

    @classmethod
    def of(cls, args: Sequence[Any], patience_s: float) -> Waiting | None:
        """None: the command does not wait, or does not say for how long."""
        place = _waits_at(args)
        if place is None:
            return None
        at, unit_s = place
        try:
            wait_s = float(_text(args[at])) * unit_s
        except ValueError:
            return None
        return cls(args, at, unit_s, wait_s, patience_s) if 0 <= wait_s < math.inf else None

    @contextmanager
    def trying(self) -> Iterator[Sequence[Any]]:
        """One try, at one node: its words."""
        self._tried, self._tries = time.monotonic(), self._tries + 1
        left_s = max(LEAST_WAIT_S, self._until - self._tried)
        args = [*self._args]
        if self._tries > 1 and left_s < math.inf:
            args[self._at] = left_s if self._unit_s == 1.0 else math.ceil(left_s / self._unit_s)
        token = _waits_s.set(None if left_s == math.inf else left_s)
        try:
            with limit(0.0):
                yield args
        finally:
            _waits_s.reset(token)

    def pause(self, error: Exception) -> float:
        """How long to rest after a try that failed. Raises the error when no node has let it wait for too long."""
        now = time.monotonic()
        if self._tries == 1 or (self._tried < self._until and now - self._tried > LONGEST_PAUSE_S):
            self._failing, self._pause_s = now, FIRST_PAUSE_S
        if now - self._failing >= self._patience_s:
            raise error
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
        return pause_s


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
