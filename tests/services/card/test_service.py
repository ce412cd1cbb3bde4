"""The card service and its client over real gRPC, in front of a node that is none."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import grpc
import grpc.aio
import pytest
from grpc._cython.cygrpc import ExecuteBatchError

from paxosstore.errors import (
    BY_CODE,
    InvalidRequest,
    NodeError,
    NoQuorum,
    NotServing,
    OutcomeUnknown,
    Overloaded,
    PaxosStoreError,
    PortTaken,
    TooLarge,
)
from paxosstore.runtime.sockets import where
from paxosstore.services.card.card_pb2 import BALANCE_NOT_ENOUGH, CARD_DOES_NOT_EXIST, OK, CardInfo, CardRequest, CardResponse
from paxosstore.services.card.card_pb2_grpc import CardServiceServicer, CardServiceStub, add_CardServiceServicer_to_server
from paxosstore.services.card.client import HOPELESS, CardClient
from paxosstore.services.card.rules import entity_of
from paxosstore.services.card.server import ERROR_CODE, MAX_REQUEST_BYTES, STATUS, CardServer, say_briefly

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


def test_who_is_away_is_asked_last_for_a_while() -> None:
    async def program() -> None:
        sick, well = FakeNode(fail_before=NotServing("stopping")), FakeNode()
        async with Service(sick, well) as service:
            card = card_of(0, 2)
            for _ in range(5):
                await service.client.select(card)
            assert (len(sick.calls), len(well.calls)) == (1, 5)
            service.client._away_until[0] = 0.0
            await service.client.select(card)
            assert len(sick.calls) == 2, "it is not forgotten"

    run(program())


def test_a_stop_lets_calls_end_and_refuses_further_ones() -> None:
    """Whoever calls a server that stops knows whether it has happened."""

    async def write(client: CardClient, card: int) -> PaxosStoreError:
        try:
            while True:
                await client.update(card, 1)
        except PaxosStoreError as error:
            return error

    async def program() -> None:
        node = FakeNode()
        server = CardServer(node, HOST, 0)
        await server.start()
        async with AsyncExitStack() as stack:
            address = f"{HOST}:{server.port}"
            clients = [await stack.enter_async_context(CardClient([address], 10.0)) for _ in range(20)]
            for card, client in enumerate(clients):
                await client.insert(card)
            writers = [asyncio.create_task(write(client, card)) for card, client in enumerate(clients)]
            await asyncio.sleep(0.2)
            await server.stop(20.0)
            assert {type(error) for error in await asyncio.gather(*writers)} == {NoQuorum}

    run(program())


# -- sizes, wrong values, other services


@pytest.mark.parametrize("size", [MAX_REQUEST_BYTES, 2_000_000])
def test_what_is_too_large_is_said_so_once_and_not_sent(size: int) -> None:
    async def program() -> None:
        nodes = [FakeNode(), FakeNode()]
        async with Service(*nodes) as service:
            with pytest.raises(TooLarge, match=f"{MAX_REQUEST_BYTES}.*shorten"):
                await service.client.insert(1, user_name="x" * size)
            assert not nodes[0].calls + nodes[1].calls
            fits = "x" * (MAX_REQUEST_BYTES - 100)
            assert (await service.client.insert(1, user_name=fits)).code == OK
            assert (await service.client.select(1)).card_info.user_name == fits

    run(program())


@pytest.mark.parametrize("method", ["insert", "select"])
def test_a_server_that_takes_less_than_the_client_sends_is_asked_once(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def program() -> None:
        monkeypatch.setattr("paxosstore.services.card.client.MAX_REQUEST_BYTES", 10_000_000)
        nodes = [FakeNode(), FakeNode()]
        async with Service(*nodes) as service:
            asked: list[int] = []
            ask = service.client._ask

            async def counted(at: int, *others: Any) -> Any:
                asked.append(at)
                return await ask(at, *others)

            monkeypatch.setattr(service.client, "_ask", counted)
            with pytest.raises(TooLarge, match="does not take"):
                await service.client.insert(1, user_name="x" * 2_000_000)
            assert len(asked) == 1
            assert not nodes[0].calls + nodes[1].calls

    run(program())


class Stub(CardServiceServicer):
    """A service that refuses every call with one status, or answers with a name of so many bytes."""

    def __init__(self, status: grpc.StatusCode | None, size: int = 0) -> None:
        self._status = status
        self._size = size
        self.calls = 0

    async def _answer(self, context: Any) -> CardResponse:
        self.calls += 1
        if self._status is not None:
            await context.abort(self._status, "no")
        return CardResponse(code=OK, card_info=CardInfo(user_name="x" * self._size))

    async def Update(self, request: CardRequest, context: Any) -> CardResponse:
        return await self._answer(context)

    async def Select(self, request: CardRequest, context: Any) -> CardResponse:
        return await self._answer(context)


async def against(stub: Stub, call: Callable[[CardClient], Coroutine[Any, Any, Any]]) -> None:
    server = grpc.aio.server()
    add_CardServiceServicer_to_server(stub, server)
    port = server.add_insecure_port(f"{HOST}:0")
    await server.start()
    try:
        async with CardClient([f"{HOST}:{port}"], 5.0) as client:
            await call(client)
    finally:
        await server.stop(0)


@pytest.mark.parametrize("status", [status for status in grpc.StatusCode if status is not grpc.StatusCode.OK])
def test_what_can_never_work_is_not_repeated(status: grpc.StatusCode) -> None:
    stub = Stub(status)
    with pytest.raises(PaxosStoreError) as caught:
        run(against(stub, lambda client: client.update(1, 1)))
    assert isinstance(caught.value, InvalidRequest) == (status in HOPELESS)
    assert stub.calls == (1 if status in HOPELESS else 2)
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
        assert isinstance(caught.value, NoQuorum), "refused before it ran"
    elif status not in HOPELESS:
        assert isinstance(caught.value, OutcomeUnknown)


def test_an_answer_too_large_to_read_is_asked_for_once() -> None:
    stub = Stub(None, size=2_000_000)
    with pytest.raises(TooLarge, match="answer"):
        run(against(stub, lambda client: client.select(1)))
    with pytest.raises(OutcomeUnknown, match="answer"):
        run(against(stub, lambda client: client.update(1, 1)))
    assert stub.calls == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.insert(1, user_id=2**64),
        lambda client: client.insert(1, user_id=-1),
        lambda client: client.insert(1, balance=2**63),
        lambda client: client.insert(1, balance="much"),
        lambda client: client.insert(1, user_name=7),
        lambda client: client.insert(1, user_name="\ud800"),
        lambda client: client.insert(1, uuid=b"short"),
        lambda client: client.insert(1, uuid="text"),
        lambda client: client.update(1, 2**63),
        lambda client: client.delete(-1),
        lambda client: client.delete(2**64),
        lambda client: client.select("1"),
        lambda client: client.select(None),
        lambda client: client.echo(1, "no info"),
    ],
)
def test_what_fits_no_field_is_the_callers_fault(call: Callable[[CardClient], Coroutine[Any, Any, Any]]) -> None:
    async def program() -> None:
        node = FakeNode()
        async with Service(node) as service:
            with pytest.raises(InvalidRequest):
                await call(service.client)
            assert not node.calls

    run(program())


@pytest.mark.parametrize("options", [{"servers": "one"}, {"servers": [7]}, {"timeout_s": 0}, {"timeout_s": float("nan")}])
def test_a_client_of_wrong_settings(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        CardClient(**{"servers": ["127.0.0.1:1"], **options})


def test_the_bytes_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def program() -> None:
        monkeypatch.setattr("paxosstore.services.card.server.MAX_BYTES", 250_000)
        node = FakeNode()
        go_on = asyncio.Event()
        call = node.call

        async def slowly(*arguments: Any, **options: Any) -> bytes:
            await go_on.wait()
            return await call(*arguments, **options)

        monkeypatch.setattr(node, "call", slowly)
        async with Service(node) as service:
            info = CardInfo(user_name="x" * 100_000)
            waiting = [asyncio.ensure_future(service.stub.Insert(CardRequest(card_id=card, card_info=info))) for card in range(4)]
            refused, held = set[Any](), set(waiting)
            while len(refused) < 2:
                done, held = await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
                refused |= done
            for call_ in refused:
                error = call_.exception()
                assert isinstance(error, grpc.aio.AioRpcError)
                assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert dict(error.trailing_metadata() or ())[ERROR_CODE] == "OVERLOADED"
            go_on.set()
            await asyncio.wait(waiting)
            assert sum(call_.exception() is None for call_ in waiting) == 2
            assert (await service.client.insert(9, user_name="x" * 100_000)).code == OK, "what is answered does not count"

    run(program())


def test_connections_are_bounded() -> None:
    async def program() -> None:
        server = CardServer(FakeNode(), HOST, 0, max_connections=2)
        await server.start()
        held = [await asyncio.open_connection(HOST, server.port) for _ in range(5)]
        ends = [asyncio.create_task(reader.read()) for reader, _ in held]
        await asyncio.wait(ends, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0.1)
        assert sum(end.done() for end in ends) == 3
        for _, writer in held:
            writer.close()
        await server.stop(0.0)
        await asyncio.gather(*ends, return_exceptions=True)

    run(program())


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "::", "localhost"])
def test_addresses_of_all_kinds(host: str) -> None:
    async def program() -> None:
        node = FakeNode()
        server = CardServer(node, host, 0)
        await server.start()
        port = server.port
        async with CardClient([where("::1" if ":" in host else host, port)]) as client:
            assert (await client.insert(1)).code == OK
        with pytest.raises(PortTaken, match=r"listen\.grpc"):
            await CardServer(node, host, port).start()
        await server.stop(0.0)

    run(program())


def test_an_address_of_another_machine() -> None:
    with pytest.raises(NodeError, match=r"192\.0\.2\.1:1.*listen\.grpc") as caught:
        run(CardServer(FakeNode(), "192.0.2.1", 1).start())
    assert not isinstance(caught.value, PortTaken)


def test_a_caller_that_went_away_is_a_line_and_no_stack_trace() -> None:
    def logged(error: Exception) -> logging.LogRecord:
        record = logging.LogRecord("grpc", logging.ERROR, "", 0, "raised by %s", ("Insert",), (type(error), error, None))
        assert say_briefly(record)
        return record

    gone = logged(ExecuteBatchError("Failed execute_batch: (2, 3)"))
    assert (gone.exc_info, gone.levelname) == (None, "INFO")
    assert "before its answer could be sent" in gone.getMessage()
    ours = logged(ValueError("a fault of ours"))
    assert ours.exc_info is not None
    assert ours.levelname == "ERROR"
