"""The same commands, keys and sizes for all that are measured, in turns: by redis-benchmark, and by etcd's own generator."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from etcd import WARM_S, Etcd
from servers import BenchError, Process, Server, Servers, finished

KEYSPACE = 10_000
VALUE_BYTES = 64
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
class Runs:
    """What one system did under one load and command."""

    figures: list[Figures] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    """Processor seconds of all its processes per 10,000 requests, of each run."""

    @property
    def median(self) -> Figures:
        return median(self.figures)

    @property
    def median_cpu_s(self) -> float:
        return statistics.median(self.cpu_s)


@dataclass(slots=True)
class Row:
    """One load and command, on all systems."""

    command: str
    load: Load
    ours: Runs = field(default_factory=Runs)
    redis: Runs = field(default_factory=Runs)
    etcd: Runs = field(default_factory=Runs)
    """Empty if etcd is not measured."""
    requests: float = 0.0
    rounds: float = 0.0

    @property
    def per_round(self) -> float:
        """Requests per entry (SET) or per read question (GET)."""
        return self.requests / self.rounds if self.rounds else 0.0

    def throughput_ratio(self, other: Runs) -> float:
        """Ours to another system's: more is better."""
        return self.ours.median.per_s / other.median.per_s


def run_benchmark(
    server: Server, command: str, load: Load, requests: int, *, value_bytes: int = VALUE_BYTES, keys: int = KEYSPACE
) -> Figures:
    """One run of redis-benchmark. Raises BenchError if it fails, or if the server answered with errors."""
    arguments = f"-p {server.port} -t {command.lower()} -c {load.connections} -P {load.pipeline} -n {requests}"
    arguments += f" -d {value_bytes} -r {keys} --csv"
    what = f"{server.name}: {command} with {load} connections"
    done = finished(["redis-benchmark", *arguments.split()], what)
    if done.returncode != 0 or "rror" in done.stdout + done.stderr:
        text = (done.stderr + done.stdout).strip().splitlines()
        raise BenchError(f"{what} failed: {text[0] if text else 'no output'}")
    for row in csv.DictReader(done.stdout.splitlines()):
        if row["test"].startswith(command):
            return Figures(float(row["rps"]), float(row["p50_latency_ms"]), float(row["p99_latency_ms"]))
    raise BenchError(f"redis-benchmark printed no line for {command}")


def measure(servers: Servers, etcd: Etcd | None, rounds: int, seconds: float, say: Callable[[str], None]) -> list[Row]:
    """All loads and commands, alternating between the systems; each run takes about `seconds`."""
    ours = servers.nodes[0]
    rows = [Row(command, load) for load in LOADS for command in COMMANDS]
    for row in rows:
        # a short run first: it warms up, and tells how many requests fill the time
        counts = {
            server.name: _requests_for(run_benchmark(server, row.command, row.load, _probe(row.load)), seconds)
            for server in (servers.redis, ours)
        }
        measures = [
            partial(_measure_redis, servers, row, counts[servers.redis.name]),
            partial(_measure_ours, servers, row, counts[ours.name]),
        ]
        if etcd is not None and row.load.pipeline == 1:
            measures.append(partial(_measure_etcd, etcd, row, seconds))
        for turn in range(rounds):
            for one in measures if turn % 2 else reversed(measures):
                one()
        of_etcd = f", {row.throughput_ratio(row.etcd):.2f} of etcd" if row.etcd.figures else ""
        say(f"{row.command} {row.load}: {row.throughput_ratio(row.redis):.2f} of Redis{of_etcd}")
    return rows


def _measure_ours(servers: Servers, row: Row, requests: int) -> None:
    work, rounds = WORK[row.command]
    before = servers.counters()
    with _Processors(servers.nodes) as used:
        row.ours.figures.append(run_benchmark(servers.nodes[0], row.command, row.load, requests))
    row.ours.cpu_s.append(10_000 * used.seconds / requests)
    after = servers.counters()
    row.requests += after.get(work, 0.0) - before.get(work, 0.0)
    row.rounds += after.get(rounds, 0.0) - before.get(rounds, 0.0)


def _measure_redis(servers: Servers, row: Row, requests: int) -> None:
    with _Processors([servers.redis]) as used:
        row.redis.figures.append(run_benchmark(servers.redis, row.command, row.load, requests))
    row.redis.cpu_s.append(10_000 * used.seconds / requests)


def _measure_etcd(etcd: Etcd, row: Row, seconds: float) -> None:
    with _Processors(etcd.nodes) as used:
        figures = Figures(*etcd.load(row.command, row.load.connections, seconds))
    row.etcd.figures.append(figures)
    row.etcd.cpu_s.append(10_000 * used.seconds / (figures.per_s * (seconds + WARM_S)))


class _Processors:
    """What some processes use of the processors, from entry to exit."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self._processes = processes
        self.seconds = 0.0

    def __enter__(self) -> _Processors:
        self.seconds = -sum(process.cpu_s() for process in self._processes)
        return self

    def __exit__(self, *raised: object) -> None:
        self.seconds += sum(process.cpu_s() for process in self._processes)


def _probe(load: Load) -> int:
    return max(500, PROBE_REQUESTS_PER_CONNECTION * load.connections * load.pipeline)


def _requests_for(probe: Figures, seconds: float) -> int:
    return max(1_000, int(probe.per_s * seconds))
