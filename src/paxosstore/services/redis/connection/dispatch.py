"""Where a client's commands go: answered here, to one entity, to many, or nowhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, Protocol

from ....core.batch.request import Request as StoreRequest
from ....errors import NotServing
from ..beside.reads import LongReads
from ..commands.calls import Function
from ..commands.spec import MANY_WORDS, Spec
from ..commands.table import TABLE as DATA_TABLE
from ..commands.waits import wait_seconds
from ..floats import double
from ..layout.keyspace import CLUSTER_SLOTS, DATABASES, REDIS_BASE, SLOT_BASE, hash_slot
from ..reply import OK, error, store_error, unknown_command, wrong_arity
from ..resp import Limits, Refused, Request
from ..room import Room
from ..run import Run
from ..session.clustering import ON_DATA
from ..session.session import Host, Session
from ..session.spec import SessionSpec
from ..session.table import TABLE
from ..settings import RedisSettings
from ..types.across import Way
from ..types.scanning import EMPTY_PAGE, INVALID_CURSOR, parse_cursor
from ..types.slots import slot_named
from ..waiting.command import WaitingCommand, until
from ..waiting.room import WaitingRoom
from ..waiting.takings import Takings
from . import calls, once, transactions
from .across import Across
from .naps import Nap, Timer
from .order import Order
from .requests import SMALL_BYTES, Command, Ended, Spread, Whole, merge_by, merge_ok, merge_sum

CROSS_SLOT: Final = error("Keys in request don't hash to the same slot", "CROSSSLOT")
TOO_LARGE: Final = "TOOLARGE"
PATTERN_SHIFT: Final = 4
"""To look 16 bytes of patterns through takes as long as a command."""
MAX_LOCAL_WORDS: Final = 1_024
"""Of a command that this node answers alone, on the loop."""
UNBOUNDED: Final = frozenset(("watch", once.NAME))
"""The others of the session's, whose words are bounded elsewhere."""
STOPPING: Final = store_error(NotServing("the node is stopping: nothing happened"))
WHILE_LISTENING: Final = frozenset(
    ("subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe", "ping", "quit", "reset")
)
NOT_WHILE_LISTENING: Final = (
    b"Can't execute '%b': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
)
WEB_WORDS: Final = frozenset((b"post", b"host:"))
"""No commands, but how a browser's request begins; like Redis, the service says nothing and ends the connection."""


