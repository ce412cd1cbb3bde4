"""A node's data directory: whose it is, and that only one process has it open.

    LOCK        held by flock while the directory is open
    IDENTITY    JSON: format, cluster, node, settings that must never change, and the id of this disk
    store/      rocks.py: a journal and a RocksDB

IDENTITY is what tells a lost disk from a new one (rule 19), so the two are never made separately: the store is
prepared as store.new/, then IDENTITY is written, then the store gets its name. An IDENTITY without a store, or a store
without an IDENTITY, is therefore not a beginning but damage.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

import msgspec

from ..errors import Damaged, DataDirectoryError, DirectoryInUse, DirectoryMismatch
from ..settings import ClusterSettings
from .damage import NO_SPACE, damaged, disk_full
from .durable import lock_file, sync_file, sync_path
from .forking import give_up_in_child
from .rocks import create_store

FORMAT = 5
READABLE = (2, 3, 4, FORMAT)
"""Formats that are taken over: 2 keeps no digests of requests with their outcomes (core/batch/evaluate.py); 3 lists no entity
of which nothing was applied, and has values twice in its journal (rocks.py); 4 lists none by its place (upgrade.py)."""


class IdentityFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What IDENTITY holds."""

    format: int
    cluster: str
    node: int
    nodes: int
    uuid_window_entries: int
    disk_id: int
    """63 random bits, drawn when the directory was made: peers remember it (rule 19)."""
    services: str = ""
    """Like the other settings of the cluster; directories of before it was kept have none."""


class Directory:
    """An open data directory."""

    def __init__(self, path: Path, identity: IdentityFile, lock: int) -> None:
        self.path = path
        self.identity = identity
        self._lock = lock
        give_up_in_child(self)

    @property
    def store_path(self) -> Path:
        """Where the store is, for `RocksStore`."""
        return self.path / "store"

    @property
    def disk_id(self) -> int:
        return self.identity.disk_id

    def close(self) -> None:
        """Let others open it; a second call does nothing."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def forked(self) -> None:
        self.close()  # closes one of two descriptors of one lock: the parent keeps it, alone

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def open_directory(path: Path | str, cluster: ClusterSettings, node: int, *, create: bool = True) -> Directory:
    """Open a node's data directory; make it if nothing is there and `create` says so.

    Raises DirectoryInUse, DirectoryMismatch, Damaged, DiskFull, or DataDirectoryError if it cannot be read or written.
    """
    path = Path(path)
    lock = -1
    if not create and not (path / "IDENTITY").exists():
        raise DataDirectoryError(f"{path}: no node has kept its data here: name the directory that a node serves from")
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(path)
        return Directory(path, _identify(path, cluster, node, upgrade=create), lock)
    except BaseException as error:
        if lock >= 0:
            os.close(lock)
        if isinstance(error, OSError):
            what = f"the data directory cannot be used: {error.strerror}"
            if error.errno in NO_SPACE:
                raise disk_full(path, what) from error
            raise DataDirectoryError(
                f"{path}: {what}: a directory is needed that this user may write (ls -ld {path} shows whose it is)"
            ) from error
        raise


def _lock(path: Path) -> int:
    lock = os.open(path / "LOCK", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        lock_file(lock)
    except BlockingIOError:
        os.close(lock)
        raise DirectoryInUse(
            f"{path}: another process has this data directory open (fuser -v {path / 'LOCK'} names it): stop that one, or use "
            "another directory"
        ) from None
    return lock


def _identify(path: Path, cluster: ClusterSettings, node: int, *, upgrade: bool) -> IdentityFile:
    """Check whose the directory is, or make it ours; afterwards the store is in its place."""
    store, prepared = path / "store", path / "store.new"
    if (path / "IDENTITY").exists():
        identity = _read(path)
        _compare(path, identity, cluster, node)
        if not store.exists() and not prepared.exists():
            raise damaged(store, "the store is gone, though IDENTITY is here")
        if upgrade and identity.format != FORMAT:
            identity = msgspec.structs.replace(identity, format=FORMAT)
            _write(path, identity)  # before anything is: a program of before would misread it
    else:
        if store.exists():
            raise _identity_lost(path, "is gone, though the store is here")
        with suppress(PermissionError):  # not ours to look into: then its names are not ours to keep
            sync_path(path.absolute().parent)
        if prepared.exists():
            shutil.rmtree(prepared)
        create_store(prepared)
        identity = IdentityFile(format=FORMAT, node=node, disk_id=secrets.randbits(63) | 1, **asdict(cluster))
        _write(path, identity)
    if not store.exists():
        prepared.rename(store)
        sync_path(path)
    return identity


def _read(path: Path) -> IdentityFile:
    content = (path / "IDENTITY").read_bytes()
    try:
        fields = msgspec.json.decode(content, type=dict[str, object])
        version = fields.get("format")
        if isinstance(version, int) and version not in READABLE:
            raise DirectoryMismatch(
                f"{path}: format is {version} there, {FORMAT} here: use the program that wrote it, or another directory"
            )
        return msgspec.json.decode(content, type=IdentityFile)
    except msgspec.DecodeError as error:
        raise _identity_lost(path, str(error)) from None


def _identity_lost(path: Path, what: str) -> Damaged:
    """It never changes: any copy is as good as what was there."""
    return Damaged(
        f"{path / 'IDENTITY'}: {what}: put that file back from any copy of this very directory (cp COPY/IDENTITY {path}/). "
        f"If there is none, move the whole data directory away (mv {path} {path}.lost) and start the node again: on an "
        "empty one it comes back by itself, from its peers"
    )


def _compare(path: Path, found: IdentityFile, cluster: ClusterSettings, node: int) -> None:
    wanted = {"node": node, **asdict(cluster)}
    differences = [
        f"{name} is {there!r} there, {wanted[name]!r} here"
        for name, there in msgspec.structs.asdict(found).items()
        if name in wanted and there != wanted[name]
    ]
    if differences:
        raise DirectoryMismatch(f"{path}: {'; '.join(differences)}: correct the settings, or use another directory")


def _write(path: Path, identity: IdentityFile) -> None:
    """All of the file or nothing, and durable."""
    new = path / "IDENTITY.new"
    with new.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(identity), indent=2) + b"\n")
        file.flush()
        sync_file(file.fileno())
    new.rename(path / "IDENTITY")
    sync_path(path)
