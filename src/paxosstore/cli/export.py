"""`paxosstore export`: what a node has applied, as JSON lines, or the Redis keys as commands. From a checkpoint, or a backup."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import hiredis

from ..backup.files import errors_of
from ..backup.folder import TABLE, pick
from ..backup.lines import Counts, Header, Key, rows_of, write_lines
from ..backup.manifest import Manifest, read_manifest
from ..errors import BackupError, Damaged, DiskFull, InvalidRequest, NodeError
from ..services.redis.layout.keys import STRING, Found, key_in
from ..services.redis.layout.keyspace import DATABASES, MAX_SLOTS, REDIS_BASE, SLOT_BASE
from ..services.redis.portable.commands import commands_of
from ..services.redis.portable.frozen import FrozenView
from ..services.redis.portable.pieces import pieces
from ..storage.api import Store
from ..storage.checkpoint import DATA_FILES, add_journal, settle
from ..storage.directory import identity_of
from ..storage.durable import sync_file, sync_path
from ..storage.rocks import RocksStore

STANDARD_OUTPUT = Path("-")


class Source(NamedTuple):
    """A store that nobody writes to."""

    store: RocksStore
    header: Header


@contextmanager
def source_of_backup(backups: Path, number: int | None) -> Iterator[Source]:
    """A backup, which nothing is written into. Raises BackupError, DiskFull."""
    folder = pick(backups, number)
    manifest = read_manifest(folder)
    with errors_of(folder), tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        place = Path(name)
        _show_table(folder / TABLE, place / TABLE, manifest)
        add_journal(place)
        try:
            store = stack.enter_context(_opened(place))
        except DiskFull:
            raise
        except NodeError as error:
            raise _damaged(folder, error, place) from error
        try:
            yield Source(store, _header(manifest.cluster, manifest.services, manifest.node, manifest.taken))
        except Damaged as error:
            raise _damaged(folder, error, place) from error


def _show_table(table: Path, place: Path, manifest: Manifest) -> None:
    """The files of a backup in a directory of its own: RocksDB writes into the one that it opens. Raises BackupError, OSError."""
    place.mkdir()
    for file in manifest.files:
        path = table / file.name
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size != file.bytes:
            raise BackupError(f"{path}: is no file of {file.bytes} bytes: this backup is damaged, use another one")
        if path.suffix in DATA_FILES:
            (place / file.name).symlink_to(path.absolute())
        else:
            shutil.copyfile(path, place / file.name)


def _damaged(folder: Path, error: NodeError, place: Path) -> BackupError:
    """Of a node's error, what says what: its remedy is one for nodes, its place is gone afterwards."""
    what = (getattr(error, "what", "") or str(error).partition(". ")[0]).replace(str(place), str(folder))
    return BackupError(f"{folder}: this backup is damaged, use another one: {what}")


@contextmanager
def source_of_checkpoint(place: Path, data_dir: Path) -> Iterator[Source]:
    """A checkpoint of a node. Raises Damaged, NodeError."""
    identity = identity_of(data_dir)
    settle(place / TABLE)
    with errors_of(place):
        add_journal(place)
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    with _opened(place) as store:
        yield Source(store, _header(identity.cluster, identity.services, identity.node, now))


@contextmanager
def written_to(output: Path) -> Iterator[BinaryIO]:
    """A file that has its name when all is in it; or standard output. Raises InvalidRequest, DiskFull, BackupError."""
    if output == STANDARD_OUTPUT:
        if sys.stdout is None:
            raise InvalidRequest("export: standard output is closed: name a file instead of -")
        with errors_of(output):
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    with errors_of(output):
        _require_new(output)
        if not output.parent.is_dir():
            raise InvalidRequest(f"{output.parent}: is no directory: make it first, or name another place")
        part = output.with_name(f"{output.name[:200]}.{secrets.token_hex(4)}.part")  # nobody else's, not even of the same export
        with part.open("xb", buffering=1 << 20) as file:
            try:
                yield file
                file.flush()
                sync_file(file.fileno())
                _publish(part, output)
            finally:
                part.unlink(missing_ok=True)
        sync_path(output.absolute().parent)


def _publish(part: Path, output: Path) -> None:
    """Give a file its name, unless another one has it meanwhile. Raises InvalidRequest, OSError."""
    try:
        os.link(part, output)
    except FileExistsError:
        _require_new(output)
    except OSError:  # there are no links here
        _require_new(output)
        part.rename(output)


def _require_new(output: Path) -> None:
    if os.path.lexists(output):
        raise InvalidRequest(f"{output}: is there already: remove it, or name another file")


def export_lines(source: Source, out: BinaryIO, *, own: bool) -> Counts:
    return write_lines(source.store, source.header, out, partial(keys_of, source.store), own=own)


def keys_of(store: Store, entity: int, key: bytes, row: bytes) -> Iterator[Key] | bool:
    """What a row is to the Redis service (backup/lines.py)."""
    if not _is_redis(entity):
        return True
    found = key_in(key, row)
    return False if found is None else _parts(store, entity, found)


def _parts(store: Store, entity: int, found: Found) -> Iterator[Key]:
    if found.kind <= STRING:
        yield Key(found.name, found.body, found.expires_ms)
        return
    for piece in pieces(FrozenView(entity, store.get, store.scan), found):
        yield Key(found.name, b"", found.expires_ms, piece.kind, piece.part, piece.is_large, piece.members)


def _is_redis(entity: int) -> bool:
    return REDIS_BASE <= entity < SLOT_BASE + MAX_SLOTS


class Exported(NamedTuple):
    """Of an export as commands."""

    keys: int
    commands: int
    others: int
    """Entities that are none of Redis."""


def export_redis(source: Source, out: BinaryIO, now_ms: int | None = None) -> Exported:
    """Keys as commands. What has expired is left out."""
    now = int(time.time() * 1000) if now_ms is None else now_ms
    keys = commands = others = 0
    database = -1
    for entity, _ in source.store.committed():
        if not _is_redis(entity):
            others += 1
            continue
        wanted = entity - REDIS_BASE if entity < REDIS_BASE + DATABASES else 0
        if wanted != database:
            database = wanted
            out.write(_packed(b"SELECT", b"%d" % database))
            commands += 1
        for _, where, row in rows_of(source.store, entity, own=False):
            found = key_in(where, row)
            if found is None or 0 < found.expires_ms < now:
                continue
            for words in commands_of(FrozenView(entity, source.store.get, source.store.scan), found):
                out.write(_packed(*words))
                commands += 1
            keys += 1
    return Exported(keys, commands, others)


def _packed(*words: bytes) -> bytes:
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub knows tuples of one only
    return packed


def _header(cluster: str, services: str, node: int, taken: str) -> Header:
    return Header(secrets.token_hex(16), cluster, services, node, taken)


@contextmanager
def _opened(place: Path) -> Iterator[RocksStore]:
    store = RocksStore(place, read_only=True)
    try:
        yield store
    finally:
        store.close()
