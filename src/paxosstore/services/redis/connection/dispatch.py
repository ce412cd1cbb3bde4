"""Where a client's commands go: answered here, to one entity, to many, or nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ....core.batch.request import Request as StoreRequest
from ....errors import NotServing
from ..commands.spec import Run, Spec
from ..layout.keyspace import DATABASES, REDIS_BASE, SLOT_BASE, hash_slot
from ..reply import error, store_error, wrong_arity
from ..resp import Limits, Refused, Request
from ..room import Room
from ..session.modes import ENDS_TRANSACTION, NOT_DONE, transaction_step
from ..session.session import Host, Session
from ..session.spec import SessionSpec
from ..session.table import TABLE
from ..types.scanning import EMPTY_PAGE, INVALID_CURSOR, parse_cursor
from .order import Order
from .requests import SMALL_BYTES, Command, Spread, Whole, merge_ok, merge_sum

CROSS_SLOT = error("Keys in request don't hash to the same slot", "CROSSSLOT")
TOO_LARGE = "TOOLARGE"
MAX_LOCAL_WORDS = 1_024
"""Of a command that this node answers alone, on the loop."""
STOPPING = store_error(NotServing("the node is stopping: nothing happened"))
WEB_WORDS = frozenset((b"post", b"host:"))
"""No commands, but how a browser's request begins; like Redis, the service says nothing and ends the connection."""


class Desk(Host, Protocol):
    """What starting commands needs of the server."""

    commands: int
    protocol_errors: int
    work: int
    """What this pass of the loop may still do, in commands."""
    limits: Limits
    room: Room
    submit: Callable[[StoreRequest], None]

    def closing(self, why: str, session: Session, text: str) -> None:
        """The session's connection is closed for a reason: count it, and say so."""
        ...


class Ending:
    """Takes a command's place where a connection ends: answer this, then close."""

    __slots__ = ("reply",)

    def __init__(self, reply: bytes = b"") -> None:
        self.reply = reply


class Dispatch:
    """Starts the commands of one session."""

    __slots__ = ("_slots", "desk", "ended", "order", "session", "stopping")

    def __init__(self, desk: Desk, session: Session, order: Order) -> None:
        self.desk = desk
        self.session = session
        self.order = order
        self._slots = desk.settings.slots
        self.ended = False
        """No further command is taken."""
        self.stopping = False
        """The node stops: what has not been started is refused."""

    def take(self, args: Request | Refused | Ending) -> bool:
        """Start a command; False: not yet, nothing has been done."""
        if self.ended:
            return self._answer(STOPPING) if self.stopping else True
        order, session = self.order, self.session
        if order.blocked():
            return False
        if not isinstance(args, list):
            self.ended = isinstance(args, Ending)
            return self._answer(args.reply)
        spec = TABLE.get(args[0]) or TABLE.get(args[0].lower())
        if spec is None or session.in_transaction:
            return self._unusual(spec, args)
        words, arity = len(args), spec.arity
        if words != arity and (arity > 0 or words < -arity):
            return self._answer(wrong_arity(spec.name))
        if spec.writes and order.reads:
            return False
        run = spec.run
        if run is None:
            return self._local(spec, args)
        if words > 8 and (keys := len(spec.key_names(args))) > self.desk.settings.max_keys:
            limit = self.desk.settings.max_keys
            return self._answer(error(f"{keys} keys are over the limit of {limit}: see redis.max_keys", TOO_LARGE))
        if spec.everywhere:
            return self._everywhere(spec, run, args)
        if not self._slots:
            return self._start(spec, run, args, REDIS_BASE + session.db)
        slots = {hash_slot(key, self._slots) for key in spec.key_names(args)}
        if len(slots) > 1:
            return self._answer(CROSS_SLOT)
        return self._start(spec, run, args, SLOT_BASE + slots.pop())

    def _answer(self, reply: bytes) -> bool:
        if len(reply) > SMALL_BYTES:
            self.desk.work -= len(reply) >> 6
        self.order.answer(reply)
        return True

    def _count(self, spec: Spec) -> None:
        self.desk.commands += 1
        self.session.last = spec.name

    def _start(self, spec: Spec, run: Run, args: Request, entity: int) -> bool:
        if not spec.writes and not self.order.may_read(entity):
            return False
        self._count(spec)
        self.order.start(Command(self.order, run, args, self.session.proto, entity, not spec.writes))
        return True

    def _local(self, spec: Spec, args: Request) -> bool:
        assert isinstance(spec, SessionSpec), "what no entity runs, the session does"
        if len(args) > MAX_LOCAL_WORDS:
            return self._answer(error(f"{len(args)} arguments are over the limit of {MAX_LOCAL_WORDS}", TOO_LARGE))
        self._count(spec)
        reply = spec.local(self.session, args)
        self.ended = self.session.ending
        return self._answer(reply)

    def _unusual(self, spec: Spec | None, args: Request) -> bool:
        """No command, one on transactions, or any inside a refused transaction (modes.py)."""
        session = self.session
        inside = session.in_transaction
        step = transaction_step(args, inside)
        if step is not None:
            reply, session.in_transaction = step
            return self._answer(reply)
        if spec is None and args[0].lower() in WEB_WORDS:
            self.desk.closing("foreign", session, "it begins as HTTP does, not the Redis protocol")
            self.ended = True
            return self._answer(b"")
        if not inside:
            return self._answer(unknown_command(args))
        if spec is None or args[0].lower() not in ENDS_TRANSACTION or not spec.fits(len(args)):
            return self._answer(NOT_DONE)
        session.in_transaction = False
        return self._local(spec, args)

    # -- commands on many entities

    def _everywhere(self, spec: Spec, run: Run, args: Request) -> bool:
        """A command on a whole database, or on all of them."""
        if spec.name == "scan" and self._slots:
            return self._scan_slot(spec, run, args)
        if self._slots:
            entities = range(SLOT_BASE, SLOT_BASE + self._slots)
        elif spec.name == "flushall":
            entities = range(REDIS_BASE, REDIS_BASE + DATABASES)
        else:
            return self._start(spec, run, args, REDIS_BASE + self.session.db)
        self._count(spec)
        whole = Whole(self.order, len(entities), merge_ok if spec.writes else merge_sum)
        self.order.spread(Spread(whole, run, args, self.session.proto, entities, spec.writes))
        return True

    def _scan_slot(self, spec: Spec, run: Run, args: Request) -> bool:
        cursor = parse_cursor(args[1])
        if cursor is None:
            return self._answer(INVALID_CURSOR)
        slot = cursor >> 32
        if slot >= self._slots:
            return self._answer(EMPTY_PAGE)
        return self._start(spec, run, args, SLOT_BASE + slot)


def unknown_command(args: list[bytes]) -> bytes:
    """The error for a name that is no command, with the beginning of its arguments."""
    words = b""
    for word in args[1:]:
        if len(words) >= 128:
            break
        words += b"'%b' " % word[: 128 - len(words)]
    return error(b"unknown command '%b', with args beginning with: %b" % (args[0][:128], words))
