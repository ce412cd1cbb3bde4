"""Finding out which entities are further at a peer, without touching the others: down a tree of digests.

    a link comes up ─► each end tells the digests below the root ─► of nodes that differ here: those of their children, level by
    level ─► of buckets that differ: their entities, and how far they are applied ─► who is behind here is learned (learn.py)

Each node descends for itself, for what it lacks; of the peer it needs answers only, which rest on nothing that was asked before.
It goes depth first: what is remembered of a walk is bounded, and learning begins while the rest is looked for. A walk ends
whatever is written meanwhile: what a peer has applied when it tells the digests below the root is in them, and of what comes
later the peer tells over the link that is up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..entity.entity import NEVER, Entity
from ..interface.digest import BUCKETS_ASKED, CHILDREN, LEVELS, NODES_ASKED, differing
from ..interface.event import DigestsLoaded, InventoryLoaded
from ..interface.message import DigestReply, DigestRequest, InventoryReply, InventoryRequest
from ..interface.ready import DigestRead, InventoryRead
from ..turn.agenda import Part
from ..turn.budget import Job
from ..turn.context import Context
from ..turn.entities import Entities
from ..turn.rate import BURST_MS, Rate

MAX_FOUND = 16_384
"""Entities that are known to be behind and wait; with more, walks wait too."""
MAX_LOADING = 8
"""While so many entities are being loaded, for whatever reason, no more are begun: a request's load waits behind these."""
PER_CATCH_UP = 4
"""So many entities a place among those that ask (`max_catch_ups`) are loaded and begun."""
LOOKS = 256
"""So many of those are looked at in one go."""
MAX_DOUBLINGS = 4
COMPARED_WORK = 20
"""What it costs to compare the children of a node, in units of `Context.work`, as the next two: there, on the way, and here."""
LOOK_WORK = 20
"""To look here at one that a peer has listed."""
LISTED_WORK = 100
"""To find out whether one that a peer has listed is behind."""
BEGIN_WORK = 500
"""To load an entity, to ask and to write; its entries come on top."""
NOT_READY_MS = 200.0
"""How often the store is asked whether it knows its digests."""

TreePart = tuple[int, list[int]]
"""A level, and nodes there that differ."""


class Comparison(NamedTuple):
    """A walk, for whoever looks from outside."""

    peer: int
    under_way: bool
    share: float
    """How far it is: 1.0 is all."""
    behind: int
    """Entities found that are further at the peer."""
    seconds: float


class Reconciliation(NamedTuple):
    """What is known to be missing here."""

    comparisons: tuple[Comparison, ...]
    """With each peer that is there: the one under way, or the last one."""
    waiting: int
    """Entities that are behind and not begun."""
    under_way: int
    """Entities that are being caught up."""
    digests: str = ""
    """Why this node's digests are not known; empty: they are."""


class Walk:
    """Down the tree of one peer."""

    __slots__ = ("after", "asked_at_ms", "attempts", "began_ms", "behind", "due_ms", "ended_ms", "parts", "theirs")

    def __init__(self, now_ms: float) -> None:
        self.parts: list[TreePart] = [(0, [0])]
        """What is still to be looked at, in descending order: the last one is under way."""
        self.after = -1
        """The last entity that was listed of it."""
        self.theirs: bytes | None = None
        """The peer's digests for it, until this node's own are there."""
        self.asked_at_ms = NEVER
        """When the peer was asked about it; NEVER: it is not the peer that is waited for."""
        self.due_ms = NEVER
        """When the peer is to be asked about it; NEVER: it has been, or there is no room for what may be found."""
        self.attempts = 0
        self.behind = 0
        self.began_ms = self.ended_ms = now_ms

    @property
    def share(self) -> float:
        if not self.parts:
            return 1.0
        level, nodes = self.parts[-1]
        return float(nodes[0] / CHILDREN**level)

    def found(self, level: int, nodes: Sequence[int]) -> None:
        """Of the part under way, these children differ."""
        self.done()
        most = NODES_ASKED if level < LEVELS else BUCKETS_ASKED
        pieces = [(level, list(nodes[at : at + most])) for at in range(0, len(nodes), most)]
        self.parts += reversed(pieces)

    def done(self) -> None:
        """The part under way was looked at."""
        self.parts.pop()
        self.after, self.theirs, self.asked_at_ms, self.attempts = -1, None, NEVER, 0


