"""A disk that forgets, fills up, fails and slows down, under the reference store.

A power cut may keep any subset of what was not synced, and tear the last write. A log is read up to its first hole, so what is
found afterwards is always a prefix of the batches: `crash(keep)` takes its length. (That the real store reads its log so
is what the crash images test.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..core.entry.record import EMPTY, Record
from ..core.interface.event import Loaded
from ..core.interface.ready import Apply, Change
from ..errors import DiskFull, NodeError
from ..storage.memory import MemoryStore

Rows = dict[tuple[int, int], Record]
"""(entity, entry) -> row."""


class SimDisk(MemoryStore):
    """One node's disk. It remembers its rows decoded as well, for those who check them."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False
        self.read_fails = False
        """The next read raises, once."""
        self.change_fails = False
        """The next write that replaces an accepted value by another raises, once."""
        self.not_applied: dict[int, int] = {}
        """(entity -> entry) of the last write, if it failed: what its turn had taken for chosen."""
        self.rows: Rows = {}
        """As written."""
        self.durable_rows: Rows = {}
        """As a power cut would leave them at the least."""
        self.on_write: Callable[[], None] = lambda: None
        """Called before and after each write: where a crash may come in between."""
        self.on_rows: Callable[[Rows, Mapping[tuple[int, int], Record]], None] = lambda before, rows: None
        """Rows that are about to be written, and all that stood there before."""
        self.on_durable: Callable[[Mapping[tuple[int, int], Record]], None] = lambda rows: None
        self._unsynced_rows: list[Mapping[tuple[int, int], Record]] = []

    def crash(self, keep: int = 0) -> SimDisk:
        found = super().crash(keep)
        assert isinstance(found, SimDisk)
        found.durable_rows = dict(self.durable_rows)
        for rows in self._unsynced_rows[:keep]:
            found.durable_rows.update(rows)
            self.on_durable(rows)  # whoever opens a store syncs what it finds
        found.rows = dict(found.durable_rows)
        return found

    def durable_row(self, entity: int, entry: int) -> Record:
        return self.durable_rows.get((entity, entry), EMPTY)

    # -- Store

    def write(self, records: dict[tuple[int, int], Record], applies: Sequence[Apply], changes: Sequence[Change] = ()) -> None:
        self.on_write()
        self.not_applied = {apply.entity: apply.entry for apply in applies}
        if self.full:
            raise DiskFull("the disk is full")
        if self.change_fails and any(map(self._changes_vote, records.items())):
            self.change_fails = False
            raise DiskFull("no room for another vote")
        self.on_rows(self.rows, records)
        super().write(records, applies, changes)
        self.not_applied = {}
        self.rows.update(records)
        self._unsynced_rows.append(records)
        self.on_write()

    def sync(self) -> None:
        super().sync()
        batches, self._unsynced_rows = self._unsynced_rows, []
        for rows in batches:
            self.durable_rows.update(rows)
            self.on_durable(rows)

    def load(self, entity: int) -> Loaded:
        self._read()
        return super().load(entity)

    def read_log(self, entity: int, first: int, last: int, max_bytes: int = 1_048_576) -> list[tuple[int, Record]]:
        self._read()
        return super().read_log(entity, first, last, max_bytes)

    def get(self, entity: int, key: bytes) -> bytes | None:
        if self.read_fails:
            self._read()
        return super().get(entity, key)

    def _changes_vote(self, row: tuple[tuple[int, int], Record]) -> bool:
        place, new = row
        old = self.rows.get(place, EMPTY)
        return old.value is not None and new.value is not None and old.value.id != new.value.id

    def _read(self) -> None:
        if self.read_fails:
            self.read_fails = False
            raise NodeError("the disk could not be read")
