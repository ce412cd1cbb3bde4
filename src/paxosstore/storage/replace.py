"""A store that is damaged, and nobody can tell in which entities, is replaced by an empty one (rule 19): the node comes back
from its peers, by itself, as one that lost its disk.

    store.empty/ is made: empty, its standing says that this node re-enters, under a new disk id; REENTERING is a mark in it
    store.new/   is its name when all that is durable: under that name a store takes the place of one that is not there
    store/       gets the name store.damaged-N: nothing is lost for good that nobody else has
    store.new/   gets the name store/

A crash in between is taken up at the next start: with a store in its place its damage is found again, without one the new one
takes the place (directory.py). The mark goes when the node is a member again. Two are kept: the latest, and the latest without
the mark, which is the latest that was whole once.
"""

from __future__ import annotations

import gc
import logging
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..core.interface.ready import SetStanding
from ..core.turn.context import Identity
from ..core.turn.standing import reentering
from ..errors import Damaged
from .damage import let_go, os_failed
from .directory import Directory
from .durable import sync_path
from .findings import Findings
from .rocks import RocksStore, create_store
from .second_look import MAX_SPARED, is_sound_after_all
from .start import count_start

log = logging.getLogger(__name__)

TABLE = "rocksdb"
MARK = "REENTERING"
"""A file in a store that is not whole yet."""
MAX_IN_A_ROW = 16
"""So many stores are replaced before one of them is whole. Then the disk, or the memory, is not fit for any; and peers remember
the last 256 disks that were replaced (core/turn/standing.py), which are not to be used up by one node overnight."""
Opening = Callable[[Path], RocksStore]
_KEPT = re.compile(r"store\.damaged-(\d+)")
SPARE_BYTES = 64 * 1024 * 1024
"""What has to be free besides the room for another store of the same size."""


def open_store(
    directory: Directory,
    identity: Identity,
    opened: Opening,
    findings: Findings,
    *,
    force: bool = False,
    found: Damaged | None = None,
) -> tuple[RocksStore, Identity]:
    """The store of a node, and its identity with this start counted. `found`: the damage that has ended the life before this one.

    `force`: to go on with fewer peers than rule 19 needs. A store that is replaced here waits for them until the next start.

    Damage that was found while the node ran, and that is not there when it is looked for again, costs nothing (second_look.py).
    An entity that is damaged goes the way of a lost disk alone (rule 19e), else the store is replaced.
    Raises Damaged if it cannot be, DirectoryInUse, DiskFull, NodeError.
    """
    lost: list[int] = []
    if found is not None and found.entity is None and findings.spared < MAX_SPARED:
        let_go(found)
        gc.collect()
        if is_sound_after_all(directory.store_path / TABLE, found):
            findings.found(found)
            findings.spared += 1
            log.error("DAMAGED: %s: its file is sound when it is read again: the store stays", found.what)
            found = None
    while True:
        if found is not None:
            let_go(found)
            gc.collect()
            findings.found(found)
            if found.entity is None or found.entity in lost:
                break
            lost.append(found.entity)
            say_lost(found)
        try:
            return _open(directory, identity, opened, force, lost)
        except Damaged as error:
            found = error
    replace_store(directory, identity, found)
    findings.stores_replaced += 1
    return _open(directory, identity, opened, force=False)  # that was said of another loss, which may be long ago


def say_lost(found: Damaged) -> None:
    """In the log: an entity goes the way of a lost disk."""
    log.error("DAMAGED: %s: entity %s alone is got from the peers again", found.what, found.entity)


def _open(
    directory: Directory, identity: Identity, opened: Opening, force: bool, lost: Sequence[int] = ()
) -> tuple[RocksStore, Identity]:
    store = opened(directory.store_path)
    try:
        spans = [(entity, entity) for entity in lost]
        return store, count_start(identity, store, directory.disk_id, force=force, lost=spans)
    except BaseException:
        store.close()
        raise


def replace_store(directory: Directory, identity: Identity, found: Damaged) -> None:
    """Put an empty store in the place of a damaged one, which is kept. Raises Damaged without room, DiskFull, NodeError."""
    store, prepared, empty_one = directory.store_path, directory.path / "store.new", directory.path / "store.empty"
    what = found.what or str(found)
    try:
        in_a_row = _in_a_row(store)
        if in_a_row >= MAX_IN_A_ROW:
            raise Damaged(
                f"{what}: {in_a_row} stores in a row were damaged here before one of them was whole: replace this disk "
                f"(or look at the memory), move {directory.path} away, and start the node on an empty directory"
            )
        _require_room(store, what)
        for left in (prepared, empty_one):
            if left.exists():
                shutil.rmtree(left)
        create_store(empty_one)
        (empty_one / MARK).write_text(f"{in_a_row + 1}\n", "ascii")
        disk = secrets.randbits(63) | 1
        row = reentering(identity.me, identity.cluster.nodes, disk, directory.disk_id)
        empty = RocksStore(empty_one)
        try:
            empty.write({}, (), [SetStanding(row.encode())])
            empty.sync()
        finally:
            empty.close()
        sync_path(empty_one)
        empty_one.rename(prepared)
        sync_path(directory.path)
        kept = "nothing is left of it"
        if store.exists():
            aside = directory.path / f"store.damaged-{max(_kept(directory.path), default=0) + 1}"
            store.rename(aside)
            sync_path(directory.path)
            kept = f"it is kept as {aside}"
        prepared.rename(store)
        sync_path(directory.path)
    except OSError as error:
        raise os_failed(directory.path, error) from error
    log.error(
        "DAMAGED: %s: this cannot be pinned on one entity; %s, and node %d comes back from its peers as disk %x",
        what,
        kept,
        identity.me,
        disk,
    )
    _forget_older(directory.path)


def is_incomplete(directory: Directory) -> bool:
    """Whether the store is on its way back from the peers, and has not been whole yet."""
    return (directory.store_path / MARK).exists()


def completed(directory: Directory) -> None:
    """The node is a member again, with all that it had. Raises OSError."""
    (directory.store_path / MARK).unlink(missing_ok=True)


def kept_stores(path: Path) -> list[Path]:
    """What is kept of damaged stores in a data directory, the oldest first."""
    return [path / f"store.damaged-{number}" for number in sorted(_kept(path))]


def _in_a_row(store: Path) -> int:
    """How many stores, this one last, have taken the place of a damaged one and were never whole."""
    try:
        return int((store / MARK).read_text("ascii"))
    except (OSError, ValueError):
        return 0


def _kept(path: Path) -> Iterator[int]:
    return (int(match[1]) for entry in path.iterdir() if (match := _KEPT.fullmatch(entry.name)))


def _forget_older(path: Path) -> None:
    kept = kept_stores(path)
    whole = [store for store in kept if not (store / MARK).exists()]
    for store in kept:
        if store not in (*kept[-1:], *whole[-1:]):
            log.warning("%s is deleted: later ones are kept", store)
            shutil.rmtree(store, ignore_errors=True)


def _require_room(store: Path, what: str) -> None:
    needed = sum(file.stat().st_size for file in store.rglob("*") if file.is_file()) if store.exists() else 0
    free = shutil.disk_usage(store.parent).free
    if free < needed + SPARE_BYTES:
        older = ", ".join(map(str, kept_stores(store.parent)))
        also = f", or delete what is kept of earlier damage ({older})" if older else ""
        raise Damaged(
            f"{what}: the node would come back from its peers, and keep this store meanwhile, but only {free} bytes are free and "
            f"{needed + SPARE_BYTES} are needed: make room on this disk{also} and start the node again"
        )
