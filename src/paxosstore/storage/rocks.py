"""The durable store: one RocksDB with PLog, data and meta in column families, so that one batch writes all of them.

`write` goes to the operating system without a sync, on the caller's thread; `sync` is RocksDB's flush_wal(True), which
releases the GIL. Between them lies the group commit.

What RocksDB does when the disk is full (seen with rocksdict 0.3.29): the write that does not fit fails, reads go on,
and every later write and sync fails, room or not, until it is opened anew. The beginning of the failed batch stays in
the WAL as a torn end, which opening drops. Opening itself needs room, to write out what the WAL holds; without it,
opening for reads alone works. Hence: after a failed write, the next write reopens first (`reopen`).
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from rocksdict import AccessType, Rdict, RdictIter, ReadOptions, WriteBatch

from ..core.event import Loaded
from ..core.overlay import DATA
from ..core.ready import Apply
from ..core.record import Record
from ..errors import Damaged, DataDirectoryError, DirectoryInUse, DiskFull, NodeError, NotServing, PaxosStoreError
from . import rocks_options as families
from .keys import (
    META_COMMITTED,
    committed_key,
    decode_entry,
    encode_entry,
    entity_of,
    entity_prefix,
    entry_of,
    hash_content,
    plog_end,
    plog_key,
)
from .loading import assert_next, range_load, take_rows
from .record_codec import encode_row
from .rocks_options import database_options, family_options
from .wal_check import check_logs

_AFTER_DATA = bytes((DATA[0] + 1,))
_AFTER_COMMITTED = bytes((META_COMMITTED[0] + 1,))


class _Open:
    """An open RocksDB."""

    __slots__ = ("data", "data_family", "db", "meta", "meta_family", "plog", "plog_family", "writable")

    def __init__(self, db: Rdict, writable: bool) -> None:
        self.db = db
        self.writable = writable
        self.plog = db.get_column_family(families.PLOG)
        self.data = db.get_column_family(families.DATA)
        self.meta = db.get_column_family(families.META)
        self.plog_family = db.get_column_family_handle(families.PLOG)
        self.data_family = db.get_column_family_handle(families.DATA)
        self.meta_family = db.get_column_family_handle(families.META)

    def release(self) -> None:
        """Close it without writing anything: RocksDB closes when its last handle is gone (an iterator is one too)."""
        for name in self.__slots__:
            delattr(self, name)


def create_store(path: Path) -> None:
    """Make an empty store at a path that does not exist yet. Raises DiskFull, DataDirectoryError."""
    try:
        Rdict(str(path), database_options(create=True), family_options()).close()
    except Exception as error:
        raise _opening_error(path, error) from error


class RocksStore:
    """`storage.api.Store` on a disk."""

    def __init__(self, path: Path | str) -> None:
        """Open the store that `create_store` made. Raises Damaged, DirectoryInUse, DataDirectoryError."""
        self.path = Path(path)
        self._lock = threading.Lock()  # a sync in another thread must not see the database go
        self._write_failed = False
        self._opened: _Open | None = self._open()

    @property
    def writable(self) -> bool:
        """False after a failed write, and if there was no room to open it for writing. The next write tries again."""
        return self._use().writable and not self._write_failed

    def reopen(self) -> None:
        """Close and open again; after a failed write nothing else makes RocksDB write. Raises what opening raises."""
        with self._lock:
            opened, self._opened = self._opened, None
            if opened is not None:
                opened.release()
            self._opened = self._open()
            self._write_failed = False

    # -- Store

    def write(self, records: dict[tuple[int, int], Record], applies: Sequence[Apply]) -> None:
        opened = self._use()
        if self._write_failed or not opened.writable:
            self.reopen()
            opened = self._use()
            if not opened.writable:
                raise DiskFull(f"{self.path}: no space left to write")
        batch = WriteBatch(raw_mode=True)
        for (entity, entry), record in records.items():
            key = plog_key(entity, entry)
            batch.put(key, encode_row(key, record), opened.plog_family)
        self._add_applies(opened, batch, applies)
        try:
            opened.db.write(batch)
        except Exception as error:
            self._write_failed = True
            raise _error(self.path, error) from error

    def sync(self) -> None:
        with self._lock:
            try:
                self._use().db.flush_wal(True)
            except Exception as error:
                raise _error(self.path, error) from error

    def load(self, entity: int) -> Loaded:
        committed = self.committed_entry(entity)
        end = plog_end(entity)
        rows = self._rows(entity, committed, end)
        return range_load(entity, committed, self._max_plog(entity, end), rows)

    def read_log(self, entity: int, first: int, last: int, max_bytes: int = 1_048_576) -> list[tuple[int, Record]]:
        return take_rows(entity, self._rows(entity, first, plog_key(entity, last) + b"\0"), max_bytes)

    def get(self, entity: int, key: bytes) -> bytes | None:
        opened = self._use()
        try:
            value: bytes | None = opened.data.get(entity_prefix(entity) + key)
        except Exception as error:
            raise _error(self.path, error) from error
        return value

    def scan(self, entity: int, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        prefix = entity_prefix(entity)
        skip = len(prefix)
        for key, value in self._range(self._use().data, prefix + start, prefix + end):
            yield key[skip:], value

    def committed_entry(self, entity: int) -> int:
        opened = self._use()
        try:
            value: bytes | None = opened.meta.get(committed_key(entity))
        except Exception as error:
            raise _error(self.path, error) from error
        return 0 if value is None else self._decode_committed(entity, value)

    def committed(self, after: int = -1) -> Iterator[tuple[int, int]]:
        if after < 0:
            start = META_COMMITTED
        else:
            start = committed_key(after) + b"\0"
        for key, value in self._range(self._use().meta, start, _AFTER_COMMITTED):
            entity = entity_of(key)
            yield entity, self._decode_committed(entity, value)

    def content_hash(self) -> str:
        return hash_content(self._range(self._use().data, b"", None), self.committed())

    def close(self) -> None:
        """Write out what is in memory and close; a second call does nothing. Never raises: all that is lost was never synced."""
        with self._lock:
            opened, self._opened = self._opened, None
            if opened is None:
                return
            if opened.writable and not self._write_failed:
                for part in (opened.plog, opened.data, opened.meta, opened.db):
                    try:
                        part.close()
                    except Exception:  # the WAL still has it
                        break
            opened.release()

    # -- inside

    def _use(self) -> _Open:
        if self._opened is None:
            raise NotServing(f"{self.path}: the store is closed")
        return self._opened

    def _open(self) -> _Open:
        if not self.path.is_dir():
            raise Damaged(f"{self.path}: the store is gone: treat this as a lost disk")
        check_logs(self.path)
        try:
            return self._open_as(writable=True)
        except DiskFull:
            return self._open_as(writable=False)

    def _open_as(self, *, writable: bool) -> _Open:
        access = AccessType.read_write() if writable else AccessType.read_only(False)
        try:
            return _Open(Rdict(str(self.path), database_options(create=False), family_options(), access), writable)
        except Exception as error:
            raise _opening_error(self.path, error) from error

    def _add_applies(self, opened: _Open, batch: WriteBatch, applies: Sequence[Apply]) -> None:
        """Each entry's writes with its new committed entry (rule 10)."""
        put, delete, family = batch.put, batch.delete, opened.data_family
        applied: dict[int, int] = {}
        for apply in applies:
            entity = apply.entity
            assert_next(apply, applied[entity] if entity in applied else self.committed_entry(entity))
            applied[entity] = apply.entry
            prefix = entity_prefix(entity)
            if apply.batch.cleared:
                batch.delete_range(prefix + DATA, prefix + _AFTER_DATA, family)
            for key, value in apply.batch.writes.items():
                if value is None:
                    delete(prefix + key, family)
                else:
                    put(prefix + key, value, family)
        for entity, entry in applied.items():
            put(committed_key(entity), encode_entry(entry), opened.meta_family)

    def _rows(self, entity: int, first: int, end: bytes) -> Iterator[tuple[int, bytes]]:
        for key, row in self._range(self._use().plog, plog_key(entity, first), end):
            yield entry_of(key), row

    def _max_plog(self, entity: int, end: bytes) -> int:
        rows = self._use().plog.iter()
        rows.seek_for_prev(end)
        if not rows.valid():
            self._check(rows)
            return 0
        # (a lower bound would spare the comparison, but rocksdict 0.3.29 takes it for an upper one)
        key: bytes = rows.key()
        return entry_of(key) if key.startswith(entity_prefix(entity)) else 0

    def _range(self, part: Rdict, start: bytes, end: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < end. Rdict.items() is not used: it ends silently where it meets damage."""
        options = ReadOptions()
        if end is not None:
            options.set_iterate_upper_bound(end)
        rows = part.iter(options)
        rows.seek(start)
        valid, key, value, proceed = rows.valid, rows.key, rows.value, rows.next
        while valid():
            yield key(), value()
            proceed()
        self._check(rows)

    def _check(self, rows: RdictIter) -> None:
        try:
            rows.status()
        except Exception as error:
            raise _error(self.path, error) from error

    def _decode_committed(self, entity: int, value: bytes) -> int:
        try:
            return decode_entry(value)
        except struct.error:
            raise Damaged(f"{self.path}: committed entry of entity {entity}: {len(value)} bytes") from None


def _error(path: Path, error: Exception) -> PaxosStoreError:
    """What RocksDB's words mean here; it gives no codes."""
    if isinstance(error, PaxosStoreError):
        return error
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
