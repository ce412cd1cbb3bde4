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

import grpc
import grpc.aio

from ...errors import Fault, InvalidRequest, NoQuorum, OutcomeUnknown, PaxosStoreError, from_code
from .card_pb2 import CardInfo, CardRequest, CardResponse
from .card_pb2_grpc import CardServiceStub
from .rules import entity_of
from .server import ERROR_CODE

ROUNDS = 2
"""How often the list of servers is gone through."""
PAUSE_S = 0.1
"""Between two rounds."""
OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


class _Failed(Exception):
    """One server did not do it; the next one may."""

    def __init__(self, text: str, *, nothing_happened: bool) -> None:
        super().__init__(text)
        self.nothing_happened = nothing_happened


class CardClient:
    """Calls the card service at `servers` ("host:port"). A response's `code` says how it ended (see card.proto).

    All methods raise the error tree: CallerError for a wrong call, NoQuorum if no server did it and nothing happened,
    OutcomeUnknown if it may have happened. `timeout_s` bounds a call over all servers.
    """

    def __init__(self, servers: Sequence[str], timeout_s: float = 5.0) -> None:
        if not servers:
            raise InvalidRequest("a card client needs one server at least")
        self._channels = [grpc.aio.insecure_channel(server, options=OPTIONS) for server in servers]
        self._stubs: list[Any] = [CardServiceStub(channel) for channel in self._channels]
        self._servers = list(servers)
        self._timeout_s = timeout_s

    async def __aenter__(self) -> CardClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()

    async def echo(self, card_id: int, info: CardInfo) -> CardResponse:
        return await self._call("Echo", card_id, CardRequest(card_info=info))

    async def insert(
        self, card_id: int, *, user_name: str = "", user_id: int = 0, balance: int = 0, uuid: bytes = b""
    ) -> CardResponse:
        info = CardInfo(user_name=user_name, user_id=user_id, balance=balance)
        return await self._call("Insert", card_id, CardRequest(card_info=info), uuid)

    async def update(self, card_id: int, delta: int, *, uuid: bytes = b"") -> CardResponse:
        return await self._call("Update", card_id, CardRequest(delta=delta), uuid)

    async def delete(self, card_id: int, *, uuid: bytes = b"") -> CardResponse:
        return await self._call("Delete", card_id, CardRequest(), uuid)

    async def select(self, card_id: int) -> CardResponse:
        return await self._call("Select", card_id, CardRequest())

    async def _call(self, method: str, card_id: int, request: CardRequest, uuid: bytes = b"") -> CardResponse:
        changes = method not in ("Echo", "Select")
        request.card_id = card_id
        request.entity_id = entity_of(card_id)
        request.uuid = (uuid or secrets.token_bytes(16)) if changes else b""
        n = len(self._servers)
        first = request.entity_id % n
        deadline = time.monotonic() + self._timeout_s
        failures: list[str] = []
        unknown = False
        for attempt in range(ROUNDS * n):
            if attempt == n:
                await asyncio.sleep(PAUSE_S)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            at = (first + attempt) % n
            try:
                return await self._ask(at, method, request, min(left_s, self._timeout_s / n))
            except _Failed as failed:
                failures.append(f"{self._servers[at]}: {failed}")
                unknown = unknown or not failed.nothing_happened
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
            raise _Failed("cannot be reached", nothing_happened=True)
        try:
            response: CardResponse = await getattr(self._stubs[at], method)(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _translate(error) from error
        return response


async def _connect(channel: Any) -> bool:
    """Whether the channel has a connection; without one, nothing that is asked leaves this machine."""
    while True:
        state = channel.get_state(try_to_connect=True)
        if state is grpc.ChannelConnectivity.READY:
            return True
        if state in (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN):
            return False
        await channel.wait_for_state_change(state)


def _translate(error: grpc.aio.AioRpcError) -> Exception:
    """The server's own error if it sent one and it is the caller's fault, else _Failed."""
    details: str = error.details() or ""
    code = dict(error.trailing_metadata() or ()).get(ERROR_CODE)
    if code is not None:
        known: PaxosStoreError = from_code(str(code), details.removeprefix(f"{code}: "))
        if known.fault is Fault.CALLER:
            return known
        return _Failed(f"{code}: {known}", nothing_happened=known.outcome_known)
    status: grpc.StatusCode = error.code()
    if status in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED):
        return InvalidRequest(f"the server does not understand: {details}")
    # refused before it ran (RESOURCE_EXHAUSTED: too many calls), or gone on the way (anything else)
    return _Failed(f"{status.name.lower()} {details}".strip(), nothing_happened=status is grpc.StatusCode.RESOURCE_EXHAUSTED)
