"""What the network and the disks of a simulated cluster do now."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Weather:
    """How the network and the disks behave now. Times in milliseconds, the rest are probabilities."""

    delay_ms: tuple[float, float] = (0.1, 1.0)
    loss: float = 0.0
    duplication: float = 0.0
    long_delay: float = 0.0
    """Probability that a frame takes up to 200 ms, and so is overtaken."""
    sync_ms: tuple[float, float] = (0.1, 0.5)
    cuts: set[tuple[int, int]] = field(default_factory=set)
    """(from, to) pairs that lose everything."""
