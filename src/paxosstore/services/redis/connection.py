"""One client of the Redis service: the order of its commands, and the order of their replies.

No task and no future per command: each becomes a request with a place in its connection's queue of replies. Replies leave
in order, and all that a pass of the loop completes leaves in one write.

A connection's commands take effect in the order in which they were sent, per entity, though they do not wait for each
other:

- writes to one entity are queued in order;
- a read after a write that is not settled yet is queued behind it, as if it were a write;
- a write after reads that are not settled yet waits for them, and so does everything after it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from ...core.request import Request
from ...runtime.direct import descriptor, write_now
from .commands import Run, Spec
from .generic import INVALID_CURSOR, NO_MORE_KEYS, parse_cursor
from .keyspace import DATABASES, REDIS_BASE, SLOT_BASE, hash_slot
from .modes import ENDS_TRANSACTION, NOT_DONE, transaction_step
from .reply import error, wrong_arity
from .requests import Answer, Command, Part, Slot, Whole, merge_ok, merge_sum
from .resp import Limits, RequestError, RequestParser
from .session import LOCAL, TABLE, Host, Session, unknown_command

CROSS_SLOT = error("Keys in request don't hash to the same slot", "CROSSSLOT")
TOO_LARGE = "TOOLARGE"


class Hub(Host, Protocol):
    """What a connection needs of its server."""

    commands: int
    protocol_errors: int
    limits: Limits
    submit: Callable[[Request], None]

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more client; it counts from now on."""
        ...

    def forget(self, connection: Connection) -> None:
        """The connection has ended."""
        ...

    def flush_soon(self, connection: Connection) -> None:
        """Call the connection's `flush` in the next pass of the loop."""
        ...


class Ending:
    """Takes a command's place where a connection ends: answer this, then close."""

    __slots__ = ("reply",)

    def __init__(self, reply: bytes = b"") -> None:
        self.reply = reply


