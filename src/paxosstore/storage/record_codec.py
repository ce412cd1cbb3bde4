"""Rows of the PLog to and from bytes.

    format version (1 byte) │ crc32c (4) │ msgpack [prepared, promised, accepted, chosen, value id or nil, body]

The checksum covers the row's key too: a row that stands under another entity or entry is damaged as well.
"""

from __future__ import annotations

from pathlib import Path
from struct import Struct
from typing import Final

import msgspec
from crc32c import crc32c

from ..core.entry.record import Record, Value, validate
from .damage import damaged
from .keys import plog_key

ROW_FORMAT: Final = 1
_HEADER: Final = Struct(">BI")

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[int, int, int, bool, bytes | None, bytes]).decode


def encode_row(key: bytes, record: Record) -> bytes:
    """The bytes of a row that will stand under this PLog key."""
    validate(record)
    prepared, promised, accepted, value, chosen = record
    if value is None:
        payload = _encode((prepared, promised, accepted, chosen, None, b""))
    else:
        payload = _encode((prepared, promised, accepted, chosen, value.id, value.body))
    return _HEADER.pack(ROW_FORMAT, crc32c(payload, crc32c(key))) + payload


def decode_row(entity: int, entry: int, row: bytes, store: Path | str = "") -> Record:
    """The row that stands under (entity, entry). Raises Damaged."""
    place = f"{store}: PLog row of entity {entity}, entry {entry}"
    if len(row) < _HEADER.size:
        raise damaged(place, f"{len(row)} bytes are too few", entity)
    version, checksum = _HEADER.unpack_from(row)
    if version != ROW_FORMAT:
        # IDENTITY tells what other versions of the program have written: here it is a bit
        raise damaged(place, f"format version {version}, this program knows {ROW_FORMAT}", entity)
    payload = memoryview(row)[_HEADER.size :]
    if crc32c(payload, crc32c(plog_key(entity, entry))) != checksum:
        raise damaged(place, "the checksum differs", entity)
    try:
        prepared, promised, accepted, chosen, value_id, body = _decode(payload)
        record = Record(prepared, promised, accepted, None if value_id is None else Value(value_id, body), chosen)
        validate(record)
    except (msgspec.DecodeError, AssertionError) as error:
        raise damaged(place, f"no valid row: {error}", entity) from None
    return record
