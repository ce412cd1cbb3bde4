"""Warnings about what others do: whoever causes them decides how many there are, so each kind has a rate."""

from __future__ import annotations

import logging
import math
import time

_INTERVAL_S = 10.0
_MAX_KINDS = 256


class QuietLog:
    """At most one warning per kind and interval; the next one tells how many were left out."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._last: dict[str, tuple[float, int]] = {}

    def warning(self, kind: str, text: str) -> None:
        now = time.monotonic()
        said_at, left_out = self._last.get(kind, (-math.inf, 0))
        if now - said_at < _INTERVAL_S:
            self._last[kind] = (said_at, left_out + 1)
            return
        if len(self._last) >= _MAX_KINDS:
            self._last.clear()  # a kind may hold an address, and there are many of those
        self._last[kind] = (now, 0)
        self._log.warning("%s%s", text, f" ({left_out} similar lines left out)" if left_out else "")
