"""Client and AsyncClient, over sockets: one uuid for each call, whatever becomes of its attempts, and one effect."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from paxosstore import (
    AsyncClient,
    Client,
    InvalidRequest,
    NoQuorum,
    NotServing,
    OutcomeUnknown,
    Overloaded,
    Refused,
    TooLarge,
    UnknownHandler,
)

from ..services.redis.logstore import LogStore
from ..services.redis.support import NOW_MS, in_loop
from ..services.redis.test_calls import nodes as real_nodes
from ..services.redis.test_once import uuid7
from .fake import FATES, Store, nodes


class Blocking:
    """The client that blocks, awaited in a thread."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.client = Client(*args, **options)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        return lambda *args, **options: asyncio.to_thread(getattr(self.client, name), *args, **options)


forms = pytest.mark.parametrize("form", [Blocking, AsyncClient])


class Total(msgspec.Struct):
    total: int


# -- once


@forms
@pytest.mark.parametrize("seed", range(4))
@in_loop
async def test_calls_have_a_uuid_each_and_one_effect_whatever_becomes_of_their_attempts(form: type[Any], seed: int) -> None:
    rng = random.Random(seed)
    store = Store(lambda node: rng.choice(FATES) if rng.random() < 0.4 else "done")
    async with nodes(store) as addresses:
        client = form(addresses, attempt_s=0.1, timeout_s=60.0)

        async def count(number: int) -> list[int]:
            return [await client.call("add", number, 1, into=int) for _ in range(10)]

        replies = [reply for found in await asyncio.gather(*map(count, range(4))) for reply in found]
        assert sorted(replies) == list(range(1, 41)), "each was told its own reply"
        assert await client.read("total", 0, into=int) == store.total == 40
        assert len(store.effects) == 40
        uuids: dict[bytes, set[tuple[bytes, ...]]] = {}
        for words in store.asked:
            if words[0] == b"PAXOS.CALL":
                uuids.setdefault(words[3], set()).add(words)
        assert len(uuids) == 40
        assert all(len(ways) == 1 for ways in uuids.values()), "a repetition is the very same call"
        assert len(store.asked) > 41, "the seed tries something"
        assert {UUID(bytes=uuid).version for uuid in uuids} == {7}
        await client.close()


@forms
@pytest.mark.parametrize("fate", ["lost", "dropped", "silent", "mute", "UNKNOWN x"])
@in_loop
async def test_what_is_not_known_when_the_time_is_over_is_said_so_with_its_uuid(form: type[Any], fate: str) -> None:
    store = Store(lambda node: fate)
    async with nodes(store) as addresses:
        client = form(addresses, attempt_s=0.05, timeout_s=0.4)
        with pytest.raises(
            OutcomeUnknown, match=r"^add on entity 7 under [0-9a-f-]{36}: it may or may not have happened"
        ) as raised:
            await client.call("add", 7, 1)
        uuid = UUID(str(raised.value).split()[5].rstrip(":"))
        assert {words[3] for words in store.asked} == {uuid.bytes}
        store.fate = lambda node: "done"
        assert await client.call("add", 7, 1, uuid=uuid) == b"1"
        assert await client.call("add", 7, 1, uuid=uuid.bytes) == b"1"
        assert store.total == 1
        await client.close()


@forms
@in_loop
async def test_when_no_node_is_there_nothing_happened(form: type[Any]) -> None:
    client = form([("127.0.0.1", 1), "127.0.0.1:2"], timeout_s=0.3)
    with pytest.raises(NoQuorum, match=r"^the store's time: no node did it, nothing happened.*127\.0\.0\.1:1: cannot be reached"):
        await client.call("add", 7, 1)
    with pytest.raises(NoQuorum, match=r"^add on entity 7 under .*nothing happened"):
        await client.call("add", 7, 1, uuid=uuid4())
    with pytest.raises(NoQuorum, match=r"^total on entity 7: no node did it"):
        await client.read("total", 7)
    await client.close()


