"""What to do about a disk that has failed or is full: every error that tells of it says so."""

from __future__ import annotations

import errno
from pathlib import Path

from ..errors import Damaged, DiskFull, NodeError

NO_SPACE = {errno.ENOSPC, errno.EDQUOT}

_LOST = (
    "This node does not run on what is left: it would break promises it has made to its peers. The next start of the node keeps "
    "it as store.damaged-N, and comes back from its peers by itself, which go on meanwhile as long as they are a majority. "
    'docs/OPERATING.md, "Damage"'
)


def damaged(place: Path | str, what: str, entity: int | None = None) -> Damaged:
    """Something that was kept is not there any more, or not as it was kept; of this entity alone, if one is named."""
    error = Damaged(f"{place}: {what}. {_LOST}")
    error.what = f"{place}: {what}"
    error.entity = entity
    return error


def let_go(error: BaseException) -> None:
    """Forget the frames in which it was raised: RocksDB is open for as long as they hold an iterator (until gc.collect())."""
    error.__traceback__ = error.__cause__ = error.__context__ = None


def disk_full(place: Path, what: str) -> DiskFull:
    return DiskFull(f"{place}: {what}: make room there (df -h shows what is left); the node goes on by itself then")


def disk_failed(place: Path, what: str) -> NodeError:
    return NodeError(f"{place}: {what}: see what the system says of this disk (dmesg), and start the node again when it is sound")


def read_only(place: Path, what: str) -> NodeError:
    return NodeError(
        f"{place}: {what}: dmesg says it if the disk is why; mount it for writing (findmnt -T {place} shows how it is)"
    )


def os_failed(place: Path, error: OSError) -> NodeError:
    what = error.strerror or str(error)
    if isinstance(error, PermissionError):
        return NodeError(f"{place}: {what}: run this as the user that the node runs as (ls -ld shows whose it is)")
    if error.errno == errno.EROFS:
        return read_only(place, what)
    return disk_full(place, what) if error.errno in NO_SPACE else disk_failed(place, what)
