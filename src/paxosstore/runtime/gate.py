"""The way in for requests. Each of them passes here, so it is compiled: services call it as it is, `Node.submit`."""

from __future__ import annotations

from threading import get_ident
from typing import Any, NoReturn, Protocol

from ..boundary import MAX_TIMEOUT_MS, exact_number
from ..core.batch.request import FUNCTION, Request, digest_of
from ..core.entry.ids import MAX_ENTITY
from ..errors import InvalidRequest, NotServing
from .loop import TurnLoop, now_ms


class Home(Protocol):
    """Where a node may be called: `home.py`."""

    thread: int

    def refuse(self) -> NoReturn:
        """Raises what says so."""
        ...


class Gate:
    """Checks what comes in, once, and hands it to the turns."""

    __slots__ = ("home", "turns")

    def __init__(self) -> None:
        self.home: Home | None = None
        self.turns: TurnLoop | None = None
        """None: none are taken."""

    def submit(self, request: Any) -> None:
        """As `Node.submit`."""
        home, turns = self.home, self.turns
        if home is not None and get_ident() != home.thread:
            home.refuse()
        if not (
            isinstance(request, Request)
            and type(request.entity) is int
            and 0 <= request.entity <= MAX_ENTITY
            and type(request.uuid) is bytes
        ):
            raise InvalidRequest("this is no request: its entity must be an int of 64 bits, its uuid bytes")
        if request.deadline_ms:
            request.deadline_ms = exact_number("deadline_ms", request.deadline_ms, now_ms() + MAX_TIMEOUT_MS)
        if request.uuid and not request.digest:
            request.digest = digest_of(request.handler, request.payload()) if request.handler else FUNCTION
        if turns is None:
            request.settled = True
            request.settle(b"", NotServing("the node is not running"))
            return
        turns.submit(request)
