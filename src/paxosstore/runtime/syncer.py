"""The thread in which the log is synced: a disk that does not answer holds up nothing but its own thread.

The loop and the thread wake each other through pipes. Whoever writes to one is about to wait, and the system knows that of pipes:
the other one begins when the interpreter is free for it. With a lock or a queue it wakes up at once, only to wait for the
interpreter: two switches more for each sync, a tenth of what a lone write costs.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_SYNC: Final = b"s"
_LEAVE: Final = b"l"
_ENDED: Final = b"e"


class Syncer:
    """Runs `sync` in a thread of its own, one at a time, and tells the loop how it ended: who may wait for it does so briefly."""

    def __init__(self, sync: Callable[[], None], done: Callable[[Exception | None], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._sync = sync
        self._done = done
        self._wanted, self._want = os.pipe()
        """What the thread is to do."""
        self._ended, self._end_now = os.pipe()
        """The end of a sync for which the loop waits where it is."""
        self._poll = select.poll()
        self._poll.register(self._ended, select.POLLIN)
        self._lock = threading.Lock()
        self._error: Exception | None = None
        self._awaited = False
        self._busy = self._closed = False
        self._thread = threading.Thread(target=self._serve, name="paxosstore-sync", daemon=True)
        self._thread.start()

    def start(self) -> None:
        """Begin a sync; the loop is called back at its end."""
        self._busy = True
        os.write(self._want, _SYNC)

    def start_and_wait(self, wait_ms: float) -> None:
        """Begin a sync and wait for its end, but no longer than so: then as `start`."""
        self._awaited = True
        self.start()
        ended = self._poll.poll(wait_ms)
        if not ended:
            with self._lock:  # from here on the loop is called, unless it has just ended
                self._awaited = False
                ended = self._poll.poll(0)
        if ended:
            os.read(self._ended, 1)
            self._awaited = False
            self._end(self._error)

    def close(self) -> None:
        """No sync any more. A disk that does not answer is not waited for. Safe to repeat."""
        if self._closed:
            return
        self._closed = True
        os.write(self._want, _LEAVE)
        if not self._busy:
            self._thread.join()

    def _serve(self) -> None:
        while os.read(self._wanted, 1) == _SYNC:
            error = self._try()
            with self._lock:
                if self._awaited:
                    self._error = error
                    os.write(self._end_now, _ENDED)
                    continue
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._end, error)
        for pipe in (self._wanted, self._want, self._ended, self._end_now):
            os.close(pipe)

    def _end(self, error: Exception | None) -> None:
        self._busy = False
        self._done(error)

    def _try(self) -> Exception | None:
        try:
            self._sync()
        except Exception as error:
            return error
        return None
