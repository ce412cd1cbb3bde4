"""One turn of a shard over its store: the order of rule 7, executed. No clock, no threads, no sockets.

    begin:  step everything ─► release early ─► write once        then, if begin says so, the caller syncs
    gulp:   while that sync takes long: step what has come meanwhile ─► release early ─► have loaded
    finish: tell the shard it is durable ─► release late ─► have loaded, and read for peers

The node's loop and the simulator drive this same class; they differ in what time is and where a sync runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from ..core.batch.request import Request
from ..core.interface.digest import READ
from ..core.interface.event import (
    DigestsLoaded,
    DiskSilent,
    Durable,
    Event,
    InventoryLoaded,
    Loaded,
    LogLoaded,
    SnapshotLoaded,
    Tick,
    ViewLoaded,
    WriteFailed,
)
from ..core.interface.message import SnapshotPiece
from ..core.interface.ready import Apply, Change, DigestRead, InventoryRead, LogRead, Ready, Release, SnapshotRead, ViewRead
from ..core.shard.shard import Shard
from ..errors import Damaged, PaxosStoreError
from .api import Reader, Store
from .floors import read_floors, read_lost

MAX_LATER = 64
"""Reads for peers that may be left for later turns: with more of them, the loop is held up rather than memory filled."""


class Turn:
    """Drives a shard and its store, one turn at a time."""

    def __init__(
        self,
        shard: Shard,
        store: Store,
        release: Callable[[Release], None],
        applied: Callable[[Sequence[Apply], Sequence[Change]], None] = lambda applies, changes: None,
        renewed: Callable[[int], None] = lambda disk: None,
        warm: Callable[[list[int]], None] | None = None,
        reads_on: Callable[[], bool] = lambda: True,
        lost: Callable[[Damaged], None] = lambda found: None,
    ) -> None:
        self._shard = shard
        self._store = store
        self._release = release
        self._applied = applied
        """Told what the store has taken in and made durable, for whoever follows it."""
        self._renewed = renewed
        """Told that this node's disk is another one from now on (rule 19a): all links begin anew."""
        self._warm = warm
        """Takes entities that are to be loaded: `load` is called for each of them later, whenever that is. None: at once."""
        self._reads_on = reads_on
        """Whether there is time for one more read now."""
        self._reads: deque[tuple[Reader | None, Callable[[], Event]]] = deque()
        """What peers want to read, the oldest first, and whose view of a snapshot that is."""
        self._lost = lost
        """Told that what was kept of an entity is damaged, and that this is being mended (rule 19e)."""
        self._under_way: Ready | None = None
        self._begun_ms = 0.0

    @property
    def syncing(self) -> bool:
        """Whether a turn waits for its sync."""
        return self._under_way is not None

    def unsynced(self, entity: int) -> int:
        """The first entry of an entity that is applied by the turn which waits for its sync; 0: none is."""
        applies = () if self._under_way is None else self._under_way.applies
        return next((apply.entry for apply in applies if apply.entity == entity), 0)

    def begin(self, events: Iterable[Event | Request], now_ms: float, wall_ms: int) -> bool:
        """Take in events and write what came of them; whether a sync is needed before `finish`.

        Raises what the store raises if it cannot be read: nothing after that may be shown, so the caller ends the process.
        """
        assert self._under_way is None, "one turn at a time"
        shard = self._shard
        self._begun_ms = now_ms
        self._step(events, now_ms, wall_ms)
        ready = shard.ready()
        self._let_leave(ready.early)  # shows no row of this turn: a crash here is like one before the sync
        if ready.records or ready.applies or ready.changes:
            try:
                self._store.write(ready.records, ready.applies, ready.changes)
            except Damaged:
                raise
            except PaxosStoreError as error:
                # no row of the turn has been shown: the shard forgets them, and answers for them
                shard.step(WriteFailed(str(error)), now_ms, wall_ms)
                ready = shard.ready()
                assert not ready.records
                assert not ready.applies
                assert not ready.changes
                self._let_leave(ready.early)
        self._under_way = ready
        return ready.needs_sync

    def gulp(self, events: Iterable[Event | Request], now_ms: float, wall_ms: int) -> list[Event]:
        """Take in events while the sync of the turn before takes long. Returns what was loaded. Raises like `begin`.

        They belong to the turn that the next `begin` writes; what it may show before that is shown now.
        """
        assert self._under_way is not None, "nothing is being synced"
        self._shard.step(DiskSilent(now_ms - self._begun_ms), now_ms, wall_ms)
        self._step(events, now_ms, wall_ms)
        early, loads = self._shard.gulp()
        self._let_leave(early)
        return self._have_loaded(loads)

    def load(self, entity: int) -> Event:
        """Load an entity that was given to `warm`. Nothing of it is written before that is stepped, so it may be read at any time
        between turns, and while one is synced (rules 9 and 18). Raises like `begin`.

        Where its rows are damaged, and nothing else is, that alone is said (rule 19e).
        """
        try:
            return self._store.load(entity)
        except Damaged as found:
            if found.entity != entity or not self._shard.may_reset:
                raise
            self._lost(found)
            return Loaded(entity, 0, [], 0, b"", damaged=found.what)

    def finish(self, now_ms: float, wall_ms: int) -> list[Event]:
        """The turn is durable. Returns what was loaded, for the next turn. Raises like `begin`."""
        ready, self._under_way = self._under_way, None
        assert ready is not None
        self._shard.step(Durable(ready.turn), now_ms, wall_ms)
        self._let_leave(ready.late)
        if ready.renewed:
            self._renewed(ready.renewed)
        if ready.applies or ready.changes:
            self._applied(ready.applies, ready.changes)
        read = self._read_for_peers(ready) if self._reads or ready.reads else []
        return self._have_loaded(ready.loads) + read if ready.loads else read

    def _read_for_peers(self, ready: Ready) -> list[Event]:
        """All that has to be read of what this turn has left, and of the rest as much as there is time for."""
        for reader in ready.snapshot_closes:
            self._store.close_snapshot(reader)
            self._reads = deque(read for read in self._reads if read[0] != reader)  # or it would be opened again
        self._take_reads(ready)
        loaded: list[Event] = [read_floors(self._store, floors) for floors in ready.floor_reads]
        loaded += [read_lost(self._store, lost) for lost in ready.lost_reads]
        loaded += [self._read_view(view) for view in ready.view_reads]  # of what this turn has left
        while self._reads:
            loaded.append(self._reads.popleft()[1]())
            if len(self._reads) <= MAX_LATER and not self._reads_on():
                break  # the next turn goes on: it comes at once, for what was read
        return loaded

    def _let_leave(self, release: Release) -> None:
        if release:
            self._release(release)

    def _have_loaded(self, entities: list[int]) -> list[Event]:
        if self._warm is None:
            return [self.load(entity) for entity in entities]
        if entities:
            self._warm(entities)
        return []

    def _take_reads(self, ready: Ready) -> None:
        """Done when a turn is durable: this one, or a later one, which makes no difference."""
        put = self._reads.append
        for log_read in ready.log_reads:
            put((None, partial(self._read_log, log_read)))
        for digest_read in ready.digest_reads:
            put((None, partial(self._read_digests, digest_read)))
        for inventory_read in ready.inventory_reads:
            put((None, partial(self._read_inventory, inventory_read)))
        for piece in ready.snapshot_reads:
            put(((piece.peer, piece.entity, piece.number), partial(self._read_snapshot, piece)))

    def _read_log(self, read: LogRead) -> LogLoaded:
        records = self._store.read_log(read.entity, read.first, read.last)
        return LogLoaded(read.entity, read.peer, records, read.first + read.compared, read.cheaper, read.patient)

    def _read_digests(self, asked: DigestRead) -> DigestsLoaded:
        return DigestsLoaded(*asked, self._store.digests(asked.level, asked.nodes))

    def _read_inventory(self, read: InventoryRead) -> InventoryLoaded:
        entities = self._store.inventory(read.buckets, read.after, READ)
        return InventoryLoaded(read.peer, read.buckets, read.after, entities, len(entities) == READ)

    def _read_snapshot(self, read: SnapshotRead) -> SnapshotLoaded:
        """A piece for a peer; that there is none, if its view is not open."""
        found = self._store.read_snapshot((read.peer, read.entity, read.number), read.after, read.max_bytes)
        if found is None:
            return SnapshotLoaded(read.peer, SnapshotPiece(read.entity, read.number, read.after, 0, [], False, False))
        piece = SnapshotPiece(read.entity, read.number, read.after, found.committed, found.rows, found.more, True)
        return SnapshotLoaded(read.peer, piece)

    def _read_view(self, read: ViewRead) -> ViewLoaded:
        """A piece of a view that is compared; that there is none, if it is not open."""
        store, reader = self._store, (read.peer, read.entity, read.number)
        if read.opens and read.after:
            store.open_snapshot(reader)
        found = store.read_snapshot(reader, read.after, read.max_bytes)
        if found is None:
            return ViewLoaded(*reader, read.after, store.committed_entry(read.entity), [], False, False)
        return ViewLoaded(*reader, read.after, found.committed, found.rows, found.more, True)

    def _step(self, events: Iterable[Event | Request], now_ms: float, wall_ms: int) -> None:
        shard = self._shard
        for event in events:
            shard.step(event, now_ms, wall_ms)
        if shard.next_deadline_ms <= now_ms:
            shard.step(Tick(), now_ms, wall_ms)
