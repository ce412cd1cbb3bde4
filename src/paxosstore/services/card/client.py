"""A client of the card service that knows several servers.

It asks the server that the card's entity points at first, then the next one when that cannot be reached, does not answer
in time, or says that it is not its day. Every change carries a uuid, the same at every server, so it is applied once
however often it is repeated.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any
from uuid import UUID

import grpc
import grpc.aio

from ...boundary import exact_int, exact_list, exact_number, exact_text, exact_uuid
from ...errors import (
    Fault,
    InvalidRequest,
    LearnsOnly,
    NoQuorum,
    NotServing,
    OutcomeUnknown,
    PaxosStoreError,
    TooLarge,
    from_code,
)
from .card_pb2 import CardInfo, CardRequest, CardResponse
from .card_pb2_grpc import CardServiceStub
from .rules import entity_of
from .server import ERROR_CODE, MAX_REQUEST_BYTES

ROUNDS = 2
"""How often the list of servers is gone through."""
MAX_CARD = 2**64 - 1
PAUSE_S = 0.1
"""Between two rounds."""
AWAY_S = 1.0
NOT_CONNECTED = "failed to connect to all addresses"
"""In gRPC's words."""
OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", 4 * MAX_REQUEST_BYTES),
)
READS = ("Echo", "Select")
MAX_CARD = 2**64 - 1
MAX_SERVERS = 64
MAX_TIMEOUT_S = 86_400.0
HOPELESS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNIMPLEMENTED,
}
"""From something else than a card service: the same call will never work there."""


class _Failed(Exception):
    """One server did not do it; the next one may."""

    def __init__(self, text: str, *, nothing_happened: bool, away: bool = False) -> None:
        super().__init__(text)
        self.nothing_happened = nothing_happened
        self.away = away
        """It will do nothing else either, for the time being."""


