"""Runs a plan: first everything that can go wrong, then everything is mended and must converge. Then the history is judged.

Simulation(draw_plan(7, STANDARD), STANDARD, trace=print).run()
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ..core.overlay import Overlay, View
from ..core.request import Request
from ..errors import DiskFull, OutcomeUnknown, PaxosStoreError, RequestFailed
from .cluster import SimCluster, SimNode
from .history import Operation
from .invariants import Violation
from .linearizability import Undecided, check
from .plan import Ask, Fault, Plan
from .workload import REFUSED, Call, Workload

CONVERGE_MS = 60_000.0
"""Simulated time within which a healed cluster must answer everywhere and be equal."""
LOOK_EVERY_MS = 250.0
ATTEMPTS = 4


class Attempt(Request):
    """One try of a call at one node."""

    __slots__ = ("ask", "began_ms", "chosen_before", "function", "handler", "node", "on_end")

    def __init__(
        self,
        simulation: Simulation,
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
        self.began_ms = simulation.cluster.now_ms
        self.chosen_before = simulation.cluster.invariants.latest.get(call.entity, 0)
        self.function = simulation.workload.handlers[call.handler]
        self.handler = call.handler if ask.variant == "handler" else ""  # type: ignore[misc]  # a class constant elsewhere, a slot here
        if ask.variant == "at_entry":
            self.at_entry = node.store.committed_entry(call.entity) + 1
        if ask.variant == "catch_up":
            self.commit_limit = 1

    def evaluate(self, view: View) -> bytes:
        assert isinstance(view, Overlay)
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

    def __init__(self, simulation: Simulation, number: int, asks: tuple[Ask, ...]) -> None:
        self._simulation = simulation
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
            cluster = self._simulation.cluster
            cluster.after(max(0.1, ask.at_ms - cluster.now_ms), partial(self._try, ask, ask.node))

    def node_died(self, node: SimNode) -> None:
        if self._attempt is not None and self._attempt.node is node:
            self._ended(self._attempt, b"", OutcomeUnknown("the connection was lost"))

    def _try(self, ask: Ask, number: int) -> None:
        simulation = self._simulation
        cluster = simulation.cluster
        nodes = cluster.nodes
        node = next((node for node in nodes[number:] + nodes[:number] if node.up), None)
        if node is None or simulation.peace:
            self.next()  # nobody is there, or time is up
            return
        entity = ask.call.entity
        if not self._tries:
            self._floor = max(1, node.store.committed_entry(entity))
        self._tries += 1
        attempt = self._attempt = Attempt(simulation, ask, node, self._floor if self._tries > 1 else 0, self._ended)
        cluster.note("client", self._number, ask.variant, ask.call.kind, ask.call.key, *ask.call.arguments, "at", node.number)
        node.step(attempt)
        cluster.after(simulation.plan.patience_ms, partial(self._give_up, attempt))

    def _give_up(self, attempt: Attempt) -> None:
        if self._attempt is attempt:
            self._ended(attempt, b"", OutcomeUnknown("the client has waited long enough"))

    def _ended(self, attempt: Attempt, reply: bytes, error: PaxosStoreError | None) -> None:
        if self._attempt is not attempt:
            return  # it was given up
        self._attempt = None
        simulation = self._simulation
        known = simulation.record(self._number, attempt, reply, error)
        ask = attempt.ask
        if not known and ask.uuid and self._tries < ATTEMPTS:
            number = simulation.cluster.random.randrange(simulation.plan.nodes)
            simulation.cluster.after(5.0, partial(self._try, ask, number))
        else:
            self.next()


class Report(NamedTuple):
    """What one seed did."""

    outcomes: Counter[str]
    """done, or the code of the error."""
    branches: Counter[str]
    """How often each branch of the protocol was taken, and each fault struck."""
    operations: int
    undecided: int
    """Histories that the checker gave up on."""
    events: int
    trace_hash: str


class Simulation:
    """One plan, one run."""

    def __init__(self, plan: Plan, workload: Workload, trace: Callable[[str], None] | None = None) -> None:
        self.plan = plan
        self.workload = workload
        self.cluster = SimCluster(plan.seed, plan.nodes, plan.tuning, workload.handlers, plan.uuid_window_entries, trace)
        self.peace = False
        """Everything is mended."""
        self.history: list[Operation] = []
        self._outcomes: Counter[str] = Counter()
        self._struck: Counter[str] = Counter()
        self._clients = [Client(self, number, asks) for number, asks in enumerate(plan.clients)]
        self._awaited: set[tuple[int, Call]] = set()
        self._faults: dict[str, tuple[Callable[[Fault, SimNode], None], Callable[[Fault, SimNode], None]]] = {
            "power cut": (self._cut_power, self._restart),
            "power cut inside a turn": (self._cut_power_inside, self._restart),
            "process killed": (self._kill, self._restart),
            "suspended": (self._suspend, self._go_on),
            "cut one way": (self._cut, self._join),
            "isolated": (self._isolate, self._rejoin),
            "connection lost": (self._lose_connection, self._connect),
            "storm": (self._storm, self._calm),
            "write fails": (self._fail_write, self._make_room),
            "changed vote fails": (self._fail_change, self._make_room),
            "disk full": (self._fill, self._make_room),
            "disk almost full": (self._almost_fill, self._make_room),
            "read fails": (self._fail_read, self._restart),
            "disk slow": (self._slow_down, self._speed_up),
            "wall clock jumps": (self._jump, self._set_clock_right),
            "clocks stop": (self._stop_clocks, self._start_clocks),
            "everything loses power": (self._cut_all_power, self._restart_all),
        }

    def run(self) -> Report:
        """First faults, then peace. Raises Violation, or an AssertionError of the core."""
        cluster, plan = self.cluster, self.plan
        self._calm_weather()
        cluster.on_kill = self._node_died
        for node, offset_ms in zip(cluster.nodes, plan.wall_offsets_ms, strict=True):
            node.clocks.wall_offset_ms = offset_ms
        cluster.start_all()
        for fault in plan.faults:
            cluster.after(fault.at_ms, partial(self._strike, fault))
            cluster.after(fault.until_ms, partial(self._mend, fault))
        for client in self._clients:
            client.next()
        cluster.run_until(plan.length_ms)
        self._make_peace()
        self._converge()
        return Report(
            self._outcomes,
            Counter(cluster.counters()) + self._struck,
            len(self.history),
            self._judge(),
            cluster.events,
            cluster.trace_hash,
        )

    def record(self, client: int | str, attempt: Attempt, reply: bytes, error: PaxosStoreError | None) -> bool:
        """Note how an attempt ended; whether its outcome is known."""
        cluster, call = self.cluster, attempt.ask.call
        self._outcomes["done" if error is None else error.code] += 1
        cluster.note("client", client, "is told", reply.decode() if error is None else f"{error.code}: {error}")
        known = error is None or error.outcome_known
        if attempt.ask.variant == "catch_up":
            return True
        operation = Operation(client, call.key, call.kind, call.arguments, attempt.began_ms, uuid=attempt.ask.uuid.hex() or None)
        if isinstance(error, RequestFailed):
            if isinstance(error.__cause__, Violation):
                raise error.__cause__
            if "Refusal" not in str(error):
                raise Violation(f"{operation} broke: {error}")
            self.history.append(operation.done(cluster.now_ms, REFUSED))
        elif error is None:
            self.history.append(operation.done(cluster.now_ms, json.loads(reply)))
        else:
            self.history.append(operation.refuse() if known else operation)
        return known

    # -- peace

    def _make_peace(self) -> None:
        cluster = self.cluster
        self.peace = True
        cluster.note("everything is mended")
        for fault in self.plan.faults:
            self._faults[fault.name][1](fault, cluster.nodes[fault.node])
        weather = cluster.weather
        weather.loss = weather.duplication = weather.long_delay = 0.0
        weather.delay_ms, weather.sync_ms = (0.1, 1.0), (0.1, 0.5)
        weather.cuts.clear()
        for node in cluster.nodes:
            node.clocks.wall_offset_ms = 0.0
        for fault in self.plan.faults:
            if fault.name == "disk almost full" and fault.until_ms > self.plan.length_ms:  # that may last: it votes and learns
                self._almost_fill(fault, cluster.nodes[fault.node])

    def _converge(self) -> None:
        """Every node answers for every key, takes a write for every entity, and all are equal in the end. Sometimes they
        are asked one by one, and for reads or writes alone: nobody may need another's requests to go on, nor reads writes."""
        cluster = self.cluster
        reads = {ask.call for client in self.plan.clients for ask in client if ask.call.read_only}
        last_writes = {ask.call.entity: ask.call for client in self.plan.clients for ask in client if not ask.call.read_only}
        writes = set(last_writes.values())
        last = cluster.now_ms + CONVERGE_MS
        shuffled = cluster.random.sample(cluster.nodes, len(cluster.nodes))
        together = [(cluster.nodes, reads | writes)]
        reads_first = [([node], calls) for calls in (reads, writes) for node in shuffled]
        writes_first = [([node], calls) for calls in (writes, reads) for node in shuffled]
        rounds = cluster.random.choice((together, reads_first, writes_first))
        if rounds is not together and cluster.random.random() < 0.5:
            self._leave_all_to(shuffled[0])
        for nodes, calls in rounds:
            for node in nodes:
                for call in sorted(calls):
                    self._awaited.add((node.number, call))
                    self._ask_for(node, call)
            if not self._comes_true(lambda: not self._awaited, last):
                raise Violation(
                    f"{CONVERGE_MS / 1000:g} s after everything was mended, these have no answer: {sorted(self._awaited)}"
                )
        if not self._comes_true(self._are_equal, last):
            raise Violation(f"the nodes differ: {[dict(node.store.committed()) for node in cluster.nodes]}")

    def _leave_all_to(self, heir: SimNode) -> None:
        """All others lose power and start again: what they had begun, nobody but this node will end."""
        for node in self.cluster.nodes:
            if node is not heir:
                self.cluster.kill(node.number, self.cluster.survivors(node.number))
                self.cluster.start(node.number)

    def _comes_true(self, condition: Callable[[], bool], last_ms: float) -> bool:
        while self.cluster.now_ms < last_ms:
            self.cluster.run_until(self.cluster.now_ms + LOOK_EVERY_MS)
            if condition():
                return True
        return False

    def _are_equal(self) -> bool:
        nodes = self.cluster.nodes
        if any(node.shard.waiting_requests for node in nodes):
            return False
        return len({node.store.content_hash() for node in nodes}) == 1

    def _ask_for(self, node: SimNode, call: Call) -> None:
        node.step(Attempt(self, Ask(self.cluster.now_ms, node.number, call, b"", "handler"), node, 0, self._final_ended))

    def _final_ended(self, attempt: Attempt, reply: bytes, error: PaxosStoreError | None) -> None:
        node, call = attempt.node, attempt.ask.call
        self.record(f"last {node.number}", attempt, reply, error)
        if (
            error is None
            or isinstance(error, RequestFailed)
            or (isinstance(error, DiskFull) and node.shard.writes_refused_because)
        ):
            self._awaited.discard((node.number, call))
        else:
            self.cluster.after(LOOK_EVERY_MS, partial(self._ask_for, node, call))

    def _judge(self) -> int:
        """Hold the history against the models; how many keys were too hard to judge."""
        by_model: dict[str, list[Operation]] = defaultdict(list)
        for operation in self.history:
            by_model[operation.key.partition(":")[0]].append(operation)
        undecided = 0
        for prefix, operations in by_model.items():
            try:
                verdict = check(operations, self.workload.models[prefix])
            except Undecided:
                undecided += 1
                continue
            if not verdict.good:
                raise Violation(f"not linearizable: {verdict}")
        return undecided

    # -- faults

    def _strike(self, fault: Fault) -> None:
        if not self.peace:
            self._struck[fault.name] += 1
            self.cluster.note("fault:", fault)
            self._faults[fault.name][0](fault, self.cluster.nodes[fault.node])

    def _mend(self, fault: Fault) -> None:
        if not self.peace:
            self.cluster.note("mended:", fault.name, "at", fault.node)
            self._faults[fault.name][1](fault, self.cluster.nodes[fault.node])

    def _node_died(self, node: SimNode) -> None:
        for client in self._clients:
            client.node_died(node)

    def _cut_power(self, fault: Fault, node: SimNode) -> None:
        if node.up:
            self.cluster.kill(node.number, self.cluster.survivors(node.number))

    def _cut_power_inside(self, fault: Fault, node: SimNode) -> None:
        node.crash_in_steps = int(fault.value)

    def _kill(self, fault: Fault, node: SimNode) -> None:
        if node.up:
            self.cluster.kill(node.number, node.store.unsynced)  # the machine lives, and with it what was written

    def _restart(self, fault: Fault, node: SimNode) -> None:
        node.crash_in_steps = 0
        node.store.read_fails = False
        if not node.up:
            self.cluster.start(node.number)

    def _cut_all_power(self, fault: Fault, node: SimNode) -> None:
        for each in self.cluster.nodes:
            self._cut_power(fault, each)

    def _restart_all(self, fault: Fault, node: SimNode) -> None:
        for each in self.cluster.nodes:
            self._restart(fault, each)

    def _suspend(self, fault: Fault, node: SimNode) -> None:
        node.suspended = node.up

    def _go_on(self, fault: Fault, node: SimNode) -> None:
        node.go_on()

    def _cut(self, fault: Fault, node: SimNode) -> None:
        self.cluster.weather.cuts.add((node.number, int(fault.value)))

    def _join(self, fault: Fault, node: SimNode) -> None:
        self.cluster.weather.cuts.discard((node.number, int(fault.value)))

    def _isolate(self, fault: Fault, node: SimNode) -> None:
        self.cluster.weather.cuts |= self._pairs(node)

    def _rejoin(self, fault: Fault, node: SimNode) -> None:
        self.cluster.weather.cuts -= self._pairs(node)

    def _pairs(self, node: SimNode) -> set[tuple[int, int]]:
        others = [other.number for other in self.cluster.nodes if other is not node]
        return {(node.number, other) for other in others} | {(other, node.number) for other in others}

    def _lose_connection(self, fault: Fault, node: SimNode) -> None:
        if node.number != int(fault.value):
            self.cluster.lose_connection(node.number, int(fault.value))

    def _connect(self, fault: Fault, node: SimNode) -> None:
        self.cluster.connect(node.number, int(fault.value))

    def _storm(self, fault: Fault, node: SimNode) -> None:
        weather = self.cluster.weather
        weather.loss, weather.duplication, weather.long_delay = fault.value, 0.5, 0.2

    def _calm(self, fault: Fault, node: SimNode) -> None:
        self._calm_weather()

    def _calm_weather(self) -> None:
        plan, weather = self.plan, self.cluster.weather
        weather.loss, weather.duplication, weather.long_delay = plan.loss, plan.duplication, plan.long_delay
        weather.delay_ms, weather.sync_ms = plan.delay_ms, plan.sync_ms

    def _fail_write(self, fault: Fault, node: SimNode) -> None:
        node.store.fail_next_write = DiskFull("no room for this write")

    def _fail_change(self, fault: Fault, node: SimNode) -> None:
        node.store.change_fails = True

    def _fill(self, fault: Fault, node: SimNode) -> None:
        node.store.full = True

    def _almost_fill(self, fault: Fault, node: SimNode) -> None:
        if node.up:
            self.cluster.allow_writes(node.number, "the disk is almost full")

    def _make_room(self, fault: Fault, node: SimNode) -> None:
        node.store.full = node.store.change_fails = False
        node.store.fail_next_write = None
        if node.up:
            self.cluster.allow_writes(node.number, "")

    def _fail_read(self, fault: Fault, node: SimNode) -> None:
        node.store.read_fails = True

    def _slow_down(self, fault: Fault, node: SimNode) -> None:
        node.slowness = fault.value

    def _speed_up(self, fault: Fault, node: SimNode) -> None:
        node.slowness = 1.0

    def _jump(self, fault: Fault, node: SimNode) -> None:
        node.clocks.wall_offset_ms = fault.value

    def _set_clock_right(self, fault: Fault, node: SimNode) -> None:
        node.clocks.wall_offset_ms = 0.0

    def _stop_clocks(self, fault: Fault, node: SimNode) -> None:
        node.clocks.stop(self.cluster.now_ms)

    def _start_clocks(self, fault: Fault, node: SimNode) -> None:
        node.clocks.go_on(self.cluster.now_ms)
