"""The disk of all nodes fills up: writes are refused with a clear error, reads go on, and with room all is there."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from paxosstore.cli.cluster import LocalCluster
from paxosstore.cli.resp_client import RespClient
from paxosstore.errors import Damaged, DiskFull, OutcomeUnknown, PaxosStoreError

DISK_BYTES = 256 * 1024 * 1024
ALMOST_BYTES = 16 * 1024 * 1024
"""Under what a node wants to have free."""
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


def fill(path: Path, leave: int = 0) -> None:
    """Take all the room there is, or all but `leave` bytes."""
    room = shutil.disk_usage(path.parent).free - leave
    with path.open("ab", buffering=0) as ballast, suppress(OSError):
        for _ in range(room // len(PIECE) + (leave == 0)):
            ballast.write(PIECE)


async def write_until_refused(cluster: LocalCluster, node: int, kept: dict[str, bytes]) -> PaxosStoreError:
    """Write through a node until it refuses; what is acknowledged meanwhile counts."""
    async with RespClient([cluster.redis_servers[node]], timeout_s=8.0) as client, asyncio.timeout(30):
        for number in count():
            name, value = f"late:{node}:{number}", os.urandom(1_000)
            try:
                await client.call("SET", name, value)
            except PaxosStoreError as error:
                print(f"node {node}, after {number} writes: {type(error).__name__}: {error}")
                return error
            kept[name] = value
    raise AssertionError("not reached")


async def write_early(cluster: LocalCluster) -> dict[str, bytes]:
    kept = {f"early:{number}": os.urandom(1_000) for number in range(50)}
    async with RespClient(cluster.redis_servers) as client:
        for name, value in kept.items():
            await client.repeat("SET", name, value)
    return kept


def wait_refusing(cluster: LocalCluster) -> None:
    """Until every node says that it takes no writes."""
    deadline = time.monotonic() + 10.0
    for node in range(cluster.nodes):
        while not cluster.status(node)["writes_refused_because"]:
            assert time.monotonic() < deadline, f"node {node} does not notice"
            time.sleep(0.05)


async def read_all(cluster: LocalCluster, node: int, kept: dict[str, bytes]) -> None:
    async with RespClient([cluster.redis_servers[node]], timeout_s=10.0) as client:
        for name, value in kept.items():
            assert await client.repeat("GET", name) == value, (node, name)


@pytest.fixture
def cluster(small_disk: Path) -> Iterator[LocalCluster]:
    with LocalCluster(small_disk) as cluster:
        cluster.init()
        cluster.start()
        yield cluster


def test_the_disk_becomes_almost_full(cluster: LocalCluster) -> None:
    """The nodes notice before the store fails: every write is refused, every read is served."""

    async def story() -> None:
        kept = await write_early(cluster)
        fill(cluster.directory / "ballast", leave=ALMOST_BYTES)
        await asyncio.to_thread(wait_refusing, cluster)
        for node in range(cluster.nodes):
            error = await write_until_refused(cluster, node, kept)
            assert isinstance(error, (DiskFull, OutcomeUnknown))  # unknown: the preferred proposer had been asked first
            assert "make room" in str(error)
            await read_all(cluster, node, kept)
        (cluster.directory / "ballast").unlink()
        await afterwards(cluster, kept)

    asyncio.run(story())


def test_the_disk_is_full_at_once(cluster: LocalCluster) -> None:
    """The store's own write fails, on all nodes, under load: some outcomes are unknown, none is wrong."""

    async def story() -> None:
        kept = await write_early(cluster)
        writers = [asyncio.create_task(write_until_refused(cluster, node, kept)) for node in range(cluster.nodes)]
        await asyncio.to_thread(fill, cluster.directory / "ballast")
        for error in await asyncio.gather(*writers):
            assert str(error)
        (cluster.directory / "ballast").unlink()
        for node in range(cluster.nodes):
            assert "Traceback" not in cluster.log(node), cluster.log(node)
            if not cluster.is_running(node):
                assert cluster.stop(node) == Damaged.exit_code, cluster.log(node)
                print(f"node {node} had stopped: {cluster.log(node).splitlines()[-1]}")
                await asyncio.to_thread(cluster.start, node)
        await afterwards(cluster, kept)

    asyncio.run(story())


async def afterwards(cluster: LocalCluster, kept: dict[str, bytes]) -> None:
    """Writes are taken again without a restart, and everything is there on every node."""
    async with RespClient(cluster.redis_servers) as client:
        await client.repeat("SET", "again", b"1", within_s=15.0)
        kept["again"] = b"1"
    for node in range(cluster.nodes):
        await read_all(cluster, node, kept)
    hashes = await asyncio.to_thread(cluster.wait_equal)
    assert len(set(hashes)) == 1, hashes