@forms
@in_loop
async def test_a_server_of_another_kind_is_told_of(form: type[Any]) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(other, "127.0.0.1", 0) as server:
        client = form([server.sockets[0].getsockname()[:2]], timeout_s=0.3)
        with pytest.raises(OutcomeUnknown, match="no answer: Protocol error"):
            await client.call("add", 7, 1, uuid=uuid4())
        await client.close()


# -- with the service


@forms
@in_loop
async def test_a_call_whose_reply_was_lost_with_its_node_gets_it_at_another_one(form: type[Any]) -> None:
    store = LogStore()
    async with real_nodes(store) as (one, other):
        client = form([("127.0.0.1", node.server.port) for node in (one, other)])
        assert await client.call("add", 7, 5, into=int) == 5
        store.lose(b"PAXOS.CALL")
        task = asyncio.ensure_future(client.call("add", 7, 5, into=int))
        await store.told_nobody.wait()
        store.lost = False
        await one.server.stop()
        assert await task == 10
        assert await client.read("total", 7, into=int) == 10
        await client.close()


@forms
@in_loop
async def test_a_refusal_is_raised_with_its_reason_and_data_and_is_no_fault_to_repeat(form: type[Any]) -> None:
    store = LogStore()
    async with real_nodes(store) as (one, other):
        client = form([("127.0.0.1", node.server.port) for node in (one, other)])
        with pytest.raises(Refused) as raised:
            await client.call("add", 7, 101)
        assert (raised.value.reason, raised.value.data) == ("TOO_MUCH", {"total": 101, "most": 100})
        assert store.entries == {7: 1}, "it was asked once"
        with pytest.raises(InvalidRequest, match="add: its payload is not as it has to be"):
            await client.call("add", 7, "five")
        with pytest.raises(UnknownHandler, match="has no handler 'sub'"):
            await client.call("sub", 7, 5)
        with pytest.raises(InvalidRequest, match="is no entity of an application"):
            await client.call("add", 2**61, 5)
        with pytest.raises(msgspec.ValidationError):
            await client.read("total", 7, into=str)
        store.now_ms = NOW_MS + 60_000
        with pytest.raises(InvalidRequest, match="120000 ms from now"):
            await client.call("add", 7, 1, uuid=uuid7(NOW_MS + 180_000))
        await client.close()


# -- bounds, wrong use, ends


BAD: list[tuple[dict[str, Any], str]] = [
    ({"servers": []}, "servers: a list of nodes is needed"),
    ({"servers": "a:1"}, "servers must be a list"),
    ({"servers": [""]}, "servers: '' is no address"),
    ({"servers": [7]}, "a server must be a list, not 7"),
    ({"servers": [("a",)]}, "a server must be"),
    ({"servers": [("a", 0)]}, "a server's port must be 1 to 65535, not 0"),
    ({"servers": ["a"] * 65}, "servers: 64 are possible at most"),
    ({"timeout_s": 0}, "timeout_s must be a number over 0"),
    ({"attempt_s": "1"}, "attempt_s must be a number"),
    ({"max_connections": 0}, "max_connections must be 1 to"),
]


@pytest.mark.parametrize("form", [Client, AsyncClient])
@pytest.mark.parametrize(("options", "text"), BAD)
def test_wrong_arguments_are_refused_at_once(form: type[Any], options: dict[str, Any], text: str) -> None:
    arguments: dict[str, Any] = {"servers": ["a:1"], **options}
    with pytest.raises(InvalidRequest, match=f"^{text}"):
        form(**arguments)


