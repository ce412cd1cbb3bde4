"""Three real nodes: a row is changed on one disk while its node is down. `paxosstore verify` and the rounds find and name it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from paxosstore.cli.cluster import LocalCluster
from paxosstore.cli.config import load_config
from paxosstore.core.batch.overlay import DATA
from paxosstore.services.redis.layout.keyspace import REDIS_BASE
from paxosstore.storage.directory import open_directory
from paxosstore.storage.generations import FIRST as TABLE
from paxosstore.storage.keys import entity_prefix
from paxosstore.storage.rocks import RocksStore

from .test_lost_disk import tune, until, write

ODD = 2
DATABASE = 1
ENTITY = REDIS_BASE + DATABASE


def verify(cluster: LocalCluster, *arguments: str, node: int = 0) -> tuple[int, str]:
    """Exit code, and what it has printed."""
    command = [sys.executable, "-m", "paxosstore", "verify", *arguments, "--server", f"127.0.0.1:{cluster.http_port(node)}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stdout + ended.stderr


def plant(config: Path) -> bytes:
    """Flip a bit of one value on a stopped node's disk, past all checksums. Returns its key."""
    settings = load_config(config)
    with open_directory(settings.data_dir, settings.cluster, settings.node) as directory:
        store = RocksStore(directory.store_path)
        key, value = next(iter(store.scan(ENTITY, DATA, b"e")))
        store._use().table.write([(TABLE + entity_prefix(ENTITY) + key, value[:-1] + bytes((value[-1] ^ 1,)))])
        store.close()
    return key


def test_a_row_that_is_changed_on_one_disk_is_found_and_named(configured: LocalCluster) -> None:
    async def story() -> None:
        cluster = configured
        tune(cluster, verify_days=1e-5)
        await asyncio.to_thread(cluster.start)
        await write(cluster, 0, "a")
        code, said = await asyncio.to_thread(verify, cluster, "--all")
        assert (code, "0 differ, 0 not compared" in said) == (0, True), said
        code, said = await asyncio.to_thread(verify, cluster, "--entities", "123456789")
        assert (code, "no node has anything of 1 entities" in said) == (3, True), said
        await until("no round is made", lambda: cluster.status(0)["counters"]["entities_compared"] > 12)
        cluster.kill(ODD)
        code, said = await asyncio.to_thread(verify, cluster, "--database", str(DATABASE))
        assert (code, f"node {ODD} is down" in said) == (3, True), said
        key = await asyncio.to_thread(plant, cluster.config(ODD))
        await asyncio.to_thread(cluster.start, ODD)
        await until("the rounds have not found it", lambda: bool(cluster.status(0)["differing"]))
        status = cluster.status(0)["differing"]
        assert list(status) == [str(ENTITY)], status
        assert f"node {ODD} differs from nodes 0 and 1 at entry" in status[str(ENTITY)]
        await until("nothing was logged", lambda: "THE DATA OF THE REPLICAS DIFFERS" in cluster.log(0))
        for node in range(cluster.nodes):
            code, said = await asyncio.to_thread(verify, cluster, "--entities", f"redis:{DATABASE},redis:0", node=node)
            assert (code, f"node {ODD} differs from nodes 0 and 1" in said) == (1, True), said
            assert repr(key[1:])[1:] in said
            assert "2 entities" in said
        assert "entities differs" in _status(cluster)
        servers = [option for node in range(cluster.nodes) for option in ("--server", f"127.0.0.1:{cluster.http_port(node)}")]
        code, said = await asyncio.to_thread(verify, cluster, "--repair", f"0/redis:{DATABASE}", *servers)
        assert (code, "does not agree" in said) == (2, True), said
        code, said = await asyncio.to_thread(verify, cluster, "--repair", f"{ODD}/redis:{DATABASE}", *servers)
        assert (code, "0 differ" in said) == (0, True), said
        await until("the alarm goes on", lambda: not cluster.status(0)["differing"])

    asyncio.run(story())


def _status(cluster: LocalCluster) -> str:
    command = [sys.executable, "-m", "paxosstore", "status", "--server", f"127.0.0.1:{cluster.http_port(0)}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout


def test_wrong_use_is_told(shared: LocalCluster) -> None:
    for arguments in ((), ("--all", "--database", "1"), ("--entities", "x"), ("--entities", "9-5"), ("--database", "99")):
        code, said = verify(shared, *arguments)
        assert (code, said.count("\n")) == (2, 1), said
    stopped = shared.http_port(0) + 7
    ended = subprocess.run(
        [sys.executable, "-m", "paxosstore", "verify", "--all", "--server", f"127.0.0.1:{stopped}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, "no node answers" in ended.stderr) == (4, True)
