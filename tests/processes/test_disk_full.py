"""The disk of all nodes fills up: writes are refused with a clear error, reads go on, and with room all is there."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from paxosstore.cli.cluster import LocalCluster
from paxosstore.cli.resp_client import RespClient
from paxosstore.errors import Damaged, PaxosStoreError

DISK_BYTES = 256 * 1024 * 1024
PIECE = b"\0" * 65_536


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a tmpfs")
    where = tmp_path / "disk"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(where)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"this machine does not let root mount a tmpfs: {mounted.stderr.strip()}")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def fill(path: Path) -> None:
    """Take all the room there is."""
    with path.open("ab", buffering=0) as ballast:
        try:
            while True:
                ballast.write(PIECE)
        except OSError:
            return


async def write_until_refused(cluster: LocalCluster, kept: dict[str, bytes]) -> PaxosStoreError:
    """Write through every node until each refuses; what is acknowledged meanwhile counts."""
    last: PaxosStoreError | None = None
    for node in range(cluster.nodes):
        async with RespClient([cluster.redis_servers[node]], timeout_s=8.0) as client, asyncio.timeout(30):
            number = 0
            while True:
                name, value = f"late:{node}:{number}", os.urandom(1_000)
                try:
                    await client.call("SET", name, value)
                except PaxosStoreError as error:
                    last = error
                    break
                kept[name] = value
                number += 1
    assert last is not None
    return last


async def read_all(cluster: LocalCluster, node: int, kept: dict[str, bytes]) -> None:
    async with RespClient([cluster.redis_servers[node]], timeout_s=10.0) as client:
        for name, value in kept.items():
            assert await client.repeat("GET", name) == value, (node, name)


def test_disk_full(small_disk: Path) -> None:
    kept: dict[str, bytes] = {}

    async def while_full(cluster: LocalCluster) -> None:
        async with RespClient(cluster.redis_servers) as client:
            for number in range(50):
                value = os.urandom(1_000)
                await client.repeat("SET", f"early:{number}", value)
                kept[f"early:{number}"] = value
        fill(small_disk / "ballast")
        error = await write_until_refused(cluster, kept)
        print(f"{type(error).__name__}: {error}")
        assert str(error)
        for node in range(cluster.nodes):
            if cluster.is_running(node):
                await read_all(cluster, node, kept)

    with LocalCluster(small_disk) as cluster:
        cluster.init()
        cluster.start()
        asyncio.run(while_full(cluster))
        (small_disk / "ballast").unlink()
        for node in range(cluster.nodes):
            assert "Traceback" not in cluster.log(node), cluster.log(node)
            if not cluster.is_running(node):
                assert cluster.stop(node) == Damaged.exit_code, cluster.log(node)
                cluster.start(node)
        asyncio.run(afterwards(cluster, kept))


async def afterwards(cluster: LocalCluster, kept: dict[str, bytes]) -> None:
    """Writes are taken again without a restart, and everything is there on every node."""
    async with RespClient(cluster.redis_servers) as client:
        await client.repeat("SET", "again", b"1", within_s=15.0)
        kept["again"] = b"1"
    for node in range(cluster.nodes):
        await read_all(cluster, node, kept)
    hashes = await asyncio.to_thread(cluster.wait_equal)
    assert len(set(hashes)) == 1, hashes
