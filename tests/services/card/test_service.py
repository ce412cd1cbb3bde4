"""The card service and its client over real gRPC, in front of a node that is none."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import grpc
import grpc.aio
import pytest

from paxosstore.errors import (
    BY_CODE,
    InvalidRequest,
    NoQuorum,
    NotServing,
    OutcomeUnknown,
    Overloaded,
    PaxosStoreError,
    PortTaken,
    TooLarge,
)
from paxosstore.services.card.card_pb2 import BALANCE_NOT_ENOUGH, CARD_DOES_NOT_EXIST, OK, CardInfo, CardRequest
from paxosstore.services.card.card_pb2_grpc import CardServiceStub
from paxosstore.services.card.client import CardClient
from paxosstore.services.card.rules import entity_of
from paxosstore.services.card.server import ERROR_CODE, STATUS, CardServer

from .support import FakeNode

T = TypeVar("T")
HOST = "127.0.0.1"
UUID = bytes(range(16))


def run(program: Coroutine[Any, Any, T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(30):
            return await program

    return asyncio.run(limited())


class Service:
    """Servers in front of nodes, and a client that knows all of them."""

    def __init__(self, *nodes: FakeNode, timeout_s: float = 10.0) -> None:
        self.nodes = nodes
        self._timeout_s = timeout_s
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Service:
        self.servers = [CardServer(node, HOST, 0) for node in self.nodes]
        for server in self.servers:
            await server.start()
            self._open.push_async_callback(server.stop, 0.0)
        self.addresses = [f"{HOST}:{server.port}" for server in self.servers]
        self.client = await self._open.enter_async_context(CardClient(self.addresses, self._timeout_s))
        self.stubs: list[Any] = []
        for address in self.addresses:
            channel = grpc.aio.insecure_channel(address)
            self._open.push_async_callback(channel.close)
            self.stubs.append(CardServiceStub(channel))
        return self

    @property
    def stub(self) -> Any:
        return self.stubs[0]

    async def __aexit__(self, *exc_info: object) -> None:
        await self._open.aclose()


def card_of(server: int, servers: int) -> int:
    """A card whose entity points at this server first."""
    return next(card for card in range(10_000) if entity_of(card) % servers == server)


# -- what it does


def test_a_card_over_grpc() -> None:
    async def program() -> None:
        node = FakeNode()
        async with Service(node) as service:
            client = service.client
            made = await client.insert(42, user_name="ann", user_id=7, balance=10)
            assert (made.code, made.card_info.balance, made.card_info.user_name) == (OK, 10, "ann")
            assert 0 < made.received_time_ms <= made.replied_time_ms
            assert (await client.update(42, -4)).card_info.balance == 6
            assert (await client.update(42, -7)).code == BALANCE_NOT_ENOUGH
            assert (await client.select(42)).card_info.balance == 6
            assert (await client.delete(42)).code == OK
            assert (await client.select(42)).code == CARD_DOES_NOT_EXIST
            assert {call.entity for call in node.calls} == {entity_of(42)}
            assert [call.read_only for call in node.calls] == [False, False, False, True, False, True]
            assert all(len(call.uuid) == (0 if call.read_only else 16) for call in node.calls)

    run(program())


def test_echo_touches_no_card() -> None:
    async def program() -> None:
        node = FakeNode()
        async with Service(node) as service:
            info = CardInfo(user_name="ann", balance=-5)
            assert (await service.client.echo(42, info)).card_info == info
            assert not node.calls

    run(program())


def test_a_request_may_leave_out_entity_and_uuid() -> None:
    async def program() -> None:
        node = FakeNode()
        async with Service(node) as service:
            response = await service.stub.Insert(CardRequest(card_id=42))
            assert response.code == OK
            assert node.calls[0].entity == entity_of(42)
            assert node.calls[0].uuid == b""
            assert node.calls[0].timeout_ms is None

    run(program())


def test_the_clients_deadline_reaches_the_node_with_room_for_the_way_back() -> None:
    async def program() -> None:
        node = FakeNode()
        async with Service(node) as service:
            await service.stub.Select(CardRequest(card_id=42), timeout=20.0)
            timeout_ms = node.calls[0].timeout_ms
            assert timeout_ms is not None
            assert 0 < timeout_ms < 20_000 * 0.97

    run(program())


# -- errors


def test_every_error_has_a_status() -> None:
    todo, tree = [PaxosStoreError], set[type[PaxosStoreError]]()
    while todo:
        cls = todo.pop()
        tree.add(cls)
        todo += [
            sub for sub in cls.__subclasses__() if sub.__module__ == PaxosStoreError.__module__
        ]  # other tests have their own
    assert set(STATUS) == tree
    assert grpc.StatusCode.OK not in STATUS.values()


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_an_error_travels_with_its_code_and_text(code: str) -> None:
    async def program() -> None:
        node = FakeNode(fail_before=BY_CODE[code]("what: remedy"))
        async with Service(node) as service:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await service.stub.Update(CardRequest(card_id=1, delta=1))
            error = caught.value
            assert error.code() is STATUS[BY_CODE[code]]
            assert error.details() == f"{code}: what: remedy"
            assert dict(error.trailing_metadata() or ())[ERROR_CODE] == code

    run(program())


@pytest.mark.parametrize(
    "request_", [CardRequest(card_id=1, entity_id=5), CardRequest(card_id=1, uuid=b"short")], ids=["entity", "uuid"]
)
def test_a_malformed_request_is_the_callers_fault(request_: CardRequest) -> None:
    async def program() -> None:
        node = FakeNode()
        async with Service(node) as service:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await service.stub.Insert(request_)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert not node.calls

    run(program())


def test_garbage_on_the_port_hurts_nobody() -> None:
    async def program() -> None:
        async with Service(FakeNode()) as service:
            reader, writer = await asyncio.open_connection(HOST, service.servers[0].port)
            writer.write(b"\x00\xff garbage" * 100)
            await writer.drain()
            await reader.read()
            writer.close()
            raw = grpc.aio.insecure_channel(service.addresses[0])
            call = raw.unary_unary("/paxosstore.card.CardService/Insert")
            with pytest.raises(grpc.aio.AioRpcError):
                await call(b"\xff\xff\xff not a request")
            await raw.close()
            assert (await service.client.insert(1, balance=1)).code == OK

    run(program())


def test_a_taken_port_is_said_so() -> None:
    async def program() -> None:
        with socket.create_server((HOST, 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(PortTaken, match=str(port)):
                await CardServer(FakeNode(), HOST, port).start()

    run(program())


def test_stopping_twice_or_before_the_start_is_nothing() -> None:
    async def program() -> None:
        server = CardServer(FakeNode(), HOST, 0)
        await server.stop()
        await server.start()
        await server.stop(0.0)
        await server.stop()

    run(program())


# -- several servers


@pytest.mark.parametrize("first", [0, 1, 2])
def test_the_entitys_server_is_asked_first(first: int) -> None:
    async def program() -> None:
        nodes = [FakeNode(), FakeNode(), FakeNode()]
        async with Service(*nodes) as service:
            await service.client.insert(card_of(first, 3))
            assert [len(node.calls) for node in nodes] == [int(at == first) for at in range(3)]

    run(program())


@pytest.mark.parametrize("error", [NotServing("stopping"), Overloaded("full"), NoQuorum("alone")])
def test_the_next_server_is_asked_when_one_cannot(error: PaxosStoreError) -> None:
    async def program() -> None:
        sick, well = FakeNode(fail_before=error), FakeNode()
        async with Service(sick, well) as service:
            response = await service.client.insert(card_of(0, 2), balance=3)
            assert response.card_info.balance == 3
            assert (len(sick.calls), len(well.calls)) == (1, 1)
            assert sick.calls[0].uuid == well.calls[0].uuid

    run(program())


def test_the_next_server_is_asked_when_one_is_gone() -> None:
    async def program() -> None:
        async with Service(FakeNode(), FakeNode()) as service:
            card = card_of(0, 2)
            await service.servers[0].stop(0.0)
            assert (await service.client.insert(card, balance=3)).code == OK
            assert (await service.client.select(card)).card_info.balance == 3

    run(program())


def test_a_change_that_may_have_happened_is_repeated_and_applied_once() -> None:
    async def program() -> None:
        node = FakeNode()
        lost = FakeNode(node.data, node.outcomes, fail_after=OutcomeUnknown("no answer"))
        async with Service(lost, node) as service:
            card = card_of(0, 2)
            await service.stubs[1].Insert(CardRequest(card_id=card, card_info=CardInfo(balance=100)))
            response = await service.client.update(card, -10)
            assert response.card_info.balance == 90
            assert (len(lost.calls), len(node.calls)) == (1, 2)
            assert (await service.stubs[1].Select(CardRequest(card_id=card))).card_info.balance == 90

    run(program())


def test_the_callers_fault_is_not_taken_to_other_servers() -> None:
    async def program() -> None:
        nodes = [FakeNode(fail_before=TooLarge("too much")), FakeNode()]
        async with Service(*nodes) as service:
            with pytest.raises(TooLarge, match="too much"):
                await service.client.insert(card_of(0, 2))
            assert not nodes[1].calls

    run(program())


def test_all_refuse_so_nothing_happened() -> None:
    async def program() -> None:
        nodes = [FakeNode(fail_before=NotServing("stopping")), FakeNode(fail_before=NoQuorum("alone"))]
        async with Service(*nodes) as service:
            with pytest.raises(NoQuorum, match="nothing happened") as caught:
                await service.client.insert(1)
            assert "stopping" in str(caught.value)
            assert "alone" in str(caught.value)

    run(program())


def test_one_unknown_outcome_makes_the_whole_unknown_for_a_change_only() -> None:
    async def program() -> None:
        nodes = [FakeNode(fail_after=OutcomeUnknown("no answer")), FakeNode(fail_before=NoQuorum("alone"))]
        async with Service(*nodes) as service:
            with pytest.raises(OutcomeUnknown, match="may or may not"):
                await service.client.insert(1)
            with pytest.raises(NoQuorum):
                await service.client.select(1)

    run(program())


def test_a_refusal_says_nothing_of_an_attempt_before_it() -> None:
    async def program() -> None:
        nodes = [FakeNode(fail_after=OutcomeUnknown("no answer")), FakeNode(fail_before=TooLarge("too much"))]
        async with Service(*nodes) as service:
            with pytest.raises(OutcomeUnknown, match=r"no answer.*TOOLARGE: too much"):
                await service.client.insert(card_of(0, 2))
            with pytest.raises(TooLarge):
                await service.client.select(card_of(0, 2))

    run(program())


def test_nobody_listens_so_nothing_happened() -> None:
    async def program() -> None:
        with socket.create_server((HOST, 0)) as probe:
            port = probe.getsockname()[1]
        async with CardClient([f"{HOST}:{port}"], 3.0) as client:
            with pytest.raises(NoQuorum, match="cannot be reached"):
                await client.insert(1)

    run(program())


def test_a_client_needs_a_server() -> None:
    with pytest.raises(InvalidRequest):
        CardClient([])
