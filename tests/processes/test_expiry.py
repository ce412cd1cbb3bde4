"""Expired keys leave the disk although nobody asks for them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from paxosstore.cli.cluster import LocalCluster
from paxosstore.cli.resp_client import RespClient


def test_expired_keys_are_deleted(tmp_path: Path) -> None:
    async def story(cluster: LocalCluster) -> None:
        async with RespClient(cluster.redis_servers) as client:
            for number in range(20):
                await client.repeat("SET", f"short:{number}", "x", "PX", 2_000)  # they are all set within that
            await client.repeat("SET", "long", "x")
            assert await client.repeat("DBSIZE") == 21
            for _ in range(100):
                if await client.repeat("DBSIZE") == 1:
                    break
                await asyncio.sleep(0.1)
            assert await client.repeat("DBSIZE") == 1
            assert await client.repeat("GET", "long") == b"x"

    with LocalCluster(tmp_path) as cluster:
        cluster.init()
        cluster.start()
        asyncio.run(story(cluster))
