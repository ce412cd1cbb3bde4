"""One RocksDB as an ordered table of bytes, without a log of its own; and one that is only read, with what it lacks over it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from operator import itemgetter
from pathlib import Path
from types import TracebackType

from rocksdict import AccessType, Rdict, RdictIter, ReadOptions, WriteBatch

from ..errors import Damaged, DataDirectoryError, DirectoryInUse, DiskFull, NodeError, NotServing, PaxosStoreError
from .damage import damaged, disk_failed, disk_full, os_failed, read_only
from .forking import keep_for_ever
from .manifest import check_manifest, cut_torn_manifest
from .operations import Operation, fill
from .ranges import Ranges
from .rocks_options import table_options, write_options
from .sorted_map import SortedMap

PIECE_ROWS = 512
PIECE_BYTES = 1024 * 1024
PAUSE_S = 0.001
"""A snapshot is read in pieces of so many rows, or bytes, with such pauses between: the loop's thread never waits for long."""


def create_table(path: Path) -> None:
    """Make an empty one at a path that does not exist yet. Raises DiskFull, DataDirectoryError."""
    try:
        Rdict(str(path), table_options(create=True)).close()
    except Exception as error:
        raise _opening_error(path, error) from error


class RocksTable:
    """An open RocksDB. A batch is written to memory only; memory goes to the disk in whole batches, in order."""

    def __init__(self, path: Path, *, read_only: bool = False, compacts: bool = True) -> None:
        """Raises Damaged, DiskFull, DirectoryInUse, DataDirectoryError."""
        self.path = path
        self._releasing = threading.Lock()
        self._flushing = threading.Lock()
        """Held by a flush that may meet a release."""
        self._getting = threading.Lock()
        self._released = False
        self._snapshots: set[TableSnapshot] = set()
        self.on_damaged: Callable[[Damaged], None] = lambda found: None
        access = AccessType.read_only(False) if read_only else AccessType.read_write()
        try:
            if read_only:
                check_manifest(path)
            else:
                cut_torn_manifest(path)
        except OSError as error:
            raise os_failed(path, error) from error
        try:
            options = table_options(create=False)
            options.set_disable_auto_compactions(not compacts)
            # named, or the column family gets what the files say, and they forget the filter
            self._db = Rdict(str(path), options, {"default": options}, access)
            if not read_only:
                self._db.set_write_options(write_options())
        except Exception as error:
            raise _opening_error(path, error) from error

    def write(self, operations: Iterable[Operation]) -> None:
        """All or nothing, in order. Raises DiskFull, NodeError."""
        batch = WriteBatch(raw_mode=True)
        fill(batch, operations)
        try:
            self._db.write(batch)
        except Exception as error:
            raise self._error(error) from error

    def flush(self) -> None:
        """Make everything written so far durable (blocking; releases the GIL). Raises DiskFull, NodeError."""
        try:
            self._db.flush()
        except Exception as error:
            raise self._error(error) from error

    def flush_in_any_thread(self) -> None:
        """Raises NotServing if the table is released."""
        with self._flushing:
            if self._released:
                raise NotServing(f"{self.path}: the store is closed")
            self.flush()

    def compact(self, start: bytes, end: bytes) -> None:
        """Have what was deleted there leave the disk (blocking; releases the GIL). Raises DiskFull, NodeError."""
        try:
            self._db.compact_range(start, end)
        except Exception as error:
            raise self._error(error) from error

    def stop_compacting(self) -> None:
        """Raises nothing. No flush comes after it."""
        self._db.cancel_all_background(True)

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._db.get(key)
        except Exception as error:
            raise self._error(error) from error
        return value

    def get_several(self, keys: list[bytes]) -> list[bytes | None]:
        """As far as the disk tells; nothing at all if it cannot be read, or the table is released. In any thread.

        The only read here that lets the GIL go while it waits for the disk.
        """
        with self._getting:
            if self._released:
                return []
            try:
                return list(self._db.get([*keys]) or [])
            except Exception:  # who needs it reads it again
                return []

    def range(self, start: bytes, end: bytes, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < end, ascending, or descending. Rdict.items() is not used: it ends silently where it meets
        damage."""
        return (self._range_back if reverse else self._range)(self._db.iter(_below(end)), start, end)

    def files(self) -> list[tuple[str, bytes, bytes]]:
        """(name, first key, last key) of each file of keys. May be called in any thread. Raises NotServing if it is released."""
        with self._releasing:
            if self._released:
                raise NotServing(f"{self.path}: the store is closed")
            return [(str(file["name"]), file["start_key"], file["end_key"]) for file in self._db.live_files()]

    def read_range(self, start: bytes, end: bytes, max_rows: int, max_bytes: int) -> list[tuple[bytes, bytes]]:
        """Some pairs from `start` on, below `end`, past the cache. As `files`; raises Damaged besides."""
        options = _below(end)
        options.fill_cache(False)  # type: ignore[call-arg]  # the stub has it without its argument
        rows: list[tuple[bytes, bytes]] = []
        with self._releasing:
            if self._released:
                raise NotServing(f"{self.path}: the store is closed")
            for pair in self._range(self._db.iter(options), start, end):
                rows.append(pair)
                max_bytes -= len(pair[0]) + len(pair[1])
                if max_bytes <= 0 or len(rows) == max_rows:
                    break
        return rows

    def snapshot(self, end: bytes = b"") -> TableSnapshot:
        """What the table holds now, for a long read; of keys below `end` if one is named. May be called in any thread.

        Raises NotServing if the table is released.
        """
        with self._releasing:
            if self._released:
                raise NotServing(f"{self.path}: the store is closed")
            # an iterator sees what was there when it was made; rocksdict 0.3.29's own snapshots only look that way
            found = TableSnapshot(self, self._db.iter(_below(end)) if end else self._db.iter(), end)
            self._snapshots.add(found)
            return found

    def release(self) -> None:
        """Close it: RocksDB closes when its last handle is gone (an iterator is one too, so snapshots end)."""
        with self._flushing, self._getting, self._releasing:
            self._released = True
            for snapshot in [*self._snapshots]:
                snapshot.close()
            del self._db

    def forked(self) -> None:
        """Closing would have RocksDB write out, in the parent's files, what the parent has in memory."""
        keep_for_ever(self._db)

    def _error(self, error: Exception) -> PaxosStoreError:
        found = _meaning(self.path, error)
        if isinstance(found, Damaged):
            self.on_damaged(found)
        return found

    def _range(self, rows: RdictIter, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        rows.seek(start)
        valid, key, value, proceed = rows.valid, rows.key, rows.value, rows.next
        while valid():
            found = key()
            if found >= end:
                return
            yield found, value()
            proceed()
        self._check(rows)

    def _range_back(self, rows: RdictIter, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Descending. Nothing bounds it below (`_below`), so it finds out first which is the last row that it comes to: it never
        takes a step that could lead it over what was deleted in front of the range."""
        if start >= end:
            return
        rows.seek(start)
        if rows.valid() and (first := rows.key()) < end:
            valid, key, value, proceed = rows.valid, rows.key, rows.value, rows.prev
            rows.seek_for_prev(end)
            if valid() and key() == end:
                proceed()
            while valid():
                found = key()
                yield found, value()
                if found == first:
                    return
                proceed()
        self._check(rows)

    def _check(self, rows: RdictIter) -> None:
        """That an iterator has ended because there is no more."""
        try:
            rows.status()
        except Exception as error:
            raise self._error(error) from error


class TableSnapshot:
    """What a table held at one moment. It is read in one thread while others write to the table, or release it."""

    def __init__(self, table: RocksTable, rows: RdictIter, end: bytes) -> None:
        self._table = table
        self._end = end  # the iterator's bound is these very bytes in memory: they must outlive it
        self._rows: RdictIter | None = rows
        self._using = threading.Lock()

    def range(self, start: bytes, end: bytes, wanted: Callable[[], bool] | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Like the table's, with pauses for the other threads. Raises NotServing if the table is released meanwhile, or if
        `wanted`, asked after every piece, says no."""
        while piece := self.piece(start, end):
            yield from piece
            if wanted is not None and not wanted():
                raise NotServing("nobody waits for it any more")
            start = piece[-1][0] + b"\0"
            time.sleep(PAUSE_S)

    def piece(self, start: bytes, end: bytes, max_rows: int = PIECE_ROWS, reverse: bool = False) -> list[tuple[bytes, bytes]]:
        """The first pairs, or the last ones; none if there are no more. Raises NotServing if the table is released."""
        piece: list[tuple[bytes, bytes]] = []
        left = PIECE_BYTES
        with self._using:
            if self._rows is None:
                raise NotServing(f"{self._table.path}: the store was closed meanwhile")
            read = self._table._range_back if reverse else self._table._range
            for pair in read(self._rows, start, end):
                piece.append(pair)
                left -= len(pair[0]) + len(pair[1])
                if left <= 0 or len(piece) == max_rows:
                    break
        return piece

    def rows(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Like the table's range, for the thread that the table belongs to."""
        assert self._rows is not None
        return self._table._range(self._rows, start, end)

    def close(self) -> None:
        """Waits for the piece that is being read, at most; a second call does nothing."""
        with self._using:
            self._rows = None
        self._table._snapshots.discard(self)

    def __enter__(self) -> TableSnapshot:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class ReadOnlyTable(RocksTable):
    """Takes writes into memory, over what RocksDB has on the disk; needs no room and changes nothing there.

    All writes come before the first snapshot.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, read_only=True)
        self._newer: SortedMap[bytes, bytes | None] = SortedMap()
        """None: deleted."""
        self._dropped = Ranges()
        """What of the disk does not count any more."""

    def write(self, operations: Iterable[Operation]) -> None:
        for key, value in operations:
            if isinstance(value, tuple):
                self._newer.delete_range(key, value[0])
                self._dropped.add(key, value[0])
            else:
                self._newer.put(key, value)

    def flush(self) -> None:
        raise NodeError(f"{self.path}: is open for reading only")

    def get(self, key: bytes) -> bytes | None:
        if key in self._newer.items:
            return self._newer.items[key]
        return None if key in self._dropped else super().get(key)

    def _range(self, rows: RdictIter, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key, value in merge(self._older(rows, start, end), self._newer.range(start, end)):  # no key twice
            if value is not None:
                yield key, value

    def _range_back(self, rows: RdictIter, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        older, newer = self._older(rows, start, end, reverse=True), self._newer.range(start, end, reverse=True)
        for key, value in merge(older, newer, key=itemgetter(0), reverse=True):
            if value is not None:
                yield key, value

    def _older(self, rows: RdictIter, start: bytes, end: bytes, reverse: bool = False) -> Iterator[tuple[bytes, bytes | None]]:
        gaps = self._dropped.gaps(start, end)
        read = super()._range_back if reverse else super()._range
        for first, last in reversed([*gaps]) if reverse else gaps:
            for key, value in read(rows, first, last):
                if key not in self._newer.items:
                    yield key, value


def _below(end: bytes) -> ReadOptions:
    """Bounded above, a read stops at the end also where the rows behind it are deleted. There is no way to be bounded below:
    rocksdict 0.3.29 takes a lower bound for an upper one. So whoever goes backwards finds out before where to stop.

    Whoever reads keeps `end`: rocksdict does not, and RocksDB looks at these very bytes whenever the iterator moves.
    """
    options = ReadOptions()
    options.set_iterate_upper_bound(end)
    return options


def _meaning(path: Path, error: Exception) -> PaxosStoreError:
    """What RocksDB's words mean here; it gives no codes."""
    text = str(error)
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return disk_full(path, text)
    if "Read-only file system" in text:
        return read_only(path, text)
    if text.startswith("Corruption") and not _may_go_away(text):
        return damaged(path, text)
    return disk_failed(path, text)


def _may_go_away(text: str) -> bool:
    """Whether RocksDB calls damaged what it could not look at, at its opening: a full table of descriptors, a file that this user
    may not read, a disk that does not answer. That a file is not there is damage."""
    return ": IO error: " in text and "No such file or directory" not in text


def _opening_error(path: Path, error: Exception) -> PaxosStoreError:
    text = str(error)
    if "lock hold by current process" in text or "While lock file" in text:
        return DirectoryInUse(f"{path}: another process has it open (fuser -v {path / 'LOCK'} names it): stop that one")
    if text.startswith("Invalid argument") or "No such file or directory" in text:  # files are missing or not RocksDB's
        return damaged(path, text)
    known = _meaning(path, error)
    return known if isinstance(known, DataDirectoryError | DiskFull) else DataDirectoryError(str(known))
