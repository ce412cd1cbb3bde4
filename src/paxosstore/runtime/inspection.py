"""What an entity's rows say, as plain data: of a running node and of a stopped one's disk."""

from __future__ import annotations

from typing import Any

from ..core.record import Record
from ..storage.rocks import RocksStore


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
