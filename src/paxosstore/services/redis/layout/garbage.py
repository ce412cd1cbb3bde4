"""Members of collections that are gone: deleted behind the requests, some at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from ....core.batch.overlay import View
from .collection import MEMBER, after
from .keys import AFTER_GARBAGE, GARBAGE


def is_there_garbage(scan: Callable[[bytes, bytes], Iterator[tuple[bytes, bytes]]]) -> bool:
    return next(scan(GARBAGE, AFTER_GARBAGE), None) is not None


def drop_garbage(view: View, limit: int) -> int:
    """Delete up to `limit` members; returns how many. Where it stops is kept: a scan would step over all it has deleted."""
    dropped = 0
    for where, reached in list(islice(view.scan(GARBAGE, AFTER_GARBAGE), limit)):
        prefix = MEMBER + where[1:]
        rows = [row for row, _ in islice(view.scan(prefix + reached, after(prefix)), limit - dropped)]
        for row in rows:
            view.delete(row)
        dropped += len(rows)
        if dropped >= limit:
            view.put(where, rows[-1][len(prefix) :])
            break
        view.delete(where)
    return dropped
