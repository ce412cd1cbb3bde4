"""The runner: `make clients ARGS="rq celery --kill other"`. Writes out/clients.md.

A job is a program of its own, in the environment of its library (.venv-clients, or node with tests/clients/node), and knows
nothing but the nodes' addresses. It runs three times: left alone, with another node killed by SIGKILL in its middle, and with its
own node killed and started again. It fails by its exit code; what it prints after `@with` and `@did` is for the table.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from paxosstore.cli.cluster import LocalCluster

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
MODULES = HERE / "node" / "node_modules"
OUT = ROOT / "out" / "clients.md"
KILLS = {"none": "left alone", "other": "another node killed", "own": "its own node killed, started again"}
MAX_JOB_S = 300.0
OWN, OTHER = 0, 2
LAST_WORDS = 12
READY_S = 120.0
"""For a machine that is busy with other things."""


@dataclass(frozen=True)
class Job:
    name: str
    command: tuple[str, ...]


@dataclass
class Outcome:
    """What became of one run of a job."""

    code: int
    used: str = ""
    did: str = ""
    harmed: bool = False
    words: list[str] = field(default_factory=list)

    @property
    def works(self) -> bool:
        return self.code == 0 and self.harmed and bool(self.did)

    @property
    def reason(self) -> str:
        """The last line that it said: of a traceback, the error."""
        return self.words[-1].strip()[:160] if self.words else f"it ended with {self.code} and said nothing"


def all_jobs() -> list[Job]:
    jobs = [Job(path.stem[4:], (str(PYTHON), str(path))) for path in sorted((HERE / "jobs").glob("job_*.py"))]
    node = shutil.which("node")
    if node is None or not MODULES.exists():
        print("node or its modules are not on this machine: ioredis, node_redis and bullmq are skipped")
        return jobs
    return jobs + [Job(path.stem[4:], (node, str(path))) for path in sorted((HERE / "node").glob("job_*.js"))]


class Target(Protocol):
    """Where a job runs, and what is done there in its middle."""

    @property
    def servers(self) -> Sequence[tuple[str, int]]: ...

    def harm(self, kill: str) -> None: ...

    def heal(self) -> None:
        """All of it there again, and empty."""


class Nodes:
    """The three nodes, and what is done to them in a job's middle."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._starting: threading.Thread | None = None

    @property
    def servers(self) -> list[tuple[str, int]]:
        return self._cluster.redis_servers

    def start(self, *nodes: int) -> None:
        for node in nodes:
            self._cluster.launch(node)
        for node in nodes:
            self._cluster.wait_ready(node, READY_S)

    def harm(self, kill: str) -> None:
        if kill == "other":
            self._cluster.kill(OTHER)
        elif kill == "own":
            self._cluster.kill(OWN)
            self._starting = threading.Thread(target=self.start, args=[OWN])
            self._starting.start()

    def heal(self) -> None:
        """All nodes there again, and empty."""
        if self._starting is not None:
            self._starting.join()
            self._starting = None
        missing = [node for node in range(self._cluster.nodes) if not self._cluster.is_running(node)]
        if missing:
            self.start(*missing)
        _flush(self.servers[OWN])


