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
from load import COMMANDS, LOADS, Row, median
from resources import Gap, Memory


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


@dataclass(frozen=True, slots=True)
class Result:
    """Everything one run found."""

    rows: Sequence[Row]
    kinds: Sequence[Kind]
    memory: Memory
    start_s: float
    gaps: Sequence[Gap]
    machine: str

    def row(self, command: str, connections: int) -> Row:
        return next(r for r in self.rows if r.command == command and r.load == (connections, 1))

    @property
    def targets(self) -> list[Target]:
        return [
            Target("SET at 256 connections, of Redis's", self.row("SET", 256).throughput_ratio, 0.20, True),
            Target("linearizable GET at 256 connections, of Redis's", self.row("GET", 256).throughput_ratio, 0.25, True),
            Target("SET p50 at one connection, times Redis's", self.row("SET", 1).latency_ratio("p50_ms"), 4.0, False),
            Target("memory of an idle node, MB", self.memory.idle_mb, 120.0, False),
            Target("memory added by 100,000 keys of 100 B, MB", self.memory.added_mb, 60.0, False),
            Target("three nodes started at once, all serving, s", self.start_s, 1.5, False),
        ]


THROUGHPUT_HEAD = (
    "",
    "connections",
    "ours /s",
    "p50 ms",
    "p99 ms",
    "Redis /s",
    "p50 ms",
    "p99 ms",
    "/s ratio",
    "p50 ratio",
    "p99 ratio",
    "per entry",
)
THROUGHPUT_NOTE = (
    "Three durable nodes on one machine beside one redis-server with appendfsync always; the load generator shares the machine. "
    "Per entry: requests that one entry (SET) or one read question (GET) carried. Medians of all rounds."
)


def throughput_lines(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    lines = []
    for row in rows:
        ours, redis = median(row.ours), median(row.redis)
        lines.append(
            (
                row.command,
                str(row.load),
                *(f"{ours.per_s:,.0f}", f"{ours.p50_ms:.2f}", f"{ours.p99_ms:.2f}"),
                *(f"{redis.per_s:,.0f}", f"{redis.p50_ms:.2f}", f"{redis.p99_ms:.2f}"),
                f"{row.throughput_ratio:.2f}",
                *(f"{row.latency_ratio(name):.1f}" for name in ("p50_ms", "p99_ms")),
                f"{row.per_round:.1f}" if row.rounds else "–",
            )
        )
    return lines


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
        ("Kinds of keys", kinds.HEAD, kind_lines(result.kinds)),
        ("Targets", TARGET_HEAD, target_lines(result)),
    ):
        table = Table(title=title, title_justify="left")
        for at, name in enumerate(head):
            table.add_column(name, justify="left" if at == 0 else "right")
        for line in lines:
            table.add_row(*line, style="bold red" if line[-1] == "MISSED" else None)
        console.print(table)
    for text in (THROUGHPUT_NOTE, kinds.NOTE, *other_lines(result)):
        console.print(text)


def save(result: Result, directory: Path) -> None:
    """bench.md, bench.json and bench.png."""
    directory.mkdir(parents=True, exist_ok=True)
    parts = [_markdown(THROUGHPUT_HEAD, throughput_lines(result.rows)), THROUGHPUT_NOTE]
    parts += [_markdown(kinds.HEAD, kind_lines(result.kinds)), kinds.NOTE]
    parts += [_markdown(TARGET_HEAD, target_lines(result)), *(f"- {text}" for text in other_lines(result))]
    (directory / "bench.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    raw = {
        "rows": [
            {
                "command": row.command,
                "connections": row.load.connections,
                "pipeline": row.load.pipeline,
                "ours": [figures._asdict() for figures in row.ours],
                "redis": [figures._asdict() for figures in row.redis],
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
            for shift, (label, color) in enumerate((("PaxosStore, three nodes", "#2a6fbb"), ("Redis, one node", "#c0504d"))):
                runs = [row.redis if shift else row.ours for row in mine]
                heights = [getattr(median(run), field) for run in runs]
                bars = axis.bar([at + 0.4 * shift - 0.2 for at in range(len(names))], heights, 0.4, label=label, color=color)
                axis.bar_label(bars, [f"{h / 1000:.1f}k" if h >= 1000 else f"{h:.2g}" for h in heights], fontsize=7)
            axis.set_yscale("log")
            axis.set_xticks(range(len(names)), names)
            axis.set_title(f"{command}: {title}")
            axis.margins(y=0.15)
        axes[1][column].set_xlabel("connections (× pipelined)")
    axes[0][0].legend(fontsize=8)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
