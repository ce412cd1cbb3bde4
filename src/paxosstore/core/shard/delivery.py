"""Messages of peers, each brought to the part that acts on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..entity.entity import Entity
from ..handover.handover import HandOvers
from ..interface.event import Received
from ..interface.message import HandOver, Message, PaxosMessage, Standing
from ..log.log import Log
from ..log.onlooker import Onlooker
from ..log.write import Proposer
from ..reentry.membership import Membership
from ..turn.admission import Admission
from ..turn.context import Context
from ..turn.entities import Entities
from .intake import Intake


class Delivery:
    """Brings messages to entities and to the node. Who else takes which kind is said by `to_entity` and `to_node`."""

    def __init__(
        self,
        context: Context,
        entities: Entities,
        log: Log,
        *,
        admission: Admission,
        handovers: HandOvers,
        intake: Intake,
        membership: Membership,
        onlooker: Onlooker,
        proposer: Proposer,
        to_entity: Mapping[type, Callable[[Entity, int, Any], None]],
        to_node: Mapping[type, Callable[[int, Any], None]],
        go_on: Callable[[], None],
    ) -> None:
        self._context = context
        self._entities = entities
        self._log = log
        self._agreement = log.agreement
        self._admission = admission
        self._handovers = handovers
        self._intake = intake
        self._membership = membership
        self._onlooker = onlooker
        self._proposer = proposer
        self._to_entity: dict[type, Callable[[Entity, int, Any], None]] = {
            PaxosMessage: self._on_paxos,
            HandOver: self._on_hand_over,
            **to_entity,
        }
        self._to_node = to_node
        self._go_on = go_on
        """Called when a peer has said what it is: re-entry may go on."""

    def received(self, event: Received) -> None:
        """Messages from a peer. Those of another disk than the peer's own are not taken in, but for what it says of itself."""
        peer, messages = event.peer, event.messages
        if not self._membership.admits(peer, event.disk):
            words = [message for message in messages if type(message) is Standing]
            if len(words) < len(messages):
                self._membership.turned_away(peer)
            messages = words
        if self._context.silence.for_ms:
            messages = list(self._context.silence.take_in(messages))
        for message in messages:
            on_message = self._to_node.get(type(message))
            if on_message is not None:
                on_message(peer, message)
            elif type(message) is Standing:
                self._membership.heard(peer, event.disk, message)
                self._go_on()
            else:
                self.deliver(peer, message)

    def deliver(self, peer: int, message: Message) -> None:
        """A message to an entity: it waits while that is being loaded (rule 9)."""
        if self._context.tuning.learn_only and type(message) is HandOver:
            self._handovers.turn_away(peer, message)
            return
        entity = self._entities.get(message.entity)  # type: ignore[union-attr]  # inventories do not come here
        if entity.mailbox is not None:
            self._admission.keep(entity.mailbox, peer, message)
            return
        if entity.stopped is None or not self._agreement.answer(entity, peer, message):
            self._to_entity[type(message)](entity, peer, message)
            if entity.stopped is not None:
                self._entities.touch(entity)

    def _on_paxos(self, entity: Entity, peer: int, message: PaxosMessage) -> None:
        if not self._agreement.holds(entity, peer, message.max_chosen, message.chosen_id):
            return
        if message.chosen and not self._agreement.holds(entity, peer, message.entry, message.value_id):
            return
        if self._context.cannot_write:  # a vote could not be kept
            self._onlooker.heard(entity, peer, message)
            return
        opened = self._log.receive(entity, peer, message)
        if opened is not None:
            self._proposer.answered(entity, message.entry, opened)
        elif entity.log.max_chosen == entity.log.contiguous_chosen:
            return  # a late answer about what is settled, as the slowest peer's is for every entry
        self._entities.touch(entity)

    def _on_hand_over(self, entity: Entity, peer: int, message: HandOver) -> None:
        request = self._handovers.received(entity, peer, message)
        if request is not None:
            self._intake.take(request)
