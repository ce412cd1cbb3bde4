"""Sending an entity's data to a peer, piece by piece, from one consistent view of the DB (rule 16).

The peer asks for each piece, when it has written the last one. So a view costs this node a read now and then, in a turn's
work, and no memory but the piece; who falls silent loses its view after a while.
"""

from __future__ import annotations

from ...settings import PIECES_IN_TIME
from ..batch.overlay import DATA, WINDOW
from ..entity.entity import Entity
from ..entity.install import Transfer, size_of_rows
from ..interface.event import SnapshotLoaded
from ..interface.message import SnapshotPiece, SnapshotRequest
from ..interface.ready import SnapshotRead
from ..turn.agenda import Part
from ..turn.budget import Job
from ..turn.context import Context

NEVER = float("inf")
READ_WORK = 2_000
"""What reading a piece costs in units of `Context.work`."""
LEAST_READ_WORK = 100
LOOK_ROWS = 2_000
"""Of an entity's data, to see whether copying all of it is cheaper than replaying entries. Larger ones are never called so."""
LEAST_GAP = 128
"""So many entries are always replayed."""
_PAST_WINDOW = bytes((WINDOW[0] + 1,))

Reader = tuple[int, int, int]
"""(peer, entity, number): as in `SnapshotRead`."""


class View:
    """What a peer reads."""

    __slots__ = ("committed", "heard_at_ms", "rows", "since_ms", "size")

    def __init__(self, now_ms: float) -> None:
        self.committed = 0
        self.rows = 0
        self.size = 0
        self.heard_at_ms = self.since_ms = now_ms


class SnapshotSender(Part):
    """The views that peers read, `max_snapshots` at most, and `snapshot_bytes_per_second` of them together."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._views: dict[Reader, View] = {}
        self._reads: dict[Reader, tuple[SnapshotRead, float]] = {}
        """Pieces that were asked for, and when first, in order; one of each view."""
        self._read_at_ms = 0.0
        """When the rate allows the next one."""

    @property
    def has_room(self) -> bool:
        """Whether another view may be opened."""
        return len(self._views) < self._context.tuning.max_snapshots

    @property
    def transfers(self) -> list[Transfer]:
        """What this node sends now."""
        now = self._context.now_ms
        return [
            Transfer(entity, peer, True, view.committed, view.rows, view.size, (now - view.since_ms) / 1000.0)
            for (peer, entity, _), view in self._views.items()
        ]

    # -- what a peer asks for

    def requested(self, entity: Entity, peer: int, message: SnapshotRequest) -> None:
        """A peer asks for the next piece of its view, or for a new one."""
        context = self._context
        reader = peer, entity.id, message.number
        view = self._views.get(reader)
        if not message.limit:
            if view is not None:
                self._close(reader)
            return
        if view is None:
            self._close_others(reader)  # it has given up what it read of this entity before
            if message.after or not self.has_room:
                context.counters.snapshots_not_given += 1
                self._say_no(peer, message)
                return
            context.counters.snapshots_given += 1
            view = self._views[reader] = View(context.now_ms)
            context.agenda.add(self)
        view.heard_at_ms = context.now_ms
        limit = min(message.limit, context.tuning.snapshot_piece_bytes)
        _, since_ms = self._reads.get(reader, (None, context.now_ms))
        self._reads[reader] = SnapshotRead(peer, entity.id, message.number, message.after, limit), since_ms

    def is_cheaper(self, entity: Entity, entries: int) -> bool:
        """Whether to copy all data costs less than to replay so many entries, as far as a short look can tell.

        A row or a KiB counts as much as an entry, which is at least a row, a row of the log and the work of learning it.
        """
        context = self._context
        if entries < LEAST_GAP or not (entity.serves and self.has_room):
            return False
        cost, most = 0, min(entries, LOOK_ROWS)
        for _, value in context.reader.scan(entity.id, DATA, _PAST_WINDOW):
            cost += 1 + (len(value) >> 10)
            if cost >= most:
                break
        context.work += cost
        return cost < most

    def _close_others(self, reader: Reader) -> None:
        peer, entity, number = reader
        for other in [other for other in self._views if other[:2] == (peer, entity) and other[2] != number]:
            self._close(other)

    def _say_no(self, peer: int, message: SnapshotRequest) -> None:
        piece = SnapshotPiece(message.entity, message.number, message.after, 0, [], False, False)
        self._context.send_early(peer, piece)

    # -- what the disk reads

    def read(self) -> bool:
        """Have the pieces read that the rate and this turn's work allow; whether one is left that might go now."""
        context = self._context
        while self._reads and context.now_ms >= self._may_read_at_ms:
            if context.spent:
                return True
            reader = next(iter(self._reads))
            context.ready.snapshot_reads.append(self._reads.pop(reader)[0])
            context.work += READ_WORK
            # as if it were full, until its size is known
            self._pay(context.tuning.snapshot_piece_bytes)
        return False

    def loaded(self, event: SnapshotLoaded) -> None:
        """A piece was read: what it shows was applied, and durable, when it was."""
        context, piece = self._context, event.piece
        reader = event.peer, piece.entity, piece.number
        view = self._views.get(reader)
        size = size_of_rows(piece.rows)
        self._pay(size - context.tuning.snapshot_piece_bytes)
        context.pay(Job.SNAPSHOTS, size, LEAST_READ_WORK + len(piece.rows) + (size >> 10))
        context.send_early(event.peer, piece)
        if view is None:
            return
        view.committed = piece.committed
        view.rows += len(piece.rows)
        view.size += size
        context.counters.snapshot_bytes_sent += size
        if not piece.more:
            del self._views[reader]  # the store has closed it

    @property
    def _may_read_at_ms(self) -> float:
        """When the rate and the background budget allow the next piece: well before whoever asks gives up, and begins anew. (The
        settings see to it that the rate does, but for a row that is larger than a piece.)"""
        context, now = self._context, self._context.now_ms
        _, since_ms = next(iter(self._reads.values()))
        latest_ms = since_ms + context.tuning.snapshot_timeout_ms / PIECES_IN_TIME
        return min(max(self._read_at_ms, now + context.budget.wait_ms(Job.SNAPSHOTS, now)), latest_ms)

    def _pay(self, size: int) -> None:
        context = self._context
        start = max(self._read_at_ms, context.now_ms) if size > 0 else self._read_at_ms
        self._read_at_ms = start + size * 1000.0 / context.tuning.snapshot_bytes_per_second

    # -- time

    @property
    def at_work(self) -> bool:
        return bool(self._views or self._reads)

    def tick(self) -> None:
        """Close the views of those that have not asked for long."""
        context = self._context
        last = context.now_ms - context.tuning.snapshot_timeout_ms
        for reader in [reader for reader, view in self._views.items() if view.heard_at_ms <= last and reader not in self._reads]:
            context.counters.snapshots_abandoned += 1
            self._close(reader)

    def _close(self, reader: Reader) -> None:
        del self._views[reader]
        self._reads.pop(reader, None)
        self._context.ready.snapshot_closes.append(reader)

    @property
    def next_ms(self) -> float:
        """When a piece may be read, or a view is overdue."""
        if self._reads:
            return self._may_read_at_ms
        heard = min((view.heard_at_ms for view in self._views.values()), default=NEVER)
        return heard + self._context.tuning.snapshot_timeout_ms
