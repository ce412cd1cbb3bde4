"""A client's commands on their way into the store, in an order that it cannot tell from one by one.

They take effect in the order in which they were sent, per entity, though they do not wait for each other:

- writes to one entity are queued in order;
- a read after a write that is not settled yet is queued behind it, as if it were a write;
- a write after reads that are not settled yet waits for them, and so does everything after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Protocol

from ...core.batch.request import Request as StoreRequest
from ...errors import NotServing, Overloaded
from .commands.spec import Run, Spec
from .layout.keyspace import DATABASES, REDIS_BASE, SLOT_BASE, hash_slot
from .modes import ENDS_TRANSACTION, NOT_DONE, transaction_step
from .reply import error, store_error, wrong_arity
from .requests import LARGE_REPLY_BYTES, SMALL_BYTES, Answer, Command, Slot, Spread, Whole, merge_ok, merge_sum
from .resp import Limits, Refused, Request
from .room import Room
from .session import LOCAL, TABLE, Host, Session, unknown_command
from .types.generic import INVALID_CURSOR, NO_MORE_KEYS, parse_cursor

CROSS_SLOT = error("Keys in request don't hash to the same slot", "CROSSSLOT")
TOO_LARGE = "TOOLARGE"
READ_FLOOR = 1
"""So many reads may be under way whatever the size of their replies."""
CROWDED_BYTES = 1_048_576
"""Replies unread or in the making from which on no more of them are made."""
QUEUED_READS = 8
"""Reads queued behind a write, at first: they cannot be put off when their replies turn out to be large …"""
MAX_QUEUED_READS = 64
"""… so there may be more only while they are not."""
MAX_UNDER_WAY_BYTES = 16 * 1024 * 1024
"""Of commands under way from one client."""
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

    def closing(self, why: str, connection: Session, text: str) -> None:
        """The connection is closed for a reason: count it, and say so."""
        ...


class Ending:
    """Takes a command's place where a connection ends: answer this, then close."""

    __slots__ = ("reply",)

    def __init__(self, reply: bytes = b"") -> None:
        self.reply = reply