class CardClient:
    """Calls the card service at `servers` ("host:port"). A response's `code` says how it ended (see card.proto).

    All methods raise the error tree: CallerError for a wrong call (TooLarge: over MAX_REQUEST_BYTES), NoQuorum if no server did
    it and nothing happened, OutcomeUnknown if it may have happened. `timeout_s` bounds a call over all servers.
    """

    def __init__(self, servers: Sequence[str], timeout_s: float = 5.0) -> None:
        self._servers = [exact_text("a server", server, 300) for server in exact_list("servers", servers, MAX_SERVERS)]
        if not self._servers:
            raise InvalidRequest("a card client needs one server at least")
        self._timeout_s = exact_number("timeout_s", timeout_s, MAX_TIMEOUT_S)
        self._away_until = [0.0] * len(self._servers)
        """Who cannot be reached, or is stopping, is asked after the others for a while."""
        self._channels = [grpc.aio.insecure_channel(server, options=OPTIONS) for server in self._servers]
        self._stubs: list[Any] = [CardServiceStub(channel) for channel in self._channels]

    async def __aenter__(self) -> CardClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()

    async def echo(self, card_id: int, info: CardInfo) -> CardResponse:
        return await self._call("Echo", card_id, _message(CardRequest, card_info=info))

    async def insert(
        self, card_id: int, *, user_name: str = "", user_id: int = 0, balance: int = 0, uuid: bytes | UUID = b""
    ) -> CardResponse:
        info = _message(CardInfo, user_name=user_name, user_id=user_id, balance=balance)
        return await self._call("Insert", card_id, _message(CardRequest, card_info=info), uuid)

    async def update(self, card_id: int, delta: int, *, uuid: bytes | UUID = b"") -> CardResponse:
        return await self._call("Update", card_id, _message(CardRequest, delta=delta), uuid)

    async def delete(self, card_id: int, *, uuid: bytes | UUID = b"") -> CardResponse:
        return await self._call("Delete", card_id, CardRequest(), uuid)

    async def select(self, card_id: int) -> CardResponse:
        return await self._call("Select", card_id, CardRequest())

    async def _call(self, method: str, card_id: int, request: CardRequest, uuid: bytes | UUID = b"") -> CardResponse:
        changes = method not in READS
        request.card_id = card_id = exact_int("a card", card_id, 0, MAX_CARD)
        request.entity_id = entity_of(card_id)
        request.uuid = (exact_uuid(uuid) or secrets.token_bytes(16)) if changes else b""
        if (size := request.ByteSize()) > MAX_REQUEST_BYTES:  # no server would read it
            raise TooLarge(
                f"card {card_id}: the request has {size} bytes, over the limit of {MAX_REQUEST_BYTES}: shorten its text"
            )
        n = len(self._servers)
        first = request.entity_id % n
        deadline = time.monotonic() + self._timeout_s
        order = sorted(((first + turn) % n for turn in range(n)), key=lambda at: self._away_until[at] > time.monotonic())
        failures: list[str] = []
        unknown = False
        for attempt in range(ROUNDS * n):
            if attempt == n:
                await asyncio.sleep(PAUSE_S)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            at = order[attempt % n]
            try:
                return await self._ask(at, method, request, min(left_s, self._timeout_s / n))
            except _Failed as failed:
                failures.append(f"{self._servers[at]}: {failed}")
                unknown = unknown or not failed.nothing_happened
                if failed.away:
                    self._away_until[at] = time.monotonic() + AWAY_S
            except PaxosStoreError as refused:
                if not changes or not unknown:
                    raise
                failures.append(f"{self._servers[at]}: {refused.code}: {refused}")  # of this attempt, not of those before it
                break
        text = "; ".join(dict.fromkeys(failures))
        if changes and unknown:
            raise OutcomeUnknown(f"card {card_id}: it may or may not have happened: look before you repeat it ({text})")
        raise NoQuorum(f"card {card_id}: no server did it, nothing happened: start the nodes or name others ({text})")

    async def _ask(self, at: int, method: str, request: CardRequest, timeout_s: float) -> CardResponse:
        """Ask one server. Raises _Failed if another may do it, else what the server raised."""
        try:
            async with asyncio.timeout(timeout_s):
                connected = await _connect(self._channels[at])
        except TimeoutError:
            connected = False
        if not connected:
            raise _Failed("cannot be reached", nothing_happened=True, away=True)
        try:
            response: CardResponse = await getattr(self._stubs[at], method)(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _translate(error, changes=method not in READS) from error
        return response


def _message(kind: Any, **values: Any) -> Any:
    """A message of these values. Raises InvalidRequest for what does not fit a field."""
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"a card's fields: {error}") from None


async def _connect(channel: Any) -> bool:
    """Whether the channel has a connection; without one, nothing that is asked leaves this machine."""
    while True:
        state = channel.get_state(try_to_connect=True)
        if state is grpc.ChannelConnectivity.READY:
            return True
        if state in (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN):
            return False
        await channel.wait_for_state_change(state)


def _translate(error: grpc.aio.AioRpcError, *, changes: bool) -> Exception:
    """What repeating the call cannot mend as its own error, all else as _Failed. `changes`: the call is no read."""
    details: str = error.details() or ""
    code = dict(error.trailing_metadata() or ()).get(ERROR_CODE)
    if code is not None:
        known: PaxosStoreError = from_code(str(code), details.removeprefix(f"{code}: "))
        if known.fault is Fault.CALLER:
            return known
        return _Failed(f"{code}: {known}", nothing_happened=known.outcome_known, away=isinstance(known, NotServing | LearnsOnly))
    status: grpc.StatusCode = error.code()
    if status in HOPELESS:
        return InvalidRequest(f"the server does not understand: {status.name.lower()} {details}".rstrip())
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
        if "larger than max" not in details:
            return _Failed(f"too many calls: {details}", nothing_happened=True)  # refused before it ran
        if "CLIENT:" not in details:
            return TooLarge(f"the server does not take a request so large: {details}")
        kind = OutcomeUnknown if changes else TooLarge
        return kind(f"the server's answer is too large to be read: {details}")
    if status is grpc.StatusCode.UNAVAILABLE and NOT_CONNECTED in details:
        return _Failed("cannot be reached", nothing_happened=True, away=True)  # the connection went before the call left
    return _Failed(f"{status.name.lower()} {details}".strip(), nothing_happened=False)  # gone on the way
