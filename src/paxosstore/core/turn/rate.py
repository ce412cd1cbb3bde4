"""So much per second, of whatever."""

from __future__ import annotations

BURST_MS = 5.0
"""What was not used of so long may be used at one go, so that small amounts need no timer each."""


class Rate:
    """Lets an amount through as soon as the last ones are paid off. Monotonic time; deciding only."""

    __slots__ = ("_paid_at_ms",)

    def __init__(self) -> None:
        self._paid_at_ms = 0.0

    def wait_ms(self, now_ms: float) -> float:
        """How long the next one has to wait; 0: not at all."""
        return max(0.0, self._paid_at_ms - now_ms)

    def pay(self, amount: float, per_second: float, now_ms: float) -> None:
        """This much goes through now."""
        self._paid_at_ms = max(self._paid_at_ms, now_ms - BURST_MS) + amount * 1_000.0 / per_second
