"""Replicas are compared at random all the time: no difference may be seen where there is none. In the end, when they are equal,
that has to be found, and so has a row that is changed on one disk.
"""

from __future__ import annotations

import random
from collections import Counter

from ..core.batch.overlay import DATA
from ..core.interface.comparison import Compared, Comparison
from ..core.interface.event import Compare
from .cluster import SimCluster
from .invariants import Violation
from .node import SimNode

COMPARING_SEED = 0xC0DE
"""So that the rest of a seed's plan is the same with and without it."""
BYTES_PER_SECOND = 1e6
LASTS_MS = 90_000.0
"""In peace a comparison has ended by then, with all nodes."""
TRY_MS = 3_000.0
"""After so long it is asked for again: its node may have lost power."""


class SimComparison(Comparison):
    def __init__(self, comparing: Comparing, entity: int) -> None:
        super().__init__(entity, BYTES_PER_SECOND)
        self._comparing = comparing

    def settle(self) -> None:
        assert self.result is not None
        self._comparing.settled(self.result)


class Comparing:
    """Asks for comparisons in one cluster."""

    def __init__(self, cluster: SimCluster, seed: int, entities: set[int]) -> None:
        self._cluster = cluster
        self._random = random.Random(seed ^ COMPARING_SEED)
        self._entities = sorted(entities)
        self._gap_ms = self._random.choice((0.0, 40.0, 200.0)) if entities else 0.0
        """From one to the next; 0: there are none."""
        self._asked: list[SimComparison] = []
        self._planted = False
        self.done: Counter[str] = Counter()

    def begin(self) -> None:
        if self._gap_ms:
            self._cluster.after(self._random.expovariate(1.0 / self._gap_ms), self._next)

    def _next(self) -> None:
        if self._gap_ms:
            self._ask()
        self.begin()

    def _ask(self, entity: int | None = None) -> SimComparison | None:
        """Have any node compare this entity, or any; None: that node is down."""
        node = self._random.choice(self._cluster.nodes)
        comparison = SimComparison(self, self._random.choice(self._entities) if entity is None else entity)
        if not node.up:
            return None
        self._asked.append(comparison)
        node.step(Compare(comparison))
        return comparison

    def settled(self, result: Compared) -> None:
        self._cluster.note("entity", result.entity, result.describe())
        if result.differing and not self._planted:
            raise Violation(f"replicas that are alike are taken for different: entity {result.entity}: {result.describe()}")
        self.done["compared with all"] += result.is_equal
        self.done["compared in part"] += bool(result.missing and len(result.nodes) > 1)

    # -- in peace, when all are equal

    def check(self) -> None:
        """Every entity is found equal everywhere, and a row that is changed on one disk is found. Raises Violation."""
        self._gap_ms = 0.0
        for entity in self._entities:
            if not self._compare(entity).is_equal:
                raise Violation(f"entity {entity} is equal everywhere, and was not found so")
        if self._entities:
            self._plant(self._random.choice(self._entities))

    def _compare(self, entity: int) -> Compared:
        """The first result that all nodes have a part in."""
        cluster = self._cluster
        last_ms, result = cluster.now_ms + LASTS_MS, None
        try_ms = TRY_MS
        while cluster.now_ms < last_ms:
            for other in self._asked:
                other.cancelled = True  # or one that is late would show what is not so any more
            comparison = self._ask(entity)
            until_ms = cluster.now_ms + try_ms
            try_ms *= 2.0  # a large one takes longer (seed 80000096)
            while cluster.now_ms < until_ms and (comparison is None or comparison.result is None):
                cluster.run_until(cluster.now_ms + 5.0)
            if comparison is None:
                continue
            result = comparison.result or result
            if result is not None and not result.missing:
                return result
        raise Violation(f"{LASTS_MS / 1000:g} s after all were equal, entity {entity} is not compared: {result}")

    def _plant(self, entity: int) -> None:
        node = self._random.choice(self._cluster.nodes)
        rows = list(node.store.scan(entity, b"", b"\xff"))
        what = self._random.choice(("changed", "added", "deleted") if rows else ("added",))
        key, value = (DATA + b"rot", b"rot")
        if what != "added":
            key, value = self._random.choice(rows)
        before = node.store.rot(entity, key, {"changed": _flipped(value), "added": value, "deleted": None}[what])
        self._planted = True
        found = self._compare(entity)
        self._planted = False
        self._judge(found, node, key, what)
        node.store.rot(entity, key, before)
        if not self._compare(entity).is_equal:
            raise Violation(f"the row {key!r} of entity {entity} is as it was, and the difference is still there")

    def _judge(self, found: Compared, node: SimNode, key: bytes, what: str) -> None:
        if [differing.key for differing in found.keys] != [key] or found.differing != 1 or found.odd != (node.number,):
            raise Violation(f"the row {key!r} was {what} on the disk of node {node.number} alone, and was not found: {found}")
        self.done[f"a row was {what} and found"] += 1


def _flipped(value: bytes) -> bytes:
    """With another last bit."""
    return value[:-1] + bytes((value[-1] ^ 1,)) if value else b"rot"
