"""Digests of an entity's data, piece by piece, and what differs between pieces of several replicas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

from ..interface.comparison import DifferingKey, RowDigest

DIGEST_BYTES = 16


def digest_of(rows: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Of (key, value) pairs in order. Every part is preceded by its length, so no two pieces give the same bytes."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    for key, value in rows:
        digest.update(b"%d %d %b%b" % (len(key), len(value), key, value))
    return digest.digest()


def row_digests(rows: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, int, bytes]]:
    """Of each pair what a `RowDigest` has."""
    return [(key, len(value), blake2b(value, digest_size=DIGEST_BYTES).digest()) for key, value in rows]


def common_end(ends: Iterable[tuple[bytes, bool]]) -> tuple[bytes, bool]:
    """(last key, whether more may follow) of several pieces that begin behind the same key -> how far all of them reach.

    A piece behind which nothing follows reaches to the end.
    """
    lasts = [last for last, more in ends if more]
    return (min(lasts), True) if lasts else (b"", False)


def differing_keys(pieces: Mapping[int, Sequence[RowDigest]], through: bytes, entry: int) -> list[DifferingKey]:
    """The keys up to `through` (empty: all) that are not the same in the pieces of all nodes, ascending."""
    by_key: dict[bytes, dict[int, RowDigest | None]] = {}
    for node, rows in pieces.items():
        for row in rows:
            if not through or row.key <= through:
                by_key.setdefault(row.key, dict.fromkeys(pieces))[node] = row
    return [DifferingKey(key, entry, values) for key, values in sorted(by_key.items()) if len(set(values.values())) > 1]
