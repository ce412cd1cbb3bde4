"""A store while it is open: the table, the journal before it, and the threads that look after both."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from ..core.entry.record import Record
from ..core.interface.ready import Apply, Change, DropInstall, EndInstall, ResetEntity
from ..errors import NodeError
from .background import Background
from .damage import os_failed
from .digests import Digests
from .epochs import Epochs, Span, reset_spans, spans_of
from .expiry import Expiry
from .generations import FIRST, SECOND, Generations, after_entity, other
from .journal import Journal
from .keys import META, committed_key, encode_entry, entity_prefix
from .loading import assert_applies
from .marks import decode_committed
from .operations import Operation, place_operations
from .payload import Payloads
from .pins import Pins
from .recent import RecentRows
from .rocks_table import RocksTable
from .scrub import Scrub
from .upkeep import Upkeep
from .views import Views

SEQUENCE: Final = META + b"s"
"""Where the sequence of the last batch stands."""
MAX_DELETED = 65_536
"""After so many keys deleted, RocksDB writes out its memory: a scan walks over them there."""
MAX_APPLIED: Final = 16_384
"""Entities of which the committed entry is remembered. With more, all are forgotten, and looked up once more."""
NOTE_S: Final = 1.0
"""How long the journal rests before its end is noted in the head of its segment."""
CLEAR_WEIGHT: Final = 1_024
"""What a range deleted counts for: each makes the reads after the next one dearer, of whatever key."""


class Opened:
    """Without a journal it can only be read."""

    __slots__ = (
        "_applied",
        "deleted",
        "digests",
        "epochs",
        "expiry",
        "failed",
        "generations",
        "journal",
        "payloads",
        "pins",
        "recent",
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
        self.recent = RecentRows(table.get)
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
        self._applied: dict[int, int] = {}
        """The committed entries of those to which something was applied lately: whoever applies needs not look them up."""
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

    def get(self, entity: int, key: bytes) -> bytes | None:
        """As `Store.get`."""
        return self.recent.get(self.generations.of(entity) + entity_prefix(entity) + key)

    def committed_entry(self, entity: int) -> int:
        value = self.table.get(META + committed_key(entity))
        return 0 if value is None else decode_committed(entity, value, self.table.path)

    def write(self, records: dict[tuple[int, int], Record], applies: Sequence[Apply], changes: Sequence[Change]) -> None:
        """As `Store.write`. Raises DiskFull, NodeError: then it has changed nothing, but may have `failed`."""
        assert_applies(applies, changes, self._committed_before)
        spans = spans_of(applies, changes, self._committed_before)
        reset = reset_spans(changes, self.committed_entry) if changes else {}
        operations, payload, chosen_bytes = self.payloads.of(records, applies, changes)
        self._put(spans, operations, payload, chosen_bytes)
        self.payloads.written(records, applies)
        if reset:
            self.digests.applied(reset)
        self._wrote(applies, changes, spans)

    def _committed_before(self, entity: int) -> int:
        found = self._applied.get(entity)
        return self.committed_entry(entity) if found is None else found

    def _put(self, spans: dict[int, Span], operations: list[Operation], payload: bytes, chosen_bytes: int) -> None:
        """One batch, into RocksDB's memory and the journal. Raises DiskFull, NodeError: then it is in neither."""
        journal = self.journal
        assert journal is not None
        try:
            moved = journal.reserve(len(payload))
            if (spans or chosen_bytes) and self.epochs is not None:
                operations += self.epochs.applied(spans, chosen_bytes)
            operations += place_operations(spans)
            operations.append((SEQUENCE, encode_entry(journal.sequence + 1)))
            self.table.write(operations)
        except OSError as error:
            raise os_failed(self.table.path.parent, error) from error
        except NodeError:
            self.failed = True
            raise
        journal.append(payload)  # if that fails, every sync does: nothing that is now in RocksDB is ever acknowledged
        if moved and self.upkeep is not None:
            self.upkeep.wake()

    def _wrote(self, applies: Sequence[Apply], changes: Sequence[Change], spans: Mapping[int, Span]) -> None:
        """Count what was deleted, and have memory written out when it is much. `spans` are the entries that are applied now."""
        if spans:
            self.digests.applied(spans)
            self._note_applied(spans)
        if changes:
            self._changed(changes)
        for entity, _, batch in applies:
            self.deleted += list(batch.writes.values()).count(None)
            if batch.cleared:
                self._cleared(entity, self.generations.of(entity))
                self.recent.forget()
            else:
                self.recent.wrote(self.generations.of(entity) + entity_prefix(entity), batch.writes)
        if self.deleted >= MAX_DELETED and self.upkeep is not None:
            self.upkeep.wake()

    def _note_applied(self, spans: Mapping[int, Span]) -> None:
        applied = self._applied
        if len(applied) >= MAX_APPLIED:
            applied.clear()
        for entity, (_, last) in spans.items():
            applied[entity] = last

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change, ResetEntity):
                self._applied.pop(change.entity, None)
            if isinstance(change, EndInstall | ResetEntity):
                self.generations.changed(change.entity)
                self.recent.forget()
        for change in changes:
            if isinstance(change, EndInstall | DropInstall):
                self._cleared(change.entity, other(self.generations.of(change.entity)))
            elif isinstance(change, ResetEntity):
                for generation in (FIRST, SECOND):
                    self._cleared(change.entity, generation)

    def ranges_deleted(self, count: int) -> None:
        """Reads of whatever key get dearer by it."""
        self.deleted += CLEAR_WEIGHT * count

    def _cleared(self, entity: int, generation: bytes) -> None:
        """Data of an entity was deleted there as a range."""
        self.ranges_deleted(1)
        if self.expiry is not None:
            self.expiry.cleared(generation + entity_prefix(entity), after_entity(generation, entity))

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
