"""What others notice while one entity applies many large entries: requests to another database before, during and after.

Three nodes on this machine. Node 2 is stopped, the others take large SETs to one database, and node 2 is started again: it learns
and applies an entry for each. A client at every node sends SETs and GETs to another database, one after the other.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from paxosstore.cli.cluster import LocalCluster
from servers import BenchError, Client
from snapshot import AWAY, BASELINE_S, COPIED, LONGEST_S, OTHER, PAUSE_S, Latencies

KEYS = 64


class Load:
    """A client at each node, while it is entered. Afterwards `found` has what they saw."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.found: list[Latencies] = []
        self._ends = threading.Event()
        ports = [(node, cluster.redis_port(node)) for node in range(cluster.nodes)]
        self._threads = [threading.Thread(target=self._run, args=port) for port in ports]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _run(self, node: int, port: int) -> None:
        draw = random.Random(node)
        took: dict[str, list[float]] = {"SET": [], "GET": []}
        failed = {"SET": 0, "GET": 0}
        client = Client(port, 10.0)
        client.call(b"SELECT", b"%d" % OTHER)
        while not self._ends.is_set():
            for command in took:
                key = b"key:%d" % draw.randrange(1_000)
                arguments = (b"SET", key, b"n" * 64) if command == "SET" else (b"GET", key)
                begun = time.monotonic()
                if isinstance(client.call(*arguments), Exception):
                    failed[command] += 1
                else:
                    took[command].append((time.monotonic() - begun) * 1e3)
                time.sleep(PAUSE_S)
        self.found += [Latencies(node, OTHER, command, took[command], failed[command]) for command in took]


def write_large(port: int, entries: int, size: int) -> None:
    client = Client(port, 60.0)
    client.call(b"SELECT", b"%d" % COPIED)
    draw = random.Random(1)
    for number in range(entries):
        for _ in range(20):
            if client.call(b"SET", b"large:%d" % (number % KEYS), draw.randbytes(size)) == b"OK":
                break
            time.sleep(0.2)
        else:
            raise BenchError("a large SET was refused again and again")
    client.close()


def run(arguments: argparse.Namespace, directory: Path) -> None:
    with LocalCluster(directory) as cluster:
        cluster.init()
        for node in range(cluster.nodes):
            with cluster.config(node).open("a") as file:
                file.write("\nplog_keep_bytes = 1000000000\n")
                file.writelines(f"{setting.replace('=', ' = ')}\n" for setting in arguments.tuning)
        cluster.start()
        write_large(cluster.redis_port(0), 1, 100)
        with Load(cluster) as before:
            time.sleep(BASELINE_S)
        cluster.stop(AWAY)
        begun = time.monotonic()
        write_large(cluster.redis_port(0), arguments.entries, arguments.bytes)
        print(f"{arguments.entries} entries of {arguments.bytes} B written in {time.monotonic() - begun:.0f} s")
        cluster.launch(AWAY)
        cluster.wait_ready(AWAY)
        begun, most = time.monotonic(), 0
        with Load(cluster) as during:
            while time.monotonic() < begun + LONGEST_S:
                status = cluster.status(AWAY)
                most = max(most, status["lag"]["entity_entries"])
                if status["counters"]["entries_learned"] >= arguments.entries and not status["lag"]["entities"]:
                    break
                time.sleep(0.1)
        names = ("entries_learned", "applies_held", "entries_held", "snapshots_wanted", "catchup_requests")
        seconds = time.monotonic() - begun
        print(f"learned and applied in {seconds:.1f} s; it lagged by up to {most} entries, as far as was seen")
        print({name: status["counters"][name] for name in names})
        with Load(cluster) as after:
            time.sleep(BASELINE_S)
        print("node cmd   before: p50    p99   during: p50    p99   after: p50    p99      n  failed   p99: during/others")
        for old, new, late in zip(sorted(before.found), sorted(during.found), sorted(after.found), strict=True):
            times = "".join(f"{one.quantile(0.5):>14.1f}{one.quantile(0.99):>7.1f}" for one in (old, new, late))
            ratio = new.quantile(0.99) / max(old.quantile(0.99), late.quantile(0.99))
            print(f"{new.node:>4} {new.command}{times}{len(new.ms):>7}{new.failed:>8}{ratio:>21.1f}")
        hashes = cluster.wait_equal(60.0)
        print("equal" if len(set(hashes)) == 1 else f"NOT EQUAL: {hashes}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=500)
    parser.add_argument("--bytes", type=int, default=1_000_000)
    parser.add_argument("--tuning", nargs="*", default=[], metavar="NAME=VALUE", help="settings of all nodes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        try:
            run(arguments, Path(directory) / "cluster")
        except (BenchError, OSError) as error:
            print(f"lag: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
