"""The client for programs that block."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, TypeVar, overload
from uuid import UUID

import hiredis

from ..errors import NotServing, Overloaded
from .calls import ATTEMPT_S, CONNECT_S, MAX_REPLY_BYTES, READ_BYTES, TIME, TIMEOUT_S, Settings, Words, given_uuid, reader_of
from .clock import Clock
from .effort import Effort
from .nodes import Address

T = TypeVar("T")


class Client:
    """Calls an application's functions at `servers`, the nodes' Redis addresses ("host:port"). Threads may share it.

    A call goes under a uuid and takes effect once, at whichever node: it goes on at the next one by itself, for `timeout_s` at
    most. Each node is waited for `attempt_s`, longer in later rounds. No more than `max_connections` calls are under way; others
    wait.

    Raises the tree of `errors`: what the function raised (Refused, with its reason and data), CallerError for a wrong call,
    NoQuorum if no node did it and nothing happened, OutcomeUnknown if it may have happened: it names the uuid, under which it can
    be repeated.
    """

    def __init__(
        self,
        servers: Sequence[str | Address],
        *,
        timeout_s: float = TIMEOUT_S,
        attempt_s: float = ATTEMPT_S,
        max_connections: int = 16,
    ) -> None:
        self._settings = Settings(servers, timeout_s, attempt_s, max_connections)
        self._clock = Clock()
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        """No connection is there: at first, and in a forked process, which must not use those of its parent."""
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._free = threading.Semaphore(self._settings.max_connections)
        self._idle: list[_Connection] = []

    def _own(self) -> None:
        if self._process != os.getpid():
            self._begin()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Take no further call; those under way end as they would. Safe to repeat."""
        self._own()
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def uuid(self) -> UUID:
        """A new one, by the store's time, for a call that is to be repeated by the program itself. Raises as a read does."""
        return UUID(bytes=self._draw(self._settings.timeout_s))

    @overload
    def call(
        self, handler: str, entity: int, payload: object = ..., *, uuid: bytes | UUID = ..., timeout_s: float | None = ...
    ) -> bytes: ...

    @overload
    def call(
        self,
        handler: str,
        entity: int,
        payload: object = ...,
        *,
        into: type[T],
        uuid: bytes | UUID = ...,
        timeout_s: float | None = ...,
    ) -> T: ...

    def call(
        self,
        handler: str,
        entity: int,
        payload: object = None,
        *,
        into: Any = bytes,
        uuid: bytes | UUID = b"",
        timeout_s: float | None = None,
    ) -> Any:
        """Run a function once; its reply, read as `into`. `payload` goes as it is if it is bytes, else as JSON.

        `uuid`: another call under it is refused (UuidReused), a repetition gets the first outcome. None given: one is drawn.
        """
        words, read = Words(handler, entity, payload), reader_of(into)
        limit_s, given = self._settings.limit_s(timeout_s), given_uuid(uuid)
        until_s = time.monotonic() + limit_s
        drawn = given or self._draw(limit_s)
        return read(self._do(words.packed(drawn), words.what(drawn), until_s, writes=True))

    @overload
    def read(self, handler: str, entity: int, payload: object = ..., *, timeout_s: float | None = ...) -> bytes: ...

    @overload
    def read(self, handler: str, entity: int, payload: object = ..., *, into: type[T], timeout_s: float | None = ...) -> T: ...

    def read(
        self, handler: str, entity: int, payload: object = None, *, into: Any = bytes, timeout_s: float | None = None
    ) -> Any:
        """Run a function that writes nothing, linearizably; its reply, read as `into`."""
        words, read = Words(handler, entity, payload), reader_of(into)
        until_s = time.monotonic() + self._settings.limit_s(timeout_s)
        return read(self._do(words.packed(b""), words.what(b""), until_s, writes=False))

    def _draw(self, limit_s: float) -> bytes:
        if self._clock.due:
            reply: Any = self._do(TIME, "the store's time", time.monotonic() + limit_s, writes=False)
            self._clock.learn(int(reply[0]), int(reply[1]))
        return self._clock.uuid()

    def _do(self, packed: bytes, what: str, until_s: float, *, writes: bool) -> object:
        self._own()
        if self._closed:
            raise NotServing("the client is closed")
        if not self._free.acquire(timeout=max(0.0, until_s - time.monotonic())):
            most = self._settings.max_connections
            raise Overloaded(f"{what}: nothing happened, {most} calls were under way all the time: raise max_connections")
        try:
            now_s = time.monotonic()
            effort = Effort(self._settings.nodes, what, now_s, until_s - now_s, self._settings.attempt_s, writes=writes)
            while True:
                if pause_s := effort.pause_s(time.monotonic()):
                    time.sleep(pause_s)
                node, wait_s = effort.next(time.monotonic())
                done = self._ask(effort, node, packed, wait_s)
                if done is not None:
                    return done
        finally:
            self._free.release()

    def _ask(self, effort: Effort, node: Address, packed: bytes, wait_s: float) -> object | None:
        until_s = time.monotonic() + wait_s
        connection = self._take(node)
        if connection is None:
            try:
                connection = _Connection(node, min(wait_s, CONNECT_S))
            except OSError as error:
                effort.failed(node, f"cannot be reached: {error}", sent=False)
                return None
        try:
            reply = connection.exchange(packed, until_s)
        except (OSError, hiredis.ProtocolError) as error:
            connection.close()
            effort.failed(node, f"no answer: {error}", sent=True)
            return None
        except BaseException:
            connection.close()  # an answer may be on its way: it is for nobody
            raise
        self._give_back(connection)
        return effort.answered(node, reply)

    def _take(self, node: Address) -> _Connection | None:
        """A connection to this node that is not used, and works as far as is known."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if connection.node == node and connection.is_open():
                return connection
            connection.close()

    def _give_back(self, connection: _Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()


class _Connection:
    """One call at a time."""

    def __init__(self, node: Address, timeout_s: float) -> None:
        """Raises OSError."""
        self.node = node
        self._socket = socket.create_connection(node, timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.close()

    def is_open(self) -> bool:
        """Whether the other end has not closed it, nor said anything unasked."""
        if self._reader.has_data():
            return False
        try:
            self._socket.settimeout(0.0)
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def exchange(self, packed: bytes, until_s: float) -> object:
        """Send, and wait for the reply, until then. Raises OSError, or hiredis.ProtocolError; it is of no use any more then."""
        self._wait_until(until_s)
        self._socket.sendall(packed)
        size = 0
        while (reply := self._reader.gets()) is False:
            self._wait_until(until_s)
            data = self._socket.recv(READ_BYTES)
            size += len(data)
            if not data or size > MAX_REPLY_BYTES:
                raise ConnectionResetError(f"a reply of over {MAX_REPLY_BYTES} bytes" if data else "it closed the connection")
            self._reader.feed(data)
        return reply

    def _wait_until(self, until_s: float) -> None:
        left_s = until_s - time.monotonic()
        if left_s <= 0.0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left_s)
