"""PAXOS.CALL in the simulated cluster, as PAXOS.ONCE is in simulated_once.py: an application's functions, at the product's own
server, on the real core, under all its faults, held against the same model.

    python -m tests.services.redis.simulated_calls 1000 [FIRST]

One function counts, one appends, one does both and then refuses that half of the time: nothing of it may be there then.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from typing import Any

from paxosstore import App, Refused, View
from paxosstore.services.redis.commands import calls
from paxosstore.services.redis.commands.once import Window
from paxosstore.services.redis.server import RedisServer
from paxosstore.sim.node import SimNode
from paxosstore.sim.plan import draw_plan
from paxosstore.sim.simulation import Report, Simulation
from paxosstore.sim.workload import Call, Workload

from .seeds import run_seeds
from .simulated_once import NOT_DONE, ONCE_SEED, SKEW_MS, Customer, Ledger, Repeating, Wish

app = App()
COUNT, ITEM = b"count", b"item:"
REFUSAL = "-REFUSED ODD "


@app.handler
def add(view: View, payload: bytes) -> int:
    number = int(view.get(COUNT) or b"0") + 1
    view.put(COUNT, b"%d" % number)
    return number


@app.handler
def push(view: View, payload: bytes) -> int:
    number = len(items(view))
    view.put(ITEM + b"%06d" % number, payload)
    return number + 1


@app.handler
def both(view: View, payload: bytes) -> tuple[int, int]:
    done = add(view, payload), push(view, payload)
    if int(payload[1:]) % 2:
        raise Refused("ODD", {"item": payload.decode()})
    return done


@app.handler
def read(view: View, payload: bytes) -> list[Any]:
    return [int(view.get(COUNT) or b"0"), items(view)]


def items(view: View) -> list[str]:
    """What was appended."""
    rows = list(view.scan())
    assert calls.ROW not in dict(rows), "a function does not see the store's own key"
    return [value.decode() for key, value in rows if key.startswith(ITEM)]


class Caller(Customer):
    """A client that wants one function called, and says so until it is told how that ended."""

    def _words(self) -> list[list[bytes]]:
        wish = self._wish
        return [[b"PAXOS.CALL", wish.kind.encode(), b"%d" % wish.db, self._uuid, wish.item.encode()]]

    def _receive(self, number: int, data: bytes) -> None:
        if number != self._tries or not self._waits:
            return
        self._received += data
        _, *lines = self._received.split(b"\r\n")[:-1]  # the first one answers SELECT
        if lines and lines[0].startswith(REFUSAL.encode()):
            self._done(NOT_DONE)
        elif lines and lines[0].startswith(b"-"):
            self._failed(lines[0].decode())
        elif len(lines) == 2:
            found = json.loads(lines[1])
            self._done(tuple(found) if isinstance(found, list) else found)


class Calling(Repeating):
    """A simulation with clients that call functions."""

    def __init__(self, seed: int) -> None:
        def draw(rng: random.Random) -> Call:
            entity = rng.choice((0, 0, 1))
            return Call(entity, "read", f"ledger:{entity}", "read", (), read_only=True)

        def run_read(view: View, payload: bytes) -> bytes:
            return calls.run("read", app["read"], self._window, view, calls.NO_UUID + payload)

        workload = Workload({"read": run_read}, draw, {"ledger": Ledger})
        plan = draw_plan(seed, workload)
        if not plan.rivals and seed % 2:
            plan = replace(plan, uuid_window_entries=16)
        self._window = Window(plan.uuid_window_entries, SKEW_MS)
        workload = replace(workload, handlers={"read": run_read, **calls.handlers(app, self._window)})
        Simulation.__init__(self, plan, workload)
        self.chance = random.Random(seed ^ ONCE_SEED)
        self.seen: Counter[str] = Counter()
        self._customers: list[Customer] = []
        self._desks: dict[int, tuple[int, RedisServer]] = {}

    def desk(self, node: SimNode) -> RedisServer:
        server = super().desk(node)
        server.calls = calls.handlers(app, self._window)
        return server

    def _come(self, item: str) -> None:
        rng = self.chance
        up = [node for node in self.cluster.nodes if node.up]
        if not up or self.peace:
            return
        kind = rng.choice(("add", "push", "both", "both"))
        customer = Caller(self, Wish(kind, "plain", item, rng.choice((0, 0, 1))), rng.choice(up))
        self._customers.append(customer)
        customer.begin()


def run(seed: int) -> tuple[Report, Calling]:
    """Run a seed. Raises Violation if a promise was broken."""
    simulation = Calling(seed)
    return simulation.run(), simulation


if __name__ == "__main__":
    run_seeds(run, lambda simulation: simulation.seen)
