"""A checkpoint of a table that is written to meanwhile: its files as hard links, and its manifest as it was at one moment.

RocksDB's files are never changed once its manifest names them; they are deleted when it does not any more. So: what the manifest
says is read, all files are linked, and what the manifest says is read again. If it is the same, no file was named or forgotten in
between: every file that it names was there all the time, and is linked. What it does not name may be linked too, half-written;
`settle` has RocksDB itself delete that. (RocksDB's own checkpoint does the same, but rocksdict 0.3.29 holds the whole interpreter
for as long as it takes: a slow disk would stop the node.)

Who asks for one. A place for it is a directory `checkpoint.NAME` in the data directory, made by whoever wants it, and NAME is
drawn at random: so a node that is asked over the network does nothing unless the asker may write into its data directory, and it
writes nowhere else. Whoever reads a checkpoint holds `checkpoint.lock`; what is left of others goes at the next start.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import DirectoryInUse, InvalidRequest, NodeError
from .damage import os_failed
from .durable import lock_file
from .journal import create_journal
from .rocks_table import RocksTable

TABLE = "rocksdb"
DATA_FILES = (".sst", ".blob")
"""What never changes; the rest is small."""
TRIES = 100
PAUSE_S = 0.05
_NAME = re.compile(r"[0-9a-f]{32}")
_PREFIX = "checkpoint."
_LOCK = "checkpoint.lock"
_TINY = 4_096


def link_table(table: Path, to: Path) -> None:
    """Make `to`, a checkpoint of the table's files as they are on the disk. Raises NodeError, OSError."""
    to.mkdir()
    for _ in range(TRIES):
        before = _manifest(table)
        _link_data(table, to)
        if before is not None and before == _manifest(table):
            name, size = before
            content = (table / name).read_bytes()[:size]
            (to / name).write_bytes(content)
            (to / "CURRENT").write_text(f"{name}\n", encoding="ascii")
            with suppress(FileNotFoundError):
                shutil.copyfile(table / "rocksdict-config.json", to / "rocksdict-config.json")
            return
        time.sleep(PAUSE_S)
    raise NodeError(f"{table}: its files do not stand still long enough for a checkpoint: try again when less is written")


def settle(table: Path) -> None:
    """Have RocksDB delete what the manifest of a checkpoint does not name, and find out whether all is there that it does.

    Raises Damaged, NodeError.
    """
    RocksTable(table, compacts=False).release()


def add_journal(store: Path) -> None:
    """Beside a table, so that both are a store: an empty one. Raises OSError."""
    create_journal(store / "journal", _TINY)


def place_of(data_dir: Path, name: str) -> Path:
    """Where the checkpoint of this name is to go. Raises InvalidRequest if nobody has made a place for it."""
    place = data_dir / f"{_PREFIX}{name}"
    if not _NAME.fullmatch(name) or not _is_directory(place):
        raise InvalidRequest("no place was made for such a checkpoint: `paxosstore backup` makes one, and asks then")
    return place


@contextmanager
def a_place(data_dir: Path) -> Iterator[tuple[str, Path]]:
    """Make a place for a checkpoint, (name, path), which is gone at the end, as are all that others have left.

    Raises DirectoryInUse if another process has one, NodeError.
    """
    name = secrets.token_hex(16)
    place = data_dir / f"{_PREFIX}{name}"
    with _os_errors(data_dir):
        owner = data_dir.stat()
        lock = _lock(data_dir)
    try:
        with _os_errors(data_dir):
            _forget(data_dir)
            place.mkdir(mode=0o700)
            if os.geteuid() == 0 and owner.st_uid:
                os.chown(place, owner.st_uid, owner.st_gid)  # the node makes the checkpoint
        try:
            yield name, place
        finally:
            shutil.rmtree(place, ignore_errors=True)
    finally:
        os.close(lock)


def forget_checkpoints(data_dir: Path) -> None:
    """Delete those that nobody reads any more: they keep files that nobody else needs. Raises nothing."""
    with suppress(OSError, DirectoryInUse):
        if _places(data_dir):
            lock = _lock(data_dir)
            try:
                _forget(data_dir)
            finally:
                os.close(lock)


def _lock(data_dir: Path) -> int:
    lock = os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        lock_file(lock)
    except BlockingIOError:
        os.close(lock)
        raise DirectoryInUse(f"{data_dir}: another backup or export of this node is under way: wait for it, or stop it") from None
    return lock


def _forget(data_dir: Path) -> None:
    for place in _places(data_dir):
        shutil.rmtree(place, ignore_errors=True)


def _places(data_dir: Path) -> list[Path]:
    return [entry for entry in data_dir.iterdir() if entry.name.startswith(_PREFIX) and _is_directory(entry)]


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _manifest(table: Path) -> tuple[str, int] | None:
    """Its name and size; None: it is being replaced."""
    try:
        name = (table / "CURRENT").read_text(encoding="ascii").strip()
        return name, (table / name).stat().st_size
    except FileNotFoundError:
        return None


def _link_data(table: Path, to: Path) -> None:
    for file in table.iterdir():
        if file.suffix in DATA_FILES:
            linked = to / file.name
            with suppress(FileNotFoundError):  # deleted meanwhile
                if linked.exists() and linked.stat().st_size == file.stat().st_size:
                    continue
                linked.unlink(missing_ok=True)  # where there are no links, of what was still being written
                link_or_copy(file, linked)


def link_or_copy(file: Path, to: Path) -> bool:
    """Whether it is a link: not every file system has them. Raises OSError."""
    try:
        os.link(file, to)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(file, to)
        return False
    return True


@contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise os_failed(path, error) from error
