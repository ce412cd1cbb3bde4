"""The library: three nodes in one asyncio program, over real sockets and real disks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest

from paxosstore.cli.cluster import HOST, free_base_port
from paxosstore.core.batch.overlay import DATA, View
from paxosstore.core.turn.context import Handler
from paxosstore.errors import (
    CommitLimitReached,
    DuplicateUuid,
    InvalidRequest,
    NoQuorum,
    NotCaughtUp,
    NotServing,
    OutcomeUnknown,
    RequestFailed,
    TooLarge,
    UnknownHandler,
    UuidReused,
    WrongEntry,
)
from paxosstore.runtime.node import Node
from paxosstore.settings import ClusterSettings, TuningSettings

ENTITY = 42


def add(view: View, payload: bytes) -> bytes:
    """A handler: add a number to the sum, reply with the sum."""
    total = int(view.get(b"sum") or b"0") + int(payload)
    view.put(b"sum", b"%d" % total)
    return b"%d" % total


HANDLERS: Mapping[str, Handler] = {"add": add}


def make_nodes(directory: Path, tuning: TuningSettings | None = None) -> list[Node]:
    base = free_base_port(3)
    peers = [(HOST, base + node) for node in range(3)]
    cluster = ClusterSettings("library-test")
    return [
        Node(cluster, node, peers, directory / f"node-{node}", tuning, HANDLERS, min_free_bytes=1, fatal=pytest.fail)
        for node in range(3)
    ]


@asynccontextmanager
async def running(directory: Path, tuning: TuningSettings | None = None) -> AsyncIterator[list[Node]]:
    async with AsyncExitStack() as stack:
        nodes = make_nodes(directory, tuning)
        for node in nodes:
            await stack.enter_async_context(node)
        await nodes[0].execute(0, lambda view: None)  # the first majority has met
        yield nodes


def story(directory: Path, told: Callable[[list[Node]], Awaitable[None]], tuning: TuningSettings | None = None) -> None:
    async def run() -> None:
        async with asyncio.timeout(30), running(directory, tuning) as nodes:
            await told(nodes)

    asyncio.run(run())


def put(key: bytes, value: bytes) -> Callable[[View], bytes | None]:
    return lambda view: view.put(key, value)


def get(key: bytes) -> Callable[[View], bytes | None]:
    return lambda view: view.get(key)


async def applied_everywhere(nodes: list[Node], entity: int) -> int:
    return max([await node.catch_up(entity) for node in nodes])


def test_execute_and_read_through_every_node(tmp_path: Path) -> None:
    async def told(nodes: list[Node]) -> None:
        for number, node in enumerate(nodes):
            await node.execute(ENTITY, put(b"k", b"%d" % number))
            for reader in nodes:
                assert await reader.execute(ENTITY, get(b"k"), read_only=True) == b"%d" % number
        await applied_everywhere(nodes, ENTITY)
        await applied_everywhere(nodes, 0)
        hashes = {node.content_hash() for node in nodes} | {await asyncio.to_thread(node.content_hash) for node in nodes}
        assert len(hashes) == 1
        assert len({tuple(node.committed()) for node in nodes}) == 1

    story(tmp_path, told)


def test_a_call_runs_once_for_one_uuid_at_whichever_node(tmp_path: Path) -> None:
    async def told(nodes: list[Node]) -> None:
        uuid = os.urandom(16)
        replies = [await node.call(ENTITY, "add", b"5", uuid=uuid) for node in nodes for _ in range(2)]
        assert replies == [b"5"] * 6
        sums = await asyncio.gather(*(nodes[i % 3].call(ENTITY, "add", b"1") for i in range(60)))
        assert sorted(map(int, sums)) == list(range(6, 66))

    story(tmp_path, told)


def test_a_uuid_stands_for_one_request(tmp_path: Path) -> None:
    """The second of two card insertions under one uuid was once told OK, and did not exist."""

    async def told(nodes: list[Node]) -> None:
        one, two = UUID(int=1), UUID(int=2)
        assert await nodes[1].call(ENTITY, "add", b"5", uuid=one) == b"5"
        for node in nodes:
            with pytest.raises(UuidReused):
                await node.call(ENTITY, "add", b"6", uuid=one.bytes)
            with pytest.raises(UuidReused):
                await node.execute(ENTITY, put(b"k", b"v"), uuid=one)
            assert await node.call(ENTITY, "add", b"5", uuid=one.bytes) == b"5"
        await nodes[0].execute(ENTITY, put(b"k", b"v"), uuid=two)
        with pytest.raises(UuidReused):
            await nodes[1].call(ENTITY, "add", b"5", uuid=two)
        committed = await nodes[0].catch_up(ENTITY)
        with pytest.raises(DuplicateUuid):
            await nodes[0].run_paxos(ENTITY, committed + 1, {b"a": b"1"}, [two])
        three = UUID(int=3)
        await nodes[0].run_paxos(ENTITY, committed + 1, {b"a": b"1"}, [three])
        for again in (nodes[0].call(ENTITY, "add", b"5", uuid=three), nodes[0].execute(ENTITY, put(b"k", b"v"), uuid=three)):
            with pytest.raises(UuidReused):
                await again

    story(tmp_path, told)


def test_a_read_writes_nothing(tmp_path: Path) -> None:
    async def told(nodes: list[Node]) -> None:
        await nodes[0].execute(ENTITY, put(b"k", b"v"))
        before = await applied_everywhere(nodes, ENTITY)
        for node in nodes:
            assert await node.execute(ENTITY, get(b"k"), read_only=True) == b"v"
        assert await applied_everywhere(nodes, ENTITY) == before
        with pytest.raises(InvalidRequest) as refused:
            await nodes[0].execute(ENTITY, put(b"k", b"w"), read_only=True)
        assert "read-only" in str(refused.value)

    story(tmp_path, told)


def test_errors_of_the_caller_change_nothing(tmp_path: Path) -> None:
    def fails(view: View) -> bytes:
        view.put(b"half", b"done")
        raise ValueError("on purpose")

    async def told(nodes: list[Node]) -> None:
        node = nodes[0]
        with pytest.raises(RequestFailed, match="on purpose"):
            await node.execute(ENTITY, fails)
        with pytest.raises(TooLarge):
            await node.execute(ENTITY, put(b"k", b"x" * 2_000))
        with pytest.raises(InvalidRequest):
            await node.execute(-1, get(b"k"))
        with pytest.raises(InvalidRequest):
            await node.execute(ENTITY, get(b"k"), uuid=b"short")
        with pytest.raises(UnknownHandler):
            await node.call(ENTITY, "unheard of", b"")
        assert await node.execute(ENTITY, get(b"half"), read_only=True) == b""
        assert await node.execute(ENTITY, get(b"k"), read_only=True) == b""

    story(tmp_path, told, TuningSettings(max_request_bytes=1_000))


def test_the_lower_level(tmp_path: Path) -> None:
    async def told(nodes: list[Node]) -> None:
        one, two = nodes[0], nodes[1]
        assert await one.catch_up(ENTITY) == 0
        uuid = os.urandom(16)
        await one.run_paxos(ENTITY, 1, {b"a": b"1", b"b": b"2"}, [uuid])
        assert await two.catch_up(ENTITY) == 1
        with pytest.raises(WrongEntry):
            await two.run_paxos(ENTITY, 1, {b"a": b"9"})
        with pytest.raises(WrongEntry):
            await two.run_paxos(ENTITY, 3, {b"a": b"9"})
        with pytest.raises(DuplicateUuid):
            await two.run_paxos(ENTITY, 2, {b"a": b"9"}, [uuid])
        await two.run_paxos(ENTITY, 2, {b"b": None})
        assert await one.catch_up(ENTITY) == 2
        assert one.get_write_batch(ENTITY, 1).writes[DATA + b"a"] == b"1"
        assert one.get_write_batch(ENTITY, 2).writes == {DATA + b"b": None}
        with pytest.raises(NotCaughtUp):
            one.get_write_batch(ENTITY, 3)
        assert await one.execute(ENTITY, get(b"a"), read_only=True) == b"1"

    story(tmp_path, told)


def test_catch_up_ends_at_its_limit(tmp_path: Path) -> None:
    async def told(nodes: list[Node]) -> None:
        await nodes[2].stop()
        for number in range(30):
            await nodes[0].execute(ENTITY, put(b"k", b"%d" % number))
        goal = await nodes[0].catch_up(ENTITY)
        await nodes[2].start()
        limits = 0
        while True:
            try:
                reached = await nodes[2].catch_up(ENTITY)
                break
            except CommitLimitReached:
                limits += 1
                assert limits <= 10
        assert reached == goal
        assert limits > 0

    story(tmp_path, told, TuningSettings(max_commit_num=8))


def test_without_a_majority_nothing_is_acknowledged(tmp_path: Path) -> None:
    async def told(nodes: list[Node]) -> None:
        await nodes[0].execute(ENTITY, put(b"k", b"before"))
        await nodes[1].stop()
        await nodes[2].stop()
        with pytest.raises((NoQuorum, OutcomeUnknown)):
            await nodes[0].execute(ENTITY, put(b"k", b"alone"), timeout_ms=300)
        with pytest.raises(NoQuorum):
            await nodes[0].execute(ENTITY, get(b"k"), read_only=True, timeout_ms=300)
        with pytest.raises(NotServing):
            await nodes[1].execute(ENTITY, get(b"k"), read_only=True)
        await nodes[1].start()
        assert await nodes[1].execute(ENTITY, get(b"k"), read_only=True) in (b"before", b"alone")

    story(tmp_path, told)


def test_what_was_done_is_there_after_a_restart_of_all(tmp_path: Path) -> None:
    uuid = os.urandom(16)

    async def first(nodes: list[Node]) -> None:
        assert await nodes[0].call(ENTITY, "add", b"7", uuid=uuid) == b"7"

    async def second(nodes: list[Node]) -> None:
        assert await nodes[1].call(ENTITY, "add", b"7", uuid=uuid) == b"7"
        assert await nodes[2].execute(ENTITY, get(b"sum"), read_only=True) == b"7"

    story(tmp_path, first)
    story(tmp_path, second)
