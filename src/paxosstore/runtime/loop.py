"""The turn: everything that has arrived is stepped, written once, synced once, and released in order.

    gather ─► step ─► release early ─► write ─► sync (in a thread, while the next turn gathers) ─► release late ─► load

What happens when is `storage/driver.py`; here are its clock, its callbacks, its thread and its end. For the sync of a turn that
took in a single event the loop waits where it is, if the disk is quick: there is little to gather, and to be called back would be
a good part of a lone write's latency.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from ..core.batch.published import Published
from ..core.batch.request import Request
from ..core.interface.event import Event, Tick
from ..core.interface.message import Message
from ..core.interface.ready import Apply, Change, Release
from ..core.shard.shard import Shard
from ..errors import Damaged, Overloaded, PaxosStoreError
from ..storage.api import Store
from ..storage.driver import Driver
from .feed import Feed
from .histogram import COUNTS, MILLISECONDS, Histogram
from .syncer import Syncer
from .timekeeper import clock_ms
from .warmer import Warmer

log = logging.getLogger(__name__)

QUICK_SYNC_MS = 1.0
"""The loop may wait for a sync if the one before was this quick."""
LONE_WAIT_MS = 2.0
"""So long at most: a disk that is slow all of a sudden must not keep the loop from anything else."""
GULP_MS: Final = 10.0
"""While a sync takes long, what only time has brought is looked at so often at most."""
READS_MS: Final = 5.0
"""The loop reads for so long, and then it does what else there is: a disk that is slow to read holds it up for one read more."""
SILENT_MS: Final = 1_000.0
"""A disk that has not answered for so long is worth a line in the log."""
CLOSE_WAIT_S = 1.0
"""How long a stop waits for the sync under way."""
EXIT_DISK_FAILED: Final = 74
"""The process's exit code after a failed sync or damaged data (rule 8)."""


def now_ms() -> float:
    """Monotonic time: the only clock that decides anything."""
    return time.monotonic() * 1000.0


def end_process(reason: str) -> None:
    """Stop at once: after a failed sync nothing that is in memory may be shown any more (rule 8)."""
    log.critical("stopping: %s", reason)
    logging.shutdown()
    os._exit(EXIT_DISK_FAILED)