class Connection(Session, asyncio.Protocol):
    """One client."""

    __slots__ = (
        "_backlog",
        "_descriptor",
        "_dirty",
        "_ended",
        "_in_transaction",
        "_keep_reading",
        "_max_pipelined",
        "_out",
        "_parser",
        "_reads",
        "_server",
        "_slots",
        "_submit",
        "_transport",
        "_waiting",
        "_write_blocked",
        "_writes",
    )

    def __init__(self, server: Hub, number: int) -> None:
        super().__init__(server, number)
        settings = server.settings
        self._server = server
        self._submit = server.submit
        self._slots = settings.slots
        self._max_pipelined = settings.max_pipelined
        self._parser = RequestParser(server.limits)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Slot] = deque()
        """Places of replies that have not left, in order."""
        self._out: list[bytes] = []
        """Replies whose turn it is, for the next write."""
        self._backlog: deque[list[bytes] | Ending] = deque()
        """Commands that cannot be started yet."""
        self._reads = 0
        """Reads under way."""
        self._writes: dict[int, int] = {}
        """Entity -> writes under way, and reads that were queued behind one."""
        self._keep_reading = True
        self._write_blocked = False
        self._ended = False
        self._in_transaction = False
        """A MULTI was refused, and neither EXEC nor DISCARD has come."""
        self._dirty = False
        self._descriptor = -1

    @property
    def waiting(self) -> int:
        return len(self._waiting) + len(self._backlog)

    # -- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class
        self.address = _address(transport.get_extra_info("peername"))
        self.local_address = _address(transport.get_extra_info("sockname"))
        if self._server.admit(self):
            self._transport = transport
            self._descriptor = descriptor(transport)
        else:
            transport.write(error("max number of clients reached"))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._backlog.clear()
        self._out.clear()
        self._server.forget(self)

    def data_received(self, data: bytes) -> None:
        if self._ended or self._transport is None:
            return
        self.active_s = self._server.seconds()
        commands: Sequence[list[bytes] | Ending]
        try:
            commands = self._parser.feed(data)
        except RequestError as fault:
            self._server.protocol_errors += 1
            commands = [*fault.before, Ending(error(str(fault).encode("latin-1")))]
        if self._backlog:
            self._backlog.extend(commands)
        else:
            for at, command in enumerate(commands):
                if not self._take(command):
                    self._backlog.extend(commands[at:])
                    break
        self._regulate()

    def eof_received(self) -> bool:
        """The client has sent all it had; it may still read what it is owed."""
        self._backlog.append(Ending())
        self._mark()
        return True

    def pause_writing(self) -> None:
        self._write_blocked = True
        self._regulate()

    def resume_writing(self) -> None:
        self._write_blocked = False
        self._mark()

    def drop(self) -> None:
        """End the connection without waiting for anything."""
        if self._transport is not None:
            self._transport.abort()

    # -- replies

    def settled(self, command: Command) -> None:
        """A request of this connection has its outcome."""
        if command.read_only:
            self._reads -= 1
        else:
            entity = command.entity
            left = self._writes[entity] - 1
            if left:
                self._writes[entity] = left
            else:
                del self._writes[entity]
        if not self._dirty:
            self._mark()

    def answered(self) -> None:
        self._mark()

    def flush(self) -> None:
        """Write what is complete, in order, and start what was held back."""
        self._dirty = False
        transport = self._transport
        if transport is None:
            return
        waiting, out = self._waiting, self._out
        while waiting and (reply := waiting[0].reply) is not None:
            out.append(reply)
            waiting.popleft()
        if out:
            write_now(transport, self._descriptor, out[0] if len(out) == 1 else b"".join(out))
            out.clear()
        backlog = self._backlog
        while backlog and self._take(backlog[0]):
            backlog.popleft()
        if self._ended and not waiting and not out:
            transport.close()
        self._regulate()

    def _answer(self, reply: bytes) -> bool:
        if self._waiting:
            self._waiting.append(Answer(reply))
        else:
            self._out.append(reply)
        if not self._dirty:
            self._mark()
        return True

    def _mark(self) -> None:
        """See that `flush` is called once in the next pass of the loop."""
        if not self._dirty and self._transport is not None:
            self._dirty = True
            self._server.flush_soon(self)

    def _regulate(self) -> None:
        """Read from the client only while there is room for what it may send."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        waiting = len(self._waiting)
        if self._keep_reading:
            if self._write_blocked or self._backlog or waiting >= self._max_pipelined:
                self._keep_reading = False
                transport.pause_reading()
        elif not self._write_blocked and not self._backlog and waiting <= self._max_pipelined // 2:
            self._keep_reading = True
            transport.resume_reading()

    # -- commands

    def _take(self, args: list[bytes] | Ending) -> bool:
        """Start a command; False: not yet, nothing has been done."""
        if self._ended:
            return True
        if self._write_blocked or len(self._waiting) >= self._max_pipelined:
            return False
        if isinstance(args, Ending):
            self._ended = True
            return self._answer(args.reply)
        spec = TABLE.get(args[0]) or TABLE.get(args[0].lower())
        if spec is None or self._in_transaction:
            return self._unusual(spec, args)
        words, arity = len(args), spec.arity
        if words != arity and (arity > 0 or words < -arity):
            return self._answer(wrong_arity(spec.name))
        if spec.writes and self._reads:
            return False
        self._server.commands += 1
        self.last = spec.name
        run = spec.run
        if run is None:
            return self._local(spec, args)
        if spec.writes and (size := sum(map(len, args))) > self._server.settings.max_request_bytes:
            limit = self._server.settings.max_request_bytes
            return self._answer(error(f"a request of {size} bytes is over the limit of {limit}", TOO_LARGE))
        if spec.everywhere:
            return self._everywhere(spec, run, args)
        if not self._slots:
            return self._start(run, args, spec.writes, REDIS_BASE + self.db)
        slots = {hash_slot(key, self._slots) for key in spec.key_names(args)}
        if len(slots) > 1:
            return self._answer(CROSS_SLOT)
        return self._start(run, args, spec.writes, SLOT_BASE + slots.pop())

    def _local(self, spec: Spec, args: list[bytes]) -> bool:
        reply = LOCAL[spec.name](self, args)
        self._ended = self.ending
        return self._answer(reply)

    def _unusual(self, spec: Spec | None, args: list[bytes]) -> bool:
        """No command, one on transactions, or any inside a refused transaction (modes.py)."""
        inside = self._in_transaction
        step = transaction_step(args, inside)
        if step is not None:
            reply, self._in_transaction = step
            return self._answer(reply)
        if not inside:
            return self._answer(unknown_command(args))
        if spec is None or args[0].lower() not in ENDS_TRANSACTION or not spec.fits(len(args)):
            return self._answer(NOT_DONE)
        self._in_transaction = False
        return self._local(spec, args)

    def _start(self, run: Run, args: list[bytes], writes: bool, entity: int) -> bool:
        read_only = not writes and entity not in self._writes
        command = Command(self, run, args, self.proto, entity, read_only)
        self._waiting.append(command)
        self._send(command)
        return True

    def _send(self, command: Command) -> None:
        if command.read_only:
            self._reads += 1
        else:
            self._writes[command.entity] = self._writes.get(command.entity, 0) + 1
        self._submit(command)

    def _everywhere(self, spec: Spec, run: Run, args: list[bytes]) -> bool:
        """A command on a whole database, or on all of them."""
        if spec.name == "scan" and self._slots:
            return self._scan_slot(run, args)
        if self._slots:
            entities = range(SLOT_BASE, SLOT_BASE + self._slots)
        elif spec.name == "flushall":
            entities = range(REDIS_BASE, REDIS_BASE + DATABASES)
        else:
            return self._start(run, args, spec.writes, REDIS_BASE + self.db)
        whole = Whole(self, len(entities), merge_ok if spec.writes else merge_sum)
        self._waiting.append(whole)
        for entity in entities:
            read_only = not spec.writes and entity not in self._writes
            self._send(Part(whole, self, run, args, self.proto, entity, read_only))
        return True

    def _scan_slot(self, run: Run, args: list[bytes]) -> bool:
        cursor = parse_cursor(args[1])
        if cursor is None:
            return self._answer(INVALID_CURSOR)
        slot = cursor >> 32
        if slot >= self._slots:
            return self._answer(NO_MORE_KEYS)
        return self._start(run, args, False, SLOT_BASE + slot)


def _address(name: object) -> str:
    """A socket's name as Redis writes it."""
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name or "")
