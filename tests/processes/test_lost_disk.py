"""A real node comes back without its disk: nothing acknowledged is lost, and it does not vote too early (rule 19)."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paxosstore.cli.cluster import LocalCluster
from paxosstore.cli.resp_client import Reply, RespClient
from paxosstore.errors import PaxosStoreError

from .load import Load

PATIENCE_S = 30.0
DATABASES = range(4)
"""Each is an entity of its own."""


async def said(cluster: LocalCluster, node: int, *command: str) -> Reply | PaxosStoreError:
    """What one node answers, or its error."""
    async with RespClient([cluster.redis_servers[node]], timeout_s=PATIENCE_S) as client:
        try:
            return await client.call(*command)
        except PaxosStoreError as error:
            return error


async def until(what: str, holds: Callable[[], bool]) -> None:
    """Until something holds; what is asked for in a thread may be refused meanwhile."""

    def held() -> bool:
        try:
            return holds()
        except OSError:
            return False

    deadline = time.monotonic() + PATIENCE_S
    while not await asyncio.to_thread(held):
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)


def reentry(cluster: LocalCluster, node: int) -> dict[str, Any]:
    answer: dict[str, Any] = cluster.status(node)["reentry"]
    return answer


def has_found_out(cluster: LocalCluster, node: int) -> bool:
    """That its disk is another one: it is on its way back, or was so quickly that nobody saw it."""
    now = cluster.status(node)
    return not now["reentry"]["done"] or bool(now["counters"]["reentries"])


def disk_heard(cluster: LocalCluster, node: int) -> str:
    """By which disk node 1 hears another; empty: it does not."""
    link = cluster.status(1)["peers"][str(node)]
    return str(link["disk_id"]) if link["up"] else ""


async def until_member(cluster: LocalCluster, node: int) -> None:
    await until(f"node {node} is no member again", lambda: reentry(cluster, node)["done"])


async def lose(cluster: LocalCluster, node: int) -> None:
    """kill -9, and its directory is gone."""
    cluster.kill(node)
    shutil.rmtree(cluster.lose_disk(node))


async def write(cluster: LocalCluster, node: int, tag: str, keys: int = 20) -> dict[tuple[int, str], bytes]:
    """Write through one node until all is acknowledged: (database, key) -> value."""
    written = {(database, f"{tag}:{key}"): f"{tag} {key}".encode() for database in DATABASES for key in range(keys)}
    async with RespClient([cluster.redis_servers[node]], timeout_s=PATIENCE_S) as client:
        for (database, key), value in written.items():
            await client.call("SELECT", database)
            await client.repeat("SET", key, value)
    return written


async def check_all(cluster: LocalCluster, written: dict[tuple[int, str], bytes]) -> None:
    """Every node has every write, all are members, and their replicas are equal."""
    for node in range(cluster.nodes):
        await until_member(cluster, node)
    for node in range(cluster.nodes):
        async with RespClient([cluster.redis_servers[node]], timeout_s=PATIENCE_S) as client:
            for (database, key), value in written.items():
                await client.call("SELECT", database)
                assert await client.repeat("GET", key) == value, (node, database, key)
    hashes = await asyncio.to_thread(cluster.wait_equal)
    assert len(set(hashes)) == 1, hashes
    for node in range(cluster.nodes):
        assert "Traceback" not in cluster.log(node), cluster.log(node)


def test_what_two_had_acknowledged_survives_the_loss_of_one_while_the_other_is_down(cluster: LocalCluster) -> None:
    """Kill 0, write through 1, kill 2 and empty it, kill 1, start 2 and 0. They are a majority, and neither knows the writes."""

    async def story() -> None:
        written = await write(cluster, 0, "all")
        cluster.kill(0)
        written |= await write(cluster, 1, "two")
        await lose(cluster, 2)
        cluster.kill(1)
        await asyncio.to_thread(cluster.start, 2, 0)
        for node in (2, 0):
            for command in (("SET", "two:0", "new"), ("GET", "two:0"), ("GET", "all:0")):
                reply = await said(cluster, node, *command)
                print(f"node {node}: {' '.join(command)}: {reply!r}")
                assert isinstance(reply, PaxosStoreError), (node, command)
                assert re.search(r"waits for nodes? 1\b|no majority: node 1 down", str(reply)), (node, command)
        waiting = await asyncio.to_thread(reentry, cluster, 2)
        print(waiting)
        assert not waiting["done"]
        assert re.search(r"waits for nodes? 1\b", waiting["waits_for"])
        await asyncio.to_thread(cluster.start, 1)
        await check_all(cluster, written)
        await check_all(cluster, written | await write(cluster, 2, "after"))

    asyncio.run(story())


def test_a_disk_is_lost_again_half_way(configured: LocalCluster) -> None:
    """Clients write on; the node is killed and emptied while it is on its way back, and again when it has no peer but one."""

    async def story() -> None:
        cluster = configured
        tune(cluster, max_catch_ups=1)
        await asyncio.to_thread(cluster.start)
        async with Load(cluster) as load:
            await load.more()
            await lose(cluster, 2)
            for _ in range(2):
                cluster.launch(2)
                await until("node 2 does not find out", lambda: has_found_out(cluster, 2))
                await lose(cluster, 2)
                await load.more(20)
            await asyncio.to_thread(cluster.start, 2)
            await load.more()
            await until_member(cluster, 2)
            await load.more()
        await check_all(cluster, {})
        for node in range(cluster.nodes):
            await load.verify(node)

    asyncio.run(story())


def test_two_disks_are_lost_one_after_the_other(cluster: LocalCluster) -> None:
    """The second when the first is a member again: then it may be asked, with a floor of its own."""

    async def story() -> None:
        written = await write(cluster, 0, "all")
        for node in (2, 0, 1):
            await lose(cluster, node)
            written |= await write(cluster, (node + 1) % 3, f"without {node}")
            await asyncio.to_thread(cluster.start, node)
            await until_member(cluster, node)
            written |= await write(cluster, node, f"after {node}")
        await check_all(cluster, written)

    asyncio.run(story())


def test_an_old_copy_is_found_out(cluster: LocalCluster, tmp_path: Path) -> None:
    """A node is started on a copy of its directory; what it had acknowledged since then is not forgotten."""

    async def story() -> None:
        written = await write(cluster, 0, "all")
        cluster.kill(2)
        await asyncio.to_thread(shutil.copytree, cluster.data_dir(2), tmp_path / "copy")
        await asyncio.to_thread(cluster.start, 2)
        cluster.kill(0)
        written |= await write(cluster, 1, "two")
        disk = await asyncio.to_thread(disk_heard, cluster, 2)
        await lose(cluster, 2)
        shutil.move(tmp_path / "copy", cluster.data_dir(2))
        await asyncio.to_thread(cluster.start, 2, 0)
        await until("the copy is not found out", lambda: disk_heard(cluster, 2) not in ("", disk))
        await check_all(cluster, written)

    asyncio.run(story())


def test_a_lost_disk_with_the_only_peers_that_know_of_it_started_later(cluster: LocalCluster) -> None:
    """All nodes are killed; one disk is lost; it starts first, and alone it is no new cluster."""

    async def story() -> None:
        written = await write(cluster, 0, "all")
        for node in range(3):
            cluster.kill(node)
        shutil.rmtree(cluster.lose_disk(2))
        await asyncio.to_thread(cluster.start, 2)
        reply = await said(cluster, 2, "SET", "all:0", "new")
        assert isinstance(reply, PaxosStoreError)
        await asyncio.to_thread(cluster.start, 0, 1)
        await check_all(cluster, written)

    asyncio.run(story())


def tune(cluster: LocalCluster, **settings: float) -> None:
    """Settings of all nodes, before they start."""
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    for node in range(cluster.nodes):
        with cluster.config(node).open("a", encoding="utf-8") as config:
            config.write(lines)
