"""What a cluster costs and how it fails over: memory, start-up, and the gap in writes when the preferred proposer is killed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

from servers import BenchError, Client, NodeServer, Servers, fill

SETTLE_S = 1.0
FILL_KEYS = 100_000
FILL_VALUE_BYTES = 100
WRITER_BEFORE_KILL_S = 0.7
WRITER_AFTER_KILL_S = 2.0


class Memory(NamedTuple):
    """Of the largest node, in MB of 10^6 bytes."""

    idle_mb: float
    added_mb: float
    """By 100,000 keys of 100 B."""


class Gap(NamedTuple):
    """One kill of the preferred proposer."""

    gap_ms: float
    """Longest time between two acknowledged writes around the kill."""
    usual_ms: float
    """Longest time between two acknowledged writes before it."""
    restart_s: float
    """From starting the killed node again until it had acknowledged a write."""


def measure_memory(servers: Servers) -> Memory:
    """Fill both servers, looking at the nodes' memory before and after."""
    time.sleep(SETTLE_S)
    before = [node.rss_mb() for node in servers.nodes]
    for server in (servers.nodes[0], servers.redis):
        fill(server, 0, FILL_KEYS, FILL_VALUE_BYTES)
    time.sleep(SETTLE_S)
    added = [node.rss_mb() - was for node, was in zip(servers.nodes, before, strict=True)]
    return Memory(max(before), max(added))


@dataclass(slots=True)
class _Writer:
    """Writes without a pause to one node, and remembers when each write was acknowledged."""

    port: int
    acknowledged: list[float]
    stop: threading.Event

    def run(self) -> None:
        client: Client | None = None
        number = 0
        while not self.stop.is_set():
            try:
                client = client or Client(self.port)
                number += 1
                if client.call(b"SET", b"gap:%d" % (number % 100), b"%d" % number) == b"OK":
                    self.acknowledged.append(time.monotonic())
            except OSError:
                client = None
                time.sleep(0.002)
        if client is not None:
            client.close()


def measure_gap(servers: Servers) -> Gap:
    """Kill the preferred proposer under a writer that is connected to another node; restart it afterwards."""
    victim = _preferred(servers)
    survivor = next(node for node in servers.nodes if node is not victim)
    writer = _Writer(survivor.port, [], threading.Event())
    thread = threading.Thread(target=writer.run, daemon=True)
    thread.start()
    time.sleep(WRITER_BEFORE_KILL_S)
    killed = time.monotonic()
    victim.kill()
    time.sleep(WRITER_AFTER_KILL_S)
    writer.stop.set()
    thread.join(10)
    started = time.monotonic()
    victim.start()
    victim.wait_until_serving()
    restart_s = time.monotonic() - started
    before = [at for at in writer.acknowledged if at < killed]
    if len(before) < 2 or writer.acknowledged[-1] < killed:
        raise BenchError("no write was acknowledged on one side of the kill")
    around = [before[-1], *(at for at in writer.acknowledged if at >= killed)]
    return Gap(_longest_ms(around), _longest_ms(before), restart_s)


def _longest_ms(moments: Sequence[float]) -> float:
    return 1000.0 * max(later - earlier for earlier, later in pairwise(moments))


def _preferred(servers: Servers) -> NodeServer:
    """The node at which writes are proposed that another node takes in."""
    before = [node.counters()["requests_proposed"] for node in servers.nodes]
    client = Client(servers.nodes[1].port)
    for _ in range(50):
        client.call(b"SET", b"gap:probe", b"1")
    client.close()
    proposed = [node.counters()["requests_proposed"] - was for node, was in zip(servers.nodes, before, strict=True)]
    return servers.nodes[proposed.index(max(proposed))]


def sync_cost_us(directory: Path, times: int = 200) -> float:
    """Median microseconds for a 100-byte append and fdatasync: what one sync costs here, for either server."""
    path = directory / "sync-cost"
    took: list[float] = []
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for _ in range(times):
            started = time.perf_counter()
            os.write(file, b"x" * 100)
            os.fdatasync(file)
            took.append(1e6 * (time.perf_counter() - started))
    finally:
        os.close(file)
        path.unlink()
    return median(took)
