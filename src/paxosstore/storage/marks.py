"""What the store notes of an entity, or of the node, beside committed entries: rows with a checksum over their key too.

crc32c (4) │ content
"""

from __future__ import annotations

from pathlib import Path
from struct import Struct, error
from typing import Final

from crc32c import crc32c

from .damage import damaged
from .keys import decode_entry, encode_entry, mark_key

FLOOR: Final = b"f"
"""Entity -> its floor (rule 19c)."""
GENERATION: Final = b"g"
"""Entity -> nothing: its data in the second generation is in force (generations.py)."""
RECOVERING: Final = b"i"
"""Entity -> nothing: beside its data there is some of a copy (rule 16)."""
MIXED: Final = b"r"
"""Entity -> nothing: its data is not whole. Of versions before format 7, which copied over it."""
STOPPED: Final = b"x"
"""Entity -> why it is never served again."""
STANDING_KEY: Final = b"n"
"""The node's standing (rule 19): the only row under this byte."""

_CRC: Final = Struct(">I")
_ENTRY_BYTES: Final = len(encode_entry(0))


def encode_mark(key: bytes, content: bytes) -> bytes:
    return _CRC.pack(crc32c(content, crc32c(key))) + content


def decode_mark(key: bytes, row: bytes, place: str, entity: int | None = None) -> bytes:
    """The content. Raises Damaged, with what stands there."""
    if len(row) < _CRC.size:
        raise damaged(place, f"{len(row)} bytes are too few", entity)
    content = row[_CRC.size :]
    if crc32c(content, crc32c(key)) != _CRC.unpack_from(row)[0]:
        raise damaged(place, "the checksum differs", entity)
    return content


def encode_floor(entity: int, floor: int) -> bytes:
    return encode_mark(mark_key(FLOOR, entity), encode_entry(floor))


def decode_floor(entity: int, row: bytes | None, store: Path | str) -> int:
    """0: none. Raises Damaged."""
    if row is None:
        return 0
    place = f"{store}: the floor of entity {entity}"
    content = decode_mark(mark_key(FLOOR, entity), row, place, entity)
    if len(content) != _ENTRY_BYTES:
        raise damaged(place, f"it has {len(content)} bytes", entity)
    return decode_entry(content)


def decode_committed(entity: int, value: bytes, store: Path | str) -> int:
    """Of a committed entry, which has no checksum. Raises Damaged."""
    try:
        return decode_entry(value)
    except error:
        raise damaged(store, f"the committed entry of entity {entity} has {len(value)} bytes", entity) from None


def decode_recovering(entity: int, row: bytes | None, store: Path | str) -> bool:
    if row is not None:
        decode_mark(mark_key(RECOVERING, entity), row, f"{store}: the mark of entity {entity} as recovering", entity)
    return row is not None


def decode_generation(entity: int, row: bytes | None, store: Path | str) -> bool:
    """Whether it is the second one."""
    if row is not None:
        decode_mark(mark_key(GENERATION, entity), row, f"{store}: which data of entity {entity} is in force", entity)
    return row is not None


def decode_stopped(entity: int, row: bytes | None, store: Path | str) -> str:
    if row is None:
        return ""
    return decode_mark(mark_key(STOPPED, entity), row, f"{store}: why entity {entity} was stopped", entity).decode(
        errors="replace"
    )


def decode_standing(row: bytes | None, store: Path | str) -> bytes:
    return b"" if row is None else decode_mark(STANDING_KEY, row, f"{store}: the node's standing")
