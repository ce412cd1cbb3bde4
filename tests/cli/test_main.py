"""The commands: what they print, one clear line when something is wrong, and the exit code."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
from typer.testing import CliRunner

from paxosstore.cli.config import load_config
from paxosstore.cli.init import write_configs
from paxosstore.cli.main import app, main
from paxosstore.core.batch.overlay import WriteBatch
from paxosstore.core.entity.divergence import Divergence
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.ready import Apply, StopEntity
from paxosstore.errors import DirectoryInUse
from paxosstore.services.card.rules import entity_of
from paxosstore.services.card.server import CardServer
from paxosstore.services.http.server import HttpServer, Page, Response, as_json, text
from paxosstore.services.redis.layout.keyspace import REDIS_BASE, SLOT_BASE
from paxosstore.storage.directory import open_directory
from paxosstore.storage.rocks import RocksStore

from ..services.card.support import FakeNode

HOST = "127.0.0.1"
HELPS = [
    "",
    "init",
    "serve",
    "demo",
    "sim",
    "status",
    "card",
    "inspect",
    "backup",
    "restore",
    "export",
    "import",
    *(f"card {c}" for c in ("insert", "update", "delete", "select")),
]

Outcome = tuple[int, str, str]
Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process: exit code, standard output, standard error."""

    def command(*arguments: object) -> Outcome:
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(*starts: CardServer | HttpServer) -> Iterator[None]:
    """Servers in a loop of their own thread: the commands bring their own loops."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> AsyncExitStack:
        stack = AsyncExitStack()
        for server in starts:
            await server.start()
            stack.push_async_callback(server.stop)
        return stack

    stack = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


# -- help and wrong use


@pytest.mark.parametrize("command", HELPS)
def test_help(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert f"Usage: paxosstore {command}".strip() in re.sub(r"\s+", " ", result.output)


def test_no_command_shows_the_help(run: Run) -> None:
    code, out, err = run()
    assert (code, err) == (0, "")
    assert "serve" in out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("fly", "fly"),
        ("card", "paxosstore card --help"),
        ("serve", "--config"),
        ("serve --conf x", "--conf"),
        ("serve --config x y", "y"),
        ("serve --config missing.toml", "missing.toml"),
        ("init", "DIR"),
        ("init a --nodes 4", "nodes"),
        ("init a --nodes three", "--nodes"),
        ("init a --base-port 70000", "base-port"),
        ("inspect entity 3", "--config"),
        ("inspect --config x entity -1", "-1"),
        ("inspect entity redis:16 --config x", "15"),
        ("inspect entity slot:65536 --config x", "65535"),
        ("inspect entity cards:1 --config x", "cards:1"),
        ("inspect entity :1 --config x", ":1"),
        ("inspect entity redis:² --config x", "redis:"),
        ("inspect --config x entity 18446744073709551616", "18446744073709551615"),
        ("card select x", "x"),
        ("card select 18446744073709551616", "18446744073709551616"),
        ("card select 1 --server nowhere", "nowhere"),
        ("card update 1", "DELTA"),
        ("card update 1 5 --uuid abc", "--uuid"),
        ("card update 1 5 --sever a:1", "--sever"),
        ("card insert 1 --user-id -1", "--user-id"),
        ("card insert 1 --balance 9223372036854775808", "9223372036854775808"),
        ("card insert 1 --timeout 0", "--timeout"),
        ("status --server x", "--server"),
    ],
)
def test_wrong_use_is_one_line_and_2(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments.split())
    assert code == 2
    assert out == ""
    assert re.fullmatch(r"paxosstore: [^\n]+\n", err)
    assert named in err
    assert not list(tmp_path.iterdir())


# -- init


def test_init(run: Run, tmp_path: Path) -> None:
    code, out, err = run("init", tmp_path / "c", "--nodes", 5, "--base-port", 9000, "--cluster", "mine")
    assert (code, err) == (0, "")
    config = load_config(tmp_path / "c" / "node-4.toml")
    assert (config.cluster.cluster, config.cluster.nodes, config.listen.peers.port) == ("mine", 5, 9040)
    assert f"paxosstore serve --config {tmp_path / 'c' / 'node-4.toml'}" in out
    code, out, err = run("init", tmp_path / "c")
    assert (code, out) == (2, "")
    assert "exists already" in err


# -- card


def test_cards(run: Run) -> None:
    server = CardServer(FakeNode(), HOST, port := free_port())
    at = ("--server", f"{HOST}:{port}")
    with serving(server):
        code, out, err = run("card", "insert", 42, "--balance", 10, "--user-name", "ann", "--user-id", 7, *at)
        assert (code, err) == (0, "")
        assert out.startswith("card 42: balance 10, user 'ann' (7), changed ")
        assert out.endswith(f", entity {entity_of(42)}\n")
        assert run("card", "update", 42, -4, *at)[1].startswith("card 42: balance 6,")
        assert run("card", "update", *at, 42, 1)[1].startswith("card 42: balance 7,")
        assert run("card", "update", 42, -8, *at) == (1, "", "paxosstore: card 42: balance not enough (8000)\n")
        assert run("card", "insert", 42, *at) == (1, "", "paxosstore: card 42: card exists (8002)\n")
        assert run("card", "select", 42, *at)[1].startswith("card 42: balance 7,")
        assert run("card", "delete", 42, *at)[1].startswith("card 42: balance 7,")
        assert run("card", "select", 42, *at) == (1, "", "paxosstore: card 42: card does not exist (8001)\n")


def test_the_same_uuid_is_applied_once(run: Run) -> None:
    at = ("--server", f"{HOST}:{(port := free_port())}")
    with serving(CardServer(FakeNode(), HOST, port)):
        run("card", "insert", 42, "--balance", 10, *at)
        for _ in range(2):
            assert run("card", "update", 42, 5, "--uuid", "ab" * 16, *at)[1].startswith("card 42: balance 15,")


def test_a_dead_server_is_passed_over(run: Run) -> None:
    port, dead = free_port(), free_port()
    servers = ("--server", f"{HOST}:{dead}", "--server", f"{HOST}:{port}")
    with serving(CardServer(FakeNode(), HOST, port)):
        for card in range(4):
            assert run("card", "insert", card, *servers)[0] == 0


def test_no_server_answers(run: Run) -> None:
    code, out, err = run("card", "select", 42, "--server", f"{HOST}:{free_port()}", "--timeout", 2)
    assert (code, out) == (3, "")
    assert "nothing happened" in err
    assert err.count("\n") == 1


# -- status and inspect


def status_pages(node: int, refused: str = "", no_quorum: str = "", stopped: str = "", **more: object) -> dict[str, Page]:
    links = {"2": {"up": True, "queued_frames": 0}, "7": {"up": False, "queued_frames": 5, "down_reason": "no [answer]"}}
    status = {
        "node": node,
        "writes_refused_because": refused,
        "no_quorum_because": no_quorum,
        "entities_in_memory": 11,
        "waiting_requests": 12,
        "waiting_events": 13,
        "doing": ["entity 9 is [copied]"],
        "stopped": {"7": stopped} if stopped else {},
        "committed": {"5": 100, "6": 23},
        "committed_complete": True,
        "peers": links,
        **more,
    }
    return {"/status": lambda query: as_json(status)}


def test_status(run: Run) -> None:
    one, other, dead, strange = (free_port() for _ in range(4))
    servers = [
        HttpServer(HOST, one, status_pages(0, stopped="THE REPLICAS DIFFER: entity 7 is [stopped]")),
        HttpServer(HOST, other, status_pages(1, "no [room] left")),
        HttpServer(HOST, strange, {"/status": lambda query: text(HTTPStatus.OK, "hello")}),
    ]
    arguments = [argument for port in (one, other, dead, strange) for argument in ("--server", f"{HOST}:{port}")]
    with serving(*servers):
        code, out, err = run("status", *arguments)
    assert (code, err) == (0, "")
    rows = {port: line for line in out.splitlines() for port in (one, other, dead, strange) if f"{HOST}:{port} " in line}
    assert len(rows) == 4
    assert "up" in rows[one]
    for figure in ("11", "123", "12 requests", "2 up"):
        assert figure in rows[one]
    assert "node 0: THE REPLICAS DIFFER: entity 7 is [stopped]" in out
    assert "node 1 entity 9 is [copied]" in out
    assert "7 down, 5 frames queued" in out
    assert "  no [answer]" in out
    assert "refuses writes: no [room] left" in rows[other]
    assert "down: Connection refused" in rows[dead]
    assert "down" in rows[strange]
    assert "12 requests" not in rows[dead] + rows[strange]


@pytest.mark.parametrize(
    ("unready", "done", "said", "code"),
    [
        ("", True, "up", 0),
        ("", False, "comes back", 0),
        ("waits for nodes 1, 2", False, "waits for nodes 1, 2", 1),
    ],
)
def test_status_of_a_node_that_is_new_or_has_lost_its_disk(run: Run, unready: str, done: bool, said: str, code: int) -> None:
    doing = [unready] if unready else []
    pages = status_pages(0, reentry={"done": done}, not_ready_because=unready, doing=doing)
    with serving(HttpServer(HOST, port := free_port(), pages)):
        ended, out, _ = run("status", "--server", f"{HOST}:{port}")
    assert ended == code
    assert said in out
    assert out.count("waits for") == len(doing), "what stands in the table is not told again below it"


def test_status_tells_what_goes_on_in_the_background(run: Run) -> None:
    idle = {"bytes_per_second": 0.0, "ms_per_second": 0.0, "waits_ms": 0.0, "urgent": False}
    jobs = {
        "scrub": {**idle, "ms_per_second": 0.2},
        "catch_up": {**idle, "bytes_per_second": 2_500_000.0, "ms_per_second": 31.0, "urgent": True},
    }
    budget = {"bytes_per_second": 67_000_000, "ms_per_second": 500.0, "pace": 0.5, "load": 0.35}
    busy, resting, strange = (free_port() for _ in range(3))
    servers = [
        HttpServer(HOST, busy, status_pages(0, background={**budget, "jobs": jobs})),
        HttpServer(HOST, resting, status_pages(1, background={**budget, "jobs": {"scrub": idle}})),
        HttpServer(HOST, strange, status_pages(2, background={"jobs": 5})),
    ]
    with serving(*servers):
        code, out, _ = run("status", *[word for port in (busy, resting, strange) for word in ("--server", f"{HOST}:{port}")])
    assert code == 0
    said = "catch up 2.50 MB and 31.0 ms a second, urgent (of 67 MB and 500 ms a second, slowed down to 50 %)"
    assert f"node 0 in the background: {said}" in out
    assert out.count("in the background") == 1
    assert next(line for line in out.splitlines() if f":{strange} " in line).count("down: this is no"), "nobody's status"


def test_a_cluster_without_a_quorum(run: Run) -> None:
    lonely, happy, dead = (free_port() for _ in range(3))
    why = "no quorum: node 1 down for 12 s (refused: another cluster)"
    servers = [HttpServer(HOST, lonely, status_pages(0, no_quorum=why)), HttpServer(HOST, happy, status_pages(1))]
    with serving(*servers):
        code, out, _ = run("status", "--server", f"{HOST}:{lonely}", "--server", f"{HOST}:{dead}")
        assert code == 1
        assert "no quorum: node 1" in out
        assert "cluster)" in out
        code, out, _ = run("status", "--server", f"{HOST}:{lonely}", "--server", f"{HOST}:{happy}")
        assert code == 0, "one node is cut off, the cluster goes on"


def test_status_of_what_is_not_there_or_somebody_elses(run: Run) -> None:
    consul = HttpServer(HOST, port := free_port(), {"/status": lambda query: as_json({"node": "[red]", "peers": ["a"]})})
    with serving(consul):
        code, out, err = run("status", "--server", f"{HOST}:{port}", "--server", f"[::1]:{free_port()}")
    assert (code, err) == (3, "")
    assert "this is no paxosstore node's HTTP address" in out
    assert "[::1]:" in out, "an IPv6 address is no markup"


def test_a_port_that_speaks_no_http_has_no_status(run: Run) -> None:
    """The Redis port, say."""

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"-ERR wrong number of arguments for 'get' command\r\n")

    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        code, out, _ = run("status", "--server", f"{HOST}:{listener.getsockname()[1]}")
        thread.join()
    assert code == 3
    assert "no paxosstore node's HTTP address" in out


def test_nobody_has_a_status(run: Run) -> None:
    code, out, _ = run("status", "--server", f"{HOST}:{free_port()}")
    assert code == 3
    assert "down" in out


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Node 0, whose HTTP port is free."""
    path = write_configs(tmp_path, 3, 7400, "test")[0]
    path.write_text(path.read_text().replace('http = "127.0.0.1:7403"', f'http = "127.0.0.1:{free_port()}"', 1))
    return path


