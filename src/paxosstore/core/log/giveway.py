"""Who proposes next where several compete for an entity: those whose requests have waited since the lowest entry. Deciding only.

A batch is evaluated at one entry and proposed at the next. If somebody else fills that one first, the work was in vain: who takes
long to evaluate would lose every time against a stream of quick requests. So who has lost asks the others to give way before it
evaluates again, and they hold new proposals of their own back until they see a value of the asker chosen.

A hint, like the lease (rule 13): made up, lost or doubled, it changes who proposes and when, never what is chosen. Who asks and
does not come costs the others a pause with an end, and none again before they have proposed themselves.
"""

from __future__ import annotations

from ..entity.entity import Entity
from ..entity.way import Claim, Given
from ..entity.writes import InFlight
from ..interface.message import GiveWay
from ..turn.context import Context
from ..turn.entities import Entities

LEAST_MS = 100.0
"""The shortest time that others are asked to give way for: they do so no longer than is needed anyway."""
ATTEMPTS = 3
"""They are asked for so many times what the last attempt took."""


class RightOfWay:
    """Acts on who has lost, and on who asks."""

    def __init__(self, context: Context, entities: Entities) -> None:
        self._context = context
        self._entities = entities

    def gives_way(self, entity: Entity) -> bool:
        """Whether somebody else comes first."""
        given, context = entity.way.given, self._context
        if given is None:
            return False
        if context.now_ms < given.until_ms and not context.reach.is_down(given.peer):
            entity.wake_at(given.until_ms)
            return True
        entity.way.given = None
        if entity.writes.queue:
            context.counters.way_given_in_vain += 1
            entity.way.in_vain = True
        return False

    def asked(self, entity: Entity, peer: int, message: GiveWay) -> None:
        """A peer asks us to give way, or needs it no longer."""
        context, given, claim = self._context, entity.way.given, entity.way.claim
        if not message.for_ms:
            if given is not None and given.peer == peer:
                entity.way.given = None
                self._entities.touch(entity)
            return
        if entity.way.in_vain:
            return
        theirs = message.since, peer
        if claim is not None and (claim.since, context.me) < theirs:
            return
        if given is not None and context.now_ms < given.until_ms and (given.since, given.peer) < theirs:
            return
        context.counters.way_given += 1
        entity.way.given = Given(peer, message.since, context.now_ms + min(message.for_ms, context.tuning.give_way_ms))
        if claim is not None:
            claim.goes_at_ms = 0.0  # they may have given way to that peer instead: they are asked again
        self._entities.touch(entity)

    def remember(self, entity: Entity) -> None:
        """Keep in mind whom we give way to for as long as that lasts, also when nothing waits here: else the entity might leave
        memory (rule 18), and the next request here would know of nobody who comes first."""
        given = entity.way.given
        if given is not None and self._context.now_ms < given.until_ms:
            entity.wake_at(given.until_ms)

    def decided(self, entity: Entity, in_flight: InFlight, chosen: bool) -> None:
        """The own batch has ended: the first request that has lost since the last success says how old the claim is."""
        entity.way.in_vain = False
        if chosen:
            entity.way.claim = None
        elif entity.writes.queue and not entity.writes.queue[0].at_entry:  # such a one ends at once: its entry is taken
            since = in_flight.evaluated.entry if entity.way.claim is None else entity.way.claim.since
            entity.way.claim = Claim(since, self._context.now_ms - in_flight.since_ms)

    def withdraw(self, entity: Entity) -> None:
        """Nothing waits here any more: if the others give way to us, they need not."""
        claim, entity.way.claim = entity.way.claim, None
        if claim is not None and claim.goes_at_ms:
            self._say(entity, claim, 0)

    def asks(self, entity: Entity) -> bool:
        """After a loss: ask the others to give way, and let end what they have under way; whether to wait for that."""
        claim, context = entity.way.claim, self._context
        if claim is None:
            return False
        if not claim.goes_at_ms:
            context.counters.way_asked += 1
            pause_ms = min(context.tuning.lease_ms, claim.took_ms)
            claim.goes_at_ms = context.now_ms + pause_ms
            self._say(entity, claim, int(pause_ms + max(LEAST_MS, ATTEMPTS * claim.took_ms)))
        if context.now_ms < claim.goes_at_ms:
            entity.wake_at(claim.goes_at_ms)
            return True
        return False

    def _say(self, entity: Entity, claim: Claim, for_ms: int) -> None:
        for peer in self._context.peers:
            self._context.send_early(peer, GiveWay(entity.id, claim.since, for_ms))