class TurnLoop:
    """One shard and its store in an asyncio loop: the host of their driver."""

    def __init__(
        self,
        shard: Shard,
        store: Store,
        send: Callable[[dict[int, list[Message]]], None],
        fatal: Callable[[str], None] = end_process,
        feed: Feed | None = None,
        wall_ms: Callable[[], int] = lambda: int(clock_ms()),
    ) -> None:
        """`wall_ms`: the time that requests are shown (rule 20)."""
        self.feed = Feed(shard.context.me) if feed is None else feed
        """Told what is applied."""
        self._loop = asyncio.get_running_loop()
        self._shard = shard
        self._driver = Driver(shard, store, self, GULP_MS)
        self.step: Callable[[Event | Request], None] = self._driver.step
        """Let the next turn take this in."""
        self.unsynced: Callable[[int], int] = self._driver.unsynced
        """As `Turn.unsynced`."""
        self.inbox = self._driver.inbox
        self._send = send
        self._fatal = fatal
        self.wall_ms = wall_ms
        self._turn_started_ms = 0.0
        self._sync_started_ms = 0.0
        self._last_sync_ms = math.inf
        """How long the last sync took."""
        self._sync = Syncer(store.sync, self._synced)
        self._warmer = Warmer(store.warm, lambda entities: self._run(partial(self._driver.warmed, entities)))
        self._background_work = 0
        """What jobs in the background had done until the last turn."""
        self._silence_said = False
        self._watch: asyncio.TimerHandle | None = None
        """Looks whether a sync takes long."""
        self._closed = False
        """No turn begins any more."""
        self._left = False
        """Nor does one end."""
        self._idle = asyncio.Event()
        """Set when the last turn of a closed loop is over."""
        self.on_told: list[Callable[[], None]] = []
        """Called when a release has settled requests: services write their replies, joined, before the turn goes to the disk."""
        self.on_published: Callable[[list[Published]], None] = lambda messages: None
        """Called with what requests have published that are decided, before they are settled."""
        self.on_renewed: Callable[[int], None] = lambda disk: None
        """Called when this node has become another one: all links begin anew under that disk id (rule 19a)."""
        self.on_applied: list[Callable[[Iterable[int]], None]] = []
        """Called with the entities to which a turn has applied something."""
        self.on_lost: Callable[[Damaged], None] = lambda found: None
        """Called when what was kept of an entity is damaged, and is being mended."""
        self.on_damaged: Callable[[Damaged], None] = lambda found: fatal(f"the store is damaged: {found}")
        """Called when no turn can be taken any more because of what was found on the disk: the store has to be replaced."""
        self.turn_ms = Histogram(MILLISECONDS)
        self.sync_ms = Histogram(MILLISECONDS)
        self.events_per_turn = Histogram(COUNTS)

    def submit(self, request: Request) -> None:
        """Let the next turn take a request in; refused at once if too much waits for it."""
        limit = self._shard.context.tuning.max_waiting_bytes
        if self.inbox.request_bytes > limit:
            request.settled = True
            self._shard.context.counters.requests_refused += 1
            request.settle(b"", Overloaded(f"more than {limit} bytes of requests wait on this node (max_waiting_bytes)"))
            return
        self.step(request)

    def look(self) -> None:
        """Have a turn soon, though nothing has come: something else has changed."""
        self.step(Tick())

    @property
    def disk_silent_ms(self) -> float:
        """For how long the disk has not answered; 0: it is not waited for, or as briefly as usual."""
        return now_ms() - self._sync_started_ms if self._driver.slow else 0.0

    @property
    def waiting(self) -> int:
        """Events that no turn has taken in yet."""
        return len(self.inbox)

    async def close(self) -> bool:
        """Finish the turn under way, end every request that waits, and stop. Whether the disk has answered.

        It is not waited for for long: what it has not made durable then is told to nobody.
        """
        self._close()
        answered = True
        if self._driver.syncing:
            try:
                async with asyncio.timeout(CLOSE_WAIT_S):
                    await self._idle.wait()
            except TimeoutError:
                answered = False
        self._left = True
        self._sync.close()
        self._warmer.close()
        self.release(self._shard.stop(event for event in self.inbox if isinstance(event, Request)))
        return answered

    def abandon(self) -> None:
        """The loop was closed before this was: end the thread, nobody waits for anything else."""
        self._closed = True
        self._sync.close()
        self._warmer.close()

    # -- the driver's host

    def monotonic_ms(self) -> float:
        return now_ms()

    def call_soon(self, action: Callable[[], None]) -> None:
        self._loop.call_soon(self._run, action)

    def call_later(self, delay_ms: float, action: Callable[[], None]) -> asyncio.TimerHandle:
        # whole milliseconds, rounded up: the loop's timers know no finer ones, and one that fires early is a turn for nothing
        return self._loop.call_later(max(1, math.ceil(delay_ms)) / 1000.0, self._run, action)

    def written(self, events: int, needs_sync: bool) -> None:
        self._sync_started_ms = now_ms()
        turn_ms = self._sync_started_ms - self._turn_started_ms
        self.turn_ms.observe(turn_ms)
        self._count_load(turn_ms)
        self.events_per_turn.observe(events)
        if not needs_sync:
            self._driver.finish()
            return
        if events == 1 and self._last_sync_ms < QUICK_SYNC_MS:
            self._sync.start_and_wait(LONE_WAIT_MS)
        else:
            self._sync.start()
        if self._watch is None and self._driver.syncing and not self._closed:
            self._watch_until(self._shard.context.tuning.slow_sync_ms)

    def _count_load(self, turn_ms: float) -> None:
        """Tell the background budget how much of the time goes to requests and peers."""
        context = self._shard.context
        background, self._background_work = context.background_work - self._background_work, context.background_work
        context.budget.busy_ms += turn_ms * (1.0 - background / max(1, background, context.work))

    def release(self, release: Release) -> None:
        if release.messages:
            by_peer: dict[int, list[Message]] = {}
            for peer, message in release.messages:
                by_peer.setdefault(peer, []).append(message)
            self._send(by_peer)
        if release.published:
            self.on_published(release.published)
        for outcome in release.outcomes:
            try:
                outcome.request.settle(outcome.reply, outcome.error)
            except Exception:
                log.exception("a request could not take its outcome")
        for comparison in release.compared:
            comparison.settle()
        if release.outcomes:
            for told in self.on_told:
                try:
                    told()
                except Exception:
                    log.exception("a service could not write its replies")

    def applied(self, applies: Sequence[Apply], changes: Sequence[Change]) -> None:
        if self.feed:
            self.feed.take(applies, changes)
        entities = {apply.entity for apply in applies} if self.on_applied else ()
        for follow in self.on_applied:
            try:
                follow(entities)
            except Exception:
                log.exception("a service could not follow what was applied")

    def warm(self, entities: Sequence[int]) -> None:
        self._warmer.start(entities)

    def reads_on(self) -> bool:
        return now_ms() - self._turn_started_ms < READS_MS

    def renewed(self, disk: int) -> None:
        self.on_renewed(disk)

    def lost(self, found: Damaged) -> None:
        self.on_lost(found)

    # -- the sync

    def _watch_until(self, waited_ms: float) -> None:
        left_ms = max(0.0, self._sync_started_ms + waited_ms - now_ms())
        self._watch = self._loop.call_later(left_ms / 1000.0, self._run, self._look)

    def _look(self) -> None:
        """Whether the sync under way takes long. Set once for many turns, so it may meet a later one."""
        self._watch = None
        if self._closed or not self._driver.syncing:
            return
        waited_ms = now_ms() - self._sync_started_ms
        if waited_ms < self._shard.context.tuning.slow_sync_ms:
            self._watch_until(self._shard.context.tuning.slow_sync_ms)
        elif not self._driver.slow:
            self._shard.context.budget.disk_silent = True
            self._driver.sync_takes_long()
            self._watch_until(SILENT_MS)
        elif not self._silence_said:
            self._silence_said = True
            log.warning("the disk has not answered for %.1f s: going on with what needs no disk", waited_ms / 1000.0)

    def _synced(self, error: Exception | None) -> None:
        if self._left:
            return  # what was to be told then has been told otherwise
        if error is not None:
            self._end(f"the sync of the log failed: {error}")
            return
        self._shard.context.budget.disk_silent = False
        self._last_sync_ms = now_ms() - self._sync_started_ms
        self.sync_ms.observe(self._last_sync_ms)
        if self._driver.slow and self._watch is not None:
            self._watch.cancel()  # it waits for the silence of this one
            self._watch = None
        if self._silence_said:
            self._silence_said = False
            log.warning("the disk answers again, after %.1f s", self._last_sync_ms / 1000.0)
        self._run(self._driver.finish)
        if self._closed:
            self._idle.set()

    # -- the end

    def _run(self, action: Callable[[], None]) -> None:
        """Do what the driver has left to do; if it breaks, half a turn is done: what is in memory is not what is on the disk."""
        self._turn_started_ms = now_ms()
        try:
            action()
        except Damaged as error:
            self.end_damaged(error)
        except PaxosStoreError as error:
            self._end(f"the store could not be read: {error}")
        except Exception as error:
            log.critical("a turn broke", exc_info=error)
            self._end(f"a turn broke: {type(error).__name__}: {error}")

    def end_damaged(self, found: Damaged) -> None:
        """Take no turn any more: what is on the disk is not what was written. Safe to repeat."""
        if not self._closed:
            self._close()
            self._idle.set()
            self.on_damaged(found)

    def _end(self, reason: str) -> None:
        """No turn any more: what is in memory may not be shown. The process ends here, unless its owner has other wishes."""
        self._close()
        self._idle.set()
        self._fatal(reason)

    def _close(self) -> None:
        self._closed = True
        self._driver.close()
        if self._watch is not None:
            self._watch.cancel()
