"""What may wait for the disk, beside the loop: a disk that does not answer holds up a thread of its own, and nothing else."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from ..core.interface.event import WritesAllowed
from ..core.shard.shard import Shard
from ..core.turn.budget import Job

log = logging.getLogger(__name__)

CHECK_S = 0.5
CLOSE_S = 5.0
"""How long a stop waits for the disk."""

ROOM = 4
"""Times what is needed: with less, room is made as quickly as possible."""

T = TypeVar("T")


async def beside(work: Callable[[], T]) -> T:
    """Do something that may block. When nobody waits any more, its thread is left alone; it does not keep the process."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)

    threading.Thread(target=run, name="paxosstore-disk", daemon=True).start()
    return await asyncio.wrap_future(done)


async def close_in_time(close: Callable[[], None], path: Path, wait_s: float) -> None:
    """Close what is on a disk, and do not wait for longer than so. It is closed later then, when the disk answers."""
    try:
        async with asyncio.timeout(wait_s):
            await beside(close)
    except TimeoutError:
        log.warning("%s: the disk does not answer: stopped without it; nothing that was acknowledged is lost", path)


async def watch_room(path: Path, least_bytes: int, shard: Shard, step: Callable[[WritesAllowed], None]) -> None:
    """Refuse writes while the disk is almost full, before the store itself fails; take them again when there is room.

    Before that, the log's expiry is made urgent: requests do not slow it down any more.
    """
    urgent = shard.context.budget.urgent
    trouble: int | None = None
    while True:
        try:
            stat = await beside(lambda: os.statvfs(path))
        except OSError as error:
            if isinstance(error, FileNotFoundError) and trouble != error.errno:
                log.error("%s is not there any more: start this node again: it comes back as one that lost its disk", path)
            elif trouble != error.errno:
                log.warning("%s: how much room there is cannot be found out: %s", path, error.strerror)
            trouble = error.errno
        else:
            trouble = None
            free = stat.f_bavail * stat.f_frsize
            (urgent.add if free < ROOM * least_bytes else urgent.discard)(Job.LOG_EXPIRY)
            refused = bool(shard.writes_refused_because)
            if free < least_bytes and not refused:
                reason = f"{path}: {free} bytes free, {least_bytes} are needed: make room"
                log.error("refusing writes: %s", reason)
                step(WritesAllowed(reason))
            elif refused and free >= least_bytes:
                log.info("taking writes again: %d bytes free", free)
                step(WritesAllowed(""))
        await asyncio.sleep(CHECK_S)
