"""One round: nodes, proxy, clients and faults; then all is healed, and everything is read once more at every node."""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec

from paxosstore.errors import PaxosStoreError

from . import journal, kinds
from .clients import CALL, AppCaller, CardCaller, Plan, RedisCaller, number_of, redis_words, said
from .disk import why_not
from .errors import CannotRun
from .faults import Faults, Struck
from .nodes import Network, Nodes, start_module
from .schedule import Kind, draw

REDIS_CLIENTS = 5
CARD_CLIENTS = 2
WAITERS = 2
APP_CLIENTS = 2
CLIENTS = ("redis",) * REDIS_CLIENTS + ("card",) * CARD_CLIENTS + ("waiter",) * WAITERS + ("app",) * APP_CLIENTS
"""The service that each of them uses, by their numbers."""
SETTLE_S = 5.0
"""How long the nodes may take, once all is healed, to be linked again and to take writes."""
RETURN_S = 30.0
"""How long a node that lost its disk may take then to be a member again."""
RECONNECT_S = 1.5
"""How long clients may take after that to notice: gRPC dials a server that was down again within 1.2 s."""
CALM_S = 2.0
"""How long the load goes on then; nothing may fail any more."""
CLIENT_END_S = 15.0
KEYSPACES = ("db", "slots:16")
TUNING: dict[str, tuple[float, ...]] = {
    "request_timeout_ms": (500.0, 2_000.0),  # shorter than a client's patience, so that it hears the outcome
    "plog_keep_seconds": (0.5, 4.0),
    "plog_keep_entries": (10, 500),
    "max_mem_entities": (2, 12),
}
"""Settings of the nodes, and of what values the seed draws: logs are cut under a node that is away, and entities evicted all
the time."""
RECORD = "run.json"


class Record(msgspec.Struct):
    """What is known of a round besides the clients' journals. Times by the monotonic clock."""

    seed: int
    nodes: int
    seconds: float
    keyspace: str
    tuning: dict[str, float]
    started_s: float
    first_reader: int = len(CLIENTS)
    """From this number on, clients are those that read every key when all is over."""
    healed_s: float = 0.0
    settled_s: float = 0.0
    """When the nodes were linked and took writes again."""
    calm_s: float = 0.0
    """From then on nothing may fail."""
    ended_s: float = 0.0
    struck: list[Struck] = []
    hashes: list[str] = []
    """The nodes' content hashes at the end."""
    standings: list[str] = []
    """What the nodes said that they were when all was healed."""
    told: dict[str, int] = {}
    """What the nodes had done then since their last starts."""
    proxy: dict[str, int] = {}
    complaints: list[str] = []
    """What nodes and clients did that they must not, whatever the histories say."""

    @property
    def title(self) -> str:
        tuning = ", ".join(f"{name} {value:g}" for name, value in self.tuning.items())
        return f"{self.nodes} nodes, seed {self.seed}, keyspace {self.keyspace}, {tuning}"

    def save(self, directory: Path) -> None:
        (directory / RECORD).write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")

    @staticmethod
    def load(directory: Path) -> Record:
        """Raises CannotRun."""
        try:
            return msgspec.json.decode((directory / RECORD).read_bytes(), type=Record)
        except (OSError, msgspec.DecodeError) as error:
            raise CannotRun(f"{directory / RECORD} is no record of a run: {error}") from error


def journals(directory: Path) -> list[Path]:
    return sorted(directory.glob("client-*.jsonl"))


