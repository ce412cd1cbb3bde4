"""Catch-up after a reconnect: how two nodes find out what differs among many entities, and what requests notice of it.

    python benchmarks/catch_up.py [--entities 1000000] [--changed 10000] [--load 100]

Three nodes, each a process of its own with the library in it. Their stores are filled directly, all alike. Node 0 is stopped
(SIGSTOP) while the others write to some entities, and goes on: first with nothing else to do, then while every node has requests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from many_entities import Process, entity_of, get, put
from paxosstore import ClusterSettings, Node, TuningSettings
from paxosstore.cli.allocator import bound_what_is_kept
from paxosstore.cli.cluster import HOST, free_base_port
from paxosstore.cli.interpreter import let_the_loop_go_soon
from paxosstore.core.batch.overlay import DATA, WriteBatch
from paxosstore.core.entry.ids import value_id
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.message import (
    CatchUpReply,
    CatchUpRequest,
    DigestReply,
    DigestRequest,
    InventoryReply,
    InventoryRequest,
    Message,
)
from paxosstore.core.interface.ready import Apply, NewEntity
from paxosstore.errors import PaxosStoreError
from paxosstore.runtime.collector import ShortCollections
from paxosstore.runtime.links import Links
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.directory import open_directory
from paxosstore.storage.epochs import Keep
from paxosstore.storage.rocks import RocksStore
from paxosstore.wire.codec import encode_messages

NODES = 3
CLUSTER = ClusterSettings("many-entities")
PIECE = 2_000
TASKS = 100
PAUSE_S = 0.25
"""Between looks at a node. To look costs it a millisecond, which its requests feel."""
QUIET_S = 20.0
"""How long requests are measured while there is nothing else to do."""
KEEP = Keep(1_000_000, 1_000_000_000, 86_400.0)
TUNING = TuningSettings(
    plog_keep_bytes=KEEP.bytes, plog_keep_seconds=KEEP.seconds, max_mem_entities=50_000, request_timeout_ms=10_000.0
)
FINDING = (DigestRequest, DigestReply, InventoryRequest, InventoryReply)
LEARNING = (CatchUpRequest, CatchUpReply)


# -- in a node's process


class Traffic:
    """Counts the bytes of what a node sends, kind by kind."""

    def __init__(self) -> None:
        self.bytes: Counter[str] = Counter()
        send = Links.send_many

        def counted(links: Links, by_peer: Mapping[int, list[Message]]) -> None:
            for messages in by_peer.values():
                for message in messages:
                    part = "find" if isinstance(message, FINDING) else "learn" if isinstance(message, LEARNING) else ""
                    if part:
                        self.bytes[part] += len(encode_messages([message]))
            send(links, by_peer)

        Links.send_many = counted  # type: ignore[method-assign,assignment]  # a spy


class Worker:
    """One node, and what the parent has it do, one line of JSON at a time."""

    def __init__(self, node: Node, traffic: Traffic) -> None:
        self._node = node
        self._traffic = traffic
        self._load: asyncio.Task[list[float]] | None = None
        self._errors = 0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            order = json.loads(line)
            answer = await getattr(self, order.pop("do"))(**order)
            print(json.dumps(answer), flush=True)

    async def look(self) -> dict[str, Any]:
        now = self._node.statistics()
        seen = now.reconciliation
        ups = [link.up for link in now.peers.values()]
        walks = {one.peer: (one.under_way, one.behind, one.seconds) for one in seen.comparisons}
        names = ("entities_behind", "entries_learned", "comparisons", "loads", "rounds_full", "catchup_requests")
        counters = {name: now.counters[name] for name in names}
        busy = seen.waiting + seen.under_way
        return {"ups": ups, "walks": walks, "busy": busy, "bytes": dict(self._traffic.bytes), **counters}

    async def write(self, numbers: list[int]) -> dict[str, Any]:
        left = iter(numbers)

        async def one() -> None:
            for number in left:
                while True:
                    try:
                        await self._node.call(entity_of(number), "put", b"%064d" % (number + 1))
                        break
                    except PaxosStoreError:
                        self._errors += 1

        await asyncio.gather(*[one() for _ in range(TASKS)])
        return {"errors": self._errors}

    async def load(self, numbers: list[int], rate: float) -> dict[str, Any]:
        """Requests at this rate to these entities, every second one a write, until `end_load`."""
        self._load = asyncio.create_task(self._ask(numbers, rate))
        return {}

    async def end_load(self) -> dict[str, Any]:
        assert self._load is not None
        self._load.cancel()
        times = sorted(await self._load)
        cuts = statistics.quantiles(times, n=100)
        return {"requests": len(times), "p50_ms": cuts[49], "p99_ms": cuts[98], "max_ms": times[-1], "errors": self._errors}

    async def _ask(self, numbers: list[int], rate: float) -> list[float]:
        times: list[float] = []
        began = time.monotonic()
        asked = 0
        running: set[asyncio.Task[None]] = set()

        async def one(number: int, due: float, *, write: bool) -> None:
            try:
                await self._node.call(entity_of(number), *(("put", b"x" * 64) if write else ("get", b"")), read_only=not write)
            except PaxosStoreError:
                self._errors += 1
            times.append(1_000.0 * (time.monotonic() - due))

        try:
            while True:
                due = began + asked / rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                task = asyncio.create_task(one(random.choice(numbers), due, write=asked % 2 == 0))
                running.add(task)
                task.add_done_callback(running.discard)
                asked += 1
        except asyncio.CancelledError:
            await asyncio.gather(*running)
            return times


async def serve(number: int, base_port: int, directory: str, rate: int) -> None:
    bound_what_is_kept()
    let_the_loop_go_soon()
    began = time.monotonic()
    peers = [(HOST, base_port + peer) for peer in range(NODES)]
    traffic = Traffic()
    tuning = replace(TUNING, catch_up_entities_per_second=rate)
    async with Node(CLUSTER, number, peers, directory, tuning, {"put": put, "get": get}) as node:
        await node.ready()
        ShortCollections().begin()
        print(json.dumps({"ready_s": time.monotonic() - began}), flush=True)
        await Worker(node, traffic).run()


# -- the parent


class Peer(Process):
    """A node's process."""

    all: ClassVar[list[Peer]] = []

    def __init__(self, number: int, base_port: int, directory: Path, rate: int) -> None:
        words = ["--node", str(number), "--port", str(base_port), "--directory", str(directory / f"node-{number}")]
        words += ["--rate", str(rate)]
        self._log = (directory / f"node-{number}.log").open("a")
        self._process = subprocess.Popen(
            [sys.executable, __file__, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )

        Peer.all.append(self)

    def end(self) -> None:
        """At once, whatever it does."""
        self._process.kill()
        self._process.wait()

    def ask(self, **order: object) -> dict[str, Any]:
        self.say(**order)
        return self.hear()

    def send_signal(self, number: int) -> None:
        os.kill(self._process.pid, number)


def fill(directory: Path, entities: int) -> None:
    """Three data directories with the same entities, one entry each."""
    encode = MsgpackBodyCodec().encode
    for number in range(NODES):
        open_directory(directory / f"node-{number}", CLUSTER, number).close()
    first = directory / "node-0" / "store"
    store = RocksStore(first, keep=KEEP)
    for begin in range(0, entities, PIECE):
        rows: dict[tuple[int, int], Record] = {}
        applies, changes = [], []
        for number in range(begin, min(begin + PIECE, entities)):
            entity, batch = entity_of(number), WriteBatch({DATA + b"value": b"%064d" % number})
            rows[entity, 1] = Record(4, 4, 4, Value(value_id(0, 1, number + 1), encode(batch)), True)
            applies.append(Apply(entity, 1, batch))
            changes.append(NewEntity(entity))
        store.write(rows, applies, changes)
        store.sync()
    store.close()
    for number in range(1, NODES):
        shutil.rmtree(directory / f"node-{number}" / "store")
        shutil.copytree(first, directory / f"node-{number}" / "store")


def wait_until_alike(nodes: list[Peer]) -> float:
    """Until every node has compared itself with both peers and nothing is missing; seconds."""
    began = time.monotonic()
    while True:
        looks = [node.ask(do="look") for node in nodes]
        if all(len(one["walks"]) == NODES - 1 and all(one["ups"]) and is_done(one) for one in looks):
            return time.monotonic() - began
        time.sleep(0.2)


def is_done(look: dict[str, Any]) -> bool:
    return not look["busy"] and not any(under_way for under_way, _, _ in look["walks"].values())


def part_ways(nodes: list[Peer], numbers: list[int]) -> None:
    """The others write to these entities while node 0 stands still."""
    nodes[0].send_signal(signal.SIGSTOP)
    while any(sum(node.ask(do="look")["ups"]) == NODES - 1 for node in nodes[1:]):
        time.sleep(0.1)
    for part, node in enumerate(nodes[1:]):
        node.say(do="write", numbers=numbers[part :: NODES - 1])
    for node in nodes[1:]:
        node.hear()


def come_back(nodes: list[Peer], numbers: list[int], rate: float = 0.0) -> None:
    """Node 0 goes on, has requests at this rate then; what it takes until it knows what is missing, and until it is there."""
    before = [node.ask(do="look") for node in nodes[1:]]
    cpu_s = [node.cpu_s() for node in nodes]
    nodes[0].send_signal(signal.SIGCONT)
    first = nodes[0].ask(do="look")
    began, found_s, loaded = time.monotonic(), 0.0, False
    while True:
        look = nodes[0].ask(do="look")
        walks = list(look["walks"].values())
        known = len(walks) == NODES - 1 and look["comparisons"] > first["comparisons"] + 1
        known = known and not any(under_way for under_way, _, _ in walks)
        if rate and not loaded and all(look["ups"]):
            loaded = True
            begin_load(nodes[:1], numbers, rate)
        if known and not found_s:
            found_s = time.monotonic() - began
            found_cpu_s = [node.cpu_s() - was for node, was in zip(nodes, cpu_s, strict=True)]
        if known and not look["busy"]:
            break
        time.sleep(PAUSE_S)
    done_s = time.monotonic() - began
    cpu = [node.cpu_s() - was for node, was in zip(nodes, cpu_s, strict=True)]
    after = [node.ask(do="look") for node in nodes[1:]]
    sent = [look["bytes"], *[one["bytes"] for one in after]]
    sent_before = [first["bytes"], *[one["bytes"] for one in before]]
    moved = {
        part: [(now.get(part, 0) - was.get(part, 0)) / 1e6 for now, was in zip(sent, sent_before, strict=True)]
        for part in ("find", "learn")
    }
    said = ", ".join(f"node {peer}: {behind} in {seconds:.2f} s" for peer, (_, behind, seconds) in look["walks"].items())
    print(f"found: {found_s:.2f} s after it went on (links included); walks: {said}; CPU s {shown(found_cpu_s)}")
    print(f"sent to find out: {shown(moved['find'])} MB; to learn: {shown(moved['learn'])} MB")
    print(f"caught up: {done_s:.2f} s; CPU s {shown(cpu)}; loads {look['loads'] - first['loads']}", flush=True)


def shown(values: list[float], digits: int = 2) -> str:
    return " / ".join(f"{value:.{digits}f}" for value in values)


def begin_load(nodes: list[Peer], numbers: list[int], rate: float) -> None:
    for node in nodes:
        node.ask(do="load", numbers=numbers, rate=rate)


def end_load(what: str, nodes: list[Peer]) -> None:
    for number, node in enumerate(nodes):
        one = node.ask(do="end_load")
        print(
            f"requests at node {number}, {what}: p50 {one['p50_ms']:.2f} ms, p99 {one['p99_ms']:.2f}, max {one['max_ms']:.0f}; "
            f"{one['requests']} requests, {one['errors']} errors",
            flush=True,
        )


def measure(entities: int, changed: int, load: float, rate: int, directory: Path) -> None:
    filled = directory / f"filled-{entities}"
    if not filled.exists():
        began = time.monotonic()
        fill(directory, entities)
        filled.touch()
        print(f"filled: {entities:,} entities in {time.monotonic() - began:.0f} s", flush=True)
    if not changed:
        return
    port = free_base_port(NODES)
    nodes = [Peer(number, port, directory, rate) for number in range(NODES)]
    print(f"ready after {shown([float(node.hear()['ready_s']) for node in nodes])} s", flush=True)
    print(f"all compared and alike {wait_until_alike(nodes):.1f} s later; CPU s so far {shown([node.cpu_s() for node in nodes])}")
    numbers = random.Random(1).sample(range(entities), 2 * changed + 1_000)
    part_ways(nodes, numbers[:changed])
    hot = numbers[2 * changed :]
    come_back(nodes, hot)
    for what in ("first touches", "nothing else"):  # an entity's first request loads it, which is no measure for the others
        begin_load(nodes, hot, load)
        time.sleep(QUIET_S)
        end_load(what, nodes)
    part_ways(nodes, numbers[changed : 2 * changed])
    begin_load(nodes[1:], hot, load)
    come_back(nodes, hot, load)
    end_load("node 0 catches up", nodes)
    begin_load(nodes, hot, load)
    time.sleep(QUIET_S)
    end_load("nothing else, after it", nodes)
    for node in nodes:
        node.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--entities", type=int, default=1_000_000)
    parser.add_argument("--changed", type=int, default=10_000, help="0: only fill the directory")
    parser.add_argument("--load", type=float, default=100.0, help="requests per second at each node")
    parser.add_argument("--rate", type=int, default=TUNING.catch_up_entities_per_second, help="catch_up_entities_per_second")
    parser.add_argument("--node", type=int, default=-1, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--directory", default="", help="kept, and used again (default: a temporary one)")
    options = parser.parse_args()
    if options.node >= 0:
        asyncio.run(serve(options.node, options.port, options.directory, options.rate))
        return
    directory = Path(options.directory or tempfile.mkdtemp(prefix="catch-up-"))
    directory.mkdir(parents=True, exist_ok=True)
    try:
        measure(options.entities, options.changed, options.load, options.rate, directory)
    finally:
        for process in Peer.all:
            process.end()
        if not options.directory:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
