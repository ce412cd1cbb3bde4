"""Rule 19e: what a node had of single entities is damaged, and all else is whole: these alone go the way of a lost disk.

    found      all that is kept of the entity is deleted, and the standing names it, in one write: from then on it only learns
    asked      up to which entry the peers have anything of it: so many that they meet every majority without this node
    floor      G+2, in one write with the end of its name in the standing; passed like any other (passing.py)

The floor is G+2 even if all peers have answered: this node's disk is the same one, so nobody is fenced, and what it has said
before may still be under way. Neighbours that are damaged are one range; each of its entities gets a floor of its own.
"""

from __future__ import annotations

from ..entity.entity import Entity
from ..entity.logstate import NEVER
from ..interface.event import LostLoaded
from ..interface.message import LostPage, LostRequest
from ..interface.ready import LostRead, ResetEntity, SetFloor
from ..turn.agenda import Part
from ..turn.context import Context
from ..turn.entities import Entities
from ..turn.standing import State
from ..turn.waiting import floors_needed
from .membership import Membership
from .passing import Passing
from .unseen import UnseenFloors

PAGE = 1_000
"""Entities of a page."""
MAX_READS = 256
"""Pages that peers have asked for, and that wait for their turn; more are dropped: they ask again."""
ABOVE = 2
"""How far above the highest entry that is known the floor is."""


