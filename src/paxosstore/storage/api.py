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
from typing import NamedTuple, Protocol

from ..core.entry.record import Record
from ..core.interface.event import Loaded
from ..core.interface.ready import Apply, Change

Reader = tuple[int, int, int]
"""(peer, entity, number): who reads a snapshot of which entity, and for the how-manieth time."""


class ViewPiece(NamedTuple):
    """A piece of one consistent view of an entity's data."""

    committed: int
    """The entity's committed entry at the moment of the view, the same in every piece."""
    rows: list[tuple[bytes, bytes]]
    """(key with its space byte, value), ascending."""
    more: bool
    """Whether the view is still open, for what comes after the last key; it may turn out to be nothing."""


class Store(Protocol):
    """PLog, data and meta of one node.

    All but `sync`, `warm` and `content_hash` are called from one thread; these may run in others meanwhile.
    """

    def write(self, records: dict[tuple[int, int], Record], applies: Sequence[Apply], changes: Sequence[Change] = ()) -> None:
        """Write changes, rows and applied entries in one atomic batch, the changes first and in order.

        An apply must be the next one of its entity (rule 10). A copy that is written beside an entity's data (rule 16) is seen by
        no read before it has ended. Raises DiskFull, or NodeError for other failures.
        """
        ...

    def sync(self) -> None:
        """Make everything written so far durable (blocking; releases the GIL)."""
        ...

    def load(self, entity: int) -> Loaded:
        """An entity's committed entry, its marks, and every row above it (recover, range load)."""
        ...

    def warm(self, entities: Sequence[int]) -> None:
        """Bring into memory what loading these will read, as far as it is known (blocking; releases the GIL). A hint: it raises
        nothing, and changes nothing."""
        ...

    def read_log(self, entity: int, first: int, last: int, max_bytes: int = 1_048_576) -> list[tuple[int, Record]]:
        """Rows of first..last that exist, ascending; stops after the row that crosses max_bytes.

        An entry that is not above the committed one and has no row is gone (rule 17: only a snapshot tells of it).
        """
        ...

    def get(self, entity: int, key: bytes) -> bytes | None:
        """A key of the data, with its space byte (core/batch/view.py)."""
        ...

    def scan(self, entity: int, start: bytes, end: bytes, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < end, ascending, or descending; each is read when it is taken."""
        ...

    def committed_entry(self, entity: int) -> int:
        """Highest entry applied to an entity; 0: none."""
        ...

    def committed(self, after: int = -1) -> Iterator[tuple[int, int]]:
        """(entity, committed entry) of every entity above `after` that has any applied, ascending."""
        ...

    def entities(self, after: int, limit: int) -> list[tuple[int, int, int]]:
        """(entity, committed entry, highest) of up to `limit` entities above `after` that have anything at all, ascending.

        `highest` is the highest entry with a row in the PLog, or the committed one.
        """
        ...

    def digests(self, level: int, nodes: Sequence[int]) -> bytes | None:
        """The digests of all children of these nodes of the tree (core/interface/digest.py), one after the other.

        They count what `write` has taken in. None: the store was opened not long ago, and they are not known yet.
        """
        ...

    def inventory(self, buckets: Sequence[int], after: int, limit: int) -> list[tuple[int, int]]:
        """(entity, committed entry) of up to `limit` entities of these buckets that have any applied, in the order of their
        places, which is that of the buckets; behind the one named, unless that is -1."""
        ...

    def floors(self, after: int, limit: int) -> list[tuple[int, int]]:
        """(entity, floor) of up to `limit` entities above `after` that have one (rule 19c), ascending."""
        ...

    def stopped(self) -> list[tuple[int, str]]:
        """(entity, reason) of every entity that is stopped, ascending: few, as a rule none."""
        ...

    def standing(self) -> bytes:
        """What `SetStanding` wrote last; empty: nothing yet."""
        ...

    def read_snapshot(self, reader: Reader, after: bytes, max_bytes: int) -> ViewPiece | None:
        """The next piece of a consistent view of an entity's data; it ends after the row that crosses `max_bytes`, or earlier.

        With an empty `after` a new view is opened, else the reader's open view goes on behind this key, as often as wanted.
        The view ends when its last piece is read, or the store closes. None: it is not open.
        """
        ...

    def open_snapshot(self, reader: Reader) -> int:
        """Open a view of an entity's data anew, to be read behind any key; returns its committed entry."""
        ...

    def close_snapshot(self, reader: Reader) -> None:
        """End a reader's view, if it is open."""
        ...

    def content_hash(self) -> str:
        """SHA-256 over all data and committed entries: equal on replicas that have applied the same entries.

        Reads what is there when it is called, in pieces. Raises NotServing if the store is closed meanwhile.
        """
        ...

    def close(self) -> None: ...
