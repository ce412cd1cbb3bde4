"""What an entity can do in a turn, once everything that has arrived is taken in: each that was touched is looked at once."""

from __future__ import annotations

from ..entity.entity import NEVER, Entity
from ..handover.handover import HandOvers
from ..interface.ready import Release
from ..log.giveway import RightOfWay
from ..log.install import Installer
from ..log.learn import Learner
from ..log.log import Log
from ..log.onlooker import Onlooker
from ..log.pace import Pace
from ..log.serve import ReadServer
from ..log.write import Proposer
from ..reentry.passing import Passing
from ..turn.context import Context
from ..turn.entities import Entities
from ..verify.comparer import Comparer
from .undecided import Undecided

ATTEND_WORK = 10
"""What looking at an entity costs, whatever is found there, in units of `Context.work`."""


class Attendance:
    """Looks at entities. What it finds to do is done by those that it is given."""

    def __init__(
        self,
        context: Context,
        entities: Entities,
        log: Log,
        *,
        pace: Pace,
        proposer: Proposer,
        handovers: HandOvers,
        passing: Passing,
        reads: ReadServer,
        installer: Installer,
        learner: Learner,
        onlooker: Onlooker,
        way: RightOfWay,
        comparer: Comparer,
        undecided: Undecided,
    ) -> None:
        self._context = context
        self._entities = entities
        self._log = log
        self._pace = pace
        self._proposer = proposer
        self._handovers = handovers
        self._passing = passing
        self._reads = reads
        self._installer = installer
        self._learner = learner
        self._onlooker = onlooker
        self._way = way
        self._comparer = comparer
        self._undecided = undecided

    def attend_touched(self) -> bool:
        """Look at what was touched, as far as the turn's work goes. Whether something was left for the next turn."""
        context, entities = self._context, self._entities
        context.work, most = 0, context.tuning.max_turn_work
        while context.work < most and (entity := entities.next_touched()) is not None:
            self._attend(entity)
            context.work += ATTEND_WORK
        if self._pace.on_agenda:
            for entity in self._pace.due():
                self._attend(entity)
        left = entities.leave()
        entities.evict()
        return left

    def _attend(self, entity: Entity) -> None:
        """Everything an entity can do now, in the one order that is right."""
        context, proposer = self._context, self._proposer
        entity.wake_ms = NEVER
        if self._leaves(entity):
            return
        before = entity.log.contiguous_chosen
        self._pace.begin()
        applies = not (context.cannot_write or entity.is_copying)  # what is applied has to be written, before a copy of less
        decided = self._log.advance(entity, self._pace) if applies else None
        if context.pauses:
            self._comparer.views.applied(entity)
        release = context.release_told(entity)  # before this turn's own proposal, which has nothing to do with what is told
        if decided is not None:
            in_flight, chosen = decided
            proposer.finish(entity, in_flight, chosen, release)
            entity.handover.taking_over = False
            if chosen:
                self._handovers.chosen(entity, in_flight.evaluated.proposed)
        if self._leaves(entity):  # what is chosen next cannot be read
            return
        if entity.log.floor or entity.log.floor_stored:
            self._passing.attended(entity)
        if entity.log.contiguous_chosen != before:
            entity.log.lease_until_ms = 0.0
            self._log.tell_chosen(entity, entity.news.readers)
            entity.news.readers.clear()
        if context.tuning.learn_only and entity.busy:
            self._undecided.end_learning(entity)
        if entity.reads and entity.serves:
            self._reads.serve(entity)
        self._installer.look(entity)
        if entity.install is not None:
            self._handovers.send_away(entity)
            self._installer.attend(entity)
        elif context.cannot_write:
            if not self._learner.must_copy(entity):  # that waits for room, and reads go to peers meanwhile
                self._onlooker.ask(entity)
        else:
            if entity.writes.queue and entity.writes.in_flight is None:
                self._propose(entity, release)
            proposer.see_through(entity)
            self._learner.learn(entity)
        if entity.way.claim is not None and not entity.writes.queue and entity.writes.in_flight is None:
            self._way.withdraw(entity)
        if entity.way.given is not None:
            self._way.remember(entity)
        if entity.news.untold:
            self._log.tell_due(entity)
        self._pace.attended(entity)
        self._entities.attended(entity)
        entity.log.validate()

    def _leaves(self, entity: Entity) -> bool:
        """Whether it is stopped: nothing is done for it then but to say why."""
        if entity.stopped is None:
            return False
        self._undecided.end_stopped(entity)
        self._learner.give_up(entity)
        self._installer.give_up(entity)
        self._pace.attended(entity)
        self._entities.attended(entity)
        return True

    def _propose(self, entity: Entity, release: Release) -> None:
        """Have what waits proposed: after whoever comes first; by the preferred proposer if it can take all of it, or here."""
        way = self._way
        if not (entity.handover.count or way.gives_way(entity) or self._handovers.send_waiting(entity) or way.asks(entity)):
            self._proposer.start(entity, release)
