"""What the storage tests share: stores of both kinds, and batches that are easy to tell apart."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paxosstore.core.overlay import DATA, WriteBatch
from paxosstore.core.ready import Apply
from paxosstore.core.record import Record, Value
from paxosstore.storage.api import Store
from paxosstore.storage.rocks import RocksStore, create_store

END = b"\xff"
"""Above every key these tests use."""


def value_id(entry: int) -> bytes:
    return entry.to_bytes(16, "big")


def row(entry: int, body: bytes = b"body", *, chosen: bool = True) -> Record:
    return Record(4, 4, 4, Value(value_id(entry), body), chosen)


def puts(**pairs: bytes | None) -> WriteBatch:
    return WriteBatch({DATA + key.encode(): value for key, value in pairs.items()})


def new_rocks(path: Path) -> RocksStore:
    create_store(path)
    return RocksStore(path)


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


def killed(store: RocksStore, to: Path) -> Path:
    """The files as kill -9 would leave them now: what was written is with the operating system, nothing is closed."""
    if to.exists():
        shutil.rmtree(to)
    return Path(shutil.copytree(store.path, to))


def wal_of(folder: Path) -> Path:
    """The only WAL that has something in it."""
    (wal,) = [path for path in folder.glob("*.log") if path.stat().st_size]
    return wal


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
