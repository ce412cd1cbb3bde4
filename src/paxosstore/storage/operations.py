"""A write as operations on the table: its keys are told apart by their first byte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ..core.batch.overlay import DATA as DATA_SPACE
from ..core.batch.overlay import WriteBatch
from ..core.interface.digest import place_of
from ..core.interface.ready import (
    BeginInstall,
    Change,
    DropInstall,
    EndInstall,
    InstallRows,
    NewEntity,
    ResetEntity,
    SetFloor,
    SetStanding,
    StopEntity,
)
from .generations import FIRST, SECOND, Ahead, after_entity, other
from .keys import META as META
from .keys import PLOG as PLOG
from .keys import committed_key, encode_entry, entity_prefix, mark_key, place_key, plog_end
from .marks import FLOOR, GENERATION, RECOVERING, STANDING_KEY, STOPPED, encode_floor, encode_mark

Operation = tuple[bytes, bytes | tuple[bytes] | None]
"""(key, value), (key, None) to delete it, or (start, (end,)) to delete start <= key < end."""

_DATA_SPACE_END: Final = bytes((DATA_SPACE[0] + 1,))


def fill(batch: Any, operations: Iterable[Operation]) -> None:
    """Put them into a WriteBatch of RocksDB."""
    put, delete = batch.put, batch.delete
    for key, value in operations:
        if isinstance(value, bytes):
            put(key, value)
        elif value is None:
            delete(key)
        else:
            batch.delete_range(key, value[0])


def apply_operations(entity: int, batch: WriteBatch, generation: bytes) -> list[Operation]:
    """An entry's writes, to the data that is in force."""
    prefix = generation + entity_prefix(entity)
    writes: list[Operation] = [(prefix + key, value) for key, value in batch.writes.items()]
    return [(prefix + DATA_SPACE, (prefix + _DATA_SPACE_END,)), *writes] if batch.cleared else writes


def committed_operation(entity: int, entry: int) -> Operation:
    return META + committed_key(entity), encode_entry(entry)


def place_operation(entity: int) -> Operation:
    """Lists an entity by its place in the tree of digests."""
    return META + place_key(place_of(entity)), b""


def place_operations(spans: Mapping[int, tuple[int, int]]) -> Iterator[Operation]:
    """Those of the entities of which a write applies the first entry: `spans` are the entries applied. They are not in the
    journal, which says so anyway."""
    return (place_operation(entity) for entity, (first, _) in spans.items() if first == 1)


def add_change(operations: list[Operation], change: Change, generations: Ahead) -> None:
    """`generations` are those before this change, and then those after it."""
    match change:
        case SetStanding(content):
            operations.append((META + STANDING_KEY, encode_mark(STANDING_KEY, content)))
        case SetFloor(entity, floor):
            operations.append((META + mark_key(FLOOR, entity), encode_floor(entity, floor) if floor else None))
        case BeginInstall(entity):
            key = mark_key(RECOVERING, entity)
            operations.append((META + key, encode_mark(key, b"")))
            if generations.begin(entity):
                operations.append(all_data(other(generations.of(entity)), entity))
        case InstallRows(entity, rows):
            prefix = other(generations.of(entity)) + entity_prefix(entity)
            operations += [(prefix + key, value) for key, value in rows]
        case EndInstall(entity, committed):
            generation = generations.turn(entity)
            key = mark_key(GENERATION, entity)
            operations.append((META + key, encode_mark(key, b"") if generation == SECOND else None))
            operations.append(committed_operation(entity, committed))
            operations.append((META + mark_key(RECOVERING, entity), None))
            operations.append(all_data(other(generation), entity))
        case DropInstall(entity):
            operations.append((META + mark_key(RECOVERING, entity), None))
            operations.append(all_data(other(generations.of(entity)), entity))
            generations.dropped(entity)
        case StopEntity(entity, reason):
            key = mark_key(STOPPED, entity)
            operations.append((META + key, encode_mark(key, reason.encode(errors="replace")) if reason else None))
        case ResetEntity(entity):
            operations += [(META + mark_key(kind, entity), None) for kind in (FLOOR, RECOVERING, GENERATION, STOPPED)]
            operations += [all_data(generation, entity) for generation in (FIRST, SECOND)]
            generations.reset(entity)
            operations.append((PLOG + entity_prefix(entity), (PLOG + plog_end(entity),)))
            operations.append(committed_operation(entity, 0))
        case NewEntity(entity):
            operations.append(committed_operation(entity, 0))


def all_data(generation: bytes, entity: int) -> Operation:
    """Delete it."""
    return generation + entity_prefix(entity), (after_entity(generation, entity),)
