"""The node's background budget (core/turn/budget.py), for threads as well as for the loop.

    while background.rest(Job.SCRUB, lambda: not closing):      # sleeps until the job may go on
        with background.piece(Job.SCRUB) as piece:              # measures the thread's processor time, and books it
            piece.bytes += len(read())

In the loop nobody sleeps here: `charge` books a piece, and says for how long to wait before the next one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..core.turn.budget import BackgroundUse, Budget, Job
from .forking import give_up_in_child

BYTES_PER_SECOND = 67_108_864
MS_PER_SECOND = 500.0
"""What a store on its own may take, as `TuningSettings` has it."""
LONGEST_SLEEP_S = 0.05
"""Whoever rests looks so often whether something has changed: the load, the settings, whether to end."""


class Piece:
    """A piece of work under way."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0
        """Read, written or sent; counted by whoever does the work."""


class Background(Budget):
    """Its methods may be called by any thread. What they do is a few sums: nobody holds the lock while it works or sleeps."""

    def __init__(
        self,
        bytes_per_second: int = BYTES_PER_SECOND,
        ms_per_second: float = MS_PER_SECOND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock`: in seconds, the one that the node's loop goes by."""
        self._lock = threading.RLock()
        self._clock = clock
        self._closed = threading.Event()
        super().__init__(bytes_per_second, ms_per_second)
        give_up_in_child(self)

    def forked(self) -> None:
        self._lock = threading.RLock()  # a thread that held it is not here
        self._closed = threading.Event()
        self._closed.set()

    # -- for threads

    def rest(self, job: Job, wanted: Callable[[], bool] = lambda: True) -> bool:
        """Sleep until the job may do its next piece. Whether it should: False as soon as it is not `wanted`, or all ends."""
        while wanted() and not self._closed.is_set():
            wait_s = self.wait_s(job)
            if not wait_s:
                return True
            self._closed.wait(min(wait_s, LONGEST_SLEEP_S))
        return False

    @contextmanager
    def piece(self, job: Job) -> Iterator[Piece]:
        """Book what the caller does inside: the processor time of its thread, and the bytes that it counts. Never sleeps."""
        piece, began = Piece(), time.thread_time()
        try:
            yield piece
        finally:
            self.book(job, piece.bytes, (time.thread_time() - began) * 1_000.0)

    def close(self) -> None:
        """Whoever rests is woken up, and nobody rests any more."""
        self._closed.set()

    # -- for anybody

    def wait_s(self, job: Job) -> float:
        """For how many seconds to wait before the next piece; 0.0: it may be done now."""
        return self.wait_ms(job, self._clock() * 1_000.0) / 1_000.0

    def book(self, job: Job, size: int, ms: float) -> None:
        """A piece was done: so many bytes, so many milliseconds of a processor."""
        self.pay(job, size, ms, self._clock() * 1_000.0)

    def charge(self, job: Job, size: int, ms: float) -> float:
        """Book a piece, and say for how many seconds to wait before the next one: for whoever may not sleep here."""
        self.book(job, size, ms)
        return self.wait_s(job)

    def tune(self, bytes_per_second: int, ms_per_second: float) -> None:
        with self._lock:
            super().tune(bytes_per_second, ms_per_second)

    def pay(self, job: Job, size: int, ms: float, now_ms: float) -> None:
        with self._lock:
            super().pay(job, size, ms, now_ms)

    def wait_ms(self, job: Job, now_ms: float) -> float:
        with self._lock:
            return super().wait_ms(job, now_ms)

    def usage(self, now_ms: float) -> BackgroundUse:
        with self._lock:
            return super().usage(now_ms)