def test_inspect_a_running_node(run: Run, config: Path) -> None:
    row = {"entry": 8, "prepared": 1, "promised": 4, "accepted": 4, "chosen": True, "value_id": "ab" * 16, "value_bytes": 99}
    asked: list[dict[str, str]] = []

    def page(query: object) -> object:
        assert isinstance(query, dict)
        asked.append(query)
        pointers = {"committed": 8, "max_chosen": None}
        marks = {"gaps": [(3, 3), (5, 7)], "floor": 9, "recovering": True, "stopped": "entity 5 is stopped: [why]"}
        return as_json({"entity": 5, "node": 0, "pointers": pointers, "rows": [row], **marks})

    pages: dict[str, Page] = {"/inspect": page}  # type: ignore[dict-item]  # it takes and gives what a page does
    with serving(HttpServer(HOST, load_config(config).listen.http.port, pages)):
        code, out, err = run("inspect", "--config", config, "entity", 5, "--entries", "8-9")
        assert run("inspect", "entity", 5, "--config", config)[0] == 0
        for name in ("redis:3", "slot:7", "card:42"):
            assert run("inspect", "entity", name, "--config", config)[0] == 0
    assert (code, err) == (0, "")
    assert asked[:2] == [{"entity": "5", "entries": "8-9"}, {"entity": "5"}]
    assert [int(query["entity"]) for query in asked[2:]] == [REDIS_BASE + 3, SLOT_BASE + 7, entity_of(42)]
    assert "entity 5 on node 0 (running)" in out
    assert "committed 8, max chosen ?" in out
    for mark in ("chosen, and not known here: 3, 5-7", "floor 9", "is being copied", "entity 5 is stopped: [why]"):
        assert mark in out
    assert "ab" * 16 in out