class Server:
    """A Redis server that is there already, such as redis-server to see that the jobs themselves are right."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.servers = [(host, int(port))]

    def harm(self, kill: str) -> None:
        assert kill == "none"

    def heal(self) -> None:
        _flush(self.servers[0])


def _flush(server: tuple[str, int]) -> None:
    """Empty the server, asking again while it finds its way back."""
    words = (
        "import redis, sys; from redis.retry import Retry; from redis.backoff import ConstantBackoff as B;"
        "redis.Redis(sys.argv[1], int(sys.argv[2]), retry=Retry(B(0.2), 100)).flushall()"
    )
    for _ in range(20):
        if subprocess.run([PYTHON, "-c", words, server[0], str(server[1])], capture_output=True).returncode == 0:
            return
    raise SystemExit("clients: the store does not come back")


def run(job: Job, target: Target, kill: str) -> Outcome:
    """One run of a job, its processes ended afterwards whatever it did."""
    target.heal()
    addresses = ",".join(f"{host}:{port}" for host, port in target.servers)
    with subprocess.Popen(
        job.command,
        env={**os.environ, "SERVERS": addresses, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        late = threading.Timer(MAX_JOB_S, _end, [process])
        late.start()
        try:
            outcome = _listen(process, lambda: target.harm(kill))
        finally:
            in_time = late.is_alive()
            late.cancel()
            _end(process)  # with a worker that the job left behind
    if not in_time:
        outcome.words.append(f"not done in {MAX_JOB_S:g} s")
    return outcome


def _listen(process: subprocess.Popen[str], harm: Callable[[], None]) -> Outcome:
    """Read what a job says until it ends, and do the harm when it asks for it."""
    assert process.stdin is not None
    assert process.stdout is not None
    outcome = Outcome(0)
    for line in process.stdout:
        word, _, rest = line.strip().partition(" ")
        if word == "@harm":
            harm()
            outcome.harmed = True
            with contextlib.suppress(BrokenPipeError):  # it did not wait for the answer
                process.stdin.write("\n")
                process.stdin.flush()
        elif word == "@with":
            outcome.used = rest
        elif word == "@did":
            outcome.did = rest
        elif line.strip():
            outcome.words = [*outcome.words[1 - LAST_WORDS :], line.rstrip()]
    outcome.code = process.wait()
    return outcome


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def table(outcomes: dict[str, dict[str, Outcome]], kills: list[str]) -> str:
    """The outcomes as Markdown."""
    lines = [
        "| job | with | " + " | ".join(KILLS[kill] for kill in kills) + " | what it did, or why not |",
        "|" + " --- |" * (len(kills) + 3),
    ]
    for name, runs in outcomes.items():
        used = next((run.used for run in runs.values() if run.used), "")
        cells = ["works" if runs[kill].works else "fails" for kill in kills]
        failed = next((run for run in runs.values() if not run.works), None)
        last = list(runs.values())[-1].did if failed is None else failed.reason.replace("|", "\\|")
        lines.append(f"| {name} | {used} | " + " | ".join(cells) + f" | {last} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make clients", description=__doc__)
    jobs = {job.name: job for job in all_jobs()}
    parser.add_argument("jobs", nargs="*", metavar="job", help=f"of {', '.join(jobs)}; all if none is named")
    parser.add_argument("--kill", choices=KILLS, action="append", help="what is killed; each in turn if none is named")
    parser.add_argument("--server", help="host:port of a Redis server to run against instead; nothing is killed")
    parser.add_argument("--out", type=Path, default=OUT, help="where the table goes")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # so that the nodes and the job end as well
    unknown = sorted(set(options.jobs) - set(jobs))
    if unknown:
        parser.error(f"no job is called {', '.join(unknown)}")
    chosen = [jobs[name] for name in options.jobs] or list(jobs.values())
    kills = ["none"] if options.server else list(options.kill or KILLS)
    if options.server:
        outcomes = _run_all(chosen, Server(options.server), kills)
    else:
        with tempfile.TemporaryDirectory() as directory, LocalCluster(Path(directory)) as cluster:
            cluster.init()
            nodes = Nodes(cluster)
            nodes.start(*range(cluster.nodes))
            outcomes = _run_all(chosen, nodes, kills)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(table(outcomes, kills), encoding="utf-8")
    print(f"\n{table(outcomes, kills)}\n{options.out}")
    return 0 if all(run.works for runs in outcomes.values() for run in runs.values()) else 1


def _run_all(jobs: list[Job], target: Target, kills: list[str]) -> dict[str, dict[str, Outcome]]:
    outcomes: dict[str, dict[str, Outcome]] = {}
    for job in jobs:
        for kill in kills:
            outcome = run(job, target, kill)
            outcomes.setdefault(job.name, {})[kill] = outcome
            print(f"{job.name}, {KILLS[kill]}: {'works' if outcome.works else 'FAILS'}: {outcome.did}", flush=True)
            if not outcome.works:
                print("\n".join(f"    {word}" for word in outcome.words), flush=True)
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
