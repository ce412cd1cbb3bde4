"""Looks at RocksDB's manifest before RocksDB does: cuts off a torn end, which it takes for damage, and refuses what it hangs on.

A power cut during a change of the manifest may leave the file longer than what reached it: the last record lacks a sector,
which reads as zeros. RocksDB overlooks a record that is cut off by the file's end, but refuses this one. The change was not
durable, and nothing builds on it yet: what it was about is in the journal still. Should it have been durable, and the disk
have lost it, the journal tells: RocksDB then holds less than the journal's floor.

One flipped bit makes a record one of a log file that is used anew, which no manifest has: RocksDB 10.5 reads that for ever.

The format: blocks of 32 KiB of records `masked crc32c (4) │ length (2) │ type (1) │ payload`, the checksum over type and payload;
a change is one record (FULL) or several (FIRST, MIDDLE.., LAST). Little-endian.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from struct import Struct

from crc32c import crc32c

from .damage import damaged
from .durable import sync_file
from .segment import SECTOR

_BLOCK = 32_768
_HEADER = Struct("<IHB")
_CRC_AT_TYPE = _HEADER.size - 1
_FULL, _LAST = 1, 4


def cut_torn_manifest(folder: Path) -> bool:
    """Cut it off, durably, if its last record lacks a sector; whether it did. Raises as `check_manifest`."""
    manifest = _manifest(folder)
    if manifest is None:
        return False
    content, sound, at = _checked(manifest)
    if not _is_torn(content, at):
        return False
    with manifest.open("r+b") as file:
        file.truncate(sound)
        sync_file(file.fileno())
    return True


def check_manifest(folder: Path) -> None:
    """Raises Damaged if its first invalid record is of no kind that a manifest has; RocksDB judges all else. Raises OSError."""
    manifest = _manifest(folder)
    if manifest is not None:
        _checked(manifest)


def _checked(manifest: Path) -> tuple[bytes, int, int]:
    """What is in it, and as `_read`. Raises as `check_manifest`."""
    content = manifest.read_bytes()
    sound, at = _read(content)
    if at + _HEADER.size <= len(content) and content[at + _CRC_AT_TYPE] > _LAST:
        raise damaged(manifest, f"a record of an unknown kind, {content[at + _CRC_AT_TYPE]}, at {at}")
    return content, sound, at


def _manifest(folder: Path) -> Path | None:
    """The one in use; None: there is none, which is for RocksDB to judge."""
    current = folder / "CURRENT"
    if not current.is_file():
        return None
    manifest = folder / current.read_bytes().decode("ascii", "replace").strip()
    return manifest if manifest.is_file() else None


def _read(content: bytes) -> tuple[int, int]:
    """The end of the last whole change, and where the first record begins that is not valid."""
    at = sound = 0
    while end := _record_end(content, at):
        if content[at + _CRC_AT_TYPE] in (_FULL, _LAST):
            sound = end
        left = -end % _BLOCK
        at = end + left if left < _HEADER.size else end  # filled up with zeros
    return sound, at


def _is_torn(content: bytes, at: int) -> bool:
    """Whether a record begins at `at` that lacks a sector, with nothing behind it that can be read."""
    if len(content) - at < _HEADER.size:
        return False
    _, length, _ = _HEADER.unpack_from(content, at)
    end = at + _HEADER.size + length
    block_end = at - at % _BLOCK + _BLOCK
    if end > min(block_end, len(content)):
        return False
    sectors = range(at - at % SECTOR, end, SECTOR)
    if all(any(content[max(sector, at) : sector + SECTOR]) for sector in sectors):
        return False
    places = chain(range(at + 1, min(block_end, len(content))), range(block_end, len(content), _BLOCK))
    return not any(_record_end(content, place) for place in places)


def _record_end(content: bytes, at: int) -> int:
    """Where the record that begins at `at` ends; 0 if there is no valid one."""
    if at + _HEADER.size > min(len(content), at - at % _BLOCK + _BLOCK):
        return 0
    checksum, length, kind = _HEADER.unpack_from(content, at)
    end: int = at + _HEADER.size + length
    if not _FULL <= kind <= _LAST or end > min(len(content), at - at % _BLOCK + _BLOCK):
        return 0
    return end if _masked(crc32c(content[at + _CRC_AT_TYPE : end])) == checksum else 0


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
