"""Views of entities, each at exactly one entry, of which whoever compares replicas is shown digests.

An entity that is at the entry has its view opened when this turn is written. One that is not there yet has its entries applied
as far as that, and no further until the view is open (`Context.pauses`): a sync later, as a rule. Nothing else waits, and who
never gets there is told so. An entity that is not in memory is not loaded for this: the DB knows how far it is.

A view costs no memory but its last piece, which is kept so that its rows can be listed; who falls silent loses its view.
"""

from __future__ import annotations

from ..entity.entity import Entity
from ..interface.event import ViewLoaded
from ..interface.message import BEHIND, BUSY, GONE, PASSED, STOPPED, CompareReply, CompareRequest
from ..interface.ready import ViewRead
from ..turn.agenda import Part
from ..turn.budget import Job
from ..turn.context import Context
from ..turn.entities import Entities
from .digest import digest_of, row_digests

NEVER = float("inf")
MAX_VIEWS = 64
"""All together: each may hold a piece, and keeps the disk from forgetting what was overwritten."""
WAIT_MS = 200.0
"""How long an entity is waited for to get to the entry."""
MAX_AGE_MS = 60_000.0
"""Of a view. Whoever compares for longer goes on with another one."""
READ_WORK = 500
"""What reading a piece costs in units of `Context.work`, besides its rows."""

Reader = tuple[int, int, int]
"""(peer, entity, number): as in `ViewRead`."""


class View:
    """What somebody compares."""

    __slots__ = ("asked", "due_ms", "heard_at_ms", "is_open", "piece", "reading", "since_ms")

    def __init__(self, asked: CompareRequest, now_ms: float) -> None:
        self.asked = asked
        """The last question; all of one view name the same entry."""
        self.is_open = False
        """Until then it waits for its entry."""
        self.reading = False
        self.due_ms = NEVER
        """When the piece that is asked for may be read, for the budget's sake."""
        self.piece: ViewLoaded | None = None
        """The last one that was read."""
        self.heard_at_ms = self.since_ms = now_ms