class Reconciler(Part):
    """Compares with peers, and has learned what differs, at a rate."""

    def __init__(self, context: Context, entities: Entities) -> None:
        self._context = context
        self._entities = entities
        self._walks: dict[int, Walk] = {}
        """Peer -> its walk, the last one too."""
        self._found: dict[int, tuple[int, int]] = {}
        """Entity -> (applied entry, peer): behind, and not begun. The first one found comes first."""
        self._begun: set[int] = set()
        """Those that are being caught up."""
        self._rate = Rate()
        self._untold: set[int] = set()
        """Peers that are to be told the digests below the root when they are known."""
        self._look_at_ms = NEVER
        """When to ask the store again whether they are."""

    # -- when

    def peer_up(self, peer: int) -> None:
        """Tell it what is here, in case it has asked before and the answer was lost for want of this link; and ask."""
        self._read(peer, 0, [0], own=False)
        self.ask(peer)

    def peer_down(self, peer: int) -> None:
        self._untold.discard(peer)
        self._walks.pop(peer, None)

    def ask(self, peer: int) -> None:
        """Compare with this peer, from the start."""
        if self._context.cannot_write:
            return  # it asks for all when it can
        walk = self._walks[peer] = Walk(self._context.now_ms)
        self._go_on(peer, walk)

    def ask_all(self) -> None:
        """What peers have said meanwhile, this node has not taken in."""
        for peer in self._context.peers:
            if not self._context.reach.is_down(peer):
                self.ask(peer)

    def forget(self) -> None:
        """Entities were dropped from memory, and what is missing may be more than was known."""
        self._walks.clear()
        self._found.clear()
        self._begun.clear()

    # -- at the peer

    def digests_asked(self, peer: int, message: DigestRequest) -> None:
        self._read(peer, message.level, message.nodes, own=False)

    def inventory_asked(self, peer: int, message: InventoryRequest) -> None:
        self._context.inventory_reads[peer] = InventoryRead(peer, message.buckets, message.after)

    def inventory_loaded(self, event: InventoryLoaded) -> None:
        # the DB may run ahead of the sync, but a committed entry is chosen, whatever this replica forgets
        self._context.counters.buckets_listed += len(event.buckets)
        self._context.send_early(event.peer, InventoryReply(event.buckets, event.after, list(event.entities), event.more))

    # -- at the one that asks

    def digests_loaded(self, event: DigestsLoaded) -> None:
        """Digests of this node's own: for a peer, or to be compared with a peer's."""
        context = self._context
        if event.digests is None:
            context.counters.digests_not_ready += 1
            if event.own or event.level == 0:
                self._look_at_ms = context.now_ms + NOT_READY_MS
                context.agenda.add(self)
            if event.level == 0 and not event.own:
                self._untold.add(event.peer)
        elif event.own:
            self._compare(event.peer, event.level, event.nodes, event.digests)
        else:
            context.send_early(event.peer, DigestReply(event.level, event.nodes, event.digests))

    def digests_told(self, peer: int, message: DigestReply) -> None:
        """A peer's digests. Those below the root begin a walk, asked for or not."""
        context = self._context
        if context.cannot_write:
            return
        walk = self._walks.get(peer)
        if message.level == 0:
            if walk is None or walk.parts != [(0, [0])]:
                walk = self._walks[peer] = Walk(context.now_ms)
        elif walk is None or not walk.parts or walk.parts[-1] != (message.level, message.nodes):
            context.counters.digests_late += 1
            return
        walk.theirs = message.digests
        walk.asked_at_ms = walk.due_ms = NEVER
        self._read(peer, message.level, message.nodes, own=True)

    def _compare(self, peer: int, level: int, nodes: list[int], mine: bytes) -> None:
        walk = self._walks.get(peer)
        if walk is None or walk.theirs is None or walk.parts[-1] != (level, nodes):
            return  # a walk that has begun anew since
        others = differing(level, nodes, mine, walk.theirs)
        self._context.pay(Job.CATCH_UP, 0, COMPARED_WORK * len(nodes))
        self._context.counters.comparisons += level == 0
        self._context.counters.digests_differed += len(others)
        walk.found(level + 1, others)
        self._go_on(peer, walk)

    def inventory_told(self, peer: int, message: InventoryReply) -> None:
        """Which entities a peer has in buckets that differ."""
        context, walk = self._context, self._walks.get(peer)
        place = (LEVELS, message.buckets)
        if walk is None or not walk.parts or walk.parts[-1] != place or walk.after != message.after:
            context.counters.digests_late += 1
            return
        for number, committed in message.entities:
            if number not in context.stopped and context.reader.committed_entry(number) < committed:
                walk.behind += 1
                before = self._found.get(number, (0, peer))
                self._found[number] = max(before, (committed, peer))
                context.agenda.add(self)
        context.work += LOOK_WORK * len(message.entities)
        context.pay(Job.CATCH_UP, 0, LISTED_WORK * len(message.entities))
        if message.more:
            walk.after, walk.attempts = message.entities[-1][0], 0
        else:
            walk.done()
        self._go_on(peer, walk)
        self.begin()

    def _go_on(self, peer: int, walk: Walk) -> None:
        """Ask about the next part, if there is room for what may be found."""
        context = self._context
        walk.ended_ms = context.now_ms
        walk.asked_at_ms = walk.due_ms = NEVER
        if not walk.parts or len(self._found) >= MAX_FOUND:
            return
        context.agenda.add(self)
        level, nodes = walk.parts[-1]
        # whether anything differs is known at once
        wait_ms = context.budget.wait_ms(Job.CATCH_UP, context.now_ms) if level else 0.0
        if wait_ms:
            walk.due_ms = context.now_ms + wait_ms
            return
        walk.asked_at_ms = context.now_ms
        walk.attempts += 1
        request = DigestRequest(level, nodes) if level < LEVELS else InventoryRequest(nodes, walk.after)
        context.send_early(peer, request)

    def _read(self, peer: int, level: int, nodes: list[int], *, own: bool) -> None:
        self._context.digest_reads[peer, level, own] = DigestRead(peer, level, nodes, own)

    # -- what was found

    def begin(self) -> None:
        """Have as many of them caught up as there is room and time for."""
        context = self._context
        held = len(self._found) >= MAX_FOUND
        for _ in range(LOOKS):
            if not self._found or not self._has_room or self._rate.wait_ms(context.now_ms):
                break
            number = next(iter(self._found))
            committed, peer = self._found.pop(number)
            if context.reader.committed_entry(number) >= committed or number in context.stopped:
                continue  # it has come meanwhile
            entity = self._entities.get(number)
            entity.catchup.wanted = max(entity.catchup.wanted, committed)
            if number in self._begun:
                continue  # another peer has shown the same
            self._rate.pay(1, context.tuning.catch_up_entities_per_second, context.now_ms)
            context.pay(Job.CATCH_UP, 0, BEGIN_WORK)
            context.counters.entities_behind += 1
            entity.catchup.peer = peer
            self._begun.add(number)
            self._entities.touch(entity)
        if held and len(self._found) < MAX_FOUND:
            for peer, walk in self._walks.items():
                if walk.parts and walk.theirs is None and walk.asked_at_ms == walk.due_ms == NEVER:
                    self._go_on(peer, walk)

    def ended(self, entity: Entity) -> None:
        """Nothing is missing of it any more, or it is stopped."""
        if entity.id in self._begun:
            self._begun.discard(entity.id)
            self.begin()

    @property
    def _has_room(self) -> bool:
        context = self._context
        if context.cannot_write:
            return False
        # who is loaded brings a turn; one goes on however many are loaded for requests
        if self._begun and context.loading + len(context.loads) >= MAX_LOADING:
            return False
        return len(self._begun) < PER_CATCH_UP * context.tuning.max_catch_ups

    # -- time

    @property
    def at_work(self) -> bool:
        asks = any(walk.asked_at_ms != NEVER or walk.due_ms != NEVER for walk in self._walks.values())
        return bool(self._found) or asks or self._look_at_ms != NEVER

    def tick(self) -> None:
        now = self._context.now_ms
        if now >= self._look_at_ms:
            self._look_at_ms = NEVER
            for peer in self._untold:
                self._read(peer, 0, [0], own=False)
            self._untold.clear()
            for peer, walk in self._walks.items():
                if walk.theirs is not None:
                    self._read(peer, *walk.parts[-1], own=True)
        for peer, walk in self._walks.items():
            if now >= walk.due_ms:
                self._go_on(peer, walk)
            elif now >= self._repeat_at_ms(walk):
                self._context.counters.comparisons_repeated += 1
                self._go_on(peer, walk)
        self.begin()

    @property
    def next_ms(self) -> float:
        repeats = min([min(walk.due_ms, self._repeat_at_ms(walk)) for walk in self._walks.values()], default=NEVER)
        begins = NEVER
        if self._found and self._has_room:
            wait_ms = self._rate.wait_ms(self._context.now_ms)
            begins = self._context.now_ms + (wait_ms + BURST_MS if wait_ms else 0.0)  # several begin in one turn then
        return min(repeats, begins, self._look_at_ms)

    def _repeat_at_ms(self, walk: Walk) -> float:
        """When its question is put again, if no answer comes."""
        doublings = min(max(walk.attempts - 1, 0), MAX_DOUBLINGS)
        return walk.asked_at_ms + self._context.tuning.retry_ms * (1 << doublings)

    # -- for whoever looks

    def describe(self) -> Reconciliation:
        comparisons = tuple(
            Comparison(peer, bool(walk.parts), walk.share, walk.behind, (walk.ended_ms - walk.began_ms) / 1_000.0)
            for peer, walk in sorted(self._walks.items())
        )
        return Reconciliation(comparisons, len(self._found), len(self._begun))
