"""The manifest's torn end, and what is none."""

from __future__ import annotations

from pathlib import Path
from struct import pack

import pytest
from crc32c import crc32c

from paxosstore.errors import Damaged
from paxosstore.storage.manifest import _masked, cut_torn_manifest
from paxosstore.storage.rocks import RocksStore

from .support import assert_prefix, killed, new_rocks, write_numbered

RECORD = (pack("<IHB", 1, 900, 1) + bytes(range(1, 100))).ljust(907, b"\0")
"""One of which only the first sectors came to the disk."""


def record(payload: bytes) -> bytes:
    """A whole one."""
    return pack("<IHB", _masked(crc32c(b"\1" + payload)), len(payload), 1) + payload


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store after five batches, as a kill leaves it."""
    store = new_rocks(tmp_path / "store")
    for number in range(1, 6):
        write_numbered(store, number)
    store.sync()
    killed(store, tmp_path / "copy")
    store.close()
    return tmp_path / "copy"


def manifest_of(folder: Path) -> Path:
    (manifest,) = (folder / "rocksdb").glob("MANIFEST-*")
    return manifest


@pytest.mark.parametrize("tail", [RECORD, bytes(600)])
def test_a_torn_end_is_cut_off(folder: Path, tail: bytes) -> None:
    manifest = manifest_of(folder)
    whole = manifest.read_bytes()
    manifest.write_bytes(whole + tail)
    assert cut_torn_manifest(folder / "rocksdb")
    assert manifest.read_bytes() == whole
    assert not cut_torn_manifest(folder / "rocksdb")
    manifest.write_bytes(whole + tail)
    store = RocksStore(folder)
    assert_prefix(store, 5)
    store.close()


@pytest.mark.parametrize("behind", [False, True])
def test_what_lacks_no_sector_or_has_something_behind_it_is_damage(folder: Path, behind: bool) -> None:
    manifest = manifest_of(folder)
    whole = manifest.read_bytes()
    tail = RECORD + record(b"x") if behind else RECORD[:7] + b"x" * 900
    manifest.write_bytes(whole + tail)
    assert not cut_torn_manifest(folder / "rocksdb")
    with pytest.raises(Damaged):
        RocksStore(folder)


def test_a_record_that_rocksdb_would_read_for_ever_is_damage(folder: Path) -> None:
    manifest = manifest_of(folder)
    whole = manifest.read_bytes()
    at, flipped = 0, 0
    while at < len(whole):
        for bit in range(8):
            content = bytearray(whole)
            content[at + 6] ^= 1 << bit
            manifest.write_bytes(content)
            for read_only in (False, True):
                with pytest.raises(Damaged):  # from RocksDB, or before it
                    RocksStore(folder, read_only=read_only)
            flipped += 1
        at += 7 + int.from_bytes(whole[at + 4 : at + 6], "little")
    assert flipped > 8
    manifest.write_bytes(whole)
    store = RocksStore(folder)
    assert_prefix(store, 5)
    store.close()


@pytest.mark.parametrize("fill", range(7))
def test_blocks_are_followed(folder: Path, fill: int) -> None:
    """A block's last bytes are zeros if a header has no room there."""
    manifest = manifest_of(folder)
    first = record(b"x" * (32_768 - 7 - fill))
    for whole in (first, first + bytes(fill) + record(b"y")):
        manifest.write_bytes((whole if len(whole) > 32_768 else whole + bytes(fill)) + RECORD)
        assert cut_torn_manifest(folder / "rocksdb")
        assert manifest.read_bytes() == whole


def test_a_store_without_manifest_is_for_rocksdb_to_judge(folder: Path) -> None:
    manifest_of(folder).unlink()
    assert not cut_torn_manifest(folder / "rocksdb")
    (folder / "rocksdb" / "CURRENT").unlink()
    assert not cut_torn_manifest(folder / "rocksdb")
