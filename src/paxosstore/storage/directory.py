"""A node's data directory: whose it is, and that only one process has it open.

    LOCK        held by flock while the directory is open
    IDENTITY    JSON: format, cluster, node, settings that must never change, the id of this disk, and a checksum
    IDENTITY.copy   the same once more: should one of them be damaged, the other one mends it
    store/      rocks.py: a journal and a RocksDB; when it was damaged: store.damaged-N, as it was then (replace.py)

IDENTITY is what tells a lost disk from a new one (rule 19), so the two are never made separately: the store is
prepared as store.new/, then IDENTITY is written, then the store gets its name. An IDENTITY without a store, or a store
without an IDENTITY, is therefore not a beginning but damage.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

import msgspec
from crc32c import crc32c

from ..errors import Damaged, DataDirectoryError, DirectoryInUse, DirectoryMismatch
from ..settings import ClusterSettings
from .damage import NO_SPACE, disk_full, read_only
from .durable import lock_file, read_cold, sync_file, sync_path
from .forking import give_up_in_child
from .rocks import create_store

log = logging.getLogger(__name__)

FORMAT = 9
READABLE = (2, 3, 4, 5, 6, 7, 8, FORMAT)
"""Formats that are taken over: 2 keeps no digests of requests with their outcomes (core/batch/evaluate.py); 3 lists no entity
of which nothing was applied, and has values twice in its journal (rocks.py); 4 lists none by its place (upgrade.py); 5 has no
checksum in IDENTITY, and no copy of it; 6 deletes an entity's data before its copy is complete (generations.py); 7 has no
entity's time (core/batch/view.py: TIME), and would let it go back; 8 reads no index row of a sorted set that says where the next
page begins (services/redis/layout/pages.py)."""
SEALED_FORMAT = 6
NAME, COPY = "IDENTITY", "IDENTITY.copy"
_OF_HALF_A_DIRECTORY = {"LOCK", "store.new", f"{NAME}.new", "lost+found"}
"""What a directory has in it whose making was broken off, or an empty file system."""


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
    checksum: int = 0
    """crc32c of all the other fields, as compact JSON in this order; 0: of a format before 6."""

    def sealed(self) -> IdentityFile:
        """With the checksum that is right."""
        return msgspec.structs.replace(self, checksum=crc32c(msgspec.json.encode(msgspec.structs.replace(self, checksum=0))) or 1)


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

    def mend(self) -> None:
        """Have IDENTITY and its copy say on the disk what they said when this was opened. Raises OSError."""
        wrong = {name: what for name in (NAME, COPY) if (what := self._what_is_wrong(self.path / name))}
        for name, what in wrong.items():
            log.error("%s: %s: written anew", self.path / name, what)
        if wrong:
            _write(self.path, self.identity)

    def _what_is_wrong(self, file: Path) -> str:
        """With one of the two files; empty: nothing."""
        try:
            found = _decode(self.path, read_cold(file))
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        except DirectoryMismatch as error:
            return str(error)
        return "" if found == self.identity else found if isinstance(found, str) else "is another node's"

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
    try:
        if not create and not _is_identified(path):
            raise _nobodys(path)
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
            if error.errno == errno.EROFS:
                raise DataDirectoryError(str(read_only(path, what))) from error
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
    """Check whose the directory is, or make it ours; afterwards the store is in its place, unless it is lost."""
    store, prepared = path / "store", path / "store.new"
    identity = _read(path, repair=upgrade)
    if identity is not None:
        _compare(path, identity, cluster, node)
        if upgrade and identity.format != FORMAT:
            identity = msgspec.structs.replace(identity, format=FORMAT).sealed()
            _write(path, identity)  # before anything is: a program of before would misread it
        if not store.exists() and not prepared.exists():
            return identity  # whoever opens the store finds that it is gone
    else:
        if store.exists():
            raise _identity_lost(path, "is gone, though the store is here")
        with suppress(PermissionError):  # not ours to look into: then its names are not ours to keep
            sync_path(path.absolute().parent)
        if prepared.exists():
            shutil.rmtree(prepared)
        create_store(prepared)
        identity = IdentityFile(format=FORMAT, node=node, disk_id=secrets.randbits(63) | 1, **asdict(cluster)).sealed()
        _write(path, identity)
    if not store.exists():
        prepared.rename(store)
        sync_path(path)
    return identity


def make_directory(path: Path, identity: IdentityFile, fill: Callable[[Path], None]) -> None:
    """Make a data directory, of an empty one or where there is none, around a store that `fill` makes at the path it is given.

    After a crash there is none, and the same again begins anew; or it is there as a whole. Raises DirectoryInUse,
    DataDirectoryError if a node has kept its data there, or anybody anything, OSError, and what `fill` raises.
    """
    if path.exists() and not (_is_identified(path) or (path / "store").exists()):
        others = sorted({entry.name for entry in path.iterdir()} - _OF_HALF_A_DIRECTORY)
        if others:
            raise DataDirectoryError(f"{path}: is not empty ({others[0]!r:.100} is in it): name an empty directory, or a new one")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = _lock(path)
    try:
        store, prepared = path / "store", path / "store.new"
        if _is_identified(path) or store.exists():
            raise DataDirectoryError(f"{path}: is a node's data directory already: move it away (mv), or name another one")
        sync_path(path.absolute().parent)
        shutil.rmtree(prepared, ignore_errors=True)
        try:
            fill(prepared)
            sync_path(prepared)
        except BaseException:
            shutil.rmtree(prepared, ignore_errors=True)
            raise
        _write(path, identity.sealed())
        prepared.rename(store)
        sync_path(path)
    finally:
        os.close(lock)


def of_a_store(path: Path) -> Path | None:
    """The data directory, or RocksDB, that a path is or lies in, as far as this user can look."""
    for place in (path, *path.parents):
        with suppress(OSError):
            if _is_identified(place) or (place / "store" / "rocksdb").exists() or (place / "CURRENT").exists():
                return place
    return None


def identity_of(path: Path) -> IdentityFile:
    """Whose a data directory is, which another process may have open. Raises DataDirectoryError, DirectoryMismatch, Damaged."""
    try:
        found = _read(path, repair=False)
    except OSError as error:
        raise DataDirectoryError(f"{path}: cannot be read: {error.strerror}: run this as the user of the node") from error
    if found is None:
        raise _nobodys(path)
    return found


def _is_identified(path: Path) -> bool:
    return (path / NAME).exists() or (path / COPY).exists()


def _nobodys(path: Path) -> DataDirectoryError:
    return DataDirectoryError(f"{path}: no node has kept its data here: name the directory that a node serves from")


def _read(path: Path, *, repair: bool) -> IdentityFile | None:
    """What IDENTITY says, or its copy if it is damaged; both say it then, if `repair`. None: there is neither. Raises Damaged."""
    found: dict[str, IdentityFile | str] = {}
    for name in (NAME, COPY):
        file = path / name
        if file.exists():
            found[name] = _decode(path, file.read_bytes())
    sound = [identity for identity in found.values() if isinstance(identity, IdentityFile)]
    if not sound:
        if not found:
            return None
        raise _identity_lost(path, f"{found.get(NAME, 'is gone')}, and its copy {found.get(COPY, 'is gone')}")
    identity = sound[0]
    if repair and identity.format == FORMAT and found != {NAME: identity, COPY: identity}:
        wrong = NAME if found.get(NAME) != identity else COPY
        level = logging.ERROR if wrong in found else logging.INFO
        log.log(level, "%s: %s: written anew, from the other one", path / wrong, found.get(wrong, "is not there"))
        _write(path, identity)
    return identity


def _decode(path: Path, content: bytes) -> IdentityFile | str:
    """The identity, or what is wrong with it. Raises DirectoryMismatch."""
    try:
        fields = msgspec.json.decode(content, type=dict[str, object])
        version = fields.get("format")
        known = not isinstance(version, int) or version in READABLE
        if not known and ("checksum" not in fields or _is_sealed(fields)):
            raise DirectoryMismatch(
                f"{path}: format is {version} there, {FORMAT} here: use the program that wrote it, or another directory"
            )
        identity = msgspec.json.decode(content, type=IdentityFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"cannot be read: {error}"
    if identity.format not in READABLE:
        return f"has the format {identity.format}"
    if (identity.format >= SEALED_FORMAT or identity.checksum) and identity != identity.sealed():
        return "does not have the checksum that it says"
    return identity


def _is_sealed(fields: dict[str, object]) -> bool:
    """Whether the checksum of an identity that may have fields of a later format is right."""
    content = msgspec.json.encode({**fields, "checksum": 0})
    return fields["checksum"] == (crc32c(content) or 1)


def _identity_lost(path: Path, what: str) -> Damaged:
    """It never changes: any copy is as good as what was there."""
    return Damaged(
        f"{path / NAME}: {what}: put that file back from any copy of this very directory (cp COPY/{NAME} {path}/). "
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
    """All of the file or nothing, and durable; then the same of its copy."""
    for name in (NAME, COPY):
        new = path / f"{name}.new"
        with new.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(identity), indent=2) + b"\n")
            file.flush()
            sync_file(file.fileno())
        new.rename(path / name)
        sync_path(path)
