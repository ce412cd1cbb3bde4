"""A node by itself: what becomes of the requests that wait when it stops, and what it shows while a turn is being synced."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from paxosstore.core.batch.overlay import View, WriteBatch
from paxosstore.core.interface.event import Received
from paxosstore.core.interface.message import PaxosMessage
from paxosstore.core.shard.shard import Shard
from paxosstore.core.turn.context import Identity
from paxosstore.core.turn.standing import END, State
from paxosstore.errors import DiskFull, NoQuorum, NotCaughtUp, NotServing, OutcomeUnknown, PaxosStoreError
from paxosstore.runtime.blocking import BlockingNode
from paxosstore.runtime.node import Node
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.memory import MemoryStore
from paxosstore.storage.rocks import RocksStore
from paxosstore.storage.turn import Turn

from .test_links import BLUE, FakePeer, free_addresses, run, until

CLUSTER = ClusterSettings("test")
PATIENT = TuningSettings(request_timeout_ms=3_600_000.0, no_majority_ms=3_600_000.0)
"""No request ends because time passes."""


def put(view: View) -> None:
    view.put(b"k", b"v")


def without_rule_19(node: Node) -> None:
    """Let a started node vote without a word of its peers."""
    assert node._life.shard is not None
    standing = node._life.shard.context.standing
    standing.active = False
    standing.row = standing.row._replace(state=State.MEMBER, cursor=END)


@asynccontextmanager
async def beside_a_mute_peer(node: Node) -> AsyncIterator[Node]:
    """The node, started. There is a link to one peer, which answers nothing: whatever the node is asked for waits."""
    peer = FakePeer()
    await peer.serve(node._given.peers[1])
    await node.start()
    without_rule_19(node)
    await until(lambda: node.statistics().peers[1].up)
    yield node
    await node.stop()
    await peer.close()


def test_requests_that_wait_end_when_the_node_stops(tmp_path: Path) -> None:
    async def story() -> None:
        async with beside_a_mute_peer(Node(BLUE, 0, free_addresses(3), tmp_path, PATIENT, min_free_bytes=1)) as node:
            await ends(node)

    async def ends(node: Node) -> None:
        proposed = asyncio.create_task(node.execute(1, put))
        read = asyncio.create_task(node.execute(1, put, read_only=True))
        await until(lambda: node.statistics().counters["entries_proposed"] == 1)
        queued = asyncio.create_task(node.execute(1, put))
        await until(lambda: node.statistics().waiting_requests == 3)
        loading = asyncio.create_task(node.execute(2, put))
        await asyncio.sleep(0)
        stopping = asyncio.create_task(node.stop())
        await asyncio.sleep(0)
        with pytest.raises(NotServing):
            await node.execute(1, put)
        await stopping
        requests = (proposed, read, queued, loading)
        ended = [type(error) for error in await asyncio.gather(*requests, return_exceptions=True)]
        assert ended == [OutcomeUnknown, NotServing, NotServing, NotServing]
        with pytest.raises(NotServing):
            await node.execute(1, put)

    run(story)


def test_threads_that_wait_for_a_node_are_told_of_its_end(tmp_path: Path) -> None:
    node = BlockingNode(CLUSTER, 0, free_addresses(3), tmp_path, PATIENT, min_free_bytes=1, fatal=pytest.fail)
    told: list[PaxosStoreError] = []

    def ask() -> None:
        try:
            node.execute(1, put)
        except PaxosStoreError as error:
            told.append(error)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10.0
    while node.statistics().waiting_requests < len(threads):
        assert time.monotonic() < deadline
    node.close()
    for thread in threads:
        thread.join(10.0)
    assert len(told) == len(threads)
    assert all(isinstance(error, (NotServing, OutcomeUnknown)) for error in told)
    for call in (node.statistics, lambda: node.execute(1, put)):
        with pytest.raises(NotServing, match="closed"):
            call()
    node.close()


def test_a_blocking_node_ends_when_all_that_runs_in_it_has_ended(tmp_path: Path) -> None:
    node = BlockingNode(CLUSTER, 0, free_addresses(3), tmp_path, PATIENT, min_free_bytes=1, fatal=pytest.fail)
    running = threading.Event()
    told: list[str] = []

    async def slow() -> str:
        running.set()
        return await asyncio.sleep(0.2, "ended")

    thread = threading.Thread(target=lambda: told.append(node._wait(slow())), daemon=True)
    thread.start()
    assert running.wait(10.0)
    node.close()
    thread.join(10.0)
    assert told == ["ended"]


def test_after_a_failed_write_a_node_refuses_writes_until_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free_bytes = looks = 0
    monkeypatch.setattr("paxosstore.runtime.disk.CHECK_S", 0.01)

    def statvfs(path: Path) -> SimpleNamespace:
        nonlocal looks
        looks += 1
        return SimpleNamespace(f_bavail=free_bytes, f_frsize=1)

    def no_room(*args: object) -> None:
        raise DiskFull("as RocksDB says it")

    async def story() -> None:
        nonlocal free_bytes
        node = Node(BLUE, 0, free_addresses(3), tmp_path, PATIENT, min_free_bytes=1_000, fatal=pytest.fail)
        free_bytes = 1_000
        async with beside_a_mute_peer(node):
            await goes_on(node)

    async def looked(times: int) -> None:
        """Until so many looks at the disk have begun from now on: all but the last are over."""
        before = looks
        await until(lambda: looks >= before + times)

    async def goes_on(node: Node) -> None:
        nonlocal free_bytes
        with monkeypatch.context() as patch:
            patch.setattr(RocksStore, "write", no_room)
            with pytest.raises(PaxosStoreError):
                await node.execute(1, put)
            free_bytes = 999
            for _ in range(3):
                await looked(3)
                with pytest.raises(DiskFull):
                    await node.execute(1, put)
        free_bytes = 1_000
        await looked(3)
        waiting = asyncio.create_task(node.execute(1, put))
        await until(lambda: node.statistics().counters["entries_proposed"] == 2)
        await node.stop()
        with pytest.raises(OutcomeUnknown):
            await waiting

    monkeypatch.setattr(os, "statvfs", statvfs)
    run(story)


def test_an_entry_is_shown_when_the_vote_that_made_it_chosen_is_durable(tmp_path: Path) -> None:
    """get_write_batch, rule 7."""
    store = MemoryStore()
    codec = MsgpackBodyCodec()
    shard = Shard(Identity(CLUSTER, TuningSettings(), 0, 1), store, codec, {})
    turn = Turn(shard, store, lambda release: None)
    node = Node(CLUSTER, 0, free_addresses(3), tmp_path)
    node._life.shard, node._life.store = shard, cast(RocksStore, store)
    batch = WriteBatch({b"dk": b"v"})

    def accepted(entry: int) -> Received:
        """Node 1 has accepted a value: with this node's own vote it is chosen."""
        value_id = entry.to_bytes(16, "big")
        return Received(1, [PaxosMessage(1, entry, 5, 5, 5, False, value_id, codec.encode(batch), entry - 1, True, False)])

    turn.begin([accepted(1)], 1.0, 0)
    turn.begin(turn.finish(1.0, 0), 1.0, 0)  # loaded
    for entry in (1, 2):
        with pytest.raises(NotCaughtUp, match="being written"):
            node.get_write_batch(1, entry)
        turn.finish(2.0, 0)
        assert node.get_write_batch(1, entry) == batch
        turn.begin([accepted(entry + 1)], 3.0, 0)
        assert node.get_write_batch(1, entry) == batch, "older ones stay"


