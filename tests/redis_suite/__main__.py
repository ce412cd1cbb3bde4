"""`python -m tests.redis_suite`: Redis 7.0's own suite against three nodes, beside redis-server as the reference."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from paxosstore.cli.cluster import LocalCluster, free_base_port

from .blocks import Block, State, compare, missing, table
from .harness import Limits, run_unit
from .source import PATCHES, SuiteError, suite

_TYPES = ("string", "incr", "list", "set", "zset", "hash", "stream", "stream-cgroups")
_OTHERS = (
    "expire keyspace scan protocol multi pubsub scripting functions bitops bitfield sort hyperloglog geo dump introspection"
    " introspection-2 other slowlog latency-monitor querybuf"
)
UNITS = (*(f"unit/type/{name}" for name in _TYPES), *(f"unit/{name}" for name in _OTHERS.split()))
OUT = Path("out/redis-suite")
REPORT = Path("out/redis-suite.md")
START_S = 120.0
SELECTION = Path(__file__).parent / "selection.txt"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.redis_suite", description=__doc__)
    parser.add_argument("units", nargs="*", metavar="UNIT", help="of these units alone, like type/hash or unit/scan")
    parser.add_argument("--nodes", type=int, choices=(3, 5), default=3, help="nodes of the cluster")
    parser.add_argument("--port", type=int, default=0, help="of a server that runs already, instead of nodes of its own")
    parser.add_argument("--reference", action="store_true", help="run the units against redis-server again")
    parser.add_argument("--selection", action="store_true", help=f"fail unless every block of {SELECTION.name} passes")
    parser.add_argument("--write-selection", action="store_true", help=f"write {SELECTION.name} from what passes now")
    parser.add_argument("--block-seconds", type=float, default=60.0)
    parser.add_argument("--unit-seconds", type=float, default=400.0)
    options = parser.parse_args()
    selected = read_selection() if options.selection else []
    units = [_full(unit) for unit in options.units] or list(dict.fromkeys(unit for unit, _ in selected)) or list(UNITS)
    unknown = [unit for unit in units if unit not in UNITS]
    if unknown:
        parser.error(f"no such unit: {', '.join(unknown)}; there are {', '.join(UNITS)}")
    limits = Limits(options.block_seconds, options.unit_seconds)
    try:
        root = suite(OUT)
        for reason, name, _, _ in PATCHES:
            print(f"patched in the copy: {name}: {reason}")
        if options.selection:
            with nodes(options.nodes) as port:
                return _check(selected, run(root, units, port, limits, "ours"))
        reference = _reference(root, units, limits, again=options.reference)
        if options.port:
            ours = run(root, units, options.port, limits, "ours")
        else:
            with nodes(options.nodes) as port:
                ours = run(root, units, port, limits, "ours")
    except SuiteError as fault:
        print(f"redis-suite: {fault}", file=sys.stderr)
        return 1
    rows, lost = compare(units, reference, ours), missing(reference, ours)
    REPORT.write_text(table(rows, lost), encoding="utf-8")
    if options.write_selection:
        write_selection(reference, ours)
    passed, total = sum(row.passed for row in rows), sum(row.reference for row in rows)
    for row in rows:
        print(f"{row.unit:28} {row.passed:5} of {row.reference:5}  failed {row.failed:4}  not run {row.not_run:4}")
    print(f"{passed} of {total} blocks that pass against Redis pass here: {REPORT}")
    return 0


def run(root: Path, units: Iterable[str], port: int, limits: Limits, label: str) -> list[Block]:
    """The units' blocks; what the suite wrote is kept under `OUT`, in a folder of this label."""
    folder = OUT / label
    folder.mkdir(parents=True, exist_ok=True)
    blocks = []
    for unit in units:
        log = folder / (unit.replace("/", "-") + ".log")
        log.unlink(missing_ok=True)
        began = time.monotonic()
        found = run_unit(root, unit, port, limits, log)
        passed = sum(block.state is State.PASSED for block in found)
        print(f"{label:10} {unit:28} {passed:4} passed of {len(found):4} in {time.monotonic() - began:.0f} s", flush=True)
        blocks += found
    return blocks


@contextmanager
def nodes(count: int) -> Iterator[int]:
    """The Redis port of one node of a cluster."""
    with tempfile.TemporaryDirectory(prefix="paxosstore-redis-suite-") as folder, LocalCluster(Path(folder), count) as cluster:
        cluster.init()
        for node in range(count):
            cluster.launch(node)
        for node in range(count):
            cluster.wait_ready(node, START_S)
        yield cluster.redis_port(0)


@contextmanager
def redis_server() -> Iterator[int]:
    """The port of a real redis-server that keeps nothing."""
    program = shutil.which("redis-server")
    if program is None:
        raise SuiteError("redis-server is not on this machine, and it is what is compared with: install redis-server")
    with tempfile.TemporaryDirectory(prefix="paxosstore-redis-suite-") as folder:
        port = free_base_port(1)
        flags = ["--port", str(port), "--save", "", "--appendonly", "no", "--enable-debug-command", "yes", "--dir", folder]
        with (OUT / "redis-server.log").open("wb") as log:
            process = subprocess.Popen([program, *flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _wait_for(port)
            yield port
        finally:
            process.kill()
            process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SuiteError(f"redis-server does not listen on port {port}: see {OUT / 'redis-server.log'}")


def _reference(root: Path, units: list[str], limits: Limits, *, again: bool) -> list[Block]:
    """What the units say of redis-server, kept from run to run."""
    path = OUT / "reference.json"
    kept = [Block.kept(fields) for fields in json.loads(path.read_text())] if path.exists() else []
    have = {block.unit for block in kept}
    wanted = [unit for unit in units if again or unit not in have]
    for unit in wanted:
        with redis_server() as port:  # each unit has its own: one that is stuck spoils no other
            new = run(root, [unit], port, limits, "reference")
        kept = [block for block in kept if block.unit != unit] + new
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps([dataclasses.asdict(block) for block in kept], indent=0))
        os.replace(temporary, path)
    return [block for block in kept if block.unit in units]


def _full(unit: str) -> str:
    return unit if unit.startswith("unit/") else f"unit/{unit}"


def read_selection() -> list[tuple[str, str]]:
    """Units and names of the blocks that have to pass."""
    lines = SELECTION.read_text(encoding="utf-8").splitlines()
    return [(unit, name) for unit, _, name in (line.partition(": ") for line in lines) if name]


def write_selection(reference: list[Block], ours: list[Block]) -> None:
    good = {block.key for block in reference if block.state is State.PASSED}
    bad = {block.key for block in ours if block.state is not State.PASSED}
    keys = dict.fromkeys(block.key for block in ours if block.key in good - bad)
    SELECTION.write_text("".join(f"{unit}: {name}\n" for unit, name in keys), encoding="utf-8")


def _check(selected: list[tuple[str, str]], ours: list[Block]) -> int:
    """Whether all of them passed; says which did not."""
    passed = {block.key for block in ours if block.state is State.PASSED}
    reasons = {block.key: block.reason for block in ours if block.state is not State.PASSED}
    lost = [key for key in selected if key not in passed or key in reasons]
    for unit, name in lost:
        print(f"FAILED {unit}: {name}: {reasons.get((unit, name), 'not run')}")
    print(f"{len(selected) - len(lost)} passed, {len(lost)} failed")
    return 1 if lost or not selected else 0


if __name__ == "__main__":
    sys.exit(main())
