"""A node's data directory without a node, and backups of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from paxosstore.backup.pace import Pace
from paxosstore.backup.take import Taken, take
from paxosstore.core.interface.ready import Change, SetStanding
from paxosstore.core.turn.standing import Disk, StandingRow, State
from paxosstore.settings import ClusterSettings
from paxosstore.storage.directory import identity_of, open_directory
from paxosstore.storage.places import CHECKPOINT, a_place
from paxosstore.storage.rocks import RocksStore

from ..storage.support import write_numbered

BLUE = ClusterSettings("blue", services="redis.keyspace=db")
FOUNDING = (11, 22, 33)
FAST = Pace(1e12)


def standing(disk: int, state: State = State.MEMBER) -> SetStanding:
    row = StandingRow(state, (Disk(disk, 1, 5), Disk(22, 1, 6), Disk(33, 1, 7)), FOUNDING)
    return SetStanding(row.encode())


def write(
    data_dir: Path,
    entries: range,
    *changes: Change,
    cluster: ClusterSettings = BLUE,
    size: int = 20_000,
    state: State = State.MEMBER,
) -> None:
    """Apply these entries to entity 7 of node 0's directory, which is made if it is not there."""
    with open_directory(data_dir, cluster, 0) as directory:
        store = RocksStore(directory.store_path)
        store.write({}, (), [standing(directory.disk_id, state), *changes])
        for entry in entries:
            write_numbered(store, entry, size)
        store.sync()
        store.close()


def in_store(data_dir: Path, look: Callable[[RocksStore], None], node: int = 0, cluster: ClusterSettings = BLUE) -> None:
    with open_directory(data_dir, cluster, node, create=False) as directory:
        store = RocksStore(directory.store_path)
        try:
            look(store)
        finally:
            store.close()


def backup(data_dir: Path, backups: Path, keep: int = 0) -> Taken:
    identity = identity_of(data_dir)
    with open_directory(data_dir, BLUE, 0, create=False) as directory, a_place(data_dir, CHECKPOINT) as (_, place):
        store = RocksStore(directory.store_path)
        try:
            store.checkpoint(place)
        finally:
            store.close()
        return take(place, identity, data_dir, backups, FAST, keep, "1.2.3")
