"""What was applied when, by epochs: the index by which rows of the PLog are found when they are old enough to go (rule 17).

An epoch is what is applied between two moments: a sixteenth of what is kept, at most. Its rows in the table:

    "x" │ epoch (8)                 bytes of the PLog applied in it (8) │ the clock then, in ms (8): now and then
    "x" │ epoch (8) │ entity (8)    first (8) and last (8) entry of the entity that were applied in it

They are written in the batch that applies, one for each entity and epoch (a later one replaces an earlier one), and are not in
the journal: a replay notes what it applies anew, in another epoch. The clock counts the time for which the store was open:
what a wall clock says never matters.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from struct import Struct, error
from typing import Any, Final, NamedTuple

from ..core.interface.ready import Apply, Change, EndInstall, ResetEntity
from ..errors import Damaged
from ..settings import TuningSettings
from .damage import damaged
from .keys import META, META_COMMITTED, PLOG, committed_key, decode_entry, entity_of, row_of
from .operations import Operation
from .rocks_table import RocksTable

INDEX: Final = b"x"
_END: Final = b"y"
_NUMBER: Final = Struct(">Q")
_PAIR: Final = Struct(">QQ")
_PER_KEPT: Final = 16
MAX_SPANS = 8_192
"""Entities of an epoch."""

Span = tuple[int, int]
"""First and last entry."""


class Keep(NamedTuple):
    """What is kept of the PLog. A row goes as soon as one of these is exceeded, but for an entity's last applied one.

    The limits are met to within an epoch.
    """

    entries: int = 100_000
    """Of each entity."""
    bytes: int = 67_108_864
    """Of the node."""
    seconds: float = 900.0
    """For which the node was up."""

    @staticmethod
    def of(tuning: TuningSettings) -> Keep:
        return Keep(tuning.plog_keep_entries, tuning.plog_keep_bytes, tuning.plog_keep_seconds)


class Epoch:
    __slots__ = ("began_s", "bytes", "ended_s", "number", "spans")

    def __init__(self, number: int, began_s: float, size: int = 0) -> None:
        self.number = number
        self.began_s = self.ended_s = began_s
        self.bytes = size
        self.spans: dict[int, Span] = {}
        """Of those that were applied since the store was opened."""

    @property
    def key(self) -> bytes:
        return INDEX + _NUMBER.pack(self.number)

    @property
    def end(self) -> bytes:
        """Above all its keys."""
        return INDEX + _NUMBER.pack(self.number + 1)

    def span_of(self, key: bytes, value: bytes, store: Path) -> tuple[int, Span]:
        """(entity, span) of a row behind the epoch's first one. Raises Damaged."""
        first, last = _unpack(_PAIR, value, store)
        return _unpack(_PAIR, key[len(INDEX) :], store)[1], (first, last)


class Epochs:
    """Those of a table. `applied` belongs to the thread that writes, the rest to the one that lets rows expire."""

    def __init__(self, table: RocksTable, keep: Keep, clock: Callable[[], float] = time.monotonic) -> None:
        self.keep = keep
        self.closed = deque(_found(table))
        """The oldest first."""
        self.on_end: Callable[[], None] = lambda: None
        self._clock = clock
        self._zero_s = clock() - max((epoch.ended_s for epoch in self.closed), default=0.0)
        self._current = Epoch(self.closed[-1].number + 1 if self.closed else 1, self.now_s)
        self._changing = threading.Lock()
        self._note_bytes = 0
        self._note_s = 0.0
        """With so many bytes, or so late, the epoch's own row is due to be written again."""

    def begin_with_0(self) -> None:
        """There is such an epoch now."""
        self.closed.appendleft(Epoch(0, 0.0))

    @property
    def now_s(self) -> float:
        """For how long the store has been open in all its life."""
        return self._clock() - self._zero_s

    @property
    def newest(self) -> int:
        """Number of the epoch that goes on."""
        return self._current.number

    @property
    def bytes(self) -> int:
        """Of all applied rows that have not expired."""
        return self._current.bytes + sum(epoch.bytes for epoch in [*self.closed])

    def applied(self, spans: dict[int, Span], size: int) -> list[Operation]:
        """Note what a write is about to apply, and the bytes of its rows. Returns the index's rows for the same write."""
        now = self.now_s
        operations: list[Operation] = []
        with self._changing:
            self._end_in_time(now)
            epoch = self._current
            epoch.bytes += size
            epoch.ended_s = now
            key = epoch.key
            if epoch.bytes >= self._note_bytes or now >= self._note_s:
                operations.append((key, _PAIR.pack(epoch.bytes, int(now * 1_000))))
                self._note_bytes = epoch.bytes + self.keep.bytes // (_PER_KEPT * _PER_KEPT)
                self._note_s = now + 1.0
            for entity, (first, last) in spans.items():
                before = epoch.spans.get(entity)
                span = epoch.spans[entity] = (first if before is None else before[0], last)
                operations.append((key + _NUMBER.pack(entity), _PAIR.pack(*span)))
        return operations

    def carry(self, spans: Mapping[int, Span]) -> list[Operation]:
        """An epoch of these spans alone, as of now: their rows are kept for longer, and count for nothing meanwhile.

        Returns its rows in the index.
        """
        now = self.now_s
        with self._changing:
            if self._current.spans:
                self._end(now)
            epoch, self._current = self._current, Epoch(self._current.number + 1, now)
            epoch.ended_s = now
            self.closed.append(epoch)
        spanned = [(epoch.key + _NUMBER.pack(entity), _PAIR.pack(*span)) for entity, span in spans.items()]
        return [(epoch.key, _PAIR.pack(0, int(now * 1_000))), *spanned]

    def due(self) -> Epoch | None:
        """The oldest epoch, if what was applied in it is not to be kept any longer."""
        with self._changing:
            self._end_in_time(self.now_s)
        if not self.closed:
            return None
        oldest = self.closed[0]
        too_old = self.now_s - oldest.ended_s > self.keep.seconds
        return oldest if too_old or self.bytes > self.keep.bytes else None

    def _end_in_time(self, now: float) -> None:
        """Begin another epoch if this one holds enough."""
        epoch = self._current
        if not epoch.spans:
            epoch.began_s = now
        elif (
            epoch.bytes * _PER_KEPT >= self.keep.bytes
            or len(epoch.spans) >= MAX_SPANS
            or (now - epoch.began_s) * _PER_KEPT >= self.keep.seconds
        ):
            self._end(now)
            self.on_end()

    def _end(self, now: float) -> None:
        self.closed.append(self._current)
        self._current = Epoch(self._current.number + 1, now)
        self._note_bytes = 0


