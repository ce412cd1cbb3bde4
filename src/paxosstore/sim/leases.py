"""Requests that go by the time, and what they promise (rule 20): a lease that is over stays over, time does not go back.

`lease:N`   take(owner, ttl_ms) -> whether it was free, and is the owner's now; free(owner) -> whether it was the owner's;
            read() -> the owner, or None
`time:N`    tell() -> the time of an entry; read() -> what a read calls now

Whether clocks are right is not theirs to say: in a plan whose clocks are right but for one, the timed models hold besides.
"""

from __future__ import annotations

import json
import random
from collections.abc import Hashable
from typing import NamedTuple

from ..core.batch.overlay import View
from .clocks import WALL_MS
from .history import Operation, Value
from .models import Model

HANDLER = "leases"
CLOCK_ERROR_MS = 4.0
"""So wrong is what a node knows of a peer's clock, where that is to be right."""
TOLERANCE_MS = 2.0 + 2 * CLOCK_ERROR_MS
"""One node begins a lease, another one ends it; both know whole milliseconds."""


def run(view: View, payload: bytes) -> bytes:
    """The handler: who sees that a lease is due deletes it."""
    name, kind, arguments = json.loads(payload)
    key = name.encode()
    if name.startswith("time:"):
        if kind == "tell":
            view.put(key, b"%d" % view.now_ms)
        return b"%d" % view.now_ms
    found = view.get(key)
    owner, until_ms = (None, 0) if found is None else json.loads(found)
    if found is not None and until_ms <= view.now_ms:
        view.require_write()
        view.delete(key)
        owner = None
    if kind == "read":
        return json.dumps(owner).encode()
    if kind == "take":
        if owner is None:
            view.put(key, json.dumps([arguments[0], view.now_ms + arguments[1]]).encode())
        return json.dumps(owner is None).encode()
    if owner == arguments[0]:
        view.delete(key)
    return json.dumps(owner == arguments[0]).encode()


def draw(rng: random.Random, entity: int) -> tuple[str, str, tuple[Value, ...]]:
    """A key, a kind and arguments."""
    if rng.random() < 0.2:
        return f"time:{entity}", rng.choice(("tell", "read")), ()
    owner = rng.randrange(3)
    kind = rng.choice(("take", "take", "free", "read", "read"))
    arguments: dict[str, tuple[Value, ...]] = {"take": (owner, rng.choice((3, 30, 200))), "free": (owner,), "read": ()}
    return f"lease:{entity}", kind, arguments[kind]


class Held(NamedTuple):
    """A lease that somebody has."""

    owner: Value
    called: float
    """When it was asked for: it begins then or later."""
    ttl_ms: float


class Lease(Model[Held | None]):
    """A lease may be over at any time, and stays so; until then nobody else gets it."""

    initial: Held | None = None

    def apply(self, state: Held | None, operation: Operation) -> tuple[Held | None, object]:
        kind, arguments = operation.kind, operation.arguments
        if state is not None and self._may_be_over(state, operation) and self._says_that_it_is_over(state, operation):
            state = None
        if kind == "read":
            return state, None if state is None else state.owner
        if kind == "free":
            is_owners = state is not None and state.owner == arguments[0]
            return (None if is_owners else state), is_owners
        if state is not None:
            return state, False
        owner, ttl_ms = arguments
        assert isinstance(ttl_ms, int | float)
        return Held(owner, operation.called, ttl_ms), True

    @staticmethod
    def _says_that_it_is_over(state: Held, operation: Operation) -> bool:
        """Whether its reply cannot be right while the lease is held; of an unknown outcome, whether that makes a difference."""
        if operation.kind == "take":
            return operation.returned is None or operation.reply is True
        if operation.kind == "free":
            return operation.returned is not None and operation.reply is False and operation.arguments[0] == state.owner
        return operation.returned is not None and operation.reply is None

    def _may_be_over(self, state: Held, operation: Operation) -> bool:
        return True

    def is_read(self, operation: Operation) -> bool:
        if operation.kind == "read":
            return operation.returned is None or operation.reply is not None
        return operation.kind == "take" and operation.returned is not None and operation.reply is False

    def effect(self, operation: Operation) -> Hashable:
        return operation.kind, operation.arguments, operation.called


class TimedLease(Lease):
    """It is not over before its time."""

    def _may_be_over(self, state: Held, operation: Operation) -> bool:
        return operation.returned is None or operation.returned + TOLERANCE_MS >= state.called + state.ttl_ms


class NeverBack(Model[int]):
    """`tell` and `read` -> the time: no earlier one than was told before."""

    initial = 0

    def apply(self, state: int, operation: Operation) -> tuple[int, object]:
        reply = operation.reply
        if not isinstance(reply, int) or reply < state:
            return state, state
        return (state if operation.kind == "read" else reply), reply

    def is_read(self, operation: Operation) -> bool:
        return operation.kind == "read"

    def effect(self, operation: Operation) -> Hashable:
        return None

    def hopeless(self, state: int, operation: Operation) -> bool:
        return isinstance(operation.reply, int) and operation.reply < state


class Timed(NeverBack):
    """Nor one that has not come yet."""

    def apply(self, state: int, operation: Operation) -> tuple[int, object]:
        reply, returned = operation.reply, operation.returned
        if isinstance(reply, int) and returned is not None and reply > WALL_MS + returned + TOLERANCE_MS:
            return state, None
        return super().apply(state, operation)
