"""Floors that are being written while entities are loaded.

The rows of an entity may have been read before its floor was written, and come when it is: such a load has missed the floor.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..turn.context import Context
from ..turn.entities import Entities


class UnseenFloors:
    """What loads may have missed. All who set floors note them here, so that of two for one entity the later one counts."""

    def __init__(self, context: Context, entities: Entities) -> None:
        self._context = context
        self._entities = entities
        self._floors: dict[int, list[tuple[int, int]]] = {}
        """Entity -> the turns that write its floors, and the floors, in order."""

    def note(self, floors: Mapping[int, int]) -> None:
        """This turn writes them; what is in memory has been told by whoever sets them."""
        turn, durable = self._context.ready.turn, self._context.durable_turn
        for entity in [entity for entity, noted in self._floors.items() if noted[-1][0] <= durable]:
            if self._entities.find(entity) is None:
                del self._floors[entity]  # its next load finds it on the disk
        for entity, floor in floors.items():
            found = self._entities.find(entity)
            if found is None or found.mailbox is not None:
                self._floors.setdefault(entity, []).append((turn, floor))

    def take(self, entity: int) -> int | None:
        """The floor of an entity that is in memory from now on; None: the one that was read with it is the last one."""
        noted = self._floors.pop(entity, None)
        return None if noted is None else noted[-1][1]

    def forget(self) -> None:
        """What is not durable could not be written."""
        durable = self._context.durable_turn
        kept = {entity: [one for one in noted if one[0] <= durable] for entity, noted in self._floors.items()}
        self._floors = {entity: noted for entity, noted in kept.items() if noted}
