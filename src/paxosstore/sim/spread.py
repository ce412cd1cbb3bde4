"""After a reconnect: what any node has applied, all have, though nobody asks for it, and their digests are of what they hold."""

from __future__ import annotations

from itertools import combinations

from ..storage.digests import Digests
from .cluster import SimCluster
from .invariants import Violation
from .node import SimNode


class Spread:
    """What is to be at every node before long, as all links begin anew."""

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self._applied: dict[int, int] = {}
        for node in cluster.nodes:
            for entity, entry in node.store.committed():
                self._applied[entity] = max(entry, self._applied.get(entity, 0))
        for one, other in combinations(range(len(cluster.nodes)), 2):
            cluster.lose_connection(one, other)
            cluster.connect(one, other)

    def missing(self) -> list[str]:
        """Of what, and where."""
        return [
            f"node {node.number} has applied {node.store.committed_entry(entity)} of {entry} entries of entity {entity}"
            for node in self._cluster.nodes
            for entity, entry in self._applied.items()
            if not node.up or node.store.committed_entry(entity) < entry
        ]


def check_digests(node: SimNode) -> None:
    """Kept with each write, or built anew: they are the same. Raises Violation."""
    anew = Digests()
    anew.build(node.store.committed())
    node.store.digests_not_ready = 0
    if node.store.digests(0, [0]) != anew.of_children(0, [0]):
        raise Violation(f"node {node.number}: the digests are not those of what it holds: {dict(node.store.committed())}")
