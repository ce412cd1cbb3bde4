"""Three etcd nodes with their default durability, and a compiled load generator for them; both are optional.

The generator is a program that speaks etcd's gRPC (Python's own would measure itself). It is called as

    etcd-load fill ENDPOINTS IN-FLIGHT CONNECTIONS 0 0 KEYS BYTES
    etcd-load put|get ENDPOINTS IN-FLIGHT CONNECTIONS WARM-S MEASURE-S KEYS BYTES

and ends with one line of JSON: ops_s, p50_ms, p99_ms, errs. Its path is given by ``--etcd-load``.
"""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from pathlib import Path
from types import TracebackType

from servers import LOOPBACK, BenchError, Process, finished, free_ports

NODES = 3
MAX_CONNECTIONS = 12
FILL_IN_FLIGHT = 64
WARM_S = 0.3
START_TIMEOUT_S = 20.0


def missing(generator: Path | None) -> str | None:
    """Why etcd cannot be measured here, or None if it can."""
    if shutil.which("etcd") is None:
        return "etcd was not found (Debian: apt-get install etcd-server)"
    if generator is None:
        return "no load generator for etcd was named (--etcd-load)"
    if shutil.which(str(generator)) is None:
        return f"the load generator {generator} cannot be run"
    return None


class Etcd:
    """A cluster of three, started on entry and stopped on exit."""

    def __init__(self, directory: Path, generator: Path, keys: int, value_bytes: int) -> None:
        self._generator = generator
        self._keys = keys
        self._value_bytes = value_bytes
        base = free_ports(2 * NODES)
        self._clients = [base + 2 * number for number in range(NODES)]
        names = [f"e{number}" for number in range(NODES)]
        peers = {name: f"http://{LOOPBACK}:{port + 1}" for name, port in zip(names, self._clients, strict=True)}
        cluster = ",".join(f"{name}={url}" for name, url in peers.items())
        directory.mkdir()
        self.nodes = [
            Process(f"etcd {name}", _command(name, port, peers[name], cluster, directory / name), directory / f"{name}.log")
            for name, port in zip(names, self._clients, strict=True)
        ]

    def __enter__(self) -> Etcd:
        try:
            for node in self.nodes:
                node.start()
            for node, port in zip(self.nodes, self._clients, strict=True):
                self._wait_until_healthy(node, port)
            self._generate("fill", FILL_IN_FLIGHT, NODES, 0, 0, self._keys, self._value_bytes)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def load(self, command: str, clients: int, seconds: float) -> tuple[float, float, float]:
        """SETs or linearizable GETs by so many clients: per second, p50 and p99 in ms. Raises BenchError."""
        mode = {"SET": "put", "GET": "get"}[command]
        line = self._generate(mode, clients, min(clients, MAX_CONNECTIONS), WARM_S, seconds, self._keys, self._value_bytes)
        figures = json.loads(line)
        if figures["errs"]:
            raise BenchError(f"etcd: {figures['errs']} of the {command}s failed")
        return figures["ops_s"], figures["p50_ms"], figures["p99_ms"]

    def _generate(self, mode: str, *numbers: float) -> str:
        endpoints = ",".join(f"{LOOPBACK}:{port}" for port in self._clients)
        words = [str(self._generator), mode, endpoints, *map(str, numbers)]
        done = finished(words, f"etcd: {mode}")
        if done.returncode != 0:
            raise BenchError(f"etcd: the load generator failed: {(done.stderr + done.stdout).strip()[-200:]}")
        return (done.stdout.strip().splitlines() or [""])[-1]

    def _wait_until_healthy(self, node: Process, port: int) -> None:
        give_up = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < give_up and node.is_running():
            try:
                with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/health", timeout=1) as response:
                    if json.loads(response.read())["health"] == "true":
                        return
            except (OSError, ValueError):
                pass
            time.sleep(0.05)
        raise BenchError(f"{node.name} does not serve: {node.last_words()}")

    def _stop(self) -> None:
        for node in self.nodes:
            node.stop()


def _command(name: str, port: int, peer: str, cluster: str, data: Path) -> list[str]:
    client = f"http://{LOOPBACK}:{port}"
    options = {
        "name": name,
        "data-dir": str(data),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": cluster,
        "initial-cluster-state": "new",
        "log-level": "error",
    }
    return ["etcd", *(word for option, value in options.items() for word in (f"--{option}", value))]
