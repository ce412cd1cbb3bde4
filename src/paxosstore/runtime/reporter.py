"""What an operator has to hear of unasked: in the log, when it begins, now and then while it lasts, and when it is over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from .inspection import NodeStatistics

log = logging.getLogger(__name__)

LOOK_S = 1.0
REPEAT_S = 600.0
"""What somebody has to do something about is said again after so long."""


class Reporter:
    """Compares what the node tells of itself with what it told before."""

    def __init__(self, statistics: Callable[[], NodeStatistics]) -> None:
        self._statistics = statistics
        self._stopped: dict[int, float] = {}
        """Entity -> when that was said last."""

    async def run(self) -> None:
        """Look, for as long as the node runs."""
        now_s = asyncio.get_running_loop().time
        while True:
            self.look(self._statistics(), now_s())
            await asyncio.sleep(LOOK_S)

    def look(self, now: NodeStatistics, now_s: float) -> None:
        """Say what is new, or has not been said for long."""
        for entity, why in now.stopped.items():
            if now_s >= self._stopped.get(entity, now_s - REPEAT_S) + REPEAT_S:
                self._stopped[entity] = now_s
                log.error("THE REPLICAS DIFFER: %s", why)
