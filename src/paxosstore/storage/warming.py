"""What loading entities will read from the disk is brought into memory first, in another thread, so that the loop need not wait.

rocksdict holds the GIL in every read but one: a get of several keys. An iterator that meets a slow disk stops the whole process
for as long as that takes. So the keys of which it is known that the load reads them are got that way before: the committed
entry, and the row that stands there. The blocks they lie in hold the rows behind them as well, as a rule, and the load then
finds all of it in memory. It is a hint: what is got here is dropped, and the load alone says what there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ..errors import Damaged
from .keys import committed_key, plog_key
from .marks import decode_committed
from .operations import META, PLOG
from .rocks_table import RocksTable

ROWS = 8
"""So many rows are in memory at one time: each may be as large as an entry."""


def warm(table: RocksTable, entities: Sequence[int]) -> None:
    """Blocking, in any thread; raises nothing."""
    found = table.get_several([META + committed_key(entity) for entity in entities])
    rows: list[bytes] = []
    for entity, value in zip(entities, found, strict=False):
        if value is not None:
            with suppress(Damaged):  # the load says so
                rows.append(PLOG + plog_key(entity, decode_committed(entity, value, table.path)))
    for first in range(0, len(rows), ROWS):
        table.get_several(rows[first : first + ROWS])
