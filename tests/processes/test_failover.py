"""Clients that were given a list of nodes go on while each node is killed in turn, and what is under a uuid is done once."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis.cluster
import redis.exceptions
import redis.sentinel
from redis.backoff import NoBackoff
from redis.retry import Retry

import paxosstore.redis
from paxosstore.cli.cluster import LocalCluster
from paxosstore.redis import asyncio as aio

COUNTS = int(os.environ.get("COUNTS", "600"))
"""By each of the four writers: COUNTS=25000 makes 100,000."""


def kill_in_turn(cluster: LocalCluster, done: Callable[[], bool], pause_s: float = 0.5) -> int:
    """Kill a node, start it again, and so on with the next one; returns how many were killed."""
    kills = 0
    while not done():
        cluster.kill(kills % cluster.nodes)
        time.sleep(pause_s)
        cluster.start(kills % cluster.nodes)
        kills += 1
        time.sleep(pause_s)
    return kills


def nodes_of(cluster: LocalCluster, first: int) -> list[tuple[str, int]]:
    servers = cluster.redis_servers
    return [*servers[first:], *servers[:first]]


def test_every_increment_is_done_once_while_every_node_is_killed(cluster: LocalCluster) -> None:
    failed: list[BaseException] = []
    replies: list[int] = []

    def count(first: int) -> None:
        try:
            with paxosstore.redis.Redis(nodes_of(cluster, first), patience_s=60.0) as client:
                replies.extend(client.incr("counter") for _ in range(COUNTS))
        except BaseException as error:
            failed.append(error)
            raise

    async def count_beside() -> None:
        async with aio.Redis(nodes_of(cluster, 1), patience_s=60.0) as client:
            replies.extend([await client.incr("counter") for _ in range(COUNTS)])

    def run_beside() -> None:
        try:
            asyncio.run(count_beside())
        except BaseException as error:
            failed.append(error)
            raise

    writers = [threading.Thread(target=count, args=(first,)) for first in range(3)] + [threading.Thread(target=run_beside)]
    began_s = time.monotonic()
    for writer in writers:
        writer.start()
    kills = kill_in_turn(cluster, lambda: not any(writer.is_alive() for writer in writers))
    for writer in writers:
        writer.join()
    print(f"{len(replies)} increments, {kills} kills, {time.monotonic() - began_s:.1f} s")
    assert not failed
    assert sorted(replies) == list(range(1, 4 * COUNTS + 1)), "each was told once, and none was done twice"
    with paxosstore.redis.Redis(cluster.redis_servers) as client:
        assert int(client.get("counter") or 0) == 4 * COUNTS


def sentinel_client(cluster: LocalCluster) -> Any:
    sentinel: Any = redis.sentinel.Sentinel
    once: Any = {"retry": Retry(NoBackoff(), 0), "socket_timeout": 5.0, "socket_connect_timeout": 1.0}
    return sentinel(cluster.redis_servers, sentinel_kwargs=once).master_for("mymaster", **once)


def cluster_client(cluster: LocalCluster) -> Any:
    client: Any = redis.cluster.RedisCluster
    node: Any = redis.cluster.ClusterNode
    return client(startup_nodes=[node(*server) for server in cluster.redis_servers], socket_timeout=5.0)


@pytest.mark.parametrize("kind", [sentinel_client, cluster_client])
def test_a_client_of_redis_with_a_list_of_nodes_goes_on(cluster: LocalCluster, kind: Callable[[LocalCluster], Any]) -> None:
    client = kind(cluster)
    said: list[str] = []
    gaps: list[float] = []
    stopped = threading.Event()

    def write() -> None:
        last_s, number = time.monotonic(), 0
        while not stopped.is_set() or number < 200:
            try:
                client.set(f"key:{number}", number)
            except redis.exceptions.RedisError as error:
                said.append(f"{type(error).__name__}: {error}")
                assert len(said) < 200, said[-5:]
                time.sleep(0.05)
                continue
            now_s = time.monotonic()
            gaps.append(now_s - last_s)
            last_s, number = now_s, number + 1
        numbers.append(number)

    numbers: list[int] = []
    writer = threading.Thread(target=write)
    writer.start()
    for node in range(cluster.nodes):
        time.sleep(0.3)
        cluster.kill(node)
        time.sleep(0.7)
        cluster.start(node)
    stopped.set()
    writer.join(60)
    assert numbers, f"it did not come to its end: {said[-3:]}"
    print(f"{kind.__name__}: {numbers[0]} keys, longest gap {max(gaps):.2f} s, {len(said)} errors: {sorted(set(said))[:3]}")
    with paxosstore.redis.Redis(cluster.redis_servers) as check:
        found: Any = check.mget([f"key:{number}" for number in range(numbers[0])])
        assert found == [b"%d" % number for number in range(numbers[0])]


def test_a_move_through_kills_leaves_a_key_somewhere_and_twice_only_where_it_said_nothing(cluster: LocalCluster) -> None:
    """MOVE is several requests: a node that dies between them leaves the key in both databases, never in neither."""
    moved: list[dict[int, object]] = [{}, {}, {}]
    keys = 150

    def move(mine: int) -> None:
        for number in range(keys):
            key = f"{mine}:{number}"
            client = redis.Redis(port=cluster.redis_port(mine), retry=Retry(NoBackoff(), 0), socket_timeout=10)
            for _ in range(200):
                try:
                    client.set(key, key, nx=True)
                    break
                except redis.exceptions.RedisError:
                    time.sleep(0.1)
            try:
                moved[mine][number] = client.move(key, 1)
            except redis.exceptions.RedisError as error:
                moved[mine][number] = error
            client.close()

    movers = [threading.Thread(target=move, args=(mine,)) for mine in range(3)]
    for mover in movers:
        mover.start()
    kills = kill_in_turn(cluster, lambda: not any(mover.is_alive() for mover in movers))
    for mover in movers:
        mover.join()
    servers = cluster.redis_servers
    with (
        paxosstore.redis.Redis(servers, patience_s=60.0) as here,
        paxosstore.redis.Redis(servers, db=1, patience_s=60.0) as there,
    ):
        names = [(mine, number) for mine in range(3) for number in range(keys)]
        places = {name: tuple(client.get(f"{name[0]}:{name[1]}") for client in (here, there)) for name in names}
    said_nothing = twice = 0
    for (mine, number), (left, arrived) in places.items():
        how, value = moved[mine][number], f"{mine}:{number}".encode()
        said_nothing += isinstance(how, Exception)
        twice += left is not None and arrived is not None
        assert {left, arrived} <= {value, None}
        assert left or arrived, (mine, number, how)
        if how is True:
            assert (left, arrived) == (None, value), (mine, number)
    assert kills
    print(f"{3 * keys} moves, {kills} kills: {said_nothing} without a reply, {twice} keys in both")
