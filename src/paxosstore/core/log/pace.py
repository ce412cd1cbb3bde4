"""How much a turn applies, and of whom: what is chosen need not be applied in the same turn (the article's DBWorker).

An entity that has one entry to apply has it applied at once, as a rule. Whoever has more, or one that is too much for this
turn, lags: it waits in a queue, gets a slice of every turn as its place comes, and the disk is left to others for as long as
the slice took. An entry is atomic, so a slice is one entry at least. Meanwhile the entity goes on choosing, up to a bound
(Log.has_room); its reads and its next batch wait for their entry (rules 12 and 14), and nobody else's do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..entity.entity import Entity
from ..turn.agenda import Part
from ..turn.context import Context
from ..turn.entities import Entities

NEVER = float("inf")
LONGEST_PAUSE_MS = 250.0
SLICES = 4
"""So many entities share what a turn applies of those that lag."""


class Lag(NamedTuple):
    """What is chosen here and not applied yet, at one moment."""

    entities: int
    entries: int
    bytes: int
    """What these entities hold of memory."""
    entity: int
    """The one that lags by most entries; -1: none does."""
    entity_entries: int


class Pace(Part):
    """Says which entries are applied now."""

    minds_disk = True

    def __init__(self, context: Context, entities: Entities) -> None:
        self._context = context
        self._entities = entities
        self._lagging: dict[int, Entity] = {}
        """Those that have entries left, in the order in which they get their slices."""
        self._new: dict[int, Entity] = {}
        """Those of the same that have just begun to lag: they get none in this turn."""
        self._own_turn = False
        """The entity that is attended to gets its slice."""
        self._slice = 0
        """What the entity that is attended to has applied, in units of `Context.work`."""
        self._work = 0
        """What all have applied since the last write."""
        self._slices = 0
        """How many that lag have applied something since the last write."""
        self._began_ms = 0.0
        self._slice_turn = 0
        """The turn under way in which some that lag were applied; 0: none."""
        self._resumes_at_ms = 0.0

    # -- the turn

    def due(self) -> Iterator[Entity]:
        """Those whose slice has come, one at least, unless the last ones have just taken long. To be attended to at once."""
        context = self._context
        for _ in range(len(self._lagging)):
            if not self._may_go_on or (self._slices and (context.spent or self._work >= context.tuning.max_turn_applies)):
                return
            entity = self._lagging.pop(next(iter(self._lagging)))
            if self._entities.find(entity.id) is entity:
                self._own_turn = True
                self._slices += 1
                yield entity
                self._own_turn = False

    @property
    def _may_go_on(self) -> bool:
        return not self._context.cannot_write and self._context.now_ms >= self._resumes_at_ms

    def written(self) -> None:
        """What was applied goes to the disk with this turn."""
        if self._slices:
            self._slice_turn = self._context.ready.turn
            self._began_ms = self._context.now_ms
        self._work = self._slices = 0
        if self._new:
            self._lagging |= self._new
            self._new.clear()

    @property
    def at_work(self) -> bool:
        return bool(self._lagging or self._new or self._slices or self._slice_turn)

    def durable(self, turn: int) -> bool:
        """All writes up to this turn are durable: the next slices come after a pause as long as that took."""
        if self._slice_turn and turn >= self._slice_turn:
            self._slice_turn = 0
            now = self._context.now_ms
            self._resumes_at_ms = now + min(max(0.0, now - self._began_ms), LONGEST_PAUSE_MS)
        return False

    @property
    def next_ms(self) -> float:
        """When somebody's slice comes."""
        return self._resumes_at_ms if (self._lagging or self._new) and not self._context.cannot_write else NEVER

    # -- an entity

    def begin(self) -> None:
        """The next entity is attended to."""
        self._slice = 0

    def allows(self, entity: Entity, size: int) -> bool:
        """Whether its next entry, of so many bytes, is applied now."""
        tuning = self._context.tuning
        has_budget = self._work < tuning.max_turn_applies
        helped = bool(entity.reads.limited)  # somebody has called catch_up: as far as a turn goes
        if self._own_turn or self._slice:
            return not self._slice or (has_budget and (helped or self._slice * SLICES < tuning.max_turn_applies))
        if helped:
            return has_budget or not self._work
        if self._waits(entity):
            return False  # others come first
        return not self._work or (self._work + (size >> 10)) * 2 <= tuning.max_turn_work

    def took(self, work: int) -> None:
        """An entry was applied."""
        self._slice += work
        self._work += work

    def attended(self, entity: Entity) -> None:
        """Whether it has entries left, for its next slice."""
        if not entity.log.lag or entity.is_copying or entity.stopped is not None:
            if self.on_agenda:
                self._lagging.pop(entity.id, None)
                self._new.pop(entity.id, None)
            return
        self._context.agenda.add(self)
        if self._own_turn:
            self._lagging[entity.id] = entity
        elif not self._waits(entity):
            self._context.counters.applies_held += 1
            self._lagging.pop(entity.id, None)  # one of that number that has left memory
            self._new[entity.id] = entity
        if entity.reads.limited and not self._context.cannot_write:
            entity.wake_at(self._context.now_ms)

    def _waits(self, entity: Entity) -> bool:
        return entity is self._lagging.get(entity.id) or entity is self._new.get(entity.id)

    # -- looking in

    def lag(self) -> Lag:
        """Of all entities in memory."""
        known = (self._lagging | self._new).values()
        lagging = [entity for entity in known if self._entities.find(entity.id) is entity]
        most = max(lagging, key=lambda entity: entity.log.lag, default=None)
        return Lag(
            len(lagging),
            sum(entity.log.lag for entity in lagging),
            sum(entity.bytes for entity in lagging),
            -1 if most is None else most.id,
            0 if most is None else most.log.lag,
        )
