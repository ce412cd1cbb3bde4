"""What `redis.call` does: a command of the table, run on the view of the request that the script belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ....core.batch.overlay import View
from ..commands.spec import Spec
from ..layout.keyspace import DATABASES, REDIS_BASE, slot_of
from ..reply import NOT_AN_INTEGER, OK, bulk
from ..resp import integer
from ..run import Run

BULK, INTEGER, NOTHING, STATUS, ERROR, OTHER, STOP = range(7)
"""The kinds of what a script gets; redis.lua knows these numbers."""

Answer = int | tuple[int, bytes | int]

_UNKNOWN = (ERROR, b"ERR Unknown Redis command called from script")
_ARITY = (ERROR, b"ERR Wrong number of args calling Redis command from script")
_NOT_ALLOWED = (ERROR, b"ERR This Redis command is not allowed from script")
_READ_ONLY = (ERROR, b"ERR Write commands are not allowed from read-only scripts.")
_NO_DATABASE = (ERROR, b"ERR DB index is out of range")
_OTHER_DATABASE = (ERROR, b"ERR a script stays in the database that it was called in")
_SHORT: dict[bytes, Answer] = {
    OK: (STATUS, b"OK"),
    b":0\r\n": (INTEGER, 0),
    b":1\r\n": (INTEGER, 1),
    b"$-1\r\n": NOTHING,
    b"*-1\r\n": NOTHING,
    b"_\r\n": NOTHING,
}
_READERS = frozenset((b"xread", b"xreadgroup"))
_KINDS = {ord("$"): BULK, ord(":"): INTEGER, ord("+"): STATUS, ord("-"): ERROR}

NOT_IN_SCRIPTS = frozenset(
    b"auth bgrewriteaof bgsave blmove blpop brpop brpoplpush bzpopmax bzpopmin client cluster config discard eval eval_ro evalsha"
    b" evalsha_ro exec failover fcall fcall_ro flushall function hello monitor multi psubscribe psync punsubscribe quit replconf"
    b" replicaof reset role save script shutdown slaveof ssubscribe subscribe sunsubscribe sync unsubscribe unwatch wait"
    b" watch".split()
)
"""What Redis does not run from a script, and what concerns more than the entity of the script."""


def answer(reply: bytes) -> Answer:
    """A reply as its kind and what it says."""
    short = _SHORT.get(reply)
    if short is not None:
        return short
    kind = _KINDS.get(reply[0], OTHER)
    if kind == BULK:
        return BULK, reply[reply.index(b"\r\n") + 2 : -2]
    if kind == INTEGER:
        return INTEGER, int(reply[1:-2])
    return kind, reply if kind == OTHER else reply[1:-2]


class Caller:
    """What one run of a script may call."""

    __slots__ = ("_find", "_read_only", "_run", "_view", "proto")

    def __init__(
        self,
        find: Callable[[bytes], Spec | None],
        run: Callable[[Run, View, list[bytes], int], bytes],
        view: View,
        read_only: bool,
    ) -> None:
        """`find` knows the commands, and `run` runs one."""
        self._find = find
        self._run = run
        self._view = view
        self._read_only = read_only
        self.proto = 2
        """In which form it gets its replies."""

    def call(self, words: list[bytes]) -> Answer:
        """Raises what ends the request, whatever the script does."""
        spec = self._find(words[0])
        if spec is None or spec.run is None:
            return self._without_data(words)
        name = spec.name.encode()
        if "noscript" in spec.flags or name in NOT_IN_SCRIPTS:
            return _NOT_ALLOWED
        if not spec.fits(len(words)):
            return _ARITY
        if name in _READERS and any(word.upper() == b"BLOCK" for word in words[1:6]):
            return ERROR, b"ERR %b command is not allowed with BLOCK option from scripts" % name
        if spec.writes and self._read_only:
            return _READ_ONLY
        return answer(self._run(spec.run, self._view, words, self.proto))

    def knows(self, name: bytes) -> bool:
        return self._find(name.lower()) is not None

    def _select(self, word: bytes) -> Answer:
        """As Redis, as far as it stays where it is."""
        number = integer(word)
        if number is None:
            return ERROR, NOT_AN_INTEGER[1:-2]
        in_slot = slot_of(self._view.entity) >= 0
        if not 0 <= number < (1 if in_slot else DATABASES):
            return _NO_DATABASE
        return (STATUS, b"OK") if in_slot or self._view.entity == REDIS_BASE + number else _OTHER_DATABASE

    def _without_data(self, words: Sequence[bytes]) -> Answer:
        """What a connection answers alone, as far as it makes sense without one."""
        name = words[0].lower()
        if name in NOT_IN_SCRIPTS:
            return _NOT_ALLOWED
        if name == b"ping":
            if len(words) > 2:
                return _ARITY
            return (BULK, words[1]) if len(words) == 2 else (STATUS, b"PONG")
        if name == b"echo":
            return (BULK, words[1]) if len(words) == 2 else _ARITY
        if name == b"time":
            if len(words) != 1:
                return _ARITY
            seconds, ms = divmod(self._view.now_ms, 1000)
            return OTHER, b"*2\r\n" + bulk(b"%d" % seconds) + bulk(b"%d" % (ms * 1000))
        if name == b"select":
            return self._select(words[1]) if len(words) == 2 else _ARITY
        return _UNKNOWN
