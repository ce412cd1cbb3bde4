"""Deletes the keys whose time has passed, and the members of collections that are gone, though nobody asks for them.

    an entry is applied ─► its entity is looked at, here ─► its first row that expires ─► a heap by time ─► dropped when due

Every node follows what is due from its own rows, at no cost for what is at rest; the preferred proposer of an entity drops it,
so that the nodes do not race. If that one is not there, the lowest node that is; if it does not do it, anybody.
What is dropped in one step is bounded, and between two steps passes as much time as the last one took: whoever else wants
something of the entity gets half of it at least.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Protocol

from ...errors import PaxosStoreError
from .commands.handler import HANDLER, drop_expired_payload, dropped
from .layout.garbage import is_there_garbage
from .layout.keys import first_expiry
from .layout.keyspace import REDIS_BASE

log = logging.getLogger(__name__)

LOOK_INTERVAL_S = 0.25
"""An entity that is written all the time is looked at once in so long."""
LOOKS = 100
"""Entities looked at in one pass of the loop."""
LOOK_PAUSE_S = 0.05
KEYS_PER_STEP = 1_000
ENTITIES_PER_STEP = 32
LEAST_KEYS = 32
"""Dropped of one entity in a step, however many others are due."""
KEY_BYTES = 256
KEY_MS = 0.02
"""What it costs to drop a key, about: its rows, its part of an entry."""
RETRY_MS = 1_000
PATIENCE_MS = 5_000
"""Whose turn it is not waits so long, and once more by its number, before it drops what should be gone."""
MARGIN_MS = 5_000
"""Looks begin so much before the last row that was dropped: what was deleted before that costs as much as if it were there,
and clocks differ."""
FULL_LOOK_MS = 600_000
"""Once in so long a look begins at the first row."""
LONGEST_SLEEP_S = 10.0
"""The wall clock may be set meanwhile."""


class Host(Protocol):
    """What the sweeper needs of a node."""

    node_id: int

    def now_ms(self) -> int:
        """What the clocks of the nodes say together, in ms since 1970 (rule 20)."""
        ...

    @property
    def expires(self) -> bool:
        """Whether this node is to delete what is due: not while its own clock is far off."""
        ...

    async def call(self, entity: int, handler: str, payload: bytes) -> bytes: ...

    def peek(self, entity: int, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """An entity's rows as this node has applied them: nobody is asked whether they are the latest."""
        ...

    def committed(self, after: int) -> Iterable[tuple[int, int]]: ...

    def preferred_proposer(self, entity: int) -> int:
        """Negative: unknown."""
        ...

    def is_up(self, node: int) -> bool:
        """Whether there is a link to it, or it is this one."""
        ...


class Schedule:
    """Which entity has something to drop, and when. Times are wall-clock ms."""

    def __init__(self) -> None:
        self._at: dict[int, int] = {}
        self._heap: list[tuple[int, int]] = []

    def put(self, entity: int, at_ms: int) -> None:
        self._at[entity] = at_ms
        heapq.heappush(self._heap, (at_ms, entity))

    def drop(self, entity: int) -> None:
        self._at.pop(entity, None)

    def next_ms(self) -> int | None:
        heap = self._heap
        while heap and self._at.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)  # put again meanwhile, or dropped
        return heap[0][0] if heap else None

    def take_due(self, now_ms: int, most: int) -> list[int]:
        """Entities with a row that has expired, the earliest first. They are on nobody's list until they are put again."""
        due: list[int] = []
        while len(due) < most and (at := self.next_ms()) is not None and at < now_ms:
            entity = heapq.heappop(self._heap)[1]
            del self._at[entity]
            due.append(entity)
        return due


