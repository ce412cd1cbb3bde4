"""How long an answer usually takes, and hence how long to wait for one."""

from __future__ import annotations

FIRST_MS = 20.0
"""What is taken for usual before the first was seen."""
LONGEST_MS = 1_000.0
"""An answer that took longer says that the peer was away, not how long one has to wait for it."""


class RoundTrip:
    """The usual time of an answer, followed as TCP does (RFC 6298)."""

    __slots__ = ("_usual_ms", "_variation_ms")

    def __init__(self) -> None:
        self._usual_ms = FIRST_MS
        self._variation_ms = 0.0

    def observe(self, took_ms: float) -> None:
        took_ms = min(took_ms, LONGEST_MS)
        self._variation_ms += (abs(took_ms - self._usual_ms) - self._variation_ms) / 4
        self._usual_ms += (took_ms - self._usual_ms) / 8

    def patience_ms(self, margin_ms: float) -> float:
        """How long to wait: the usual time and its usual variation, and a few ms."""
        return self._usual_ms + 4 * self._variation_ms + margin_ms
