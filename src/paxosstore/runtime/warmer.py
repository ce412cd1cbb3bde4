"""The thread that reads ahead what loading entities takes: a slow disk holds up nobody but who waits for these."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence


class Warmer:
    """Runs `warm` in a thread of its own, in order, and tells the loop when it is done."""

    def __init__(self, warm: Callable[[Sequence[int]], None], done: Callable[[Sequence[int]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._warm = warm
        self._done = done
        self._wanted: queue.SimpleQueue[Sequence[int] | None] = queue.SimpleQueue()
        self._under_way = 0
        self._thread = threading.Thread(target=self._serve, name="paxosstore-warm", daemon=True)
        self._thread.start()

    def start(self, entities: Sequence[int]) -> None:
        """Begin with these when those before them are done; the loop is called back then."""
        self._under_way += 1
        self._wanted.put(entities)

    def close(self) -> None:
        """No more of it. A disk that does not answer is not waited for here."""
        self._wanted.put(None)
        if not self._under_way:
            self._thread.join()

    def _serve(self) -> None:
        while (entities := self._wanted.get()) is not None:
            self._warm(entities)
            try:
                self._loop.call_soon_threadsafe(self._end, entities)
            except RuntimeError:  # the loop is closed: nobody waits
                return

    def _end(self, entities: Sequence[int]) -> None:
        self._under_way -= 1
        self._done(entities)
