"""Rule 19c, five nodes: the floor of entities that nobody listed falls when all peers have answered after all.

A node that came back while a peer was away has a default floor of 2: of an entity that nobody knew, the absent one might have
held something that rests on a vote of the lost disk at entry 1. As soon as all peers are members that have noted this disk, each
lists what it has. What one of them lists, and is not applied here, keeps that floor, as one of its own; all else is free.
"""

from __future__ import annotations

from ..entity.logstate import NEVER
from ..interface.message import FloorPage, FloorRequest
from ..interface.ready import SetFloor
from ..turn.context import Context
from ..turn.entities import Entities
from ..turn.standing import END, NOWHERE, State
from .membership import Membership
from .passing import Passing
from .unseen import UnseenFloors

PAGE = 1_000
"""Entities of a page."""


class Settling:
    """Asks all peers once more, page by page. Kept in memory: after a restart it begins anew."""

    def __init__(
        self,
        context: Context,
        entities: Entities,
        membership: Membership,
        passing: Passing,
        unseen: UnseenFloors,
    ) -> None:
        self._context = context
        self._entities = entities
        self._membership = membership
        self._passing = passing
        self._standing = context.standing
        self._unseen = unseen
        self._cursor = NOWHERE
        self._pages: dict[int, FloorPage] = {}
        self._ask_at_ms = 0.0
        self._step_turn = 0
        """The turn that wrote the last step: it is durable before the next range is asked for."""

    @property
    def _is_due(self) -> bool:
        """Whether there is such a floor, no other is left, and all peers can be asked."""
        standing, context = self._standing, self._context
        if standing.row.state is not State.MEMBER or not standing.row.default or not standing.confirmed or context.cannot_write:
            return False
        if standing.row.damaged:
            return False  # of these a floor of their own comes first
        there = [peer for peer in standing.intact() if not context.reach.is_down(peer)]
        return self._passing.is_done and len(there) == len(context.peers)

    def answered(self, peer: int, message: FloorPage) -> None:
        """A peer's page, read when it had noted this disk."""
        wanted = message.disk == self._standing.disk.id and message.after == self._cursor and not message.forced
        if wanted and not message.damaged:  # else it does not say all that it had
            self._pages[peer] = message
            self.tick()

    def tick(self) -> None:
        """Ask, ask again, or go on behind the range that all have answered for."""
        context = self._context
        if not self._is_due or context.durable_turn < self._step_turn:
            return
        if len(self._pages) == len(context.peers):
            self._step()
        elif context.now_ms >= self._ask_at_ms:
            self._ask_at_ms = context.now_ms + context.tuning.retry_ms
            for peer in context.peers:
                if peer not in self._pages:
                    context.send_early(peer, FloorRequest(self._standing.disk.id, self._cursor, PAGE))

    def _step(self) -> None:
        """Keep the floor of what is listed; behind the last page, end it for all else."""
        context, standing, before = self._context, self._standing, self._cursor
        upto = min((page.entities[-1][0] for page in self._pages.values() if page.more), default=END)
        listed = {entity for page in self._pages.values() for entity, _ in page.entities if before < entity <= upto}
        floors = {
            entity: standing.row.default
            for entity in sorted(listed)
            if context.reader.committed_entry(entity) < standing.row.default - 1
        }
        context.ready.changes += [SetFloor(entity, floor) for entity, floor in floors.items()]
        context.counters.floors_set += len(floors)
        context.work += len(listed)
        standing.settled(upto == END, len(floors))
        self._membership.walked()
        self._unseen.note(floors)
        for entity in self._entities:
            if entity.mailbox is None and entity.log.floor and not entity.log.floor_stored:
                if entity.id in floors:
                    entity.log.changed_turn = context.ready.turn
                    entity.log.set_floor(floors[entity.id], stored=True)
                elif upto == END:
                    entity.log.set_floor(0, stored=False)
                    self._entities.touch(entity)
        self._pages = {}
        self._ask_at_ms = 0.0
        self._step_turn = context.ready.turn
        self._cursor = upto
        if upto == END:
            context.counters.defaults_settled += 1
            self._cursor = NOWHERE
            self._passing.begin()

    def forget(self) -> None:
        """A turn could not be written: begin again."""
        self._cursor = NOWHERE
        self._pages = {}
        self._step_turn = 0

    @property
    def next_ms(self) -> float:
        waits = self._context.durable_turn < self._step_turn or not self._is_due
        return NEVER if waits else max(self._ask_at_ms, self._context.now_ms)
