"""What is chosen above the DB, in memory only, while the disk takes no writes."""

from __future__ import annotations

from ..batch.overlay import DATA, TIME, WriteBatch

KEY_BYTES = 200
"""What a key costs in memory besides its bytes and its value's."""


class Ahead:
    """Chosen entries above the DB, applied in memory only: what reads see over the DB."""

    __slots__ = ("applied", "batch", "size")

    def __init__(self, committed: int) -> None:
        self.applied = committed
        self.batch = WriteBatch()
        self.size = 0
        """Bytes it takes, roughly."""

    def apply(self, batch: WriteBatch) -> None:
        """The next entry's writes. The outcomes under uuids are left out: they are for writers. The entity's time is not: what
        was gone by it stays gone (rule 20)."""
        if batch.cleared:
            time = self.batch.writes.get(TIME)
            self.batch, self.size = WriteBatch({} if time is None else {TIME: time}, cleared=True), 0
        writes = self.batch.writes
        for key, value in batch.writes.items():
            if key == TIME:
                writes[key] = value
            elif key.startswith(DATA):
                if key in writes:
                    self.size -= _size(key, writes[key])
                writes[key] = value
                self.size += _size(key, value)
        self.applied += 1


def _size(key: bytes, value: bytes | None) -> int:
    return KEY_BYTES + len(key) + (0 if value is None else len(value))
