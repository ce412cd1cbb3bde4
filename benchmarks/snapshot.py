"""What copying a large entity costs (rule 16): time, memory at both ends, and what clients notice meanwhile.

Three nodes on this machine; one Redis database of many values. Node 2 is stopped, the others write until what it misses is no
longer in their logs (plog_keep_entries is tiny), and node 2 is started again. Clients at every node send SETs and GETs, one
after the other, to the very database and to another one, before, during and after the copy: the machine
itself may have changed meanwhile.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from paxosstore.cli.cluster import LocalCluster
from servers import BenchError, Client

MIB = 1 << 20
AWAY = 2
KEEP_ENTRIES = 50
PIPELINE, FEW = 200, 20
"""SETs that are sent together: to fill the database quickly, and to make many entries."""
ATTEMPTS = 20
BASELINE_S = 8.0
PAUSE_S = 0.004
LONGEST_S = 180.0
COPIED, OTHER = 0, 1
"""Databases: the one that is copied, and another one."""


class Latencies(NamedTuple):
    """Of one client's commands, in milliseconds."""

    node: int
    database: int
    command: str
    ms: list[float]
    failed: int

    def quantile(self, share: float) -> float:
        return sorted(self.ms)[min(len(self.ms) - 1, int(len(self.ms) * share))] if self.ms else float("nan")


class Load:
    """Clients at some nodes, while it is entered. Afterwards `found` has what they saw."""

    def __init__(self, cluster: LocalCluster, nodes: list[int], keys: int) -> None:
        self.found: list[Latencies] = []
        self._ends = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(cluster.redis_port(node), node, database, keys))
            for node in nodes
            for database in (COPIED, OTHER)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _run(self, port: int, node: int, database: int, keys: int) -> None:
        draw = random.Random(node * 10 + database)
        took: dict[str, list[float]] = {"SET": [], "GET": []}
        failed = {"SET": 0, "GET": 0}
        client: Client | None = None
        while not self._ends.is_set():
            for command in ("SET", "GET"):
                key = b"key:%012d" % draw.randrange(keys)
                arguments = (b"SET", key, b"n" * 64) if command == "SET" else (b"GET", key)
                begun = time.monotonic()
                try:
                    if client is None:
                        client = Client(port, 10.0)
                        client.call(b"SELECT", b"%d" % database)
                        begun = time.monotonic()
                    reply = client.call(*arguments)
                except OSError:
                    client = None
                    failed[command] += 1
                    time.sleep(0.01)
                    continue
                if isinstance(reply, Exception):
                    failed[command] += 1
                else:
                    took[command].append((time.monotonic() - begun) * 1e3)
                time.sleep(PAUSE_S)
        self.found += [Latencies(node, database, command, took[command], failed[command]) for command in took]


def fill(port: int, keys: int, value_bytes: int, seed: int, pipeline: int = PIPELINE) -> None:
    """Write every key. What a busy machine's nodes refuse or do not know is written again. Raises BenchError if that goes on."""
    client = Client(port, 60.0)
    for commands in _commands(keys, value_bytes, random.Random(seed), pipeline):
        for _ in range(ATTEMPTS):
            bad = [reply for reply in client.pipeline(commands) if reply != b"OK"]
            if not bad:
                break
            time.sleep(0.5)
        else:
            raise BenchError(f"a SET was answered with {bad[0]!r}")
    client.close()


def _commands(keys: int, value_bytes: int, draw: random.Random, pipeline: int) -> Iterator[list[tuple[bytes, ...]]]:
    for first in range(0, keys, pipeline):
        numbers = range(first, min(first + pipeline, keys))
        yield [(b"SET", b"key:%012d" % number, draw.randbytes(value_bytes)) for number in numbers]