class Sweeper:
    """Follows what one node applies, and drops what is due there. `applied` is told, `run` is a task."""

    def __init__(self, host: Host, pay: Callable[[int, float], float] = lambda size, ms: 0.0) -> None:
        """`pay` books bytes and milliseconds of a processor, and says for how many seconds to rest then."""
        self._host = host
        self._pay = pay
        self._changed: dict[int, None] = {}
        """Entities that have applied something since they were looked at, the longest first."""
        self._schedule = Schedule()
        self._swept: dict[int, tuple[int, int]] = {}
        """Entity -> expiry of the last row that was dropped here, and when a look last began at the first row."""
        self._overdue: dict[int, int] = {}
        """Entity -> since when it is due and not this node's to drop."""
        self._wake = asyncio.Event()
        self.dropped_keys = 0
        self.dropped_members = 0
        """Of collections that were gone."""
        self.looks = 0

    def applied(self, entities: Iterable[int]) -> None:
        """Entries of these are in the DB now."""
        for entity in entities:
            if entity >= REDIS_BASE:
                self._changed[entity] = None
        if self._changed:
            self._wake.set()

    async def run(self) -> None:
        """For ever."""
        await self._find_all()
        while True:
            started, dropped_before = time.monotonic(), self.dropped_keys + self.dropped_members
            self._look(self._host.now_ms())
            looked_ms = (time.monotonic() - started) * 1_000.0
            has_stepped = await self._step(self._host.now_ms())
            keys = self.dropped_keys + self.dropped_members - dropped_before
            rest_s = self._pay(KEY_BYTES * keys, looked_ms + KEY_MS * keys)
            if has_stepped:
                await asyncio.sleep(max(rest_s, time.monotonic() - started))
            elif rest_s:
                await asyncio.sleep(rest_s)
            elif len(self._changed) >= LOOKS:
                await asyncio.sleep(LOOK_PAUSE_S)
            else:
                await self._rest(self._host.now_ms())

    async def _find_all(self) -> None:
        """What was there before this start is looked at as well."""
        after, page = REDIS_BASE - 1, [0]
        while page:
            page = [entity for entity, _ in islice(self._host.committed(after), LOOKS)]
            if page:
                after = page[-1]
                self._changed.update(dict.fromkeys(page))
            await asyncio.sleep(LOOK_PAUSE_S)

    def _look(self, now_ms: int) -> None:
        """Find out when the first row of each changed entity expires."""
        for entity in list(islice(self._changed, LOOKS)):
            del self._changed[entity]
            self.looks += 1
            last_ms, full_look_ms = self._swept.get(entity, (0, 0))
            if now_ms - full_look_ms > FULL_LOOK_MS:
                last_ms, full_look_ms = 0, now_ms
                self._swept[entity] = last_ms, full_look_ms
            try:
                peek = partial(self._host.peek, entity)
                at = now_ms - 1 if is_there_garbage(peek) else first_expiry(peek, self._from(last_ms))
            except PaxosStoreError as error:
                log.debug("what expires in entity %d is not known for now: %s", entity, error)
                at = now_ms + RETRY_MS
            if at is None:
                self._schedule.drop(entity)
                self._overdue.pop(entity, None)
            else:
                self._schedule.put(entity, at)

    async def _step(self, now_ms: int) -> bool:
        """Drop some of what is due; whether there was anything."""
        due = [entity for entity in self._schedule.take_due(now_ms, ENTITIES_PER_STEP) if self._is_ours(entity, now_ms)]
        if not due:
            return False
        limit = max(LEAST_KEYS, KEYS_PER_STEP // len(due))
        await asyncio.gather(*[self._drop(entity, limit, now_ms) for entity in due])
        return True

    def _is_ours(self, entity: int, now_ms: int) -> bool:
        """Whether to drop what is due there; if not, it is looked at again in a while."""
        host = self._host
        if not host.expires:
            self._again(entity, now_ms)
            return False
        preferred = host.preferred_proposer(entity)
        if preferred < 0 or not host.is_up(preferred):
            preferred = next(node for node in range(host.node_id + 1) if host.is_up(node))
        since_ms = self._overdue.setdefault(entity, now_ms)
        if preferred == host.node_id or now_ms - since_ms > PATIENCE_MS * (1 + host.node_id):
            return True
        self._again(entity, now_ms)
        return False

    def _again(self, entity: int, now_ms: int) -> None:
        """Have it looked at after a while: others may have dropped it."""
        self._schedule.put(entity, now_ms + RETRY_MS)

    async def _drop(self, entity: int, limit: int, now_ms: int) -> None:
        last_ms, full_look_ms = self._swept.get(entity, (0, 0))
        try:
            reply = await self._host.call(entity, HANDLER, drop_expired_payload(limit, self._from(last_ms)))
        except PaxosStoreError as error:
            log.debug("expired keys of entity %d stay for now: %s", entity, error)
            self._again(entity, now_ms)
            return
        count, reached_ms, members = dropped(reply)
        self.dropped_keys += count
        self.dropped_members += members
        if not count and not members:
            self._again(entity, now_ms)  # who evaluated it has another clock
            return
        self._overdue.pop(entity, None)
        if count:
            self._swept[entity] = reached_ms, full_look_ms
        if limit in (count, members):
            self._schedule.put(entity, now_ms - 1)
        # else its entry has told what comes next

    async def _rest(self, now_ms: int) -> None:
        """Wait until something is due, or something is applied; then a little, to look at much at once."""
        next_ms = self._schedule.next_ms()
        wait_s = LONGEST_SLEEP_S if next_ms is None else min(LONGEST_SLEEP_S, max(0.001, (next_ms + 1 - now_ms) / 1000))
        self._wake.clear()
        if self._changed:
            wait_s = min(wait_s, LOOK_INTERVAL_S)
        else:
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                return
            wait_s = LOOK_INTERVAL_S
        await asyncio.sleep(wait_s)

    @staticmethod
    def _from(last_ms: int) -> int:
        return max(0, last_ms - MARGIN_MS)
