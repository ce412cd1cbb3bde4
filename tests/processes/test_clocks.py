"""Real nodes of which one has a wrong clock: what expires does so in time, at all of them, and the clock is said (rule 20)."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.clock import Clock, build_shim
from chaos.errors import CannotRun
from paxosstore.cli.cluster import LocalCluster
from paxosstore.cli.resp_client import RespClient

HOUR_S = 3_600.0
TTL_MS = 4_000
PATIENCE_S = 30.0


class Clocked(LocalCluster):
    """Nodes whose clocks can be set."""

    def __init__(self, directory: Path, shim: Path) -> None:
        super().__init__(directory)
        self.clocks = [Clock(shim, directory / f"clock-{node}") for node in range(self.nodes)]

    def launch(self, node: int) -> subprocess.Popen[bytes]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.clocks[node].environment.items():
                patch.setenv(name, value)
            return super().launch(node)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Clocked]:
    try:
        shim = build_shim(tmp_path)
    except CannotRun as reason:
        pytest.skip(str(reason))
    cluster = Clocked(tmp_path, shim)
    with cluster:
        cluster.init()
        yield cluster


async def ask(cluster: Clocked, node: int, *words: str | int) -> object:
    """At this very node."""
    async with RespClient([cluster.redis_servers[node]], timeout_s=10.0) as client:
        return await client.call(*words)


@pytest.mark.parametrize("offset_s", [HOUR_S, -HOUR_S])
def test_one_wrong_clock_of_three_neither_ends_nor_keeps_a_key(cluster: Clocked, offset_s: float) -> None:
    wrong = 1

    async def story() -> None:
        began_s = time.monotonic()
        for node in range(3):
            assert await ask(cluster, node, "SET", f"k{node}", "v", "PX", TTL_MS) == b"OK"
        set_s = time.monotonic()
        gone: set[tuple[str, int]] = set()
        keys = {f"k{node}" for node in range(3)}
        while len({key for key, _ in gone}) < 3:
            assert time.monotonic() < set_s + PATIENCE_S, gone
            for key in sorted(keys):
                for node in (wrong, 0, 2):
                    found = await ask(cluster, node, "GET", key)
                    if found is None:
                        assert time.monotonic() >= began_s + TTL_MS / 1_000.0 - 0.2, "it has ended early"
                        gone.add((key, node))
                    else:
                        assert key not in {other for other, _ in gone}, "it was gone at a node, and is there again"
        left = await ask(cluster, wrong, "SET", "k", "v", "PX", 100_000), await ask(cluster, 0, "PTTL", "k")
        assert left[0] == b"OK"
        assert isinstance(left[1], int)
        assert 80_000 < left[1] <= 101_000

    cluster.clocks[wrong].set(offset_s)
    cluster.start()
    asyncio.run(story())
    for node in range(3):
        clock = cluster.status(node)["clock"]
        assert "THE CLOCKS DIFFER" in clock["trouble"]
        assert f"node {wrong} is 60 min {'ahead' if offset_s > 0 else 'behind'}" in clock["trouble"]
        assert clock["expires"] == (node != wrong)
        assert abs(clock["offset_ms"]) < (4_000_000 if node == wrong else 1_000)
        assert "THE CLOCKS DIFFER" in cluster.log(node)
    cluster.clocks[wrong].set(0.0)
    last_s = time.monotonic() + PATIENCE_S
    while any(cluster.status(node)["clock"]["trouble"] for node in range(3)):
        assert time.monotonic() < last_s
        time.sleep(0.1)
    assert cluster.status(wrong)["clock"]["expires"]
