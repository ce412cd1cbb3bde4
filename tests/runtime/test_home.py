"""A node belongs to one loop in one thread of one process: whoever calls from elsewhere is told at once, and nothing hangs."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paxosstore.core.batch.overlay import View
from paxosstore.core.batch.request import Request
from paxosstore.errors import InvalidRequest, NotServing, PaxosStoreError
from paxosstore.runtime.blocking import BlockingNode
from paxosstore.runtime.node import Node
from paxosstore.settings import ClusterSettings, TuningSettings

from .test_links import free_addresses, run

PATIENT = TuningSettings(request_timeout_ms=3_600_000.0)
"""No request ends by its deadline."""


def node_at(directory: Path) -> Node:
    return Node(ClusterSettings("test"), 0, free_addresses(3), directory, PATIENT, min_free_bytes=1, fatal=pytest.fail)


def blocking_nodes(directory: Path) -> list[BlockingNode]:
    addresses = free_addresses(3)
    cluster = ClusterSettings("test")
    return [BlockingNode(cluster, me, addresses, directory / str(me), min_free_bytes=1, fatal=pytest.fail) for me in range(3)]


def nothing(view: View) -> None:
    return None


def test_a_second_start_is_refused_and_stops_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with node_at(tmp_path) as node:
            for _ in range(2):
                with pytest.raises(InvalidRequest, match="started already"):
                    await node.start()
            with pytest.raises(InvalidRequest):
                async with node:
                    raise AssertionError("it was not entered")
            assert node.statistics().serving
        await node.stop()
        await node.stop()
        await node.start()
        await asyncio.gather(node.stop(), node.stop())
        ended = await asyncio.gather(node.start(), node.start(), node.stop(), return_exceptions=True)
        assert [type(result) for result in ended] == [type(None), InvalidRequest, type(None)]
        with pytest.raises(NotServing):
            node.statistics()
        await node.start()
        await node.stop()

    run(story)


def test_a_start_that_failed_can_be_tried_again(tmp_path: Path) -> None:
    async def story() -> None:
        node = node_at(tmp_path)
        blocked = node_at(tmp_path)
        await blocked.start()
        with pytest.raises(PaxosStoreError):
            await node.start()
        with pytest.raises(NotServing):
            await node.execute(1, nothing)
        await blocked.stop()
        await node.start()
        await node.stop()

    run(story)


CALLS: list[Callable[[Node], Any]] = [
    lambda node: node.execute(1, nothing),
    lambda node: node.call(1, "any", b""),
    lambda node: node.catch_up(1),
    lambda node: node.run_paxos(1, 1, {}),
    lambda node: node.stop(),
    lambda node: node.start(),
]
AT_ONCE: list[Callable[[Node], Any]] = [
    lambda node: node.statistics(),
    lambda node: node.committed(),
    lambda node: node.inspect(1, 1, 2),
    lambda node: node.get_write_batch(1, 1),
    lambda node: node.submit(Request(1)),
]


def test_other_loops_and_threads_are_told(tmp_path: Path) -> None:
    async def awaited(node: Node, call: Callable[[Node], Any]) -> None:
        await call(node)

    def elsewhere(node: Node) -> None:
        for call in CALLS:
            with pytest.raises(InvalidRequest):
                asyncio.run(awaited(node, call))
        for call in AT_ONCE:
            with pytest.raises(InvalidRequest, match="another event loop or thread"):
                call(node)

    async def story() -> None:
        async with node_at(tmp_path) as node:
            await asyncio.to_thread(elsewhere, node)
            assert node.statistics().serving

    run(story)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # of sockets left open
def test_a_node_whose_loop_was_closed_can_be_stopped_and_started_in_another(tmp_path: Path) -> None:
    node = node_at(tmp_path)
    asyncio.run(node.start())
    with pytest.raises(InvalidRequest):
        asyncio.run(node.execute(1, nothing))
    asyncio.run(node.stop())

    async def again() -> None:
        async with node:
            assert node.statistics().serving

    asyncio.run(again())
    asyncio.run(node.start())

    async def at_once() -> None:
        await node.start()
        await node.stop()

    asyncio.run(at_once())


def test_nodes_that_were_stopped_are_ready_in_another_loop(tmp_path: Path) -> None:
    addresses = free_addresses(3)
    cluster = ClusterSettings("test")
    nodes = [Node(cluster, me, addresses, tmp_path / str(me), min_free_bytes=1, fatal=pytest.fail) for me in range(3)]

    async def life() -> None:
        waits = []
        for node in nodes:
            await node.start()
            waits.append(asyncio.create_task(node.ready(timeout_ms=20_000)))
            await asyncio.sleep(0)  # it waits, for there is no majority yet
        await asyncio.gather(*waits)
        for node in nodes:
            await node.stop()

    asyncio.run(life())
    asyncio.run(life())


def in_child(work: Callable[[], None]) -> None:
    """Run it in a fork; fails if it raises or hangs there."""
    child = os.fork()
    if not child:
        done = threading.Event()

        def go() -> None:
            work()
            done.set()

        threading.Thread(target=go, daemon=True).start()
        os._exit(0 if done.wait(10.0) else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # that a process with threads forks is what is tested
def test_in_a_forked_process_every_call_is_told_where_the_node_is(tmp_path: Path) -> None:
    async def told(call: Callable[[Node], Any], node: Node) -> None:
        with pytest.raises(NotServing, match="forked"):
            await call(node)

    async def story() -> None:
        async with node_at(tmp_path / "async") as node:

            def child() -> None:
                for call in CALLS[:-2]:
                    asyncio.run(told(call, node))
                for call in (*AT_ONCE, Node.content_hash):
                    with pytest.raises(NotServing, match="forked"):
                        call(node)
                asyncio.run(node.stop())

            in_child(child)
            assert node.statistics().serving

    run(story)
    nodes = blocking_nodes(tmp_path)
    assert nodes[0].execute(1, lambda view: b"here") == b"here"

    def child() -> None:
        with pytest.raises(NotServing, match="forked"):
            nodes[0].execute(1, nothing)
        with pytest.raises(NotServing, match="forked"):
            nodes[0].statistics()
        nodes[0].close()
        nodes[0].close()

    in_child(child)
    assert nodes[0].execute(1, lambda view: b"still here") == b"still here"
    for node in nodes:
        node.close()


def test_a_blocking_node_does_not_wait_for_itself(tmp_path: Path) -> None:
    nodes = blocking_nodes(tmp_path)
    inner: list[Callable[[], Any]] = [
        lambda: nodes[0].execute(1, nothing),
        lambda: nodes[0].call(1, "any", b""),
        lambda: nodes[0].catch_up(1),
        lambda: nodes[0].run_paxos(1, 1, {}),
        lambda: nodes[0].get_write_batch(1, 1),
        lambda: nodes[0].statistics(),
        lambda: nodes[0].close(),
    ]
    for call in inner:
        with pytest.raises(InvalidRequest, match="wait for itself"):
            nodes[0].execute(1, lambda view, call=call: call())  # type: ignore[misc]  # a default that binds
    assert nodes[0].execute(1, lambda view: b"here") == b"here"

    async def in_a_loop() -> bytes:
        return nodes[0].execute(1, lambda view: b"it blocks the loop, and ends")

    assert asyncio.run(in_a_loop()) == b"it blocks the loop, and ends"
    for node in nodes:
        node.close()
