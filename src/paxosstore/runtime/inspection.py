"""What can be seen of a node, as plain data: its figures while it runs, an entity's rows also on a stopped one's disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.entry.ids import majority
from ..core.entry.record import Record
from ..core.turn.reach import describe
from ..storage.rocks import RocksStore
from .histogram import Histogram
from .links import LinkStatistics


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """What a node can tell of itself at one moment."""

    node: int
    serving: bool
    writes_refused_because: str
    disk_silent_ms: float
    """For how long the disk has not answered; 0: it does."""
    counters: Mapping[str, int]
    entities_in_memory: int
    waiting_requests: int
    waiting_events: int
    waiting_bytes: int
    """What both hold of memory."""
    in_flight_bytes: int
    """Of the values that this node proposes now."""
    peers: Mapping[int, LinkStatistics]
    turn_ms: Histogram
    sync_ms: Histogram
    events_per_turn: Histogram

    @property
    def no_quorum_because(self) -> str:
        """Which nodes are missing for a majority, for how long and why; empty if enough are there."""
        down = [(peer, link.down_s, link.down_reason) for peer, link in self.peers.items() if not link.up]
        nodes = len(self.peers) + 1
        return f"no quorum: {describe(down)}" if len(down) > nodes - majority(nodes) else ""


def stored_pointers(store: RocksStore, entity: int) -> dict[str, int | None]:
    """What the disk alone says of an entity; what only memory knows is None."""
    loaded = store.load(entity)
    return {"committed": loaded.committed, "contiguous_chosen": None, "max_chosen": None, "max_plog": loaded.max_plog}


def describe_row(entry: int, record: Record) -> dict[str, Any]:
    """A PLog row as plain data."""
    value = record.value
    return {
        "entry": entry,
        "prepared": record.prepared,
        "promised": record.promised,
        "accepted": record.accepted,
        "chosen": record.chosen,
        "value_id": None if value is None else value.id.hex(),
        "value_bytes": None if value is None else len(value.body),
    }
