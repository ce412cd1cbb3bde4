"""The card service over gRPC: takes requests, names the entity, lets the node run the rules, maps errors to statuses."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from contextlib import suppress
from typing import Any, Protocol

import grpc
import grpc.aio

from ...errors import (
    BackupError,
    CallerError,
    ClusterError,
    CommitLimitReached,
    ConfigError,
    Damaged,
    DataDirectoryError,
    DirectoryInUse,
    DirectoryMismatch,
    DiskFull,
    Diverged,
    DuplicateUuid,
    InvalidRequest,
    LearnsOnly,
    NodeError,
    NoQuorum,
    NotCaughtUp,
    NotServing,
    OutcomeUnknown,
    Overloaded,
    PaxosStoreError,
    PortTaken,
    Refused,
    ReplyNotKept,
    RequestFailed,
    TooLarge,
    UnknownHandler,
    UuidExpired,
    UuidReused,
    WireError,
    WrongEntry,
)
from ...runtime.sockets import said, where
from .card_pb2 import OK, CardRequest, CardResponse
from .card_pb2_grpc import CardServiceServicer, add_CardServiceServicer_to_server
from .rules import HANDLER, Operation, encode, entity_of

ERROR_CODE = "paxosstore-code"
"""Trailing metadata that carries `PaxosStoreError.code`, so that a client gets the very class back."""

STATUS: dict[type[PaxosStoreError], grpc.StatusCode] = {
    PaxosStoreError: grpc.StatusCode.INTERNAL,
    CallerError: grpc.StatusCode.INVALID_ARGUMENT,
    ConfigError: grpc.StatusCode.FAILED_PRECONDITION,
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    RequestFailed: grpc.StatusCode.INTERNAL,
    Refused: grpc.StatusCode.ABORTED,
    UnknownHandler: grpc.StatusCode.UNIMPLEMENTED,
    TooLarge: grpc.StatusCode.INVALID_ARGUMENT,
    WrongEntry: grpc.StatusCode.ABORTED,
    DuplicateUuid: grpc.StatusCode.ALREADY_EXISTS,
    UuidReused: grpc.StatusCode.INVALID_ARGUMENT,
    ClusterError: grpc.StatusCode.UNAVAILABLE,
    NoQuorum: grpc.StatusCode.UNAVAILABLE,
    # gRPC means the same by it: the time is up, and it may have happened
    OutcomeUnknown: grpc.StatusCode.DEADLINE_EXCEEDED,
    ReplyNotKept: grpc.StatusCode.DEADLINE_EXCEEDED,
    UuidExpired: grpc.StatusCode.DEADLINE_EXCEEDED,
    Diverged: grpc.StatusCode.DATA_LOSS,
    CommitLimitReached: grpc.StatusCode.UNAVAILABLE,
    NotCaughtUp: grpc.StatusCode.UNAVAILABLE,
    NodeError: grpc.StatusCode.INTERNAL,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DiskFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    NotServing: grpc.StatusCode.UNAVAILABLE,
    LearnsOnly: grpc.StatusCode.UNAVAILABLE,
    PortTaken: grpc.StatusCode.INTERNAL,
    DataDirectoryError: grpc.StatusCode.INTERNAL,
    DirectoryInUse: grpc.StatusCode.INTERNAL,
    DirectoryMismatch: grpc.StatusCode.INTERNAL,
    Damaged: grpc.StatusCode.DATA_LOSS,
    BackupError: grpc.StatusCode.INTERNAL,
    WireError: grpc.StatusCode.INTERNAL,
}

MAX_REQUEST_BYTES = 256 * 1024
MAX_CALLS = 1_024
"""Calls in flight; more are refused by gRPC as RESOURCE_EXHAUSTED. Each holds one request and one answer."""
MAX_CALLS_PER_CONNECTION = 128
"""Further ones wait at the client."""
MAX_BYTES = 64 * 1024 * 1024
"""Of all requests that have been read and not answered; one more is Overloaded."""
MAX_CONNECTIONS = 256
MAX_METADATA_BYTES = 8 * 1024
IDLE_MS = 300_000
"""A connection without calls is closed; a client connects again by itself."""
KEEPALIVE_MS, KEEPALIVE_TIMEOUT_MS = 60_000, 20_000
LINGER_S = 0.3
"""How long a stopping server goes on to refuse calls, when there are none under way any more."""
SETTINGS_MS = 5_000
"""How long a new connection may take to say that it speaks HTTP/2."""
REPLY_MARGIN = 0.05
"""Part of a client's deadline that is kept for the way back, so that it hears how its request ended. It must be well above
what gRPC adds by rounding a deadline up on the wire (about half a percent)."""


_GRPC_LOG = logging.getLogger("grpc._cython.cygrpc")


class Caller(Protocol):
    """What the service needs of a node."""

    async def call(
        self,
        entity: int,
        handler: str,
        payload: bytes,
        *,
        read_only: bool = False,
        uuid: bytes = b"",
        timeout_ms: float | None = None,
    ) -> bytes: ...


class CardServer:
    """Listens for card requests. `port` is the one in use after `start`, also where 0 was asked for."""

    def __init__(self, node: Caller, host: str, port: int, *, max_connections: int = MAX_CONNECTIONS) -> None:
        self.host = host
        self.port = port
        self._node = node
        self._max_connections = max_connections
        self._server: Any = None

    async def start(self) -> None:
        """Begin to serve. Raises PortTaken, or NodeError if the address cannot be used."""
        at = where(self.host, self.port)
        await _check_address(self.host, self.port)
        server = grpc.aio.server(options=_options(self._max_connections), maximum_concurrent_rpcs=MAX_CALLS)
        self._service = _Service(self._node)
        add_CardServiceServicer_to_server(self._service, server)
        try:
            self.port = server.add_insecure_port(at)
        except RuntimeError as error:
            raise NodeError(f"cannot listen for gRPC on {at}: change listen.grpc") from error
        await server.start()
        _GRPC_LOG.addFilter(say_briefly)  # a second time it changes nothing
        self._server = server

    async def stop(self, grace_s: float = 0.5) -> None:
        """Refuse new calls, give those in flight a moment, stop.

        The refusals come from here, for a while, so that callers go elsewhere and know that nothing happened: gRPC itself cancels
        what reaches it while it stops, and they could not tell that from a call that had begun.
        """
        server = self._server
        if server is not None:
            await self._service.drain(grace_s)
            await server.stop(0)
            self._server = None  # not before: who is cancelled here stops it again, with less patience


class _Service(CardServiceServicer):
    """One method per operation; all the work is in `_run`."""

    def __init__(self, node: Caller) -> None:
        self._node = node
        self._bytes = 0
        """Of the requests under way."""
        self._calls = 0
        self._draining = False
        self._idle = asyncio.Event()

    async def drain(self, grace_s: float) -> None:
        """Refuse what comes, and wait until what is under way is answered, for so long at most."""
        if grace_s <= 0:
            return
        self._draining = True
        self._idle.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                if self._calls:
                    await self._idle.wait()
                await asyncio.sleep(LINGER_S)

    async def Echo(self, request: CardRequest, context: Any) -> CardResponse:
        now_ms = _now_ms()
        return CardResponse(code=OK, card_info=request.card_info, received_time_ms=now_ms, replied_time_ms=now_ms)

    async def Insert(self, request: CardRequest, context: Any) -> CardResponse:
        return await self._run(Operation.INSERT, request, context)

    async def Update(self, request: CardRequest, context: Any) -> CardResponse:
        return await self._run(Operation.UPDATE, request, context)

    async def Delete(self, request: CardRequest, context: Any) -> CardResponse:
        return await self._run(Operation.DELETE, request, context)

    async def Select(self, request: CardRequest, context: Any) -> CardResponse:
        return await self._run(Operation.SELECT, request, context)

    async def _run(self, operation: Operation, request: CardRequest, context: Any) -> CardResponse:
        received_ms = _now_ms()
        read_only = operation is Operation.SELECT
        size = request.ByteSize()
        self._bytes += size
        self._calls += 1
        try:
            if self._draining:
                raise NotServing("this node is stopping")
            if self._bytes > MAX_BYTES:
                raise Overloaded(f"the requests under way hold over {MAX_BYTES} bytes: repeat it later")
            reply = await self._node.call(
                _entity(request),
                HANDLER,
                encode(operation, request),
                read_only=read_only,
                uuid=b"" if read_only else request.uuid,
                timeout_ms=_timeout_ms(context.time_remaining()),
            )
        except PaxosStoreError as error:
            await context.abort(STATUS[type(error)], f"{error.code}: {error}", ((ERROR_CODE, error.code),))
        finally:
            self._bytes -= size
            self._calls -= 1
            if not self._calls:
                self._idle.set()
        response: CardResponse = CardResponse.FromString(reply)
        response.received_time_ms = received_ms
        response.replied_time_ms = _now_ms()
        return response


def say_briefly(record: logging.LogRecord) -> bool:
    """A filter: that a caller went away before it had its answer is a line, and no stack trace of gRPC's."""
    if record.exc_info and isinstance(record.exc_info[1], grpc.aio.InternalError):
        record.msg, record.args = "a call ended before its answer could be sent: %s", (record.exc_info[1],)
        record.levelno, record.levelname = logging.INFO, "INFO"
        record.exc_info = None
    return True


