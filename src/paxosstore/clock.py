"""What time it is, by several clocks of which one may be wrong (rule 20). Nothing here reads a clock: the readings come in.

A node knows its own clock, and those of the peers by the round trips of pings. Between two pings, and when a peer is not heard
any more, the own monotonic clock keeps a peer's time. What all go by is the median: one wrong clock of three is outvoted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

KEPT_MS: Final = 600_000.0
"""So long a peer's clock counts after it was heard last: a monotonic clock is wrong by some ms then."""
SAMPLES: Final = 8
"""Of so many round trips the quickest tells a peer's clock best."""
JITTER_MS: Final = 5.0
"""Two readings of a clock may differ by so much more than their round trips explain; else it has been set in between."""


def median(clocks: Iterable[float]) -> float:
    """Of an even number the lower one of the two in the middle: what expires does so too late rather than too early."""
    ordered = sorted(clocks)
    return ordered[(len(ordered) - 1) // 2]


class Sample:
    """A reading of a peer's clock."""

    __slots__ = ("ahead_ms", "error_ms")

    def __init__(self, ahead_ms: float, error_ms: float) -> None:
        self.ahead_ms: Final = ahead_ms
        """The peer's clock, less the own monotonic one at the same moment."""
        self.error_ms: Final = error_ms
        """How wrong that may be: half the round trip."""


class Offsets(NamedTuple):
    """How far the clocks are ahead of what the node goes by, in ms."""

    own: float
    peers: Mapping[int, float]
    """Of those that count."""


class Clocks:
    """What a node knows of its own clock and its peers'."""

    def __init__(self) -> None:
        self._samples: dict[int, deque[Sample]] = {}
        self._best: dict[int, Sample] = {}
        self._heard_ms: dict[int, float] = {}
        """When a peer was heard last, on the own monotonic clock."""

    def heard(self, peer: int, clock_ms: float, sent_ms: float, received_ms: float) -> None:
        """A peer has read its clock between these two moments of the own monotonic one."""
        error_ms = (received_ms - sent_ms) / 2.0
        sample = Sample(clock_ms + error_ms - received_ms, error_ms)
        samples = self._samples.setdefault(peer, deque(maxlen=SAMPLES))
        best = self._best.get(peer)
        if best is not None and abs(sample.ahead_ms - best.ahead_ms) > sample.error_ms + best.error_ms + JITTER_MS:
            samples.clear()  # it was set meanwhile
        samples.append(sample)
        self._best[peer] = min(samples, key=lambda one: one.error_ms)
        self._heard_ms[peer] = received_ms

    def now_ms(self, clock_ms: float, monotonic_ms: float) -> float:
        """What the clocks say together, by the own clock and monotonic one as they stand now."""
        return median([clock_ms, *self._peers(monotonic_ms).values()])

    def offsets(self, clock_ms: float, monotonic_ms: float) -> Offsets:
        """As `now_ms`, and how far each clock is from it."""
        peers = self._peers(monotonic_ms)
        now_ms = median([clock_ms, *peers.values()])
        return Offsets(clock_ms - now_ms, {peer: at_ms - now_ms for peer, at_ms in peers.items()})

    def _peers(self, monotonic_ms: float) -> dict[int, float]:
        """What each of the peers' clocks shows now, of those that were heard not too long ago."""
        oldest_ms = monotonic_ms - KEPT_MS
        return {peer: best.ahead_ms + monotonic_ms for peer, best in self._best.items() if self._heard_ms[peer] >= oldest_ms}
