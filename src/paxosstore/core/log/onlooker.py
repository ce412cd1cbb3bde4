"""Reads at a node whose disk takes no writes (rule 8): what is chosen is applied in memory only, as far as reads ask for it.

The own rows stay as they are on the disk. So nothing is shown that a restart would forget: peers that ask are shown those
rows, and are told nothing of what memory alone knows. When the disk takes writes again, what was applied in memory is
dropped, and learned once more by catch-up.
"""

from __future__ import annotations

from ...errors import DiskFull
from ..entity.ahead import Ahead
from ..entity.catchup import ENTRIES_PER_REQUEST
from ..entity.entity import Entity
from ..entry.record import Record, Value
from ..interface.message import CatchUpReply, CatchUpRequest, PaxosMessage
from ..turn.context import Context
from ..turn.entities import Entities
from .log import Log

MAX_DROPPED = 64
"""Entities looked at, to see whether what they hold can be dropped for another's sake."""


class Onlooker:
    """Looks on at what the others choose, while this node cannot vote."""

    def __init__(self, context: Context, entities: Entities, log: Log) -> None:
        self._context = context
        self._entities = entities
        self._log = log
        self._holding: dict[int, Entity] = {}
        """Entities that are ahead of the DB, the one used last at the end."""
        self._size = 0

    # -- what comes in

    def heard(self, entity: Entity, peer: int, message: PaxosMessage) -> None:
        """A peer's row: it is seen, and the own one is shown if the peer asks for it; neither changes the own one."""
        context, entry = self._context, message.entry
        entity.raise_max_chosen(max(entry - 1, message.max_chosen, entry if message.chosen else 0), peer)
        if entry <= entity.log.contiguous_chosen:
            if message.asks:
                self._log.teach(entity, entry, peer)
            return
        if not self._log.is_credible(entity, peer, message):
            context.counters.messages_dropped += 1
            return
        opened = entity.log.opened.get(entry)
        if opened is not None and not opened.machine.mine.is_empty and (message.asks or message.wants_value):
            self._log.tell(entity, entry, opened, [peer], force_value=message.wants_value)
        if entity.reads.needs_entry < entry or entry != entity.log.applied + 1:
            return
        opened = self._log.open(entity, entry)
        value = None
        if message.value_id:
            value = (
                Value(message.value_id, message.body) if message.body is not None else opened.machine.resolve(message.value_id)
            )
            if value is None:  # rule 4
                if not message.wants_value:
                    self._log.tell(entity, entry, opened, [peer], wants_value=True)
                return
        row = Record(message.prepared, message.promised, message.accepted, value, message.chosen)
        decided = opened.machine.witness(peer, row)
        if decided is not None:
            entity.raise_max_chosen(entry, peer)
            self._apply(entity, entry, decided[1])
        self._entities.touch(entity)

    def replied(self, entity: Entity, peer: int, message: CatchUpReply) -> None:
        """Chosen entries from a peer."""
        entity.raise_max_chosen(message.max_chosen, peer)
        for learned in message.entries:
            entity.raise_max_chosen(learned.entry, peer)
            if learned.entry <= entity.reads.needs_entry:
                self._apply(entity, learned.entry, Value(learned.value_id, learned.body))
        if message.entries:
            entity.catchup.has_come()
        else:
            entity.catchup.lacks(peer, gone=message.gone)
            entity.catchup.had_nothing(self._context.n - 1)
        self._entities.touch(entity)

    # -- what is done for reads

    def ask(self, entity: Entity) -> None:
        """Ask for the next entry that reads wait for: what was chosen there, or whether anything was."""
        context, reads, catchup = self._context, entity.reads, entity.catchup
        self._advance(entity)
        entry = entity.log.applied + 1
        if reads.needs_entry < entry or entity.stopped is not None:
            return
        if not self._has_room(entity):
            self._refuse(entity)
            return
        undecided = entry > entity.log.max_chosen
        if undecided:
            patience_ms = min(blocked.since_ms for blocked in reads.blocked) + context.tuning.drive_after_ms
            if context.now_ms < patience_ms:  # its proposer says so first, as a rule
                entity.wake_at(patience_ms)
                return
        interval = context.tuning.retry_ms * (1 << min(catchup.attempts, 4))
        if not catchup.due(context.now_ms, interval):
            entity.wake_at(catchup.asked_at_ms + interval)
            return
        if undecided:  # it cannot be driven from here, but the others' votes show whether it is decided
            self._log.tell(entity, entry, self._log.open(entity, entry), context.peers, asks=True)
        else:
            context.counters.catchup_requests += 1
            peer = catchup.next_peer(context.n, context.me)
            context.send_early(peer, CatchUpRequest(entity.id, entry, ENTRIES_PER_REQUEST))
        catchup.asked(context.now_ms)
        entity.wake_at(context.now_ms + interval)

    def end(self) -> None:
        """The disk takes writes again: everything is forgotten that it does not know. What was told meanwhile was let pass by."""
        self._context.cannot_write = ""
        for entity in list(self._holding.values()):
            self._drop(entity)
            entity.reads.ask_again()
            entity.catchup.restart()
            self._entities.touch(entity)

    def _advance(self, entity: Entity) -> None:
        """Apply what the own rows say is chosen and the DB has not taken in."""
        while entity.log.applied < entity.reads.needs_entry and entity.stopped is None:
            opened = entity.log.opened.get(entity.log.applied + 1)
            if opened is None or not opened.machine.mine.chosen:
                return
            assert opened.machine.mine.value is not None
            self._apply(entity, entity.log.applied + 1, opened.machine.mine.value)
            self._entities.touch(entity)

    # -- memory

    def _apply(self, entity: Entity, entry: int, value: Value) -> None:
        if entry != entity.log.applied + 1 or entity.stopped is not None:
            return
        context = self._context
        batch = self._log.read(entity, entry, value)
        if batch is None:
            return
        ahead = entity.log.ahead
        if ahead is None:
            ahead = entity.log.ahead = Ahead(entity.log.committed)
        before = ahead.size
        ahead.apply(batch)
        self._size += ahead.size - before
        self._holding.pop(entity.id, None)
        self._holding[entity.id] = entity
        context.counters.entries_read_ahead += 1
        context.work += len(batch.writes) + (len(value.body) >> 10)

    def _has_room(self, entity: Entity) -> bool:
        """Whether memory may take another entry, if need be instead of what nobody reads now."""
        limit = self._context.tuning.max_unwritten_bytes
        if self._size >= limit:
            for _, other in zip(range(MAX_DROPPED), list(self._holding.values()), strict=False):
                if other is not entity and not other.reads:
                    self._drop(other)
        return self._size < limit

    def _refuse(self, entity: Entity) -> None:
        context = self._context
        text = (
            f"{context.cannot_write}: until then what was chosen meanwhile is kept in memory for reads, and that is more "
            f"than max_unwritten_bytes allows ({context.tuning.max_unwritten_bytes}): make room, or read at another node"
        )
        for blocked in entity.reads.blocked:
            for request in blocked.requests:
                context.refuse(request, DiskFull(text))
        entity.reads.drop_settled()

    def _drop(self, entity: Entity) -> None:
        ahead, entity.log.ahead = entity.log.ahead, None
        assert ahead is not None
        self._size -= ahead.size
        del self._holding[entity.id]
