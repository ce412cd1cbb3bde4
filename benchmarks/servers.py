"""Starting, asking and stopping what is measured: three nodes, and a redis-server that syncs every write.

All of them are processes of their own on loopback, with their data under one directory: the same disk for both.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import hiredis

LOOPBACK = "127.0.0.1"
PROGRAM = (sys.executable, "-c", "from paxosstore.cli.main import main; main()")
PORTS_PER_NODE = 10
REDIS, HTTP = 1, 3
"""Offsets of a node's ports."""
START_TIMEOUT_S = 20.0
FILL_PIECE, FILL_BYTES = 250, 4_000_000
"""Of one piece of writes."""
RUN_TIMEOUT_S = 90.0
"""Of a load generator."""


class BenchError(Exception):
    """The run cannot go on; the message says why, in one line."""


class Client:
    """A blocking connection for what redis-benchmark cannot do. Raises OSError, and hiredis's errors for protocol faults."""

    def __init__(self, port: int, timeout_s: float = 5.0) -> None:
        self._socket = socket.create_connection((LOOPBACK, port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()

    def call(self, *args: bytes) -> object:
        """One command and its reply; an error reply is returned, not raised."""
        return self.pipeline([args])[0]

    def pipeline(self, commands: Sequence[tuple[bytes, ...]]) -> list[object]:
        """Many commands in one piece, and their replies."""
        self._socket.sendall(b"".join(map(_encode, commands)))
        replies: list[object] = []
        while len(replies) < len(commands):
            reply = self._reader.gets()
            if reply is False:
                piece = self._socket.recv(65_536)
                if not piece:
                    raise ConnectionResetError("the server closed the connection")
                self._reader.feed(piece)
            else:
                replies.append(reply)
        return replies

    def close(self) -> None:
        self._socket.close()


def fill(server: Server, first: int, last: int, value_bytes: int) -> None:
    """Write the keys first..last-1 that redis-benchmark asks for. Raises BenchError if a write is refused."""
    client = Client(server.port, 60.0)
    piece = max(1, min(FILL_PIECE, FILL_BYTES // value_bytes))
    value = b"x" * value_bytes
    for begin in range(first, last, piece):
        names = range(begin, min(begin + piece, last))
        for reply in client.pipeline([(b"SET", b"key:%012d" % number, value) for number in names]):
            if reply != b"OK":
                raise BenchError(f"{server.name}: a write was answered with {reply!r}")
    client.close()


def _encode(args: tuple[bytes, ...]) -> bytes:
    return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args)


def finished(words: Sequence[str], what: str) -> subprocess.CompletedProcess[str]:
    """A program that has ended, with what it printed. Raises BenchError if it takes too long."""
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=RUN_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{what} did not end within {RUN_TIMEOUT_S:g} s") from None


def processor_s(pid: int) -> float:
    """Processor seconds that a process has used so far, by all its threads, in the program and in the kernel for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Process:
    """A server process, with what it prints in a log."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        output: IO[bytes]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=subprocess.STDOUT)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def last_words(self) -> str:
        """The end of its log, for a message."""
        tail = self._log.read_text(errors="replace").strip().splitlines()[-1:]
        return tail[0] if tail else "its log is empty"

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to stop; kill it if it does not."""
        self._end(signal.SIGTERM)

    def rss_mb(self) -> float:
        """Resident memory, in MB of 10^6 bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def cpu_s(self) -> float:
        return processor_s(self.pid)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Server(Process):
    """One process that speaks the Redis protocol."""

    def __init__(self, name: str, port: int, command: Sequence[str], log: Path) -> None:
        super().__init__(name, command, log)
        self.port = port

    def wait_until_serving(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Return when a write was acknowledged. Raises BenchError, with the end of the log, if none is."""
        give_up = time.monotonic() + timeout_s
        while time.monotonic() < give_up and self.is_running():
            try:
                client = Client(self.port, 1.0)
                try:
                    if client.call(b"SET", b"bench:started", b"1") == b"OK":
                        return
                finally:
                    client.close()
            except OSError:
                pass
            time.sleep(0.005)
        raise BenchError(f"{self.name} does not serve: {self.last_words()}")


class NodeServer(Server):
    """A node, with the counters it shows at /metrics."""

    def __init__(self, number: int, base_port: int, directory: Path) -> None:
        first = base_port + PORTS_PER_NODE * number
        command = (*PROGRAM, "serve", "--config", str(directory / f"node-{number}.toml"))
        super().__init__(f"node {number}", first + REDIS, command, directory / f"node-{number}.log")
        self._metrics = f"http://{LOOPBACK}:{first + HTTP}/metrics"

    def counters(self) -> dict[str, float]:
        """Every sample by its name, without the program's prefix and the suffix of counters; labels are summed over."""
        with urllib.request.urlopen(self._metrics, timeout=5) as response:
            text = response.read().decode()
        counters: dict[str, float] = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                sample, _, value = line.rpartition(" ")
                name = sample.partition("{")[0].removeprefix("paxosstore_").removesuffix("_total")
                counters[name] = counters.get(name, 0.0) + float(value)
        return counters


class Cluster:
    """Nodes, started on entry and stopped on exit."""

    def __init__(self, directory: Path, nodes: int = 3, keyspace: str = "db") -> None:
        base = free_ports(nodes * PORTS_PER_NODE)
        init = (*PROGRAM, "init", str(directory), "--nodes", str(nodes), "--base-port", str(base))
        made = subprocess.run(init, capture_output=True, text=True, timeout=30)
        if made.returncode != 0:
            raise BenchError(f"paxosstore init failed: {(made.stderr or made.stdout).strip()[-300:]}")
        for number in range(nodes):
            settings = directory / f"node-{number}.toml"
            settings.write_text(settings.read_text().replace('\nkeyspace = "db"', f'\nkeyspace = "{keyspace}"'))
        self.nodes = [NodeServer(number, base, directory) for number in range(nodes)]
        self.start_s = 0.0
        """From starting all nodes at once until each of them had acknowledged a write."""

    def __enter__(self) -> Self:
        try:
            started = time.monotonic()
            for node in self.nodes:
                node.start()
            for node in self.nodes:
                node.wait_until_serving()
            self.start_s = time.monotonic() - started
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def counters(self) -> dict[str, float]:
        """Sums over the nodes."""
        total: dict[str, float] = {}
        for node in self.nodes:
            for name, value in node.counters().items():
                total[name] = total.get(name, 0.0) + value
        return total

    def _stop(self) -> None:
        for node in self.nodes:
            node.stop()


class Servers(Cluster):
    """Three nodes, and a redis-server beside them."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "cluster")
        self.redis = _redis_server(directory / "redis")

    def __enter__(self) -> Self:
        try:
            self.redis.start()
            self.redis.wait_until_serving()
            return super().__enter__()
        except BaseException:
            self.redis.stop()
            raise

    def _stop(self) -> None:
        super()._stop()
        self.redis.stop()


def _redis_server(directory: Path) -> Server:
    directory.mkdir()
    port = free_ports(1)
    options = f"--port {port} --bind {LOOPBACK} --appendonly yes --appendfsync always --daemonize no".split()
    command = ["redis-server", *options, "--save", "", "--dir", str(directory)]
    return Server("redis-server", port, command, directory / "redis.log")


def free_ports(count: int) -> int:
    """First of `count` ports in a row that nobody listens on, below the ones the system gives out by itself."""
    for _ in range(100):
        first = random.randrange(12_000, 32_000 - count)
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise BenchError(f"no {count} free ports in a row")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
