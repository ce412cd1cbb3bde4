"""One client of the Redis service: what it sends, what it is owed, and how much of both is held for it.

No task and no future per command: each becomes a request with a place in its connection's queue of replies (dispatch.py).
Replies leave in order, and all that a pass of the loop completes leaves in one write.

What holds a command up decides what becomes of the client:

- the store (too much under way): nothing more is read until there is room. That ends by itself.
- the client, which does not read its replies: commands wait as the bytes they came in, and reading goes on, so that a
  client may send everything before it reads. Above `max_unread_bytes` it is closed.

A read's reply is as large as what is stored, so how many may be under way is found out: one that would be evaluated while
its client has not read the last ones, is not; it starts again when there is room, with fewer of its kind beside it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol, cast

from ...runtime.direct import descriptor, write_now
from ...runtime.sockets import keep_alive, looks_like
from .dispatch import MAX_UNDER_WAY_BYTES, Desk, Dispatch, Ending
from .reply import error
from .requests import LARGE_REPLY_BYTES, SMALL_BYTES
from .resp import Refused, Request, RequestError, RequestParser

SLICE_BYTES = 16_384
"""What is parsed at a time, and so how many commands there may be beside the bytes they came in."""
READ_AHEAD_BYTES = 262_144
"""What is read while the store holds commands up."""


class Hub(Desk, Protocol):
    """What a connection needs of its server."""

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more client; it counts from now on."""
        ...

    def forget(self, connection: Connection) -> None:
        """The connection has ended."""
        ...

    def flush_soon(self, connection: Connection) -> None:
        """Call the connection's `flush` in the next pass of the loop."""
        ...

    def look_for_room(self) -> None:
        """Too much is held: close somebody in the next pass of the loop."""
        ...

    def starve(self, connection: Connection) -> None:
        """Call the connection's `wake` when there is room again."""
        ...


