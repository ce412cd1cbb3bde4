"""The clients of a simulated cluster: what they ask for, one thing after the other, and when they ask again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from ..core.batch.overlay import Overlay, View
from ..core.batch.request import FUNCTION, Request, digest_of
from ..errors import OutcomeUnknown, PaxosStoreError
from .cluster import SimCluster
from .invariants import Violation
from .node import SimNode
from .plan import Ask, Plan
from .workload import Workload

ATTEMPTS = 4


class Run(Protocol):
    """What a client needs of the simulation it is in."""

    cluster: SimCluster
    plan: Plan
    workload: Workload
    peace: bool

    def record(self, client: int | str, attempt: Attempt, reply: bytes, error: PaxosStoreError | None) -> bool:
        """Note how it ended; whether that is known."""


class Attempt(Request):
    """One try of a call at one node."""

    __slots__ = ("ask", "began_ms", "chosen_before", "function", "handler", "identity", "node", "on_end")

    def __init__(
        self,
        run: Run,
        ask: Ask,
        node: SimNode,
        floor: int,
        on_end: Callable[[Attempt, bytes, PaxosStoreError | None], None],
    ) -> None:
        call = ask.call
        super().__init__(call.entity, read_only=call.read_only or ask.variant == "catch_up", uuid=ask.uuid, floor=floor)
        self.ask = ask
        self.node = node
        self.on_end = on_end
        self.began_ms = run.cluster.now_ms
        self.chosen_before = run.cluster.invariants.latest.get(call.entity, 0)
        self.function = run.workload.handlers[call.handler]
        self.handler = call.handler if ask.variant == "handler" else ""  # type: ignore[misc]  # a class constant elsewhere, a slot here
        if self.uuid:
            self.digest = digest_of(self.handler, call.payload) if self.handler else FUNCTION
        self.identity = (ask.uuid + self.digest).hex() or None
        """As its client gave it: another request under its uuid is another operation. (The core makes uuids and digests, too.)"""
        if ask.variant == "at_entry":
            self.at_entry = node.store.committed_entry(call.entity) + 1
        if ask.variant == "catch_up":
            self.commit_limit = 1

    def evaluate(self, view: View) -> bytes:
        assert isinstance(view, Overlay)
        if self.read_only:
            self.node.saw[self] = view.entry
        applied = self.node.committed(self.entity)
        if self.read_only and applied < self.chosen_before:
            raise Violation(f"a read saw entry {applied}, and {self.chosen_before} was chosen before it began (rule 12)")
        if self.at_entry and (applied + 1 != self.at_entry or view.batch):
            raise Violation(f"what was meant for entry {self.at_entry} does not come right after {self.at_entry - 1} (rule 14)")
        return b"null" if self.ask.variant == "catch_up" else self.function(view, self.ask.call.payload)

    def payload(self) -> bytes:
        return self.ask.call.payload

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self.on_end(self, reply, error)


class Client:
    """Asks for one thing after the other; repeats what has a uuid until it knows how it ended."""

    def __init__(self, run: Run, number: int, asks: tuple[Ask, ...]) -> None:
        self._run = run
        self._number = number
        self._asks = iter(asks)
        self._attempt: Attempt | None = None
        self._tries = 0
        self._floor = 0

    def next(self) -> None:
        """Ask for the next thing, when its time has come."""
        ask = next(self._asks, None)
        if ask is not None:
            self._tries = 0
            cluster = self._run.cluster
            cluster.after(max(0.1, ask.at_ms - cluster.now_ms), partial(self._try, ask, ask.node))

    def node_died(self, node: SimNode) -> None:
        if self._attempt is not None and self._attempt.node is node:
            self._ended(self._attempt, b"", OutcomeUnknown("the connection was lost"))

    def _try(self, ask: Ask, number: int) -> None:
        run = self._run
        cluster = run.cluster
        nodes = cluster.nodes
        node = next((node for node in nodes[number:] + nodes[:number] if node.up), None)
        if node is None or run.peace:
            self.next()  # nobody is there, or time is up
            return
        entity = ask.call.entity
        if not self._tries:
            self._floor = max(1, node.store.committed_entry(entity))
        self._tries += 1
        attempt = self._attempt = Attempt(run, ask, node, self._floor if self._tries > 1 else 0, self._ended)
        cluster.note("client", self._number, ask.variant, ask.call.kind, ask.call.key, *ask.call.arguments, "at", node.number)
        node.step(attempt)
        cluster.after(run.plan.patience_ms, partial(self._give_up, attempt))

    def _give_up(self, attempt: Attempt) -> None:
        if self._attempt is attempt:
            self._ended(attempt, b"", OutcomeUnknown("the client has waited long enough"))

    def _ended(self, attempt: Attempt, reply: bytes, error: PaxosStoreError | None) -> None:
        if self._attempt is not attempt:
            return  # it was given up
        self._attempt = None
        run = self._run
        known = run.record(self._number, attempt, reply, error)
        ask = attempt.ask
        if not known and ask.uuid and self._tries < ATTEMPTS:
            number = run.cluster.random.randrange(run.plan.nodes)
            run.cluster.after(5.0, partial(self._try, ask, number))
        else:
            self.next()
