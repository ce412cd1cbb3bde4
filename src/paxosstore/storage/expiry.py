"""Rows of the PLog expire (rule 17), and the disk shrinks: in a thread of its own, in small pieces, without the journal.

Why a row never goes before what relies on it. A row is deleted in RocksDB's memory, after the batch that applied its entry was
written there. RocksDB writes its memory out in whole batches and in order: so where the deletion is on the disk, that batch is
there too, and the sequence found with it (rocks.py) lies at or above it; the journal's records that name the row (payload.py:
its chosen mark, its apply) are then not replayed any more. Where the deletion is not on the disk, the row is: there, or in the
journal. A deletion that a crash has undone is made again: its epoch is deleted behind it, in the same order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import NamedTuple

from ..core.turn.budget import Job
from ..errors import PaxosStoreError
from .background import Background
from .epochs import Epoch, Epochs, Keep, Span
from .keys import PLOG, plog_key
from .operations import Operation
from .pins import Pins
from .rocks_table import RocksTable
from .upkeep import Upkeep

PIECE = 128
"""So many entities are looked at, or keys deleted, and then there is a pause: the loop's thread never waits for long."""
PAUSE_S = 0.002
"""After each piece, so that the loop's thread gets what it wants."""
DELETION_BYTES = 64
"""What a deleted key costs the disk, about."""
RANGE_FROM = 1_024
"""So many rows in a row are deleted as a range: it makes reads dearer as long as it is in memory (opened.py: CLEAR_WEIGHT), but
a deleted key costs whoever walks over it."""
EVERY_S = 30.0
"""How often it looks, if nothing is applied."""
WORTH_BYTES = 1 << 20
"""With so much expired and nothing written any more, the disk is made to shrink."""


class LogKept(NamedTuple):
    """What there is of the PLog, for whoever looks from outside."""

    bytes: int
    """Of applied rows that have not expired, as they were written."""
    epochs: int
    expired_entries: int
    """Whose rows were let go since the store was opened."""
    trouble: str
    """Why rows do not expire; empty: they do."""


