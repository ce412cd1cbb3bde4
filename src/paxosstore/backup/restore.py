"""A data directory is made from a backup: that of a node which has lost its disk, or of one of a new cluster."""

from __future__ import annotations

import secrets
import shutil
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from ..core.turn.restored import disk_of, lost_disk, new_cluster
from ..errors import BackupError, Damaged, InvalidRequest
from ..settings import check_name
from ..storage.directory import IdentityFile, make_directory
from ..storage.durable import sync_path
from ..storage.journal import create_journal
from ..storage.restoring import GivenUp, drop_votes, standing_of
from ..storage.rocks_table import RocksTable
from .files import compare, copy, errors_of, no_room
from .folder import TABLE, root_of
from .manifest import NEW, Manifest, read_manifest
from .pace import Pace

SPARE_BYTES = 64 << 20
"""For the journal, and to start with."""
MAX_NOTE = 500


class Restored(NamedTuple):
    """A data directory that was made."""

    manifest: Manifest
    node: int
    cluster: str
    given_up: GivenUp


def restore(backup: Path, directory: Path, node: int | None, cluster: str | None, pace: Pace) -> Restored:
    """Make the data directory of a node (None: the one that the backup is of); of a new cluster of this name, if one is named.

    Raises BackupError, InvalidRequest, DirectoryInUse, DataDirectoryError, DiskFull, NodeError: then there is no data directory.
    """
    if cluster is not None:
        check_name(cluster)
    _check_apart(backup, directory)
    manifest = read_manifest(backup)
    me = manifest.node if node is None else node
    if not 0 <= me < manifest.nodes:
        raise InvalidRequest(f"node {me} is not possible: the nodes of this cluster are 0 to {manifest.nodes - 1}")
    if cluster == manifest.cluster:
        raise InvalidRequest(f"{cluster!r} is the name of the cluster that the backup is of: give the new one another")
    if manifest.state == NEW and not cluster:
        raise InvalidRequest(f"{backup}: its node was new, no member of a cluster yet: start this one on an empty directory")
    settings = replace(manifest.settings, cluster=cluster or manifest.cluster)
    if cluster:
        _check_not_made(backup, cluster, me)
    disks = [disk_of(manifest.digest, cluster, number) for number in range(manifest.nodes)] if cluster else []
    disk = disks[me] if disks else secrets.randbits(63) | 1
    given_up: list[GivenUp] = []

    def fill(store: Path) -> None:
        _copy_table(backup, store, manifest, pace)
        try:
            given_up.append(_renew(store / TABLE, disks, me, manifest.nodes, disk))
        except Damaged as error:
            what = str(error).partition(". ")[0]
            raise BackupError(f"{backup}: this backup is damaged, use another one: {what}") from error
        if cluster and given_up[0].recovering:
            raise BackupError(
                f"{backup}: the data of {given_up[0].recovering} entities was being copied from a peer, and is not whole: a new "
                "cluster would have it nowhere else. Use another backup"
            )
        create_journal(store / "journal")

    identity = IdentityFile(format=manifest.directory_format, node=me, disk_id=disk, **asdict(settings))
    with errors_of(directory):
        make_directory(directory, identity, fill)
    if cluster:
        _note_made(backup, cluster, me, directory)
    return Restored(manifest, me, settings.cluster, given_up[0])


def _check_apart(backup: Path, directory: Path) -> None:
    """Raises InvalidRequest if the next backup that is removed would take the directory with it, or the other way round."""
    root, to = root_of(backup).resolve(), directory.resolve()
    if root == to or root in to.parents or to in root.parents:
        raise InvalidRequest(f"{directory}: is, contains or lies in the directory of backups: name another directory")


def _note(backup: Path, cluster: str, me: int) -> Path:
    """Says that this node of this new cluster was made of the backup: its disk id follows from the three."""
    name = blake2b(cluster.encode(), digest_size=8).hexdigest()
    return backup / f"made-{name}-{me}"


def _check_not_made(backup: Path, cluster: str, me: int) -> None:
    """Raises BackupError if it was, as far as this backup knows."""
    note = _note(backup, cluster, me)
    try:
        before = note.read_text(encoding="utf-8", errors="replace")[:MAX_NOTE]
    except FileNotFoundError:
        return
    except OSError as error:
        raise BackupError(f"{note}: cannot be read: {error.strerror}") from error
    raise BackupError(
        f"{backup}: node {me} of a new cluster {cluster!r} was made of this backup already ({before}): it would be the same disk "
        "again, and that one may have voted since. If the node has lost its disk, start it on an empty directory; for another "
        f"cluster, give it another name; if nothing was ever started on what was made, delete {note}"
    )


def _note_made(backup: Path, cluster: str, me: int, directory: Path) -> None:
    """Durably, if the backup may be written at all."""
    with suppress(OSError):
        note = _note(backup, cluster, me)
        note.write_text(
            f"{directory.absolute()}, cluster {cluster}, at {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC", encoding="utf-8"
        )
        sync_path(note)
        sync_path(backup)


def _renew(path: Path, disks: list[int], me: int, n: int, disk: int) -> GivenUp:
    """Make the table that of another disk. Raises Damaged, DiskFull, NodeError."""
    table = RocksTable(path, compacts=False)
    try:
        row = new_cluster(disks) if disks else lost_disk(standing_of(table), me, n, disk)
        return drop_votes(table, row.encode())
    finally:
        table.release()


def _copy_table(backup: Path, store: Path, manifest: Manifest, pace: Pace) -> None:
    """Copies, no links: replicas on one disk must not share a file that it damages, nor with the backup. Raises OSError."""
    free = shutil.disk_usage(store.parent).free
    if free < manifest.bytes + SPARE_BYTES:
        raise no_room(store.parent, f"{manifest.bytes + SPARE_BYTES} bytes are needed, {free} are free")
    (store / TABLE).mkdir(parents=True)
    for file in manifest.files:
        source = backup / TABLE / file.name
        compare(source, file, copy(source, store / TABLE / file.name, pace))
    sync_path(store / TABLE)
