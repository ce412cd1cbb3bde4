"""Views of single entities that are being copied to peers: each shows one moment, whatever is written meanwhile."""

from __future__ import annotations

from .api import Reader, ViewPiece
from .generations import after_entity
from .keys import entity_prefix
from .loading import take_piece
from .pins import Pins
from .rocks_table import RocksTable, TableSnapshot


class Views:
    """Those that are open on a table. They end with it."""

    def __init__(self, table: RocksTable, pins: Pins) -> None:
        self._table = table
        self._pins = pins
        self._open: dict[Reader, tuple[int, bytes, TableSnapshot]] = {}
        """Committed entry, generation and data of each."""

    def open(self, reader: Reader, committed: int, generation: bytes) -> None:
        """From now on this reader sees what the table holds at this moment; a view that it had is gone."""
        self.close(reader)
        self._pins.hold(reader, committed)
        self._open[reader] = committed, generation, self._table.snapshot(after_entity(generation, reader[1]))

    def read(self, reader: Reader, after: bytes, max_bytes: int) -> ViewPiece | None:
        """What comes behind this key (empty: all), in bounded time. Closes the view with its last piece. None: there is none."""
        found = self._open.get(reader)
        if found is None:
            return None
        committed, generation, snapshot = found
        entity = reader[1]
        prefix = generation + entity_prefix(entity)
        skip = len(prefix)
        start = prefix + after + b"\0" if after else prefix
        found_rows = snapshot.rows(start, after_entity(generation, entity))
        rows, more = take_piece(((key[skip:], value) for key, value in found_rows), max_bytes)
        if not more:
            self._pins.end(reader, read=True)
            self.close(reader)
        return ViewPiece(committed, rows, more)

    def close(self, reader: Reader) -> None:
        found = self._open.pop(reader, None)
        if found is not None:
            found[2].close()
            self._pins.end(reader, read=False)