class Connection(Dispatch, asyncio.Protocol):
    """One client."""

    _server: Hub

    __slots__ = (
        "_backlog",
        "_backlog_bytes",
        "_descriptor",
        "_eof",
        "_keep_reading",
        "_parser",
        "_transport",
        "_unparsed",
        "_unparsed_bytes",
        "_write_blocked",
    )

    def __init__(self, server: Hub, number: int) -> None:
        super().__init__(server, number)
        self._parser = RequestParser(server.limits, server.room)
        self._transport: asyncio.Transport | None = None
        self._unparsed: deque[bytes] = deque()
        self._unparsed_bytes = 0
        self._backlog: deque[Request | Refused | Ending] = deque()
        """Commands that cannot be started yet: no more than one slice held."""
        self._backlog_bytes = 0
        self._keep_reading = True
        self._write_blocked = False
        self._eof = False
        self._descriptor = -1

    @property
    def waiting(self) -> int:
        return len(self._waiting) + len(self._backlog) + (self._unparsed_bytes > 0)

    @property
    def held(self) -> int:
        """Bytes that are held for this client."""
        return self._owed + self._buffered + self._under_way + self._unsent

    @property
    def _unsent(self) -> int:
        """Bytes of commands that have not been started."""
        return self._unparsed_bytes + self._backlog_bytes + self._parser.held

    def tune(self) -> None:
        super().tune()
        self._parser.tune(self._server.limits)

    # -- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class
        self.address = _address(transport.get_extra_info("peername"))
        self.local_address = _address(transport.get_extra_info("sockname"))
        if self._server.admit(self):
            self._transport = transport
            self._gone = False
            self._descriptor = descriptor(transport)
            if self._server.settings.tcp_keepalive_s:
                keep_alive(transport, self._server.settings.tcp_keepalive_s)
        else:
            transport.write(error("max number of clients reached"))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._gone = True
        self._drop_input()
        self._parser = RequestParser(self._server.limits)
        self._out.clear()
        self._waiting.clear()
        while self._deferred:
            self._forget(self._deferred.pop()[1])
        self._owed = self._buffered = 0
        self._look()
        self._account()
        self._server.forget(self)

    def data_received(self, data: bytes) -> None:
        if self._transport is None or (self._ended and not self._stopping):
            return
        self.active_s = self._server.seconds()
        large = len(data) > SLICE_BYTES and len(data) > self._parser.wanted
        if large or self._backlog or self._unparsed or self._server.work <= 0:
            self._unparsed.append(data)
            self._unparsed_bytes += len(data)
            self._mark()
        else:
            self._feed(data)
        self._regulate()

    def eof_received(self) -> bool:
        """The client has sent all it had; it may still read what it is owed."""
        self._eof = True
        self._mark()
        return True

    def pause_writing(self) -> None:
        self._write_blocked = True
        self._regulate()

    def resume_writing(self) -> None:
        self._write_blocked = False
        self.active_s = self._server.seconds()
        self._look_at_buffer()
        self._mark()

    # -- its end

    def drop(self) -> None:
        """End the connection without waiting for anything."""
        if self._transport is not None:
            self._transport.abort()

    def give_up(self) -> None:
        """End the connection, and forget what is held for it at once."""
        transport, self._transport = self._transport, None
        self.connection_lost(None)
        if transport is not None:
            transport.abort()

    def wake(self) -> None:
        """There may be room again."""
        self._mark()

    def weigh(self) -> int:
        """What is held for it at this moment."""
        self._look_at_buffer()
        self._account()
        return self._reported

    def drain(self) -> None:
        """Start nothing more, and say so; end the connection when what is under way has been answered."""
        self._stopping = self._ended = True
        self._mark()

    def is_idle(self, now_s: float, limit_s: float) -> bool:
        """Whether it has sent nothing for so long, and waits for nothing."""
        return now_s - self.active_s >= limit_s and not self.waiting and not self._look_at_buffer()

    def is_stuck(self, now_s: float, limit_s: float) -> bool:
        """Whether it holds much, and has neither sent nor read anything for so long."""
        before = self._buffered
        if self._look_at_buffer() < before:
            self.active_s = now_s
        return self._reported >= LARGE_REPLY_BYTES and now_s - self.active_s >= limit_s

    def _drop_input(self) -> None:
        self._backlog.clear()
        self._unparsed.clear()
        self._unparsed_bytes = self._backlog_bytes = 0

    # -- replies

    def flush(self) -> None:
        """Write what is complete, in order, and start what was held back."""
        self._dirty = False
        transport = self._transport
        if transport is None:
            if self._spread is not None:
                self._send_parts()
            self._account()
            return
        waiting, out = self._waiting, self._out
        while waiting and (reply := waiting[0].reply) is not None:
            out.append(reply)
            waiting.popleft()
        if out:
            if not write_now(transport, self._descriptor, out[0] if len(out) == 1 else b"".join(out)) or self._buffered:
                self._buffered = transport.get_write_buffer_size()
            if self._owed:
                self._owed -= sum([len(reply) for reply in out if len(reply) > SMALL_BYTES])
            out.clear()
            if self._held_up or self._buffered:
                self._look()
        if self._held_up:
            self._send_held_up()
        if self._backlog or self._unparsed:
            self._go_on()
        if self._eof and not self._backlog and not self._unparsed:
            self._ended = True
        if self._ended and not waiting and not out and not (self._stopping and (self._backlog or self._unparsed)):
            transport.close()
        if self._reported or self._buffered or self._under_way or self._unparsed_bytes:
            self._account()
        self._regulate()

    def _mark(self) -> None:
        """See that `flush` is called once in the next pass of the loop."""
        if self._dirty:
            return
        if self._gone and self._spread is None:
            self._account()  # what it still has under way ends without it
            return
        self._dirty = True
        self._server.flush_soon(self)

    def _starve(self) -> None:
        self._server.starve(self)

    # -- what it sends

    def _feed(self, piece: bytes) -> None:
        """Start the commands of a piece; those that cannot be started yet are the backlog."""
        commands: Sequence[Request | Refused | Ending]
        parser, size = self._parser, len(piece)
        before = parser.held
        # the inside of a long argument is only copied
        self._server.work -= size >> 10 if size > SLICE_BYTES and size <= parser.wanted else size >> 6
        try:
            commands = parser.feed(piece)
        except RequestError as fault:
            self._server.protocol_errors += 1
            if fault.foreign:
                self._server.closing("foreign", self, f"it speaks {looks_like(fault.foreign)}, not the Redis protocol")
            commands = [*fault.before, Ending(error(str(fault).encode("latin-1")))]
        self._server.work -= len(commands)
        for at, command in enumerate(commands):
            if not self._take(command):
                self._backlog.extend(commands[at:])
                self._backlog_bytes = max(0, before + size - parser.held)
                break
        if parser.held or self._backlog or self._reported or self._under_way:
            self._account()

    def _go_on(self) -> None:
        """Start what waited, as far as this pass of the loop has time."""
        backlog, unparsed, server = self._backlog, self._unparsed, self._server
        while True:
            while backlog and server.work > 0 and self._take(backlog[0]):
                backlog.popleft()
                server.work -= 1
            if backlog:
                break
            self._backlog_bytes = 0
            if not unparsed or server.work <= 0 or self._held_up or self._full:
                break
            piece = unparsed.popleft()
            size = max(SLICE_BYTES, self._parser.wanted)
            if len(piece) > size:
                unparsed.appendleft(piece[size:])
                piece = piece[:size]
            self._unparsed_bytes -= len(piece)
            self._feed(piece)
        if server.work <= 0 and (backlog or unparsed):
            self._mark()

    # -- how much there is

    def _account(self) -> None:
        """Tell the service what is held for this client."""
        held = self.held
        if held != self._reported:
            self.room.add(held - self._reported)
            self._reported = held
            if self.room.over:
                self._server.look_for_room()

    def _look_at_buffer(self) -> int:
        if self._transport is not None and self._buffered:
            self._buffered = self._transport.get_write_buffer_size()
            self._look()
            self._account()
        return self._buffered

    def _regulate(self) -> None:
        """Read from the client while there is room for what it may send, or it could not read what it is owed."""
        full = len(self._waiting) >= self._max_pipelined or self._under_way > MAX_UNDER_WAY_BYTES
        held_back = full or self._backlog or self._unparsed_bytes > READ_AHEAD_BYTES
        if self._keep_reading and not held_back and not self._write_blocked:
            return
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._write_blocked:
            unread = self._owed + self._buffered
            if unread + self._unsent > self._server.settings.max_unread_bytes and self._look_at_buffer():
                text = f"{unread} bytes of replies are unread and {self._unsent} bytes of commands wait behind them"
                self._server.closing("unread", self, f"{text}: read, or raise redis.max_unread_bytes")
                self.give_up()
                return
        elif held_back:
            if self._keep_reading:
                self._keep_reading = False
                transport.pause_reading()
            return
        elif len(self._waiting) > self._max_pipelined // 2:
            return
        if not self._keep_reading:
            self._keep_reading = True
            transport.resume_reading()


def _address(name: object) -> str:
    """A socket's name as Redis writes it."""
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name or "")
