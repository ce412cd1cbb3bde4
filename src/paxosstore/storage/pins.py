"""What of the log is kept for peers that copy an entity's data: the entries that came after what they read (rule 17).

A copy of a large entity takes longer than its log is kept, and the entries behind it would be gone when it ends: the next copy
would begin, and so on for ever. So whoever reads a view has the rows above its entry kept, and for a while after its last piece,
longer as long as somebody asks for them. Bounded: a view that is not read any more ends (`snapshot_timeout_ms`), and the time
after it is at most as long as the copy took, and GRACE_S.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from .api import Reader

GRACE_S = 10.0
"""After the last piece, and after each question for entries behind it."""
MAX_PINS = 1_024
"""Of views that have ended: many small copies end in this time, and need none. Beyond, the oldest go."""


class _Pin:
    __slots__ = ("above", "last_s", "since_s", "until_s")

    def __init__(self, above: int, now_s: float) -> None:
        self.above = above
        self.since_s = now_s
        self.until_s = self.last_s = float("inf")


class Pins:
    """Those of one store. For any thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: in seconds."""
        self._clock = clock
        self._pins: dict[int, dict[Reader, _Pin]] = {}
        """By entity."""
        self._ended: dict[Reader, None] = {}
        """Readers whose view has ended, in that order."""
        self._changing = threading.Lock()

    def hold(self, reader: Reader, committed: int) -> None:
        """A view is opened at this entry: rows above it are kept. In place of an earlier one of this reader."""
        with self._changing:
            self._drop(reader)
            self._pins.setdefault(reader[1], {})[reader] = _Pin(committed, self._clock())

    def end(self, reader: Reader, *, read: bool) -> None:
        """A view ends. `read`: all of it was, so the reader goes on with the entries behind it."""
        with self._changing:
            pin = self._pins.get(reader[1], {}).get(reader)
            if pin is None or reader in self._ended:
                return
            if not read:
                self._drop(reader)
                return
            now = self._clock()
            pin.until_s = now + GRACE_S
            pin.last_s = pin.until_s + (now - pin.since_s)
            self._ended[reader] = None
            if len(self._ended) > MAX_PINS:
                self._drop(next(iter(self._ended)))

    def asked(self, entity: int) -> None:
        """Somebody asks for entries."""
        if entity in self._pins:
            with self._changing:
                now = self._clock()
                for pin in self._pins.get(entity, {}).values():
                    if pin.until_s >= now:
                        pin.until_s = max(pin.until_s, min(now + GRACE_S, pin.last_s))

    def above(self, entity: int) -> int | None:
        """The entry above which all rows are kept; None: there is none."""
        if entity not in self._pins:
            return None
        with self._changing:
            now = self._clock()
            for reader in [reader for reader, pin in self._pins.get(entity, {}).items() if pin.until_s < now]:
                self._drop(reader)
            return min((pin.above for pin in self._pins.get(entity, {}).values()), default=None)

    def _drop(self, reader: Reader) -> None:
        self._ended.pop(reader, None)
        pins = self._pins.get(reader[1])
        if pins is not None:
            pins.pop(reader, None)
            if not pins:
                del self._pins[reader[1]]
