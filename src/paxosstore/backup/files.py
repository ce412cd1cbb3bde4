"""Files of backups: read, copied and linked, with their checksums, at a pace. What is not a file of its own is not followed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import BackupError, DiskFull, PaxosStoreError
from ..storage.damage import NO_SPACE
from ..storage.durable import sync_file
from .manifest import File
from .pace import Pace

PIECE_BYTES = 1 << 20


def copy(source: Path, target: Path, pace: Pace) -> tuple[int, str]:
    """Make a durable copy; returns its bytes and its SHA-256. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as file:
        for piece in _pieces(source, pace):
            file.write(piece)
            digest.update(piece)
            size += len(piece)
        file.flush()
        sync_file(file.fileno())
    return size, digest.hexdigest()


def link(source: Path, target: Path) -> bool:
    """Whether it could be linked."""
    try:
        os.link(source, target, follow_symlinks=False)
    except (OSError, NotImplementedError):  # that one where the system links only what a symbolic link points to
        return False
    return True


def read(source: Path, pace: Pace) -> tuple[int, str]:
    """Bytes and SHA-256 of a file. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    for piece in _pieces(source, pace):
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()


def compare(path: Path, file: File, found: tuple[int, str]) -> None:
    """Raises BackupError if this is not what the backup says."""
    size, sha256 = found
    if size != file.bytes:
        raise BackupError(f"{path}: has {size} bytes instead of {file.bytes}: this backup is damaged, use another one")
    if sha256 != file.sha256:
        raise BackupError(f"{path}: its checksum differs: this backup is damaged, use another one")


def no_room(path: Path, what: str) -> DiskFull:
    return DiskFull(f"{path}: {what}: make room there (df -h shows what is left), and do this again")


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """OSError as the store's own errors."""
    try:
        yield
    except BrokenPipeError:
        raise  # no disk's fault: nobody reads any more
    except OSError as error:
        raise _said(Path(error.filename or path), error) from error


def _said(path: Path, error: OSError) -> PaxosStoreError:
    what = error.strerror or str(error)
    if error.errno in NO_SPACE:
        return no_room(path, what)
    if isinstance(error, FileNotFoundError):
        return BackupError(f"{path}: is not there: name another, or if it is part of a backup, check that (--check)")
    if isinstance(error, PermissionError):
        return BackupError(f"{path}: {what}: run this as the user that the node runs as (ls -ld shows whose it is)")
    return BackupError(f"{path}: {what}: see what the system says of this disk (dmesg), or use another place")


def _pieces(source: Path, pace: Pace) -> Iterator[bytes]:
    descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BackupError(f"{source}: is no file: this backup is damaged, use another one")
        while piece := file.read(PIECE_BYTES):
            pace.pay(len(piece))
            yield piece
