"""What a table made by an earlier version lacks, added once when it is opened. Nothing of it needs the journal: whatever is lost
in a crash is added again."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.entry.ids import MAX_ENTITY
from .keys import committed_key, entity_of_row, plog_key
from .operations import META, PLOG, Operation, committed_operation
from .rocks_table import RocksTable

_LISTED = META + b"e"
"""There if every entity that has a row has a committed entry, be it 0 (since format 4)."""


def additions(table: RocksTable) -> Iterator[Operation]:
    if table.get(_LISTED) is not None:
        return
    for entity in _entities_with_rows(table):
        if table.get(META + committed_key(entity)) is None:
            yield committed_operation(entity, 0)
    yield _LISTED, b""


def _entities_with_rows(table: RocksTable) -> Iterator[int]:
    """One look at each."""
    start, end = PLOG, bytes((PLOG[0] + 1,))
    while (found := next(table.range(start, end), None)) is not None:
        entity = entity_of_row(found[0][len(PLOG) :])
        yield entity
        if entity == MAX_ENTITY:
            return
        start = PLOG + plog_key(entity + 1, 0)
