"""What can be seen of a node, as plain data: its figures while it runs, an entity's rows also on a stopped one's disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..compiled import BUILD
from ..core.entity.divergence import decode
from ..core.entity.entity import Entity
from ..core.entity.install import Transfer
from ..core.entry.ids import majority
from ..core.entry.record import Record
from ..core.log.pace import Lag
from ..core.log.reconcile import Reconciliation
from ..core.reentry.progress import Progress
from ..core.shard.shard import Shard
from ..core.turn.budget import BackgroundUse
from ..core.turn.memory import MemoryUse
from ..core.turn.reach import describe
from ..storage.expiry import LogKept
from ..storage.findings import NOTHING, DamageFound
from ..storage.rocks import RocksStore
from .doing import MEMBER, describe_difference, describe_reconciliation, describe_reentry, describe_transfers
from .histogram import Histogram
from .links import LinkStatistics
from .loop import TurnLoop, now_ms
from .timekeeper import ClockStatus

MAX_DESCRIBED = 100
LEARNS_ONLY = "it learns only (learn_only): it votes for nothing and serves nobody; `paxosstore set learn_only false` ends that"


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """What a node can tell of itself at one moment."""

    node: int
    serving: bool
    writes_refused_because: str
    disk_silent_ms: float
    """For how long the disk has not answered; 0: it does."""
    counters: Mapping[str, int]
    memory: MemoryUse
    """What is kept of entities in memory."""
    lag: Lag
    """What is chosen here and not applied yet."""
    waiting_requests: int
    waiting_events: int
    waiting_bytes: int
    """What both hold of memory."""
    in_flight_bytes: int
    """Of the values that this node proposes now."""
    stopped: Mapping[int, str]
    """Entity -> why it is not served here any more: its replicas differ."""
    differing: Mapping[int, str]
    """Entity -> how its replicas differ at one entry, as this node has found by comparing them; until they are found equal. The
    first MAX_DESCRIBED of them."""
    differing_entities: int
    reentry: Progress
    """Whether it is a member, and what is missing (rule 19)."""
    log_kept: LogKept
    """What there is of the PLog, and what was let go (rule 17)."""
    transfers: Sequence[Transfer]
    """Snapshots under way, to this node and from it."""
    reconciliation: Reconciliation
    """Which peers it compares itself with, and how many entities are behind here."""
    peers: Mapping[int, LinkStatistics]
    turn_ms: Histogram
    sync_ms: Histogram
    events_per_turn: Histogram
    background: BackgroundUse
    """What goes on behind the requests, and what it takes."""
    learners: tuple[int, ...] = ()
    """Peers that do not vote yet, for they have lost their disk (rule 19)."""
    resting: tuple[int, ...] = ()
    """Peers that have been told to learn only."""
    learns_only: bool = False
    """This node has been told so."""
    damage: DamageFound = NOTHING
    """What damage was found on the disk, and what became of it."""
    clock: ClockStatus = ClockStatus()  # noqa: RUF009  # it is immutable
    """How far the clocks of the nodes are from each other (rule 20)."""
    build: str = BUILD
    """Whether the hot modules run compiled or pure."""

    @property
    def doing(self) -> list[str]:
        """A sentence for each thing that goes on besides serving, and will end."""
        learns = describe_reconciliation(self.reconciliation)
        return [*filter(None, [self.comes_back]), *describe_transfers(self.transfers), *learns]

    @property
    def comes_back(self) -> str:
        """What keeps this node from being a member like any other (rule 19); empty: nothing does."""
        return "; ".join(describe_reentry(self.reentry))

    @property
    def not_ready_because(self) -> str:
        """Why this node serves nobody: it learns only, is no member of its cluster, or reaches no majority; empty: it does."""
        if self.learns_only:
            return f"{LEARNS_ONLY}; {self.no_majority_because}" if self.no_majority_because else LEARNS_ONLY
        return self.no_quorum_because or self.reentry.waits_for if self.reentry.state == MEMBER else self.comes_back

    @property
    def no_quorum_because(self) -> str:
        """Which nodes are missing for a majority of those that vote, for how long and why; empty if enough are there."""
        missing = self._missing_for_majority(votes=True)
        return f"no quorum: {missing}" if missing else ""

    @property
    def no_majority_because(self) -> str:
        """Of a node that learns only, or is about to: who else does not vote, if that leaves no majority; else empty."""
        missing = self._missing_for_majority(votes=False)
        if not missing:
            return ""
        return f"no majority votes now ({missing}): nothing is written or read at any node, until enough of them vote again"

    def _missing_for_majority(self, *, votes: bool) -> str:
        """Which peers do not vote, if too few are left, this node counted as it votes; else empty. By its links: they alone know
        at the very start."""
        down = [(peer, link.down_s, link.down_reason) for peer, link in self.peers.items() if not link.up]
        missing = {peer for peer, _, _ in down} | set(self.learners) | set(self.resting)
        there = len(self.peers) - len(missing) + votes
        return describe(down, self.learners, self.resting) if there < majority(len(self.peers) + 1) else ""


def statistics_of(
    node: int,
    shard: Shard,
    turns: TurnLoop,
    peers: Mapping[int, LinkStatistics],
    store: RocksStore,
    damage: DamageFound,
    clock: ClockStatus,
) -> NodeStatistics:
    """What a running node is doing at this moment."""
    context, differing = shard.context, shard.comparer.differing
    return NodeStatistics(
        node=node,
        serving=True,
        writes_refused_because=shard.writes_refused_because,
        disk_silent_ms=turns.disk_silent_ms,
        counters=context.counters.as_dict(),
        memory=shard.memory,
        lag=shard.lag,
        waiting_requests=shard.waiting_requests,
        waiting_events=turns.waiting,
        waiting_bytes=context.waiting_bytes + turns.inbox.frame_bytes + turns.inbox.request_bytes,
        in_flight_bytes=context.in_flight_bytes,
        stopped={
            entity: f"{found.headline}: {found.describe(entity, node)}" for entity, found in sorted(context.stopped.items())
        },
        differing={entity: describe_difference(entity, differing[entity]) for entity in sorted(differing)[:MAX_DESCRIBED]},
        differing_entities=len(differing),
        reentry=shard.progress,
        log_kept=store.log_kept(),
        transfers=shard.transfers,
        reconciliation=shard.reconciliation._replace(digests=store.digests_lacking()),
        peers=peers,
        turn_ms=turns.turn_ms,
        sync_ms=turns.sync_ms,
        events_per_turn=turns.events_per_turn,
        background=context.budget.usage(now_ms()),
        learners=tuple(sorted(context.reach.learners)),
        resting=tuple(sorted(context.reach.resting)),
        learns_only=context.tuning.learn_only,
        damage=damage,
        clock=clock,
    )


def describe_entity(node: int, store: RocksStore, state: Entity | None, entity: int, first: int, last: int) -> dict[str, Any]:
    """Pointers, marks and rows of one entity, as plain data. `state` is what a running node has of it in memory."""
    loaded = store.load(entity)
    pointers: dict[str, int | None] = dict.fromkeys(("committed", "contiguous_chosen", "max_chosen", "max_plog"))
    gaps: list[tuple[int, int]] = []
    if state is not None and state.mailbox is None:
        pointers = dict(zip(pointers, state.log.pointers, strict=True))
        gaps = state.log.gaps
    else:
        pointers |= {"committed": loaded.committed, "max_plog": loaded.max_plog}
    return {
        "entity": entity,
        "node": node,
        "in_memory": state is not None,
        "pointers": pointers,
        "gaps": gaps,
        "floor": loaded.floor,
        "recovering": loaded.recovering,
        "stopped": decode(loaded.stopped).describe(entity, node) if loaded.stopped else "",
        "rows": [_describe_row(entry, record) for entry, record in store.read_log(entity, first, last)],
    }


def _describe_row(entry: int, record: Record) -> dict[str, Any]:
    """A PLog row as plain data."""
    value = record.value
    return {
        "entry": entry,
        "prepared": record.prepared,
        "promised": record.promised,
        "accepted": record.accepted,
        "chosen": record.chosen,
        "value_id": None if value is None else value.id.hex(),
        "value_bytes": None if value is None else len(value.body),
    }
