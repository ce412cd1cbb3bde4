"""The table of a backup becomes that of another disk: its data stays, its votes go.

What stays is what a majority has decided: the data of each entity up to its committed entry, with the uuids in it, and the rows
of the log that say chosen, as long as they follow one another. All else is this or that node's word, and means nothing on another
disk: rows that are not chosen (also leftovers below the committed entry), promises, floors, the node's standing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from ..core.entry.ids import MAX_ENTITY
from ..core.entry.record import Record
from .keys import META, META_COMMITTED, PLOG, entity_of, mark_key, marks_end, plog_key, row_of
from .marks import FLOOR, MIXED, STANDING_KEY, STOPPED, decode_committed, decode_standing, encode_mark
from .operations import Operation
from .record_codec import decode_row
from .rocks_table import RocksTable

PIECE = 1_000


class GivenUp(NamedTuple):
    """What a table has lost with its votes, and what is the matter with the rest."""

    entries: int
    """Above the committed entries, accepted and not known to be chosen: clients may have been told that they were done."""
    recovering: int
    """Entities whose data is not whole: a version before format 7 was copying over it."""
    stopped: int
    """Entities that are stopped: core/entity/divergence.py."""
    behind: int
    """Entities that the node had lost, and not learned again by then: they are old here, or missing."""


def standing_of(table: RocksTable) -> bytes:
    """Raises Damaged."""
    return decode_standing(table.get(META + STANDING_KEY), table.path)


def drop_votes(table: RocksTable, standing: bytes) -> GivenUp:
    """Make it the table of a disk with this standing, durably. Raises Damaged, DiskFull, NodeError."""
    entries = 0
    doomed: list[Operation] = []
    for key, above in _votes(table):
        entries += above
        doomed.append((key, None))
        if len(doomed) == PIECE:
            table.write(doomed)
            doomed.clear()
    behind = _count(table, FLOOR)
    floors = META + mark_key(FLOOR, 0), (META + marks_end(FLOOR),)
    table.write([*doomed, floors, (META + STANDING_KEY, encode_mark(STANDING_KEY, standing))])
    table.flush()
    return GivenUp(entries, _count(table, MIXED), _count(table, STOPPED), behind)


def undecided(rows: Iterable[tuple[int, Record]], committed: int) -> Iterator[int]:
    """The entries of an entity's rows, ascending, that do not stay; `committed` is the highest entry that is applied."""
    last = committed
    for entry, record in rows:
        if record.chosen and entry <= last + 1:
            last = max(last, entry)
        else:
            yield entry


def _votes(table: RocksTable) -> Iterator[tuple[bytes, bool]]:
    """Keys of rows that do not stay, and whether they are above what is applied."""
    marks = _committed(table)
    marked, committed = next(marks)
    places = ((row_of(key[len(PLOG) :]), row) for key, row in table.range(PLOG, bytes((PLOG[0] + 1,))))
    for entity, rows in groupby(places, lambda row: row[0][0]):
        while marked < entity:
            marked, committed = next(marks)
        applied = committed if marked == entity else 0
        records = ((entry, decode_row(entity, entry, row, table.path)) for (_, entry), row in rows)
        for entry in undecided(records, applied):
            yield PLOG + plog_key(entity, entry), entry > applied


def _committed(table: RocksTable) -> Iterator[tuple[int, int]]:
    """(entity, committed entry), ascending, and one that is above all."""
    for key, value in table.range(META + META_COMMITTED, META + marks_end(META_COMMITTED)):
        entity = entity_of(key[len(META) :])
        yield entity, decode_committed(entity, value, table.path)
    yield MAX_ENTITY + 1, 0


def _count(table: RocksTable, kind: bytes) -> int:
    return sum(1 for _ in table.range(META + kind, META + marks_end(kind)))
