"""Digests of what is applied: a tree over all entities, by which two nodes find those that differ (core/log/reconcile.py).

The place of an entity is a hash of its id, so that ids that lie close together are spread. Its leaf, a bucket, is the first bits
of that; a node of the tree is the sum of its 16 children, the root is level 0. An entity adds to the digests above it

    weight(entity) · committed entry        mod 2^64

so an applied entry costs one addition a level, and the sum is the same in whatever order it was made. Weights are odd: an
entity that alone differs always shows. Several cancel each other out with a probability of about 2^-64.
"""

from __future__ import annotations

CHILDREN = 16
"""Of each node."""
_BITS = 4
LEVELS = 5
"""The buckets are at this level."""
BUCKETS = CHILDREN**LEVELS
NODE_BYTES = 8
"""Of a node; little-endian where several stand in a row."""
MAX_NODES = 256
"""Of one question, at most."""
NODES_ASKED = 48
"""Of one question, as it is asked: the digests of an inner level take some 25 µs a node to add up, while a loop stands still."""
MAX_BUCKETS = 40
"""Of one question, at most."""
BUCKETS_ASKED = 8
"""Of one question, as it is asked, so that the answer is listed in one go as a rule; each costs the disk a look, some 40 µs."""
PAGE = 1_000
"""Entities in an answer, at most."""
READ = 20
"""So many are read for one: who has asked looks at each on its own disk, some 10 to 40 µs, while its loop stands still."""

MASK = (1 << 64) - 1
_FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
_FIRST_INVERSE, _SECOND_INVERSE = 0xF1DE83E19937733D, 0xCFEE444D8B59A89B
_BUCKET_SHIFT = 64 - _BITS * LEVELS


def place_of(entity: int) -> int:
    """A hash of 64 bits; no two entities have the same."""
    mixed = entity * _FIRST & MASK
    mixed = (mixed ^ mixed >> 32) * _SECOND & MASK
    return mixed ^ mixed >> 32


def entity_at(place: int) -> int:
    """The entity with this place."""
    mixed = (place ^ place >> 32) * _SECOND_INVERSE & MASK
    return (mixed ^ mixed >> 32) * _FIRST_INVERSE & MASK


def bucket_of(place: int) -> int:
    return place >> _BUCKET_SHIFT


def first_place(bucket: int) -> int:
    """The lowest place in a bucket; of the bucket behind the last: above all places."""
    return bucket << _BUCKET_SHIFT


def weight(place: int) -> int:
    """What an applied entry adds."""
    return place | 1


def differing(level: int, nodes: list[int], mine: bytes, theirs: bytes) -> list[int]:
    """Which children of these nodes, numbered as of the next level, have other digests at a peer. Ascending, as the nodes are."""
    assert level < LEVELS
    assert len(mine) == len(theirs) == len(nodes) * CHILDREN * NODE_BYTES
    found: list[int] = []
    at = 0
    for node in nodes:
        for child in range(node * CHILDREN, (node + 1) * CHILDREN):
            if mine[at : at + NODE_BYTES] != theirs[at : at + NODE_BYTES]:
                found.append(child)
            at += NODE_BYTES
    return found
