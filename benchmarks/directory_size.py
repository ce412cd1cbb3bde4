"""What a node's directory holds after millions of SETs: it follows the data and the kept part of the log, not the writes.

Three nodes on this machine, pipelined SETs of random values over a fixed set of keys, then FLUSHALL. Prints, at each million:
the time it took, the size of the directories and of their parts, and the journal's bytes per SET.
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
from typing import NamedTuple

from servers import BenchError, Client, Servers

MIB = 1 << 20
MILLION = 1_000_000
SEGMENT_BYTES = 16 * MIB
SHRINKS_WITHIN_S = 75.0
"""After a clear: more than twice the interval at which the store looks whether the disk should shrink."""


class Sizes(NamedTuple):
    """Of all nodes, in bytes."""

    journal: int
    tables: int
    blobs: int
    rest: int
    journal_end: int
    """Where the journals end that were ever written, by the numbers of their segments."""

    @property
    def total(self) -> int:
        return self.journal + self.tables + self.blobs + self.rest


def sizes(directories: list[Path]) -> Sizes:
    found = {"journal": 0, ".sst": 0, ".blob": 0, "rest": 0}
    end = 0
    for directory in directories:
        for path in directory.rglob("*"):
            try:
                size = path.stat().st_blocks * 512 if path.is_file() else 0
            except FileNotFoundError:  # it was being deleted
                continue
            kind = "journal" if path.parent.name == "journal" else path.suffix if path.suffix in found else "rest"
            found[kind] += size
        end += SEGMENT_BYTES * max((int(path.stem) for path in directory.rglob("*.journal")), default=0)
    return Sizes(found["journal"], found[".sst"], found[".blob"], found["rest"], end)


def write(port: int, sets: int, keys: int, value_bytes: int, pipeline: int, seed: int) -> None:
    client = Client(port, 60.0)
    for commands in _commands(sets, keys, value_bytes, pipeline, random.Random(seed)):
        while any(reply != b"OK" for reply in client.pipeline(commands)):
            time.sleep(0.1)  # the machine has other things to do: once more
    client.close()


def _commands(sets: int, keys: int, value_bytes: int, pipeline: int, draw: random.Random) -> Iterator[list[tuple[bytes, ...]]]:
    for done in range(0, sets, pipeline):
        count = min(pipeline, sets - done)
        yield [(b"SET", b"key:%012d" % draw.randrange(keys), draw.randbytes(value_bytes)) for _ in range(count)]


def run(arguments: argparse.Namespace, directory: Path) -> None:
    with Servers(directory) as servers:
        data = [path.parent for path in (directory / "cluster").glob("*/IDENTITY")]
        if len(data) != len(servers.nodes):
            raise BenchError("the nodes' directories were not found")
        print("SETs        s   MiB per node   tables   blobs   journal   B of journal per SET")
        before = sizes(data)
        for million in range(1, arguments.millions + 1):
            begun = time.monotonic()
            share = MILLION // arguments.connections
            threads = [
                threading.Thread(
                    target=write,
                    args=(
                        servers.nodes[0].port,
                        share,
                        arguments.keys,
                        arguments.value_bytes,
                        arguments.pipeline,
                        million * 1_000 + number,
                    ),
                )
                for number in range(arguments.connections)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            took = time.monotonic() - begun
            _show(f"{million} M", took, sizes(data), len(data), (sizes(data).journal_end - before.journal_end) / MILLION)
            before = sizes(data)
        client = Client(servers.nodes[0].port, 60.0)
        if client.call(b"FLUSHALL") != b"OK":
            raise BenchError("FLUSHALL was refused")
        client.close()
        _show("flushed", 0.0, sizes(data), len(data), 0.0)
        time.sleep(SHRINKS_WITHIN_S)
        _show("and later", SHRINKS_WITHIN_S, sizes(data), len(data), 0.0)
        print("RSS of the nodes:", *(f"{node.rss_mb():.0f} MB" for node in servers.nodes))


def _show(what: str, took: float, found: Sizes, nodes: int, journal_per_set: float) -> None:
    total, tables, blobs, journal = (part / nodes / MIB for part in (found.total, found.tables, found.blobs, found.journal))
    print(
        f"{what:<9}{took:>4.0f}{total:>15.1f}{tables:>9.1f}{blobs:>8.1f}{journal:>10.1f}{journal_per_set / nodes:>23.0f}",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=int, default=5, help="of SETs")
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--value-bytes", type=int, default=64)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--pipeline", type=int, default=100)
    parser.add_argument("--dir", type=Path, default=None, help="where the data goes while it runs")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(dir=arguments.dir) as directory:
            run(arguments, Path(directory))
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
