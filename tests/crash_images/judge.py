"""Starts a node's storage on what a power cut left, and asks for everything that had been claimed to be durable."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from paxosstore.errors import Damaged
from paxosstore.storage.directory import open_directory
from paxosstore.storage.journal_reader import SUFFIX
from paxosstore.storage.rocks import RocksStore
from paxosstore.storage.segment import SegmentContent

from .recorder import Claim
from .turns import ENTITIES, Reference, applied_rows, fingerprint, highest
from .workload import CLUSTER, DATA, KEEP, NODE, Sizes


class Promise(NamedTuple):
    """What a disk must hold."""

    disk_id: int
    """Whose data directory it must be; 0: there may be none yet."""
    first: int
    """Number of the turn up to which everything must be there."""
    last: int
    """Number of the last turn that may be there."""


def promised(base: Promise, claims: Iterable[Claim]) -> Promise:
    """What is promised after these claims on top of `base`."""
    disk_id, first, last = base
    for claim in claims:
        match claim.words:
            case ["opened", disk, turn]:
                disk_id, first = int(disk), max(first, int(turn))
            case ["writing", turn]:
                last = int(turn)
            case ["synced", turn]:
                first = max(first, int(turn))
    return Promise(disk_id, first, last)


class Fault(Exception):
    """A disk does not hold what it must, or a node does not start on it."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        """lost, invented, mixed: wrong content. damaged, refused: the node did not start. unusable: it does not go on."""


def is_torn(disk: Path) -> bool:
    """Whether something stands in the journal behind a record that is torn or lost."""
    for path in (disk / DATA / "store" / "journal").glob("*" + SUFFIX):
        with suppress(Damaged):
            segment = SegmentContent(path, int(path.stem))
            at = 1
            while at < segment.sectors and (record := segment.record(at)) and record.payload is not None:
                at += record.sectors
            if not segment.is_unused(at):
                return True
    return False


class Found(NamedTuple):
    """What is there."""

    turn: int
    """Number of the last one."""
    expired: int
    """Rows that are not there any more, and need not be."""


def judge(disk: Path, reference: Reference, promise: Promise, sizes: Sizes) -> Found:
    """Raises Fault."""
    try:
        with open_directory(disk / DATA, CLUSTER, NODE) as directory:
            if promise.disk_id not in (0, directory.disk_id):
                raise Fault("lost", f"the data directory is made anew; it was disk {promise.disk_id}")
            store = RocksStore(directory.store_path, segment_bytes=sizes.segment_bytes, keep=KEEP)
            try:
                found = _check_content(store, reference, promise)
                _check_use(store, reference, found.turn)
            finally:
                store.close()
    except Fault:
        raise
    except Damaged as error:
        raise Fault("damaged", str(error)) from error
    except Exception as error:
        raise Fault("refused", repr(error)) from error
    return found


def _check_content(store: RocksStore, reference: Reference, promise: Promise) -> Found:
    found = highest(store)
    if found < promise.first:
        raise Fault("lost", f"turn {promise.first} was durable, {found} is the last one there")
    if found > promise.last:
        raise Fault("invented", f"turn {found} is there, {promise.last} was the last one written")
    if fingerprint(store) != reference.after(found):
        raise Fault("mixed", f"turn {found} is the last one there, but the content is not that after turn {found}")
    return Found(found, _check_log(store, reference, found))


def _check_log(store: RocksStore, reference: Reference, found: int) -> int:
    """Of what is applied, rows may be missing, so many are; none differs, and an entity's last one is there if it ever was."""
    all_rows, rows = reference.applied_rows(found), applied_rows(store)
    for entity in ENTITIES:
        last = store.committed_entry(entity)
        if (entity, last) in all_rows and (entity, last) not in rows:  # behind a copy there is none
            raise Fault("mixed", f"entity {entity} has no row of its last applied entry {last}")
    if any(all_rows.get(place) != row for place, row in rows.items()):
        raise Fault("mixed", f"turn {found} is the last one there, but a row is not what it was after turn {found}")
    return len(all_rows) - len(rows)


def _check_use(store: RocksStore, reference: Reference, found: int) -> None:
    """It takes the next turn, and has it after a kill."""
    store.write(*reference.turn(found + 1))
    store.sync()
    store.reopen()
    if fingerprint(store) != reference.after(found + 1):
        raise Fault("unusable", f"turn {found + 1} was written to what was found, and is not there after another start")
