"""Where pages begin, as far as a thread has met them: hints, to be verified, that spare it a search backwards."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from threading import local
from typing import Final

MAX_STARTS = 32_768
"""That are known to a thread; beyond it all are forgotten."""
MAX_START_BYTES = 256
"""Longer ones are not kept."""

Level = tuple[int, bytes, int]
"""Entity, prefix of the collection's rows, level."""


class Starts:
    """Of one thread. What is known may be wrong at any time: what was rolled back, what other nodes have changed."""

    def __init__(self) -> None:
        self._levels: dict[Level, list[bytes]] = {}
        self._known = 0

    def before(self, level: Level, place: bytes) -> bytes | None:
        """The last known one that is not behind a place."""
        starts = self._levels.get(level)
        if starts is None:
            return None
        at = bisect_right(starts, place)
        return starts[at - 1] if at else None

    def learn(self, level: Level, start: bytes) -> None:
        if len(start) > MAX_START_BYTES:
            return
        starts = self._levels.get(level, [])
        at = bisect_left(starts, start)
        if at < len(starts) and starts[at] == start:
            return
        if self._known >= MAX_STARTS:
            self._levels.clear()
            self._known = at = 0
            starts = []
        starts.insert(at, start)
        self._levels[level] = starts
        self._known += 1

    def forget(self, level: Level, start: bytes) -> None:
        starts = self._levels.get(level)
        if starts is not None and starts[(at := bisect_left(starts, start)) : at + 1] == [start]:
            del starts[at]
            self._known -= 1


_HERE: Final = local()


def known_here() -> Starts:
    """What this thread knows."""
    found = getattr(_HERE, "starts", None)
    if not isinstance(found, Starts):
        found = _HERE.starts = Starts()
    return found
