"""A thread that does what need not be done at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class Upkeep:
    """Runs a task, which must not raise, after each `wake`, and when so much time has passed."""

    def __init__(self, task: Callable[[], None], name: str = "paxosstore-upkeep", every_s: float | None = None) -> None:
        self._task = task
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.every_s = every_s
        """From the next time on; None: it only waits for `wake`."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._wanted.put(True)

    def close(self) -> None:
        """Returns when the task is over."""
        self._wanted.put(False)
        self._thread.join()

    def _run(self) -> None:
        while self._wait():
            self._task()

    def _wait(self) -> bool:
        """Whether to go on."""
        try:
            return self._wanted.get(timeout=self.every_s)
        except queue.Empty:
            return True
