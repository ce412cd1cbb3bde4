"""Queues that are used for a long time: does taking from them get slower on what was taken before?

    python benchmarks/queues.py [--operations 1000000] [--kind list|zset|delayed] [--depth 1000]

Puts elements in and takes them out in turn, so that the queue stays as long as it is; says for each tenth of the run how
many commands a second there were, and how much of the processor's time a command took at the node that was asked.

    list      LPUSH, RPOP
    zset      ZADD with rising scores, ZPOPMIN
    delayed   ZADD with rising scores; ZRANGEBYSCORE -inf +inf LIMIT 0 1, then ZREM of what it said, as schedulers do
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from servers import PORTS_PER_NODE, PROGRAM, BenchError, Client, NodeServer, free_ports

TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")
AT_ONCE = 200
VALUE = b"v" * 40
PARTS = 10
NODES = 3


def processor_us(pid: int) -> float:
    """What a process has had of the processor, in µs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_US


def put(kind: str, numbers: range) -> list[tuple[bytes, ...]]:
    if kind == "list":
        return [(b"LPUSH", b"queue", VALUE) for _ in numbers]
    return [(b"ZADD", b"queue", b"%d" % number, b"%d" % number) for number in numbers]


def take(client: Client, kind: str, count: int) -> int:
    """Take so many; returns how many commands it took."""
    if kind != "delayed":
        command = (b"RPOP", b"queue") if kind == "list" else (b"ZPOPMIN", b"queue")
        check(client.pipeline([command] * count))
        return count
    for _ in range(count // PARTS):
        first = client.call(b"ZRANGEBYSCORE", b"queue", b"-inf", b"+inf", b"LIMIT", b"0", b"%d" % PARTS)
        assert isinstance(first, list)
        check(client.pipeline([(b"ZREM", b"queue", member) for member in first]))
    return count // PARTS + count


def check(replies: list[object]) -> None:
    for reply in replies:
        if isinstance(reply, Exception) or not reply:
            raise BenchError(f"the node said {reply!r}")


def tenths(client: Client, pid: int, kind: str, operations: int, depth: int) -> Iterator[tuple[float, float]]:
    """Commands a second, and µs of the processor a command, of each tenth."""
    check(client.pipeline(put(kind, range(depth))))
    number = depth
    for part in range(1, PARTS + 1):
        commands, began, processor = 0, time.monotonic(), processor_us(pid)
        while number - depth < operations * part // PARTS:
            check(client.pipeline(put(kind, range(number, number + AT_ONCE))))
            commands += AT_ONCE + take(client, kind, AT_ONCE)
            number += AT_ONCE
        yield commands / (time.monotonic() - began), (processor_us(pid) - processor) / commands


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=1_000_000, help="elements that are put in, and taken out")
    parser.add_argument("--kind", choices=("list", "zset", "delayed"), default="list")
    parser.add_argument("--depth", type=int, default=1_000, help="how long the queue is")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the nodes are stopped
    with tempfile.TemporaryDirectory(prefix="queues-") as directory:
        cluster, base = Path(directory) / "cluster", free_ports(NODES * PORTS_PER_NODE)
        init = (*PROGRAM, "init", str(cluster), "--nodes", str(NODES), "--base-port", str(base))
        subprocess.run(init, check=True, capture_output=True, timeout=30)
        nodes = [NodeServer(number, base, cluster) for number in range(NODES)]
        try:
            for node in nodes:
                node.start()
            for node in nodes:
                node.wait_until_serving()
            client = Client(nodes[0].port, 60.0)
            for number, (per_s, us) in enumerate(
                tenths(client, nodes[0].pid, options.kind, options.operations, options.depth), 1
            ):
                print(
                    f"{options.kind} {number:2}/{PARTS}: {per_s:8,.0f} commands/s, {us:6.1f} µs of the processor each", flush=True
                )
        finally:
            for node in nodes:
                node.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