def test_an_entity_whose_replicas_differ_is_resumed_on_a_stopped_node(run: Run, config: Path) -> None:
    settings = load_config(config)
    found = Divergence(2, b"\x01" * 16, b"\x02" * 16, 2)
    with open_directory(settings.data_dir, settings.cluster, 0) as directory:
        store = RocksStore(directory.store_path)
        store.write({}, [], [StopEntity(5, found.encode()), StopEntity(6, found.encode())])
        store.sync()
        store.close()
        assert run("resume", 5, "--config", config)[0] == DirectoryInUse.exit_code
    assert "node 0 and node 2 know different values at entry 2" in run("inspect", "--config", config, "entity", 5)[1]
    code, _, err = run("resume", 7, "--config", config)
    assert code == 2
    assert "entity 7 is not stopped on node 0: name one that is (5, 6)" in err
    code, out, err = run("resume", 5, "--config", config)
    assert (code, err) == (0, "")
    assert "node 0 and node 2 know different values at entry 2" in out
    assert "are stopped" not in run("inspect", "--config", config, "entity", 5)[1]
    assert run("resume", 5, "--config", config)[0] == 2, "it is not stopped any more"


def test_inspect_a_stopped_node(run: Run, config: Path) -> None:
    settings = load_config(config)
    value = Value(b"\x01" * 16, b"body")
    with open_directory(settings.data_dir, settings.cluster, 0) as directory:
        store = RocksStore(directory.store_path)
        records = {(5, entry): Record(1, 1, 1, value, chosen=entry < 3) for entry in (1, 2, 3)}
        store.write(records, [Apply(5, entry, WriteBatch({b"dkey": b"1"})) for entry in (1, 2)])
        store.sync()
        store.close()
    code, out, err = run("inspect", "--config", config, "entity", 5)
    assert (code, err) == (0, "")
    assert "entity 5 on node 0 (stopped, from disk)" in out
    assert "committed 2" in out
    assert "max plog 3" in out
    assert out.count("01" * 16) == 3
    out = run("inspect", "--config", config, "entity", 5, "--entries", "2")[1]
    assert out.count("01" * 16) == 1
    code, out, err = run("inspect", "--config", config, "entity", 5, "--entries", "2-1")
    assert (code, out) == (2, "")
    assert "2-1" in err
    code, out, err = run("inspect", "--config", config, "entity", 5, "--entries", os.fsdecode(b"\xff"))
    assert (code, out) == (2, "")
    assert "is no text" in err


