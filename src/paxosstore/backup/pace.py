"""Bytes at a bounded rate: what is copied leaves the disk to others."""

from __future__ import annotations

import time
from collections.abc import Callable

MOST_S = 0.5
"""So much at most is made up for after a pause."""


class Pace:
    """`pay` before, or after, so many bytes: it waits as long as the rate wants it."""

    def __init__(
        self, bytes_per_s: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._sleep = sleep
        self._paid_until_s = clock()

    def pay(self, size: int) -> None:
        now = self._clock()
        self._paid_until_s = max(self._paid_until_s, now - MOST_S) + size / self._bytes_per_s
        if self._paid_until_s > now:
            self._sleep(self._paid_until_s - now)
