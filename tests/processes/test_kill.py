"""Nodes die, hang and come back under load: nothing acknowledged is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import signal

from paxosstore.cli.cluster import LocalCluster
from paxosstore.services.redis.layout.keyspace import REDIS_BASE

from .load import Load


async def _verify_all(cluster: LocalCluster, load: Load) -> None:
    assert load.card_changes > 0
    hashes = await asyncio.to_thread(cluster.wait_equal)
    assert len(set(hashes)) == 1, hashes
    for node in range(cluster.nodes):
        await load.verify(node)


def test_each_node_is_killed_in_turn_under_load(cluster: LocalCluster) -> None:
    async def story() -> None:
        async with Load(cluster) as load:
            await load.more()
            for node in range(cluster.nodes):
                await asyncio.to_thread(cluster.kill, node)
                await load.more()
                await asyncio.to_thread(cluster.start, node)
                await load.more()
        print(f"{len(load.keys)} keys, {len(load.counted)} counts + {load.counts_unknown} unknown, {load.card_changes} changes")
        await _verify_all(cluster, load)

    asyncio.run(story())


def test_all_nodes_are_killed_at_once(cluster: LocalCluster) -> None:
    async def story() -> None:
        async with Load(cluster) as load:
            await load.more()
            for node in range(cluster.nodes):
                cluster.kill(node)
            await asyncio.to_thread(cluster.start)
            await load.more()
        await _verify_all(cluster, load)

    asyncio.run(story())


def test_the_others_go_on_while_the_preferred_proposer_hangs(cluster: LocalCluster) -> None:
    async def story() -> None:
        async with Load(cluster) as load:
            await load.more()
            preferred = await asyncio.to_thread(cluster.preferred, 0, REDIS_BASE)
            assert preferred is not None
            cluster.signal(preferred, signal.SIGSTOP)
            try:
                await load.more()
            finally:
                cluster.signal(preferred, signal.SIGCONT)
            await load.more()
        assert cluster.is_running(preferred)
        await _verify_all(cluster, load)

    asyncio.run(story())


def test_a_clean_stop_keeps_everything(cluster: LocalCluster) -> None:
    async def story() -> None:
        async with Load(cluster) as load:
            await load.more()
        assert [cluster.stop(node) for node in range(cluster.nodes)] == [0, 0, 0]
        await asyncio.to_thread(cluster.start)
        await _verify_all(cluster, load)

    asyncio.run(story())
