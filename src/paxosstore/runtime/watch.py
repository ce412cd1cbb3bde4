"""`Node.watch`: all entries of an entity behind a given one, in order, as the node applies them.

    behind   entries are read from the log, a piece at a time, as fast as they are taken
    live     what the feed tells waits in a bounded queue; when that is full, the watch is behind again and nothing is lost
    copy     the log has not kept the next entry, or a copy has taken the place of the data: the data itself is given, piece by
             piece, from a view at one entry, and the entries behind that follow

What is read is durable: the turn that is being synced may rest on this node's own vote (rule 7).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import NamedTuple

from ..core.batch.overlay import DATA, BodyCodec, WriteBatch
from ..errors import Overloaded, PaxosStoreError
from ..storage.api import Reader, Store, ViewPiece
from .feed import Feed

MAX_WATCHES = 1_024
"""Of one node."""
MAX_QUEUE_ENTRIES = 1_024
MAX_QUEUE_BYTES = 4 * 1024 * 1024
"""What waits for one watch's reader; the entry that crosses it is the last."""
MAX_VIEWS = 16
"""That are read at one time; the others wait."""
VIEW_S = 60.0
"""A view whose next piece is not taken for so long is closed; the data begins anew then."""
PIECE_BYTES = 64 * 1024
PIECE_ENTRIES = 128
"""What is read at one go."""
ENTRY_BYTES = 256
"""What an entry takes of memory, besides its keys and values."""
READER = -1
"""In the place of the peer's number, among the readers of views."""


class EntityChange(NamedTuple):
    """An entry that was applied to an entity."""

    entry: int
    writes: dict[bytes, bytes | None]
    """Key -> its new value; None: it was deleted. Empty for an entry that only fills the log."""
    cleared: bool
    """All keys of the entity were deleted before that."""


class EntitySnapshot(NamedTuple):
    """A piece of an entity's data, as it is right after an entry: of some entries up to it nothing can be told any more.

    Whoever keeps a copy drops all of it when a piece `begins`; it has all of the data when a piece `ends`.
    """

    entry: int
    rows: list[tuple[bytes, bytes]]
    """(key, value), ascending, also from piece to piece."""
    begins: bool
    ends: bool


class Source(NamedTuple):
    """What a watch reads."""

    store: Store
    codec: BodyCodec
    unsynced: Callable[[int], int]
    """The first entry of an entity that is applied by the turn which is being synced; 0: none is."""


class Watches:
    """Those of one node, from its start to its stop."""

    def __init__(self, feed: Feed, source: Source) -> None:
        self.feed = feed
        self.source = source
        self.views = asyncio.Semaphore(MAX_VIEWS)
        self.open: set[Watch] = set()
        self.over: PaxosStoreError | None = None
        """Why there are none any more."""
        self.overflows = 0
        """How often a reader was too slow for its queue."""
        self._numbers = 0

    def stop(self, error: PaxosStoreError) -> None:
        """The node stops: the store is closed next."""
        self.feed.stop(error)
        self.over = error

    def abandon(self, error: PaxosStoreError) -> None:
        """The loop is closed: nobody reads."""
        self.over = error
        self.feed.clear()

    def new_number(self) -> int:
        self._numbers += 1
        return self._numbers


