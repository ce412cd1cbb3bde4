"""A round as a picture: what struck, how the nodes fared, what every client was told, and where no write succeeded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .checks import Gap, gaps, has_changed
from .journal import Operation, Outcome
from .run import CLIENTS, Record
from .schedule import Kind, Track

COLORS = {
    Kind.KILL: "#c0392b",
    Kind.KILL_ALL: "#8e1b10",
    Kind.ROLLING_RESTART: "#e67e66",
    Kind.STOP: "#8e44ad",
    Kind.DISK_FULL: "#7a5c3a",
    Kind.CLOCK_JUMP: "#2a6fbb",
    Kind.DISK_LOST: "#111111",
    Kind.DISK_LOST_AGAIN: "#555555",
    Kind.LEARN_ONLY: "#4c72b0",
    Kind.LONG_ABSENCE: "#d98880",
    Kind.OLD_COPY: "#6c4a8f",
    Kind.ISOLATE: "#e08e0b",
    Kind.SHATTER: "#b9770e",
    Kind.ONE_WAY: "#f0b94a",
    Kind.MUTE: "#c9c23a",
    Kind.LOSS: "#5d8a3a",
    Kind.SLOW: "#3a8a7d",
    Kind.RESET: "#5f6a7d",
}
SLOW_S = 0.1
ENDS: dict[str, tuple[str, Callable[[Operation], bool]]] = {
    "done": ("#4f9a3a", lambda o: o.outcome is Outcome.DONE and not _is_slow(o)),
    f"done after {SLOW_S * 1000:.0f} ms or more": ("#bcdca8", lambda o: o.outcome is Outcome.DONE and _is_slow(o)),
    "refused": ("#f1a33c", lambda o: o.outcome is Outcome.REFUSED),
    "unknown": ("#d62728", lambda o: o.outcome is Outcome.UNKNOWN),
    "wrong": ("#000000", lambda o: o.outcome is Outcome.WRONG),
}
"""How an operation ended: its color, and which they are."""
SHOWN_GAP_S = 0.25
"""Shorter gaps get no mark."""
NAMED_GAP_S = 0.5
"""Shorter gaps get no number."""
BIN_S = 0.1
MAX_DRAWN_S = 120.0
"""A longer round gets a picture of proportional width, up to four times the usual one."""


def draw(record: Record, operations: Sequence[Operation], path: Path) -> None:
    """Save the picture as PNG."""
    import matplotlib  # slow to import, and needed last

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lanes = [2.0, 0.55 * record.nodes, 0.42 * record.first_reader, 1.6]
    width = 17.0 * min(4.0, max(1.0, (record.ended_s - record.started_s) / MAX_DRAWN_S))
    figure, axes = pyplot.subplots(
        4, 1, sharex=True, figsize=(width, sum(lanes) + 1.6), layout="constrained", gridspec_kw={"height_ratios": lanes}
    )
    all_gaps = gaps(operations)
    _draw_faults(axes[0], record)
    _draw_nodes(axes[1], record)
    _draw_clients(axes[2], record, operations)
    _draw_writes(axes[3], record, operations, all_gaps)
    for axis in axes:
        axis.axvline(record.healed_s - record.started_s, color="#222222", linestyle=":", linewidth=1.0)
        axis.margins(x=0.005)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    axes[3].set_xlabel("seconds since the start; dotted: all is healed")
    figure.suptitle(record.title, fontsize=12)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw_faults(axis: Any, record: Record) -> None:
    """Both tracks, with words; neighbours stand on different heights so that their words have room."""
    for row, track in enumerate(Track):
        mine = [struck for struck in record.struck if struck.kind.track is track and not struck.skipped]
        for at, struck in enumerate(mine):
            height = 4.0 * row + at % 3
            began = struck.began_s - record.started_s
            axis.barh(height, struck.ended_s - struck.began_s, 0.9, began, color=COLORS[struck.kind], alpha=0.55)
            axis.text(began + 0.05, height, struck.text, va="center", fontsize=7)
    axis.set_yticks([1.0, 5.0], [f"{track.value}\nfaults" for track in Track])
    axis.set_ylim(7.6, -0.6)


def _draw_nodes(axis: Any, record: Record) -> None:
    """Each node's lane: above what happened to its process, below to its network; hatched: on its way back without its disk."""
    drawn: set[Kind] = set()
    named = False
    for struck in record.struck:
        if struck.skipped:
            continue
        shift = -0.2 if struck.kind.track is Track.PROCESS else 0.2
        for node, began_s, ended_s in struck.node_spans():
            label = None if struck.kind in drawn else struck.kind.value
            drawn.add(struck.kind)
            axis.barh(node + shift, ended_s - began_s, 0.38, began_s - record.started_s, color=COLORS[struck.kind], label=label)
        if struck.way_back_s:
            began_s, label, named = struck.started_s - record.started_s, None if named else "on its way back", True
            way = axis.barh(struck.nodes[0] + shift, struck.way_back_s, 0.38, began_s, fill=False, hatch="////", label=label)
            way[0].set_edgecolor(COLORS[struck.kind])
    axis.set_yticks(range(record.nodes), [f"node {node}" for node in range(record.nodes)])
    axis.set_ylim(record.nodes - 0.45, -0.55)
    if drawn:
        axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.05), frameon=False)


