"""Waiting until a node can serve, and saying meanwhile for whom it waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from ..errors import NoQuorum
from .loop import now_ms

log = logging.getLogger(__name__)

FIRST_WORD_MS = 1_000.0
"""After which a node that waits for its peers says so."""
WORD_INTERVAL_MS = 10_000.0
LOOK_MS = 50.0
"""How often it is looked whether the node has become a member: nobody says so."""


async def wait_until_ready(node: int, missing: Callable[[], str], met: asyncio.Event, limit_ms: float | None) -> None:
    """Wait until nothing is missing; `met` is set when there may be news. Raises NoQuorum after `limit_ms`."""
    begun, word_ms = now_ms(), FIRST_WORD_MS
    while what := missing():
        waited_ms = now_ms() - begun
        if limit_ms is not None and waited_ms >= limit_ms:
            raise NoQuorum(f"{what}: start these nodes, or look why they are not reached")
        if waited_ms >= word_ms:
            log.warning("node %d waits for its peers: %s", node, what)
            word_ms += WORD_INTERVAL_MS
        until_ms = min(word_ms, waited_ms + LOOK_MS) if limit_ms is None else min(word_ms, limit_ms, waited_ms + LOOK_MS)
        met.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until_ms - waited_ms) / 1000.0):
                await met.wait()
