"""What a request's function sees of its entity, what its writes are, and where all of that lies.

Everything an entity governs lives under one-byte spaces of its own, so that what the protocol keeps there (the
outcomes of requests with uuids, rule 15; the entity's time, rule 20) is applied, recovered and copied with the data, by the
same writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

DATA = b"d"
"""Space of the requests' own keys."""
UUID = b"u"
"""Space of uuid -> first outcome."""
WINDOW = b"w"
"""Space of entry -> the uuids it carried, to forget them when the window has passed."""
TIME = b"t"
"""The one key of its space: the entity's time (8 bytes, big-endian, ms since 1970). It is in the batch of every entry whose
evaluation has asked what time it is, and never goes back (rule 20)."""

MAX_KEY_BYTES = 65_536


class WriteBatch:
    """Puts and deletes for one entity, in order; a key's last write wins.

    `cleared` means: first drop every key of the DATA space, then do the writes. Keys carry their space byte.
    """

    __slots__ = ("cleared", "writes")

    def __init__(self, writes: dict[bytes, bytes | None] | None = None, cleared: bool = False) -> None:
        self.writes: dict[bytes, bytes | None] = {} if writes is None else writes
        self.cleared = cleared

    def __bool__(self) -> bool:
        return self.cleared or bool(self.writes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WriteBatch) and (self.cleared, self.writes) == (other.cleared, other.writes)

    def merge(self, later: WriteBatch) -> None:
        """Add what another batch does after this one."""
        if later.cleared:
            self.writes = {key: value for key, value in self.writes.items() if not key.startswith(DATA)}
            self.cleared = True
        self.writes.update(later.writes)


class BodyCodec(Protocol):
    """Write batches to and from the bytes of a value."""

    def encode(self, batch: WriteBatch) -> bytes:
        """Raises InvalidRequest for what cannot be written: not every key and value is exactly bytes."""
        ...

    def decode(self, body: bytes) -> WriteBatch:
        """Raises NodeError for bytes that are no write batch, as far as this version knows."""
        ...


class DataReader(Protocol):
    """Synchronous reads of the applied data. Keys carry their space byte."""

    def get(self, entity: int, key: bytes) -> bytes | None: ...

    def scan(self, entity: int, start: bytes, end: bytes, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < end, ascending, or descending; each is read when it is taken.

        The store may be written after, not during, the iteration.
        """
        ...

    def committed_entry(self, entity: int) -> int:
        """Highest entry applied; 0: none."""
        ...


class View(Protocol):
    """What a request's function sees: its entity's keys, as they stand after every earlier request.

    It is the function's own until that returns, and in its thread only: any later use raises InvalidRequest. Keys and values
    are bytes; of a bytearray, a memoryview or a subclass a copy is taken. Raises InvalidRequest for anything else, and TooLarge
    for a key, or all that a request writes or visits together, over their limits. A row counts once each time it is read,
    written, deleted or met by a scan, and once more for every 4 KiB of its value (max_request_rows).

    A function runs on the node's loop: while it computes, nothing else does, and nothing can stop it.
    """

    @property
    def entity(self) -> int: ...

    @property
    def entry(self) -> int:
        """The entry this view stands at. A write's: the one that it will be applied in, if it is chosen: committed entry + 1, the
        same for every request of a batch. A read-only request's: the last one that is applied in what it sees (0: none).

        So a write has a larger number than any read of its entity saw that ended before, at whatever node, and each of two
        batches another one. An evaluation that was in vain is repeated with another number, or the same.
        """
        ...

    @property
    def request(self) -> int:
        """The number of this request among those of its batch: of two, the later one has the larger."""
        ...

    @property
    def now_ms(self) -> int:
        """The time, in ms since 1970, the same for a whole batch: what the nodes' clocks say together, or the entity's own time
        if that is later. What a write goes by becomes the entity's time with its entry, so no later write sees an earlier one,
        at whatever node (rule 20). Replicas apply writes, never clocks.

        What a read-only request calls past must not be told as long as no entry has made it so: see `require_write`.
        """
        ...

    def get(self, key: bytes) -> bytes | None: ...

    def put(self, key: bytes, value: bytes) -> None: ...

    def delete(self, key: bytes) -> None: ...

    def scan(self, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < end (None: to the last), as they are now: later writes do not show in it.

        Ascending; with `reverse` the same pairs, descending. Rows are read as they are taken: who stops early has paid for no
        more than that (and, descending, for a look at the first one).
        """
        ...

    def clear(self) -> None:
        """Delete every key of the entity."""
        ...

    def savepoint(self) -> tuple[int, int, int]:
        """Where this request can come back to: see `undo`."""
        ...

    def undo(self, savepoint: tuple[int, int, int]) -> None:
        """Forget what this request has written and published since a savepoint. What it has visited stays counted; no scan that
        was begun since then may go on."""
        ...

    def require_write(self) -> None:
        """What follows is for a write: a read-only request's function ends here (whatever it catches, its reply does not count),
        and is called anew as that of a write, when its turn among the writes comes; a write's goes on."""
        ...

    def publish(self, channel: bytes, payload: bytes, kind: int = 0) -> None:
        """Publish a message (`Node.publish`) when this request has been decided, and not before; never, if it is refused.

        It leaves from the node at which the request was made, once, in order with all that is published there. If that node does
        not get to know the request's outcome, it publishes nothing; a repetition under its uuid publishes again.
        """
        ...


class NeedsWrite(BaseException):
    """A read-only request's function has called `require_write`. No error, so nobody takes it for one on its way up."""
