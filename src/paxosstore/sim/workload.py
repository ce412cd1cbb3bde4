"""What clients ask for in a simulation, and the model that their history is held against.

`STANDARD` asks for registers, counters, compare-and-set and lists. A workload of your own is a `Workload` in a module of yours:

    paxosstore sim --workload mymodule:my_workload --seeds 1000
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..core.batch.overlay import View
from ..core.turn.context import Handler
from . import leases
from .history import Operation, Value
from .linearizability import ModelOf
from .models import AppendList, CompareAndSet, Counter, Model, Register


class Call(NamedTuple):
    """One request of a client."""

    entity: int
    handler: str
    """Who runs it, on every node."""
    key: str
    """What its history is about; the part before the first `:` names the model."""
    kind: str
    arguments: tuple[Value, ...] = ()
    """Model and handler agree on these."""
    read_only: bool = False

    @property
    def payload(self) -> bytes:
        """What the handler gets: JSON of [key, kind, arguments]."""
        return json.dumps([self.key, self.kind, self.arguments]).encode()


COSTLY = "costly"
"""Name of a handler that every node has besides the workload's: it takes as long as its payload says."""


def costly(number: int, cost_ms: float) -> bytes:
    """The payload of a request that takes so long to evaluate. Its number tells it from others."""
    return b"%d %f" % (number, cost_ms)


@dataclass(frozen=True)
class Workload:
    """Requests, and what they promise."""

    handlers: Mapping[str, Handler]
    """Name -> function of (view, payload). Its reply is JSON of what the model says the operation replies."""
    draw: Callable[[random.Random], Call]
    """The next request that a client makes."""
    models: Mapping[str, ModelOf]
    """The part of a key before its first `:` -> its model."""
    draw_leases: Callable[[random.Random], Call] | None = None
    """The next request of clients that there are in some seeds besides; None: there are none."""
    timed: Mapping[str, ModelOf] = field(default_factory=dict)
    """What holds instead where all clocks are right, but for one that is ahead."""


class Refusal(Exception):
    """Raised by a request that does not like what it sees: a refusal is an outcome too, and is held against the model."""


REFUSED: Value = "refused"


class PickyCounter(Model[int]):
    """`add_to_even(amount)` -> the new count, or refused while the count is odd; `add`, `read` as in `Counter`."""

    initial = 0

    def apply(self, state: int, operation: Operation) -> tuple[int, object]:
        if operation.kind == "read":
            return state, state
        if operation.kind == "add_to_even" and state % 2:
            return state, REFUSED
        amount = operation.arguments[0]
        assert isinstance(amount, int)
        return state + amount, state + amount

    def is_read(self, operation: Operation) -> bool:
        return operation.kind == "read" or operation.reply == REFUSED

    def hopeless(self, state: int, operation: Operation) -> bool:
        return isinstance(operation.reply, int) and operation.reply < state  # amounts are positive


def run(view: View, payload: bytes) -> bytes:
    """The handler of the standard workload."""
    name, kind, arguments = json.loads(payload)
    key = name.encode()
    found = view.get(key)
    now = None if found is None else json.loads(found)
    if kind == "read":
        return json.dumps(now if found is not None else EMPTY[name.partition(":")[0]]).encode()
    reply, new = CHANGES[kind](now, *arguments)
    if new is not None:
        view.put(key, json.dumps(new).encode())
    return json.dumps(reply).encode()


def _write(now: Any, value: Any) -> tuple[Any, Any]:
    return None, value


def _add(now: Any, amount: int) -> tuple[Any, Any]:
    count = (now or 0) + amount
    return count, count


def _add_to_even(now: Any, amount: int) -> tuple[Any, Any]:
    if (now or 0) % 2:
        raise Refusal("it is odd")
    return _add(now, amount)


def _cas(now: Any, expected: Any, new: Any) -> tuple[Any, Any]:
    return (True, new) if now == expected else (False, None)


def _append(now: Any, item: Any) -> tuple[Any, Any]:
    longer = [*(now or []), item]
    return len(longer), longer


CHANGES: dict[str, Callable[..., tuple[Any, Any]]] = {
    "write": _write,
    "add": _add,
    "add_to_even": _add_to_even,
    "cas": _cas,
    "append": _append,
}
"""Kind -> (what is there, arguments) -> (reply, what is to be there or None)."""

EMPTY: dict[str, Value | list[Value]] = {"register": None, "cas": None, "counter": 0, "picky": 0, "list": []}
"""What a read of a key finds that was never written."""

KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("register", ("write", "read")),
    ("cas", ("cas", "cas", "write", "read")),
    ("counter", ("add", "add", "read")),
    ("picky", ("add_to_even", "add_to_even", "add", "read")),
    ("list", ("append", "append", "read")),
)


def draw(rng: random.Random) -> Call:
    entity = rng.choice((1, 1, 1, 2, 3))
    prefix, kinds = rng.choice(KINDS)
    kind = rng.choice(kinds)
    fresh = rng.randrange(1_000_000)  # values are told apart
    arguments: tuple[Value, ...] = {
        "read": (),
        "write": (rng.randrange(4) if prefix == "cas" else fresh,),
        "cas": (rng.randrange(4), rng.randrange(4)),
        "add": (1,),
        "add_to_even": (1,),
        "append": (fresh,),
    }[kind]
    return Call(entity, "standard", f"{prefix}:{entity}", kind, arguments, read_only=kind == "read")


def draw_lease(rng: random.Random) -> Call:
    entity = rng.choice((1, 1, 2))
    key, kind, arguments = leases.draw(rng, entity)
    return Call(entity, leases.HANDLER, key, kind, arguments, read_only=kind == "read")


STANDARD = Workload(
    {"standard": run, leases.HANDLER: leases.run},
    draw,
    {
        **{"register": Register, "cas": CompareAndSet, "counter": Counter, "picky": PickyCounter, "list": AppendList},
        **{"lease": leases.Lease, "time": leases.NeverBack},
    },
    draw_lease,
    {"lease": leases.TimedLease, "time": leases.Timed},
)