class Desk(Host, Protocol):
    """What starting commands needs of the server."""

    commands: int
    protocol_errors: int
    work: int
    """What this pass of the loop may still do, in commands."""
    limits: Limits
    room: Room
    calls: Mapping[str, Function]
    """An application's functions, by the names under which nodes know them."""
    has_app: bool
    submit: Callable[[StoreRequest], None]
    waiting: WaitingRoom
    beside: LongReads | None

    @property
    def takings(self) -> Takings:
        """What is taken for clients that wait."""
        ...

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call it after so many seconds."""
        ...

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

    __slots__ = ("_ended", "_slots", "desk", "order", "session", "stopping")

    def __init__(self, desk: Desk, session: Session, order: Order) -> None:
        self.desk = desk
        self.session = session
        self.order = order
        self._slots = desk.settings.slots
        order.note = self._note
        self._ended = False
        self.stopping = False
        """The node stops: what has not been started is refused."""

    @property
    def settings(self) -> RedisSettings:
        return self.desk.settings

    @property
    def ended(self) -> bool:
        """No further command is taken."""
        return self._ended or self.session.ending

    def end(self) -> None:
        """Take no further command."""
        self._ended = True

    def stop(self) -> None:
        """Refuse all further commands: the node stops."""
        self._ended = self.stopping = True

    def take(self, args: Request | Refused | Ending) -> bool:
        """Start a command; False: not yet, nothing has been done."""
        order, session = self.order, self.session
        if self._ended or session.ending:
            return self.refuse(STOPPING) if self.stopping else True
        if order.blocked():
            return False
        if not isinstance(args, list):
            self._ended = isinstance(args, Ending)
            session.transaction.refuse()
            return self.refuse(args.reply)
        spec = TABLE.get(args[0]) or TABLE.get(args[0].lower())
        if self.desk.pause.active and spec is not None and self.desk.pause.holds(spec, self._executes(spec)):
            return False
        if spec is None or session.transaction.open:
            return self._unusual(spec, args)
        words, arity = len(args), spec.arity
        if words != arity and (arity > 0 or words < -arity):
            return self._misused(spec, args, wrong_arity(spec.name))
        if session.subscriptions.size and session.listens and spec.name not in WHILE_LISTENING and (name := spec.full_name(args)):
            return self.refuse(error(NOT_WHILE_LISTENING % name), name)
        if order.reads and spec.writes and spec.writes_with(args):
            return False
        run = spec.run
        if run is None:
            return self._local(spec, args)
        if words > 8 and (refusal := self._too_many_keys(spec, args)) is not None:
            return self.refuse(refusal, args[0])
        if spec.everywhere:
            return self._everywhere(spec, run, args)
        if spec.way_of is not None and not self._slots and (way := spec.way_of(args, session.db)) is not None:
            return self._across(spec, run, args, way)
        entity = self.place(spec, args, session.db) if self._slots else REDIS_BASE + session.db
        return self.refuse(entity, args[0]) if isinstance(entity, bytes) else self.start(spec, run, args, entity)

    def _executes(self, spec: Spec) -> bool:
        """Whether it is the EXEC of a transaction that writes."""
        return spec.name == "exec" and self.session.transaction.writes

    def answer(self, reply: bytes) -> bool:
        """A command is answered at once."""
        if len(reply) > SMALL_BYTES:
            self.desk.work -= len(reply) >> 6
        self.order.answer(reply)
        return True

    def refuse(self, reply: bytes, name: bytes = b"") -> bool:
        """A command is answered at once, by an error, without being begun. `name`: of the command, where there is one."""
        if reply:
            self.desk.times.reject(name, reply)
        return self.answer(reply)

    def count(self, spec: Spec, args: Request) -> None:
        """A command is taken."""
        if self.desk.monitors.sessions:
            self.desk.monitors.tell(self.session, spec, args)
        self.desk.commands += 1
        self.session.last = spec.name

    def place(self, spec: Spec, args: Request, db: int) -> int | bytes:
        """The one entity that a command is on, or an error."""
        if spec.everywhere and (self._slots or spec.name == "flushall"):
            return error(f"{spec.name.upper()} is on more than one entity: it cannot be in a transaction", "CROSSSLOT")
        if not self._slots:
            return REDIS_BASE + db
        slots = {hash_slot(key, self._slots) for key in spec.key_names(args)}
        return CROSS_SLOT if len(slots) > 1 else SLOT_BASE + (slots.pop() if slots else 0)

    def fault(self, spec: Spec, args: Request) -> bytes | None:
        """The error for a command that has not the right number of words, or too many of them."""
        if not spec.fits(len(args)):
            return wrong_arity(spec.name)
        return self._local_fault(spec, args) if isinstance(spec, SessionSpec) else self._too_many_keys(spec, args)

    def _local_fault(self, spec: SessionSpec, args: Request) -> bytes | None:
        if len(args) > MAX_LOCAL_WORDS and spec.name not in UNBOUNDED:
            return error(f"{len(args)} arguments are over the limit of {MAX_LOCAL_WORDS}", TOO_LARGE)
        return spec.fault(args)

    def _too_many_keys(self, spec: Spec, args: Request) -> bytes | None:
        keys, limit = len(spec.key_names(args)), self.desk.settings.max_keys
        return None if keys <= limit else error(f"{keys} keys are over the limit of {limit}: see redis.max_keys", TOO_LARGE)

    def start(self, spec: Spec, run: Run, args: Request, entity: int) -> bool:
        if spec.waits and (seconds := wait_seconds(spec, args)) is not None:
            self.count(spec, args)
            self._wait(spec, args, entity, seconds)
            return True
        writes = spec.writes and (spec.only_reads is None or spec.writes_with(args))
        if not writes and not self.order.may_read(entity):
            return False
        desk = self.desk
        desk.commands += 1
        self.session.last = spec.name
        if desk.monitors.sessions:
            desk.monitors.tell(self.session, spec, args)
        may_be_long = not writes and (spec.may_be_long or len(args) > MANY_WORDS) and spec.may_be_long_with(args)
        beside = desk.beside if may_be_long else None
        command = Command(self.order, run, args, self.session.proto, entity, not writes, beside)
        command.began_s = self.desk.seconds()
        if spec.prepare is not None and desk.beside is not None and command.size > spec.prepare.from_bytes:
            self.order.hold(command)
            desk.beside.prepare(command, partial(spec.prepare.read, args), partial(desk.submit, command))
            return True
        self.order.start(command)
        return True

    def _note(self, command: Command) -> None:
        """A command has its reply."""
        words = command.words
        self.took(words[0], words, command.began_s, command.reply or b"")

    def took(self, name: bytes, words: list[bytes], began_s: float, reply: bytes) -> None:
        """A command that began then has this reply."""
        session, took_us = self.session, int((self.desk.seconds() - began_s) * 1e6)
        self.desk.times.note(name, words, took_us, reply, session.address, session.name)

    def _wait(self, spec: Spec, args: Request, entity: int, seconds: float) -> None:
        """Start a command that waits where there is nothing for it."""
        desk, session = self.desk, self.session
        command = WaitingCommand(
            self.order,
            spec,
            args,
            session.proto,
            entity,
            room=desk.waiting,
            until_s=until(seconds, desk.seconds()),
            submit=desk.submit,
            drop=session.drop,
            takings=desk.takings,
        )
        self.order.hold(command)
        command.begin()

    def _local(self, spec: Spec, args: Request) -> bool:
        assert isinstance(spec, SessionSpec), "what no entity runs, the session does"
        if len(args) > 1 and (refusal := self._local_fault(spec, args)) is not None:
            return self._misused(spec, args, refusal)
        starter = STARTERS.get(spec.name)
        if starter is not None:
            return starter(self, spec, args)
        return self.local(spec, args)

    def local(self, spec: Spec, args: Request) -> bool:
        """The session answers."""
        assert isinstance(spec, SessionSpec), "what no entity runs, the session does"
        self.count(spec, args)
        session, name = self.session, args[0]
        if spec.subcommands:
            name = spec.full_name(args)
            session.last = name.decode()
        began_s = self.desk.seconds()
        reply = spec.answer(session, args)
        self.took(name, args, began_s, reply)
        if spec.name == "psubscribe":
            self.desk.work -= sum(map(len, args)) >> PATTERN_SHIFT
        if spec.group == "pubsub" and spec.name not in ("publish", "spublish", "pubsub"):
            self.order.answer(reply, anyway=True)  # these are messages
            return True
        return self.answer(reply)

    def _unusual(self, spec: Spec | None, args: Request) -> bool:
        """No command, or one between MULTI and EXEC."""
        transaction = self.session.transaction
        if spec is None:
            if args[0].lower() in WEB_WORDS:
                self.desk.closing("foreign", self.session, "it begins as HTTP does, not the Redis protocol")
                self._ended = True
                return self.answer(b"")
            transaction.refuse()
            return self.refuse(unknown_command(args))
        if not isinstance(spec, SessionSpec) or not spec.at_once:
            return transactions.queue(self, spec, args)
        return self._misused(spec, args, wrong_arity(spec.name)) if not spec.fits(len(args)) else self._local(spec, args)

    def _misused(self, spec: Spec, args: Request, refusal: bytes) -> bool:
        """A command has not the words it needs: a transaction that it should have been in is none any more."""
        transaction = self.session.transaction
        transaction.refuse()
        if spec.name == "exec":
            transaction.clear()
            refusal = error(b"Transaction discarded because of: " + refusal.removeprefix(b"-ERR ").rstrip(), "EXECABORT")
        return self.refuse(refusal, spec.full_name(args))

    def _across(self, spec: Spec, run: Run, args: Request, way: Way) -> bool:
        """A key is to come to another database."""
        desk, session = self.desk, self.session
        self.count(spec, args)
        command = Command(self.order, run, args, session.proto, REDIS_BASE + session.db, True)
        command.began_s = desk.seconds()
        self.order.hold(command)
        Across(self.order, command, way, desk.submit, desk.beside).begin()
        return True

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
            return self.start(spec, run, args, REDIS_BASE + self.session.db)
        self.count(spec, args)
        merge = merge_by(spec.gather) if spec.gather else merge_ok if spec.writes else merge_sum
        began_s = self.desk.seconds()

        def noted(parts: Sequence[Ended], number: int) -> bytes:
            reply = merge(parts, number)
            self.took(args[0], args, began_s, reply)
            return reply

        whole = Whole(self.order, len(entities), noted)
        self.order.spread(Spread(whole, run, args, self.session.proto, entities, spec.writes))
        return True

    def _scan_slot(self, spec: Spec, run: Run, args: Request) -> bool:
        cursor = parse_cursor(args[1])
        if cursor is None:
            return self.refuse(INVALID_CURSOR, args[0])
        slot = cursor >> 32
        if slot >= self._slots:
            return self.answer(EMPTY_PAGE)
        return self.start(spec, run, args, SLOT_BASE + slot)


def debug_or_sleep(dispatch: Dispatch, spec: Spec, args: Request) -> bool:
    """DEBUG: a command on data, but for SLEEP."""
    session, desk = dispatch.session, dispatch.desk
    seconds = double(args[2]) if len(args) == 3 and args[1].lower() == b"sleep" else None
    if seconds is None:
        data = DATA_TABLE[b"debug"]
        assert data.run is not None
        entity = dispatch.place(data, args, session.db)
        return dispatch.refuse(entity, args[0]) if isinstance(entity, bytes) else dispatch.start(data, data.run, args, entity)
    dispatch.count(spec, args)
    began_s = desk.seconds()

    def woken(nap: Nap) -> None:
        dispatch.took(args[0], args, began_s, OK)
        dispatch.order.rested(nap)

    dispatch.order.rest(Nap(seconds, desk.later, woken))
    return True


def cluster(dispatch: Dispatch, spec: Spec, args: Request) -> bool:
    """CLUSTER: what concerns the keys of a slot is a request."""
    if args[1].lower() not in ON_DATA:
        return dispatch.local(spec, args)
    session, slots = dispatch.session, dispatch.settings.slots
    slot = slot_named(args)
    if isinstance(slot, bytes):
        return dispatch.refuse(slot, spec.full_name(args))
    if slots and CLUSTER_SLOTS % slots:
        text = f"a slot of Redis's is in no slot of this keyspace: {slots} do not divide {CLUSTER_SLOTS}"
        return dispatch.refuse(error(text), spec.full_name(args))
    data = DATA_TABLE[b"cluster"]
    assert data.run is not None
    return dispatch.start(data, data.run, args, SLOT_BASE + slot % slots if slots else REDIS_BASE + session.db)


def call(dispatch: Dispatch, spec: Spec, args: Request) -> bool:
    """PAXOS.CALL, PAXOS.READ."""
    return calls.call(dispatch, dispatch.desk, spec, args)


STARTERS: Final[dict[str, Callable[[Dispatch, Spec, Request], bool]]] = {
    "cluster": cluster,
    "debug": debug_or_sleep,
    "exec": transactions.execute,
    calls.CALL: call,
    calls.READ: call,
    once.NAME: once.once,
    "watch": transactions.watch,
}
"""Session commands that are requests too."""