class Expiry:
    """Lets a table's rows expire."""

    def __init__(
        self,
        table: RocksTable,
        epochs: Epochs,
        committed: Callable[[int], int],
        pins: Pins,
        ranges_deleted: Callable[[int], None],
        background: Background,
    ) -> None:
        self._table = table
        self._epochs = epochs
        self._committed = committed
        self._pins = pins
        self._held: dict[int, Span] = {}
        """Rows that more entries are there than are kept, but for a pin; their epochs let them go at the latest."""
        self._ranges_deleted = ranges_deleted
        self._background = background
        self.expired_entries = 0
        """How many entries' rows were let go."""
        self.trouble = ""
        """Why the last attempt came to nothing."""
        self._closing = False
        self._expired_bytes = 0
        self._cleared: set[tuple[bytes, bytes]] = set()
        """Ranges of keys that were deleted, and that the disk may still hold."""
        self._seen_bytes = -1
        self._looked_s = epochs.now_s
        epochs.on_end = self.wake
        self._thread = Upkeep(self._tend, "paxosstore-expiry", min(EVERY_S, epochs.keep.seconds))
        self.wake()

    @property
    def kept(self) -> LogKept:
        return LogKept(self._epochs.bytes, len(self._epochs.closed) + 1, self.expired_entries, self.trouble)

    def wake(self) -> None:
        self._thread.wake()

    def keep(self, keep: Keep) -> None:
        """So much is kept from now on."""
        self._epochs.keep = keep
        self._thread.every_s = min(EVERY_S, keep.seconds)
        self.wake()

    def cleared(self, start: bytes, end: bytes) -> None:
        """Much was deleted there: have the disk shrink before long."""
        self._cleared.add((start, end))

    def stop(self) -> None:
        """Have it end soon; `close` waits for that."""
        self._closing = True

    def close(self) -> None:
        self.stop()
        self._thread.close()

    def _tend(self) -> None:
        try:
            for epoch in [*self._epochs.closed]:
                if epoch.spans:
                    self._limit_entries(epoch)
            self._let_go_held()
            newest = self._epochs.newest  # what is carried over is newer, and has time
            while not self._closing and (due := self._epochs.due()) is not None and due.number <= newest:
                self._let_go(due)
            self._shrink()
            self.trouble = ""
        except PaxosStoreError as error:  # whoever writes next meets it as well, and says so
            self.trouble = str(error)

    def _limit_entries(self, epoch: Epoch) -> None:
        """Let go of each entity's oldest entries, as many as were applied to it in the epoch, if it has more than are kept."""
        kept = self._epochs.keep.entries
        spans = ((entity, (first - kept, last - kept)) for entity, (first, last) in epoch.spans.items() if last > kept)
        self._delete(self._unpinned(spans, self._held))
        epoch.spans.clear()

    def _let_go_held(self) -> None:
        """What was kept by pins that are gone."""
        held, self._held = self._held, {}
        self._delete(self._unpinned(iter(held.items()), self._held))

    def _unpinned(self, spans: Iterable[tuple[int, Span]], spared: dict[int, Span]) -> Iterator[tuple[int, Span]]:
        """What of the spans nobody needs any more who copies an entity's data (pins.py). The rest is added to `spared`."""
        for entity, (first, last) in spans:
            sure = min(last, self._committed(entity) - 1)  # looked at before the pins: a later view has these rows in its data
            above = self._pins.above(entity)
            if above is not None and last > above:
                before = spared.get(entity, (last, last))
                spared[entity] = min(before[0], max(first, above + 1)), max(before[1], last)
                last = min(sure, above)
            else:
                last = sure
            yield entity, (first, last)

    def _let_go(self, epoch: Epoch) -> None:
        """Delete what was applied in an epoch, and then the epoch."""
        rows = self._table.range(epoch.key + b"\0", epoch.end)
        spared: dict[int, Span] = {}
        self._delete(self._unpinned((epoch.span_of(key, value, self._table.path) for key, value in rows), spared))
        if self._closing:
            return
        carried = self._epochs.carry(spared) if spared else []
        self._table.write([*carried, (epoch.key, (epoch.end,))])
        self._ranges_deleted(1)
        self._expired_bytes += epoch.bytes
        self._epochs.closed.popleft()

    def _delete(self, doomed: Iterator[tuple[int, Span]]) -> None:
        """Delete the rows of spans, a piece at a time."""
        while self._may_go_on() and (spans := list(islice(doomed, PIECE))):
            operations = chain.from_iterable(self._deletions(*span) for span in spans)
            while some := list(islice(operations, PIECE)):
                with self._background.piece(Job.LOG_EXPIRY) as piece:
                    self._table.write(some)
                    piece.bytes = DELETION_BYTES * len(some)
                time.sleep(PAUSE_S)
                self._may_go_on()
            time.sleep(PAUSE_S)

    def _may_go_on(self) -> bool:
        """Wait until the background budget has something for it; whether it is still wanted then."""
        return self._background.rest(Job.LOG_EXPIRY, lambda: not self._closing)

    def _deletions(self, entity: int, span: Span) -> Iterable[Operation]:
        """Of a span, and of the row before it, which was the last applied one; not of the one that is so now.

        That one names the preferred proposer (rule 5a).
        """
        first, last = max(span[0] - 1, 1), span[1]
        self.expired_entries += max(0, last + 1 - first)
        if last - first < RANGE_FROM:
            return ((PLOG + plog_key(entity, entry), None) for entry in range(first, last + 1))
        self._ranges_deleted(1)
        return [(PLOG + plog_key(entity, first), (PLOG + plog_key(entity, last + 1),))]

    def _shrink(self) -> None:
        """Compact what was deleted, where no compaction comes by itself. Now and then only: it reads all that lies there."""
        now = self._epochs.now_s
        if now - self._looked_s < EVERY_S or self._closing:
            return
        self._looked_s = now
        seen, self._seen_bytes = self._seen_bytes, self._epochs.bytes
        ranges = [self._cleared.pop() for _ in range(len(self._cleared))]
        if self._expired_bytes >= WORTH_BYTES and seen == self._epochs.bytes:
            ranges.append((PLOG, bytes((PLOG[0] + 1,))))
            self._expired_bytes = 0
        if ranges:
            self._table.flush()
        for start, end in ranges:
            if not self._closing:
                self._table.compact(start, end)
