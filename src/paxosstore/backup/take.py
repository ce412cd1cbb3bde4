"""A backup is made of a checkpoint: what the last backup of the same node has already is linked, the rest linked or copied.

Whether a file is the same is told without reading it: a table's file never changes, so the same number on the same node's disk,
with the same size, inode and time of writing is the same file. (If that disk has damaged it since, the backup has it as it was.)
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ..core.turn.standing import OwnStanding, decode_standing
from ..errors import BackupError, InvalidRequest
from ..storage.checkpoint import DATA_FILES, add_journal, settle
from ..storage.directory import IdentityFile, of_a_store
from ..storage.durable import sync_path
from ..storage.rocks import RocksStore
from .files import copy, errors_of, link, no_room, read
from .folder import TABLE, complete, locked, name_of, remove_oldest
from .manifest import FORMAT, MEMBER, NEW, File, Manifest, read_manifest, write_manifest
from .pace import Pace

SPARE_BYTES = 16 << 20
"""What has to be left free beside a backup."""
_SMALL = ("CURRENT", "rocksdict-config.json")


class Taken(NamedTuple):
    """A backup that was made."""

    number: int
    folder: Path
    manifest: Manifest
    kept_bytes: int
    """That the backup before it had already."""
    linked_bytes: int
    """Files of the node, which are on the same file system."""
    copied_bytes: int
    gone: list[int]
    """Older ones that were removed."""


def take(place: Path, identity: IdentityFile, data_dir: Path, backups: Path, pace: Pace, keep: int, program: str) -> Taken:
    """Make a backup of the checkpoint in `place`, a node's with this identity. `program`: the version that does it.

    Only one of a member has older ones removed: the data of any other may be older than theirs.

    Raises InvalidRequest, BackupError, DirectoryInUse, Damaged, DiskFull, NodeError. Then the earlier ones are as they were.
    """
    _check_apart(data_dir, backups)
    settle(place / TABLE)
    with errors_of(place):
        add_journal(place)
    with locked(backups):
        before = _latest(backups, identity)
        number = max(complete(backups), default=0) + 1
        folder = backups / name_of(number)
        try:
            with errors_of(folder):
                (folder / TABLE).mkdir(parents=True)
                sync_path(backups)
                copying = _Copying(place / TABLE, folder / TABLE, before, pace)
                files = copying.run()
                sync_path(folder / TABLE)
                sync_path(folder)
                manifest = describe(place, identity, files, program)
                if manifest.state == NEW:
                    raise InvalidRequest(
                        f"{data_dir}: its node is new, no member of a cluster yet: start every node of the cluster once, or make "
                        "a backup of another node"
                    )
                write_manifest(folder, manifest)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        with errors_of(backups):
            gone = remove_oldest(backups, keep) if keep and manifest.state == MEMBER else []
    return Taken(number, folder, manifest, copying.kept, copying.linked, copying.copied, gone)


def describe(place: Path, identity: IdentityFile, files: list[File], program: str) -> Manifest:
    """What there is in a checkpoint. Raises Damaged, NodeError."""
    store = RocksStore(place, read_only=True)
    try:
        row = store.standing()
        standing = OwnStanding(identity.node, 1, decode_standing(row)) if row else None
        entities = entries = 0
        for _, entry in store.committed():
            entities += 1
            entries += entry
    finally:
        store.close()
    return Manifest(
        format=FORMAT,
        program=program,
        taken=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        cluster=identity.cluster,
        nodes=identity.nodes,
        uuid_window_entries=identity.uuid_window_entries,
        services=identity.services,
        node=identity.node,
        disk=f"{identity.disk_id:x}",
        cluster_id=standing.cluster_id if standing else "",
        state=standing.row.state.value if standing else MEMBER,
        directory_format=identity.format,
        entities=entities,
        entries=entries,
        files=files,
    )


class _Copying:
    """Puts the files of a table into a backup."""

    def __init__(self, table: Path, to: Path, before: tuple[Path, Manifest] | None, pace: Pace) -> None:
        self._table = table
        self._to = to
        self._before = None if before is None else before[0] / TABLE
        self._known = {} if before is None else {file.name: file for file in before[1].files}
        self._pace = pace
        self.kept = self.linked = self.copied = 0
        """Bytes."""

    def run(self) -> list[File]:
        """Raises DiskFull, OSError."""
        entries = sorted(self._table.iterdir())
        data = [entry for entry in entries if entry.suffix in DATA_FILES]
        small = [entry for entry in entries if entry.name in _SMALL or entry.name.startswith("MANIFEST-")]
        self._require_room(data)
        return [self._data(file) for file in data] + [self._copy(file) for file in small]

    def _data(self, file: Path) -> File:
        """Of what never changes."""
        stat, target = file.stat(), self._to / file.name
        known = self._known.get(file.name)
        if known is not None and self._is(known, file) and self._before is not None and link(self._before / file.name, target):
            self.kept += known.bytes
            return known
        if link(file, target):
            size, sha256 = read(target, self._pace)
            self.linked += size
        else:
            size, sha256 = copy(file, target, self._pace)
            self.copied += size
        return File(file.name, size, sha256, stat.st_ino, stat.st_mtime_ns)

    def _is(self, known: File, file: Path) -> bool:
        stat = file.stat()
        return (known.bytes, known.inode, known.mtime_ns) == (stat.st_size, stat.st_ino, stat.st_mtime_ns)

    def _copy(self, file: Path) -> File:
        size, sha256 = copy(file, self._to / file.name, self._pace)
        self.copied += size
        return File(file.name, size, sha256)

    def _require_room(self, data: list[Path]) -> None:
        if self._table.stat().st_dev == self._to.stat().st_dev:
            return  # they are linked
        new = sum(file.stat().st_size for file in data if not ((known := self._known.get(file.name)) and self._is(known, file)))
        free = shutil.disk_usage(self._to).free
        if free < new + SPARE_BYTES:
            raise no_room(self._to.parent, f"a backup needs {new + SPARE_BYTES} bytes, {free} are free")


def _latest(backups: Path, identity: IdentityFile) -> tuple[Path, Manifest] | None:
    """The latest backup of the same node's disk. Raises InvalidRequest if those here are another cluster's."""
    for number in reversed(complete(backups)):
        folder = backups / name_of(number)
        try:
            manifest = read_manifest(folder)
        except BackupError:
            continue  # a damaged one is no reason to make no further ones
        if manifest.cluster != identity.cluster:
            raise InvalidRequest(
                f"{backups}: holds backups of cluster {manifest.cluster!r}, this node is of {identity.cluster!r}: name another "
                "directory"
            )
        if manifest.disk == f"{identity.disk_id:x}" and manifest.node == identity.node:
            return folder, manifest
    return None


def _check_apart(data_dir: Path, backups: Path) -> None:
    data, to = data_dir.resolve(), backups.resolve()
    if to == data or data in to.parents:
        raise InvalidRequest(f"{backups}: lies in the node's data directory, with which it would be lost: name another directory")
    if (found := of_a_store(to)) is not None:
        raise InvalidRequest(f"{backups}: is, or lies in, the data of a node ({found}): name a directory apart from it")
    with suppress(OSError):
        if backups.exists() and not backups.is_dir():
            raise InvalidRequest(f"{backups}: is no directory: name one")
