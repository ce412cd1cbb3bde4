"""What both stores make of the rows they find, so that they make the same of them. `store` is where they lie, for errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ..core.entry.record import Record
from ..core.interface.event import Loaded
from ..core.interface.ready import Apply, Change, EndInstall, NewEntity, ResetEntity
from .record_codec import decode_row

MAX_VIEW_ROWS = 1_024
"""Of a piece of a snapshot: it is read by the loop's thread."""


def range_load(
    entity: int,
    committed: int,
    rows: Iterable[tuple[int, bytes]],
    marks: tuple[int, bool, str],
    store: Path | str = "",
) -> Loaded:
    """`rows` are those from `committed` on, ascending; `marks`: floor, recovering, stopped. Raises Damaged."""
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
    return Loaded(entity, committed, records, max_plog, last_value_id, *marks)


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


def take_piece(
    rows: Iterable[tuple[bytes, bytes]], max_bytes: int, max_rows: int = MAX_VIEW_ROWS
) -> tuple[list[tuple[bytes, bytes]], bool]:
    """Pairs up to the one that crosses max_bytes, and whether that was the end of the piece only."""
    taken: list[tuple[bytes, bytes]] = []
    size = 0
    for pair in rows:
        taken.append(pair)
        size += len(pair[0]) + len(pair[1])
        if size > max_bytes or len(taken) == max_rows:
            return taken, True
    return taken, False


def assert_applies(applies: Sequence[Apply], changes: Sequence[Change], committed: Callable[[int], int]) -> None:
    """Entries are applied one after the other, none twice (rule 10), and no copy leads back (rule 16).

    `committed` tells the committed entry of an entity before the write.
    """
    new: dict[int, int] = {}
    for change in changes:
        if isinstance(change, NewEntity):
            assert new.get(change.entity, committed(change.entity)) == 0, f"entity {change.entity} is not new"
            new[change.entity] = 0
        elif isinstance(change, ResetEntity):
            new[change.entity] = 0
        elif isinstance(change, EndInstall):
            before = new[change.entity] if change.entity in new else committed(change.entity)
            assert change.committed >= before, f"entity {change.entity}: a snapshot of {change.committed} over {before}"
            new[change.entity] = change.committed
    for apply in applies:
        entity = apply.entity
        before = new[entity] if entity in new else committed(entity)
        assert apply.entry == before + 1, f"entity {entity}: entry {apply.entry} applied after {before}"
        new[entity] = apply.entry
