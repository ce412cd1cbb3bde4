"""What a table made by an earlier version lacks, added once when it is opened. Nothing of it needs the journal: whatever is lost
in a crash is added again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ..core.entry.ids import MAX_ENTITY
from .epochs import Span, span_operations
from .generations import FIRST
from .keys import (
    META,
    META_COMMITTED,
    PLOG,
    committed_key,
    decode_entry,
    entity_of,
    mark_key,
    marks_end,
    plog_end,
    plog_key,
    row_of,
)
from .marks import FLOOR, MIXED, decode_committed, decode_floor, encode_floor
from .operations import Operation, all_data, committed_operation, place_operation
from .rocks_table import RocksTable

_LISTED = META + b"e"
"""There if every entity that has a row has a committed entry, be it 0, and what was applied is in an epoch (since format 4)."""
_PLACED = META + b"i"
"""There if every entity of which anything was applied is listed by its place (since format 5)."""

_PIECE = 10_000
"""So many rows are written at one go."""


def give_up_mixtures(table: RocksTable) -> bool:
    """Before format 7 an entity's data was deleted before its copy was complete: where that has not ended, the data is lost.

    Whether there was any. The entity then has none, and a floor (rule 19c) above whatever it may have voted for: it learns all
    anew. To be flushed before anything else is written, or it would be done again, and be wrong.
    """
    rows = [operation for entity in _mixed(table) for operation in _without_data(table, entity)]
    if rows:
        table.write(rows)
    return bool(rows)


def _mixed(table: RocksTable) -> Iterator[int]:
    for key, _ in table.range(META + MIXED, META + marks_end(MIXED)):
        yield entity_of(key[len(META) :])


def _without_data(table: RocksTable, entity: int) -> Iterator[Operation]:
    get = table.get
    committed = get(META + committed_key(entity))
    highest = 0 if committed is None else decode_committed(entity, committed, table.path)
    for key, _ in table.range(PLOG + plog_key(entity, highest + 1), PLOG + plog_end(entity)):
        highest = row_of(key[len(PLOG) :])[1]
    floor_key = mark_key(FLOOR, entity)
    floor = max(decode_floor(entity, get(META + floor_key), table.path), highest + 2)
    yield META + floor_key, encode_floor(entity, floor)
    yield committed_operation(entity, 0)
    yield all_data(FIRST, entity)
    yield META + mark_key(MIXED, entity), None


def add_what_lacks(table: RocksTable) -> bool:
    """Whether it had no epochs."""
    listed = table.get(_LISTED) is not None
    if not listed:
        _write(table, _additions(table))
    if table.get(_PLACED) is None:
        _write(table, _places(table))
    return not listed


def _write(table: RocksTable, rows: Iterator[Operation]) -> None:
    while piece := list(islice(rows, _PIECE)):
        table.write(piece)


def _additions(table: RocksTable) -> Iterator[Operation]:
    for entity in _entities_with_rows(table):
        if table.get(META + committed_key(entity)) is None:
            yield committed_operation(entity, 0)
    yield from span_operations(_applied(table))
    yield _LISTED, b""


def _applied(table: RocksTable) -> Iterator[tuple[int, Span]]:
    """So that it expires: who has applied entries, and through which one."""
    for key, value in table.range(META + META_COMMITTED, META + marks_end(META_COMMITTED)):
        committed = decode_entry(value)
        if committed:
            yield entity_of(key[len(META) :]), (1, committed)


def _places(table: RocksTable) -> Iterator[Operation]:
    for entity, _ in _applied(table):
        yield place_operation(entity)
    yield _PLACED, b""


def _entities_with_rows(table: RocksTable) -> Iterator[int]:
    """One look at each."""
    start, end = PLOG, bytes((PLOG[0] + 1,))
    while (found := next(table.range(start, end), None)) is not None:
        entity, _ = row_of(found[0][len(PLOG) :])
        yield entity
        if entity == MAX_ENTITY:
            return
        start = PLOG + plog_key(entity + 1, 0)
