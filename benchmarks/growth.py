"""What three durable nodes do as the work grows: clients, values (their bytes), keys, entities, nodes. One at a time.

    python benchmarks/growth.py                     all of it: an hour, most of which fills 10,000,000 keys
    python benchmarks/growth.py clients entities    these alone
    python benchmarks/growth.py keys --most 100000  no further than this

Prints tables, and saves them with a plot under out/growth/. Ends with 2 if it cannot run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from load import COMMANDS, KEYSPACE, VALUE_BYTES, Figures, Load, median, run_benchmark
from servers import BenchError, Cluster, Server, fill

OUT = Path(__file__).resolve().parent.parent / "out" / "growth"
CLIENTS = 50
ROUNDS, SECONDS = 3, 2.0
LARGE_BYTES, LARGE_KEYS = 65_536, 500
"""Of values from this size on there are fewer: enough to be spread, and not too much for a disk."""
MOST_UNDER_WAY = 8 * 1024 * 1024
"""Bytes that clients wait for at a time: with more of them, what is measured is how long a disk takes for all."""
MAX_BYTES = 256 * 1024 * 1024
"""Written by one run."""


class Point(NamedTuple):
    """One size of the work."""

    sweep: str
    at: int
    command: str
    figures: Figures


class Work(NamedTuple):
    """What is asked for at one point."""

    clients: int = CLIENTS
    value_bytes: int = VALUE_BYTES
    keys: int = KEYSPACE


SIZES = {
    "clients": (1, 4, 16, 64, 256, 1_024),
    "values": (16, 256, 4_096, 65_536, 1_048_576),
    "keys": (1_000, 10_000, 100_000, 1_000_000, 10_000_000),
    "entities": (1, 16, 256, 4_096),
    "nodes": (3, 5),
}


def clients(directory: Path, sizes: list[int]) -> Iterator[tuple[int, Server, Work]]:
    with Cluster(directory) as cluster:
        fill(cluster.nodes[0], 0, KEYSPACE, VALUE_BYTES)
        for size in sizes:
            yield size, cluster.nodes[0], Work(clients=size)


def values(directory: Path, sizes: list[int]) -> Iterator[tuple[int, Server, Work]]:
    for size in sizes:
        count = KEYSPACE if size < LARGE_BYTES else LARGE_KEYS
        with Cluster(directory / str(size)) as cluster:
            fill(cluster.nodes[0], 0, count, size)
            yield size, cluster.nodes[0], Work(min(CLIENTS, MOST_UNDER_WAY // size), size, count)


def keys(directory: Path, sizes: list[int]) -> Iterator[tuple[int, Server, Work]]:
    with Cluster(directory) as cluster:
        filled = 0
        for size in sizes:
            fill(cluster.nodes[0], filled, size, VALUE_BYTES)
            filled = size
            yield size, cluster.nodes[0], Work(keys=size)


def entities(directory: Path, sizes: list[int]) -> Iterator[tuple[int, Server, Work]]:
    for size in sizes:
        with Cluster(directory / str(size), keyspace=f"slots:{size}") as cluster:
            fill(cluster.nodes[0], 0, KEYSPACE, VALUE_BYTES)
            yield size, cluster.nodes[0], Work()


def nodes(directory: Path, sizes: list[int]) -> Iterator[tuple[int, Server, Work]]:
    for size in sizes:
        with Cluster(directory / str(size), size) as cluster:
            fill(cluster.nodes[0], 0, KEYSPACE, VALUE_BYTES)
            yield size, cluster.nodes[0], Work()


SWEEPS: dict[str, Callable[[Path, list[int]], Iterator[tuple[int, Server, Work]]]] = {
    "clients": clients,
    "values": values,
    "keys": keys,
    "entities": entities,
    "nodes": nodes,
}


def measure(server: Server, command: str, work: Work, rounds: int, seconds: float) -> Figures:
    """The median of some runs, each of which takes about `seconds`."""
    load = Load(work.clients, 1)
    most = max(200, MAX_BYTES // work.value_bytes)

    def once(requests: int) -> Figures:
        return run_benchmark(server, command, load, min(most, requests), value_bytes=work.value_bytes, keys=work.keys)

    probe = once(max(200, 10 * work.clients))
    return median([once(max(200, int(probe.per_s * seconds))) for _ in range(rounds)])


def run(names: list[str], most: int, rounds: int, seconds: float, directory: Path, say: Callable[[str], None]) -> list[Point]:
    points: list[Point] = []
    for name in names:
        sizes = [size for size in SIZES[name] if size <= most or name == "nodes"]
        for at, server, work in SWEEPS[name](directory / name, sizes):
            for command in COMMANDS:
                points.append(Point(name, at, command, measure(server, command, work, rounds, seconds)))
                figures = points[-1].figures
                say(f"{name} {at:,}: {command} {figures.per_s:,.0f} /s, p50 {figures.p50_ms:.2f}, p99 {figures.p99_ms:.2f} ms")
        shutil.rmtree(directory / name)
    return points


def show(points: list[Point], console: Console) -> None:
    for name in dict.fromkeys(point.sweep for point in points):
        table = Table(title=name, title_justify="left")
        for head in ("", *(f"{command} {what}" for command in COMMANDS for what in ("/s", "p50 ms", "p99 ms"))):
            table.add_column(head, justify="right")
        mine = [point for point in points if point.sweep == name]
        for at in dict.fromkeys(point.at for point in mine):
            cells = [f"{at:,}"]
            for point in mine:
                if point.at == at:
                    cells += [f"{point.figures.per_s:,.0f}", f"{point.figures.p50_ms:.2f}", f"{point.figures.p99_ms:.2f}"]
            table.add_row(*cells)
        console.print(table)


def save(points: list[Point], directory: Path) -> None:
    """growth.json and growth.png."""
    import matplotlib  # slow to import, and needed last

    matplotlib.use("Agg")
    from matplotlib import pyplot

    directory.mkdir(parents=True, exist_ok=True)
    raw = [{"sweep": p.sweep, "at": p.at, "command": p.command, **p.figures._asdict()} for p in points]
    (directory / "growth.json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    names = list(dict.fromkeys(point.sweep for point in points))
    figure, axes = pyplot.subplots(2, len(names), figsize=(3.4 * len(names), 6), layout="constrained", squeeze=False)
    for column, name in enumerate(names):
        for command, color in zip(COMMANDS, ("#c0504d", "#2a6fbb"), strict=True):
            mine = [point for point in points if (point.sweep, point.command) == (name, command)]
            sizes = [point.at for point in mine]
            axes[0][column].plot(sizes, [point.figures.per_s for point in mine], "o-", color=color, label=command)
            for field, style in (("p50_ms", "o-"), ("p99_ms", "o:")):
                times = [getattr(point.figures, field) for point in mine]
                axes[1][column].plot(sizes, times, style, color=color, label=f"{command} {field[:3]}")
        axes[0][column].set_title(name)
        for axis in (axes[0][column], axes[1][column]):
            axis.set_yscale("log")
            if name != "nodes":
                axis.set_xscale("log")
    axes[0][0].set_ylabel("requests/s")
    axes[1][0].set_ylabel("ms")
    axes[0][0].legend(fontsize=7)
    axes[1][0].legend(fontsize=7)
    figure.savefig(directory / "growth.png", dpi=110)
    pyplot.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", nargs="*", metavar="SWEEP", help=f"of {', '.join(SIZES)}; none: all")
    parser.add_argument("--most", type=int, default=10**9, help="largest size of what grows")
    parser.add_argument("--quick", action="store_true", help="one short round instead of three")
    parser.add_argument("--dir", type=Path, default=None, help="where the data goes while it runs")
    parser.add_argument("--out", type=Path, default=OUT, help="where the results go (default: out/growth)")
    options = parser.parse_args()
    names = options.sweeps or list(SIZES)
    if unknown := [name for name in names if name not in SIZES]:
        parser.error(f"no such sweep: {', '.join(unknown)}; there are {', '.join(SIZES)}")
    console = Console(width=None if sys.stdout.isatty() else 140, log_path=False)
    if shutil.which("redis-benchmark") is None:
        console.print("growth: redis-benchmark was not found (Debian: apt-get install redis-tools)")
        return 2
    started = time.monotonic()
    rounds, seconds = (1, 0.5) if options.quick else (ROUNDS, SECONDS)
    try:
        with tempfile.TemporaryDirectory(prefix="paxosstore-growth-", dir=options.dir) as directory:
            points = run(names, options.most, rounds, seconds, Path(directory), console.log)
    except BenchError as error:
        console.print(f"growth: {error}", style="bold red")
        return 2
    show(points, console)
    save(points, options.out)
    console.print(f"saved under {options.out}; {time.monotonic() - started:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
