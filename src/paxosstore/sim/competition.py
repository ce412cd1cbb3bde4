"""Nodes that want to write one entity all the time, some of them with requests that take long to evaluate: nobody may starve.

It begins among the faults and goes on when everything is mended. From then on each costly request must be done, and none may be
evaluated again and again. What is counted are runs of a handler and simulated time: no rule's word is taken from the code.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..core.batch.overlay import View
from ..core.batch.request import Request
from ..errors import PaxosStoreError
from .cluster import SimCluster
from .invariants import Violation
from .node import SimNode
from .plan import Rival
from .workload import COSTLY, costly

ENTITY = 1
"""One that clients write too."""
COSTLY_REQUESTS = 2
"""So many of each rival whose requests take long must be done in peace, one after the other."""
EVALUATIONS = 4
"""Of one request at one node, and one more for each other node: that one may have waited for longer."""
PATIENCE_MS = 10_000.0
"""Simulated time within which a request that is asked for in peace is done."""
DEADLINE_MS = 5_000.0
"""Of the others."""


class Rivalry(Request):
    """One request of a rival."""

    __slots__ = ("_on_end", "_payload", "handler", "node", "number")

    def __init__(
        self, rival: Rival, number: int, node: SimNode, deadline_ms: float, on_end: Callable[[PaxosStoreError | None], None]
    ) -> None:
        super().__init__(ENTITY, deadline_ms=node.monotonic_ms() + deadline_ms)
        self.node = node
        self.number = number
        self.handler = COSTLY if rival.can_be_handed_over else ""  # type: ignore[misc]  # a class constant elsewhere, a slot here
        self._payload = costly(number, rival.cost_ms)
        self._on_end = on_end

    def evaluate(self, view: View) -> bytes:
        return self.node.run_costly(view, self._payload)

    def payload(self) -> bytes:
        return self._payload

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self._on_end(error)


class Competition:
    """The rivals of one plan."""

    def __init__(self, cluster: SimCluster, rivals: tuple[Rival, ...]) -> None:
        self._cluster = cluster
        self._rivals = rivals
        self._numbers = 0
        self._peace = False
        self._waiting: dict[Rivalry, float] = {}
        """Costly requests asked for in peace, and since when."""
        self._to_come = 0
        """How many of those must still be done."""

    def begin(self) -> None:
        """Let everybody ask for something now and then, whatever becomes of it."""
        for rival in self._rivals:
            self._go_on(rival)

    def go_on_in_peace(self) -> None:
        """Everything is mended: let the rivals go on until their costly requests are done. Raises Violation."""
        cluster = self._cluster
        self._peace = True
        for rival in self._rivals:
            if rival.cost_ms:
                self._to_come += COSTLY_REQUESTS
                self._ask_for_costly(rival, COSTLY_REQUESTS)
        while self._to_come:
            cluster.run_until(cluster.now_ms + 1.0)
            for request, since_ms in self._waiting.items():
                self._look_at(request, cluster.now_ms - since_ms)

    def _look_at(self, request: Rivalry, waits_ms: float) -> None:
        cluster, number = self._cluster, request.number
        most = max(cluster.evaluations[node.number, number] for node in cluster.nodes)
        if most >= EVALUATIONS + len(cluster.nodes):
            raise Violation(f"rival {number} was evaluated {most} times by one node, and is not done: it starves")
        if waits_ms > PATIENCE_MS:
            raise Violation(f"rival {number} has waited for {PATIENCE_MS:g} ms and was evaluated {most} times: it starves")

    def _go_on(self, rival: Rival) -> None:
        """Ask again and again; when everything is mended, only for what costs nothing, and while somebody competes with it."""
        if self._peace and (rival.cost_ms or not self._to_come):
            return
        node = self._cluster.nodes[rival.node]
        if node.up:
            self._ask(rival, node, DEADLINE_MS, lambda error: None)
        self._cluster.after(rival.gap_ms, partial(self._go_on, rival))

    def _ask(self, rival: Rival, node: SimNode, deadline_ms: float, on_end: Callable[[PaxosStoreError | None], None]) -> Rivalry:
        self._numbers += 1
        request = Rivalry(rival, self._numbers, node, deadline_ms, on_end)
        self._cluster.note("rival", self._numbers, "at", rival)
        node.step(request)
        return request

    def _ask_for_costly(self, rival: Rival, left: int) -> None:
        """Ask for this many, one after the other."""

        def ended(error: PaxosStoreError | None) -> None:
            cluster.note("rival", request.number, "is told", error or "done")
            if error is not None and not request.node.shard.writes_refused_because:
                raise Violation(f"rival {request.number} had only to wait for others, and ended in {error.code}: {error}")
            del self._waiting[request]
            self._to_come -= 1
            if left > 1:
                cluster.after(rival.gap_ms, partial(self._ask_for_costly, rival, left - 1))

        cluster = self._cluster
        request = self._ask(rival, cluster.nodes[rival.node], 2.0 * PATIENCE_MS, ended)
        self._waiting[request] = cluster.now_ms