class Dispatch(Session):
    """The half of a connection that starts commands."""

    __slots__ = (
        "_buffered",
        "_deferred",
        "_dirty",
        "_ended",
        "_gone",
        "_held_up",
        "_in_transaction",
        "_max_pipelined",
        "_out",
        "_owed",
        "_queued_reads",
        "_queued_window",
        "_read_window",
        "_reads",
        "_reported",
        "_server",
        "_slots",
        "_spread",
        "_stopping",
        "_submit",
        "_under_way",
        "_waiting",
        "_writes",
        "crowded",
        "room",
    )

    def __init__(self, server: Desk, number: int) -> None:
        super().__init__(server, number)
        settings = server.settings
        self._server = server
        self.room = server.room
        self._submit = server.submit
        self._slots = settings.slots
        self._max_pipelined = settings.max_pipelined
        self._waiting: deque[Slot] = deque()
        """Places of replies that have not left, in order."""
        self._out: list[bytes] = []
        """Replies whose turn it is, for the next write."""
        self._reads = 0
        """Reads under way, those that were put off included."""
        self._read_window = settings.max_pipelined
        """How many reads may be under way."""
        self._deferred: list[tuple[int, Command]] = []
        """Reads that were put off: a heap, by their places."""
        self._queued_reads = 0
        self._queued_window = QUEUED_READS
        """How many reads may be queued behind writes."""
        self._writes: dict[int, int] = {}
        """Entity -> writes under way, and reads that were queued behind one."""
        self._under_way = 0
        """Bytes of the commands under way, as far as they are not small."""
        self._owed = 0
        """Bytes of replies that are made and have not been written, as far as they are not small."""
        self._buffered = 0
        """Bytes written that the client has not taken; it may be fewer by now."""
        self._reported = 0
        """What `room` knows of this connection."""
        self._dirty = False
        """What is to be done in the next pass of the loop is known to the server."""
        self._gone = True
        """There is nobody to reply to."""
        self._spread: Spread | None = None
        """A command on several entities that is not under way at all of them yet."""
        self.crowded = False
        """The client has so many replies to read that no more are made."""
        self._held_up = False
        """Nothing is started: there are too many replies, or something else has to be started first."""
        self._ended = False
        self._stopping = False
        """The node stops: what has not been started is refused."""
        self._in_transaction = False
        """A MULTI was refused, and neither EXEC nor DISCARD has come."""

    @property
    def _full(self) -> bool:
        """As much is under way as may be."""
        return len(self._waiting) >= self._max_pipelined or self._under_way > MAX_UNDER_WAY_BYTES

    def tune(self) -> None:
        """The server's settings are others now."""
        self._max_pipelined = self._server.settings.max_pipelined
        self._read_window = min(self._read_window, self._max_pipelined)

    # -- replies

    def settled(self, command: Command) -> None:
        """A request of this connection has its outcome."""
        self._forget(command)
        if not self._dirty:
            self._mark()

    def deferred(self, command: Command) -> None:
        """A read was not evaluated, for want of room: it starts again later."""
        self._read_window = max(READ_FLOOR, self._read_window // 2)
        if self._gone:
            self._forget(command)
            return
        heappush(self._deferred, (command.place, command))
        self._look()
        self._mark()

    def is_next(self, command: Command) -> bool:
        """Whether the client waits for the reply to this command alone: it has to be made, however much else there is."""
        return self._buffered <= CROWDED_BYTES and bool(self._waiting) and self._waiting[0] is command

    def built(self, size: int) -> None:
        """Replies of so many bytes are there, or are there no more."""
        if self._gone:
            return
        self._owed += size
        self._reported += size
        self.room.add(size)
        self._look()

    def answered(self, reply: bytes) -> None:
        """A reply that is made of several has come together."""
        if len(reply) > SMALL_BYTES:
            self.built(len(reply))
        self._mark()

    def check_unread(self) -> None:
        """Raises Overloaded if the client has left so much unread that nothing may be made for it."""
        unread = self._owed + self._buffered
        limit = self._server.settings.max_unread_bytes
        if unread > limit:
            raise Overloaded(f"{unread} bytes of replies are unread, {limit} may be: read, or raise redis.max_unread_bytes")

    def _answer(self, reply: bytes) -> bool:
        if len(reply) > SMALL_BYTES:
            self.built(len(reply))
            self._server.work -= len(reply) >> 6
        if self._waiting:
            self._waiting.append(Answer(reply))
        else:
            self._out.append(reply)
        if not self._dirty:
            self._mark()
        return True

    def _look(self) -> None:
        """See what holds commands up."""
        self.crowded = self._gone or self._owed + self._buffered > CROWDED_BYTES
        self._held_up = self.crowded or bool(self._deferred) or self._spread is not None

    def _mark(self) -> None:
        """See that replies are written, and what was held up is started, in the next pass of the loop."""
        raise AssertionError("a connection must say how it is called again")

    def _starve(self) -> None:
        """See that what was held up is started when there is room."""
        raise AssertionError("a connection must say how it waits for room")

    # -- starting commands

    def _take(self, args: Request | Refused | Ending) -> bool:
        """Start a command; False: not yet, nothing has been done."""
        if self._ended:
            return self._answer(STOPPING) if self._stopping else True
        if self._held_up or len(self._waiting) >= self._max_pipelined or self._under_way > MAX_UNDER_WAY_BYTES:
            return False
        if not isinstance(args, list):
            self._ended = isinstance(args, Ending)
            return self._answer(args.reply)
        spec = TABLE.get(args[0]) or TABLE.get(args[0].lower())
        if spec is None or self._in_transaction:
            return self._unusual(spec, args)
        words, arity = len(args), spec.arity
        if words != arity and (arity > 0 or words < -arity):
            return self._answer(wrong_arity(spec.name))
        if spec.writes and self._reads:
            return False
        run = spec.run
        if run is None:
            self._server.commands += 1
            self.last = spec.name
            return self._local(spec, args)
        if words > 8 and (keys := len(spec.key_names(args))) > self._server.settings.max_keys:
            limit = self._server.settings.max_keys
            return self._answer(error(f"{keys} keys are over the limit of {limit}: see redis.max_keys", TOO_LARGE))
        if spec.everywhere:
            return self._everywhere(spec, run, args)
        if not self._slots:
            return self._start(spec, run, args, REDIS_BASE + self.db)
        slots = {hash_slot(key, self._slots) for key in spec.key_names(args)}
        if len(slots) > 1:
            return self._answer(CROSS_SLOT)
        return self._start(spec, run, args, SLOT_BASE + slots.pop())

    def _local(self, spec: Spec, args: Request) -> bool:
        if len(args) > MAX_LOCAL_WORDS:
            return self._answer(error(f"{len(args)} arguments are over the limit of {MAX_LOCAL_WORDS}", TOO_LARGE))
        reply = LOCAL[spec.name](self, args)
        self._ended = self.ending
        return self._answer(reply)

    def _unusual(self, spec: Spec | None, args: Request) -> bool:
        """No command, one on transactions, or any inside a refused transaction (modes.py)."""
        inside = self._in_transaction
        step = transaction_step(args, inside)
        if step is not None:
            reply, self._in_transaction = step
            return self._answer(reply)
        if spec is None and args[0].lower() in WEB_WORDS:
            self._server.closing("foreign", self, "it begins as HTTP does, not the Redis protocol")
            self._ended = True
            return self._answer(b"")
        if not inside:
            return self._answer(unknown_command(args))
        if spec is None or args[0].lower() not in ENDS_TRANSACTION or not spec.fits(len(args)):
            return self._answer(NOT_DONE)
        self._in_transaction = False
        return self._local(spec, args)

    def _start(self, spec: Spec, run: Run, args: Request, entity: int) -> bool:
        read_only = queued_read = False
        if not spec.writes:
            queued_read = entity in self._writes
            read_only = not queued_read
            if (self._queued_reads >= self._queued_window) if queued_read else (self._reads >= self._read_window):
                return False
            self._queued_reads += queued_read
        self._server.commands += 1
        self.last = spec.name
        command = Command(self, run, args, self.proto, entity, read_only)
        command.queued_read = queued_read
        command.place = self._server.commands
        if command.size > SMALL_BYTES:
            self._under_way += command.size
        self._waiting.append(command)
        self._send(command)
        return True

    def _send(self, command: Command) -> None:
        if command.read_only:
            self._reads += 1
        else:
            self._writes[command.entity] = self._writes.get(command.entity, 0) + 1
        self._submit(command)

    def _forget(self, command: Command) -> None:
        """It is under way no more."""
        if command.size > SMALL_BYTES:
            self._under_way -= command.size
        if command.read_only:
            self._reads -= 1
            if self._read_window < self._max_pipelined:
                self._read_window += 1
            return
        if command.queued_read:
            self._queued_reads -= 1
            if command.reply is not None and len(command.reply) > LARGE_REPLY_BYTES:
                self._queued_window = max(1, self._queued_window // 2)
            elif self._queued_window < MAX_QUEUED_READS:
                self._queued_window += 1
        entity = command.entity
        left = self._writes[entity] - 1
        if left:
            self._writes[entity] = left
        else:
            del self._writes[entity]

    def _send_held_up(self) -> None:
        """Start what has to be started before anything else, as far as there is room."""
        if self._spread is not None:
            self._send_parts()
        deferred = self._deferred
        while deferred and self._reads - len(deferred) < self._read_window:
            if self.crowded and not self.is_next(deferred[0][1]):
                break
            if self.room.full:
                self._starve()
                break
            _, command = heappop(deferred)
            self._reads -= 1
            command.again()
            self._send(command)
        self._look()

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
            return self._start(spec, run, args, REDIS_BASE + self.db)
        self._server.commands += 1
        self.last = spec.name
        whole = Whole(self, len(entities), merge_ok if spec.writes else merge_sum)
        self._waiting.append(whole)
        self._spread = Spread(whole, run, args, self.proto, entities, spec.writes)
        self._send_parts()
        self._look()
        return True

    def _send_parts(self) -> None:
        """Start a command at further entities: not at all at once, and at none after one has failed."""
        spread = self._spread
        assert spread is not None
        while (entity := spread.next()) is not None:
            self._send(spread.part(self, entity, entity in self._writes))
        if spread.over:
            self._spread = None

    def _scan_slot(self, spec: Spec, run: Run, args: Request) -> bool:
        cursor = parse_cursor(args[1])
        if cursor is None:
            return self._answer(INVALID_CURSOR)
        slot = cursor >> 32
        if slot >= self._slots:
            return self._answer(NO_MORE_KEYS)
        return self._start(spec, run, args, SLOT_BASE + slot)
