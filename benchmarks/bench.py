"""Three durable nodes beside one redis-server with appendfsync always, and beside three nodes of etcd if they are to be had: in
one run, on the same machine and disk.

Prints tables, saves them with a plot under out/bench/, and ends with 1 if a target is missed, with 2 if it cannot run.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

import etcd
from kinds import measure_kinds
from load import KEYSPACE, VALUE_BYTES, measure
from paxosstore import __version__
from paxosstore.compiled import BUILD
from report import Result, save, show
from resources import measure_gap, measure_memory, sync_cost_us
from servers import BenchError, Servers

OUT = Path(__file__).resolve().parent.parent / "out" / "bench"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round instead of three")
    parser.add_argument(
        "--dir", type=Path, default=None, help="where the data goes while it runs (default: the temporary directory)"
    )
    parser.add_argument("--etcd-load", type=Path, default=None, metavar="PROGRAM", help="load generator for etcd (see etcd.py)")
    parser.add_argument("--out", type=Path, default=OUT, help="where the results go (default: out/bench)")
    return parser.parse_args()


def machine(directory: Path, beside_etcd: bool) -> str:
    version = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
    etcd_version = subprocess.run(["etcd", "--version"], capture_output=True, text=True).stdout.split()[2] if beside_etcd else ""
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, paxosstore {__version__} {BUILD}, "
        f"redis-server {version.removeprefix('v=')}, {f'etcd {etcd_version}, ' if etcd_version else ''}"
        f"{sync_cost_us(directory):.0f} µs for a small append with fdatasync"
    )


def run(options: argparse.Namespace, directory: Path, console: Console) -> Result:
    """All measurements. Raises BenchError."""
    say = console.log
    rounds, seconds = (1, 1.0) if options.quick else (3, 2.0)
    no_etcd = etcd.missing(options.etcd_load)
    facts = machine(directory, no_etcd is None)
    say(facts)
    if no_etcd is not None:
        say(f"not beside etcd: {no_etcd}")
    with ExitStack() as stack:
        servers = stack.enter_context(Servers(directory))
        say(f"three nodes serve after {servers.start_s:.2f} s")
        memory = measure_memory(servers)
        say(f"an idle node takes {memory.idle_mb:.0f} MB, 100,000 keys add {memory.added_mb:.0f} MB")
        kinds = measure_kinds(servers, rounds, seconds, say)
        beside = None
        if no_etcd is None:
            beside = stack.enter_context(etcd.Etcd(directory / "etcd", options.etcd_load, KEYSPACE, VALUE_BYTES))
        rows = measure(servers, beside, rounds, seconds, say)
        gaps = []
        for _ in range(rounds):
            gaps.append(measure_gap(servers))
            say(f"the preferred proposer was killed: {gaps[-1].gap_ms:.0f} ms without a write")
        return Result(rows, kinds, memory, servers.start_s, gaps, facts)


def main() -> int:
    options = arguments()
    console = Console(width=None if sys.stdout.isatty() else 140, log_path=False)
    for program in ("redis-server", "redis-benchmark"):
        if shutil.which(program) is None:
            console.print(f"bench: {program} was not found (Debian: apt-get install redis-server redis-tools)")
            return 2
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="paxosstore-bench-", dir=options.dir) as directory:
            result = run(options, Path(directory), console)
    except BenchError as error:
        console.print(f"bench: {error}", style="bold red")
        return 2
    show(result, console)
    save(result, options.out)
    console.print(f"saved under {options.out}; {time.monotonic() - started:.0f} s in all")
    return 0 if all(target.met for target in result.targets) else 1


if __name__ == "__main__":
    sys.exit(main())
