"""The start of a node, counted on its disk before anybody hears of it (rule 19a)."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.interface.ready import Change, ResetEntity, SetStanding
from ..core.turn.context import Identity
from ..core.turn.standing import MAX_DAMAGED, begin, not_counted, with_lost
from ..errors import DiskFull
from .api import Store
from .damage import damaged


def count_start(
    identity: Identity, store: Store, disk: int, *, force: bool = False, lost: Sequence[tuple[int, int]] = ()
) -> Identity:
    """The identity with what this disk says of the node, this start counted durably. `disk` is the id of the data directory.

    `lost`: (first, last) entities of which something is damaged, and nothing counts from now on (rule 19e).

    A disk without room does not keep the node from starting: it shows what it has, and votes when there is room.
    """
    content = store.standing()
    holds_data = not content and bool(store.entities(-1, 1))
    me, n = identity.me, identity.cluster.nodes
    row = begin(content, me, n, disk, identity.incarnation, holds_data=holds_data, force=force)
    changes: list[Change] = [ResetEntity(first) for first, last in lost if first == last]
    for first, last in lost:
        row = with_lost(row, first, last)
    if lost and len(row.damaged) > MAX_DAMAGED:  # peers may have named more: that is no reason to give up this disk
        raise damaged("the store", f"{len(row.damaged)} entities are damaged")
    identity = identity._replace(standing=row, starts=row.disks[me].starts, forced=force)
    try:
        store.write({}, (), [*changes, SetStanding(row.encode())])
    except DiskFull as error:
        return identity._replace(standing=not_counted(row, me), cannot_write=str(error))
    store.sync()
    return identity
