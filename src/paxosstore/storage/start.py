"""The start of a node, counted on its disk before anybody hears of it (rule 19a)."""

from __future__ import annotations

from ..core.interface.ready import SetStanding
from ..core.turn.context import Identity
from ..core.turn.standing import begin, not_counted
from ..errors import DiskFull
from .api import Store


def count_start(identity: Identity, store: Store, disk: int, *, force: bool = False) -> Identity:
    """The identity with what this disk says of the node, this start counted durably. `disk` is the id of the data directory.

    A disk without room does not keep the node from starting: it shows what it has, and votes when there is room.
    """
    content, holds_data = store.standing(), bool(store.entities(-1, 1))
    me, n = identity.me, identity.cluster.nodes
    row = begin(content, me, n, disk, identity.incarnation, holds_data=holds_data, force=force)
    identity = identity._replace(standing=row, starts=row.disks[me].starts, forced=force)
    try:
        store.write({}, (), [SetStanding(row.encode())])
    except DiskFull as error:
        return identity._replace(standing=not_counted(row, me), cannot_write=str(error))
    store.sync()
    return identity
