"""The figures as a table in the terminal, as markdown and as a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

import kinds
from kinds import Kind, kind_lines
from load import COMMANDS, KEYSPACE, LOADS, VALUE_BYTES, Load, Row, Runs, median
from resources import Gap, Memory

NOT_MEASURED = "–"


class Target(NamedTuple):
    """A figure that has to be reached."""

    name: str
    figure: float
    bound: float
    at_least: bool

    @property
    def met(self) -> bool:
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound

    @property
    def wanted(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}"


ETCD_TARGETS = (
    ("SET", 1, 1.5),
    ("SET", 50, 3.5),
    ("SET", 256, 3.5),
    ("GET", 1, 3.0),
    ("GET", 50, 7.0),
    ("GET", 256, 8.0),
)
REDIS_TARGETS = (
    ("SET", Load(256, 1), 0.40),
    ("GET", Load(256, 1), 0.70),
    ("SET", Load(50, 16), 0.25),
    ("GET", Load(50, 16), 0.30),
)
CPU_TARGETS = ((1, 0.5), (256, 0.25))
"""Connections, and the bound."""


@dataclass(frozen=True, slots=True)
class Result:
    """Everything one run found."""

    rows: Sequence[Row]
    kinds: Sequence[Kind]
    memory: Memory
    start_s: float
    gaps: Sequence[Gap]
    machine: str

    def row(self, command: str, connections: int, pipeline: int = 1) -> Row:
        return next(r for r in self.rows if r.command == command and r.load == (connections, pipeline))

    @property
    def targets(self) -> list[Target]:
        longest_ms = max(gap.gap_ms for gap in self.gaps)
        return [
            *(target for at in ETCD_TARGETS if (target := self._beside_etcd(*at)) is not None),
            *(
                Target(f"{row.command} at {row.load}, of Redis's", row.throughput_ratio(row.redis), bound, True)
                for row, bound in [(self.row(command, *load), bound) for command, load, bound in REDIS_TARGETS]
            ),
            *(target for at in CPU_TARGETS if (target := self._processors(*at)) is not None),
            Target("longest gap in writes after kill -9, ms", longest_ms, 20.0, False),
            Target("memory of an idle node, MB", self.memory.idle_mb, 120.0, False),
            Target("memory added by 100,000 keys of 100 B, MB", self.memory.added_mb, 60.0, False),
            Target("three nodes started at once, all serving, s", self.start_s, 1.5, False),
        ]

    def _beside_etcd(self, command: str, connections: int, bound: float) -> Target | None:
        row = self.row(command, connections)
        if not row.etcd.figures:
            return None
        return Target(f"{command} at {connections}, of etcd's", row.throughput_ratio(row.etcd), bound, True)

    def _processors(self, connections: int, bound: float) -> Target | None:
        row = self.row("SET", connections)
        if not row.etcd.figures:
            return None
        name = f"processor time of SETs at {connections}, of etcd's"
        return Target(name, row.ours.median_cpu_s / row.etcd.median_cpu_s, bound, False)


THROUGHPUT_HEAD = (
    "",
    "clients",
    "ours /s",
    "p50 ms",
    "p99 ms",
    "of Redis",
    "of etcd",
    "Redis /s",
    "p50 ms",
    "p99 ms",
    "etcd /s",
    "p50 ms",
    "p99 ms",
)
THROUGHPUT_NOTE = (
    f"Values of {VALUE_BYTES} B, {KEYSPACE:,} keys. Three durable nodes beside one redis-server with appendfsync always and no "
    "replica, and three nodes of etcd; the load generators share the machine. Medians of all rounds."
)
COST_HEAD = ("", "clients", "ours", "Redis", "etcd", "per entry")
COST_NOTE = (
    "Processor seconds of all its processes for 10,000 requests. "
    "Per entry: requests that one entry (SET) or one read question (GET) carried."
)


def throughput_lines(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    return [
        (
            row.command,
            str(row.load),
            *_figures(row.ours),
            _ratio(row, row.redis),
            _ratio(row, row.etcd),
            *_figures(row.redis),
            *_figures(row.etcd),
        )
        for row in rows
    ]


def cost_lines(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    return [
        (
            row.command,
            str(row.load),
            *(f"{runs.median_cpu_s:.2f}" if runs.cpu_s else NOT_MEASURED for runs in (row.ours, row.redis, row.etcd)),
            f"{row.per_round:.1f}" if row.rounds else NOT_MEASURED,
        )
        for row in rows
    ]


def _figures(runs: Runs) -> tuple[str, ...]:
    if not runs.figures:
        return (NOT_MEASURED,) * 3
    middle = runs.median
    return f"{middle.per_s:,.0f}", f"{middle.p50_ms:.2f}", f"{middle.p99_ms:.2f}"


def _ratio(row: Row, other: Runs) -> str:
    return f"{row.throughput_ratio(other):.2f}" if other.figures else NOT_MEASURED


TARGET_HEAD = ("target", "wanted", "measured", "")


def target_lines(result: Result) -> list[tuple[str, ...]]:
    return [(t.name, t.wanted, f"{t.figure:.2f}", "met" if t.met else "MISSED") for t in result.targets]


def other_lines(result: Result) -> list[str]:
    """What is reported without a target."""
    gaps = ", ".join(f"{gap.gap_ms:.0f}" for gap in result.gaps)
    usual = max(gap.usual_ms for gap in result.gaps)
    restarts = ", ".join(f"{gap.restart_s:.2f}" for gap in result.gaps)
    return [
        f"longest gap in writes after SIGKILL of the preferred proposer: {gaps} ms (before the kill: {usual:.0f} ms at most)",
        f"a killed node serves again after {restarts} s",
        result.machine,
    ]


def show(result: Result, console: Console) -> None:
    for title, head, lines in (
        ("Throughput and latency", THROUGHPUT_HEAD, throughput_lines(result.rows)),
        ("Processor time", COST_HEAD, cost_lines(result.rows)),
        ("Kinds of keys", kinds.HEAD, kind_lines(result.kinds)),
        ("Targets", TARGET_HEAD, target_lines(result)),
    ):
        table = Table(title=title, title_justify="left")
        for at, name in enumerate(head):
            table.add_column(name, justify="left" if at == 0 else "right")
        for line in lines:
            table.add_row(*line, style="bold red" if line[-1] == "MISSED" else None)
        console.print(table)
    for text in (THROUGHPUT_NOTE, COST_NOTE, kinds.NOTE, *other_lines(result)):
        console.print(text)


def save(result: Result, directory: Path) -> None:
    """bench.md, bench.json and bench.png."""
    directory.mkdir(parents=True, exist_ok=True)
    parts = [_markdown(THROUGHPUT_HEAD, throughput_lines(result.rows)), THROUGHPUT_NOTE]
    parts += [_markdown(COST_HEAD, cost_lines(result.rows)), COST_NOTE]
    parts += [_markdown(kinds.HEAD, kind_lines(result.kinds)), kinds.NOTE]
    parts += [_markdown(TARGET_HEAD, target_lines(result)), *(f"- {text}" for text in other_lines(result))]
    (directory / "bench.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    raw = {
        "rows": [
            {
                "command": row.command,
                "connections": row.load.connections,
                "pipeline": row.load.pipeline,
                **{
                    name: {"runs": [figures._asdict() for figures in runs.figures], "processor_s": runs.cpu_s}
                    for name, runs in (("ours", row.ours), ("redis", row.redis), ("etcd", row.etcd))
                },
                "per_entry": row.per_round,
            }
            for row in result.rows
        ],
        "kinds": [{"command": kind.name, "ours": kind.ours, "redis": kind.redis} for kind in result.kinds],
        "memory": result.memory._asdict(),
        "start_s": result.start_s,
        "gaps": [gap._asdict() for gap in result.gaps],
        "machine": result.machine,
    }
    (directory / "bench.json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    _plot(result.rows, directory / "bench.png")


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---" if at == 0 else "--:" for at in range(len(head))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *lines))


BAR = 0.28
SYSTEMS = (
    ("etcd", "etcd, three nodes", "#8a8a8a"),
    ("ours", "PaxosStore, three nodes", "#2a6fbb"),
    ("redis", "Redis, one node", "#c0504d"),
)


def _plot(rows: Sequence[Row], path: Path) -> None:
    import matplotlib  # slow to import, and needed last

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(COMMANDS), figsize=(10, 7), layout="constrained")
    names = [str(load) for load in LOADS]
    for column, command in enumerate(COMMANDS):
        mine = [row for row in rows if row.command == command]
        for line, (title, field) in enumerate((("requests/s", "per_s"), ("p99, ms", "p99_ms"))):
            axis = axes[line][column]
            for at, (system, label, color) in enumerate(SYSTEMS):
                runs = [getattr(row, system).figures for row in mine]
                heights = [getattr(median(run), field) if run else 0.0 for run in runs]
                places = [place + BAR * (at - 1) for place in range(len(names))]
                bars = axis.bar(places, heights, BAR, label=label, color=color)
                texts = [f"{h / 1000:.1f}k" if h >= 1000 else f"{h:.2g}" if h else "" for h in heights]
                axis.bar_label(bars, texts, fontsize=6)
            axis.set_yscale("log")
            axis.set_xticks(range(len(names)), names)
            axis.set_title(f"{command}: {title}")
            axis.margins(y=0.15)
        axes[1][column].set_xlabel("connections (× pipelined)")
    axes[0][0].legend(fontsize=8)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
