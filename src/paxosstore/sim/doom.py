"""A majority of the disks is lost at once: the end of some seeds. Nothing that was there may be taken for less, nothing goes on,
and everybody is told so. When the operator forces it, all goes on from what the rest had: no more is lost than
what only lost disks knew. That is nothing: all were equal before, or, where writes are under way, such nodes are left as
have accepted all that was chosen, whether they know that or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from ..core.entry.ids import majority
from ..errors import OutcomeUnknown, PaxosStoreError
from .client import Attempt, Run
from .invariants import Violation
from .node import SimNode
from .plan import Ask
from .workload import Call

SETTLE_MS = 2_000.0
"""After which every node knows how it stands."""
ANSWER_MS = 8_000.0
"""Longer than any deadline."""
MOMENTS = 40
"""So many moments are looked at for one at which a minority has accepted all that was chosen, and does not know it."""


def lose_majority(run: Run, calls: Iterable[Call]) -> Counter[str]:
    """Lose so many disks, look whether that is said and nothing else happens, and force it; what was seen. Raises Violation."""
    cluster = run.cluster
    calls = sorted(calls)
    lost = cluster.random.sample(cluster.nodes, majority(len(cluster.nodes)))
    under_way = _Writes(run, [call for call in calls if not call.read_only])
    in_vain = _InVain(run)
    cluster.on_kill += [under_way.lost_with, in_vain.lost_with]  # a power cut that was to come in the middle may come now
    seen: Counter[str] = Counter()
    if cluster.random.random() < 0.7:
        lost = under_way.begin() or lost
        seen["a majority lost while writes are under way"] = 1
    cluster.note("a majority of the disks is lost")
    for node in lost:
        if node.up:
            cluster.kill(node.number)
        cluster.change_disk(node.number, cluster.new_disk())
    rest = [node for node in cluster.nodes if node not in lost]
    seen["accepted, not applied, when a majority was lost"] = sum(map(_not_applied, rest))
    for node in lost:
        cluster.start(node.number)
    cluster.run_until(cluster.now_ms + SETTLE_MS)
    latest = dict(cluster.invariants.latest)  # what was under way has arrived
    contents = {node: (node.life, _committed(node, latest), node.store.content_hash()) for node in rest}
    for node in lost:
        if not node.shard.waits_for:
            raise Violation(f"node {node.number} lost its disk with a majority of them, and waits for nobody")
    in_vain.ask_everybody(calls)
    for node, (life, committed, content) in contents.items():
        if node.life != life:
            continue  # a power cut takes what was not synced
        now = _committed(node, latest)
        if any(entry > latest[entity] for entity, entry in now.items()) or cluster.invariants.latest != latest:
            raise Violation(f"node {node.number} has got further though a majority of the disks is lost")
        if now == committed and node.store.content_hash() != content:  # else it has learned what the others knew (seed 92007069)
            raise Violation(f"node {node.number} has changed its data though a majority of the disks is lost")
    cluster.note("they are forced to go on")
    others_too = cluster.random.random() < 0.5
    for node in cluster.nodes:
        if node in lost or others_too or not node.up or node.shard.waits_for:  # intact, but has started since
            node.force = True
            if node.up:
                cluster.kill(node.number, node.store.unsynced)
            cluster.start(node.number)
    return seen


def _committed(node: SimNode, latest: Mapping[int, int]) -> dict[int, int]:
    """How far this node's data is, entity by entity."""
    return {entity: node.store.committed_entry(entity) for entity in latest}


def _not_applied(node: SimNode) -> int:
    """How many rows of this node's disk are of entries that it has not applied."""
    return sum(entry > node.store.committed_entry(entity) for entity, entry in node.store.durable_rows)


class _Asked:
    """What is asked for meanwhile, and has no answer yet."""

    def __init__(self, run: Run, client: str) -> None:
        self._run = run
        self._client = client
        self.waiting: dict[Attempt, None] = {}

    def lost_with(self, node: SimNode) -> None:
        """A node is gone, with what was asked for there."""
        for attempt in [attempt for attempt in self.waiting if attempt.node is node]:
            self._ended(attempt, b"", OutcomeUnknown("the connection was lost"))

    def ask(self, node: SimNode, call: Call) -> None:
        """Nobody asks a node that is down."""
        if node.up:
            attempt = Attempt(self._run, Ask(self._run.cluster.now_ms, node.number, call, b"", "handler"), node, 0, self._ended)
            self.waiting[attempt] = None
            node.step(attempt)

    def _ended(self, attempt: Attempt, reply: bytes, error: PaxosStoreError | None) -> None:
        if attempt in self.waiting:
            del self.waiting[attempt]
            self._run.record(f"{self._client} {attempt.node.number}", attempt, reply, error)


class _Writes(_Asked):
    """Writes that are under way when the disks are lost."""

    def __init__(self, run: Run, calls: list[Call]) -> None:
        super().__init__(run, "under way")
        self._calls = calls

    def begin(self) -> list[SimNode]:
        """Ask, and wait for a moment at which a minority is left with all that was chosen; who is lost then. Empty: none came."""
        cluster = self._run.cluster
        spare = len(cluster.nodes) - majority(len(cluster.nodes))
        best: list[SimNode] = []
        for _ in range(MOMENTS):
            if len(self.waiting) < 2 and self._calls:
                self.ask(cluster.random.choice(cluster.nodes), cluster.random.choice(self._calls))
            cluster.run_until(cluster.now_ms + cluster.random.uniform(0.05, 2.0))
            rest = cluster.random.sample(cluster.nodes, spare)
            if all(node.up for node in rest) and self._all_is_known(rest):
                best = [node for node in cluster.nodes if node not in rest]
                if any(map(_not_applied, rest)):
                    return best
            else:
                best = []
        return best

    def _all_is_known(self, rest: list[SimNode]) -> bool:
        """Whether one of these nodes' disks has accepted, or applied, each value that was chosen."""
        chosen = self._run.cluster.invariants.chosen
        for entity, last in self._run.cluster.invariants.latest.items():
            applied = max(node.store.durable_committed(entity) for node in rest)
            for entry in range(applied + 1, last + 1):
                rows = [node.store.durable_rows.get((entity, entry)) for node in rest]
                values = [row.value.id for row in rows if row is not None and row.accepted and row.value is not None]
                if chosen[entity, entry] not in values:
                    return False
        return True


class _InVain(_Asked):
    """Requests while a majority of the disks is lost: none may be done, and each is told so."""

    def __init__(self, run: Run) -> None:
        super().__init__(run, "vain")

    def ask_everybody(self, calls: list[Call]) -> None:
        cluster = self._run.cluster
        for node in cluster.nodes:
            for call in calls:
                self.ask(node, call)
        cluster.run_until(cluster.now_ms + ANSWER_MS)
        if self.waiting:
            waiting = [(attempt.node.number, attempt.ask.call) for attempt in self.waiting]
            raise Violation(f"a majority of the disks is lost, and nobody is told: {waiting}")

    def _ended(self, attempt: Attempt, reply: bytes, error: PaxosStoreError | None) -> None:
        super()._ended(attempt, reply, error)
        if error is None:
            raise Violation(f"{attempt.ask.call} is done at node {attempt.node.number} though a majority of the disks is lost")
