"""What a table made by an earlier version lacks, added once when it is opened. Nothing of it needs the journal: whatever is lost
in a crash is added again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ..core.entry.ids import MAX_ENTITY
from .epochs import Span, span_operations
from .keys import META_COMMITTED, committed_key, decode_entry, entity_of, marks_end, plog_key, row_of
from .operations import META, PLOG, Operation, committed_operation, place_operation
from .rocks_table import RocksTable

_LISTED = META + b"e"
"""There if every entity that has a row has a committed entry, be it 0, and what was applied is in an epoch (since format 4)."""
_PLACED = META + b"i"
"""There if every entity of which anything was applied is listed by its place (since format 5)."""

_PIECE = 10_000
"""So many rows are written at one go."""


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
