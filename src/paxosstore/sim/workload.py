"""One seed: a cluster, a load and faults; then everything is healed, and what happened is checked.

Checked: what was acknowledged is there, with the reply it was given; what was refused is not; nothing is applied twice;
no operation is seen to happen before one that ended before it began; the replicas are equal at the end.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from ..core.event import PeerUp
from ..core.overlay import DATA, View
from ..core.request import Request
from ..errors import DiskFull, PaxosStoreError
from ..settings import TuningSettings
from .cluster import SimCluster, SimNode

COUNT = b"count"
MARK = b"mark:"
SAFETY_MS = 5_000.0
LIVENESS_MS = 60_000.0
REFUSED_EVERY = 7
"""An increment whose number is divisible by this refuses itself while the count is odd."""


class Violation(AssertionError):
    """What the store promised does not hold."""


class Refusal(Exception):
    """Raised by a request that does not like what it sees."""


def increment(view: View, name: bytes) -> bytes:
    """Count, and leave a mark of its own: so it can be seen afterwards whether, when and how often it happened."""
    count = int(view.get(COUNT) or b"0") + 1
    if view.get(MARK + name) is not None:
        raise Violation(f"{name!r} is applied twice")
    view.put(COUNT, b"%d" % count)
    view.put(MARK + name, b"%d" % count)
    if int(name) % REFUSED_EVERY == 0 and count % 2 == 0:
        raise Refusal("not now")
    return b"%d" % count


class Operation(Request):
    """An increment or a read of the count, and its history."""

    __slots__ = ("_clock", "began_ms", "ended_ms", "error", "name", "reply")
    handler = "increment"

    def __init__(self, entity: int, name: bytes, clock: Callable[[], float], *, read_only: bool) -> None:
        super().__init__(entity, read_only=read_only)
        self.name = name
        self._clock = clock
        self.began_ms = clock()
        self.ended_ms: float | None = None
        self.reply = b""
        self.error: PaxosStoreError | None = None

    def evaluate(self, view: View) -> bytes:
        return (view.get(COUNT) or b"0") if self.read_only else increment(view, self.name)

    def payload(self) -> bytes:
        return self.name

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        if self.ended_ms is not None:
            raise Violation(f"{self.name!r} ended twice")
        self.ended_ms, self.reply, self.error = self._clock(), reply, error

    @property
    def done(self) -> bool:
        return self.ended_ms is not None and self.error is None


class Report(NamedTuple):
    """What one seed did."""

    outcomes: Counter[str]
    """done, pending (its node died), or the code of the error."""
    counters: dict[str, int]
    events: int
    trace_hash: str


class Workload:
    """Everything that one seed decides."""

    def __init__(self, seed: int, trace: Callable[[str], None] | None = None) -> None:
        self._random = rng = random.Random(seed)
        nodes = rng.choice((3, 3, 5))
        tuning = TuningSettings(
            pre_auth=rng.random() < 0.8,
            lease_ms=rng.choice((1.0, 10.0, 30.0)),
            request_timeout_ms=rng.choice((200.0, 2_000.0, 5_000.0)),
            max_queue_requests=rng.choice((5, 1_000)),
            max_batch_requests=rng.choice((2, 100)),
            max_commit_num=rng.choice((2, 512)),
        )
        self.cluster = SimCluster(seed, nodes, tuning, {Operation.handler: increment}, trace=trace)
        self._entities = range(1, 1 + rng.choice((1, 3)))
        self._pace_ms = rng.choice((3.0, 30.0))
        self._down: dict[int, float] = {}
        self._full: dict[int, float] = {}
        self.operations: list[Operation] = []

    def run(self) -> Report:
        """First faults, then peace. Raises Violation, or an AssertionError of the core."""
        cluster, rng = self.cluster, self._random
        cluster.start_all()
        self._worsen_weather()
        while cluster.now_ms < SAFETY_MS:
            cluster.run_until(cluster.now_ms + rng.expovariate(1.0 / self._pace_ms))
            self._strike()
            self._mend(cluster.now_ms)
        self._heal()
        finals = [self._submit(node, entity, read_only=True) for entity in self._entities for node in cluster.nodes]
        cluster.run_until(cluster.now_ms + LIVENESS_MS / 2)
        for final in finals:
            if not final.done:
                raise Violation(f"after healing, a read of entity {final.entity} ended in {final.error!r}")
        return self._check()

    # -- faults

    def _worsen_weather(self) -> None:
        rng, weather = self._random, self.cluster.weather
        if rng.random() < 0.7:
            weather.loss = rng.uniform(0.0, 0.3)
            weather.duplication = rng.uniform(0.0, 0.5)
            weather.long_delay = rng.choice((0.0, 0.1))
        if rng.random() < 0.3:
            weather.sync_ms = (0.1, rng.choice((5.0, 50.0)))

    def _strike(self) -> None:
        """One operation, or one fault."""
        cluster, rng = self.cluster, self._random
        up = [node for node in cluster.nodes if node.up]
        node = rng.choice(up)
        fate = rng.random()
        if fate < 0.008 and len(up) > len(cluster.nodes) // 2:
            cluster.kill(node.number, rng.choice((0, 0, 1, 2, 9)))
            self._down[node.number] = cluster.now_ms + rng.uniform(5.0, 1_000.0)
        elif fate < 0.014:
            pairs = [(rng.randrange(len(cluster.nodes)), rng.randrange(len(cluster.nodes))) for _ in range(rng.choice((0, 1, 3)))]
            cluster.weather.cuts = set(pairs)
        elif fate < 0.016:
            node.store.fail_next_write = DiskFull("the disk is full")
            self._full[node.number] = cluster.now_ms + rng.uniform(5.0, 500.0)
        elif fate < 0.017:
            cluster.allow_writes(node.number, "the disk is almost full")
            self._full[node.number] = cluster.now_ms + rng.uniform(5.0, 500.0)
        else:
            self._submit(node, rng.choice(self._entities), read_only=rng.random() < 0.4)

    def _mend(self, now_ms: float) -> None:
        cluster = self.cluster
        for number in [number for number, until in self._down.items() if now_ms >= until]:
            del self._down[number]
            cluster.start(number)
        for number in [number for number, until in self._full.items() if now_ms >= until]:
            del self._full[number]
            cluster.nodes[number].store.fail_next_write = None
            if cluster.nodes[number].up:
                cluster.allow_writes(number, "")

    def _heal(self) -> None:
        cluster, weather = self.cluster, self.cluster.weather
        weather.loss = weather.duplication = weather.long_delay = 0.0
        weather.cuts = set()
        self._mend(float("inf"))
        for node in cluster.nodes:
            for peer in cluster.nodes:
                if peer is not node:
                    node.step(PeerUp(peer.number))
        cluster.run_until(cluster.now_ms + LIVENESS_MS / 2)

    def _submit(self, node: SimNode, entity: int, *, read_only: bool) -> Operation:
        name = b"%d" % (len(self.operations) + 1)
        operation = Operation(entity, name, lambda: self.cluster.now_ms, read_only=read_only)
        self.operations.append(operation)
        self.cluster.note("read" if read_only else "increment", name.decode(), "of", entity, "at", node.number)
        node.step(operation)
        return operation

    # -- checks

    def _check(self) -> Report:
        hashes = {node.store.content_hash() for node in self.cluster.nodes}
        if len(hashes) != 1:
            raise Violation(f"the replicas differ: {[dict(node.store.committed()) for node in self.cluster.nodes]}")
        for entity in self._entities:
            self._check_entity(entity, [op for op in self.operations if op.entity == entity])
        outcomes = Counter("done" if op.done else "pending" if op.error is None else op.error.code for op in self.operations)
        return Report(outcomes, self.cluster.counters(), self.cluster.events, self.cluster.trace_hash)

    def _check_entity(self, entity: int, operations: list[Operation]) -> None:
        store = self.cluster.nodes[0].store
        total = int(store.get(entity, DATA + COUNT) or b"0")
        first, last = DATA + MARK, DATA + MARK[:-1] + b";"
        applied = {key[len(first) :]: int(value) for key, value in store.scan(entity, first, last)}
        if sorted(applied.values()) != list(range(1, total + 1)):
            raise Violation(f"entity {entity} counts {total}, its marks say {sorted(applied.values())}")
        for operation in operations:
            if operation.read_only or operation.ended_ms is None:
                continue
            found = applied.get(operation.name)
            if operation.error is None and operation.reply != b"%d" % (found or 0):
                raise Violation(f"{operation.name!r} was acknowledged as {operation.reply!r}, the store says {found}")
            if operation.error is not None and operation.error.outcome_known and found is not None:
                raise Violation(f"{operation.name!r} was refused ({operation.error}), the store says {found}")
        self._check_order([operation for operation in operations if operation.done])

    def _check_order(self, done: list[Operation]) -> None:
        """Linearizability of a counter whose values are all distinct: values follow real time."""
        by_end = sorted(done, key=lambda op: op.ended_ms or 0.0)
        by_begin = sorted(done, key=lambda op: op.began_ms)
        highest, at = 0, 0
        for later in by_begin:
            while at < len(by_end) and (by_end[at].ended_ms or 0.0) < later.began_ms:
                highest = max(highest, int(by_end[at].reply))
                at += 1
            seen = int(later.reply)
            if seen < highest or (seen == highest and not later.read_only and highest):
                raise Violation(f"{later.name!r} saw {seen} after {highest} had been seen")
