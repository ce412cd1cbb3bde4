"""What the storage tests share: stores of both kinds, and batches that are easy to tell apart."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from paxosstore.core.batch.overlay import DATA, WriteBatch
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.ready import Apply
from paxosstore.errors import DiskFull
from paxosstore.storage.api import Store
from paxosstore.storage.rocks import RocksStore, create_store

SEGMENT_BYTES = 1 << 20
"""Of the journal: enough for most tests, and quickly made."""

END = b"\xff"
"""Above every key these tests use."""


def value_id(entry: int) -> bytes:
    return entry.to_bytes(16, "big")


def row(entry: int, body: bytes = b"body", *, chosen: bool = True) -> Record:
    return Record(4, 4, 4, Value(value_id(entry), body), chosen)


def puts(**pairs: bytes | None) -> WriteBatch:
    return WriteBatch({DATA + key.encode(): value for key, value in pairs.items()})


def new_rocks(path: Path, segment_bytes: int = SEGMENT_BYTES) -> RocksStore:
    create_store(path, segment_bytes)
    return RocksStore(path, segment_bytes=segment_bytes)


def write_numbered(store: Store, number: int, size: int = 20) -> None:
    """Batch `number` of a sequence: the row and the apply of that entry, for entity 7."""
    batch = puts(last=b"%d" % number, **{f"key{number}": b"v" * size})
    store.write({(7, number): row(number, b"b" * size)}, [Apply(7, number, batch)])


def assert_prefix(store: Store, count: int, size: int = 20) -> None:
    """The store holds exactly the first `count` of the numbered batches, in all three places."""
    assert store.committed_entry(7) == count
    assert [entry for entry, _ in store.read_log(7, 1, 1_000, 1 << 30)] == list(range(1, count + 1))
    expected = {DATA + b"key%d" % number: b"v" * size for number in range(1, count + 1)}
    if count:
        expected[DATA + b"last"] = b"%d" % count
    assert dict(store.scan(7, b"", END)) == expected


def settle(store: RocksStore) -> None:
    """Until the upkeep has nothing to do, or has failed, so that the files stand still."""
    opened = store._use()
    deadline = time.monotonic() + 10.0
    while not opened.failed and opened.journal is not None and (opened.journal.has_full or not opened.journal.is_prepared):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def killed(store: RocksStore, to: Path) -> Path:
    """The files as kill -9 would leave them now: what was written is with the operating system, nothing is closed."""
    while True:
        shutil.rmtree(to, ignore_errors=True)
        settle(store)
        before = sizes(store.path)
        with suppress(shutil.Error):  # RocksDB may be compacting
            shutil.copytree(store.path, to)
            if sizes(store.path) == before:
                return to


def sizes(folder: Path) -> dict[Path, int]:
    found: dict[Path, int] = {}
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # RocksDB may be deleting it
            found[path] = path.stat().st_size
    return found


def journal_of(folder: Path) -> Path:
    """The only segment that has records in it."""
    finished = [path for path in (folder / "journal").iterdir() if path.suffix != ".new"]  # that one is on its way
    (used,) = [path for path in finished if any(path.read_bytes()[512:])]
    return used


def fill(store: RocksStore, size: int = 30_000) -> int:
    """Write numbered batches until one is refused for want of room; the number of the last one that was not."""
    number = store.committed_entry(7)
    while True:
        try:
            write_numbered(store, number + 1, size)
        except DiskFull:
            return number
        number += 1


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[str]:
    """Mounts a tmpfs of this size at path; yields why not if that is impossible."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        reason = done.stderr.strip() if done.returncode else ""
    except FileNotFoundError:
        reason = "there is no mount command"
    try:
        yield reason
    finally:
        if not reason:
            subprocess.run(["umount", "-l", str(path)], check=True)


def grow_disk(path: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(path)], check=True)