class Watch:
    """One reader's way through an entity's entries; the `Follower` of that entity."""

    def __init__(self, watches: Watches, entity: int, after: int | None) -> None:
        self._watches = watches
        self._source = watches.source
        self._entity = entity
        self._at = self._durable() if after is None else after
        """All up to this entry has been given, or is in the queue."""
        self._live = False
        """What is applied next goes into the queue."""
        self._queue: deque[tuple[int, WriteBatch]] = deque()
        self._queued_bytes = 0
        self._copy = False
        """The data itself is to be given."""
        self._open_as: Reader | None = None
        """A view is to be opened for this reader, when the turn under way is durable."""
        self._first: ViewPiece | None = None
        """Its first piece."""
        self._view: Reader | None = None
        self._has_slot = False
        """One of the views that may be open is this one's; it lasts as long as the view, however long its reader takes."""
        self._view_timer: asyncio.TimerHandle | None = None
        self._error: PaxosStoreError | None = None
        self._news = asyncio.Event()

    async def entries(self) -> AsyncGenerator[EntityChange | EntitySnapshot]:
        """Each entry behind the first one named, once, in order. Ends with an error, when the node stops."""
        watches = self._watches
        if watches.over is not None:
            raise watches.over
        if len(watches.open) >= MAX_WATCHES:
            raise Overloaded(f"{MAX_WATCHES} watches are open on this node: close one (aclose), or watch at another node")
        watches.open.add(self)
        watches.feed.follow(self._entity, self)
        try:
            while True:
                if self._queue:
                    yield self._take()
                elif self._error is not None:
                    raise self._error
                elif self._copy:
                    async with aclosing(self._data()) as pieces:
                        async for piece in pieces:
                            yield piece
                elif self._live:
                    await self._wait()
                else:
                    self._read_on()
                    await asyncio.sleep(0)  # who reads a long log leaves the loop to others
        finally:
            watches.feed.leave(self._entity, self)
            watches.open.discard(self)
            self.close_view()

    # -- what the feed tells

    def applied(self, entry: int, batch: WriteBatch) -> None:
        if self._open_as is not None:
            self._open_view(self._open_as)
        if entry <= self._at or not self._live:
            return  # given before; or it will be read from the log
        if entry != self._at + 1:
            self._live = False  # what is in between is in the log, or nowhere
        else:
            self._put(entry, batch)
            if len(self._queue) >= MAX_QUEUE_ENTRIES or self._queued_bytes >= MAX_QUEUE_BYTES:
                self._live = False
                self._watches.overflows += 1
        self._news.set()

    def replaced(self, entry: int) -> None:
        if entry >= self._at:  # else it knows more than the copy: it was made because the data here was damaged
            self._copy, self._live = True, False
        if self._open_as is not None:
            self._open_view(self._open_as)
        self._news.set()

    def ended(self, error: PaxosStoreError) -> None:
        self.close_view()
        self._error = error
        self._live = False
        self._news.set()

    # -- the log

    def _durable(self) -> int:
        """Highest entry applied by a turn that is durable."""
        first = self._source.unsynced(self._entity)
        return first - 1 if first else self._source.store.committed_entry(self._entity)

    def _read_on(self) -> None:
        """Read the next entries; at the last one, the watch is live."""
        last = min(self._durable(), self._at + PIECE_ENTRIES)
        if last <= self._at:
            self._live = True
            return
        before = self._at
        for entry, record in self._source.store.read_log(self._entity, before + 1, last, PIECE_BYTES):
            if entry != self._at + 1 or not record.chosen:
                break
            assert record.value is not None
            self._put(entry, self._source.codec.decode(record.value.body))
        self._copy = self._at == before  # rule 17: it is applied, and its row is gone

    def _put(self, entry: int, batch: WriteBatch) -> None:
        self._at = entry
        self._queue.append((entry, batch))
        self._queued_bytes += _size(batch)

    def _take(self) -> EntityChange:
        entry, batch = self._queue.popleft()
        self._queued_bytes -= _size(batch)
        writes = {key[1:]: value for key, value in batch.writes.items() if key[:1] == DATA}
        return EntityChange(entry, writes, batch.cleared)

    async def _wait(self) -> None:
        self._news.clear()
        await self._news.wait()

    # -- the data

    async def _data(self) -> AsyncGenerator[EntitySnapshot]:
        """All of it, as it is after one entry; from there on the entries follow."""
        try:
            piece = await self._open()
            begins = True
            while True:
                rows = [(key[1:], value) for key, value in piece.rows if key[:1] == DATA]
                ends = not piece.more or len(rows) < len(piece.rows)  # what the protocol keeps is behind it
                yield EntitySnapshot(piece.committed, rows, begins, ends)
                if ends:
                    return
                await asyncio.sleep(0)
                if self._error is not None:
                    raise self._error
                found = None if self._view is None else self._read(self._view, piece.rows[-1][0])
                begins = found is None
                piece = await self._open() if found is None else found
        finally:
            self.close_view()

    async def _open(self) -> ViewPiece:
        """The first piece of a new view: of what is durable, so maybe when the turn under way is."""
        if not self._has_slot:
            await self._watches.views.acquire()
            self._has_slot = True
            if self._error is not None:
                raise self._error
        reader = READER, self._entity, self._watches.new_number()
        if self._source.unsynced(self._entity):
            self._open_as = reader
            while self._first is None:
                await self._wait()
                if self._error is not None:
                    self._open_as = None
                    raise self._error
        else:
            self._open_view(reader)
        piece, self._first = self._first, None
        assert piece is not None
        return piece

    def _open_view(self, reader: Reader) -> None:
        self._open_as = None
        self._first = piece = self._read(reader, b"")
        assert piece is not None
        self._copy, self._live, self._at = False, True, piece.committed
        self._queue.clear()
        self._queued_bytes = 0
        self._news.set()

    def _read(self, reader: Reader, after: bytes) -> ViewPiece | None:
        self._view = reader
        piece = self._source.store.read_snapshot(reader, after, PIECE_BYTES)
        if self._view_timer is not None:
            self._view_timer.cancel()
        self._view_timer = asyncio.get_running_loop().call_later(VIEW_S, self.close_view)
        return piece

    def close_view(self) -> None:
        """Nothing more is read of it. Safe to repeat."""
        if self._view_timer is not None:
            self._view_timer.cancel()
        view, self._view, self._view_timer = self._view, None, None
        if self._has_slot:
            self._has_slot = False
            self._watches.views.release()
        if view is not None and self._watches.over is None:
            self._source.store.close_snapshot(view)


def _size(batch: WriteBatch) -> int:
    size = ENTRY_BYTES
    for key, value in batch.writes.items():
        size += len(key) + (0 if value is None else len(value))
    return size
