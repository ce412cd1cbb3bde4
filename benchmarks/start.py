"""How soon it is there: imports, `paxosstore --help`, and a node from its start to its first answer to a SET.

    python benchmarks/start.py [--rounds 9]

Medians of seconds by the clock, and of processor seconds, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from paxosstore.cli.cluster import HOST, PROGRAM, LocalCluster
from servers import processor_s

PYTHON = sys.executable
COMMANDS = {
    "python, and nothing": ([PYTHON, "-c", "pass"], None),
    "import paxosstore": ([PYTHON, "-c", "import paxosstore"], 0.2),
    "from paxosstore import Node": ([PYTHON, "-c", "from paxosstore import Node"], None),
    "paxosstore --help": ([*PROGRAM, "--help"], 0.25),
}
"""What runs, and the seconds that it may take."""
SERVING_S = 0.8
WAIT_S = 30.0
SET = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"


class Took(NamedTuple):
    """Seconds."""

    wall: float
    processor: float


def ran(command: list[str]) -> Took:
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    took = Took(time.perf_counter() - began, used.ru_utime + used.ru_stime)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return took


def again(command: list[str], number: int) -> Took:
    """The same each time."""
    return ran(command)


def served(cluster: LocalCluster, node: int) -> Took:
    """Start a node again, the others serve; until it has answered a SET."""
    assert cluster.stop(node) == 0
    began = time.perf_counter()
    process = cluster.launch(node)
    while not _answers(cluster.redis_port(node)):
        assert time.perf_counter() - began < WAIT_S, cluster.log(node)
        time.sleep(0.002)
    wall = time.perf_counter() - began
    return Took(wall, processor_s(process.pid))


def all_served(folder: Path) -> Took:
    """Start a new cluster of three nodes at once; until one has answered a SET."""
    with LocalCluster(folder) as cluster:
        cluster.init()
        began = time.perf_counter()
        processes = [cluster.launch(node) for node in range(cluster.nodes)]
        while not _answers(cluster.redis_port(0)):
            assert time.perf_counter() - began < WAIT_S, cluster.log(0)
            time.sleep(0.002)
        wall = time.perf_counter() - began
        return Took(wall, sum(processor_s(process.pid) for process in processes))


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), WAIT_S) as client:
            client.sendall(SET)
            return client.recv(100) == b"+OK\r\n"
    except OSError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="of each, one after the other")
    rounds = parser.parse_args().rounds
    table = Table("start", "seconds", "processor", "may take")

    def add(what: str, once: Callable[[int], Took], limit: float | None) -> None:
        took = [once(number) for number in range(rounds + 1)][1:]  # the first one finds nothing in the caches
        wall, processor = (statistics.median(column) for column in zip(*took, strict=True))
        table.add_row(what, f"{wall:.3f}", f"{processor:.3f}", "" if limit is None else f"{limit:g}")

    for what, (command, limit) in COMMANDS.items():
        add(what, partial(again, command), limit)
    with tempfile.TemporaryDirectory(prefix="paxosstore-start-") as folder:
        with LocalCluster(Path(folder)) as cluster:
            cluster.init()
            cluster.start()
            add("a node serves, the others are there", lambda number: served(cluster, 0), SERVING_S)
        add("three new nodes at once serve", lambda number: all_served(Path(folder) / f"new-{number}"), None)
    Console().print(table)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    main()
