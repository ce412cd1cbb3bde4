"""A progress bar while a node comes back on an empty disk, for whoever started it in a terminal; else the log tells of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..core.turn.reach import duration
from ..runtime.doing import amount

if TYPE_CHECKING:
    from ..core.reentry.progress import Progress
    from ..runtime.node import NodeStatistics

LOOK_S = 0.5


def is_wanted() -> bool:
    """Whether somebody looks on: both what the node says and its log go to a terminal."""
    return sys.stdout.isatty() and sys.stderr.isatty()


async def show_progress(statistics: Callable[[], NodeStatistics]) -> None:
    """Show a bar whenever this node comes back, and take it away when that is over."""
    while True:
        if _is_coming_back(statistics().reentry):
            await _show(statistics)
        await asyncio.sleep(LOOK_S)


def _is_coming_back(now: Progress) -> bool:
    return now.state != "new" and not now.done and bool(now.counting or now.entities)


async def _show(statistics: Callable[[], NodeStatistics]) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("coming back"), BarColumn(bar_width=20), TextColumn("{task.description}")
    # log lines go above the bar: standard error is its own until it ends
    with Bar(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("")
        while _is_coming_back(now := statistics().reentry):
            total = None if now.counting else now.entities
            bar.update(task, total=total, completed=now.passed, description=_told(now), refresh=True)
            await asyncio.sleep(LOOK_S)


def _told(now: Progress) -> str:
    from rich.markup import escape

    if now.waits_for:
        return escape(now.waits_for)
    if now.counting:
        return f"{now.entities} entities so far"
    left = f", {duration(now.eta_s)} left" if now.eta_s >= 0.0 else ""
    return f"{now.passed} of {now.entities} entities, {amount(now.bytes_now)}, {amount(now.bytes_per_s)}/s{left}"
