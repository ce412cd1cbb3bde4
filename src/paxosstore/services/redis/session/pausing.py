"""CLIENT PAUSE: nothing, or no write, of this node's clients is started for a while. What is under way goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..commands.spec import Spec
from ..reply import OK, error
from ..resp import integer
from .session import Session

BAD_TIMEOUT = error("timeout is not an integer or out of range")
NEGATIVE = error("timeout is negative")
BAD_MODE = error("CLIENT PAUSE mode must be WRITE or ALL")
TOO_MANY = error("unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.")
LONGEST_S = 365 * 86_400.0
AS_WRITES = frozenset(("pfcount", "publish", "spublish"))
"""Redis holds these back with the writes: they may become some."""


class Timer(Protocol):
    def cancel(self) -> None: ...


class Pause:
    """Until when nothing is started. CLIENT itself is, so that a pause can be ended."""

    def __init__(
        self, now_s: Callable[[], float], later: Callable[[float, Callable[[], None]], Timer], over: Callable[[], None]
    ) -> None:
        """`later` calls after so many seconds; `over` is called when what was held back may go on."""
        self._now_s = now_s
        self._later = later
        self._over = over
        self._timer: Timer | None = None
        self._until_s = 0.0
        self.active = False
        self.all = False
        """Reads as well."""

    def begin(self, seconds: float, *, everything: bool) -> None:
        """The longer of two pauses counts, and the stricter."""
        until_s = self._now_s() + seconds
        self.all = self.all or everything
        self.active = True
        if until_s >= self._until_s:
            self._until_s = until_s
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._later(seconds, self.end)

    def end(self) -> None:
        """Safe to repeat."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._until_s, self.active, self.all = None, 0.0, False, False
        self._over()

    def holds(self, spec: Spec, writes: bool) -> bool:
        """Whether a command has to wait. `writes`: EXEC of a transaction that does."""
        if spec.name == "client":
            return False
        return self.all or writes or spec.writes or spec.name in AS_WRITES


def client_pause(session: Session, args: list[bytes]) -> bytes:
    timeout_ms = integer(args[2])
    if len(args) > 4:
        return TOO_MANY
    if timeout_ms is None:
        return BAD_TIMEOUT
    if timeout_ms < 0:
        return NEGATIVE
    mode = args[3].upper() if len(args) == 4 else b"ALL"
    if mode not in (b"ALL", b"WRITE"):
        return BAD_MODE
    session.host.pause.begin(min(timeout_ms / 1_000.0, LONGEST_S), everything=mode == b"ALL")
    return OK


def client_unpause(session: Session, args: list[bytes]) -> bytes:
    session.host.pause.end()
    return OK
