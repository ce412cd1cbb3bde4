"""Many entities, memory for a few: what a node takes of memory, and how fast it is, while more and more entities are written.

    python benchmarks/many_entities.py [--entities 1000000] [--max-mem-entities 5000] [--seconds 240]

Three nodes, each a process of its own with the library in it. Every node writes entities of its own, a hundred at a time; every
write is to an entity that nobody has seen before. Stops early when the time is up, and says how far it came.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from paxosstore import ClusterSettings, Node, TuningSettings
from paxosstore.cli.allocator import bound_what_is_kept
from paxosstore.cli.cluster import HOST, free_base_port
from paxosstore.cli.interpreter import let_the_loop_go_soon
from paxosstore.core.batch.overlay import View
from paxosstore.errors import PaxosStoreError
from servers import processor_s

NODES = 3
PARTS = 10
TASKS = 100
SAMPLE = 1_000
IDLE_S = 10.0
SETTLE_S = 120.0
MAX_TRIES = 20


def put(view: View, payload: bytes) -> bytes:
    """The handler: keep what came."""
    view.put(b"value", payload)
    return b""


def get(view: View, payload: bytes) -> bytes:
    return view.get(b"value") or b""


# -- in a node's process


def rss_mb() -> float:
    """Of this process, in MB of 10^6 bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def entity_of(number: int) -> int:
    """Entities are spread over all ids, as hashes are."""
    return (number * 0x9E3779B97F4A7C15) & ((1 << 62) - 1)


class Worker:
    """One node, and what the parent has it do, one line of JSON at a time."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._errors = 0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            order = json.loads(line)
            answer = await getattr(self, order.pop("do"))(**order)
            print(json.dumps(answer), flush=True)

    async def write(self, first: int, last: int, until: float) -> dict[str, Any]:
        """Write this node's entities of first..last-1, as long as there is time."""
        numbers = iter(range(first + self._node.node_id, last, NODES))
        written = 0
        began = time.monotonic()

        async def one() -> None:
            nonlocal written
            for number in numbers:
                if time.time() > until:
                    return
                await self._call(number, "put", b"%064d" % number)
                written += 1

        await asyncio.gather(*[one() for _ in range(TASKS)])
        return {"written": written, "seconds": time.monotonic() - began}

    async def _call(self, number: int, handler: str, payload: bytes, *, read_only: bool = False) -> bytes:
        """Again and again, if need be: a machine that does other things as well may be busy for long."""
        for _ in range(MAX_TRIES):
            try:
                return await self._node.call(entity_of(number), handler, payload, read_only=read_only)
            except PaxosStoreError:
                self._errors += 1
        raise RuntimeError(f"entity {number} was tried {MAX_TRIES} times in vain")

    async def look(self) -> dict[str, Any]:
        now = self._node.statistics()
        kept = ("loads", "evictions", "evictions_held", "rounds_full", "catchup_requests", "refused_while_loading")
        counters = {name: now.counters[name] for name in kept}
        return {"rss_mb": rss_mb(), "entities": now.memory.entities, "errors": self._errors, **counters}

    async def read(self, numbers: list[int]) -> dict[str, Any]:
        began = time.monotonic()
        left = iter(numbers)
        good = 0

        async def one() -> None:
            nonlocal good
            for number in left:
                reply = await self._call(number, "get", b"", read_only=True)
                good += reply == b"%064d" % number

        await asyncio.gather(*[one() for _ in range(TASKS)])
        return {"good": good, "seconds": time.monotonic() - began}


async def serve(number: int, base_port: int, directory: str, max_mem_entities: int) -> None:
    began = time.monotonic()
    bound_what_is_kept()
    let_the_loop_go_soon()
    peers = [(HOST, base_port + peer) for peer in range(NODES)]
    tuning = TuningSettings(max_mem_entities=max_mem_entities, request_timeout_ms=10_000.0)
    node = Node(ClusterSettings("many-entities"), number, peers, directory, tuning, {"put": put, "get": get})
    async with node:
        await node.ready()
        print(json.dumps({"ready_s": time.monotonic() - began}), flush=True)
        await Worker(node).run()


# -- the parent


