"""Replicas that differ are noticed here, and the entity is stopped: it does nothing more than say so, others go on.

Every row, every answer to a read question and every request for missing entries names the value that its sender knows to be
chosen last. Whoever knows that entry compares. While the rules hold there is no difference: see core/entity/divergence.py.
"""

from __future__ import annotations

from ..entity.divergence import Divergence, Stop, Unreadable, decode
from ..entity.entity import Entity
from ..entry.record import Record
from ..interface.message import CatchUpRequest, HandOver, Message, PaxosMessage, ReadQuestion, SnapshotRequest, Stopped
from ..interface.ready import LogRead, StopEntity
from ..turn.context import Context

MAX_NOTED = 1_024
"""Comparisons that wait for the disk, or were made; beyond it they are forgotten: whoever differs is met again."""
ASKING = (PaxosMessage, ReadQuestion, CatchUpRequest, SnapshotRequest)


class Agreement:
    """Compares what peers show to be chosen with what is known here."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._expected: dict[tuple[int, int], tuple[int, bytes]] = {}
        """(entity, peer) -> (entry, value id): what that peer knows there, to be compared with the row that is being read."""
        self._agreed: dict[tuple[int, int], int] = {}
        """(entity, peer) -> the entry of a `Stopped` that this node agrees with: it is not looked up again."""

    def holds(self, entity: Entity, peer: int, entry: int, value_id: bytes) -> bool:
        """Whether a peer's word that this value is chosen there agrees with what memory knows; else the entity is stopped."""
        if value_id:
            known = entity.log.chosen_id(entry)
            if known and known != value_id:
                self.stop(entity, Divergence(entry, known, value_id, peer))
        return entity.stopped is None

    def allows(self, entity: Entity, peer: int, entry: int, theirs: Record) -> bool:
        """Whether a peer's row goes together with all that is known of an open entry; else the entity is stopped."""
        opened = entity.log.opened.get(entry)
        if opened is not None and theirs.value is not None:
            excluded = opened.machine.excluded(peer, theirs)
            if excluded:
                self.stop(entity, Divergence(entry, excluded, theirs.value.id, peer))
        return entity.stopped is None

    def expect(self, entity: Entity, peer: int, entry: int, value_id: bytes) -> int:
        """The same for an entry that memory may not know: the first entry to read for this peer, so that it is compared."""
        if entry < 1 or not value_id or entity.log.chosen_id(entry):
            return entry + 1
        if len(self._expected) >= MAX_NOTED:
            self._expected.clear()
        self._expected[entity.id, peer] = entry, value_id
        return entry

    def read(self, entity: Entity, peer: int, entry: int, record: Record) -> bool:
        """A row was read; whether that was for the sake of comparing it."""
        expected = self._expected.get((entity.id, peer))
        if expected is None or expected[0] != entry:
            return False
        del self._expected[entity.id, peer]
        value_id = expected[1]
        if record.chosen and record.value is not None and record.value.id != value_id:
            self.stop(entity, Divergence(entry, record.value.id, value_id, peer))
        return True

    # -- stopped

    def stop(self, entity: Entity, found: Stop) -> None:
        """Stop the entity here, for good. Its requests are ended when it is attended to."""
        if entity.stopped is not None:
            return
        context = self._context
        if isinstance(found, Unreadable):
            context.counters.values_unreadable += 1
        else:
            context.counters.divergences_seen += 1
        entity.stopped = context.stopped[entity.id] = found
        self._keep(entity.id, found)
        # nothing is said of it, and it is not evicted, before that is durable
        entity.log.row_turn = entity.log.changed_turn = context.ready.turn
        for peer in context.peers:
            self._tell(entity, peer, found)

    def loaded(self, entity: Entity, kept: str) -> None:
        """The disk says whether the entity was stopped; memory may know it before the disk does."""
        found = self._context.stopped.get(entity.id)
        if found is None and kept:
            found = self._context.stopped[entity.id] = decode(kept)
        entity.stopped = found

    def keep_all(self) -> None:
        """The disk takes writes again."""
        for entity, found in self._context.stopped.items():
            self._keep(entity, found)

    def _keep(self, entity: int, found: Stop) -> None:
        context = self._context
        if not context.cannot_write:
            context.ready.changes.append(StopEntity(entity, found.encode()))
            context.ready.needs_sync = True

    def answer(self, entity: Entity, peer: int, message: Message) -> bool:
        """At a stopped entity: show who asks why there is no answer; whether that is all there is to do about the message."""
        assert entity.stopped is not None
        if isinstance(message, HandOver):
            return False
        if isinstance(message, ASKING):
            self._tell(entity, peer, entity.stopped)
        return True

    def heard(self, entity: Entity, peer: int, message: Stopped) -> None:
        """A peer has stopped the entity, and shows what it knows: this node may know the same, or what that peer was shown."""
        entry, value_id = message.entry, message.value_id
        if not self.holds(entity, peer, entry, value_id) or self._agreed.get((entity.id, peer)) == entry:
            return
        if self.expect(entity, peer, entry, value_id) == entry:
            self._context.read_log(LogRead(entity.id, entry, entry, peer))
        if len(self._agreed) >= MAX_NOTED:
            self._agreed.clear()
        self._agreed[entity.id, peer] = entry

    def _tell(self, entity: Entity, peer: int, found: Stop) -> None:
        self._context.send(entity, peer, Stopped(entity.id, found.entry, found.ours))
