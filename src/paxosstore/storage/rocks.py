"""The durable store: a journal that is synced, and a RocksDB that holds the same batches as a table.

    path/journal/    journal.py: every batch, one after the other (payload.py); `sync` is its fdatasync
    path/rocksdb/    PLog, data and meta in one table, told apart by the first byte of a key; no log of its own

A write goes into RocksDB's memory and into the journal, under the journal's next sequence. RocksDB writes its memory out in whole
batches, in order, and each batch carries its sequence in a key of its own (`SEQUENCE`): so what RocksDB has on the disk is
always the first batches up to the sequence found there, and opening replays those of the journal above it. It may be more
than a torn journal still has: nothing was acknowledged there, and a longer beginning of the same order is as good.
When a segment of the journal is full, a thread has RocksDB write out its memory, deletes the segment and makes a new one. It
writes out its memory as well when much was deleted there: reads would walk over it.

The disk is full: a write that needs a segment when none can be made is refused and changes nothing. If RocksDB could not
write out its memory (it then refuses every write until it is opened anew), the next write reopens the store. Opening for
writing needs room; without it RocksDB is opened for reading, with the journal's records in memory, and the first write after
there is room again reopens it.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from ..core.entry.record import Record
from ..core.interface.digest import entity_at, first_place, place_of
from ..core.interface.event import Loaded
from ..core.interface.ready import Apply, Change
from ..errors import Damaged, DiskFull, NodeError, NotServing
from .api import Reader, ViewPiece
from .background import Background
from .checkpoint import TABLE, link_table
from .damage import damaged, disk_full, os_failed
from .durable import sync_path
from .epochs import Epochs, Keep, replayed_spans
from .expiry import LogKept
from .forking import give_up_in_child, used_in_child
from .frozen import FrozenEntity
from .generations import AFTER_DATA, FIRST, SECOND, after_entity, data_in_force
from .journal import SEGMENT_BYTES, Journal, create_journal
from .journal_reader import JournalReader
from .keys import (
    META,
    META_COMMITTED,
    PLOG,
    committed_key,
    decode_entry,
    encode_entry,
    entity_of,
    entity_prefix,
    entry_of,
    hash_content,
    mark_key,
    marks_end,
    place_end,
    place_key,
    plog_end,
    plog_key,
)
from .loading import range_load, take_rows
from .marks import (
    FLOOR,
    GENERATION,
    RECOVERING,
    STANDING_KEY,
    STOPPED,
    decode_committed,
    decode_floor,
    decode_recovering,
    decode_standing,
    decode_stopped,
)
from .opened import SEQUENCE, Opened
from .operations import place_operations
from .payload import replayed
from .rocks_table import ReadOnlyTable, RocksTable, create_table
from .scrub import Scrub, is_beside_tables
from .summing import build_digests
from .upgrade import add_what_lacks, give_up_mixtures
from .warming import warm

_COMMITTED_END = META + marks_end(META_COMMITTED)


def create_store(path: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
    """Make an empty store at a path that does not exist yet. Raises DiskFull, NodeError."""
    with _os_errors(path):
        path.mkdir(parents=True)
        create_table(path / "rocksdb")
        create_journal(path / "journal", segment_bytes)
        sync_path(path)


class RocksStore:
    """`storage.api.Store` on a disk."""

    def __init__(
        self,
        path: Path | str,
        *,
        read_only: bool = False,
        segment_bytes: int = SEGMENT_BYTES,
        keep: Keep = Keep(),  # noqa: B008  # it is immutable
        background: Background | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the store that `create_store` made. Raises Damaged, DirectoryInUse, NodeError.

        `read_only` changes nothing on the disk, and refuses writes. `keep`: what is kept of the PLog, by this clock (seconds).
        `background`: what its own work shares with that of others; None: a budget of its own.
        """
        self.path = Path(path)
        self._read_only = read_only
        self._segment_bytes = segment_bytes
        self._keep = keep
        self._clock = clock
        self.background = Background() if background is None else background
        """What goes on behind the requests, here and elsewhere, shares this."""
        self._lock = threading.Lock()  # a sync in another thread must not see the journal go
        self._in_child = False
        self.on_damaged: Callable[[Damaged], None] = lambda found: None
        """Told of damage in the table, in whatever thread it was found, before that is raised there."""
        self._scrub: tuple[Path, Callable[[], float], Callable[[], None]] | None = None
        self._opened: Opened | None = None
        self.get: Callable[[int, bytes], bytes | None] = self._get
        """As `Store.get`: each request asks it, so it is that of what is open."""
        self._have(self._open())
        give_up_in_child(self)

    def forked(self) -> None:
        self._in_child = True
        self._lock = threading.Lock()  # a thread that held it is not here
        opened = self._opened
        self._have(None)
        if opened is not None:
            opened.table.forked()
            if opened.journal is not None:
                opened.journal.forked()

    def reopen(self) -> None:
        """Close and open again; after a failed write nothing else makes RocksDB write. Raises what opening raises."""
        with self._lock:
            opened = self._use()
            if opened.journal is not None and opened.journal.failure is not None:
                raise os_failed(self.path, opened.journal.failure)  # what was written since is lost, and was not refused
            self._have(None)
            opened.close(in_order=False)
            self._have(self._open())
            self._begin_scrub()

    # -- Store

    def write(self, records: dict[tuple[int, int], Record], applies: Sequence[Apply], changes: Sequence[Change] = ()) -> None:
        opened = self._use()
        if opened.journal is None or opened.failed:
            self._make_writable()
            opened = self._use()
        try:
            opened.write(records, applies, changes)
        except DiskFull:
            if not opened.failed:
                raise
            self._make_writable()  # what RocksDB says may be old: its last flush met a disk that has room by now
            self._use().write(records, applies, changes)

    def sync(self) -> None:
        with self._lock:
            journal = self._use().journal
            if journal is not None:
                try:
                    journal.sync()
                except OSError as error:
                    raise os_failed(self.path, error) from error

    def load(self, entity: int) -> Loaded:
        committed = self.committed_entry(entity)
        return range_load(entity, committed, self._rows(entity, committed, plog_end(entity)), self._marks(entity), self.path)

    def warm(self, entities: Sequence[int]) -> None:
        if (opened := self._opened) is not None:
            warm(opened.table, entities)

    def read_log(self, entity: int, first: int, last: int, max_bytes: int = 1_048_576) -> list[tuple[int, Record]]:
        self._use().pins.asked(entity)
        return take_rows(entity, self._rows(entity, first, plog_key(entity, last) + b"\0"), max_bytes, self.path)

    def scan(self, entity: int, start: bytes, end: bytes, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        opened = self._use()
        prefix = opened.generations.of(entity) + entity_prefix(entity)
        skip = len(prefix)
        for key, value in opened.table.range(prefix + start, prefix + end, reverse):
            yield key[skip:], value

    def committed_entry(self, entity: int) -> int:
        return self._use().committed_entry(entity)

    def committed(self, after: int = -1) -> Iterator[tuple[int, int]]:
        start = META_COMMITTED if after < 0 else committed_key(after) + b"\0"
        return _applied(self._committed(self._use().table.range(META + start, _COMMITTED_END)))

    def entities(self, after: int, limit: int) -> list[tuple[int, int, int]]:
        found: list[tuple[int, int, int]] = []
        start = META_COMMITTED if after < 0 else committed_key(after) + b"\0"
        for entity, committed in islice(self._committed(self._use().table.range(META + start, _COMMITTED_END)), limit):
            above = [entry for entry, _ in self._rows(entity, committed + 1, plog_end(entity))]  # few: max_open_entries
            found.append((entity, committed, above[-1] if above else committed))
        return found

    def digests(self, level: int, nodes: Sequence[int]) -> bytes | None:
        return self._use().digests.of_children(level, nodes)

    def inventory(self, buckets: Sequence[int], after: int, limit: int) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        table = self._use().table
        begin = place_of(after) + 1 if after >= 0 else 0
        for bucket in buckets:
            start = max(begin, first_place(bucket))
            if start >= first_place(bucket + 1):
                continue
            for key, _ in table.range(META + place_key(start), META + place_end(bucket)):
                entity = entity_at(entity_of(key[1:]))
                found.append((entity, self.committed_entry(entity)))
                if len(found) == limit:
                    return found
        return found

    def floors(self, after: int, limit: int) -> list[tuple[int, int]]:
        start = FLOOR if after < 0 else mark_key(FLOOR, after) + b"\0"
        rows = islice(self._use().table.range(META + start, META + marks_end(FLOOR)), limit)
        entities = ((entity_of(key[1:]), value) for key, value in rows)
        return [(entity, decode_floor(entity, value, self.path)) for entity, value in entities]

    def stopped(self) -> list[tuple[int, str]]:
        rows = self._use().table.range(META + STOPPED, META + marks_end(STOPPED))
        entities = ((entity_of(key[1:]), row) for key, row in rows)
        return [(entity, decode_stopped(entity, row, self.path)) for entity, row in entities]

    def standing(self) -> bytes:
        return decode_standing(self._use().table.get(META + STANDING_KEY), self.path)

    def read_snapshot(self, reader: Reader, after: bytes, max_bytes: int) -> ViewPiece | None:
        if not after:
            self.open_snapshot(reader)
        return self._use().views.read(reader, after, max_bytes)

    def open_snapshot(self, reader: Reader) -> int:
        opened = self._use()
        committed = self.committed_entry(reader[1])
        opened.views.open(reader, committed, opened.generations.of(reader[1]))
        return committed

    def close_snapshot(self, reader: Reader) -> None:
        self._use().views.close(reader)

    def frozen(self, entity: int) -> FrozenEntity:
        """An entity's data as it is now, for one other thread. Whoever has it closes it."""
        opened = self._use()
        generation = opened.generations.of(entity)
        snapshot = opened.table.snapshot(after_entity(generation, entity))
        return FrozenEntity(snapshot, generation + entity_prefix(entity), entity, self.committed_entry(entity))

    def content_hash(self, wanted: Callable[[], bool] | None = None) -> str:
        """`wanted` is asked now and then: NotServing ends it when it says no."""
        with self._use().table.snapshot() as now:
            marks = ((key[1:], row) for key, row in now.range(META + GENERATION, META + marks_end(GENERATION)))
            data = data_in_force(now.range(FIRST, SECOND, wanted), now.range(SECOND, AFTER_DATA, wanted), marks)
            return hash_content(data, _applied(self._committed(now.range(META + META_COMMITTED, _COMMITTED_END))))

    def checkpoint(self, place: Path) -> None:
        """Put a checkpoint of the table, with all that was written before, into this directory of the same file system.

        In any thread. Raises DiskFull, NodeError, NotServing.
        """
        opened = self._use()
        if opened.journal is None:
            raise disk_full(self.path, "no space left for a checkpoint")
        opened.table.flush_in_any_thread()
        with _os_errors(place):
            link_table(opened.table.path, place / TABLE)

    def close(self) -> None:
        """Write out what is in memory and close; a second call does nothing. Never raises: all that is lost was never synced."""
        with self._lock:
            opened = self._opened
            self._have(None)
            if opened is not None:
                opened.close(in_order=True)

    def keep(self, keep: Keep) -> None:
        """So much of the PLog is kept from now on."""
        self._keep = keep
        expiry = self._use().expiry
        if expiry is not None:
            expiry.keep(keep)

    def digests_lacking(self) -> str:
        """Why the digests are not known; empty: they are."""
        return self._use().digests.lacking

    def scrub(self, position: Path, days: Callable[[], float], mend: Callable[[], None] = lambda: None) -> None:
        """From now on read all that lies there once in so many days, behind the requests, and mend what is beside (scrub.py)."""
        self._scrub = position, days, mend
        self._begin_scrub()

    def scrubbed(self) -> tuple[int, int]:
        """How many rounds of that were completed since the store was opened, and the bytes read."""
        scrub = self._use().scrub
        return (0, 0) if scrub is None else (scrub.rounds, scrub.bytes)

    def _begin_scrub(self) -> None:
        opened = self._opened
        if self._scrub is not None and opened is not None and opened.journal is not None:
            position, days, mend = self._scrub
            folders = self.path / "journal", opened.table.path
            opened.scrub = Scrub(
                opened.table,
                position,
                self.background,
                days,
                lambda found: self.on_damaged(found),
                others=lambda: (file for folder in folders for file in sorted(folder.iterdir()) if is_beside_tables(file)),
                mend=mend,
            )

    def log_kept(self) -> LogKept:
        """Of a store that is only read, nothing is known."""
        expiry = self._use().expiry
        return LogKept(0, 0, 0, "") if expiry is None else expiry.kept

    # -- inside

    def _have(self, opened: Opened | None) -> None:
        self._opened = opened
        self.get = self._get if opened is None else opened.get

    def _get(self, entity: int, key: bytes) -> bytes | None:
        return self._use().get(entity, key)  # it raises what says why that is not possible

    def _use(self) -> Opened:
        if self._opened is None:
            if self._in_child:
                raise used_in_child(self.path)
            raise NotServing(f"{self.path}: the store is closed")
        return self._opened

    def _open(self) -> Opened:
        if not self.path.is_dir():
            raise damaged(self.path, "the store is gone")
        if not self._read_only:
            with suppress(DiskFull):
                return self._open_for_writing()
        table = ReadOnlyTable(self.path / "rocksdb")
        table.on_damaged = lambda found: self.on_damaged(found)
        self._replay(table)
        give_up_mixtures(table)
        opened = Opened(table, None)
        if not self._read_only:
            build_digests(opened.digests, opened.table, self.background)
        return opened

    def _open_for_writing(self) -> Opened:
        table = RocksTable(self.path / "rocksdb")
        table.on_damaged = lambda found: self.on_damaged(found)
        try:
            epochs = Epochs(table, self._keep, self._clock)
            read, held = self._replay(table, epochs)
            mixtures = give_up_mixtures(table)
            if read.highest > held or mixtures:
                table.write([(SEQUENCE, encode_entry(read.highest))])
                table.flush()
            with _os_errors(self.path):
                opened = Opened(table, Journal(read, self._segment_bytes), epochs, self.background)
            build_digests(opened.digests, opened.table, self.background)
            return opened
        except BaseException:
            table.release()
            raise

    def _replay(self, table: RocksTable, epochs: Epochs | None = None) -> tuple[JournalReader, int]:
        """Bring a table up to the end of the journal. Returns the journal as read, and the sequence that the table had."""
        found = table.get(SEQUENCE)
        held = 0 if found is None else decode_entry(found)
        with _os_errors(self.path):
            read = JournalReader(self.path / "journal")
            for sequence, payload in read.records(held):
                operations = replayed(payload, table.get, read.folder)
                spans, size = replayed_spans(operations, table)
                if epochs is not None:
                    operations += epochs.applied(spans, size)
                operations += place_operations(spans)
                table.write([*operations, (SEQUENCE, encode_entry(sequence))])
        if add_what_lacks(table) and epochs is not None:
            epochs.begin_with_0()
        return read, held

    def _make_writable(self) -> None:
        """Open anew for writing. Raises DiskFull if that does not help, or clearly would not."""
        if self._read_only:
            raise NodeError(f"{self.path}: is open for reading only: a running node is what writes there")
        free = shutil.disk_usage(self.path).free
        if free >= self._segment_bytes:  # for what is replayed
            self.reopen()
            if self._use().journal is not None:
                return
        raise disk_full(self.path, "no space left to write")

    def _marks(self, entity: int) -> tuple[int, bool, str]:
        """Floor, recovering, stopped."""
        get = self._use().table.get
        return (
            decode_floor(entity, get(META + mark_key(FLOOR, entity)), self.path),
            self._is_recovering(entity),
            decode_stopped(entity, get(META + mark_key(STOPPED, entity)), self.path),
        )

    def _is_recovering(self, entity: int) -> bool:
        return decode_recovering(entity, self._use().table.get(META + mark_key(RECOVERING, entity)), self.path)

    def _rows(self, entity: int, first: int, end: bytes) -> Iterator[tuple[int, bytes]]:
        for key, row in self._use().table.range(PLOG + plog_key(entity, first), PLOG + end):
            yield entry_of(key[1:]), row

    def _committed(self, rows: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[int, int]]:
        for key, value in rows:
            entity = entity_of(key[1:])
            yield entity, decode_committed(entity, value, self.path)


def _applied(pairs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Those of which anything was applied."""
    return (pair for pair in pairs if pair[1])


@contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise os_failed(path, error) from error
