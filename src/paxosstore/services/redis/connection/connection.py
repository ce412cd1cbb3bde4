"""One client of the Redis service: its transport, what it sends, and how much is held for it.

No task and no future per command: each becomes a request with a place in the order of replies (order.py).
Replies leave in order, and all that a pass of the loop completes leaves in one write.

What holds a command up decides what becomes of the client:

- the store (too much under way): nothing more is read until there is room. That ends by itself.
- the client, which does not read its replies: commands wait as the bytes they came in, and reading goes on, so that a
  client may send everything before it reads. Above `max_unread_bytes` it is closed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol, cast

from ....runtime.direct import descriptor, write_now
from ....runtime.sockets import keep_alive, looks_like
from ..reply import error
from ..resp import Refused, Request, RequestError, RequestParser
from ..room import Share, Traffic
from ..session.session import Session, Sizes
from .dispatch import Desk, Dispatch, Ending
from .order import Order
from .requests import LARGE_REPLY_BYTES

SLICE_BYTES: Final = 16_384
"""What is parsed at a time, and so how many commands there may be beside the bytes they came in."""
READ_AHEAD_BYTES: Final = 262_144
"""What is read while the store holds commands up."""


class Hub(Desk, Protocol):
    """What a connection needs of its server."""

    traffic: Traffic

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


class Connection:
    """One client. In all but its class it is an asyncio.Protocol: a compiled class has no interpreted parent."""

    __slots__ = (
        "_backlog",
        "_backlog_bytes",
        "_descriptor",
        "_dispatch",
        "_eof",
        "_keep_reading",
        "_order",
        "_parser",
        "_server",
        "_share",
        "_traffic",
        "_transport",
        "_unparsed",
        "_unparsed_bytes",
        "_write_blocked",
        "session",
    )

    def __init__(self, server: Hub, number: int) -> None:
        self._server = server
        self._share = Share(server.room)
        self._traffic = server.traffic
        self.session = Session(server, number, self._share)
        self._order = Order(server.submit, self._share, server.settings, self)
        self.session.push = self.push
        self.session.confirm = self._order.confirm
        self.session.silence = self._order.silence
        self.session.drop = self.drop
        self.session.unblock = self._order.unblock
        self.session.sizes = self._sizes
        self._dispatch = Dispatch(server, self.session, self._order)
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
        return self._order.waiting + len(self._backlog) + (self._unparsed_bytes > 0)

    @property
    def held(self) -> int:
        """Bytes that are held for this client."""
        session = self.session
        return self._order.held + self._unsent + session.transaction.held + session.subscriptions.size

    @property
    def _unsent(self) -> int:
        """Bytes of commands that have not been started."""
        return self._unparsed_bytes + self._backlog_bytes + self._parser.held

    def _sizes(self) -> Sizes:
        order = self._order
        return Sizes(self._descriptor, self._unsent, order.under_way, order.unread, order.parked)

    def tune(self) -> None:
        """The server's settings are others now."""
        self._order.tune(self._server.settings)
        self._parser.tune(self._server.limits)

    # -- what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class
        self.session.address = _address(transport.get_extra_info("peername"))
        self.session.local_address = _address(transport.get_extra_info("sockname"))
        if self._server.admit(self):
            self._transport = transport
            self._order.open()
            self._descriptor = descriptor(transport)
            if self._server.settings.tcp_keepalive_s:
                keep_alive(transport, self._server.settings.tcp_keepalive_s)
        else:
            transport.write(error("max number of clients reached"))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._backlog.clear()
        self._unparsed.clear()
        self._unparsed_bytes = self._backlog_bytes = 0
        self._parser = RequestParser(self._server.limits)
        self.session.transaction.clear()
        self._order.end()
        if self.session.subscriptions:
            self._server.hub.forget(self.session)
        self._account()
        self._server.forget(self)

    def data_received(self, data: bytes) -> None:
        dispatch = self._dispatch
        if self._transport is None or (dispatch.ended and not dispatch.stopping):
            return
        server, traffic, size = self._server, self._traffic, len(data)
        traffic.reads += 1
        traffic.bytes_in += size
        self.session.active_s = server.seconds()
        large = size > SLICE_BYTES and size > self._parser.wanted
        if large or self._backlog or self._unparsed or server.work <= 0:
            self._unparsed.append(data)
            self._unparsed_bytes += size
            self._order.tell()
        else:
            self._feed(data)
        self._regulate()

    def eof_received(self) -> bool:
        """The client has sent all it had; it may still read what it is owed."""
        self._eof = True
        self._order.tell()
        return True

    def pause_writing(self) -> None:
        self._write_blocked = True
        self._regulate()

    def resume_writing(self) -> None:
        self._write_blocked = False
        self.session.active_s = self._server.seconds()
        self._look_at_buffer()
        self._order.tell()

    # -- its end

    @property
    def is_closing(self) -> bool:
        """Whether what is written from now on reaches nobody."""
        return self._transport is None or self._transport.is_closing()

    def drop(self) -> None:
        """End the connection without waiting for anything, and forget what is held for it at once: its room is wanted, and what
        waits for it takes nothing any more. Safe to repeat."""
        transport, self._transport = self._transport, None
        if transport is not None:
            self.connection_lost(None)
            transport.abort()

    def weigh(self) -> int:
        """What is held for it at this moment."""
        self._look_at_buffer()
        self._account()
        return self._share.held

    def drain(self) -> None:
        """Start nothing more, and say so; end the connection when what is under way has been answered."""
        self._dispatch.stop()
        self._order.tell()

    def is_idle(self, now_s: float, limit_s: float) -> bool:
        """Whether it has sent nothing for so long, and waits for nothing."""
        idle = now_s - self.session.active_s >= limit_s and not self.waiting and not self.session.subscriptions
        return idle and not self._look_at_buffer()

    def is_stuck(self, now_s: float, limit_s: float) -> bool:
        """Whether it holds much, and has neither sent nor read anything for so long."""
        before = self._order.buffered
        if self._look_at_buffer() < before:
            self.session.active_s = now_s
        return self._share.held >= LARGE_REPLY_BYTES and now_s - self.session.active_s >= limit_s

    # -- replies

    def push(self, message: bytes) -> None:
        """Send what answers no command, unless it is too much that the client does not read: then its connection ends."""
        order, limit = self._order, self._server.settings.max_unread_bytes
        if order.unread + len(message) > limit and order.unread - order.buffered + self._look_at_buffer() + len(message) > limit:
            text = f"{order.unread} bytes of messages are unread: read, or raise redis.max_unread_bytes"
            self._server.closing("unread", self.session, text)
            self.drop()
        else:
            order.push(message)

    def look_soon(self) -> None:
        """See that `flush` is called once in the next pass of the loop."""
        if self._order.gone and not self._order.unfinished:
            self._account()  # what it still has under way ends without it
        else:
            self._server.flush_soon(self)

    def starve(self) -> None:
        self._server.starve(self)

    def wake(self) -> None:
        """There may be room again."""
        self._order.tell()

    def flush(self) -> None:
        """Write what is complete, in order, and start what was held back."""
        order, transport = self._order, self._transport
        out = order.take_replies()
        if transport is None:
            if order.unfinished:
                order.go_on()
            self._account()
            return
        if out:
            self._write(transport, out[0] if len(out) == 1 else b"".join(out))
        if order.held_up:
            order.go_on()
        if self._backlog or self._unparsed:
            self._go_on()
        dispatch = self._dispatch
        left = bool(self._backlog or self._unparsed)
        if self._eof:
            order.hang_up()
            if not left:
                dispatch.end()
        if dispatch.ended and order.settled_all and not (dispatch.stopping and left):
            transport.close()
        self._account()
        self._regulate()

    def _write(self, transport: asyncio.Transport, data: bytes) -> None:
        traffic, order = self._traffic, self._order
        traffic.writes += 1
        traffic.bytes_out += len(data)
        if not write_now(transport, self._descriptor, data) or order.buffered:
            order.note_buffered(transport.get_write_buffer_size())

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
                self._server.closing("foreign", self.session, f"it speaks {looks_like(fault.foreign)}, not the Redis protocol")
            commands = [*fault.before, Ending(error(str(fault).encode("latin-1")))]
        self._server.work -= len(commands)
        take = self._dispatch.take
        for at, command in enumerate(commands):
            if not take(command):
                if self._transport is None:
                    return  # it was dropped meanwhile
                self._backlog.extend(commands[at:])
                self._backlog_bytes = max(0, before + size - parser.held)
                break
        if parser.held or self._backlog or self._order.under_way:  # else flush will see to it
            self._account()

    def _go_on(self) -> None:
        """Start what waited, as far as this pass of the loop has time."""
        backlog, unparsed, server, order = self._backlog, self._unparsed, self._server, self._order
        take = self._dispatch.take
        while True:
            while backlog and server.work > 0 and take(backlog[0]):
                backlog.popleft()
                server.work -= 1
            if backlog:
                break
            self._backlog_bytes = 0
            if not unparsed or server.work <= 0 or order.blocked():
                break
            piece = unparsed.popleft()
            size = max(SLICE_BYTES, self._parser.wanted)
            if len(piece) > size:
                unparsed.appendleft(piece[size:])
                piece = piece[:size]
            self._unparsed_bytes -= len(piece)
            self._feed(piece)
        if server.work <= 0 and (backlog or unparsed):
            order.tell()

    # -- how much there is

    def _account(self) -> None:
        """Tell the service what is held for this client."""
        held = self.held
        if held != self._share.held:
            self._share.settle(held)
            if self._server.room.over:
                self._server.look_for_room()

    def _look_at_buffer(self) -> int:
        order = self._order
        if self._transport is not None and order.buffered:
            order.note_buffered(self._transport.get_write_buffer_size())
            self._account()
        return order.buffered

    def _regulate(self) -> None:
        """Read from the client while there is room for what it may send, or it could not read what it is owed."""
        order = self._order
        # where a command may wait for ever, that its client goes away is seen only as long as it is read from
        held_back = order.full or (self._backlog and not order.parked) or self._unparsed_bytes > READ_AHEAD_BYTES
        if self._keep_reading and not held_back and not self._write_blocked:
            return
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._write_blocked:
            unread = order.unread
            if unread + self._unsent > self._server.settings.max_unread_bytes and self._look_at_buffer():
                text = f"{unread} bytes of replies are unread and {self._unsent} bytes of commands wait behind them"
                self._server.closing("unread", self.session, f"{text}: read, or raise redis.max_unread_bytes")
                self.drop()
                return
        elif held_back:
            if self._keep_reading:
                self._keep_reading = False
                transport.pause_reading()
            return
        elif not order.roomy:
            return
        if not self._keep_reading:
            self._keep_reading = True
            transport.resume_reading()


def _address(name: object) -> str:
    """A socket's name as Redis writes it."""
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name or "")
