"""Catch-up: asking for what is missing, and answering who asks."""

from __future__ import annotations

from .catchup import ENTRIES_PER_REQUEST, learned_from
from .context import Context
from .entities import Entities
from .entity import Entity
from .event import InventoryLoaded, LogLoaded
from .log import Log
from .message import CatchUpReply, CatchUpRequest, InventoryReply, InventoryRequest
from .ready import InventoryRead, LogRead
from .record import Value
from .write import Proposer

INVENTORY_PAGE = 1_000


class Learner:
    """Acts on the catch-up state (catchup.py) of entities."""

    def __init__(self, context: Context, entities: Entities, log: Log, proposer: Proposer) -> None:
        self._context = context
        self._entities = entities
        self._log = log
        self._proposer = proposer

    def learn(self, entity: Entity) -> None:
        """Ask for what is missing: known to be chosen, or accepted here and never heard of again."""
        context, catchup = self._context, entity.catchup
        goal = max(entity.max_chosen, entity.wanted)
        first = entity.contiguous_chosen + 1
        if goal < first:
            entity.wanted = 0
            opened = entity.opened.get(first)
            if opened is None or opened.driving or opened.machine.mine.is_empty or catchup.attempts >= 4:
                if opened is None:
                    catchup.restart()
                return
            if catchup.asked_at_ms < 0.0:
                catchup.asked_at_ms = context.now_ms  # give its proposer the time to say so first
        elif catchup.attempts >= context.n - 1:
            self._proposer.drive(entity, first)  # chosen, but nobody reachable knows it: a full round finds the value
        interval = context.tuning.retry_ms * (1 << min(catchup.attempts, 4))
        if not catchup.due(context.now_ms, interval):
            entity.wake_ms = min(entity.wake_ms, catchup.asked_at_ms + interval)
            return
        peer = catchup.next_peer(context.n, context.me)
        catchup.asked(context.now_ms)
        context.counters.catchup_requests += 1
        context.send_early(peer, CatchUpRequest(entity.id, first, ENTRIES_PER_REQUEST))
        entity.wake_ms = min(entity.wake_ms, context.now_ms + interval)

    def requested(self, entity: Entity, peer: int, message: CatchUpRequest) -> None:
        first = message.first
        last = min(entity.contiguous_chosen, first + min(message.limit, ENTRIES_PER_REQUEST) - 1)
        if first <= last:
            self._context.read_log(LogRead(entity.id, first, last, peer))
        else:
            self._context.send(entity, peer, CatchUpReply(entity.id, entity.contiguous_chosen, []))

    def log_loaded(self, event: LogLoaded) -> None:
        entity = self._entities.get(event.entity)
        entries = learned_from(list(event.records))
        known = entity.contiguous_chosen
        self._context.send(entity, event.peer, CatchUpReply(entity.id, known, entries))

    def replied(self, entity: Entity, peer: int, message: CatchUpReply) -> None:
        entity.raise_max_chosen(message.max_chosen, peer)
        for learned in message.entries:
            entity.raise_max_chosen(learned.entry, peer)
            self._log.learn(entity, learned.entry, learned.ballot, Value(learned.value_id, learned.body))
        if message.entries:
            entity.catchup.restart()
        else:
            entity.catchup.had_nothing(self._context.n - 1)
        self._entities.touch(entity)

    def inventory(self, peer: int, message: InventoryRequest | InventoryReply) -> None:
        context = self._context
        if isinstance(message, InventoryRequest):
            limit = min(max(message.limit, 1), INVENTORY_PAGE)
            context.inventory_reads[message.after, peer] = InventoryRead(message.after, limit, peer)
            return
        for number, committed in message.entities:
            if context.reader.committed_entry(number) < committed:
                entity = self._entities.get(number)
                entity.catchup.peer = peer
                entity.wanted = max(entity.wanted, committed)
                self._entities.touch(entity)
        if message.more and message.entities:
            context.send_early(peer, InventoryRequest(message.entities[-1][0], INVENTORY_PAGE))

    def inventory_loaded(self, event: InventoryLoaded) -> None:
        # the DB may run ahead of the sync, but a committed entry is chosen, whatever this replica forgets
        self._context.send_early(event.peer, InventoryReply(list(event.entities), event.more))