def _entity(request: CardRequest) -> int:
    entity = entity_of(request.card_id)
    if request.entity_id not in (0, entity):
        raise InvalidRequest(f"card {request.card_id} belongs to entity {entity}, not {request.entity_id}: leave entity_id out")
    if len(request.uuid) not in (0, 16):
        raise InvalidRequest(f"a uuid has 16 bytes, not {len(request.uuid)}")
    return entity


def _timeout_ms(remaining_s: float | None) -> float | None:
    """How long the node may take, given the rest of the client's deadline; None: the node's default."""
    if remaining_s is None:
        return None
    return max(1.0, remaining_s * (1.0 - REPLY_MARGIN) * 1000.0)


def _now_ms() -> int:
    return int(time.time() * 1000)


def _options(max_connections: int) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
        ("grpc.max_concurrent_streams", MAX_CALLS_PER_CONNECTION),
        ("grpc.max_allowed_incoming_connections", max_connections),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", 2 * MAX_METADATA_BYTES),
        # what nobody has read yet is bounded too, however quick the line is
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", 64 * 1024),
        ("grpc.http2.settings_timeout", SETTINGS_MS),
        ("grpc.max_connection_idle_ms", IDLE_MS),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        # clients may ask whether the server is there as often as ours do
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ]


async def _check_address(host: str, port: int) -> None:
    """gRPC says neither which port nor why; ask the system first. Raises PortTaken or NodeError."""
    at = where(host, port)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"cannot listen for gRPC on {at}: the port is in use: free it or change listen.grpc") from error
        raise NodeError(f"cannot listen for gRPC on {at}: {said(error)}: change listen.grpc") from error
