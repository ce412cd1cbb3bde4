"""What is in memory, in the order of its use, and how much that is (rule 18)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from ...settings import TuningSettings
from ..entity.entity import Entity

ENTITY_BYTES = 2_300
"""What an idle entity takes."""
ENTRY_BYTES = 1_500
"""What an open entry takes, besides its value."""


class MemoryUse(NamedTuple):
    """What is in memory at one moment."""

    entities: int
    entries: int
    """Open ones: not decided, or not applied yet."""
    bytes: int
    """What both take, about."""


class Memory:
    """Entities by their id, the one that was used last at the end. All of it in O(1), however many there are."""

    def __init__(self, tuning: TuningSettings) -> None:
        self.tuning = tuning
        """The limits."""
        self._entities: OrderedDict[int, Entity] = OrderedDict()
        self.entries = 0
        """Open entries of all of them."""
        self.bytes = 0
        self.unapplied_bytes = 0
        """Of those that have more than one entry open: learned faster than applied, or with others missing in between."""

    @property
    def taken(self) -> MemoryUse:
        return MemoryUse(len(self), self.entries, self.bytes)

    def __len__(self) -> int:
        return len(self._entities)

    def __iter__(self) -> Iterator[Entity]:
        return iter(self._entities.values())

    def find(self, entity: int) -> Entity | None:
        return self._entities.get(entity)

    def use(self, entity: int) -> Entity | None:
        """The entity, if it is there: it has been used now."""
        found = self._entities.get(entity)
        if found is not None:
            self._entities.move_to_end(entity)
        return found

    def put(self, entity: Entity) -> None:
        """One that is not there yet."""
        assert entity.id not in self._entities
        self._entities[entity.id] = entity
        self.weigh(entity)

    def drop(self, entity: int) -> Entity:
        """It is here no longer."""
        found = self._entities.pop(entity)
        self.unapplied_bytes -= found.bytes if found.entries > 1 else 0
        self.entries -= found.entries
        self.bytes -= found.bytes
        return found

    def weigh(self, entity: Entity) -> None:
        """Note how much it is now."""
        log = entity.log
        entries = len(log.opened)
        size = ENTITY_BYTES + entries * ENTRY_BYTES + log.value_bytes if entries else ENTITY_BYTES
        self.unapplied_bytes += (size if entries > 1 else 0) - (entity.bytes if entity.entries > 1 else 0)
        self.entries += entries - entity.entries
        self.bytes += size - entity.bytes
        entity.entries, entity.bytes = entries, size

    @property
    def longest_unused(self) -> Entity:
        """The entity that has not been used for longest."""
        return next(iter(self._entities.values()))

    @property
    def is_overfull(self) -> bool:
        """Whether there is more than the limits allow."""
        tuning = self.tuning
        return (
            len(self._entities) > tuning.max_mem_entities
            or self.entries > tuning.max_mem_entries
            or self.bytes > tuning.max_mem_bytes
        )
