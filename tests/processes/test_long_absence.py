"""A node was away while its peers cut their logs: it comes back by snapshot, and nobody stops for that (rules 16 and 17)."""

from __future__ import annotations

import asyncio

from paxosstore.cli.cluster import LocalCluster
from paxosstore.cli.resp_client import RespClient
from paxosstore.errors import PaxosStoreError

from .load import Load
from .test_lost_disk import check_all, tune, until

KEPT_S = 0.5
"""How long peers keep their entries."""


def expired(cluster: LocalCluster, node: int) -> int:
    """Entries that a node has let go."""
    return int(cluster.status(node)["log_kept"]["expired_entries"])


async def read(cluster: LocalCluster, node: int, load: Load, stopped: asyncio.Event) -> int:
    """Read the counter at one node until told to stop: never less than what was acknowledged before. Returns how often."""
    reads = 0
    async with RespClient([cluster.redis_servers[node]], timeout_s=10.0) as client:
        while not stopped.is_set():
            least = max(load.counted, default=0)
            try:
                reply = await client.call("GET", "counter")
            except PaxosStoreError:
                await asyncio.sleep(0.01)
                continue
            assert isinstance(reply, bytes)
            assert int(reply) >= least, f"node {node} gave a stale read"
            reads += 1
            await asyncio.sleep(0)
    return reads


def test_a_node_comes_back_by_snapshot_under_load(configured: LocalCluster) -> None:
    async def story() -> None:
        cluster = configured
        tune(cluster, plog_keep_seconds=KEPT_S, snapshot_piece_bytes=1_024)
        await asyncio.to_thread(cluster.start)
        stopped = asyncio.Event()
        async with Load(cluster) as load:
            await load.more()
            readers = [asyncio.create_task(read(cluster, node, load, stopped)) for node in range(cluster.nodes)]
            cluster.kill(0)
            await load.more(1_000)
            await until("the logs are not cut", lambda: all(expired(cluster, node) > 500 for node in (1, 2)))
            await asyncio.to_thread(cluster.start, 0)
            await until("no snapshot", lambda: cluster.status(0)["counters"]["snapshots_installed"] > 0)
            await load.more(300)
            stopped.set()
            reads = await asyncio.gather(*readers)
        print(f"{len(load.keys)} keys, {len(load.counted)} counts, reads {reads}: {cluster.status(0)['counters']}")
        assert all(reads)
        await check_all(cluster, {})
        for node in range(cluster.nodes):
            await load.verify(node)

    asyncio.run(story())