class Round:
    """A context manager: inside it the nodes' data is there; afterwards nothing runs and nothing is mounted."""

    def __init__(self, directory: Path, seconds: float, nodes: int, seed: int, say: Callable[[str], None]) -> None:
        """`directory` is new. Raises CannotRun."""
        self._directory = directory
        self._say = say
        self._seconds = seconds
        self._seed = seed
        self._n = nodes
        self._running = ExitStack()

    def __enter__(self) -> Round:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def run(self) -> Record:
        """The whole round. Raises CannotRun."""
        self._directory.mkdir(parents=True)
        no_disks = why_not(self._directory)
        rng = random.Random(f"settings {self._seed}")
        keyspace = rng.choice(KEYSPACES)
        tuning = {name: rng.choice(values) for name, values in TUNING.items()}
        try:
            self.nodes = nodes = Nodes(self._directory / "nodes", self._n, keyspace, tuning, small_disks=not no_disks)
            self._running.callback(nodes.close)
            nodes.init()
            network = Network(nodes, self._seed)
            self._running.callback(network.close)
            nodes.start()
        except (PaxosStoreError, OSError) as error:
            raise CannotRun(f"the nodes cannot be started: {error}") from error
        record = Record(self._seed, self._n, self._seconds, keyspace, tuning, time.monotonic())
        faults = Faults(nodes, network, {Kind.DISK_FULL: no_disks} if no_disks else {}, record.started_s, self._say)
        clients = self._start_clients(record)
        faults.begin(draw(self._seed, self._seconds, self._n))
        self._running.callback(faults.end)
        self._load(record, faults)
        self._calm(record, faults)
        record.complaints += faults.complaints
        record.struck = sorted(faults.struck, key=lambda struck: struck.began_s)
        record.complaints += _end_clients(clients)
        record.proxy = network.counts()
        self._look(record)
        record.ended_s = time.monotonic()
        record.save(self._directory)
        return record

    def keep_data(self) -> None:
        """Copy the nodes' data, as it is, to where it outlives the round."""
        for node in range(self._n):
            shutil.copytree(self.nodes.data_dir(node), self._directory / f"data-{node}")

    # -- parts of a round

    def _start_clients(self, record: Record) -> list[subprocess.Popen[bytes]]:
        clients = []
        redis_servers = [f"{host}:{port}" for host, port in self.nodes.redis_servers]
        for number, service in enumerate(CLIENTS):
            servers = self.nodes.card_servers if service == "card" else redis_servers
            path = self._directory / f"client-{number}.jsonl"
            plan = Plan(service, number, self._seed, servers, str(path), record.started_s)
            client = start_module("chaos.clients", msgspec.json.encode(plan).decode())
            self._running.callback(client.kill)
            clients.append(client)
        return clients

    def _load(self, record: Record, faults: Faults) -> None:
        """Until the time is over and the last fault is mended."""
        faults.join()
        time.sleep(max(0.0, record.started_s + self._seconds - time.monotonic()))

    def _calm(self, record: Record, faults: Faults) -> None:
        """Heal, wait until the nodes are well, and let the clients go on for a while."""
        try:
            faults.heal()
        except (PaxosStoreError, OSError) as error:
            record.complaints.append(f"healing failed: {error}")
        record.healed_s = time.monotonic()
        for limit_s, problem in ((SETTLE_S, self.nodes.unsettled), (RETURN_S, faults.losses.not_members)):
            while found := problem():
                if time.monotonic() > record.healed_s + limit_s:
                    record.complaints.append(f"{limit_s:g} s after all was healed, {found}")
                    break
                time.sleep(0.05)
        record.settled_s = time.monotonic()
        record.standings = [self.nodes.standing(node) for node in range(self._n)]
        faults.end()
        try:
            record.told = self.nodes.tell()
        except OSError as error:
            record.complaints.append(f"a node does not say what it has done: {error}")
        self._say(f"all is healed; settled after {record.settled_s - record.healed_s:.2f} s")
        time.sleep(RECONNECT_S)
        record.calm_s = time.monotonic()
        time.sleep(CALM_S)

    def _look(self, record: Record) -> None:
        """Read every key at every node, twice, compare the nodes, and stop them."""
        nodes = self.nodes
        keys = {operation.key for operation in journal.read(journals(self._directory))}
        # what was left undecided happens when somebody comes upon it: the first look is for that, the second is judged
        for name in ("first-look", "client"):
            for node in range(self._n):
                client = record.first_reader + node
                with journal.Journal(self._directory / f"{name}-{client}.jsonl", client) as book:
                    by_face = {"card": list[str](), CALL: list[str](), "": list[str]()}
                    for key in sorted(keys):
                        by_face.get(key.partition(":")[0], by_face[""]).append(key)
                    _read_redis(book, node, nodes.redis_servers, by_face[""])
                    _read_accounts(book, node, nodes.redis_servers, by_face[CALL])
                    asyncio.run(_read_cards(book, node, nodes.card_servers, by_face["card"]))
        try:
            record.hashes = nodes.wait_equal()
        except OSError as error:
            record.complaints.append(f"a node does not say its content hash: {error}")
        for node in range(self._n):
            if nodes.exit_code(node) is not None:
                record.complaints.append(f"node {node} had ended by itself at the end: {nodes.last_words(node)}")
            elif code := nodes.stop(node):
                record.complaints.append(f"node {node} ended with code {code}: {nodes.last_words(node)}")
            if "Traceback" in nodes.log(node):
                record.complaints.append(f"node {node} logged a traceback: see {self._directory / 'nodes' / f'node-{node}.log'}")


def _end_clients(clients: list[subprocess.Popen[bytes]]) -> Iterator[str]:
    """Let them finish their calls; says what was wrong with them."""
    for client in clients:
        assert client.stdin is not None
        client.stdin.close()
    for number, client in enumerate(clients):
        try:
            code = client.wait(CLIENT_END_S)
        except subprocess.TimeoutExpired:
            client.kill()
            yield f"client {number} did not end within {CLIENT_END_S:g} s"
        else:
            if code:
                yield f"client {number} ended with code {code}"


def _read_redis(book: journal.Journal, node: int, servers: list[tuple[str, int]], keys: list[str]) -> None:
    caller = RedisCaller([f"{host}:{port}" for host, port in servers])
    for key in keys:
        name = kinds.read_all(key) if key.partition(":")[0] in kinds.MODELS else "get"
        book.call(node, key, name, [])
        book.end(*said(key, name, caller.call(node, *redis_words(key, name, []))))
    caller.close()


def _read_accounts(book: journal.Journal, node: int, servers: list[tuple[str, int]], keys: list[str]) -> None:
    caller = AppCaller([f"{host}:{port}" for host, port in servers])
    for key in keys:
        book.call(node, key, "balance", [0])
        book.end(*caller.call(node, number_of(key), "balance", 0, None))
    caller.close()


async def _read_cards(book: journal.Journal, node: int, servers: list[str], keys: list[str]) -> None:
    caller = CardCaller(servers)
    for key in keys:
        book.call(node, key, "select", [0])
        book.end(*await caller.call(node, number_of(key), "select", 0, b""))
    await caller.close()
