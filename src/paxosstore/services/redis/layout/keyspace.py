"""Which entity a key lives in."""

from __future__ import annotations

from binascii import crc_hqx

REDIS_BASE = 1 << 62
"""First entity of the Redis service."""
DATABASES = 16
SLOT_BASE = REDIS_BASE + DATABASES
"""Entity of slot 0."""
MAX_SLOTS = 65_536
CLUSTER_SLOTS = 16_384
"""Of Redis Cluster, and of what its clients compute: how many slots a keyspace has is another matter."""


def hash_slot(key: bytes, slots: int) -> int:
    """The slot of a key, by the CRC-16 and the {hash tag} rule of Redis Cluster."""
    opened = key.find(b"{")
    if opened >= 0:
        closed = key.find(b"}", opened + 1)
        if closed > opened + 1:
            key = key[opened + 1 : closed]
    return crc_hqx(key, 0) % slots


def slot_of(entity: int) -> int:
    """The slot that an entity is; negative: it is a whole database."""
    return entity - SLOT_BASE


def databases(slots: int) -> int:
    """How many logical databases there are, where keys lie in so many slots (0: each database is one entity)."""
    return 1 if slots else DATABASES
