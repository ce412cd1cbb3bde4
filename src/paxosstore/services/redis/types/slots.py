"""CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT: keys by Redis Cluster's slots, in which they have no order here. Every key of the
entity is looked at, as by KEYS, so there may not be too many.
"""

from __future__ import annotations

from itertools import islice

from ....core.batch.overlay import View
from ..layout.keyspace import CLUSTER_SLOTS, hash_slot
from ..reply import NOT_AN_INTEGER, array, bulk, error, integer_reply
from ..resp import integer
from .generic import all_names

BAD_SLOT = error("Invalid slot")
BAD_EITHER = error("Invalid slot or number of keys")


def slot_named(args: list[bytes]) -> int | bytes:
    """The slot that a command names, or the error for its numbers."""
    numbers = [integer(word) for word in args[2:]]
    if None in numbers:
        return NOT_AN_INTEGER
    slot, *others = [number for number in numbers if number is not None]
    if 0 <= slot < CLUSTER_SLOTS and all(number >= 0 for number in others):
        return slot
    return BAD_EITHER if others else BAD_SLOT


def cluster(view: View, args: list[bytes], proto: int) -> bytes:
    slot = slot_named(args)
    if isinstance(slot, bytes):
        return slot
    names = (name for name in all_names(view) if hash_slot(name, CLUSTER_SLOTS) == slot)
    if args[1].lower() == b"countkeysinslot":
        return integer_reply(sum(1 for _ in names))
    return array([bulk(name) for name in islice(names, integer(args[3]))])