def _draw_clients(axis: Any, record: Record, operations: Sequence[Operation]) -> None:
    """Each client's lane: a bar from call to end for each operation."""
    end_s = record.ended_s
    for at, (end, (color, belongs)) in enumerate(ENDS.items()):
        bars = [o for o in operations if belongs(o) and o.client < record.first_reader]
        if not bars:
            continue
        spans = [(o.called_s - record.started_s, (o.returned_s or end_s) - o.called_s, o.client) for o in bars]
        height = 0.55 if end.startswith("done") else 0.8
        axis.barh(
            [client for _, _, client in spans],
            [max(0.01, lasted) for _, lasted, _ in spans],
            height,
            [began for began, _, _ in spans],
            color=color,
            label=f"{end} ({len(bars):,})",
            zorder=2 + at,
            rasterized=True,
        )
    clients = range(record.first_reader)
    axis.set_yticks(clients, [f"{service} {client}" for client, service in enumerate(CLIENTS)])
    axis.set_ylim(record.first_reader - 0.5, -0.5)
    axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.05), frameon=False)


def _is_slow(operation: Operation) -> bool:
    return operation.returned_s is not None and operation.returned_s - operation.called_s >= SLOW_S


def _draw_writes(axis: Any, record: Record, operations: Sequence[Operation], all_gaps: Sequence[Gap]) -> None:
    """Successful writes per second, and the gaps between them."""
    ends = [
        o.returned_s - record.started_s
        for o in operations
        if has_changed(o) and o.returned_s is not None and o.client < record.first_reader
    ]
    bins = int((record.ended_s - record.started_s) / BIN_S) + 1
    counts = [0.0] * bins
    for end in ends:
        counts[int(end / BIN_S)] += 1.0 / BIN_S
    axis.step([at * BIN_S for at in range(bins)], counts, where="post", color="#2a6fbb", linewidth=0.8)
    top = max(counts, default=1.0)
    for gap in all_gaps:
        if gap.seconds >= SHOWN_GAP_S:
            began = gap.began_s - record.started_s
            axis.axvspan(began, began + gap.seconds, color="#d62728", alpha=0.25, linewidth=0)
            if gap.seconds >= NAMED_GAP_S:
                axis.text(began + gap.seconds / 2, top * 1.02, f"{gap.seconds:.1f} s", fontsize=7, color="#a01010", ha="center")
    axis.set_ylim(0, top * 1.1)
    axis.set_ylabel("writes/s")
