"""The thread in which the log is synced: a disk that does not answer holds up nothing but its own thread.

The loop and the thread wake each other through a pair of sockets. Whoever writes to one is about to wait, and the system knows
that of sockets: the other one begins when the interpreter is free for it. With a lock or a queue it wakes up at once, only to
wait for the interpreter: two switches more for each sync, a tenth of what a lone write costs.
"""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class Syncer:
    """Runs `sync` in a thread of its own, one at a time, and tells the loop how it ended: who may wait for it does so briefly."""

    def __init__(self, sync: Callable[[], None], done: Callable[[Exception | None], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._sync = sync
        self._done = done
        self._ours, self._theirs = socket.socketpair()
        """A byte to the thread wants a sync; a byte from it is the end of one for which the loop waits where it is."""
        self._ended = select.poll()
        self._ended.register(self._ours, select.POLLIN)
        self._lock = threading.Lock()
        self._error: Exception | None = None
        self._awaited = False
        self._busy = False
        self._thread = threading.Thread(target=self._serve, name="paxosstore-sync", daemon=True)
        self._thread.start()

    def start(self) -> None:
        """Begin a sync; the loop is called back at its end."""
        self._busy = True
        self._ours.send(b"s")

    def start_and_wait(self, wait_ms: float) -> None:
        """Begin a sync and wait for its end, but no longer than so: then as `start`."""
        self._awaited = True
        self.start()
        ended = self._ended.poll(wait_ms)
        if not ended:
            with self._lock:  # from here on the loop is called, unless it has just ended
                self._awaited = False
                ended = self._ended.poll(0)
        if ended:
            self._ours.recv(1)
            self._awaited = False
            self._end(self._error)

    def close(self) -> None:
        """No sync any more. A disk that does not answer is not waited for. Safe to repeat."""
        with suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)  # a forked process may have it too, so to close it is not enough
        self._ours.close()
        if not self._busy:
            self._thread.join()

    def _serve(self) -> None:
        with self._theirs:
            while self._theirs.recv(1):
                error = self._try()
                with self._lock:
                    if self._awaited:
                        self._error = error
                        self._theirs.send(b"e")
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
