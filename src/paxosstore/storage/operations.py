"""A write as operations on the table: its keys are told apart by their first byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core.batch.overlay import DATA as DATA_SPACE
from ..core.entry.record import Record
from ..core.interface.ready import (
    Apply,
    BeginInstall,
    Change,
    EndInstall,
    InstallRows,
    NewEntity,
    SetFloor,
    SetStanding,
    StopEntity,
)
from .keys import committed_key, encode_entry, entity_prefix, mark_key, plog_key
from .loading import new_committed
from .marks import FLOOR, RECOVERING, STANDING_KEY, STOPPED, encode_floor, encode_mark
from .record_codec import encode_row

Operation = tuple[bytes, bytes | tuple[bytes] | None]
"""(key, value), (key, None) to delete it, or (start, (end,)) to delete start <= key < end."""

PLOG, DATA, META = b"l", b"d", b"m"
"""First byte of a key of the table."""
AFTER_DATA = b"e"
_DATA_SPACE_END = bytes((DATA_SPACE[0] + 1,))


def operations_of(
    records: dict[tuple[int, int], Record],
    applies: Sequence[Apply],
    changes: Sequence[Change],
    committed: Callable[[int], int],
) -> list[Operation]:
    """All of a write, in the order of `Store.write`. `committed` tells an entity's committed entry before it."""
    operations: list[Operation] = []
    new = new_committed(applies, changes, committed)
    for change in changes:
        _add_change(operations, change)
    for (entity, entry), record in records.items():
        key = plog_key(entity, entry)
        operations.append((PLOG + key, encode_row(key, record)))
    for entity, _, batch in applies:
        prefix = DATA + entity_prefix(entity)
        if batch.cleared:
            operations.append((prefix + DATA_SPACE, (prefix + _DATA_SPACE_END,)))
        operations += [(prefix + key, value) for key, value in batch.writes.items()]
    operations += [(META + committed_key(entity), encode_entry(entry)) for entity, entry in new.items()]
    return operations


def _add_change(operations: list[Operation], change: Change) -> None:
    """All but committed entries."""
    match change:
        case SetStanding(content):
            operations.append((META + STANDING_KEY, encode_mark(STANDING_KEY, content)))
        case SetFloor(entity, floor):
            operations.append((META + mark_key(FLOOR, entity), encode_floor(entity, floor) if floor else None))
        case BeginInstall(entity):
            key = mark_key(RECOVERING, entity)
            operations.append((META + key, encode_mark(key, b"")))
            operations.append((DATA + entity_prefix(entity), (after_entity(entity),)))
        case InstallRows(entity, rows):
            prefix = DATA + entity_prefix(entity)
            operations += [(prefix + key, value) for key, value in rows]
        case EndInstall(entity, _):
            operations.append((META + mark_key(RECOVERING, entity), None))
        case StopEntity(entity, reason):
            key = mark_key(STOPPED, entity)
            operations.append((META + key, encode_mark(key, reason.encode(errors="replace"))))
        case NewEntity(_):
            pass


def after_entity(entity: int) -> bytes:
    """Above every data key of an entity, and not above those of the next one."""
    last = (1 << 64) - 1
    return DATA + entity_prefix(entity + 1) if entity < last else AFTER_DATA
