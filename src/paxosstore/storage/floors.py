"""Which entities there are, and up to which entry this node has anything of them, its own floors counted (rule 19c)."""

from __future__ import annotations

from ..core.interface.event import FloorsLoaded, LostLoaded
from ..core.interface.message import Held
from ..core.interface.ready import FloorRead, LostRead
from .api import Store

HELD_BYTES = 1_048_576
HELD_ENTITIES = 100
"""A page ends behind the entity at which the rows that it carries reach this: one turn reads it, one frame carries it."""


def read_lost(store: Store, read: LostRead) -> LostLoaded:
    """The same of the entities that a peer has lost by damage (rule 19e)."""
    page = read_floors(store, FloorRead(read.first - 1, read.limit, read.peer, read.disk))
    upto = min(page.entities[-1][0], read.last) if page.more else read.last
    entities = [(entity, entry) for entity, entry in page.entities if entity <= upto]
    return LostLoaded(read.peer, read.disk, read.number, read.first, upto, entities)


def read_floors(store: Store, read: FloorRead) -> FloorsLoaded:
    """A page for a peer that comes back, or of this node's own floors."""
    floors = store.floors(read.after, read.limit)
    if not read.disk:
        return FloorsLoaded(read.peer, read.disk, read.after, floors, len(floors) == read.limit)
    listed = store.entities(read.after, read.limit)
    if read.forced:
        return _read_held(store, read, listed)
    more = len(floors) == read.limit or len(listed) == read.limit
    ends = [page[-1][0] for page in (floors, listed) if len(page) == read.limit]
    upto = min(ends) if ends else None
    highest = {entity: entry for entity, _, entry in listed}
    for entity, floor in floors:  # below its floor it may have had what it has lost
        highest[entity] = max(highest.get(entity, 0), floor - 1)
    entities = sorted((entity, entry) for entity, entry in highest.items() if upto is None or entity <= upto)
    return FloorsLoaded(read.peer, read.disk, read.after, entities, more)


def _read_held(store: Store, read: FloorRead, listed: list[tuple[int, int, int]]) -> FloorsLoaded:
    """A page for one that is forced: what is applied, and all rows above."""
    applied: list[tuple[int, int]] = []
    held: list[Held] = []
    size = loads = 0
    for entity, committed, highest in listed:
        applied.append((entity, committed))
        if highest <= committed:
            continue
        loads += 1
        for entry, row in store.load(entity).records:
            value_id, body = (b"", b"") if row.value is None else row.value
            held.append(Held(entity, entry, row.promised, row.accepted, row.chosen, value_id, body))
            size += len(body)
        if loads >= HELD_ENTITIES or size >= HELD_BYTES:
            break
    more = len(applied) < len(listed) or len(listed) == read.limit
    return FloorsLoaded(read.peer, read.disk, read.after, applied, more, forced=True, held=held)
