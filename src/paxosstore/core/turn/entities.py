"""The entities in memory: found or loaded, touched in this turn, waiting for a time, busy with requests, let go of."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator

from ..entity.entity import NEVER, Entity
from ..interface.message import Message
from .context import Context
from .memory import Memory

LOOKS = 256
"""In one turn, so many entities are looked at at most to see whether they can leave memory."""


class Entities:
    """All entities of a shard that are in memory."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.memory = Memory(context.tuning)
        self._touched: deque[Entity] = deque()
        self._timers: list[tuple[float, int]] = []
        self.busy: dict[int, Entity] = {}
        """Those where a request waits."""
        self._held: dict[int, Entity] = {}
        """Those that would propose, if not so much were under proposal."""

    def __len__(self) -> int:
        return len(self.memory)

    def __iter__(self) -> Iterator[Entity]:
        return iter(self.memory)

    def find(self, entity: int) -> Entity | None:
        return self.memory.find(entity)

    def get(self, entity: int) -> Entity:
        """The entity; if it is not in memory, its load begins and its events wait in its mailbox (rule 9)."""
        found = self.memory.use(entity)
        if found is None:
            found = Entity(entity)
            self.memory.put(found)
            self._context.loads.append(entity)
        return found

    def send_applied(self, entity: int, peer: int, message: Message) -> None:
        """A message that shows how far an entity is applied: what is not in memory is durable (rule 18)."""
        found = self.memory.find(entity)
        if found is None:
            self._context.send_early(peer, message)
        else:
            self._context.send(found, peer, message)

    def forget(self, entity: int) -> Entity:
        """Drop an entity from memory; the next event loads it again."""
        found = self.memory.drop(entity)
        self.busy.pop(entity, None)
        self._context.unapplied_bytes = self.memory.unapplied_bytes
        found.touched = True  # it is not to be looked at again
        self._held.pop(entity, None)
        if found.writes.in_flight is not None:
            self._context.in_flight_bytes -= len(found.writes.in_flight.value.body)
        return found

    def evict(self) -> None:
        """Let go of what has not been used for longest, while there is too much in memory. What cannot go counts as used."""
        memory, counters = self.memory, self._context.counters
        for _ in range(min(LOOKS, len(memory))):
            if not memory.is_overfull:
                break
            entity = memory.longest_unused
            if self._may_go(entity):
                self.forget(entity.id)
                counters.evictions += 1
            else:
                memory.use(entity.id)
                counters.evictions_held += 1

    def _may_go(self, entity: Entity) -> bool:
        """Rule 18: nothing is in flight, the disk has all that memory has, and nothing is to be learned now."""
        context, log = self._context, entity.log
        if not entity.is_idle or log.changed_turn > context.durable_turn:
            return False
        return bool(context.cannot_write) or (log.is_caught_up and not entity.catchup.wanted)  # else it cannot learn anyway

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
            if entity.mailbox is None and self.memory.find(entity.id) is entity:
                return entity
        return None

    def leave(self) -> bool:
        """Leave what was touched for the next turn; whether there is any."""
        if not self._touched:
            return False
        self.note_busy()
        return True

    def note_busy(self) -> None:
        """Count those that wait to be attended to: their requests have deadlines, and the node may stop."""
        for entity in self._touched:
            if entity.busy:
                self.busy[entity.id] = entity

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
        self.memory.weigh(entity)
        self._context.unapplied_bytes = self.memory.unapplied_bytes
        self._set_timer(entity)
        if self._held and self._context.in_flight_bytes < self._context.tuning.max_in_flight_bytes:
            self.touch(self._held.pop(next(iter(self._held))))

    def touch_due(self, now_ms: float) -> None:
        """Touch every entity whose time has come."""
        while self._timers and self._timers[0][0] <= now_ms:
            at, number = heapq.heappop(self._timers)
            entity = self.memory.find(number)
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
