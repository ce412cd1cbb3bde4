"""Rule 19c: a node that lost its disk asks intact peers which entities there are, and sets a floor for each.

Page by page, with one cursor over the ids of entities: of each page, all that were asked answer for the same range, and the
floors of the range and the new cursor are written at one go. Nothing else of the walk is kept: after a crash it goes on there.
"""

from __future__ import annotations

from ..entity.logstate import INFINITE, NEVER
from ..entry.record import Record, Value
from ..interface.event import FloorsLoaded
from ..interface.message import FloorPage, FloorRequest
from ..interface.ready import FloorRead, SetFloor
from ..log.log import Log
from ..turn.agenda import Part
from ..turn.context import Context
from ..turn.entities import Entities
from ..turn.standing import END, NOWHERE, State
from ..turn.waiting import floors_needed
from .membership import Membership
from .passing import Passing
from .settle import Settling
from .unseen import UnseenFloors

PAGE = 1_000
"""Entities of a page."""
PATIENCE_MS = 1_000.0
"""How long a peer is waited for that need not be asked: with the answers of all, floors are lower."""
FORCE_AFTER_MS = 10_000.0
"""How long one that is forced to go on with fewer peers waits for more of them all the same."""


class FloorWalk(Part):
    """Asks and answers for floors."""

    minds_disk = True

    def __init__(
        self, context: Context, entities: Entities, log: Log, membership: Membership, passing: Passing, unseen: UnseenFloors
    ) -> None:
        self._context = context
        self._entities = entities
        self._log = log
        self._membership = membership
        self._passing = passing
        self._standing = context.standing
        self._pages: dict[int, FloorPage] = {}
        """By peer, of the range after the cursor."""
        self._since_ms = -1.0
        """When this range was first asked for; negative: not yet."""
        self._ask_at_ms = 0.0
        self._step_turn = 0
        """The turn that wrote the last step: it is durable before the next range is asked for."""
        self._short_since_ms = -1.0
        """Since when there are too few peers to ask; negative: there are enough."""
        self._forced = False
        """There are too few, and the operator has said to go on without them."""
        self._unseen = unseen
        self._settling = Settling(context, entities, membership, passing, unseen)

    # -- at an intact peer

    def requested(self, peer: int, message: FloorRequest) -> None:
        """A peer comes back. It is answered if its disk is noted: should that be in this turn, it is durable before the read."""
        context, standing = self._context, self._standing
        if context.cannot_write or standing.row.state is not State.MEMBER or not standing.confirmed:
            return
        if standing.row.disks[peer].id == message.disk:
            if message.forced:
                self._membership.forget_absent()
            limit = min(max(message.limit, 1), PAGE)
            context.floor_reads[peer] = FloorRead(message.after, limit, peer, message.disk, message.forced)

    def loaded(self, event: FloorsLoaded) -> None:
        """Its page was read."""
        if self._standing.row.disks[event.peer].id == event.disk:
            default = 0 if event.forced else self._standing.row.default
            lost = [] if event.forced else [span for span in self._standing.row.damaged if span[1] > event.after]
            entities, held = list(event.entities), list(event.held)
            row, is_first = self._standing.row, event.after == NOWHERE
            disks = [(disk.id, disk.starts, disk.incarnation) for disk in row.disks] if is_first else []
            replaced = list(row.replaced) if is_first else []
            page = FloorPage(event.disk, event.after, entities, event.more, default, event.forced, held, lost, disks, replaced)
            self._context.send_early(event.peer, page)

    # -- at the one that re-enters

    def answered(self, peer: int, message: FloorPage) -> None:
        """A peer's page."""
        standing = self._standing
        row = standing.row
        if row.state is State.MEMBER:
            self._settling.answered(peer, message)
        if row.state is not State.REENTERING or message.disk != standing.disk.id or message.after != row.cursor:
            return
        if peer in standing.intact() and message.forced == self._forced:
            self._pages[peer] = message
            self.tick()

    @property
    def at_work(self) -> bool:
        row = self._standing.row
        return row.state is State.REENTERING or bool(row.default)

    def durable(self, turn: int) -> bool:
        self.tick()
        return False

    def tick(self) -> None:
        """Go on: ask, ask again, or set the floors of the range that is answered for."""
        context, standing = self._context, self._standing
        if standing.row.state is State.MEMBER:
            self._settling.tick()
        if standing.row.state is not State.REENTERING or context.cannot_write or context.durable_turn < self._step_turn:
            return
        asked = [peer for peer in standing.intact() if not context.reach.is_down(peer)]
        needed = self._needed(asked)
        if len(asked) < needed and len(self._pages) < needed:
            return
        if self._since_ms < 0.0:
            self._since_ms = context.now_ms
        waited = context.now_ms >= self._since_ms + PATIENCE_MS
        if len(self._pages) >= needed and (waited or all(peer in self._pages for peer in asked)):
            self._step()
        elif context.now_ms >= self._ask_at_ms:
            self._ask_at_ms = context.now_ms + context.tuning.retry_ms
            for peer in asked:
                if peer not in self._pages:
                    context.send_early(peer, FloorRequest(standing.disk.id, standing.row.cursor, PAGE, self._forced))

    def _needed(self, asked: list[int]) -> int:
        """How many answers a floor takes; forced, as many as there are, after some patience."""
        context, standing = self._context, self._standing
        needed = floors_needed(context)
        if len(asked) >= needed:
            self._short_since_ms = -1.0
            self._force(False)
            return needed
        if self._short_since_ms < 0.0:
            self._short_since_ms = context.now_ms
        if not standing.row.forced or context.now_ms < self._short_since_ms + FORCE_AFTER_MS:
            return needed
        if not asked and sum(not context.reach.is_down(peer) for peer in standing.words) < context.quorum - 1:
            return needed  # nobody is there: that is no loss yet
        self._force(True)
        return len(asked)

    def _force(self, forced: bool) -> None:
        """Ask for what rule 19 needs; or, forced, for what is applied and all rows above: from there whoever is there goes on."""
        if forced != self._forced:
            self._forced = forced
            if forced:
                self._membership.forget_absent()
            self._pages = {}
            self._ask_at_ms = 0.0

    def _step(self) -> None:
        """Set the floors of all entities up to where every page reaches."""
        context, standing, pages = self._context, self._standing, self._pages
        before = standing.row.cursor
        reach = min((page.entities[-1][0] for page in pages.values() if page.more), default=END)
        upto = self._inherit(reach)
        if upto == before:
            return  # until an entity is loaded
        if before == NOWHERE and (gone := self._membership.learn_disks(pages.values())):
            self._pages = {peer: page for peer, page in pages.items() if peer not in gone}
            return
        above = 1 if self._forced or len(pages) == context.n - 1 else 2
        # of what a peer does not list, all it can say is its own floor of such entities
        least = max((page.default - 1 for page in pages.values()), default=0)
        highest: dict[int, int] = {}
        for page in pages.values():
            for entity, entry in page.entities:
                if before < entity <= upto:
                    highest[entity] = max(entry, least, highest.get(entity, 0))
        floors = {entity: entry + above for entity, entry in sorted(highest.items())}
        default = max(least, 0) + above
        default = default if default > 1 else 0  # there is nothing below entry 1
        passed = {entity for entity, floor in floors.items() if context.reader.committed_entry(entity) >= floor - 1}
        written = {entity: 0 if entity in passed else floor for entity, floor in floors.items()}
        self._unseen.note(written)
        context.ready.changes += [SetFloor(entity, floor) for entity, floor in written.items()]
        context.work += len(floors)
        context.counters.floors_set += len(floors)
        for page in pages.values():
            for first, last in page.damaged:
                if first <= upto:  # nobody but the others can say; where they are too few, the rest goes on all the same
                    standing.lose(max(first, before + 1), min(last, upto))
        standing.walked(upto, default, set(context.peers) - set(pages), len(floors))
        self._membership.walked()
        if before == NOWHERE:
            self._passing.reset()
        self._passing.passed += len(passed)
        if upto == END:
            self._passing.begin()
        for loaded in self._entities:
            if loaded.mailbox is None and before < loaded.id <= upto:
                floor = floors.get(loaded.id, default)
                loaded.log.changed_turn = context.ready.turn
                if standing.is_damaged(loaded.id):
                    floor = INFINITE
                loaded.log.set_floor(floor, stored=loaded.id in floors and loaded.id not in passed)
                self._entities.touch(loaded)
        self._step_turn = context.ready.turn
        if upto == reach:
            self._pages = {}
            self._since_ms = -1.0
            self._ask_at_ms = 0.0

    def _inherit(self, upto: int) -> int:
        """Forced: take over the rows that those who were asked hold of an entity, in the turn that sets its floor. One entity
        at a time, for it has to be in memory. The last entity that may have its floor now."""
        before = self._standing.row.cursor
        held = [(one, peer) for peer, page in self._pages.items() for one in page.held if before < one.entity <= upto]
        if not held:
            return upto
        number = min(one.entity for one, _ in held)
        entity = self._entities.get(number)
        if entity.mailbox is not None:
            return number - 1
        for one, peer in sorted(held, key=lambda pair: pair[0].entry):
            if one.entity != number:
                continue
            # 19d: once that was chosen, the lost disk may have proposed the next one, and lost disks alone have seen it
            entity.log.no_preauth_through = max(entity.log.no_preauth_through, one.entry + 1)
            if one.entry <= entity.log.contiguous_chosen:
                continue
            entity.raise_max_chosen(one.entry - 1, peer)  # rule 11: who has a row at e knew that e-1 is chosen
            machine = self._log.open(entity, one.entry).machine
            row = machine.mine
            value = Value(one.value_id, one.body) if one.accepted else None
            machine.inherit(Record(0, one.promised, one.accepted, value, one.chosen))
            self._log.changed(entity, one.entry, row, machine.mine)
            self._context.counters.rows_inherited += machine.mine is not row
        return number

    def forget(self) -> None:
        """A turn could not be written: begin again where the disk says."""
        self._pages = {}
        self._since_ms = -1.0
        self._step_turn = 0
        self._settling.forget()
        self._context.floor_reads.clear()  # what they rest on may not have been noted

    @property
    def next_ms(self) -> float:
        if self._standing.row.state is not State.REENTERING:
            return self._settling.next_ms
        if self._since_ms < 0.0:
            return self._short_since_ms + FORCE_AFTER_MS if self._standing.row.forced and self._short_since_ms >= 0.0 else NEVER
        return max(self._ask_at_ms, self._context.now_ms) if self._ask_at_ms else NEVER
