"""One turn of a shard over its store: the order of rule 7, executed. No clock, no threads, no sockets.

    begin:  step everything ─► release early ─► write once        then, if begin says so, the caller syncs
    gulp:   while that sync takes long: step what has come meanwhile ─► release early ─► load
    finish: tell the shard it is durable ─► release late ─► load

The node's loop and the simulator drive this same class; they differ in what time is and where a sync runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..core.batch.request import Request
from ..core.interface.digest import PAGE
from ..core.interface.event import (
    DigestsLoaded,
    DiskSilent,
    Durable,
    Event,
    InventoryLoaded,
    LogLoaded,
    SnapshotLoaded,
    Tick,
    ViewLoaded,
    WriteFailed,
)
from ..core.interface.message import SnapshotPiece
from ..core.interface.ready import Apply, Ready, Release, SnapshotRead, ViewRead
from ..core.shard.shard import Shard
from ..errors import Damaged, PaxosStoreError
from .api import Store
from .floors import read_floors


class Turn:
    """Drives a shard and its store, one turn at a time."""

    def __init__(
        self,
        shard: Shard,
        store: Store,
        release: Callable[[Release], None],
        applied: Callable[[Sequence[Apply]], None] = lambda applies: None,
        renewed: Callable[[int], None] = lambda disk: None,
    ) -> None:
        self._shard = shard
        self._store = store
        self._release = release
        self._applied = applied
        """Told what the store has taken in, for whoever follows it."""
        self._renewed = renewed
        """Told that this node's disk is another one from now on (rule 19a): all links begin anew."""
        self._under_way: Ready | None = None
        self._begun_ms = 0.0

    @property
    def syncing(self) -> bool:
        """Whether a turn waits for its sync."""
        return self._under_way is not None

    def begin(self, events: Iterable[Event | Request], now_ms: float, wall_ms: int) -> bool:
        """Take in events and write what came of them; whether a sync is needed before `finish`.

        Raises what the store raises if it cannot be read: nothing after that may be shown, so the caller ends the process.
        """
        assert self._under_way is None, "one turn at a time"
        shard = self._shard
        self._begun_ms = now_ms
        self._step(events, now_ms, wall_ms)
        ready = shard.ready()
        self._release(ready.early)  # shows no row of this turn: a crash here is like one before the sync
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
                self._release(ready.early)
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
        self._release(early)
        return [self._store.load(entity) for entity in loads]

    def finish(self, now_ms: float, wall_ms: int) -> list[Event]:
        """The turn is durable. Returns what was loaded, for the next turn. Raises like `begin`."""
        ready, self._under_way = self._under_way, None
        assert ready is not None
        self._shard.step(Durable(ready.turn), now_ms, wall_ms)
        self._release(ready.late)
        if ready.renewed:
            self._renewed(ready.renewed)
        if ready.applies:
            self._applied(ready.applies)
        for reader in ready.snapshot_closes:
            self._store.close_snapshot(reader)
        loaded: list[Event] = [self._store.load(entity) for entity in ready.loads]
        for read in ready.log_reads:
            records = self._store.read_log(read.entity, read.first, read.last)
            loaded.append(LogLoaded(read.entity, read.peer, records, read.first + read.compared, read.cheaper, read.patient))
        loaded += [DigestsLoaded(*asked, self._store.digests(asked.level, asked.nodes)) for asked in ready.digest_reads]
        for peer, buckets, after in ready.inventory_reads:
            entities = self._store.inventory(buckets, after, PAGE)
            loaded.append(InventoryLoaded(peer, buckets, after, entities, len(entities) == PAGE))
        loaded += [self._read_snapshot(piece) for piece in ready.snapshot_reads]
        loaded += [self._read_view(view) for view in ready.view_reads]
        loaded += [read_floors(self._store, floors) for floors in ready.floor_reads]
        return loaded

    def _read_snapshot(self, read: SnapshotRead) -> SnapshotLoaded:
        """A piece for a peer; that there is none, if its view is not open."""
        found = self._store.read_snapshot((read.peer, read.entity, read.number), read.after, read.max_bytes)
        if found is None:
            return SnapshotLoaded(read.peer, SnapshotPiece(read.entity, read.number, read.after, 0, [], False, False))
        piece = SnapshotPiece(read.entity, read.number, read.after, found.committed, found.rows, found.more, True)
        return SnapshotLoaded(read.peer, piece)

    def _read_view(self, read: ViewRead) -> ViewLoaded:
        """A piece of a view that is compared; that there is none, if it is not open or its data is not whole."""
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
