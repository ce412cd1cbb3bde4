"""The store's time, for uuids that say when they were made."""

from __future__ import annotations

import secrets
import time

LEARN_S = 600.0
"""So often the store is asked what time it is."""


class Clock:
    """The store's time, told by one of its nodes and counted on from there: uuids say when they were made, and a client's own
    clock may be wrong."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        """How far the store's time is ahead of the monotonic clock."""
        self._learned_s = -LEARN_S

    @property
    def due(self) -> bool:
        """The store should be asked."""
        return time.monotonic() - self._learned_s >= LEARN_S

    def learn(self, seconds: int, us: int) -> None:
        self._learned_s = time.monotonic()
        self._ahead_s = seconds + us / 1e6 - self._learned_s

    def uuid(self) -> bytes:
        """A new one, of version 7."""
        at_ms = int((time.monotonic() + self._ahead_s) * 1_000)
        tail = secrets.token_bytes(10)
        return at_ms.to_bytes(6, "big") + bytes((0x70 | tail[0] & 0x0F, tail[1], 0x80 | tail[2] & 0x3F)) + tail[3:]