@forms
@in_loop
async def test_wrong_calls_are_refused_before_anything_is_sent(form: type[Any]) -> None:
    client = form(["127.0.0.1:1"])
    wrong: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
        ((7, 7), {}, "handler must be a text"),
        (("x" * 201, 7), {}, "handler of 201 characters"),
        (("add", -1), {}, "an entity must be"),
        (("add", "7"), {}, "an entity must be a whole number"),
        (("add", 7, object()), {}, "add: its payload, a object, cannot be written as JSON"),
        (("add", 7), {"uuid": b"short"}, "a uuid has 16 bytes"),
        (("add", 7), {"uuid": bytes(16)}, "is no uuid as RFC 9562 has it"),
        (("add", 7), {"timeout_s": -1}, "timeout_s must be"),
        (("add", 7), {"into": list[int] | list[str]}, "into: a reply cannot be read as a value of type "),
        (("add", 7), {"into": 7}, "into: a reply cannot be read as 7: "),
    ]
    for arguments, options, text in wrong:
        with pytest.raises(InvalidRequest, match=text):
            await client.call(*arguments, **options)
    with pytest.raises(TooLarge, match="add: a payload of 50331649 bytes"):
        await client.call("add", 7, bytes(48 * 1024 * 1024 + 1))
    await client.close()
    await client.close()
    with pytest.raises(NotServing, match="the client is closed"):
        await client.call("add", 7, uuid=uuid4())


@forms
@in_loop
async def test_no_more_connections_than_there_may_be(form: type[Any]) -> None:
    store = Store(lambda node: "silent")
    async with nodes(store, 1) as addresses:
        client = form(addresses, max_connections=2, timeout_s=0.5, attempt_s=5.0)
        calls = [client.call("add", 7, 1, uuid=uuid4()) for _ in range(2)]
        running = [asyncio.ensure_future(call) for call in calls]
        await store.until(2)
        with pytest.raises(Overloaded, match="nothing happened, 2 calls were under way all the time: raise max_connections"):
            await client.call("add", 7, 1, uuid=uuid4(), timeout_s=0.05)
        found = await asyncio.gather(*running, return_exceptions=True)
        assert [type(one) for one in found] == [OutcomeUnknown] * 2
        assert len(store.asked) == 2
        await client.close()


@in_loop
async def test_a_call_that_is_cancelled_leaves_no_answer_for_the_next_one() -> None:
    store = Store(lambda node: "mute")
    async with nodes(store, 1) as addresses, AsyncClient(addresses) as client:
        task = asyncio.ensure_future(client.call("add", 7, 1))
        await store.until(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        store.fate = lambda node: "done"
        assert await client.call("add", 7, 1, into=int) == 2
        assert await client.uuid() != await client.uuid()


@forms
@in_loop
async def test_what_nobody_has_asked_for_is_no_calls_reply(form: type[Any]) -> None:
    class TalksTooMuch(Store):
        def answer(self, number: int, words: Any) -> bytes | None:
            return (super().answer(number, words) or b"") + b"$3\r\nold\r\n"

    async with nodes(TalksTooMuch(lambda node: "done"), 1) as addresses:
        client = form(addresses)
        for total in (1, 2, 3):
            assert await client.call("add", 7, 1, uuid=uuid4()) == b"%d" % total
        await client.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # of sockets left open
def test_a_client_whose_loop_is_closed_can_be_closed() -> None:
    clients: list[AsyncClient] = []

    async def once() -> None:
        async with nodes(Store(lambda node: "done"), 1) as addresses:
            clients.append(AsyncClient(addresses))
            await clients[0].call("add", 7, 1)

    asyncio.run(once())
    asyncio.run(clients.pop().close())
    gc.collect()


def test_an_async_client_is_of_one_loop() -> None:
    client = AsyncClient(["127.0.0.1:1"], timeout_s=0.05)

    async def use() -> None:
        with pytest.raises(NoQuorum):
            await client.read("total", 7)

    asyncio.run(use())
    with pytest.raises(InvalidRequest, match="make one for each"):
        asyncio.run(use())


@in_loop
async def test_a_client_in_a_forked_process_takes_connections_of_its_own() -> None:
    store = Store(lambda node: "done")
    async with nodes(store, 1) as addresses:

        def go() -> int:
            with Client(addresses) as client:
                assert client.call("add", 7, 1) == b"1"
                taken, mine = client._idle[0], socket.socket()
                mine.close()
                client._process = -1  # as the parent's is in its child
                assert client.call("add", 7, 1) == b"2"
                assert taken not in client._idle
                taken.close()
                return len(client._idle)

        assert await asyncio.to_thread(go) == 1
        assert os.getpid() > 0
        assert threading.active_count() >= 1