class LostEntities(Part):
    """Asks and answers for the floors of entities that are damaged."""

    minds_disk = True

    def __init__(
        self, context: Context, entities: Entities, membership: Membership, passing: Passing, unseen: UnseenFloors
    ) -> None:
        self._context = context
        self._entities = entities
        self._membership = membership
        self._passing = passing
        self._standing = context.standing
        self._resetting: list[tuple[Entity, int]] = []
        """Entities, and the turn that deletes what is kept of each: loaded again when that is durable."""
        self._unnoted: list[Entity] = []
        """Entities whose damage cannot be noted before the disk takes writes: their load waits."""
        self._pages: dict[int, dict[int, LostPage]] = {}
        """First entity of a range -> peer -> its page."""
        self._numbers: dict[int, int] = {}
        """First entity of a range -> the number of the question that is asked for it."""
        self._ask_at_ms = 0.0
        self._step_turn = 0
        """The turn that wrote the last floors."""
        self._unseen = unseen

    # -- found

    def found(self, entity: Entity) -> None:
        """The rows of an entity that is being loaded are damaged: forget them. Its load begins again when that is durable."""
        context = self._context
        if context.cannot_write:
            self._unnoted.append(entity)
            return
        context.counters.entities_damaged += 1
        self._resetting.append((entity, context.ready.turn))
        context.agenda.add(self)
        context.ready.changes.append(ResetEntity(entity.id))
        self._standing.lose(entity.id, entity.id)
        self._membership.lost()

    @property
    def at_work(self) -> bool:
        return bool(self._resetting or self._standing.row.damaged)

    def durable(self, turn: int) -> bool:
        """What was found through this turn is noted, and the rows are gone."""
        while self._resetting and self._resetting[0][1] <= turn:
            self._load_again(self._resetting.pop(0)[0])
        self.tick()
        return False

    def writes_allowed(self) -> None:
        """What was found meanwhile can be noted."""
        while self._unnoted and not self._context.cannot_write:
            self._load_again(self._unnoted.pop())

    def _load_again(self, entity: Entity) -> None:
        if self._entities.find(entity.id) is entity:  # else another one has its own load
            self._context.loads.append(entity.id)

    # -- at a peer

    def requested(self, peer: int, message: LostRequest) -> None:
        context, standing = self._context, self._standing
        if context.cannot_write or standing.row.state is not State.MEMBER or not standing.confirmed:
            return
        last = self._sound_through(message.first, message.last)
        room = len(context.lost_reads) < MAX_READS
        if standing.row.disks[peer].id == message.disk and last >= message.first and room:
            context.lost_reads[peer, message.first] = LostRead(message.first, last, PAGE, peer, message.disk, message.number)

    def loaded(self, event: LostLoaded) -> None:
        """Its page was read."""
        standing = self._standing
        upto = self._sound_through(event.first, event.upto)  # a turn has gone by
        if standing.row.disks[event.peer].id == event.disk and upto >= event.first:
            entities = [(entity, entry) for entity, entry in event.entities if entity <= upto]
            page = LostPage(event.disk, event.number, event.first, upto, entities, standing.row.default)
            self._context.send_early(event.peer, page)

    def _sound_through(self, first: int, last: int) -> int:
        """Up to which entity this node knows all that it had, from `first` on; below `first`: not even of that one."""
        return min([last, *(begin - 1 for begin, end in self._standing.row.damaged if end >= first)])

    # -- at the one that has lost them

    def answered(self, peer: int, message: LostPage) -> None:
        """A peer's page."""
        standing = self._standing
        wanted = message.disk == standing.disk.id and message.number == self._numbers.get(message.first)
        if wanted and peer in standing.intact() and message.upto >= message.first:
            self._pages.setdefault(message.first, {})[peer] = message
            self.tick()

    def tick(self) -> None:
        """Go on: ask, ask again, or set floors."""
        context, standing = self._context, self._standing
        damaged = standing.row.damaged
        if not damaged or standing.row.state is not State.MEMBER or not standing.votes or context.cannot_write:
            return
        if context.durable_turn < self._step_turn:
            return
        needed = floors_needed(context)
        answered = [span for span in damaged if span[0] in self._numbers and len(self._pages.get(span[0], ())) >= needed]
        for first, last in answered:
            self._set_floors(first, last)
        if context.now_ms >= self._ask_at_ms:
            self._ask_at_ms = context.now_ms + context.tuning.retry_ms
            self._numbers = {first: self._numbers.get(first) or context.new_number() for first, _ in standing.row.damaged}
            self._pages = {first: pages for first, pages in self._pages.items() if first in self._numbers}
            asked = [peer for peer in standing.intact() if not context.reach.is_down(peer)]
            for first, last in standing.row.damaged:
                for peer in asked:
                    if peer not in self._pages.get(first, ()):
                        context.send_early(peer, LostRequest(standing.disk.id, self._numbers[first], first, last))

    def _set_floors(self, first: int, last: int) -> None:
        """Set the floors of all entities from `first` up to where every page reaches."""
        context, standing = self._context, self._standing
        pages = self._pages.pop(first).values()
        del self._numbers[first]
        upto = min(last, first + PAGE - 1, *(page.upto for page in pages))
        least = max(page.default - 1 for page in pages)  # of what a peer does not list, it can say no more
        highest = dict.fromkeys(range(first, upto + 1), 0)
        for page in pages:
            for entity, entry in page.entities:
                if first <= entity <= upto:
                    highest[entity] = max(entry, highest[entity])
        floors = {entity: max(entry, least, 0) + ABOVE for entity, entry in sorted(highest.items())}
        context.ready.changes += [SetFloor(entity, floor) for entity, floor in floors.items()]
        context.work += len(floors)
        context.counters.floors_set += len(floors)
        standing.found_floors(first, upto, len(floors))
        self._membership.lost()
        self._unseen.note(floors)
        for loaded in self._entities:
            if loaded.mailbox is None and first <= loaded.id <= upto:
                loaded.log.changed_turn = context.ready.turn
                floor = standing.floor_of(loaded.id, floors.get(loaded.id, 0), loaded.log.committed)
                loaded.log.set_floor(floor, stored=loaded.id in floors)
                self._entities.touch(loaded)
        self._step_turn = context.ready.turn
        self._passing.begin()

    def forget(self) -> None:
        """A turn could not be written: begin again where the disk says."""
        self._pages.clear()
        self._numbers.clear()
        self._unnoted += [entity for entity, _ in self._resetting]
        self._resetting.clear()
        self._step_turn = 0
        self._context.lost_reads.clear()

    @property
    def next_ms(self) -> float:
        if not self._standing.row.damaged or not self._standing.votes or self._context.cannot_write:
            return NEVER
        return max(self._ask_at_ms, self._context.now_ms)