class Process:
    """A node's process."""

    def __init__(self, number: int, base_port: int, directory: Path, max_mem_entities: int) -> None:
        words = ["--node", str(number), "--port", str(base_port), "--directory", str(directory / f"node-{number}")]
        self._log = (directory / f"node-{number}.log").open("a")
        self._process = subprocess.Popen(
            [sys.executable, __file__, *words, "--max-mem-entities", str(max_mem_entities)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def say(self, **order: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a node has ended, see {self._log.name}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def cpu_s(self) -> float:
        return processor_s(self._process.pid)

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._log.close()


class Cluster:
    """The three nodes."""

    def __init__(self, directory: Path, max_mem_entities: int) -> None:
        self._directory, self._max = directory, max_mem_entities
        self._port = free_base_port(NODES)
        self.nodes: list[Process] = []

    def start(self) -> list[float]:
        """Seconds until each was ready, from its first own instruction on."""
        self.nodes = [Process(number, self._port, self._directory, self._max) for number in range(NODES)]
        return [float(node.hear()["ready_s"]) for node in self.nodes]

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def ask(self, **order: object) -> list[dict[str, Any]]:
        for node in self.nodes:
            node.say(**order)
        return [node.hear() for node in self.nodes]

    def cpu_s(self) -> float:
        """Of all nodes together."""
        return sum(node.cpu_s() for node in self.nodes)

    def idle_cpu(self, seconds: float = IDLE_S) -> list[float]:
        """Per cent of a core."""
        before = [node.cpu_s() for node in self.nodes]
        time.sleep(seconds)
        return [100.0 * (node.cpu_s() - was) / seconds for node, was in zip(self.nodes, before, strict=True)]

    def settle(self) -> tuple[float, list[float]]:
        """Wait until nothing goes on any more; returns seconds, and the per cent of a core that are left."""
        began = time.monotonic()
        while True:
            waited, cpu = time.monotonic() - began, self.idle_cpu(2.0)
            if max(cpu) < 2.0 or waited > SETTLE_S:
                return waited, cpu


def shown(values: list[float], digits: int = 1) -> str:
    return " / ".join(f"{value:.{digits}f}" for value in values)


def measure(entities: int, max_mem_entities: int, seconds: float, directory: Path) -> None:
    cluster = Cluster(directory, max_mem_entities)
    cluster.start()
    print(f"empty: RSS {shown([one['rss_mb'] for one in cluster.ask(do='look')])} MB", flush=True)
    until, written = time.time() + seconds, 0
    for part in range(PARTS):
        first, last = entities * part // PARTS, entities * (part + 1) // PARTS
        cpu_s = cluster.cpu_s()
        answers = cluster.ask(do="write", first=first, last=last, until=until)
        count = sum(answer["written"] for answer in answers)
        written += count
        complete = min(last, first + NODES * min(answer["written"] for answer in answers))  # below it nothing is missing
        rate = sum(answer["written"] / answer["seconds"] for answer in answers if answer["seconds"])
        looks = cluster.ask(do="look")
        cost_ms = 1000.0 * (cluster.cpu_s() - cpu_s) / max(count, 1)
        print(
            f"{written:>9,} entities: {rate:7,.0f} writes/s, {cost_ms:.2f} ms of CPU each; "
            f"RSS {shown([one['rss_mb'] for one in looks])} MB, "
            f"in memory {[one['entities'] for one in looks]}, errors {sum(one['errors'] for one in looks)}",
            flush=True,
        )
        if time.time() > until:
            print("the time is up")
            break
    for look in looks:
        print(f"counters: { {name: value for name, value in look.items() if name not in ('rss_mb', 'entities', 'errors')} }")
    settled_s, _ = cluster.settle()
    print(f"quiet {settled_s:.0f} s after the last write; idle CPU {shown(cluster.idle_cpu(), 2)} % of a core", flush=True)
    cluster.stop()
    used = [sum(file.stat().st_blocks * 512 for file in path.rglob("*")) / 1e6 for path in sorted(directory.glob("node-?"))]
    print(f"on the disk: {shown(used)} MB")
    print(f"restart: ready after {shown(cluster.start(), 2)} s")
    settled_s, _ = cluster.settle()
    print(f"quiet {settled_s:.0f} s after the restart; RSS {shown([one['rss_mb'] for one in cluster.ask(do='look')])} MB")
    numbers = random.Random(1).sample(range(complete), min(SAMPLE, complete))
    reads = cluster.ask(do="read", numbers=numbers)
    print(f"read back: {[one['good'] for one in reads]} of {len(numbers)} in {shown([one['seconds'] for one in reads], 2)} s")
    cluster.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--entities", type=int, default=1_000_000)
    parser.add_argument("--max-mem-entities", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=240.0, help="of writing")
    parser.add_argument("--directory", default="", help="where the data is kept (default: a temporary directory)")
    parser.add_argument("--node", type=int, default=-1, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.node >= 0:
        asyncio.run(serve(options.node, options.port, options.directory, options.max_mem_entities))
        return
    directory = Path(options.directory or tempfile.mkdtemp(prefix="many-entities-"))
    directory.mkdir(parents=True, exist_ok=True)
    try:
        measure(options.entities, options.max_mem_entities, options.seconds, directory)
    finally:
        if not options.directory:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
