"""An entity's data at one moment, for a long read in a thread of its own, while the store goes on, or closes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from .rocks_table import PAUSE_S, PIECE_ROWS, TableSnapshot

_FIRST_ROWS = 8
_GROWTH = 4
"""A scan reads few rows at first, then more at a time: many end soon."""


class FrozenEntity:
    """Keys carry their space byte. All raises NotServing when the store is closed, Damaged."""

    def __init__(self, snapshot: TableSnapshot, prefix: bytes, entity: int, entry: int) -> None:
        self._snapshot = snapshot
        self._prefix = prefix
        self._entity = entity
        self.entry = entry
        """The last one that is applied in it."""

    def get(self, entity: int, key: bytes) -> bytes | None:
        assert entity == self._entity
        where = self._prefix + key
        found = self._snapshot.piece(where, where + b"\0", 1)
        return found[0][1] if found else None

    def scan(self, entity: int, start: bytes, end: bytes, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < end, ascending, or descending; with pauses for the other threads."""
        assert entity == self._entity
        prefix, skip, rows = self._prefix, len(self._prefix), _FIRST_ROWS
        first, last = prefix + start, prefix + end
        while piece := self._snapshot.piece(first, last, rows, reverse):
            for key, value in piece:
                yield key[skip:], value
            if reverse:
                last = piece[-1][0]
            else:
                first = piece[-1][0] + b"\0"
            if rows == PIECE_ROWS:
                time.sleep(PAUSE_S)
            rows = min(rows * _GROWTH, PIECE_ROWS)

    def close(self) -> None:
        self._snapshot.close()
