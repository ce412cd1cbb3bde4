"""How entities, entries and keys become the keys of a store. Big-endian numbers, so that byte order is their order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from struct import Struct
from typing import Final

from ..core.entry.ids import MAX_ENTITY
from ..core.interface.digest import first_place

_U64: Final = Struct(">Q")
_ROW: Final = Struct(">QQ")

ENTITY_BYTES: Final = 8
PLOG: Final = b"l"
META: Final = b"m"
"""First byte of a key of the table; that of data is in generations.py."""
META_COMMITTED: Final = b"c"
"""First byte of the meta keys of committed entries; the others are in marks.py."""
META_PLACE: Final = b"h"
"""Of the keys that list entities by their place in the tree of digests; no values."""

entity_prefix: Final = _U64.pack
"""Entity -> the first eight bytes of its data keys."""
plog_key: Final = _ROW.pack
"""(entity, entry) -> key of the row."""


def entry_of(key: bytes) -> int:
    """The entry of a PLog key."""
    entry: int = _ROW.unpack(key)[1]
    return entry


def row_of(key: bytes) -> tuple[int, int]:
    """(entity, entry) of a PLog key."""
    place: tuple[int, int] = _ROW.unpack(key)
    return place


def plog_end(entity: int) -> bytes:
    """Above every PLog key of an entity."""
    return plog_key(entity, MAX_ENTITY) + b"\0"


def mark_key(kind: bytes, entity: int) -> bytes:
    """Of an entity's meta row; its first byte says which one."""
    return kind + _U64.pack(entity)


def marks_end(kind: bytes) -> bytes:
    """Above every meta key of this kind."""
    return bytes((kind[0] + 1,))


def committed_key(entity: int) -> bytes:
    return META_COMMITTED + _U64.pack(entity)


def place_key(place: int) -> bytes:
    """Of the row that says that there is an entity at this place."""
    return META_PLACE + _U64.pack(place)


def place_end(bucket: int) -> bytes:
    """Above every place key of a bucket."""
    after = first_place(bucket + 1)
    return place_key(after) if after < 1 << 64 else marks_end(META_PLACE)


def entity_of(key: bytes) -> int:
    """The entity of a meta key."""
    entity: int = _U64.unpack(key[1:])[0]
    return entity


def encode_entry(entry: int) -> bytes:
    return _U64.pack(entry)


def decode_entry(value: bytes) -> int:
    """Raises struct.error if the length is wrong."""
    entry: int = _U64.unpack(value)[0]
    return entry


def hash_content(data: Iterable[tuple[bytes, bytes]], committed: Iterable[tuple[int, int]]) -> str:
    """SHA-256 over (data key, value) pairs and (entity, committed entry) pairs, both ascending.

    Every part is preceded by its length, so that no two contents give the same bytes.
    """
    digest = hashlib.sha256()
    for key, value in data:
        digest.update(b"d%b%b%b%b" % (_U64.pack(len(key)), key, _U64.pack(len(value)), value))
    for entity, entry in committed:
        digest.update(b"c" + _ROW.pack(entity, entry))
    return digest.hexdigest()
