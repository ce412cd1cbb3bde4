"""A thread that does what need not be done at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class Upkeep:
    """Runs a task, which must not raise, once for each `wake`."""

    def __init__(self, task: Callable[[], None]) -> None:
        self._task = task
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="paxosstore-upkeep", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._wanted.put(True)

    def close(self) -> None:
        """Returns when the task is over."""
        self._wanted.put(False)
        self._thread.join()

    def _run(self) -> None:
        while self._wanted.get():
            self._task()
