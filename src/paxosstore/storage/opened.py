"""A store while it is open: the table, the journal before it, and the threads that look after both."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Thread

from ..core.interface.ready import Apply, Change, DropInstall, EndInstall, ResetEntity
from ..core.turn.budget import Job
from ..errors import NodeError
from .background import Background
from .digests import Digests
from .epochs import Epochs, Span
from .expiry import Expiry
from .generations import FIRST, SECOND, Generations, after_entity, other
from .journal import Journal
from .keys import META, META_COMMITTED, committed_key, entity_of, entity_prefix, marks_end
from .marks import decode_committed
from .payload import Payloads
from .pins import Pins
from .rocks_table import RocksTable, TableSnapshot
from .scrub import Scrub
from .upkeep import Upkeep
from .views import Views

MAX_DELETED = 65_536
"""After so many keys deleted, RocksDB writes out its memory: a scan walks over them there."""
NOTE_S = 1.0
"""How long the journal rests before its end is noted in the head of its segment."""
CLEAR_WEIGHT = 1_024
"""What a range deleted counts for: each makes the reads after the next one dearer, of whatever key."""


class Opened:
    """Without a journal it can only be read."""

    __slots__ = (
        "deleted",
        "digests",
        "epochs",
        "expiry",
        "failed",
        "generations",
        "journal",
        "payloads",
        "pins",
        "scrub",
        "table",
        "upkeep",
        "views",
    )

    def __init__(
        self, table: RocksTable, journal: Journal | None, epochs: Epochs | None = None, background: Background | None = None
    ) -> None:
        self.table = table
        self.pins = Pins(time.monotonic if epochs is None else lambda: epochs.now_s)
        self.views = Views(table, self.pins)
        self.journal = journal
        self.generations = Generations(table.get, table.path.parent)
        self.payloads = Payloads(self.generations)
        self.failed = False
        """Whether RocksDB has failed to write, and must be opened anew."""
        self.deleted = 0
        """Keys deleted in RocksDB's memory, and what counts as such."""
        self.epochs = epochs
        self.upkeep: Upkeep | None = None
        self.expiry: Expiry | None = None
        if journal is not None:
            self.upkeep = Upkeep(self._tend, every_s=NOTE_S)
            self.upkeep.wake()
        self.scrub: Scrub | None = None
        self.digests = Digests()
        if epochs is not None and background is not None:
            self.expiry = Expiry(table, epochs, self.committed_entry, self.pins, self.ranges_deleted, background)

    def close(self, *, in_order: bool) -> None:
        """`in_order`: have RocksDB write out its memory, so that the next start finds nothing to replay. Raises nothing."""
        if self.expiry is not None:
            self.expiry.stop()
        if self.scrub is not None:
            self.scrub.close()
        if self.upkeep is not None:
            self.upkeep.close()
        stored = False
        with suppress(NodeError, OSError):  # the journal has it all
            if self.journal is not None and in_order and not self.failed:
                self.table.flush()
                stored = True
        with suppress(OSError):
            if self.journal is not None:
                self.journal.close(stored=stored)
        if self.expiry is not None:
            self.table.stop_compacting()
            self.expiry.close()
        self.table.release()

    def build_digests(self, background: Background) -> None:
        """Add up what is there, before anything is written; in a thread of its own, which ends when the table is released.

        It takes what the background budget leaves: peers wait for nothing but to catch up from here.
        """
        what = self.table.snapshot(), background
        Thread(target=self._build, args=what, name="paxosstore-digests", daemon=True).start()

    def committed_entry(self, entity: int) -> int:
        value = self.table.get(META + committed_key(entity))
        return 0 if value is None else decode_committed(entity, value, self.table.path)

    def wrote(self, applies: Sequence[Apply], changes: Sequence[Change], spans: Mapping[int, Span]) -> None:
        """Count what was deleted, and have memory written out when it is much. `spans` are the entries that are applied now."""
        if spans:
            self.digests.applied(spans)
        for change in changes:
            if isinstance(change, EndInstall | ResetEntity):
                self.generations.changed(change.entity)
        for change in changes:
            if isinstance(change, EndInstall | DropInstall):
                self._cleared(change.entity, other(self.generations.of(change.entity)))
            elif isinstance(change, ResetEntity):
                for generation in (FIRST, SECOND):
                    self._cleared(change.entity, generation)
        for entity, _, batch in applies:
            self.deleted += [*batch.writes.values()].count(None)
            if batch.cleared:
                self._cleared(entity, self.generations.of(entity))
        if self.deleted >= MAX_DELETED and self.upkeep is not None:
            self.upkeep.wake()

    def ranges_deleted(self, count: int) -> None:
        """Reads of whatever key get dearer by it."""
        self.deleted += CLEAR_WEIGHT * count

    def _cleared(self, entity: int, generation: bytes) -> None:
        """Data of an entity was deleted there as a range."""
        self.ranges_deleted(1)
        if self.expiry is not None:
            self.expiry.cleared(generation + entity_prefix(entity), after_entity(generation, entity))

    def _build(self, now: TableSnapshot, background: Background) -> None:
        seen_s = time.thread_time()

        def rest() -> bool:
            nonlocal seen_s
            before, seen_s = seen_s, time.thread_time()
            background.book(Job.CATCH_UP, 0, 1_000.0 * (seen_s - before))
            return background.rest(Job.CATCH_UP)

        with now:
            rows = now.range(META + META_COMMITTED, META + marks_end(META_COMMITTED))
            pairs = ((entity_of(key[1:]), value) for key, value in rows)
            committed = ((entity, decode_committed(entity, value, self.table.path)) for entity, value in pairs)
            self.digests.build(committed, rest)

    def _tend(self) -> None:
        """In the upkeep's thread: free the segments that are full, and have the next one ready."""
        assert self.journal is not None
        try:
            if self.journal.has_full or self.deleted >= MAX_DELETED:
                self.deleted = 0
                written = self.journal.sequence  # its batch is in RocksDB's memory already
                self.table.flush()
                self.journal.drop(written)
        except (NodeError, OSError):
            self.failed = True  # the next write reopens, and says what is wrong if it still is
        with suppress(OSError):  # every sync fails from then on
            self.journal.note_synced()
        with suppress(OSError):  # no room: the write that needs it tries again
            self.journal.prepare()
