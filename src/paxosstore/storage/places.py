"""Places in a data directory where a command leaves something for the node, or the node for a command.

A place is a directory `KIND.NAME` in the data directory, made by whoever wants something of the node; NAME is drawn at random. So
a node that is asked over the network does nothing unless the asker may write into its data directory, and takes no path from
anybody. Whoever has a place holds `KIND.lock`; what is left of others goes with the next one, and at the node's next start.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import DirectoryInUse, InvalidRequest
from .damage import os_failed
from .durable import lock_file

CHECKPOINT, IMPORT = "checkpoint", "import"
_NAME = re.compile(r"[0-9a-f]{32}")
_DOES = {CHECKPOINT: "backup or export", IMPORT: "import"}


def place_of(data_dir: Path, kind: str, name: str) -> Path:
    """The place of this name. Raises InvalidRequest if nobody has made it."""
    place = data_dir / f"{kind}.{name}"
    if not _NAME.fullmatch(name) or not _is_directory(place):
        raise InvalidRequest(f"no place was made for this {kind}: `paxosstore {_DOES[kind].split()[0]}` makes one, and asks then")
    return place


@contextmanager
def a_place(data_dir: Path, kind: str) -> Iterator[tuple[str, Path]]:
    """Make a place, (name, path), which is gone at the end, as are all that others have left.

    Raises DirectoryInUse if another process has one, NodeError.
    """
    name = secrets.token_hex(16)
    place = data_dir / f"{kind}.{name}"
    with _os_errors(data_dir):
        owner = data_dir.stat()
        lock = _lock(data_dir, kind)
    try:
        with _os_errors(data_dir):
            _forget(data_dir, kind)
            place.mkdir(mode=0o700)
            if os.geteuid() == 0 and owner.st_uid:
                os.chown(place, owner.st_uid, owner.st_gid)  # the node uses it
        try:
            yield name, place
        finally:
            shutil.rmtree(place, ignore_errors=True)
    finally:
        os.close(lock)


def forget_places(data_dir: Path) -> None:
    """Delete those that nobody uses any more: they may hold files that nobody else needs. Raises nothing."""
    for kind in _DOES:
        with suppress(OSError, DirectoryInUse):
            if _places(data_dir, kind):
                lock = _lock(data_dir, kind)
                try:
                    _forget(data_dir, kind)
                finally:
                    os.close(lock)


def _lock(data_dir: Path, kind: str) -> int:
    lock = os.open(data_dir / f"{kind}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        lock_file(lock)
    except BlockingIOError:
        os.close(lock)
        raise DirectoryInUse(f"{data_dir}: another {_DOES[kind]} of this node is under way: wait for it, or stop it") from None
    return lock


def _forget(data_dir: Path, kind: str) -> None:
    for place in _places(data_dir, kind):
        shutil.rmtree(place, ignore_errors=True)


def _places(data_dir: Path, kind: str) -> list[Path]:
    names = ((entry, entry.name.partition(".")) for entry in data_dir.iterdir())
    return [entry for entry, (of, _, name) in names if of == kind and _NAME.fullmatch(name) and _is_directory(entry)]


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


@contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise os_failed(path, error) from error
