"""An application's functions at real nodes, while each of them is killed or suspended in turn: every call is done once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis.cluster
import redis.sentinel

import paxosstore.redis
from paxosstore import AsyncClient, Client, Refused, UnknownHandler
from paxosstore.cli.cluster import LocalCluster
from paxosstore.errors import Fault

COUNTS = int(os.environ.get("COUNTS", "300"))
"""By each of the six writers."""
ENTITY = 7


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster(tmp_path, app="counting:app", app_path=Path(__file__).parent) as nodes:
        nodes.init()
        nodes.start()
        yield nodes


def servers_of(cluster: LocalCluster, first: int = 0) -> list[tuple[str, int]]:
    servers = cluster.redis_servers
    return [*servers[first:], *servers[:first]]


def strike(cluster: LocalCluster, done: Callable[[], bool]) -> int:
    """Kill each node in turn and start it again, then suspend each, and so on until all is done; returns how many were struck."""
    struck = 0
    while not done() or struck < 2 * cluster.nodes:
        node = struck % cluster.nodes
        if struck // cluster.nodes % 2 == 0:
            cluster.kill(node)
            time.sleep(0.5)
            cluster.start(node)
        else:
            cluster.signal(node, signal.SIGSTOP)
            time.sleep(2.5)
            cluster.signal(node, signal.SIGCONT)
        struck += 1
        time.sleep(0.5)
    return struck


def test_every_call_is_done_once_while_every_node_is_killed_and_suspended(cluster: LocalCluster) -> None:
    replies: list[int] = []
    refusals: list[object] = []
    failed: list[BaseException] = []
    ended = threading.Event()

    def count(client: Client, seed: int) -> None:
        rng, number = random.Random(seed), 0
        while number < COUNTS or not ended.is_set():
            if rng.random() < 0.1:
                try:
                    client.call("add", ENTITY, -1)
                except Refused as refused:
                    refusals.append((refused.reason, refused.data))
            replies.append(client.call("add", ENTITY, 1, into=int))
            number += 1

    async def count_beside(client: AsyncClient) -> None:
        number = 0
        while number < COUNTS or not ended.is_set():
            replies.append(await client.call("add", ENTITY, 1, into=int))
            number += 1

    async def run_beside() -> None:
        async with AsyncClient(servers_of(cluster, 1), timeout_s=90.0) as client:
            await asyncio.gather(*[count_beside(client) for _ in range(3)])

    def guarded(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)
            raise

    with Client(servers_of(cluster), timeout_s=90.0) as client:
        works: list[Callable[[], Any]] = [partial(count, client, seed) for seed in range(3)]
        works.append(lambda: asyncio.run(run_beside()))
        writers = [threading.Thread(target=guarded, args=(work,)) for work in works]
        began_s = time.monotonic()
        for writer in writers:
            writer.start()
        struck = strike(cluster, lambda: len(replies) >= 6 * COUNTS or bool(failed))
        ended.set()
        for writer in writers:
            writer.join(120)
        print(f"{len(replies)} calls, {len(refusals)} refusals, {struck} nodes struck, {time.monotonic() - began_s:.1f} s")
        assert not failed
        assert not any(writer.is_alive() for writer in writers)
        assert sorted(replies) == list(range(1, len(replies) + 1)), "each was told once, and none was done twice"
        assert set(map(str, refusals)) == {str(("NEGATIVE", {"amount": -1}))}
    for node in range(cluster.nodes):
        with Client([cluster.redis_servers[node]]) as client:
            assert client.read("total", ENTITY, into=int) == len(replies)
    hashes = cluster.wait_equal()
    assert len(set(hashes)) == 1


def test_any_client_of_redis_calls_them(cluster: LocalCluster) -> None:
    sentinel: Any = redis.sentinel.Sentinel
    ring: Any = redis.cluster.RedisCluster
    node: Any = redis.cluster.ClusterNode
    clients = [
        redis.Redis(port=cluster.redis_port(0)),
        redis.Redis(port=cluster.redis_port(1), protocol=2, decode_responses=True),
        sentinel(cluster.redis_servers).master_for("mymaster"),
        ring(startup_nodes=[node(*server) for server in cluster.redis_servers]),
        paxosstore.redis.Redis(cluster.redis_servers),
    ]
    for number, client in enumerate(clients, 1):
        uuid = uuid4()
        for form in (str(uuid), uuid.bytes):
            assert int(client.execute_command("PAXOS.CALL", "add", ENTITY, form, "1")) == number
        assert int(client.execute_command("PAXOS.READ", "total", ENTITY, "")) == number
        with pytest.raises(redis.ResponseError, match=r'REFUSED NEGATIVE {"amount":-1}'):
            client.execute_command("PAXOS.CALL", "add", ENTITY, str(uuid4()), "-1")
        client.close()


async def ask_beside(cluster: LocalCluster) -> None:
    """By a client that knows nothing but a node which lacks these; and by one that knows all of them."""
    async with AsyncClient([cluster.redis_servers[0]]) as old, AsyncClient(cluster.redis_servers) as all_nodes:
        with pytest.raises(UnknownHandler, match="has no handler 'double'"):
            await old.call("double", ENTITY)
        with pytest.raises(UnknownHandler, match="has no handler 'twice'"):
            await old.read("twice", ENTITY)
        assert await all_nodes.read("twice", ENTITY, into=int) == 200
        for client in (old, all_nodes):
            with pytest.raises(UnknownHandler, match="has no handler 'nowhere'"):
                await client.call("nowhere", ENTITY)


def test_a_new_version_comes_to_one_node_after_the_other(cluster: LocalCluster) -> None:
    """A call that is handed over to a node which lacks its function is done all the same, by the node that was asked."""
    with Client([cluster.redis_servers[0]]) as old:
        for number in range(1, 101):
            assert old.call("add", ENTITY, 1, into=int) == number
        for node in (1, 2):
            cluster.stop(node)
            path = cluster.config(node)
            path.write_text(path.read_text().replace("counting:app", "counting:newer"))
            cluster.start(node)
        with pytest.raises(UnknownHandler, match=r"has no handler 'double': it has add, total$") as raised:
            old.call("double", ENTITY)
        assert (raised.value.fault, raised.value.retry, raised.value.outcome_known) == (Fault.CALLER, False, True)
        with pytest.raises(UnknownHandler, match="has no handler 'twice'"):
            old.read("twice", ENTITY)
        asyncio.run(ask_beside(cluster))
        with redis.Redis(port=cluster.redis_port(0)) as plain:
            for words in (("PAXOS.CALL", "double", ENTITY, str(uuid4()), ""), ("PAXOS.READ", "twice", ENTITY, "")):
                with pytest.raises(redis.ResponseError, match=r"^NOHANDLER this node has no handler"):
                    plain.execute_command(*words)
        with Client(cluster.redis_servers) as all_nodes, Client([cluster.redis_servers[1]]) as new:
            expected = 100
            for _ in range(10):
                expected += 1
                assert old.call("add", ENTITY, 1, into=int) == expected
                expected *= 2
                assert new.call("double", ENTITY, into=int) == expected
                expected *= 2
                assert all_nodes.call("double", ENTITY, into=int) == expected
        assert old.read("total", ENTITY, into=int) == expected
