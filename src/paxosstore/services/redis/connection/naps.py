"""DEBUG SLEEP: one client waits for a while, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..reply import OK

MAX_NAP_S = 3_600.0


class Timer(Protocol):
    def cancel(self) -> None: ...


class Nap:
    """A place among a client's replies that is answered later; nothing behind it is started before."""

    __slots__ = ("_timer", "_woken", "reply")

    waits = False
    """It ends by itself."""

    def __init__(self, seconds: float, later: Callable[[float, Callable[[], None]], Timer], woken: Callable[[Nap], None]) -> None:
        self.reply: bytes | None = None
        self._woken = woken
        self._timer = later(min(max(seconds, 0.0), MAX_NAP_S), self._wake)

    def _wake(self) -> None:
        self.reply = OK
        self._woken(self)

    def abandon(self) -> None:
        """Its client has gone."""
        self._timer.cancel()

    def unblock(self, as_error: bool) -> bool:
        """CLIENT UNBLOCK ends no nap."""
        return False

    def hang_up(self) -> None:
        """Its client sends nothing more: it may still be owed replies."""
