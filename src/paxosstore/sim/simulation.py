"""Runs a plan: first everything that can go wrong, then everything is mended and must converge. Then the history is judged.

Simulation(draw_plan(7, STANDARD), STANDARD, trace=print).run()
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ..errors import DiskFull, PaxosStoreError, RequestFailed
from .client import Attempt, Client
from .cluster import SimCluster
from .competition import Competition
from .history import Operation
from .invariants import Violation
from .linearizability import Undecided, check
from .node import SimNode
from .plan import Ask, Fault, Plan
from .workload import REFUSED, Call, Workload

CONVERGE_MS = 60_000.0
"""Simulated time within which a healed cluster must answer everywhere and be equal."""
LOOK_EVERY_MS = 250.0


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
        self._competition = Competition(self.cluster, plan.rivals)
        self._clients = [Client(self, number, asks) for number, asks in enumerate(plan.clients)]
        self._awaited: set[tuple[int, Call]] = set()
        self._full: set[int] = set()
        """Nodes whose disks take no writes until all else has converged."""
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
            "disk hangs": (self._hang_up, self._answer),
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
        self._competition.begin()
        cluster.run_until(plan.length_ms)
        self._make_peace()
        self._competition.go_on_in_peace()
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
        uuid = (attempt.ask.uuid + attempt.digest).hex() or None  # another request under it is another operation
        operation = Operation(client, call.key, call.kind, call.arguments, attempt.began_ms, uuid=uuid)
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
        lasting = [fault.node for fault in self.plan.faults if fault.name == "disk full" and fault.until_ms > self.plan.length_ms]
        if not self.plan.rivals:  # those have to write; else that may last at a minority, which reads all the same
            self._full |= set(lasting[: cluster.spare])
        for number in self._full:
            cluster.nodes[number].store.full = True

    def _converge(self) -> None:
        """Every node answers for every key, takes a write for every entity, and all are equal in the end. Sometimes they
        are asked one by one, and for reads or writes alone: nobody may need another's requests to go on, nor reads writes.
        (But for who cannot write: what is undecided is decided by the others.)"""
        cluster = self.cluster
        reads = {ask.call for client in self.plan.clients for ask in client if ask.call.read_only}
        last_writes = {ask.call.entity: ask.call for client in self.plan.clients for ask in client if not ask.call.read_only}
        writes = set(last_writes.values())
        last = cluster.now_ms + CONVERGE_MS
        shuffled = cluster.random.sample(cluster.nodes, len(cluster.nodes))
        together = [(cluster.nodes, reads | writes)]
        reads_first = [([node], calls) for calls in (reads, writes) for node in shuffled]
        writes_first = [([node], calls) for calls in (writes, reads) for node in shuffled]
        rounds = together if self._full else cluster.random.choice((together, reads_first, writes_first))
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
        for number in self._full:
            cluster.nodes[number].store.full = False
            cluster.allow_writes(number, "")
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

    def _hang_up(self, fault: Fault, node: SimNode) -> None:
        node.hang_up(bool(fault.value))

    def _answer(self, fault: Fault, node: SimNode) -> None:
        node.hangs = node.fails_after_gulps = False
        if fault.value and self.peace:
            self._make_room(fault, node)
        elif fault.value:  # after the write that fails
            self.cluster.after(10.0, partial(self._make_room, fault, node))

    def _jump(self, fault: Fault, node: SimNode) -> None:
        node.clocks.wall_offset_ms = fault.value

    def _set_clock_right(self, fault: Fault, node: SimNode) -> None:
        node.clocks.wall_offset_ms = 0.0

    def _stop_clocks(self, fault: Fault, node: SimNode) -> None:
        node.clocks.stop(self.cluster.now_ms)

    def _start_clocks(self, fault: Fault, node: SimNode) -> None:
        node.clocks.go_on(self.cluster.now_ms)