def spans_of(applies: Sequence[Apply], changes: Sequence[Change], committed: Callable[[int], int]) -> dict[int, Span]:
    """Entity -> the entries that a write makes applied; `committed` tells an entity's committed entry before it."""
    spans: dict[int, Span] = {}
    for change in changes:
        if isinstance(change, EndInstall):
            spans[change.entity] = committed(change.entity) + 1, change.committed
    for entity, entry, _ in applies:
        spans[entity] = (spans[entity][0] if entity in spans else entry), entry
    return spans


def reset_spans(changes: Sequence[Change], committed: Callable[[int], int]) -> dict[int, Span]:
    """Entity -> minus the entries that a write makes not applied any more, as a span."""
    spans: dict[int, Span] = {}
    for change in changes:
        if isinstance(change, ResetEntity):
            with suppress(Damaged):  # then it is not in the digests: who builds them has met it as well
                spans[change.entity] = committed(change.entity) + 1, 0
    return spans


def replayed_spans(operations: Iterable[Operation], table: RocksTable) -> tuple[dict[int, Span], int]:
    """The same of operations that are about to be written, and the bytes of those entries' rows."""
    spans: dict[int, Span] = {}
    rows: list[tuple[int, int, int]] = []
    for key, value in operations:
        if not isinstance(value, bytes):
            continue
        if key.startswith(META + META_COMMITTED):
            entity, last = entity_of(key[len(META) :]), decode_entry(value)
            before = table.get(META + committed_key(entity))
            first = 1 if before is None else decode_entry(before) + 1
            if first <= last:
                spans[entity] = first, last
        elif key.startswith(PLOG):
            rows.append((*row_of(key[len(PLOG) :]), len(value)))
    size = sum(length for entity, entry, length in rows if entity in spans and entry <= spans[entity][1])
    return spans, size


def span_operations(spans: Iterable[tuple[int, Span]]) -> Iterator[Operation]:
    """The epoch 0: what was applied before there was an index."""
    key = INDEX + _NUMBER.pack(0)
    yield key, _PAIR.pack(0, 0)
    for entity, span in spans:
        yield key + _NUMBER.pack(entity), _PAIR.pack(*span)


def _unpack(form: Struct, value: bytes, store: Path) -> tuple[Any, ...]:
    try:
        return form.unpack(value)
    except error:
        raise damaged(store, f"a row of the index of the PLog has {len(value)} bytes") from None


def _found(table: RocksTable) -> Iterator[Epoch]:
    """One look at each."""
    start = INDEX
    while (found := next(table.range(start, _END), None)) is not None:
        key, value = found
        number = _unpack(_NUMBER, key[len(INDEX) : len(INDEX) + _NUMBER.size], table.path)[0]
        epoch = Epoch(number, 0.0)
        if key == epoch.key:  # else the write that was to bring it has failed
            epoch.bytes, ended_ms = _unpack(_PAIR, value, table.path)
            epoch.ended_s = ended_ms / 1_000.0
        yield epoch
        start = epoch.end
