"""Which entities there are, and up to which entry this node has anything of them, its own floors counted (rule 19c)."""

from __future__ import annotations

from ..core.interface.event import FloorsLoaded
from ..core.interface.ready import FloorRead
from .api import Store


def read_floors(store: Store, read: FloorRead) -> FloorsLoaded:
    """A page for a peer that comes back, or of this node's own floors."""
    floors = store.floors(read.after, read.limit)
    if not read.disk:
        return FloorsLoaded(read.peer, read.disk, read.after, floors, len(floors) == read.limit)
    listed = store.entities(read.after, read.limit)
    if read.forced:
        applied = [(entity, committed) for entity, committed, _ in listed]
        return FloorsLoaded(read.peer, read.disk, read.after, applied, len(listed) == read.limit, forced=True)
    more = len(floors) == read.limit or len(listed) == read.limit
    ends = [page[-1][0] for page in (floors, listed) if len(page) == read.limit]
    upto = min(ends) if ends else None
    highest = {entity: entry for entity, _, entry in listed}
    for entity, floor in floors:  # below its floor it may have had what it has lost
        highest[entity] = max(highest.get(entity, 0), floor - 1)
    entities = sorted((entity, entry) for entity, entry in highest.items() if upto is None or entity <= upto)
    return FloorsLoaded(read.peer, read.disk, read.after, entities, more)
