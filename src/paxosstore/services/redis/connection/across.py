"""MOVE and COPY to another database. Each database is replicated by itself, so it takes a request for each step:

    read_out    the source            there is none: 0
    put_in      the target            it is there: 0            COPY: 1
    take_away   the source, if nobody has changed the key since: 1
    take_away   the target, if somebody has; then from the start

What expires in between was not moved: 0.

At no time is the key in neither. In between it is in both, and it stays there if the node dies: whoever asked has no reply then.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ....core.batch.request import Request
from ....errors import Overloaded, PaxosStoreError
from ..beside.reads import LongReads
from ..layout.keyspace import REDIS_BASE
from ..reply import ONE, ZERO, error
from ..run import Run
from ..types.across import (
    IS_OVER,
    READ_OUT,
    TAKE_AWAY,
    Found,
    Way,
    found,
    prepared_put_in,
    put_in,
    read_out,
    stamp_in,
    take_away,
    words_in,
)
from ..types.rdb.commands import PREPARE_BYTES
from .order import Order
from .requests import Command

TRIES = 5
"""A key that is changed as often while it is moved stays where it is."""
_CHANGES = error("the key is changed all the time: it was not moved", "TRYAGAIN")
Ended = Callable[[bytes, PaxosStoreError | None], None]


class Across:
    """What one MOVE or COPY does, for a command that holds its place among its connection's. The steps' owner."""

    __slots__ = (
        "_command",
        "_found",
        "_long_reads",
        "_order",
        "_reserved",
        "_submit",
        "_tries",
        "_way",
        "crowded",
        "gone",
        "room",
    )

    def __init__(
        self, order: Order, command: Command, way: Way, submit: Callable[[Request], None], beside: LongReads | None
    ) -> None:
        self.room = order.room
        self.crowded = self.gone = False
        self._order = order
        self._command = command
        self._way = way
        self._submit = submit
        self._long_reads = beside
        self._tries = TRIES
        self._reserved = 0
        """Bytes of the value that it holds."""
        self._found = Found(b"", b"", 0)

    @property
    def lost(self) -> bool:
        return self.gone

    def begin(self) -> None:
        self._let_go()
        command = self._command
        self._step(self._read, read_out, [READ_OUT, command.words[1]], command.entity, read_only=command.read_only)

    # -- its steps

    def _step(self, then: Ended, run: Run, words: list[bytes], entity: int, *, read_only: bool = False) -> None:
        beside = self._long_reads
        step = Step(self, then, run, words, entity, read_only, beside if read_only else None)
        if beside is not None and run is put_in and step.size > PREPARE_BYTES:
            beside.prepare(step, partial(prepared_put_in, words), partial(self._submit, step))
        else:
            self._submit(step)

    def _read(self, reply: bytes, error: PaxosStoreError | None) -> None:
        if error is not None or reply.startswith(b"-"):
            self._end(reply, error)
        elif (key := found(reply)) is None:
            self._end(ZERO)
        else:
            self._found = key
            self._step(self._put, put_in, words_in(self._way, key), REDIS_BASE + self._way.database)

    def _put(self, reply: bytes, error: PaxosStoreError | None) -> None:
        if error is not None or reply.startswith(b"-"):
            self._end(ZERO if reply.startswith(b"-BUSYKEY") else reply, error)
        elif not (stamp := stamp_in(reply)):
            self._end(ZERO)
        elif not self._way.moves:
            self._end(ONE)
        else:
            command = self._command
            self._take(partial(self._taken, stamp), command.entity, command.words[1], self._found.stamp)

    def _taken(self, stamp: bytes, reply: bytes, error: PaxosStoreError | None) -> None:
        if error is None and reply == ONE:
            self._end(ONE)
        elif error is not None and not error.outcome_known:
            self._end(self._in_both())
        else:
            self._take(partial(self._undone, error), REDIS_BASE + self._way.database, self._way.key, stamp)

    def _undone(self, why: PaxosStoreError | None, reply: bytes, error: PaxosStoreError | None) -> None:
        """`why`: the error for which it is undone, if not for a change."""
        self._tries -= 1
        if error is not None or reply not in (ONE, IS_OVER):
            self._end(self._in_both())
        elif why is not None or not self._tries:
            self._end(_CHANGES, why)
        else:
            self.begin()

    def _take(self, then: Ended, entity: int, key: bytes, stamp: bytes) -> None:
        self._step(then, take_away, [TAKE_AWAY, key, stamp], entity)

    def _in_both(self) -> bytes:
        text = f"outcome unknown: the key is in database {self._way.database}, and may still be in this one: look, and delete one"
        return error(text, "UNKNOWN")

    def _let_go(self) -> None:
        self._order.under_way -= self._reserved
        self._reserved = 0

    def _end(self, reply: bytes, error: PaxosStoreError | None = None) -> None:
        self._let_go()
        self._command.finish(reply, error)

    # -- what its steps say

    def built(self, size: int) -> None:
        """Nothing of it is owed to the client."""
        self._reserved += size
        self._order.under_way += size

    def is_next(self, command: Command) -> bool:
        return True

    def deferred(self, command: Command) -> None:
        self._end(b"", Overloaded("there is no room for the value: nothing happened"))

    def settled(self, command: Command) -> None:
        """A step says how it ended itself."""

    def answered(self, reply: bytes) -> None:
        """No step is made of several."""

    def check_unread(self) -> None:
        """Its reply is small."""


class Step(Command):
    """What one of the two databases does."""

    __slots__ = ("_then",)

    def __init__(
        self, whole: Across, then: Ended, run: Run, words: list[bytes], entity: int, read_only: bool, beside: LongReads | None
    ) -> None:
        super().__init__(whole, run, words, 2, entity, read_only, beside)
        self._then = then

    def finish(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self._then(reply, error)
