"""The clocks of a simulated node."""

from __future__ import annotations

WALL_MS = 1_700_000_000_000
"""Wall-clock time at the beginning."""


class Clocks:
    """One node's clocks. The monotonic one may stand still and go on from there, the wall clock may be anywhere."""

    __slots__ = ("_lag_ms", "_stopped_at_ms", "wall_offset_ms")

    def __init__(self) -> None:
        self.wall_offset_ms = 0.0
        self._lag_ms = 0.0
        self._stopped_at_ms: float | None = None

    def stop(self, now_ms: float) -> None:
        if self._stopped_at_ms is None:
            self._stopped_at_ms = self.monotonic(now_ms)

    def go_on(self, now_ms: float) -> None:
        if self._stopped_at_ms is not None:
            self._lag_ms = now_ms - self._stopped_at_ms
            self._stopped_at_ms = None

    def monotonic(self, now_ms: float) -> float:
        return now_ms - self._lag_ms if self._stopped_at_ms is None else self._stopped_at_ms

    def wall(self, now_ms: float) -> int:
        return int(WALL_MS + self.monotonic(now_ms) + self.wall_offset_ms)
