"""What both stores make of the rows they find, so that they make the same of them. `store` is where they lie, for errors."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..core.entry.record import Record
from ..core.interface.event import Loaded
from ..core.interface.ready import Apply
from .record_codec import decode_row


def range_load(entity: int, committed: int, rows: Iterable[tuple[int, bytes]], store: Path | str = "") -> Loaded:
    """`rows` are those from `committed` on, ascending. Raises Damaged."""
    records: list[tuple[int, Record]] = []
    max_plog = committed
    last_value_id = b""
    for entry, row in rows:
        max_plog = entry
        record = decode_row(entity, entry, row, store)
        if entry > committed:
            records.append((entry, record))
        elif entry == committed and record.chosen and record.value is not None:
            last_value_id = record.value.id
    return Loaded(entity, committed, records, max_plog, last_value_id)


def take_rows(entity: int, rows: Iterable[tuple[int, bytes]], max_bytes: int, store: Path | str = "") -> list[tuple[int, Record]]:
    """Decode rows up to the one that crosses max_bytes. Raises Damaged."""
    taken: list[tuple[int, Record]] = []
    size = 0
    for entry, row in rows:
        taken.append((entry, decode_row(entity, entry, row, store)))
        size += len(row)
        if size > max_bytes:
            break
    return taken


def assert_next(apply: Apply, committed: int) -> None:
    """Entries are applied one after the other, none twice (rule 10)."""
    assert apply.entry == committed + 1, f"entity {apply.entity}: entry {apply.entry} applied after {committed}"
