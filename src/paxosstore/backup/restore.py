"""A data directory is made from a backup: that of a node which has lost its disk, or of one of a new cluster."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

from ..core.turn.restored import disk_of, lost_disk, new_cluster
from ..errors import BackupError, Damaged, InvalidRequest
from ..storage.directory import IdentityFile, make_directory
from ..storage.durable import sync_path
from ..storage.journal import create_journal
from ..storage.restoring import GivenUp, drop_votes, standing_of
from ..storage.rocks_table import RocksTable
from .files import compare, copy, errors_of, no_room
from .folder import TABLE
from .manifest import Manifest, read_manifest
from .pace import Pace

SPARE_BYTES = 64 << 20
"""For the journal, and to start with."""


class Restored(NamedTuple):
    """A data directory that was made."""

    manifest: Manifest
    node: int
    cluster: str
    given_up: GivenUp


def restore(backup: Path, directory: Path, node: int | None, cluster: str, pace: Pace) -> Restored:
    """Make the data directory of a node (None: the one that the backup is of); of a new cluster of this name, if there is one.

    Raises BackupError, InvalidRequest, DirectoryInUse, DataDirectoryError, DiskFull, NodeError: then there is no data directory.
    """
    manifest = read_manifest(backup)
    me = manifest.node if node is None else node
    if not 0 <= me < manifest.nodes:
        raise InvalidRequest(f"node {me} is not possible: the nodes of this cluster are 0 to {manifest.nodes - 1}")
    if cluster == manifest.cluster:
        raise InvalidRequest(f"{cluster!r} is the name of the cluster that the backup is of: give the new one another")
    if manifest.state == "new" and not cluster:
        raise InvalidRequest(f"{backup}: its node was new, no member of a cluster yet: start this one on an empty directory")
    settings = replace(manifest.settings, cluster=cluster or manifest.cluster)
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
    return Restored(manifest, me, settings.cluster, given_up[0])


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
