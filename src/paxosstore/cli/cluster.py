"""Real nodes on this machine: each one a `paxosstore serve` process of its own, on free loopback ports.

The demo, the tests and the benchmarks start, kill, suspend and restart nodes by it.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

from ..core.entry.ids import origin
from ..errors import NotServing, PortTaken
from .init import PORTS_PER_NODE, write_configs

HOST = "127.0.0.1"
PROGRAM = (sys.executable, "-m", "paxosstore.cli")
"""The program `paxosstore`, wherever this package was imported from."""

READY_S = 60.0
"""A second or so where nothing else runs; on a machine whose processors all have work, ten times that."""
STOP_S = 10.0
POLL_S = 0.01
HASH_TIMEOUT_S = 120.0
"""A node's hash reads all that it holds: seconds for a gigabyte."""
LOWEST_PORT, HIGHEST_PORT = 15_000, 30_000
"""Below the ports that the system hands out to outgoing connections."""

_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class LocalCluster:
    """Nodes 0..n-1 under `directory`; each has its configuration, its data and its log there.

    A context manager: at the end no process is left, whatever its state. The methods block.
    """

    def __init__(
        self, directory: Path, nodes: int = 3, base_port: int = 0, *, app: str = "", app_path: Path | None = None
    ) -> None:
        """`app`: "module:name" of an application, which is in `app_path`."""
        self.directory = directory
        self.nodes = nodes
        self._app, self._app_path = app, app_path
        self.base_port = base_port or free_base_port(nodes)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._closed = False
        self._launching = threading.Lock()  # so that a thread which is starting nodes starts none after `close`

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # -- where things are

    def peer_port(self, node: int) -> int:
        return self.base_port + PORTS_PER_NODE * node

    def redis_port(self, node: int) -> int:
        return self.peer_port(node) + 1

    def card_port(self, node: int) -> int:
        return self.peer_port(node) + 2

    def http_port(self, node: int) -> int:
        return self.peer_port(node) + 3

    @property
    def redis_servers(self) -> list[tuple[str, int]]:
        return [(HOST, self.redis_port(node)) for node in range(self.nodes)]

    @property
    def card_servers(self) -> list[str]:
        return [f"{HOST}:{self.card_port(node)}" for node in range(self.nodes)]

    def config(self, node: int) -> Path:
        return self.directory / f"node-{node}.toml"

    def data_dir(self, node: int) -> Path:
        return self.directory / f"node-{node}"

    def log(self, node: int) -> str:
        """What a node has said so far, over all its starts."""
        path = self.directory / f"node-{node}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # -- life of the nodes

    def init(self, **tuning: float) -> None:
        """Write the nodes' configurations, as `paxosstore init` does, with these settings of [tuning]. Raises ConfigError."""
        for path in write_configs(self.directory, self.nodes, self.base_port, app=self._app, app_path=self._app_path):
            with path.open("a", encoding="utf-8") as file:  # [tuning] comes last
                file.writelines(f"{name} = {value}\n" for name, value in tuning.items())

    def start(self, *nodes: int) -> float:
        """Start these nodes (none named: all) and wait until each serves; returns seconds. Raises NotServing."""
        chosen = nodes or tuple(range(self.nodes))
        started = time.monotonic()
        for node in chosen:
            self.launch(node)
        for node in chosen:
            self.wait_ready(node)
        return time.monotonic() - started

    def launch(self, node: int) -> subprocess.Popen[bytes]:
        """Start a node's process and wait for nothing. Raises NotServing after `close`."""
        assert not self.is_running(node)
        # a session of its own: Ctrl-C is for the one who started the nodes, who then stops them in order
        with self._launching, (self.directory / f"node-{node}.log").open("ab") as log:
            if self._closed:
                raise NotServing("the nodes are being stopped")
            process = subprocess.Popen(
                [*PROGRAM, "serve", "--config", str(self.config(node))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            self._processes[node] = process
        return process

    def wait_ready(self, node: int, timeout_s: float = READY_S) -> None:
        """Until a node's /healthz says 200. Raises NotServing, with the node's last words, if it ends or takes too long."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            code = self._processes[node].poll()
            if code is not None:
                raise NotServing(f"node {node} ended with code {code}: {self._last_words(node)}")
            if self.is_healthy(node):
                return
            time.sleep(POLL_S)
        raise NotServing(f"node {node} does not serve after {timeout_s:g} s: {self._last_words(node)}")

    def is_running(self, node: int) -> bool:
        process = self._processes.get(node)
        return process is not None and process.poll() is None

    def is_healthy(self, node: int) -> bool:
        try:
            self._get(node, "/healthz")
        except OSError:
            return False
        return True

    def signal(self, node: int, number: signal.Signals) -> None:
        self._processes[node].send_signal(number)

    def kill(self, node: int) -> None:
        """kill -9, and wait for the end."""
        self._processes[node].kill()
        self._processes[node].wait()

    def stop(self, node: int) -> int:
        """SIGTERM; returns the exit code. A node that does not end is killed."""
        process = self._processes[node]
        process.terminate()
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill(node)
            return process.wait()

    def lose_disk(self, node: int) -> Path:
        """Move the data directory of a node that does not run out of its way, and return where it is. Raises OSError."""
        assert not self.is_running(node)
        places = (self.directory / f"lost-{number}-of-node-{node}" for number in count())
        place = next(place for place in places if not place.exists())
        shutil.move(self.data_dir(node), place)
        return place

    def close(self) -> None:
        """End every node's process for good, suspended ones too; data stays."""
        with self._launching:
            self._closed = True
        running = [node for node in self._processes if self.is_running(node)]
        for node in running:
            self._processes[node].terminate()
            self._processes[node].send_signal(signal.SIGCONT)
        deadline = time.monotonic() + STOP_S
        try:
            for node in running:
                self._processes[node].wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:
            for node in running:
                self.kill(node)

    # -- what the nodes say of themselves

    def status(self, node: int) -> dict[str, Any]:
        """A node's /status. Raises OSError if it does not answer."""
        answer: dict[str, Any] = json.loads(self._get(node, "/status"))
        return answer

    def committed(self, node: int) -> int:
        """Entries that a node has applied, over all its entities."""
        return sum(self.status(node)["committed"].values())

    def content_hash(self, node: int) -> str:
        """SHA-256 over everything a node has applied."""
        return str(json.loads(self._get(node, "/hash", HASH_TIMEOUT_S))["content_hash"])

    def wait_equal(self, timeout_s: float = 20.0) -> list[str]:
        """The nodes' content hashes, as soon as they are equal; or as they differ when the time is up."""
        deadline = time.monotonic() + timeout_s
        while True:
            hashes = [self.content_hash(node) for node in range(self.nodes)]
            if len(set(hashes)) == 1 or time.monotonic() > deadline:
                return hashes
            time.sleep(0.1)

    def has_row(self, node: int, entity: int, entry: int) -> bool:
        """Whether a node's log still has an entry."""
        return bool(json.loads(self._get(node, f"/inspect?entity={entity}&entries={entry}"))["rows"])

    def preferred(self, node: int, entity: int) -> int | None:
        """The preferred proposer of an entity: where the value of its last chosen entry came from, as `node` knows it."""
        answer = json.loads(self._get(node, f"/inspect?entity={entity}"))
        for row in reversed(answer["rows"]):
            if row["chosen"]:
                return origin(bytes.fromhex(row["value_id"]))
        return None

    # -- inside

    def _get(self, node: int, path: str, timeout_s: float = 5.0) -> bytes:
        url = f"http://{HOST}:{self.http_port(node)}{path}"
        with _NO_PROXY.open(url, timeout=timeout_s) as response:
            body: bytes = response.read()
            return body

    def _last_words(self, node: int) -> str:
        return self.log(node).strip()[-2_000:] or "it said nothing"


def free_base_port(nodes: int) -> int:
    """A base port whose whole range is free now. Raises PortTaken if none is found."""
    span = nodes * PORTS_PER_NODE
    for _ in range(100):
        base = random.randrange(LOWEST_PORT, HIGHEST_PORT - span)
        if all(_is_free(port) for port in range(base, base + span)):
            return base
    raise PortTaken(f"no {span} free ports in a row between {LOWEST_PORT} and {HIGHEST_PORT}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
