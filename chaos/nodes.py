"""The nodes of a run: they dial each other through the proxy, have a wall clock and, if possible, a small disk of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from paxosstore.cli.change import change
from paxosstore.cli.cluster import HOST, LocalCluster
from paxosstore.errors import NotServing
from paxosstore.storage.directory import identity_of

from .application import NAME
from .clock import Clock, build_shim
from .disk import SmallDisk
from .errors import CannotRun
from .proxy import Line

REPOSITORY = Path(__file__).resolve().parent.parent
MEMBER = "member"
"""What a node is that votes: see `standing`."""
RETRY_S = 0.1
TOLD = ("refused_learning", "snapshots_installed", "evictions", "loads", "floors_passed", "messages_fenced")
"""Counters of the nodes that say whether a round came to what it is for."""
_FIRST_DOOR = 4
"""Of a node's ten ports, those that `paxosstore init` does not use are the doors to it."""

Pairs = Iterable[tuple[int, int]]
Tuning = Mapping[str, float]
"""Settings of the nodes that are not as usual: name -> value."""


class Nodes(LocalCluster):
    """Real nodes under chaos."""

    def __init__(self, directory: Path, nodes: int, keyspace: str, tuning: Tuning, *, small_disks: bool) -> None:
        super().__init__(directory, nodes, app=NAME, app_path=REPOSITORY)
        directory.mkdir(parents=True)
        self._keyspace = keyspace
        self._tuning = tuning
        shim = build_shim(directory)
        self.clocks = [Clock(shim, directory / f"clock-{node}") for node in range(nodes)]
        self.disks = [SmallDisk(directory / f"disk-{node}") for node in range(nodes)] if small_disks else []
        self.copied: set[int] = set()
        """Nodes of whose directory there is a copy."""
        self._environment = threading.Lock()

    def door(self, dialler: int, acceptor: int) -> int:
        """The port of the proxy behind which one node finds another."""
        return self.peer_port(acceptor) + _FIRST_DOOR + dialler

    @property
    def doors(self) -> dict[tuple[int, int], int]:
        pairs = [(dialler, acceptor) for dialler in range(self.nodes) for acceptor in range(self.nodes) if dialler != acceptor]
        return {pair: self.door(*pair) for pair in pairs}

    def data_dir(self, node: int) -> Path:
        return self.disks[node].path / "data" if self.disks else super().data_dir(node)

    def init(self, **tuning: float) -> None:
        super().init(**tuning)
        for disk in self.disks:
            disk.mount()
        for node in range(self.nodes):
            path = self.config(node)
            path.write_text(self._changed(path.read_text(encoding="utf-8"), node), encoding="utf-8")

    def launch(self, node: int) -> subprocess.Popen[bytes]:
        with self._environment, _environment(self.clocks[node].environment):
            return super().launch(node)

    def close(self) -> None:
        try:
            super().close()
        finally:
            for disk in self.disks:
                disk.unmount()

    def exit_code(self, node: int) -> int | None:
        """How a node's process ended; None: it runs."""
        return self._processes[node].poll()

    def last_words(self, node: int) -> str:
        lines = self.log(node).strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    # -- disks that are lost, and old ones

    def disk_id(self, node: int) -> str:
        """Of its directory, as peers name it. Raises PaxosStoreError."""
        return identity_of(self.data_dir(node)).disk_id.to_bytes(16, "big").hex()

    def copy_disk(self, node: int) -> None:
        """Copy the directory of a node that does not run, unless there is a copy already. Raises OSError."""
        if node not in self.copied:
            shutil.copytree(self.data_dir(node), self._copy(node))
            self.copied.add(node)

    def restore_copy(self, node: int) -> None:
        """Put the copy in the place of a directory that is lost; there is no copy then. Raises OSError."""
        shutil.move(self._copy(node), self.data_dir(node))
        self.copied.remove(node)

    def _copy(self, node: int) -> Path:
        return self.directory / f"copy-of-node-{node}"

    def standing(self, node: int) -> str:
        """What a node says that it is; empty: it does not answer."""
        try:
            reentry = self.status(node)["reentry"]
        except OSError:
            return ""
        return MEMBER if reentry["done"] else reentry["described"] or reentry["state"]

    def disks_heard(self, node: int) -> dict[int, str]:
        """By which disk each peer hears a node now; empty: it does not."""
        heard = {}
        for peer in range(self.nodes):
            if peer != node:
                try:
                    link = self.status(peer)["peers"][str(node)]
                except OSError:
                    link = {"up": False}
                heard[peer] = str(link["disk_id"]) if link["up"] else ""
        return heard

    def tune(self, node: int, name: str, value: str) -> None:
        """Change a setting of a node while it runs. One that has ended starts with its file's. Raises PaxosStoreError."""
        while self.is_running(node):
            try:
                change(f"{HOST}:{self.http_port(node)}", name, value)
                return
            except NotServing:  # it may be about to end, or be busy
                time.sleep(RETRY_S)

    def tell(self) -> dict[str, int]:
        """What the nodes have done since their last starts, added up. Raises OSError."""
        told: Counter[str] = Counter()
        for node in range(self.nodes):
            status = self.status(node)
            told.update({name: status["counters"][name] for name in TOLD})
            told["expired_entries"] += status["log_kept"]["expired_entries"]
        return dict(told)

    def unsettled(self) -> str:
        """What is still missing to a healthy cluster; empty: nothing."""
        for node in range(self.nodes):
            try:
                status = self.status(node)
            except OSError as error:
                return f"node {node} does not answer: {error}"
            if status["writes_refused_because"]:
                return f"node {node} refuses writes: {status['writes_refused_because']}"
            if status["stopped"]:
                return f"node {node} has stopped entities: {status['stopped']}"
            if status["log_kept"]["trouble"]:
                return f"node {node} does not cut its log: {status['log_kept']['trouble']}"
            down = [peer for peer, link in status["peers"].items() if not link["up"]]
            if down:
                return f"node {node} has no link to node {', '.join(down)}"
        return ""

    def _changed(self, config: str, node: int) -> str:
        """A node's configuration as `paxosstore init` wrote it, led through the proxy."""
        changes = {'keyspace = "db"': f'keyspace = "{self._keyspace}"'}
        if self.disks:
            changes[f'data = "node-{node}"'] = f'data = "{self.disks[node].path.name}/data"'
        for peer in range(self.nodes):
            if peer != node:
                changes[f'peers = "{HOST}:{self.peer_port(peer)}"'] = f'peers = "{HOST}:{self.door(node, peer)}"'
        for old, new in changes.items():
            assert config.count(old) == 1, (old, config)
            config = config.replace(old, new)
        return config + "".join(f"{name} = {value}\n" for name, value in self._tuning.items())


@contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in more}
    os.environ.update(more)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class Network:
    """The proxy's process, and how the network is to be."""

    def __init__(self, nodes: Nodes, seed: int) -> None:
        """Raises CannotRun."""
        self._pairs = list(nodes.doors)
        self._asking = threading.Lock()
        self._process = start_module("chaos.proxy", stdout=subprocess.PIPE)
        doors = [[*pair, port] for pair, port in nodes.doors.items()]
        peers = [nodes.peer_port(node) for node in range(nodes.nodes)]
        answer = self._ask({"peers": peers, "doors": doors, "seed": seed})
        if "error" in answer:
            self.close()
            raise CannotRun(answer["error"])

    def set(self, line: Line, pairs: Pairs | None = None) -> None:
        """How these lines (sender, receiver) are from now on; None: all."""
        self._ask({"set": self._pairs if pairs is None else list(pairs), "line": asdict(line)})

    def reset(self, nodes: Iterable[int]) -> None:
        """Reset every connection of these nodes to their peers."""
        ends = set(nodes)
        self._ask({"reset": [pair for pair in self._pairs if ends & set(pair)]})

    def between(self, some: Iterable[int]) -> list[tuple[int, int]]:
        """The lines between these nodes and the others, both ways."""
        ones = set(some)
        return [pair for pair in self._pairs if (pair[0] in ones) != (pair[1] in ones)]

    def counts(self) -> dict[str, int]:
        """What the proxy has done so far (proxy.Counts)."""
        return self._ask({})

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with self._asking:
                process.stdin.write(json.dumps(order).encode() + b"\n")
                process.stdin.flush()
                answer: dict[str, Any] = json.loads(process.stdout.readline())
        except (OSError, ValueError) as error:
            raise CannotRun("the proxy has ended") from error
        return answer


def start_module(name: str, *arguments: str, stdout: int | None = None) -> subprocess.Popen[bytes]:
    """A process of this package that ends when its standard input does, so none is left behind."""
    command = [sys.executable, "-m", name, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stdout, cwd=REPOSITORY, start_new_session=True)
