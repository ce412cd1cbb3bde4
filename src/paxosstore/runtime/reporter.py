"""What an operator has to hear of unasked: in the log, when it begins, now and then while it lasts, and when it is over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..core.reentry.progress import Progress
from ..core.turn.reach import duration
from .doing import NEW, amount, describe_reentry, describe_transfers
from .inspection import NodeStatistics
from .timekeeper import ClockStatus

log = logging.getLogger(__name__)

LOOK_S = 1.0
PROGRESS_S = 10.0
"""What goes on is told of so often."""
WAITS_S = 60.0
"""Whom this node waits for is said again after so long, and at once when that changes."""
REPEAT_S = 600.0
"""What somebody has to do something about is said again after so long."""
DAY_S = 86_400.0
"""What was said once, loudly, is said again after so long."""
NEVER_S = -1e18


class Reporter:
    """Compares what the node tells of itself with what it told before."""

    def __init__(self, statistics: Callable[[], NodeStatistics]) -> None:
        self._statistics = statistics
        self._said: dict[str, tuple[str, float]] = {}
        """Subject -> what was said of it last, and when."""
        self._before: Progress | None = None
        """The last moment at which this node was not a member like any other."""
        self._reentries = 0

    async def run(self) -> None:
        """Look, for as long as the node runs."""
        now_s = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(LOOK_S)
            self.look(self._statistics(), now_s())

    def look(self, now: NodeStatistics, now_s: float) -> None:
        """Say what is new, or has not been said for long."""
        for entity, why in now.stopped.items():
            self._say(f"stopped {entity}", why, logging.ERROR, now_s, REPEAT_S)
        for entity, how in now.differing.items():
            self._say(f"differs {entity}", f"THE DATA OF THE REPLICAS DIFFERS: {how}", logging.ERROR, now_s, DAY_S)
        quickly, self._reentries = now.counters["reentries"] > self._reentries, now.counters["reentries"]
        self._look_at_reentry(now.node, now.reentry, now_s, quickly=quickly)
        for transfer in now.transfers:
            subject, begun = f"copy {transfer.entity} {transfer.peer}", transfer.seconds >= PROGRESS_S
            if begun and now_s >= self._said.get(subject, ("", NEVER_S))[1] + PROGRESS_S:
                self._say(subject, next(describe_transfers([transfer])), logging.INFO, now_s, PROGRESS_S)
        self._look_at_clocks(now.clock, now_s)
        if now.log_kept.trouble:
            self._say("expiry", f"the log cannot be cut: {now.log_kept.trouble}", logging.WARNING, now_s, REPEAT_S)

    def _look_at_clocks(self, now: ClockStatus, now_s: float) -> None:
        """Said again when it becomes another matter; that a figure changes is none."""
        if now.trouble:
            self._say("clocks", now.trouble, logging.WARNING, now_s, REPEAT_S, matter=now.matter)
        elif self._said.pop("clocks", None) is not None:
            log.info("the clocks agree again")

    def _look_at_reentry(self, node: int, now: Progress, now_s: float, *, quickly: bool) -> None:
        """`quickly`: it has begun since the last look, and may be over already."""
        before, self._before = self._before, None if now.done else now
        if now.waits_for:
            self._say("waits", f"node {node} {now.waits_for}", logging.WARNING, now_s, WAITS_S)
        elif now.done:
            if before is not None or quickly:
                log.info("%s", _over(node, before or now, now))
                self._said.pop("waits", None)
        elif before is None or before.state == NEW or now_s >= self._said.get("back", ("", NEVER_S))[1] + PROGRESS_S:
            self._say("back", f"node {node} {next(describe_reentry(now))}", logging.INFO, now_s, PROGRESS_S)

    def _say(self, subject: str, text: str, level: int, now_s: float, again_s: float, matter: str = "") -> None:
        """`matter`: what makes it another one, if that is not the text."""
        said, at_s = self._said.get(subject, ("", NEVER_S))
        if (matter or text) != said or now_s >= at_s + again_s:
            self._said[subject] = matter or text, now_s
            log.log(level, "%s", text)


def _over(node: int, before: Progress, now: Progress) -> str:
    if before.state == NEW and not now.entities:
        return "the cluster begins: all of its nodes are there, and know each other"
    if not now.passed_now:
        return f"node {node} is a member: the others know its disk"
    return (
        f"node {node} is a member again: {now.passed_now} entities are back, {amount(now.bytes_now)} learned "
        f"in {duration(now.seconds)}"
    )
