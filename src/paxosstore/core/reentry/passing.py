"""Rule 19c: has every entity pass its floor, idle ones too. Some at a time, from the disk's own list of floors.

A floor is passed when everything below it is applied here: then nothing is left that this node may have voted for and forgotten.
What is chosen is learned like any other (core/log/learn.py); what is not, a peer is asked to fill.
"""

from __future__ import annotations

from collections import deque

from ..entity.entity import Entity
from ..entity.logstate import INFINITE, NEVER
from ..interface.event import FloorsLoaded
from ..interface.ready import FloorRead, SetFloor
from ..turn.agenda import Part
from ..turn.context import Context
from ..turn.entities import Entities
from ..turn.standing import END, NOWHERE, State
from ..turn.waiting import describe_waiting
from .membership import Membership
from .progress import Progress

PAGE = 256
"""Floors read from the disk at a time."""
PATIENCE_MS = 5_000.0
"""After so long an entity makes room for others: what it needs is not there now."""
PAUSE_MS = 1_000.0
"""Between one round over what is left and the next."""


class Passing(Part):
    """Walks over this node's own floors."""

    minds_disk = True

    def __init__(self, context: Context, entities: Entities, membership: Membership) -> None:
        self._context = context
        self._entities = entities
        self._membership = membership
        self._standing = context.standing
        self._active: dict[int, float] = {}
        """Entity -> when it has made room, if it has not passed by then."""
        self._page: deque[int] = deque()
        self._after = NOWHERE
        self._more = True
        self._reading = False
        self._round = 0
        """Which one this is: a page that was read for an earlier one may lack floors that were set since (seed 50001416)."""
        self._left_behind = False
        """In this round some entity did not pass."""
        self._done = not self._standing.active
        self._look_at_ms = 0.0
        self.passed = 0
        """Since this start."""
        self._passed_before = self._standing.row.passed
        self.began_ms = -1.0

    @property
    def is_done(self) -> bool:
        """Whether no floor is left that is on the disk."""
        return self._done

    @property
    def passed_in_all(self) -> int:
        return self._passed_before + self.passed

    @property
    def at_work(self) -> bool:
        return not self._done

    def tick(self) -> None:
        self.go_on()

    def durable(self, turn: int) -> bool:
        self.go_on()
        return False

    def reset(self) -> None:
        """This node re-enters: there are floors anew."""
        self._passed_before = self.passed = 0
        self.began_ms = self._context.now_ms

    def begin(self) -> None:
        """All floors are set."""
        self._done = False
        self._context.agenda.add(self)
        self._begin_round()

    def loaded(self, event: FloorsLoaded) -> None:
        """A page of this node's own floors."""
        if event.disk != self._round:
            return
        self._reading = False
        self._page.extend(entity for entity, _ in event.entities)
        self._more = event.more
        if event.entities:
            self._after = event.entities[-1][0]
        self._membership.note_passed(self.passed_in_all)
        self.go_on()

    def entity_loaded(self, entity: Entity) -> None:
        """An entity is in memory now."""
        if entity.id in self._active:
            self._want(entity)
            self.go_on()

    def attended(self, entity: Entity) -> None:
        """See whether an entity has passed its floor."""
        log = entity.log
        if log.committed < log.floor - 1 or self._context.cannot_write:
            return
        if log.floor_stored:
            self._context.ready.changes.append(SetFloor(entity.id, 0))
            log.changed_turn = self._context.ready.turn
            self._context.counters.floors_passed += 1
            self.passed += 1
        log.set_floor(0, stored=False)
        self._entities.touch(entity)  # it may vote now, and answer
        if self._active.pop(entity.id, None) is not None:
            self.go_on()

    def go_on(self) -> None:
        """Take up the next entities, as many as there is room for."""
        context = self._context
        if self._done or context.cannot_write or self._standing.row.cursor != END or not self._standing.votes:
            return
        now = context.now_ms
        if self.began_ms < 0.0:
            self.began_ms = now
        if now < self._look_at_ms and not self._page and not self._active:
            return
        late = [entity for entity, until_ms in self._active.items() if now >= until_ms]
        for number in late:
            del self._active[number]
            self._left_behind = True
        while self._page and len(self._active) < context.tuning.max_catch_ups:
            self._take_up(self._page.popleft(), now + PATIENCE_MS)
        if not self._page and not self._reading:
            if self._more:
                self._reading = True
                context.floor_reads[context.me] = FloorRead(self._after, PAGE, context.me, self._round)
            elif not self._active:
                self._end_round()

    def _take_up(self, number: int, until_ms: float) -> None:
        self._active[number] = until_ms
        entity = self._entities.get(number)
        if entity.mailbox is None:
            self._want(entity)

    def _want(self, entity: Entity) -> None:
        """Have all below the floor learned."""
        log, context = entity.log, self._context
        if not log.floor:
            self._active.pop(entity.id, None)  # it has passed, and a crash may have left the row
            if not context.cannot_write:
                context.ready.changes.append(SetFloor(entity.id, 0))
        elif log.floor < INFINITE:
            entity.catchup.wanted = max(entity.catchup.wanted, log.floor - 1)
            self._entities.touch(entity)

    def _begin_round(self) -> None:
        self._round += 1
        self._reading = False
        self._after, self._more, self._left_behind = NOWHERE, True, False
        self._page.clear()
        self._active.clear()
        self._look_at_ms = 0.0

    def _end_round(self) -> None:
        if self._left_behind:
            self._begin_round()
            self._look_at_ms = self._context.now_ms + PAUSE_MS
            return
        self._done = True
        if self._standing.row.passed != self._standing.row.floors:
            self.passed = self._standing.row.floors - self._passed_before
            self._membership.note_passed(self._standing.row.floors)

    def forget(self) -> None:
        """A turn was not written, and entities were dropped from memory: go by what the disk says."""
        self._done = not self._standing.active
        self.passed = max(0, self._standing.row.passed - self._passed_before)  # a floor counted since then may be there still
        self._begin_round()

    def progress(self) -> Progress:
        """Where re-entry stands."""
        row, now = self._standing.row, self._context.now_ms
        without = tuple(peer for peer in self._context.peers if row.without >> peer & 1)
        return Progress(
            row.state.value,
            describe_waiting(self._context),
            min(self.passed_in_all, row.floors),
            row.floors,
            row.state is State.REENTERING,
            self.passed,
            self._context.counters.bytes_learned,
            0.0 if self.began_ms < 0.0 else (now - self.began_ms) / 1000.0,
            without if row.forced else (),
        )

    @property
    def next_ms(self) -> float:
        if self._done or self._standing.row.state is not State.MEMBER:
            return NEVER
        if self._active:
            return min(self._active.values())
        return self._look_at_ms or NEVER
