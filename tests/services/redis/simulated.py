"""Transactions in the simulated cluster: the real handler on the real core, under all its faults, held against a model.

    python -m tests.services.redis.simulated 1000        seeds 0 to 999

A client watches a counter and, some calls later, executes with the stamp that it was told. Others add to the counter, delete
it, or write what is there already: that too is a change to who watches.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Hashable, Sequence

from paxosstore.core.batch.overlay import View
from paxosstore.errors import PaxosStoreError
from paxosstore.services.redis.commands.handler import encode, handle, pack_transaction, unpack_replies
from paxosstore.sim.client import Attempt
from paxosstore.sim.history import Operation, Value
from paxosstore.sim.models import Model
from paxosstore.sim.plan import draw_plan
from paxosstore.sim.simulation import Report, Simulation
from paxosstore.sim.workload import Call, Workload

NAME = b"counter"
UNWATCHED: Value = "unwatched"
"""The reply to an execution whose client has not been told of its stamp: it does nothing."""
State = tuple[int, frozenset[Value]]
"""The count, and which watches have seen no change yet."""


class Watched(Model[State]):
    """`add()`, `touch()` -> the count; `delete()` -> whether there was one; `read()` -> the count; `watch(number)` -> a stamp;
    `execute(number, amount)` -> the new count, or None if there was a change since that watch."""

    initial: State = (0, frozenset())

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._used = {one.arguments[0] for one in operations if one.kind == "execute" and one.reply != UNWATCHED}

    def apply(self, state: State, operation: Operation) -> tuple[State, object]:
        count, clean = state
        if operation.kind == "read":
            return state, count
        if operation.kind == "watch":
            return (count, clean | {operation.arguments[0]} & self._used), operation.reply
        if operation.kind == "delete":
            return ((0, frozenset()) if count else state), int(count > 0)
        if operation.kind == "execute":
            number, amount = operation.arguments
            if operation.reply == UNWATCHED:
                return state, UNWATCHED
            if number not in clean:
                return state, None
            assert isinstance(amount, int)
            return (count + amount, frozenset()), count + amount
        count += operation.kind == "add"
        return ((count, frozenset()) if count else state), count

    def is_read(self, operation: Operation) -> bool:
        if operation.kind == "watch":
            return operation.arguments[0] not in self._used
        return operation.kind == "read" or (
            operation.kind == "execute" and operation.reply in (None, UNWATCHED) and operation.returned is not None
        )

    def effect(self, operation: Operation) -> Hashable:
        return None if operation.kind in ("watch", "read") else (operation.kind, operation.arguments)


class Workbench:
    """One seed's requests, and the stamps that clients were told."""

    def __init__(self) -> None:
        self.stamps: dict[Value, bytes] = {}
        self._watches = 0
        self._waiting: list[tuple[int, int]] = []
        """Watches without an execution, and their entities."""
        self.workload = Workload({"redis": self.run}, self.draw, {"watched": Watched})

    def draw(self, rng: random.Random) -> Call:
        if self._waiting and rng.random() < 0.4:
            entity, number = self._waiting.pop(0)
            return self._call(entity, "execute", number, rng.randrange(1, 4))
        entity = rng.choice((1, 1, 2))
        kind = rng.choice(("watch", "watch", "add", "touch", "delete", "read"))
        if kind != "watch":
            return self._call(entity, kind)
        self._watches += 1
        self._waiting.append((entity, self._watches))
        return self._call(entity, kind, self._watches)

    def _call(self, entity: int, kind: str, *arguments: Value) -> Call:
        return Call(entity, "redis", f"watched:{entity}", kind, arguments, read_only=kind in ("watch", "read"))

    def run(self, view: View, payload: bytes) -> bytes:
        """What every node does."""
        _, kind, arguments = json.loads(payload)
        if kind == "watch":
            (stamp,) = unpack_replies(handle(view, encode(2, [b"watch", NAME]))) or []
            return json.dumps(stamp.hex()).encode()
        if kind == "execute":
            return self._execute(view, *arguments)
        if kind == "delete":
            return handle(view, encode(2, [b"DEL", NAME]))[1:-2]
        if kind == "add":
            return handle(view, encode(2, [b"INCR", NAME]))[1:-2]
        found = handle(view, encode(2, [b"GET", NAME]))
        if found == b"$-1\r\n":
            return b"0"
        value = found.split(b"\r\n")[1]
        if kind == "touch":
            handle(view, encode(2, [b"SET", NAME, value]))
        return value

    def _execute(self, view: View, number: int, amount: int) -> bytes:
        stamp = self.stamps.get(number)
        if stamp is None:
            return json.dumps(UNWATCHED).encode()
        commands = [encode(2, [b"GET", NAME]), encode(2, [b"INCRBY", NAME, b"%d" % amount])]
        replies = unpack_replies(handle(view, encode(2, pack_transaction({NAME: stamp}, commands))))
        return b"null" if replies is None else replies[1][1:-2]


class Watching(Simulation):
    """A simulation whose clients remember the stamps that they were told."""

    def __init__(self, seed: int) -> None:
        self._bench = Workbench()
        super().__init__(draw_plan(seed, self._bench.workload), self._bench.workload)

    def record(self, client: int | str, attempt: Attempt, reply: bytes, error: PaxosStoreError | None) -> bool:
        known = super().record(client, attempt, reply, error)
        call = attempt.ask.call
        if error is None and call.kind == "watch":
            number = call.arguments[0]
            if number in self._bench.stamps:
                self.history.pop()  # the same again, when all is mended: who executes goes by the first one
            else:
                self._bench.stamps[number] = bytes.fromhex(json.loads(reply))
        return known

    @property
    def executed(self) -> tuple[int, int]:
        """How many transactions were done, and how many found a change."""
        replies = [one.reply for one in self.history if one.kind == "execute" and one.returned is not None]
        return sum([isinstance(reply, int) for reply in replies]), replies.count(None)


def run(seed: int) -> tuple[Report, int, int]:
    """Run a seed. Raises Violation if its history has no order; returns what was seen, transactions done, and refused."""
    simulation = Watching(seed)
    return simulation.run(), *simulation.executed


if __name__ == "__main__":
    all_done = all_changed = undecided = 0
    for number in range(int(sys.argv[1])):
        try:
            report, done, changed = run(number)
        except BaseException:
            print(f"seed {number} fails")
            raise
        all_done, all_changed, undecided = all_done + done, all_changed + changed, undecided + report.undecided
    print(
        f"{sys.argv[1]} seeds hold: {all_done} transactions done, {all_changed} found a change, {undecided} histories undecided"
    )