def test_a_node_that_waits_for_its_peers_says_for_whom(tmp_path: Path) -> None:
    async def story() -> None:
        addresses = free_addresses(3)
        nodes = [
            Node(CLUSTER, me, addresses, tmp_path / str(me), PATIENT, min_free_bytes=1, fatal=pytest.fail) for me in range(3)
        ]
        zero, one, two = nodes
        with pytest.raises(NotServing):
            await zero.ready()
        await zero.start()
        with pytest.raises(NoQuorum, match=r"waits for node 1 \(.*\), node 2 \(.*\): a new cluster begins"):
            await zero.ready(timeout_ms=50)
        await one.start()
        await until(lambda: "waits for node 2 (" in zero.statistics().not_ready_because)
        await two.start()
        await asyncio.gather(*(node.ready(timeout_ms=10_000) for node in nodes))
        for node in nodes:
            await node.stop()

        await zero.start()
        with pytest.raises(NoQuorum, match=r"node 1 down for .* node 2 down for"):
            await zero.ready(timeout_ms=50)
        waits = asyncio.create_task(zero.ready())
        await asyncio.sleep(0)
        await zero.stop()
        with pytest.raises(NotServing):
            await waits
        await zero.start()
        waits = asyncio.create_task(zero.ready())
        await asyncio.sleep(0)
        assert not waits.done()
        await one.start()
        await waits
        assert zero.statistics().peers[1].up
        await zero.ready(timeout_ms=1)
        await one.stop()
        await zero.stop()

    run(story)