class Process:
    """A node's process, as /proc tells of it."""

    def __init__(self, pid: int) -> None:
        self._directory = Path(f"/proc/{pid}")

    def forget_peak(self) -> None:
        (self._directory / "clear_refs").write_text("5")

    def mb(self, field: str) -> float:
        """`VmRSS`, or `VmHWM` (its peak), in MB of 10^6 bytes; of what is not mapped from a file: `RssAnon`."""
        for line in (self._directory / "status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1_024 / 1e6
        raise BenchError(f"{field} was not found")


def run(arguments: argparse.Namespace, directory: Path) -> None:
    keys = arguments.mib * MIB // arguments.value_bytes
    with LocalCluster(directory) as cluster:
        cluster.init()
        for node in range(cluster.nodes):
            with cluster.config(node).open("a") as file:
                file.write(f"\nplog_keep_entries = {KEEP_ENTRIES}\n")
                file.writelines(f"{setting.replace('=', ' = ')}\n" for setting in arguments.tuning)
        cluster.start()
        begun = time.monotonic()
        fill(cluster.redis_port(0), keys, arguments.value_bytes, 1)
        print(f"{keys} values of {arguments.value_bytes} B written in {time.monotonic() - begun:.0f} s")
        processes = {node: Process(cluster._processes[node].pid) for node in range(cluster.nodes)}
        before = _baseline(cluster, keys)
        cluster.stop(AWAY)
        fill(cluster.redis_port(0), min(keys, 4 * KEEP_ENTRIES * FEW), arguments.value_bytes, 2, FEW)
        time.sleep(3.0)  # the store lets rows expire by and by
        for node in (0, 1):
            processes[node].forget_peak()
        rss = {node: processes[node].mb("VmRSS") for node in (0, 1)}
        during, facts = _come_back(cluster, keys, processes)
        _report(facts, processes, rss, before, during, _baseline(cluster, keys))
        hashes = cluster.wait_equal(60.0)
        print("equal" if len(set(hashes)) == 1 else f"NOT EQUAL: {hashes}")


def _baseline(cluster: LocalCluster, keys: int) -> list[Latencies]:
    with Load(cluster, [0, 1, AWAY], keys) as load:
        time.sleep(BASELINE_S)
    return load.found


def _come_back(cluster: LocalCluster, keys: int, processes: dict[int, Process]) -> tuple[list[Latencies], dict[str, Any]]:
    """Start the node that was away, under load. Returns what clients saw from its first answer to the copy's end."""
    cluster.launch(AWAY)
    processes[AWAY] = Process(cluster._processes[AWAY].pid)
    cluster.wait_ready(AWAY)
    begun = time.monotonic()
    facts: dict[str, Any] = {"sender": None, "size": 0}
    with Load(cluster, [0, 1, AWAY], keys) as load:
        while time.monotonic() < begun + LONGEST_S:
            status = cluster.status(AWAY)
            for transfer in status["transfers"]:
                facts.setdefault("copying_at", time.monotonic() - begun)
                facts["sender"] = transfer["peer"]
                facts["size"] = max(facts["size"], transfer["size"])
            if status["counters"]["snapshots_installed"]:
                break
            time.sleep(0.2)
    facts["seconds"] = time.monotonic() - begun
    facts["counters"] = {name: n for name, n in status["counters"].items() if "snapshot" in name or "handed_over" in name}
    return load.found, facts


def _report(
    facts: dict[str, Any],
    processes: dict[int, Process],
    rss: dict[int, float],
    before: list[Latencies],
    during: list[Latencies],
    after: list[Latencies],
) -> None:
    size, seconds = facts["counters"]["snapshot_bytes_installed"] or facts["size"], facts["seconds"]
    print(f"copied from node {facts['sender']}: {size / 1e6:.0f} MB in {seconds:.1f} s, {size / 1e6 / seconds:.1f} MB/s")
    for node, process in sorted(processes.items()):
        start = f"{rss[node]:.0f} MB before, " if node in rss else ""
        peak, now, anonymous = (process.mb(field) for field in ("VmHWM", "VmRSS", "RssAnon"))
        print(f"node {node}: {start}peak {peak:.0f} MB, now {now:.0f} MB, of that anonymous {anonymous:.0f} MB")
    print("counters of node 2:", facts["counters"])
    print_latencies(before, during, after)


def print_latencies(before: list[Latencies], during: list[Latencies], after: list[Latencies]) -> None:
    """A line for each client and command: what it saw before, while the node was at work, and afterwards."""
    print("node db cmd   before: p50    p99   during: p50    p99   after: p50    p99      n  failed   p99: during/others")
    for old, new, late in zip(sorted(before), sorted(during), sorted(after), strict=True):
        times = "".join(f"{one.quantile(0.5):>14.1f}{one.quantile(0.99):>7.1f}" for one in (old, new, late))
        ratio = new.quantile(0.99) / max(old.quantile(0.99), late.quantile(0.99))
        print(f"{new.node:>4}{new.database:>3} {new.command}{times}{len(new.ms):>7}{new.failed:>8}{ratio:>21.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--value-bytes", type=int, default=1_000)
    parser.add_argument("--tuning", nargs="*", default=[], metavar="NAME=VALUE", help="settings of all nodes")
    parser.add_argument("--directory", type=Path, help="where the nodes have their data; default: a new one, removed afterwards")
    arguments = parser.parse_args()
    try:
        if arguments.directory is not None:
            run(arguments, arguments.directory)
        else:
            with tempfile.TemporaryDirectory(prefix="paxosstore-snapshot-", ignore_cleanup_errors=True) as directory:
                run(arguments, Path(directory))
    except BenchError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
