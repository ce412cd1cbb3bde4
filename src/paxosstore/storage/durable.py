"""What the systems differ in: how bytes are made durable, and how a file is locked."""

from __future__ import annotations

import errno
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None  # type: ignore[assignment]  # there is no other way to say so

_NOT_HERE = {errno.EINVAL, errno.ENOTSUP, errno.ENOTTY}
"""What a file system answers that does not know F_FULLFSYNC."""


def sync_data(descriptor: int) -> None:
    """Make a file's bytes durable (blocking; releases the GIL). Raises OSError."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:
        sync_file(descriptor)


def sync_file(descriptor: int) -> None:
    """Make a file's bytes durable, and all that is known of it. Raises OSError."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:  # macOS, where fsync leaves the bytes in the disk's memory
        try:
            fcntl.fcntl(descriptor, full)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
        else:
            return
    os.fsync(descriptor)


def sync_path(path: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    if not hasattr(os, "O_DIRECTORY"):  # a directory cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def forget_cached(descriptor: int) -> None:
    """Have what is read next come from the disk, not from what the system has in memory. Raises OSError."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def read_cold(path: Path) -> bytes:
    """A small file as the disk has it. Raises OSError."""
    with path.open("rb") as file:
        forget_cached(file.fileno())
        return file.read()


def lock_file(descriptor: int) -> None:
    """Keep it from every other process until it is closed. Raises BlockingIOError if one has it."""
    if fcntl is not None:  # else RocksDB's own lock has to do
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
