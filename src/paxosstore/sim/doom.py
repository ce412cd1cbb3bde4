"""A majority of the disks is lost at once: the end of some seeds. Nothing that was there may be taken for less, nothing goes on,
and everybody is told so. When the operator forces it, all goes on from what the rest had: no more is lost than
what only lost disks knew, and as all were equal before, that is nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..core.entry.ids import majority
from ..errors import PaxosStoreError
from .client import Attempt, Run
from .invariants import Violation
from .plan import Ask
from .workload import Call

SETTLE_MS = 2_000.0
"""After which every node knows how it stands."""
ANSWER_MS = 8_000.0
"""Longer than any deadline."""


def lose_majority(run: Run, calls: Iterable[Call]) -> None:
    """Lose so many disks, look whether that is said and nothing else happens, and force it. Raises Violation."""
    cluster = run.cluster
    lost = cluster.random.sample(cluster.nodes, majority(len(cluster.nodes)))
    rest = {node.number: node.store.content_hash() for node in cluster.nodes if node not in lost}
    cluster.note("a majority of the disks is lost")
    for node in lost:
        cluster.kill(node.number)
        cluster.change_disk(node.number, cluster.new_disk())
    for node in lost:
        cluster.start(node.number)
    cluster.run_until(cluster.now_ms + SETTLE_MS)
    for node in lost:
        if not node.shard.waits_for:
            raise Violation(f"node {node.number} lost its disk with a majority of them, and waits for nobody")
    _ask_in_vain(run, sorted(calls))
    for number, content in rest.items():
        if cluster.nodes[number].store.content_hash() != content:
            raise Violation(f"node {number} has changed its data though a majority of the disks is lost")
    cluster.note("they are forced to go on")
    others_too = cluster.random.random() < 0.5
    for node in cluster.nodes:
        if node in lost or others_too:
            node.force = True
            cluster.kill(node.number, node.store.unsynced)
            cluster.start(node.number)


def _ask_in_vain(run: Run, calls: list[Call]) -> None:
    cluster = run.cluster
    waiting: set[Attempt] = set()

    def ended(attempt: Attempt, reply: bytes, error: PaxosStoreError | None) -> None:
        waiting.discard(attempt)
        run.record(f"vain {attempt.node.number}", attempt, reply, error)
        if error is None:
            raise Violation(f"{attempt.ask.call} is done at node {attempt.node.number} though a majority of the disks is lost")

    for node in cluster.nodes:
        for call in calls:
            attempt = Attempt(run, Ask(cluster.now_ms, node.number, call, b"", "handler"), node, 0, ended)
            waiting.add(attempt)
            node.step(attempt)
    cluster.run_until(cluster.now_ms + ANSWER_MS)
    if waiting:
        raise Violation(f"a majority of the disks is lost, and nobody is told: {[attempt.ask.call for attempt in waiting]}")
