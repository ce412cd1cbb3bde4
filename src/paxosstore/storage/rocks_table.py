"""One RocksDB as an ordered table of bytes, without a log of its own; and one that is only read, with what it lacks over it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import merge
from pathlib import Path

from rocksdict import AccessType, Rdict, RdictIter, ReadOptions, WriteBatch

from ..errors import Damaged, DataDirectoryError, DirectoryInUse, DiskFull, NodeError, PaxosStoreError
from .rocks_options import table_options, write_options
from .sorted_map import SortedMap

Operation = tuple[bytes, bytes | tuple[bytes] | None]
"""(key, value), (key, None) to delete it, or (start, (end,)) to delete start <= key < end."""


def create_table(path: Path) -> None:
    """Make an empty one at a path that does not exist yet. Raises DiskFull, DataDirectoryError."""
    try:
        Rdict(str(path), table_options(create=True)).close()
    except Exception as error:
        raise _opening_error(path, error) from error


class RocksTable:
    """An open RocksDB. A batch is written to memory only; memory goes to the disk in whole batches, in order."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Raises Damaged, DiskFull, DirectoryInUse, DataDirectoryError."""
        self.path = path
        access = AccessType.read_only(False) if read_only else AccessType.read_write()
        try:
            options = table_options(create=False)
            # named, or the column family gets what the files say, and they forget the filter
            self._db = Rdict(str(path), options, {"default": options}, access)
            if not read_only:
                self._db.set_write_options(write_options())
        except Exception as error:
            raise _opening_error(path, error) from error

    def write(self, operations: Iterable[Operation]) -> None:
        """All or nothing, in order. Raises DiskFull, NodeError."""
        batch = WriteBatch(raw_mode=True)
        put, delete = batch.put, batch.delete
        for key, value in operations:
            if isinstance(value, bytes):
                put(key, value)
            elif value is None:
                delete(key)
            else:
                batch.delete_range(key, value[0])
        try:
            self._db.write(batch)
        except Exception as error:
            raise _error(self.path, error) from error

    def flush(self) -> None:
        """Make everything written so far durable (blocking; releases the GIL). Raises DiskFull, NodeError."""
        try:
            self._db.flush()
        except Exception as error:
            raise _error(self.path, error) from error

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._db.get(key)
        except Exception as error:
            raise _error(self.path, error) from error
        return value

    def range(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < end. Rdict.items() is not used: it ends silently where it meets damage."""
        options = ReadOptions()
        options.set_iterate_upper_bound(end)
        rows = self._db.iter(options)
        rows.seek(start)
        valid, key, value, proceed = rows.valid, rows.key, rows.value, rows.next
        while valid():
            yield key(), value()
            proceed()
        self._check(rows)

    def last(self, start: bytes, end: bytes) -> bytes | None:
        """The highest key with start <= key <= end."""
        # (a lower bound would spare the comparison, but rocksdict 0.3.29 takes it for an upper one)
        return next((key for key in self._descending(end) if key >= start), None)

    def release(self) -> None:
        """Close it: RocksDB closes when its last handle is gone (an iterator is one too)."""
        del self._db

    def _descending(self, end: bytes) -> Iterator[bytes]:
        rows = self._db.iter()
        rows.seek_for_prev(end)
        while rows.valid():
            yield rows.key()
            rows.prev()
        self._check(rows)

    def _check(self, rows: RdictIter) -> None:
        try:
            rows.status()
        except Exception as error:
            raise _error(self.path, error) from error


class ReadOnlyTable(RocksTable):
    """Takes writes into memory, over what RocksDB has on the disk; needs no room and changes nothing there."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, read_only=True)
        self._newer: SortedMap[bytes, bytes | None] = SortedMap()
        """None: deleted."""

    def write(self, operations: Iterable[Operation]) -> None:
        for key, value in operations:
            if isinstance(value, tuple):
                for deleted in [found for found, _ in self.range(key, value[0])]:
                    self._newer.put(deleted, None)
            else:
                self._newer.put(key, value)

    def flush(self) -> None:
        raise NodeError(f"{self.path}: is open for reading only")

    def get(self, key: bytes) -> bytes | None:
        return self._newer.items[key] if key in self._newer.items else super().get(key)

    def range(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        newer, on_disk = self._newer, super().range(start, end)
        older = (pair for pair in on_disk if pair[0] not in newer.items)
        for key, value in merge(older, newer.range(start, end)):  # no key twice, so values are never compared
            if value is not None:
                yield key, value

    def last(self, start: bytes, end: bytes) -> bytes | None:
        newer = self._newer.items
        older = next((key for key in self._descending(end) if key not in newer), b"")
        found = max([older, *(key for key, value in self._newer.range(start, end + b"\0") if value is not None)])
        return found if found >= start else None


def _error(path: Path, error: Exception) -> PaxosStoreError:
    """What RocksDB's words mean here; it gives no codes."""
    text = str(error)
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return DiskFull(f"{path}: {text}")
    if text.startswith("Corruption"):
        return Damaged(f"{path}: {text}")
    return NodeError(f"{path}: {text}")


def _opening_error(path: Path, error: Exception) -> PaxosStoreError:
    text = str(error)
    if "lock hold by current process" in text or "While lock file" in text:
        return DirectoryInUse(f"{path}: another process has it open")
    if text.startswith("Invalid argument") or "No such file or directory" in text:  # files are missing or not RocksDB's
        return Damaged(f"{path}: {text}")
    known = _error(path, error)
    return known if isinstance(known, DataDirectoryError | DiskFull) else DataDirectoryError(f"{path}: {text}")
