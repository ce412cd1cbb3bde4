"""The bytes of the journal's segments: what one looks like on disk, and how damage is told from what a power cut leaves.

A segment is a file of sectors of 512 bytes, written as zeros before it is used. The first byte of a sector is its mark, never 0:

    sector 0      S │ crc32c (4) │ number of the segment (8) │ bytes of the segment (8) │ floor (8) │ noted (8)
    a record      R │ crc32c (4) │ crc32c of the payload (4) │ its length (4) │ sequence (8) │ synced (8) │ payload
    further ones  C │ payload

A segment of before has another mark, and no `noted`.

The first crc32c covers the fields behind it, without the payload; all little-endian. A record begins at a sector of its own,
so every sector behind sector 0 is written once. A power cut leaves each sector that was not synced as it was written or as
zeros; hence, and because a mark is never 0:

- a sector of zeros where a record should be: lost, or never written;
- a record whose first sector is sound, but some other one is zeros: torn;
- anything else that is not sound: damage, which no power cut leaves.
"""

from __future__ import annotations

from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

from crc32c import crc32c

from ..errors import Damaged
from .damage import damaged

SECTOR: Final = 512
SEGMENT_MARK: Final = b"\xc3"
RECORD_MARK: Final = b"\xa5"
CONTINUED_MARK: Final = b"\x5a"
MARK_BEFORE: Final = b"\x3c"
"""No flipped bit makes one of them another one or zero."""

_PER_SECTOR: Final = SECTOR - 1
_ZEROS: Final = bytes(SECTOR)
_CRC: Final = Struct("<I")
_SEGMENT: Final = Struct("<QQQQ")
_SEGMENT_BEFORE: Final = Struct("<QQQ")
_RECORD: Final = Struct("<IIQQ")
_HEADER_BYTES: Final = _CRC.size + _RECORD.size
_PAYLOAD_AT: Final = 1 + _HEADER_BYTES


class Record(NamedTuple):
    sequence: int
    synced: int
    """The highest sequence that was durable when this record was written."""
    payload: bytes | None
    """None: torn."""
    sectors: int


def sectors_of(payload_bytes: int) -> int:
    """How many sectors a record with so long a payload takes."""
    return -(-(_HEADER_BYTES + payload_bytes) // _PER_SECTOR)


def encode_segment(number: int, size: int, floor: int, noted: int) -> bytes:
    """The beginning of sector 0. When it was written, all up to `floor` was durable elsewhere, and all up to `noted` here."""
    fields = _SEGMENT.pack(number, size, floor, noted)
    return SEGMENT_MARK + _CRC.pack(crc32c(fields)) + fields


def encode_record(sequence: int, synced: int, payload: bytes) -> bytes:
    """The bytes of a record, its last sector cut short."""
    fields = _RECORD.pack(crc32c(payload), len(payload), sequence, synced)
    body = _CRC.pack(crc32c(fields)) + fields + payload
    if len(body) <= _PER_SECTOR:
        return RECORD_MARK + body
    return RECORD_MARK + CONTINUED_MARK.join([body[at : at + _PER_SECTOR] for at in range(0, len(body), _PER_SECTOR)])


class SegmentContent:
    """A segment, read from its file."""

    def __init__(self, path: Path, number: int) -> None:
        """Raises Damaged if it is not segment `number`, whole."""
        self.path = path
        self._bytes = path.read_bytes()
        self._marks = self._bytes[::SECTOR]
        self.sectors = len(self._marks)
        before = self._marks[:1] == MARK_BEFORE
        form = _SEGMENT_BEFORE if before else _SEGMENT
        fields = self._bytes[1 + _CRC.size : 1 + _CRC.size + form.size]
        if not (before or self._marks[:1] == SEGMENT_MARK) or self._bytes[1 : 1 + _CRC.size] != _CRC.pack(crc32c(fields)):
            raise self.damaged(0, "no header of a segment")
        found, size, self.floor, self.noted = (*form.unpack(fields), 0)[:4]
        if (found, size) != (number, len(self._bytes)):
            raise self.damaged(0, f"segment {found} of {size} bytes, in a file of {len(self._bytes)} bytes")

    def is_unused(self, first: int = 1) -> bool:
        """Whether no sector from `first` on was written."""
        return not self._marks[first:].strip(b"\0")

    def record(self, sector: int) -> Record | None:
        """The record that begins at a sector; None if the sector is zeros. Raises Damaged."""
        header = self._header(sector)
        if header is None:
            if self._is_zeros(sector):
                return None
            raise self.damaged(sector, "no header of a record")
        checksum, length, sequence, synced = header
        count = sectors_of(length)
        if sector + count > self.sectors:
            raise self.damaged(sector, f"a record of {length} bytes, more than there is room for")
        payload = self._payload(sector, count, length)
        if payload is None or crc32c(payload) != checksum:
            if not any(map(self._is_zeros, range(sector + 1, sector + count))):
                raise self.damaged(sector, "the checksum of a record differs")
            payload = None
        return Record(sequence, synced, payload, count)

    def headers(self, first: int) -> list[tuple[int, int]]:
        """(sequence, synced) of every record that begins at `first` or behind it, as far as they can be read."""
        found: list[tuple[int, int]] = []
        at = self._marks.find(RECORD_MARK, first)
        while at >= 0:
            header = self._header(at)
            if header is not None:
                found.append(header[2:])
            at = self._marks.find(RECORD_MARK, at + 1)
        return found

    def damaged(self, sector: int, what: str) -> Damaged:
        return damaged(self.path, f"damaged at byte {sector * SECTOR}: {what}")

    def _header(self, sector: int) -> tuple[int, int, int, int] | None:
        """(crc, length, sequence, synced) of a sound first sector."""
        start = sector * SECTOR
        fields = self._bytes[start + 1 + _CRC.size : start + _PAYLOAD_AT]
        if self._bytes[start : start + 1 + _CRC.size] != RECORD_MARK + _CRC.pack(crc32c(fields)):
            return None
        header: tuple[int, int, int, int] = _RECORD.unpack(fields)
        return header

    def _payload(self, sector: int, count: int, length: int) -> bytes | None:
        """None if a further sector does not say that it is one."""
        start = sector * SECTOR
        if count == 1:
            return self._bytes[start + _PAYLOAD_AT : start + _PAYLOAD_AT + length]
        if self._marks[sector + 1 : sector + count] != CONTINUED_MARK * (count - 1):
            return None
        pieces = [self._bytes[at + 1 : at + SECTOR] for at in range(start, start + count * SECTOR, SECTOR)]
        return b"".join(pieces)[_HEADER_BYTES : _HEADER_BYTES + length]

    def _is_zeros(self, sector: int) -> bool:
        return self._bytes[sector * SECTOR : (sector + 1) * SECTOR] == _ZEROS
