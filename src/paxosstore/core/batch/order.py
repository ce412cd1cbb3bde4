"""Keys in order, in either direction: of a list that grows meanwhile, and of rows under others that are newer."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


def merged(
    rows: Iterator[tuple[bytes, bytes]], ours: Iterator[tuple[bytes, bytes | None]], reverse: bool
) -> Iterator[tuple[bytes, bytes | None]]:
    """Stored rows under the written ones."""
    comes_before = bytes.__gt__ if reverse else bytes.__lt__
    mine = next(ours, None)
    for row in rows:
        while mine is not None and comes_before(mine[0], row[0]):
            yield mine
            mine = next(ours, None)
        if mine is None or mine[0] != row[0]:
            yield row
    while mine is not None:
        yield mine
        mine = next(ours, None)


def up(keys: list[bytes], first: bytes, last: bytes) -> Iterator[bytes]:
    """Keys with first <= key < last, ascending, while others are put in between."""
    at = bisect_left(keys, first)
    while at < len(keys) and keys[at] < last:
        key = keys[at]
        yield key
        at = at + 1 if keys[at] is key else bisect_right(keys, key)


def down(keys: list[bytes], first: bytes, last: bytes) -> Iterator[bytes]:
    """The same, descending."""
    at = bisect_left(keys, last) - 1
    while at >= 0 and keys[at] >= first:
        key = keys[at]
        yield key
        at = (at if keys[at] is key else bisect_left(keys, key)) - 1
