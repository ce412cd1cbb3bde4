"""The log of an entity: rows change here, chosen entries are applied here, and peers are told of both."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import NodeError
from ..batch.overlay import WriteBatch
from ..entity.divergence import Unreadable
from ..entity.entity import Entity
from ..entity.logstate import OpenEntry
from ..entity.news import Chosen
from ..entity.writes import InFlight
from ..entry.ids import NO_BALLOT, NOBODY, origin, owner, preauth_ballot
from ..entry.machine import EntryMachine
from ..entry.record import EMPTY, Record, Value, needs_sync
from ..interface.message import PaxosMessage
from ..interface.ready import Apply, LogRead, NewEntity
from ..turn.context import Context
from .agreement import Agreement
from .pace import Pace

NO_ID = b""
MAX_NEWS_BYTES = 65_536
"""A larger value is not kept for those that have not been told: they are told at once."""


class Log:
    """Transitions of an entity's rows. Nothing else writes `Ready.records` or `Ready.applies`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.agreement = Agreement(context)

    # -- rows

    def open(self, entity: Entity, entry: int) -> OpenEntry:
        """The open entry; created empty if this replica has nothing there."""
        assert entry > entity.log.contiguous_chosen
        opened = entity.log.opened.get(entry)
        if opened is None:
            opened = entity.log.opened[entry] = OpenEntry(EntryMachine(self._context.n, self._context.me))
        return opened

    def changed(self, entity: Entity, entry: int, before: Record, after: Record) -> None:
        """Persist what became of the own row, and know when it will be durable."""
        if after is before:
            return
        ready = self._context.ready
        ready.records[entity.id, entry] = after
        entity.log.changed_turn = ready.turn
        self.list_entity(entity)
        entity.log.max_plog = max(entity.log.max_plog, entry)  # rule 9
        if after.chosen:
            entity.log.max_chosen = max(entity.log.max_chosen, entry)
        if needs_sync(before, after):
            ready.needs_sync = True
            entity.log.row_turn = ready.turn

    def list_entity(self, entity: Entity) -> None:
        """Have the store know that there is such an entity, before anything of it is written. Once: it begins with nothing."""
        if not entity.log.listed:
            entity.log.listed = True
            self._context.ready.changes.append(NewEntity(entity.id))

    # -- talking

    def receive(self, entity: Entity, peer: int, message: PaxosMessage) -> OpenEntry | None:
        """Take in a peer's row (rule 2). Returns the open entry if the row was taken in."""
        context, entry = self._context, message.entry
        entity.raise_max_chosen(max(entry - 1, message.max_chosen), peer)  # rule 11: entry opened, so entry-1 is chosen
        if entry <= entity.log.contiguous_chosen:
            if message.asks:
                self.teach(entity, entry, peer)
            return None
        if entity.install is not None and entity.install.decides(entry):
            context.counters.votes_withheld += 1
            return None
        if not self.is_credible(entity, peer, message) or not self.has_room(entity, entry):
            context.counters.messages_dropped += 1
            return None
        opened = self.open(entity, entry)
        machine = opened.machine
        if message.wants_value and machine.mine.value is not None:
            # answered before anything else: what this message itself leaves out must not stop it
            opened.told.discard((peer, machine.mine.value.id))
            self.tell(entity, entry, opened, [peer], asks=opened.driving, force_value=True)
        value = None
        if message.value_id:
            if message.body is not None:
                value = Value(message.value_id, message.body)
            else:
                value = machine.resolve(message.value_id)
                if value is None:  # rule 4: drop the whole message and ask
                    if message.wants_value:
                        return None  # or two that lack each other's value would ask for ever
                    context.counters.values_asked_for += 1
                    self.tell(entity, entry, opened, [peer], wants_value=True)
                    return None
        before, theirs = machine.mine, Record(message.prepared, message.promised, message.accepted, value, message.chosen)
        if not self.agreement.allows(entity, peer, entry, theirs):
            return None
        if context.may_vote(entity, entry):
            machine.update(peer, theirs)
        else:  # rule 19: it only learns there
            context.counters.votes_withheld += 1
            if not before.chosen and (decided := machine.witness(peer, theirs)) is not None:
                machine.learn(*decided)
        mine = machine.mine
        if message.chosen and entry > entity.log.vouched:
            entity.log.vouched = entry
        if mine is not before:
            self.changed(entity, entry, before, mine)
            if mine.chosen and not message.chosen and mine.value is not None and origin(mine.value.id) == context.me:
                opened.driving = True  # it proposed this before it was started again: nobody else tells who has not voted
            if mine.chosen and opened.asked_at_ms and mine.accepted == preauth_ballot(context.me):
                voted = {voter for voter, row in enumerate(machine.rows) if row.accepted == mine.accepted}
                context.voters.completed(voted, context.now_ms - opened.asked_at_ms)
            if mine.accepted > before.accepted:
                entity.log.lease_until_ms = context.now_ms + context.tuning.lease_ms
        if message.asks:
            self.tell(entity, entry, opened, [peer])
        return opened

    def teach(self, entity: Entity, entry: int, peer: int) -> None:
        """Have a peer told of an entry that it does not know to be chosen, and of those after it."""
        self._context.read_log(LogRead(entity.id, entry, min(entity.log.contiguous_chosen, entry + 63), peer))

    def has_room(self, entity: Entity, entry: int) -> bool:
        """Whether another entry is taken in, before those below it are applied. The next one to be applied always is."""
        ahead, context = entry - entity.log.committed, self._context
        most = context.tuning.max_unapplied_bytes
        if ahead == 1 or (
            ahead <= context.tuning.max_open_entries and entity.bytes * 4 < most and context.unapplied_bytes < most
        ):
            return True
        context.counters.entries_held += 1
        return False

    def is_credible(self, entity: Entity, peer: int, message: PaxosMessage) -> bool:
        """Whether a row is for an entry that is near enough, and one that an honest peer can have sent."""
        last = entity.log.contiguous_chosen + self._context.tuning.max_open_entries
        return message.entry <= last and self._plausible(peer, message)

    def _plausible(self, peer: int, message: PaxosMessage) -> bool:
        """Whether an honest peer can have sent this row (rules 1 and 6)."""
        if message.prepared and owner(message.prepared, self._context.n) != peer:
            return False
        if message.accepted == NO_BALLOT and message.value_id:
            return message.promised == preauth_ballot(peer)
        if message.promised < max(message.prepared, message.accepted):
            return False
        if message.accepted > NO_BALLOT:
            return bool(message.value_id)
        return not message.chosen

    def tell(
        self,
        entity: Entity,
        entry: int,
        opened: OpenEntry,
        peers: Iterable[int],
        *,
        asks: bool = False,
        wants_value: bool = False,
        force_value: bool = False,
    ) -> None:
        """Show the own row to peers, with the value's body unless they hold it (rule 4).

        Where this node may not vote it shows none, but for what is chosen (rule 19c).
        """
        mine = opened.machine.mine
        if not mine.chosen and not self._context.may_vote(entity, entry):
            if not asks and not wants_value:
                return
            mine = EMPTY
        value = mine.value
        for peer in peers:
            body = None
            if value is not None and (
                force_value or not (opened.machine.holds(peer, value.id) or (peer, value.id) in opened.told)
            ):
                body = value.body
                opened.told.add((peer, value.id))
            self._context.send(
                entity,
                peer,
                PaxosMessage(
                    entity.id,
                    entry,
                    mine.prepared,
                    mine.promised,
                    mine.accepted,
                    mine.chosen,
                    NO_ID if value is None else value.id,
                    body,
                    entity.log.contiguous_chosen,
                    asks,
                    wants_value,
                    entity.log.chosen_id(entity.log.contiguous_chosen),
                ),
            )

    def tell_preauth(self, entity: Entity, entry: int, opened: OpenEntry) -> None:
        """Ask as few peers as needed to accept, before the own row is durable: it shows a promise with the value attached.

        (Rule 6.) They hear in the same frame what was chosen before; the others later, when it is chosen.
        """
        context = self._context
        mine = opened.machine.mine
        assert mine.value is not None
        assert mine.promised == preauth_ballot(context.me)
        peers = context.voters.first(context.now_ms)
        self.tell_chosen(entity, peers)
        message = PaxosMessage(
            entity.id,
            entry,
            mine.prepared,
            mine.promised,
            NO_BALLOT,
            False,
            mine.value.id,
            mine.value.body,
            entity.log.contiguous_chosen,
            True,
            False,
            entity.log.chosen_id(entity.log.contiguous_chosen),
        )
        for peer in peers:
            opened.told.add((peer, mine.value.id))
            context.send_early(peer, message)
        opened.asked_at_ms = context.now_ms
        opened.asked_all = len(peers) == len(context.peers)

    def tell_chosen(self, entity: Entity, peers: Iterable[int]) -> None:
        """Tell these peers what they were not told yet of what our proposals had chosen."""
        for peer in peers:
            for entry, opened, _ in entity.news.untold.pop(peer, ()):
                self.tell(entity, entry, opened, (peer,))

    def tell_due(self, entity: Entity) -> None:
        """Tell those peers of chosen entries for which the first has waited long enough."""
        for peer, news in list(entity.news.untold.items()):
            due = news[0].since_ms + self._context.tuning.notice_ms
            if self._context.now_ms >= due:
                self.tell_chosen(entity, [peer])
            else:
                entity.wake_at(due)

    # -- chosen

    def learn(self, entity: Entity, peer: int, entry: int, ballot: int, value: Value) -> None:
        """Take a chosen entry from a peer's catch-up reply."""
        if not self.agreement.holds(entity, peer, entry, value.id):
            return
        if entry <= entity.log.contiguous_chosen or not self.has_room(entity, entry):
            return
        if entity.install is not None and entity.install.decides(entry):
            return
        machine = self.open(entity, entry).machine
        before = machine.mine
        if before.chosen or not self.agreement.allows(entity, peer, entry, Record(0, ballot, ballot, value, True)):
            return
        machine.learn(ballot, value)
        self.changed(entity, entry, before, machine.mine)
        self._context.counters.entries_learned += 1
        self._context.counters.bytes_learned += len(value.body)

    def advance(self, entity: Entity, pace: Pace | None = None) -> tuple[InFlight, bool] | None:
        """Note what is chosen, and apply it, in order: `max_commit_num` entries at most, and as far as the pace allows.

        Returns the own batch and whether it was chosen, if its entry is applied now. What cannot be read stops the entity.
        """
        self._choose(entity)
        log, context = entity.log, self._context
        decided: tuple[InFlight, bool] | None = None
        limit = min(log.contiguous_chosen, log.committed + context.tuning.max_commit_num)
        if context.pauses:
            limit = min(limit, context.pauses.get(entity.id, limit))
        while log.committed < limit:
            entry = log.committed + 1
            value = log.opened[entry].machine.mine.value
            assert value is not None
            if pace is not None and not pace.allows(entity, len(value.body)):
                break
            in_flight, batch = entity.writes.in_flight, None
            if in_flight is not None and in_flight.evaluated.entry == entry:
                entity.writes.in_flight = None
                context.in_flight_bytes -= len(in_flight.value.body)
                decided = in_flight, in_flight.value.id == value.id
                batch = in_flight.evaluated.batch if decided[1] else None
            if batch is None:
                batch = self.read(entity, entry, value)
            if batch is None:
                break
            work = self._apply(entity, entry, value, batch)
            context.work += work
            if pace is not None:
                pace.took(max(work, 1))
            if context.spent:
                break
        return decided

    def _choose(self, entity: Entity) -> None:
        """Everything up to the first entry of which it is not known is chosen: who is to hear of it will."""
        log, context = entity.log, self._context
        while (opened := log.opened.get(log.contiguous_chosen + 1)) is not None and opened.machine.mine.chosen:
            log.contiguous_chosen = entry = log.contiguous_chosen + 1
            value = opened.machine.mine.value
            assert value is not None
            entity.way.chosen(entry, origin(value.id))
            if opened.driving:
                due_at_once = len(value.body) > MAX_NEWS_BYTES
                news = Chosen(entry, opened, context.now_ms - context.tuning.notice_ms * due_at_once)
                for peer in context.peers:
                    entity.news.untold.setdefault(peer, []).append(news)

    def jump(self, entity: Entity, entry: int) -> None:
        """The DB holds a snapshot at this entry (rule 16). It replaces data, never votes: rows above it stay as they are."""
        log = entity.log
        assert log.unwritten is None
        assert entry >= log.committed
        log.committed = entry
        log.contiguous_chosen = max(log.contiguous_chosen, entry)
        log.max_chosen = max(log.max_chosen, entry)
        log.max_plog = max(log.max_plog, entry)  # below it nothing is ever opened again, so nothing is looked for
        log.no_preauth_through = max(log.no_preauth_through, entry + 1)
        log.last_origin = NOBODY
        log.opened = {number: opened for number, opened in log.opened.items() if number > entry}

    def read(self, entity: Entity, entry: int, value: Value) -> WriteBatch | None:
        """The writes that were chosen there; None: they cannot be read, and the entity is stopped."""
        try:
            return self._context.codec.decode(value.body)
        except NodeError:
            self.agreement.stop(entity, Unreadable(entry, value.id))
            return None

    def _apply(self, entity: Entity, entry: int, value: Value, batch: WriteBatch) -> int:
        """Rule 10: the writes and the new committed entry go into one atomic write.

        Returns the work in units of `Context.work`.
        """
        context, log = self._context, entity.log
        assert entry == log.committed + 1
        assert entry <= log.contiguous_chosen
        context.ready.applies.append(Apply(entity.id, entry, batch))
        if log.unwritten is None:
            log.unwritten = WriteBatch()
        log.unwritten.merge(batch)
        log.committed = entry
        log.changed_turn = context.ready.turn
        log.last_origin = origin(value.id)
        log.recent.applied(entry, value.id)
        del log.opened[entry]
        context.counters.entries_applied += 1
        work = len(batch.writes) + (len(value.body) >> 10)
        return work + len(log.unwritten.writes) if batch.cleared else work  # what stays is found by looking at each
