"""How long an answer usually takes, and hence how long to wait for one."""

from __future__ import annotations

FIRST_MS = 20.0
"""What is taken for usual before the first was seen."""
LONGEST_MS = 1_000.0
"""An answer that took longer says that the peer was away, not how long one has to wait for it."""


class RoundTrip:
    """The usual time of an answer and its usual variation, followed as TCP does (RFC 6298)."""

    __slots__ = ("_seen", "_usual_ms", "_variation_ms", "margin_ms")

    def __init__(self, margin_ms: float) -> None:
        self.margin_ms = margin_ms
        """Added to what is usual."""
        self._seen = False
        self._usual_ms = FIRST_MS
        self._variation_ms = 0.0

    @property
    def patience_ms(self) -> float:
        """How long to wait: what is usual, and the margin."""
        return self._usual_ms + 4 * self._variation_ms + self.margin_ms

    def observe(self, took_ms: float) -> None:
        took_ms = min(took_ms, LONGEST_MS, 2 * self.patience_ms)  # one pause is no habit; a lasting one is learnt by doubling
        if not self._seen:
            self._seen = True
            self._usual_ms, self._variation_ms = took_ms, took_ms / 2
            return
        self._variation_ms += (abs(took_ms - self._usual_ms) - self._variation_ms) / 4
        self._usual_ms += (took_ms - self._usual_ms) / 8
