"""The thread in which the log is synced: a disk that does not answer holds up nothing but its own thread."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable


class Syncer:
    """Runs `sync` in a thread of its own, one at a time, and tells the loop how it ended: who may wait for it does so briefly."""

    def __init__(self, sync: Callable[[], None], done: Callable[[Exception | None], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._sync = sync
        self._done = done
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._ended = threading.Lock()
        """Released at the end of a sync for which the loop waits where it is."""
        self._ended.acquire()
        self._error: Exception | None = None
        self._awaited = False
        self._busy = False
        self._thread = threading.Thread(target=self._serve, name="paxosstore-sync", daemon=True)
        self._thread.start()

    def start(self) -> None:
        """Begin a sync; the loop is called back at its end."""
        self._busy = True
        self._wanted.put(True)

    def start_and_wait(self, wait_ms: float) -> None:
        """Begin a sync and wait for its end, but no longer than so: then as `start`."""
        self._awaited = True
        self.start()
        ended = self._ended.acquire(timeout=wait_ms / 1000.0)
        if not ended:
            with self._lock:  # from here on the loop is called, unless it has just ended
                self._awaited = False
                ended = self._ended.acquire(blocking=False)
        if ended:
            self._awaited = False
            self._end(self._error)

    def close(self) -> None:
        """No sync any more. A disk that does not answer is not waited for."""
        self._wanted.put(False)
        if not self._busy:
            self._thread.join()

    def _serve(self) -> None:
        while self._wanted.get():
            error = self._try()
            with self._lock:
                if self._awaited:
                    self._error = error
                    self._ended.release()
                    continue
            try:
                self._loop.call_soon_threadsafe(self._end, error)
            except RuntimeError:  # the loop is closed: nobody waits
                return

    def _end(self, error: Exception | None) -> None:
        self._busy = False
        self._done(error)

    def _try(self) -> Exception | None:
        try:
            self._sync()
        except Exception as error:
            return error
        return None
