"""Looks for damage in RocksDB's log files (the WALs and the manifest) before RocksDB opens them.

RocksDB's strictest usable mode takes any record that seems to reach beyond the end of its file for one that a crash cut
short, and drops it with everything behind it. A damaged length field looks the same, and would silently take synced votes
with it (rule 8). And a crash may keep a newer log file but lose the end of an older one: a hole. So:

- the first unreadable record of a file must be cut off by its end (or be zeros: space that was never written), and not
  be complete but for its length field;
- behind it there must be no readable one;
- the sequence numbers of the batches must follow each other, through all WALs.

The format is RocksDB's own: blocks of 32 KiB holding records `masked crc32c (4) │ length (2) │ type (1) │ payload`, the
checksum over type and payload; a batch is one record (FULL) or several (FIRST, MIDDLE.., LAST) and begins with its sequence
number (8) and its count of operations (4). All little-endian.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

from crc32c import crc32c

from ..errors import Damaged

_BLOCK = 32_768
_HEADER = Struct("<IHB")
_HEADER_SIZE = _HEADER.size
_BATCH = Struct("<QI")
_CRC_AT_TYPE = 6
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def check_logs(folder: Path) -> None:
    """Raises Damaged if a log file in a RocksDB folder is damaged beyond a torn end."""
    current = folder / "CURRENT"
    if current.is_file():
        manifest = folder / current.read_bytes().decode("ascii", "replace").strip()
        if manifest.is_file():  # if not, RocksDB says so
            for _ in _Log(manifest).records():
                pass
    expected = 0
    for path in sorted(folder.glob("*.log"), key=lambda path: path.stem.zfill(20)):
        expected = _check_batches(_Log(path), expected)


def _check_batches(log: _Log, expected: int) -> int:
    """Check that the batches follow each other from sequence number `expected` (0: any). Returns the next number."""
    header = b""
    for kind, start, end in log.records():
        if kind in (_FULL, _FIRST):
            header = b""
        if len(header) < _BATCH.size:  # at the end of a block, FIRST may hold a part of it, or nothing
            header += log.bytes[start : min(end, start + _BATCH.size - len(header))]
        if kind in (_FULL, _LAST):
            if len(header) < _BATCH.size:
                raise log.damaged(start, "a batch without a header")
            sequence, count = _BATCH.unpack(header)
            if expected and sequence != expected:
                raise log.damaged(start, f"batch {sequence} stands where {expected} should be")
            expected = sequence + count
    return expected


class _Log:
    """One log file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        if self.size:
            with path.open("rb") as file:
                self.bytes = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        else:
            self.bytes = memoryview(b"")

    def records(self) -> Iterator[tuple[int, int, int]]:
        """(kind, start of the payload, end) of each record; a torn end is left out. Raises Damaged."""
        at, size, data = 0, self.size, self.bytes
        while size - at >= _HEADER_SIZE:
            block_end = at - at % _BLOCK + _BLOCK
            if block_end - at < _HEADER_SIZE:  # filled up with zeros
                at = block_end
                continue
            end = self._record_end(at, block_end)
            if not end:
                self._check_torn(at, block_end)
                return
            yield data[at + _CRC_AT_TYPE], at + _HEADER_SIZE, end
            at = end

    def _record_end(self, at: int, block_end: int) -> int:
        """Where the record that begins at `at` ends; 0 if there is no valid one."""
        checksum, length, kind = _HEADER.unpack_from(self.bytes, at)
        end: int = at + _HEADER_SIZE + length
        if kind == 0 or end > block_end or end > self.size:
            return 0
        return end if _masked(crc32c(self.bytes[at + _CRC_AT_TYPE : end])) == checksum else 0

    def _check_torn(self, at: int, block_end: int) -> None:
        """No valid record begins at `at`: it must be cut off or never written, and there must be none behind it."""
        end = min(block_end, self.size)
        checksum, length, kind = _HEADER.unpack_from(self.bytes, at)
        if (kind or length) and at + _HEADER_SIZE + length <= end:
            raise self.damaged(at, "the checksum of a record differs")
        if _masked(crc32c(self.bytes[at + _CRC_AT_TYPE : end])) == checksum:
            raise self.damaged(at, "the length of a record")
        for start in range(at + 1, end - _HEADER_SIZE + 1):
            if _FULL <= self.bytes[start + _CRC_AT_TYPE] <= _LAST and self._record_end(start, block_end):
                raise self.damaged(at, f"a record, before a valid one at {start}")
        for start in range(block_end, self.size - _HEADER_SIZE + 1, _BLOCK):
            if self._record_end(start, start + _BLOCK):
                raise self.damaged(at, f"a record, before a valid one at {start}")

    def damaged(self, at: int, what: str) -> Damaged:
        return Damaged(f"{self.path}: damaged at byte {at}: {what}")


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
