"""The entities in memory: found or loaded, touched in this turn, waiting for a time, busy with requests."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator

from ..entity.entity import NEVER, Entity
from .context import Context


class Entities:
    """All entities of a shard that are in memory."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._by_id: dict[int, Entity] = {}
        self._touched: deque[Entity] = deque()
        self._timers: list[tuple[float, int]] = []
        self.busy: dict[int, Entity] = {}
        """Those where a request waits."""
        self._held: dict[int, Entity] = {}
        """Those that would propose, if not so much were under proposal."""

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Entity]:
        return iter(self._by_id.values())

    def find(self, entity: int) -> Entity | None:
        return self._by_id.get(entity)

    def get(self, entity: int) -> Entity:
        """The entity; if it is not in memory, its load begins and its events wait in its mailbox (rule 9)."""
        found = self._by_id.get(entity)
        if found is None:
            found = self._by_id[entity] = Entity(entity)
            self._context.loads.append(entity)
        return found

    def forget(self, entity: int) -> Entity:
        """Drop an entity from memory; the next event loads it again."""
        found = self._by_id.pop(entity)
        self.busy.pop(entity, None)
        found.touched = True  # it is not to be looked at again
        self._held.pop(entity, None)
        if found.writes.in_flight is not None:
            self._context.in_flight_bytes -= len(found.writes.in_flight.value.body)
        return found

    def touch(self, entity: Entity) -> None:
        """Have it attended to in this turn, or in the next ones if there is too much to do."""
        if not entity.touched:
            entity.touched = True
            self._touched.append(entity)

    def next_touched(self) -> Entity | None:
        """The one that has been touched for longest and is loaded, to be attended to."""
        while self._touched:
            entity = self._touched.popleft()
            entity.touched = False
            if entity.mailbox is None and self._by_id.get(entity.id) is entity:
                return entity
        return None

    def leave(self) -> bool:
        """Leave what was touched for the next turn; whether there is any."""
        for entity in self._touched:
            if entity.busy:
                self.busy[entity.id] = entity  # its requests have deadlines, and the node may stop
        return bool(self._touched)

    def hold(self, entity: Entity) -> None:
        """It waits to propose."""
        self._context.counters.proposals_held += entity.id not in self._held
        self._held[entity.id] = entity

    def attended(self, entity: Entity) -> None:
        """Note whether it is busy, and when to look at it again."""
        if entity.busy:
            self.busy[entity.id] = entity
        else:
            self.busy.pop(entity.id, None)
        self._set_timer(entity)
        if self._held and self._context.in_flight_bytes < self._context.tuning.max_in_flight_bytes:
            self.touch(self._held.pop(next(iter(self._held))))

    def touch_due(self, now_ms: float) -> None:
        """Touch every entity whose time has come."""
        while self._timers and self._timers[0][0] <= now_ms:
            at, number = heapq.heappop(self._timers)
            entity = self._by_id.get(number)
            if entity is None or entity.timer_ms != at:
                continue
            entity.timer_ms = NEVER
            if entity.wake_ms <= now_ms:
                self.touch(entity)
            else:
                self._set_timer(entity)

    @property
    def next_timer_ms(self) -> float:
        return self._timers[0][0] if self._timers else NEVER

    def _set_timer(self, entity: Entity) -> None:
        if entity.wake_ms < entity.timer_ms:
            entity.timer_ms = entity.wake_ms
            heapq.heappush(self._timers, (entity.wake_ms, entity.id))