class ComparedViews(Part):
    """All views that are compared here, for peers and for this node itself."""

    def __init__(self, context: Context, entities: Entities) -> None:
        self._context = context
        self._entities = entities
        self._views: dict[Reader, View] = {}
        self.own_replies: list[CompareReply] = []
        """Those to this node itself."""

    def __len__(self) -> int:
        return len(self._views)

    # -- questions

    def requested(self, peer: int, message: CompareRequest) -> None:
        """Somebody asks for a piece, or closes a view."""
        context = self._context
        reader = peer, message.entity, message.number
        view = self._views.get(reader)
        if not message.limit:
            if view is not None:
                self._drop(reader)
            return
        if view is None:
            view = self._new(reader, message)
            if view is None:
                return
        view.heard_at_ms = context.now_ms
        view.asked = message
        piece = view.piece
        if view.reading or not view.is_open:
            return  # it is answered when that is there
        if piece is not None and piece.after == message.after:
            self._show(peer, view, piece)
        elif piece is not None and piece.more and piece.rows and piece.rows[-1][0] == message.after:
            self._read_when_due(reader, view)
        else:
            self._refuse(reader, GONE, message.entry)

    def _new(self, reader: Reader, message: CompareRequest) -> View | None:
        """A view for this question, which is looked after at once."""
        context = self._context
        peer, entity, number = reader
        for other in [other for other in self._views if other[:2] == (peer, entity) and other[2] != number]:
            self._drop(other)  # whoever asks has given it up
        view = self._views[reader] = View(message, context.now_ms)
        context.agenda.add(self)
        if len(self._views) > MAX_VIEWS:
            context.counters.views_refused += 1
            self._refuse(reader, BUSY, 0)
        elif entity in context.stopped:
            self._refuse(reader, STOPPED, 0)
        else:
            self._look(reader, view)
        return self._views.get(reader)

    def _look(self, reader: Reader, view: View) -> None:
        """Open the view if the entity is at its entry; or let it wait, if the entity may still get there."""
        entity, entry = view.asked.entity, view.asked.entry
        applied = self._applied(entity)
        if applied > entry:
            self._refuse(reader, PASSED, applied)
        elif applied == entry:
            view.is_open = True
            self._read(reader, view, opens=True)
            self._set_pause(entity)
        elif view.piece is None and not view.reading:
            self._set_pause(entity)
            self._learn(view.asked, reader[0])

    def _learn(self, asked: CompareRequest, peer: int) -> None:
        """Some replica has applied more than this one: it is learned, as from an inventory."""
        if asked.known > self._applied(asked.entity):
            entity = self._entities.get(asked.entity)
            if peer != self._context.me:
                entity.catchup.peer = peer
            entity.catchup.wanted = max(entity.catchup.wanted, asked.known)
            self._entities.touch(entity)

    def _applied(self, entity: int) -> int:
        """The entry through which this turn leaves the entity applied, as far as it is known now."""
        found = self._entities.find(entity)
        if found is None or found.mailbox is not None:
            return self._context.reader.committed_entry(entity)
        return found.log.committed

    # -- the log

    def applied(self, entity: Entity) -> None:
        """It was looked at, and may have come to an entry at which it is waited for."""
        paused_at = self._context.pauses.get(entity.id)
        if paused_at is not None and entity.log.committed >= paused_at:
            for reader, view in self._of(entity.id):
                if not view.is_open:
                    self._look(reader, view)

    def _of(self, entity: int) -> list[tuple[Reader, View]]:
        return [(reader, view) for reader, view in self._views.items() if reader[1] == entity]

    def _set_pause(self, entity: int) -> None:
        """Let entries be applied as far as the first view that waits for its entry, or is about to be opened there."""
        pauses = self._context.pauses
        waits = [view.asked.entry for _, view in self._of(entity) if view.piece is None]
        if waits:
            self._context.counters.views_paused += entity not in pauses
            pauses[entity] = min(waits)
        elif pauses.pop(entity, None) is not None:
            found = self._entities.find(entity)
            if found is not None:
                self._entities.touch(found)  # it may go on

    # -- pieces

    def _read_when_due(self, reader: Reader, view: View) -> None:
        """Read on as soon as the budget allows, and well before whoever asks gives up."""
        context = self._context
        if view.due_ms == NEVER:
            longest_ms = context.tuning.snapshot_timeout_ms / 4.0
            view.due_ms = context.now_ms + min(longest_ms, context.budget.wait_ms(Job.VERIFY, context.now_ms))
        if context.now_ms >= view.due_ms:
            self._read(reader, view)

    def _read(self, reader: Reader, view: View, *, opens: bool = False) -> None:
        context, asked = self._context, view.asked
        view.reading, view.due_ms = True, NEVER
        limit = min(asked.limit, context.tuning.snapshot_piece_bytes)
        context.ready.view_reads.append(ViewRead(*reader, asked.after, limit, opens))
        context.work += READ_WORK

    def loaded(self, event: ViewLoaded) -> None:
        """A piece was read."""
        context = self._context
        reader = event.peer, event.entity, event.number
        view = self._views.get(reader)
        if view is None:
            if event.more:
                context.ready.snapshot_closes.append(reader)
            return
        view.reading = False
        if not event.found:
            self._refuse(reader, GONE, event.committed)
        elif event.committed != view.asked.entry:
            context.counters.views_missed += 1
            self._refuse(reader, PASSED if event.committed > view.asked.entry else BEHIND, event.committed)
        else:
            first, view.piece = view.piece is None, event
            if first:
                self._set_pause(event.entity)
            if event.after == view.asked.after:
                self._show(event.peer, view, event)
            else:
                self._refuse(reader, GONE, event.committed)  # it asks for something else by now

    def _show(self, peer: int, view: View, piece: ViewLoaded) -> None:
        context, rows = self._context, piece.rows
        size = sum(len(key) + len(value) for key, value in rows)
        last = rows[-1][0] if rows else b""
        listed = row_digests(rows) if view.asked.lists else None
        entity, number, entry = piece.entity, piece.number, piece.committed
        digest = digest_of(rows)
        reply = CompareReply(entity, number, entry, piece.after, "", digest, size, len(rows), last, piece.more, listed)
        work = len(rows) + (size >> 10)
        context.work += work
        context.pay(Job.VERIFY, size, READ_WORK + work)
        self._reply(peer, reply)

    def _refuse(self, reader: Reader, why_not: str, applied: int) -> None:
        """There is no such view, or not any more."""
        peer, entity, number = reader
        after = self._views[reader].asked.after
        self._drop(reader)
        self._reply(peer, CompareReply(entity, number, applied, after, why_not, b"", 0, 0, b"", False))

    def _reply(self, peer: int, reply: CompareReply) -> None:
        if peer == self._context.me:
            self.own_replies.append(reply)
        else:
            self._entities.send_applied(reply.entity, peer, reply)

    def _drop(self, reader: Reader) -> None:
        view = self._views.pop(reader)
        if view.is_open and (view.piece is None or view.piece.more):
            self._context.ready.snapshot_closes.append(reader)
        if view.piece is None:
            self._set_pause(reader[1])

    # -- time

    @property
    def at_work(self) -> bool:
        return bool(self._views or self.own_replies)

    def tick(self) -> None:
        """Read what is due. Tell those that have waited long enough that their entry did not come; forget who asks no more."""
        now, silent_ms = self._context.now_ms, self._context.tuning.snapshot_timeout_ms
        for reader, view in list(self._views.items()):
            if view.piece is None and now >= view.since_ms + WAIT_MS and not view.reading:
                self._refuse(reader, BEHIND, self._applied(view.asked.entity))
            elif now >= min(view.heard_at_ms + silent_ms, view.since_ms + MAX_AGE_MS):
                self._context.counters.views_abandoned += 1
                self._drop(reader)
            elif now >= view.due_ms:
                self._read(reader, view)

    def forget(self) -> None:
        """A turn was not written, and with it views were not opened: whoever has asked asks again."""
        self.own_replies = []
        for reader in list(self._views):
            self._drop(reader)

    @property
    def next_ms(self) -> float:
        if self.own_replies:
            return self._context.now_ms  # they are heard at a turn's end
        silent_ms = self._context.tuning.snapshot_timeout_ms
        due = NEVER
        for view in self._views.values():
            if view.piece is None and not view.reading:
                due = min(due, view.since_ms + WAIT_MS)
            due = min(due, view.due_ms, view.heard_at_ms + silent_ms, view.since_ms + MAX_AGE_MS)
        return due
