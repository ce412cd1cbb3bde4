"""The time that a node goes by, and what is wrong with the clocks (rule 20; the median: clock.py)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ..clock import Clocks, Offsets
from ..settings import TuningSettings

LOOK_MS: Final = 10.0
"""The clocks are compared so often at most: a turn asks several times what time it is."""


class ClockStatus(NamedTuple):
    """The clocks at one moment."""

    offset_ms: float = 0.0
    """How far this node's is ahead of what it goes by."""
    peers: Mapping[int, float] = {}  # never changed
    """The same of the peers that were heard."""
    expires: bool = True
    """Whether this node deletes what is due, though nobody asks for it: not while its own clock is odd."""
    trouble: str = ""
    """What an operator should know; empty: they agree."""
    matter: str = ""
    """Whose clocks that is about, and whether this node expires nothing."""


def clock_ms() -> float:
    """This machine's clock, in ms since 1970. Never negative."""
    return max(0.0, time.time() * 1_000.0)


def monotonic_ms() -> float:
    return time.monotonic() * 1_000.0


class Timekeeper:
    """Takes in what the peers say of their clocks."""

    def __init__(
        self,
        node: int,
        tuning: Callable[[], TuningSettings],
        clock_ms: Callable[[], float] = clock_ms,
        monotonic_ms: Callable[[], float] = monotonic_ms,
    ) -> None:
        self._node = node
        self._tuning = tuning
        self._clock_ms = clock_ms
        self._monotonic_ms = monotonic_ms
        self._clocks = Clocks()
        self._compared_ms = -LOOK_MS
        self._ahead_ms = 0.0
        """What the clocks said then, less the own monotonic one."""

    def heard(self, peer: int, clock_ms: float, sent_ms: float, received_ms: float) -> None:
        """A peer's clock was read: what it showed, when that was asked for, and came, on `time.monotonic`, in ms."""
        self._clocks.heard(peer, clock_ms, sent_ms, received_ms)
        self._compared_ms = -LOOK_MS

    def now_ms(self) -> int:
        """What the clocks say together, in ms since 1970."""
        monotonic_ms = self._monotonic_ms()
        if not 0.0 <= monotonic_ms - self._compared_ms < LOOK_MS:
            self._compared_ms = monotonic_ms
            self._ahead_ms = self._clocks.now_ms(self._clock_ms(), monotonic_ms) - monotonic_ms
        return max(0, int(monotonic_ms + self._ahead_ms))

    @property
    def expires(self) -> bool:
        """Whether this node is to begin to delete what is due."""
        return abs(self._offsets().own) <= self._tuning().clock_limit_ms

    def status(self) -> ClockStatus:
        found, tuning = self._offsets(), self._tuning()
        expires = abs(found.own) <= tuning.clock_limit_ms
        clocks = {self._node: found.own, **found.peers}
        odd = {node: offset_ms for node, offset_ms in sorted(clocks.items()) if abs(offset_ms) > tuning.clock_warn_ms}
        if not odd:
            return ClockStatus(found.own, found.peers, expires)
        return ClockStatus(found.own, found.peers, expires, _describe(odd, len(clocks), expires), f"{[*odd]} {expires}")

    def _offsets(self) -> Offsets:
        return self._clocks.offsets(self._clock_ms(), self._monotonic_ms())


def _describe(odd: Mapping[int, float], clocks: int, expires: bool) -> str:
    how = ", ".join(f"node {node} is {_amount(offset_ms)}" for node, offset_ms in odd.items())
    by = "the lower one of two clocks" if clocks == 2 else f"the median of {clocks} clocks"
    rests = "" if expires else "; this node begins no expiry meanwhile, the others do"
    return f'THE CLOCKS DIFFER: by {by}, {how}{rests}: docs/OPERATING.md, "The clocks differ"'


def _amount(offset_ms: float) -> str:
    """To a digit that does not change all the time."""
    size = abs(offset_ms) / 1_000.0
    for unit, name in ((3_600.0, "h"), (60.0, "min")):
        if size >= 2 * unit:
            return f"{size / unit:.0f} {name} {'ahead' if offset_ms > 0 else 'behind'}"
    return f"{size:.1f} s {'ahead' if offset_ms > 0 else 'behind'}"
