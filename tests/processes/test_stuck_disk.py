"""A node's disk stops answering: no client waits for it, reads there go on, status says so, and the node can be stopped."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from paxosstore.cli.cluster import LocalCluster
from paxosstore.cli.resp_client import Reply, RespClient
from paxosstore.errors import PaxosStoreError

SOURCE = Path(__file__).with_name("disk_shim.c")
PATIENCE_S = 20.0
"""Far above every deadline: a client that runs into it has waited for the disk."""


class StuckDisks(LocalCluster):
    """A node's syncs do not return while its file is there."""

    def __init__(self, directory: Path, shim: Path) -> None:
        super().__init__(directory)
        self._shim = shim

    def stuck(self, node: int) -> Path:
        return self.directory / f"stuck-{node}"

    def launch(self, node: int) -> subprocess.Popen[bytes]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LD_PRELOAD", str(self._shim))
            patch.setenv("STUCK_DISK", str(self.stuck(node)))
            return super().launch(node)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[StuckDisks]:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or os.uname().sysname != "Linux":
        pytest.skip("a C compiler is needed to make a disk hang")
    shim = tmp_path / "disk_shim.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(shim), str(SOURCE), "-ldl"], check=True)
    cluster = StuckDisks(tmp_path, shim)
    with cluster:
        cluster.init()
        cluster.start()
        yield cluster


async def said(cluster: LocalCluster, node: int, *command: str) -> Reply | str:
    """The reply of one node, or the code of its error."""
    async with RespClient([cluster.redis_servers[node]], timeout_s=PATIENCE_S) as client:
        try:
            return await client.call(*command)
        except PaxosStoreError as error:
            return "WAITED" if isinstance(error.__cause__, TimeoutError) else error.code


async def silent(cluster: LocalCluster, node: int, wanted: bool) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while bool((await asyncio.to_thread(cluster.status, node))["disk_silent_ms"]) != wanted:  # noqa: ASYNC110  # a process
            await asyncio.sleep(0.05)


def test_a_disk_that_does_not_answer(cluster: StuckDisks) -> None:
    async def story() -> None:
        assert await said(cluster, 0, "SET", "k", "1") == b"OK"  # node 0 is preferred
        cluster.stuck(0).touch()
        assert await said(cluster, 0, "SET", "k", "2") in (b"OK", "UNKNOWN")
        await silent(cluster, 0, True)
        for node in (1, 2):
            assert await said(cluster, node, "SET", f"k{node}", "3") == b"OK"
        async with asyncio.timeout(PATIENCE_S):
            while (
                await said(cluster, 0, "GET", "k2") != b"3"
            ):  # the first ones may wait for it to learn what was chosen meanwhile
                pass
        cluster.stuck(0).unlink()
        await silent(cluster, 0, False)
        assert await said(cluster, 0, "SET", "k", "4") == b"OK"
        assert len(set(await asyncio.to_thread(cluster.wait_equal))) == 1

    asyncio.run(story())


def test_a_node_is_stopped_while_its_disk_does_not_answer(cluster: StuckDisks) -> None:
    async def story() -> None:
        cluster.stuck(0).touch()
        writing = asyncio.create_task(said(cluster, 0, "SET", "k", "1"))
        await silent(cluster, 0, True)
        assert await asyncio.to_thread(cluster.stop, 0) == 0, "it was killed, or ended badly"
        assert await writing in (b"OK", "UNKNOWN", "NOQUORUM")  # the last where it was not proposed yet
        cluster.stuck(0).unlink()
        await asyncio.to_thread(cluster.start, 0)
        async with RespClient(cluster.redis_servers) as client:
            await client.repeat("SET", "k", "2")
        assert await said(cluster, 0, "GET", "k") == b"2"

    asyncio.run(story())