def test_inspect_where_no_node_ever_was(run: Run, config: Path) -> None:
    code, out, err = run("inspect", "--config", config, "entity", 5)
    assert (code, out) == (4, "")
    assert "node-0" in err
    assert not load_config(config).data_dir.exists()


def test_inspect_a_node_that_does_not_answer(run: Run, config: Path) -> None:
    settings = load_config(config)
    with open_directory(settings.data_dir, settings.cluster, 0):
        code, out, err = run("inspect", "--config", config, "entity", 5)
    assert (code, out) == (4, "")
    assert "does not answer" in err


# -- the process


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_it_runs_as_a_process() -> None:
    done = python("-m", "paxosstore.cli", "serve", "--config", "missing.toml")
    assert done.returncode == 2
    assert re.fullmatch(r"paxosstore: missing\.toml: [^\n]+\n", done.stderr)
    assert python("-m", "paxosstore.cli", "--help").returncode == 0


def test_without_its_checks_it_does_not_run() -> None:
    done = python("-O", "-m", "paxosstore.cli", "--help")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"paxosstore: python -O [^\n]+\n", done.stderr)


def test_the_command_line_does_not_load_what_it_does_not_need() -> None:
    done = python("-c", "import sys, paxosstore.cli.main; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert not {"grpc", "prometheus_client", "rich.console", "rich.table"} & set(done.stdout.split())


# -- sim


def test_sim_tells_a_seed_as_a_story(run: Run) -> None:
    code, out, _ = run("sim", "--seed", 7, "--trace")
    assert code == 0
    assert "PaxosMessage" in out
    assert re.search(r"held: \d+ operations, \d+ events, trace [0-9a-f]{16}", out)


def test_sim_runs_many_seeds(run: Run) -> None:
    code, out, _ = run("sim", "--seeds", 20, "--jobs", 1)
    assert code == 0
    assert "20 seeds, 0 failed" in out


def test_sim_shows_and_keeps_what_failed(run: Run, tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "seeds.txt"
    code, out, _ = run("sim", "--seeds", 20, "--jobs", 1, "--workload", "tests.sim.broken:BROKEN", "--keep", kept)
    assert code == 1
    seed = int(kept.read_text().split()[0])
    assert f"paxosstore sim --seed {seed} --trace" in out
    code, out, _ = run("sim", "--seed", seed, "--workload", "tests.sim.broken:BROKEN", "--shrink")
    assert code == 1
    part = re.search(r'--only "(.*)"', out)
    assert part is not None
    assert run("sim", "--seed", seed, "--workload", "tests.sim.broken:BROKEN", "--only", part[1])[0] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--trace",),
        ("--seeds", 1, "--only", "calm"),
        ("--seed", 1, "--only", "x"),
        ("--seeds", 0),
        ("--seeds", 1, "--workload", "x"),
    ],
)
def test_sim_used_wrongly(run: Run, arguments: tuple[object, ...]) -> None:
    code, out, err = run("sim", *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_an_export_is_checked_without_a_cluster(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "blue.jsonl"
    file.write_text('{"paxosstore_export":1}\n')
    code, _, error = run("import", str(file), "--check")
    assert code != 0
    assert "line 1" in error, "it was read"
    code, _, error = run("import", str(file))
    assert code == 2
    assert "--config is missing" in error


def test_a_job_that_its_node_has_forgotten_is_no_wrong_use(run: Run) -> None:
    def forgotten(query: Mapping[str, str]) -> Response:
        return text(HTTPStatus.BAD_REQUEST, "there is no job 1 any more: start another one\n")

    server = HttpServer(HOST, port := free_port(), {"/verify": forgotten}, actions={"/verify": lambda query: as_json({"job": 1})})
    with serving(server):
        code, _, error = run("verify", "--all", "--server", f"{HOST}:{port}")
    assert code not in (0, 1, 2)
    assert "has forgotten what it compared" in error


@pytest.mark.parametrize("arguments", [["--help"], ["status", "--server", f"{HOST}:1"]])
def test_output_that_nobody_reads_ends_the_program_quietly(arguments: list[str]) -> None:
    program = [sys.executable, "-m", "paxosstore", *arguments]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [["--help"], ["status", "--server", f"{HOST}:1"]])
def test_output_that_cannot_be_written_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        program = [sys.executable, "-m", "paxosstore", *arguments]
        done = subprocess.run(program, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 74
    assert done.stderr == "paxosstore: standard output: No space left on device: make room there, or send it elsewhere\n"


def test_a_value_that_looks_like_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["set", "lease_ms", "-1"]) == 2
    assert "comes after --" in capsys.readouterr().err
