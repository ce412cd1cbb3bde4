"""The turn: everything that has arrived is stepped, written once, synced once, and released in order.

    gather ─► step ─► release early ─► write ─► sync (in a thread, while the next turn gathers) ─► release late ─► load

One turn at a time. The busier the node, the more a turn holds, the cheaper each request. A turn that took in a single event syncs
on the loop: there is little to gather, and a thread's two wake-ups would be a tenth of a lone write's latency.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from ..core.entity import NEVER
from ..core.event import Event
from ..core.message import Message
from ..core.ready import Apply, Release
from ..core.request import Request
from ..core.shard import Shard
from ..errors import PaxosStoreError
from ..storage.api import Store
from ..storage.turn import Turn
from .histogram import COUNTS, MILLISECONDS, Histogram

log = logging.getLogger(__name__)

QUICK_SYNC_MS = 1.0
"""A sync may run on the loop if the one before was this quick: a slow disk keeps it from its peers' pings once, not for long."""
EXIT_DISK_FAILED = 74
"""The process's exit code after a failed sync or damaged data (rule 8)."""


def now_ms() -> float:
    """Monotonic time: the only clock that decides anything."""
    return time.monotonic() * 1000.0


def _wall_ms() -> int:
    return int(time.time() * 1000)


def end_process(reason: str) -> None:
    """Stop at once: after a failed sync nothing that is in memory may be shown any more (rule 8)."""
    log.critical("stopping: %s", reason)
    logging.shutdown()
    os._exit(EXIT_DISK_FAILED)


class Syncer:
    """Runs `sync`, one at a time, and tells the loop how it ended."""

    def __init__(self, sync: Callable[[], None], done: Callable[[Exception | None], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._sync = sync
        self._done = done
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="paxosstore-sync", daemon=True)
        self._thread.start()

    def in_thread(self) -> None:
        """Sync off the loop."""
        self._wanted.put(True)

    def here(self) -> None:
        """Sync at once, on the loop."""
        self._done(self._try())

    def close(self) -> None:
        self._wanted.put(False)
        self._thread.join()

    def _serve(self) -> None:
        while self._wanted.get():
            error = self._try()
            try:
                self._loop.call_soon_threadsafe(self._done, error)
            except RuntimeError:  # the loop is closed: nobody waits
                return

    def _try(self) -> Exception | None:
        try:
            self._sync()
        except Exception as error:
            return error
        return None


class TurnLoop:
    """Drives one shard and its store."""

    def __init__(
        self,
        shard: Shard,
        store: Store,
        send: Callable[[dict[int, list[Message]]], None],
        fatal: Callable[[str], None] = end_process,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._shard = shard
        self._turn = Turn(shard, store, self._release, self._applied)
        self._send = send
        self._fatal = fatal
        self._inbox: list[Event | Request] = []
        self._scheduled = False
        self._sync_started_ms = 0.0
        self._last_sync_ms = math.inf
        """How long the last sync took."""
        self._sync = Syncer(store.sync, self._synced)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_ms = NEVER
        self._closed = False
        """No turn begins any more."""
        self._idle = asyncio.Event()
        """Set when the last turn of a closed loop is over."""
        self.on_told: list[Callable[[], None]] = []
        """Called when a release has settled requests: services write their replies, joined, before the turn goes to the disk."""
        self.on_applied: list[Callable[[Iterable[int]], None]] = []
        """Called with the entities to which a turn has applied something."""
        self.turn_ms = Histogram(MILLISECONDS)
        self.sync_ms = Histogram(MILLISECONDS)
        self.events_per_turn = Histogram(COUNTS)

    def step(self, event: Event | Request) -> None:
        """Let the next turn take this in."""
        self._inbox.append(event)
        if not self._turn.syncing:
            self._schedule()

    @property
    def waiting(self) -> int:
        """Events that no turn has taken in yet."""
        return len(self._inbox)

    async def close(self) -> None:
        """Finish the turn under way, end every request that waits, and stop."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._turn.syncing:
            await self._idle.wait()
        self._sync.close()
        self._release(self._shard.stop(event for event in self._inbox if isinstance(event, Request)))

    def abandon(self) -> None:
        """The loop was closed before this was: end the thread, nobody waits for anything else."""
        self._closed = True
        self._sync.close()

    # -- the turn

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._scheduled = False
        if self._turn.syncing or self._closed:
            return
        started = now_ms()
        inbox, self._inbox = self._inbox, []
        try:
            needs_sync = self._turn.begin(inbox, started, _wall_ms())
        except Exception as error:  # half a turn: what is in memory is not what is on the disk
            self._broken(error)
            return
        self._sync_started_ms = now_ms()
        self.turn_ms.observe(self._sync_started_ms - started)
        self.events_per_turn.observe(len(inbox))
        if not needs_sync:
            self._finish()
        elif len(inbox) == 1 and self._last_sync_ms < QUICK_SYNC_MS:
            self._sync.here()
        else:
            self._sync.in_thread()

    def _synced(self, error: Exception | None) -> None:
        if error is not None:
            self._end(f"the sync of the log failed: {error}")
            return
        self._last_sync_ms = now_ms() - self._sync_started_ms
        self.sync_ms.observe(self._last_sync_ms)
        self._finish()

    def _finish(self) -> None:
        now = now_ms()
        try:
            self._inbox += self._turn.finish(now, _wall_ms())
        except Exception as error:
            self._broken(error)
            return
        if self._closed:
            self._idle.set()
            return
        if self._inbox:
            self._schedule()
        else:
            self._set_timer(now)

    def _broken(self, error: Exception) -> None:
        if isinstance(error, PaxosStoreError):
            self._end(f"the store could not be read: {error}")
        else:
            log.critical("a turn broke", exc_info=error)
            self._end(f"a turn broke: {type(error).__name__}: {error}")

    def _end(self, reason: str) -> None:
        """No turn any more: what is in memory may not be shown. The process ends here, unless its owner has other wishes."""
        self._closed = True
        self._idle.set()
        self._fatal(reason)

    def _release(self, release: Release) -> None:
        if release.messages:
            by_peer: dict[int, list[Message]] = {}
            for peer, message in release.messages:
                by_peer.setdefault(peer, []).append(message)
            self._send(by_peer)
        for request, reply, error in release.outcomes:
            try:
                request.settle(reply, error)
            except Exception:
                log.exception("a request could not take its outcome")
        if release.outcomes:
            for told in self.on_told:
                try:
                    told()
                except Exception:
                    log.exception("a service could not write its replies")

    def _applied(self, applies: Sequence[Apply]) -> None:
        entities = {apply.entity for apply in applies} if self.on_applied else ()
        for follow in self.on_applied:
            try:
                follow(entities)
            except Exception:
                log.exception("a service could not follow what was applied")

    # -- time

    def _set_timer(self, now: float) -> None:
        due = self._shard.next_deadline_ms
        if self._timer is not None:
            if self._timer_at_ms <= due:
                return  # it wakes up early enough, and looks again
            self._timer.cancel()
            self._timer = None
        if due != NEVER:
            self._timer_at_ms = due
            # whole milliseconds, rounded up: the loop's timers know no finer ones, and one that fires early is a turn for nothing
            self._timer = self._loop.call_later(max(1, math.ceil(due - now)) / 1000.0, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if not self._scheduled and not self._turn.syncing:
            self._begin()
