"""A directory of backups, each one whole by itself: what did not change since the one before is the same file (a hard link).

    LOCK                  held while a backup is made
    backup-000007/        BACKUP.json, and the table's files in rocksdb/

A backup is there when its BACKUP.json is, which comes last; what a crash leaves without one goes at the next backup. It may be
deleted by hand, as may any other: none needs another one.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import BackupError, DirectoryInUse, InvalidRequest
from ..storage.durable import lock_file, sync_path
from .files import compare, errors_of, read
from .manifest import MEMBER, NAME, Manifest, read_manifest
from .pace import Pace

TABLE = "rocksdb"
_BACKUP = re.compile(r"backup-(\d{6,18})")
_LOCK = "LOCK"


def name_of(number: int) -> str:
    return f"backup-{number:06d}"


def complete(backups: Path) -> list[int]:
    """Numbers of the backups that are there, the oldest first. Raises BackupError if there is no such directory."""
    with errors_of(backups):
        return sorted(number for number in _numbers(backups) if (backups / name_of(number) / NAME).is_file())


def pick(backups: Path, number: int | None = None) -> Path:
    """The folder of a backup, or of the latest. Raises BackupError if it is not there."""
    there = complete(backups)
    if number is None and (backups / NAME).is_file():
        return backups  # the folder of one is named itself
    if not there:
        raise BackupError(f"{backups}: there is no complete backup here: name the directory that `paxosstore backup` wrote to")
    if number is None:
        return backups / name_of(there[-1])
    if number not in there:
        raise BackupError(f"{backups}: there is no backup {number}: there are {', '.join(map(str, there))}")
    return backups / name_of(number)


def root_of(folder: Path) -> Path:
    """The directory of backups that one is in; the folder itself if it stands alone."""
    return folder.parent if (folder.parent / _LOCK).exists() else folder


@contextmanager
def locked(backups: Path) -> Iterator[None]:
    """Make the directory if it is not there, and keep others from adding to it. What is left of broken backups goes.

    Raises DirectoryInUse, InvalidRequest if it is a directory of something else, NodeError.
    """
    with errors_of(backups):
        backups.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (backups / _LOCK).exists() and any(backups.iterdir()):
            raise InvalidRequest(f"{backups}: is not empty, and holds no backups: name an empty directory, or one of backups")
        lock = os.open(backups / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            lock_file(lock)
        except BlockingIOError:
            raise DirectoryInUse(f"{backups}: another backup is being made here: wait for it") from None
        with errors_of(backups):
            there = set(complete(backups))
            for number in _numbers(backups):
                if number not in there:
                    shutil.rmtree(backups / name_of(number))
        yield
    finally:
        os.close(lock)


def remove_oldest(backups: Path, keep: int) -> list[int]:
    """Remove what is older than the latest `keep` backups of a member. Returns which ones are gone. Raises OSError."""
    there = complete(backups)
    members = [number for number in there if _is_of_member(backups / name_of(number))]
    gone = [number for number in there if number < members[-keep]] if len(members) >= keep else []
    for number in gone:
        folder = backups / name_of(number)
        (folder / NAME).unlink()  # first: half of one is none
        sync_path(folder)
        shutil.rmtree(folder)
    return gone


def check(folder: Path, pace: Pace) -> Manifest:
    """Read all of a backup and compare it with its checksums. Raises BackupError."""
    manifest = read_manifest(folder)
    with errors_of(folder):
        for file in manifest.files:
            path = folder / TABLE / file.name
            compare(path, file, read(path, pace))
    return manifest


def _is_of_member(folder: Path) -> bool:
    try:
        return read_manifest(folder).state == MEMBER
    except BackupError:
        return False


def _numbers(backups: Path) -> list[int]:
    return [int(match[1]) for entry in backups.iterdir() if (match := _BACKUP.fullmatch(entry.name)) and entry.is_dir()]
