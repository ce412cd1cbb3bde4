"""Load from redis-benchmark: both servers in turns, the same commands, keys and sizes."""

from __future__ import annotations

import csv
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from servers import BenchError, Server, Servers

KEYSPACE = 100_000
VALUE_BYTES = 100
PROBE_REQUESTS_PER_CONNECTION = 40


class Load(NamedTuple):
    """How hard a server is driven."""

    connections: int
    pipeline: int

    def __str__(self) -> str:
        return f"{self.connections} × {self.pipeline}" if self.pipeline > 1 else str(self.connections)


LOADS = (Load(1, 1), Load(50, 1), Load(256, 1), Load(50, 16))
COMMANDS = ("SET", "GET")
WORK = {"SET": ("requests_proposed", "entries_proposed"), "GET": ("reads_served", "read_questions")}
"""What a command counts as, and what the nodes agree about once for many of them."""


class Figures(NamedTuple):
    """What redis-benchmark says of one run. Times in milliseconds."""

    per_s: float
    p50_ms: float
    p99_ms: float


def median(runs: Sequence[Figures]) -> Figures:
    """Figure by figure."""
    return Figures(*(statistics.median(column) for column in zip(*runs, strict=True)))


@dataclass(slots=True)
class Row:
    """One load and command, on both."""

    command: str
    load: Load
    ours: list[Figures] = field(default_factory=list)
    redis: list[Figures] = field(default_factory=list)
    requests: float = 0.0
    rounds: float = 0.0

    @property
    def per_round(self) -> float:
        """Requests per entry (SET) or per read question (GET)."""
        return self.requests / self.rounds if self.rounds else 0.0

    @property
    def throughput_ratio(self) -> float:
        """Ours to Redis's: more is better."""
        return median(self.ours).per_s / median(self.redis).per_s

    def latency_ratio(self, figure: str) -> float:
        """Ours to Redis's: less is better."""
        redis: float = getattr(median(self.redis), figure)
        ours: float = getattr(median(self.ours), figure)
        return ours / redis if redis else float("inf")


def run_benchmark(server: Server, command: str, load: Load, requests: int) -> Figures:
    """One run of redis-benchmark. Raises BenchError if it fails, or if the server answered with errors."""
    arguments = f"-p {server.port} -t {command.lower()} -c {load.connections} -P {load.pipeline} -n {requests}"
    arguments += f" -d {VALUE_BYTES} -r {KEYSPACE} --csv"
    try:
        done = subprocess.run(["redis-benchmark", *arguments.split()], capture_output=True, text=True, timeout=90)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{server.name}: {command} with {load} connections did not end within 90 s") from None
    if done.returncode != 0 or "rror" in done.stdout + done.stderr:
        text = (done.stderr + done.stdout).strip().splitlines()
        raise BenchError(f"{server.name}: {command} with {load} connections failed: {text[0] if text else 'no output'}")
    for row in csv.DictReader(done.stdout.splitlines()):
        if row["test"].startswith(command):
            return Figures(float(row["rps"]), float(row["p50_latency_ms"]), float(row["p99_latency_ms"]))
    raise BenchError(f"redis-benchmark printed no line for {command}")


def measure(servers: Servers, rounds: int, seconds: float, say: Callable[[str], None]) -> list[Row]:
    """All loads and commands, alternating between the two; each run takes about `seconds`."""
    ours = servers.nodes[0]
    rows = [Row(command, load) for load in LOADS for command in COMMANDS]
    for row in rows:
        # a short run first: it warms up, and tells how many requests fill the time
        counts = {
            server.name: _requests_for(run_benchmark(server, row.command, row.load, _probe(row.load)), seconds)
            for server in (servers.redis, ours)
        }
        for turn in range(rounds):
            pair = (ours, servers.redis) if turn % 2 else (servers.redis, ours)
            for server in pair:
                if server is ours:
                    _measure_ours(servers, row, counts[server.name])
                else:
                    row.redis.append(run_benchmark(server, row.command, row.load, counts[server.name]))
        say(f"{row.command} {row.load}: {row.throughput_ratio:.2f} of Redis")
    return rows


def _measure_ours(servers: Servers, row: Row, requests: int) -> None:
    work, rounds = WORK[row.command]
    before = servers.counters()
    row.ours.append(run_benchmark(servers.nodes[0], row.command, row.load, requests))
    after = servers.counters()
    row.requests += after.get(work, 0.0) - before.get(work, 0.0)
    row.rounds += after.get(rounds, 0.0) - before.get(rounds, 0.0)


def _probe(load: Load) -> int:
    return max(500, PROBE_REQUESTS_PER_CONNECTION * load.connections * load.pipeline)


def _requests_for(probe: Figures, seconds: float) -> int:
    return max(1_000, int(probe.per_s * seconds))
