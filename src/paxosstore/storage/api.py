"""What a store must do, and its durability contract. Every store passes `tests/storage/` unchanged.

- `write` is atomic: after a crash, all of a batch is there or none of it; and batches survive in order: if one is lost,
  so is every later one.
- After `write`, reads on this store see it. After `sync` returns, everything written before it was called survives power failure.
- A failed `write` leaves the store as it was, readable. A failed `sync` leaves nothing certain: the caller ends the process.
  A write that fails where it cannot be undone does not say so: the next `sync` fails instead.
- Rows are checksummed: a read never returns a damaged one, it raises `Damaged`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from ..core.entry.record import Record
from ..core.interface.event import Loaded
from ..core.interface.ready import Apply


class Store(Protocol):
    """PLog, data and meta of one node.

    All but `sync` and `content_hash` are called from one thread; these two may run in others meanwhile.
    """

    def write(self, records: dict[tuple[int, int], Record], applies: Sequence[Apply]) -> None:
        """Write rows and applied entries in one atomic batch.

        An apply must be the next one of its entity (rule 10). Raises DiskFull, or NodeError for other failures.
        """
        ...

    def sync(self) -> None:
        """Make everything written so far durable (blocking; releases the GIL)."""
        ...

    def load(self, entity: int) -> Loaded:
        """An entity's committed entry and every row above it (recover, range load)."""
        ...

    def read_log(self, entity: int, first: int, last: int, max_bytes: int = 1_048_576) -> list[tuple[int, Record]]:
        """Rows of first..last that exist, ascending; stops after the row that crosses max_bytes."""
        ...

    def get(self, entity: int, key: bytes) -> bytes | None:
        """A key of the data, with its space byte (core/batch/overlay.py)."""
        ...

    def scan(self, entity: int, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < end, ascending."""
        ...

    def committed_entry(self, entity: int) -> int:
        """Highest entry applied to an entity; 0: none."""
        ...

    def committed(self, after: int = -1) -> Iterator[tuple[int, int]]:
        """(entity, committed entry) of every entity above `after` that has one, ascending."""
        ...

    def content_hash(self) -> str:
        """SHA-256 over all data and committed entries: equal on replicas that have applied the same entries.

        Reads what is there when it is called, in pieces. Raises NotServing if the store is closed meanwhile.
        """
        ...

    def close(self) -> None: ...
