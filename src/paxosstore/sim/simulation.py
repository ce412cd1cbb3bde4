"""Runs a plan: first everything that can go wrong, then everything is mended and must converge. Then the history is judged.

Simulation(draw_plan(7, STANDARD), STANDARD, trace=print).run()
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ..core.log.install import LONGEST_PAUSE_MS
from ..errors import DiskFull, OutcomeUnknown, PaxosStoreError, RequestFailed
from .client import Attempt, Client
from .cluster import SimCluster
from .comparing import Comparing
from .competition import Competition
from .doom import lose_majority
from .faults import Faults
from .history import Operation
from .invariants import Violation
from .linearizability import Undecided, check
from .node import SimNode
from .plan import Ask, Plan
from .spread import Spread, check_digests
from .workload import REFUSED, Call, Workload

CONVERGE_MS = LONGEST_PAUSE_MS + 30_000.0
"""Simulated time within which a healed cluster must answer everywhere and be equal. The pause is the longest that the product
makes on purpose (seed 80020987)."""
LOOK_EVERY_MS = 250.0
OPERATOR_MS = 2_000.0
SPREAD_SEED = 0x5B3E
"""So that whether it is looked at changes nothing else of a seed."""


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
        self.cluster = SimCluster(
            plan.seed, plan.nodes, plan.tuning, workload.handlers, plan.uuid_window_entries, trace, plan.keep_entries
        )
        self.peace = False
        """Everything is mended."""
        self.history: list[Operation] = []
        self._outcomes: Counter[str] = Counter()
        self._competition = Competition(self.cluster, plan.rivals)
        self._comparing = Comparing(self.cluster, plan.seed, {ask.call.entity for asks in plan.clients for ask in asks})
        self._clients = [Client(self, number, asks) for number, asks in enumerate(plan.clients)]
        self._awaited: set[tuple[int, Call]] = set()
        self._last: dict[Attempt, None] = {}
        """What was asked for in the end and has no answer yet."""
        self._full: set[int] = set()
        """Nodes whose disks take no writes until all else has converged."""
        self._faults = Faults(self.cluster, plan)
        self._doom: Counter[str] = Counter()
        """What was seen when a majority of the disks was lost."""

    def run(self) -> Report:
        """First faults, then peace. Raises Violation, or an AssertionError of the core."""
        cluster, plan = self.cluster, self.plan
        self._faults.calm_weather()
        cluster.on_kill.append(self._node_died)
        for node, offset_ms in zip(cluster.nodes, plan.wall_offsets_ms, strict=True):
            node.clocks.wall_offset_ms = offset_ms
        cluster.clock_error_ms = plan.clock_error_ms
        cluster.start_all()
        self._faults.begin()
        for client in self._clients:
            client.next()
        self._competition.begin()
        self._comparing.begin()
        cluster.run_until(plan.length_ms)
        self._make_peace()
        if not self._full and random.Random(plan.seed ^ SPREAD_SEED).random() < 0.5:
            self._see_all_spread()
        if plan.rivals:
            for node in cluster.nodes:
                node.cut_at = None  # or their requests were lost
            self._all_are_whole()
        self._competition.go_on_in_peace()
        self._converge()
        self._comparing.check()
        if plan.doomed:
            self._doom = lose_majority(self, self._reads | self._last_writes)
            self._all_are_whole()
            self._converge()
        return Report(
            self._outcomes,
            self._branches(),
            len(self.history),
            self._judge(),
            cluster.events,
            cluster.trace_hash,
        )

    def _branches(self) -> Counter[str]:
        expired = sum(node.store.expired for node in self.cluster.nodes)
        seen = Counter(self.cluster.counters()) + self._faults.struck + self._faults.losses.done + self._comparing.done
        return seen + Counter({"rows that expired": expired}) + self.cluster.cuts + self._doom

    def record(self, client: int | str, attempt: Attempt, reply: bytes, error: PaxosStoreError | None) -> bool:
        """Note how an attempt ended; whether its outcome is known."""
        cluster, call = self.cluster, attempt.ask.call
        self._outcomes["done" if error is None else error.code] += 1
        cluster.note("client", client, "is told", reply.decode() if error is None else f"{error.code}: {error}")
        known = error is None or error.outcome_known
        if attempt.ask.variant == "catch_up":
            return True
        operation = Operation(client, call.key, call.kind, call.arguments, attempt.began_ms, uuid=attempt.identity)
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
        self.peace = True
        self.cluster.note("everything is mended")
        self._faults.end()
        if not self.plan.rivals:  # those have to write; else a disk may stay full at a minority, which reads all the same
            self._full |= self._faults.stay_full()
        self._operate()

    def _operate(self) -> None:
        """Whoever is of a cluster that was given up is told to start on an empty directory, and does."""
        cluster = self.cluster
        for node in cluster.strangers():
            cluster.kill(node.number, cluster.survivors(node.number))
            cluster.change_disk(node.number, cluster.new_disk())
            cluster.start(node.number)
            self._faults.losses.done["a node of another cluster began anew"] += 1
        cluster.after(OPERATOR_MS, self._operate)

    def _see_all_spread(self) -> None:
        """What was applied anywhere comes to every node, before anybody asks for it there."""
        spread = Spread(self.cluster)

        if not self._comes_true(lambda: not spread.missing(), self.cluster.now_ms + CONVERGE_MS):
            raise Violation(f"{CONVERGE_MS / 1000:g} s after all links began anew: {'; '.join(spread.missing())}")

    def _converge(self) -> None:
        """Every node answers for every key, takes a write for every entity, and all are equal in the end. Sometimes they
        are asked one by one, and for reads or writes alone: nobody may need another's requests to go on, nor reads writes.
        (But for who cannot write: what is undecided is decided by the others.)"""
        cluster = self.cluster
        reads, writes = self._reads, self._last_writes
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
            raise Violation(f"the nodes differ: {[self._describe(node) for node in cluster.nodes]}")
        for node in cluster.nodes:
            check_digests(node)

    @property
    def _reads(self) -> set[Call]:
        """Of every key that clients read."""
        return {ask.call for client in self.plan.clients for ask in client if ask.call.read_only}

    @property
    def _last_writes(self) -> set[Call]:
        """One of every entity that clients write."""
        calls = (ask.call for client in self.plan.clients for ask in client if not ask.call.read_only)
        return set({call.entity: call for call in calls}.values())

    def _all_are_whole(self) -> None:
        """All have lost no more than they have got back, have heard of enough others that they vote (what faults have kept
        from them is said again: seed 86006113), and vote themselves: who is to confirm a start may be busy with writes that
        were begun while the disk was slow (seed 91001529). From here on nobody waits for anything but others."""
        nodes, losses = self.cluster.nodes, self._faults.losses

        def is_whole(node: SimNode) -> bool:
            context = node.shard.context
            return losses.whole(node) and node.up and context.reach.lost_at_ms is None and context.standing.votes

        if not self._comes_true(lambda: all(map(is_whole, nodes)), self.cluster.now_ms + CONVERGE_MS):
            raise Violation(f"not all nodes have come back: {[self._describe(node) for node in nodes]}")

    def _leave_all_to(self, heir: SimNode) -> None:
        """All others lose power and start again: what they had begun, nobody but this node will end."""
        for node in self.cluster.nodes:
            if node is not heir:
                if node.up:  # else a power cut that waited for its moment has come late (seed 9100391)
                    self.cluster.kill(node.number, self.cluster.survivors(node.number))
                self.cluster.start(node.number)

    def _comes_true(self, condition: Callable[[], bool], last_ms: float) -> bool:
        while self.cluster.now_ms < last_ms:
            self.cluster.run_until(self.cluster.now_ms + LOOK_EVERY_MS)
            self._let_copies_in()
            if condition():
                return True
        return False

    def _let_copies_in(self) -> None:
        """One whose disk is almost full learns all the same, unless it needs a copy (seeds 203, 82073, 80021593): that
        waits for room, which comes at last. So does who has lost its disk, and is below a floor until then (seed 98102012)."""
        for node in self.cluster.nodes:
            entities = map(node.shard.entity, self.cluster.invariants.latest) if node.up else ()
            if any(entity is not None and entity.install is not None for entity in entities):
                self.cluster.allow_writes(node.number, "")

    def _are_equal(self) -> bool:
        nodes = self.cluster.nodes
        if any(not node.up or node.shard.waiting_requests or not self._faults.losses.whole(node) for node in nodes):
            return False
        if any(node.store.default_floor or node.store.floors(-1, 1) for node in nodes):
            return False  # all have answered by now, and what is passed is deleted (rule 19c)
        return len({node.store.content_hash() for node in nodes}) == 1

    def _describe(self, node: SimNode) -> str:
        """All that is looked at when the nodes are to be equal, or whole."""
        store, shard = node.store, node.shard
        row = store.durable_standing
        words = [
            "up" if node.up else "down",
            "?" if row is None else row.state.value,
            f"{dict(store.committed())} data {store.content_hash()[:8]}",
            f"floors {store.floors(-1, 100)} default {store.default_floor}",
            f"{shard.waiting_requests} wait",
            shard.waits_for,
            self._faults.losses.lacks(node),
            shard.context.reach.describe(shard.context.now_ms),
        ]
        return ", ".join(filter(None, words))

    def _ask_for(self, node: SimNode, call: Call) -> None:
        if not node.up:
            self.cluster.after(LOOK_EVERY_MS, partial(self._ask_for, node, call))
            return
        attempt = Attempt(self, Ask(self.cluster.now_ms, node.number, call, b"", "handler"), node, 0, self._final_ended)
        self._last[attempt] = None
        node.step(attempt)

    def _final_ended(self, attempt: Attempt, reply: bytes, error: PaxosStoreError | None) -> None:
        node, call = attempt.node, attempt.ask.call
        if self._last.pop(attempt, attempt) is not None:
            return  # it was lost with its node
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
        models = {**self.workload.models, **(self.workload.timed if self.plan.right_clocks else {})}
        for prefix, operations in by_model.items():
            try:
                verdict = check(operations, models[prefix])
            except Undecided:
                undecided += 1
                continue
            if not verdict.good:
                raise Violation(f"not linearizable: {verdict}")
        return undecided

    def _node_died(self, node: SimNode) -> None:
        for client in self._clients:
            client.node_died(node)
        if self.peace:  # a power cut that was to come in the middle of something, and has come late
            self.cluster.after(LOOK_EVERY_MS, partial(self._restart, node))
            for attempt in [attempt for attempt in self._last if attempt.node is node]:
                self._final_ended(attempt, b"", OutcomeUnknown("the connection was lost"))

    def _restart(self, node: SimNode) -> None:
        if not node.up:
            self.cluster.start(node.number)
