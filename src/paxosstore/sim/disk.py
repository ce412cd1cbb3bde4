"""A disk that forgets, fills up, fails and slows down, under the reference store.

A power cut may keep any subset of what was not synced, and tear the last write. A log is read up to its first hole, so what is
found afterwards is always a prefix of the batches: `crash(keep)` takes its length. (That the real store reads its log so
is what the crash images test.)

It lets rows of the log expire, as the real store does beside its turns (rule 17).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from ..core.batch.overlay import TIME
from ..core.entity.logstate import INFINITE
from ..core.entry.record import EMPTY, Record
from ..core.interface.event import Loaded
from ..core.interface.ready import Apply, Change, ResetEntity
from ..core.turn.restored import lost_disk
from ..core.turn.standing import StandingRow, State, decode_standing
from ..errors import DiskFull, NodeError
from ..storage.damage import damaged
from ..storage.memory import MemoryStore
from ..storage.record_codec import decode_row
from ..storage.restoring import undecided
from ..storage.sorted_map import SortedMap
from .invariants import Place, Violation

NOT_READY = 3
"""After a start the digests are still being built when they are asked for the first times."""

Rows = dict[Place, Record]
"""(entity, entry) -> row."""


class SimDisk(MemoryStore):
    """One node's disk. It remembers its rows decoded as well, for those who check them."""

    def __init__(self) -> None:
        super().__init__()
        self.id = 0
        """Of the data directory: another one for each disk, the same for its copies."""
        self.keep_entries: int | None = None
        """So many applied entries are kept in the log, one at least, as in the real store; None: all."""
        self.expired = 0
        """Rows that are gone."""
        self.full = False
        self.read_fails = False
        """The next read raises, once."""
        self.damaged: set[int] = set()
        """Entities whose rows cannot be read any more: what was kept of them is lost."""
        self.durably_damaged: set[int] = set()
        """The same, as a power cut would leave it: a reset that was not synced is none."""
        self.on_reset: Callable[[int], None] = lambda entity: None
        """Called when what was kept of an entity is deleted, for it was damaged."""
        self.change_fails = False
        """The next write that replaces an accepted value by another raises, once."""
        self.not_applied: dict[int, int] = {}
        """(entity -> entry) of the last write, if it failed: what its turn had taken for chosen."""
        self.rows: Rows = {}
        """As written, those that have expired as well."""
        self.durable_rows: Rows = {}
        """As a power cut would leave them at the least."""
        self.on_write: Callable[[], None] = lambda: None
        """Called before and after each write: where a crash may come in between."""
        self.on_changes: Callable[[Sequence[Change]], None] = lambda changes: None
        """Called before and after such changes are written, and when they are synced."""
        self.on_rows: Callable[[Rows, Mapping[Place, Record]], None] = lambda before, rows: None
        """Rows that are about to be written, and all that stood there before."""
        self.on_durable: Callable[[Mapping[Place, Record]], None] = lambda rows: None
        self._unsynced_rows: list[Mapping[Place, Record]] = []
        self._unsynced_resets: list[set[int]] = []
        self._standing: tuple[bytes, StandingRow | None] = b"", None
        self._kept_from: dict[int, int] = {}
        """Entity -> the lowest entry that has not expired."""

    def crash(self, keep: int = 0) -> SimDisk:
        found = super().crash(keep)
        assert isinstance(found, SimDisk)
        found.id, found.keep_entries, found.expired, found.clock = self.id, self.keep_entries, self.expired, self.clock
        found._kept_from = dict(self._kept_from)
        found.durable_rows = dict(self.durable_rows)
        found.damaged = set(self.durably_damaged)
        for rows, reset in zip(self._unsynced_rows[:keep], self._unsynced_resets, strict=False):
            found._forget(reset)
            found.durable_rows.update(rows)
            self.on_durable(rows)  # whoever opens a store syncs what it finds
        found.durably_damaged = set(found.damaged)
        found.rows = dict(found.durable_rows)
        found.digests_not_ready = NOT_READY
        return found

    def copy(self) -> SimDisk:
        """What somebody gets who copies the directory: no more than a power cut would leave."""
        return self.crash()

    def restored(self, me: int, n: int, disk: int) -> SimDisk:
        """What is made for node `me` of a backup of this disk (backup/restore.py)."""
        found = self.copy()
        found.id = disk
        durable = found._durable
        durable.standing = lost_disk(durable.standing, me, n, disk).encode()
        durable.floors = SortedMap()
        for entity, rows in durable.log.items():
            records = [(entry, decode_row(entity, entry, row)) for entry, row in rows.range(0)]
            for entry in undecided(records, durable.committed.items.get(entity, 0)):
                rows.delete(entry)
                found.durable_rows.pop((entity, entry), None)
        found._now = durable.copy()
        found.rows = dict(found.durable_rows)
        return found

    @property
    def recovering(self) -> set[int]:
        """Entities that a copy is written of, beside their data."""
        return set(self._now.copies)

    @property
    def durable_standing(self) -> StandingRow | None:
        """What a power cut would leave of what the disk says of its node; None: nothing yet."""
        content = self._durable.standing
        if content != self._standing[0]:
            self._standing = content, decode_standing(content)
        return self._standing[1]

    @property
    def is_members(self) -> bool:
        """Whether a power cut would leave the disk of a member."""
        row = self.durable_standing
        return row is not None and row.state is State.MEMBER

    @property
    def owes(self) -> bool:
        """Whether a power cut would leave entities below a floor of theirs, or damaged. One that has passed its floor may leave
        the row: that it goes is synced with something else, whenever that comes."""
        row = self.durable_standing
        damaged = self.durably_damaged or (row is not None and row.damaged)
        return bool(damaged) or any(map(self.durable_floor, self._durable.floors.items))

    @property
    def below_floors(self) -> list[tuple[int, int]]:
        """Entities that are below a floor of theirs, and the floors, as the node itself sees it."""
        return [(entity, floor) for entity, floor in self._now.floors.range(0) if self.committed_entry(entity) < floor - 1]

    @property
    def default_floor(self) -> int:
        """Of entities that nobody listed when it came back, as a power cut would leave it; 0: none."""
        row = self.durable_standing
        return 0 if row is None else row.default

    def durable_committed(self, entity: int) -> int:
        """Highest entry that a power cut would leave applied."""
        return self._durable.committed.items.get(entity, 0)

    def durable_floor(self, entity: int) -> int:
        """Rule 19c, as a power cut would leave it: below this entry nothing is shown; 0: no floor."""
        row = self.durable_standing
        if row is None or row.state is State.NEW or (row.state is State.REENTERING and entity > row.cursor):
            return INFINITE
        if any(first <= entity <= last for first, last in row.damaged):
            return INFINITE
        floor = self._durable.floors.items.get(entity, row.default)
        return floor if self.durable_committed(entity) < floor - 1 else 0

    def has_default_floor(self, entity: int) -> bool:
        """Whether its floor is that of all entities that nobody listed, as a power cut would leave it."""
        row = self.durable_standing
        return row is not None and row.default > 0 and entity not in self._durable.floors.items

    # -- Store

    def write(self, records: dict[tuple[int, int], Record], applies: Sequence[Apply], changes: Sequence[Change] = ()) -> None:
        self.on_write()
        self.not_applied = {apply.entity: apply.entry for apply in applies}
        if self.full:
            raise DiskFull("the disk is full")
        if self.change_fails and any(map(self._changes_vote, records.items())):
            self.change_fails = False
            raise DiskFull("no room for another vote")
        if changes:
            self.on_changes(changes)
        self._watch_rules(records)
        self._watch_time(applies)
        reset = {change.entity for change in changes if isinstance(change, ResetEntity)}
        for entity in reset:
            self.on_reset(entity)
        for place in [place for place in self.rows if place[0] in reset]:
            del self.rows[place]
        self.on_rows(self.rows, records)
        super().write(records, applies, changes)
        self.damaged -= reset
        self.not_applied = {}
        self.rows.update(records)
        self._unsynced_rows.append(records)
        self._unsynced_resets.append(reset)
        if changes:
            self.on_changes(changes)
        self.on_write()

    def sync(self) -> None:
        batches = self._unsynced
        changes = [change for batch in batches for change in batch.changes]
        applied = {apply[0] for batch in batches for apply in batch.applies} if self.keep_entries is not None else ()
        super().sync()
        written, self._unsynced_rows = self._unsynced_rows, []
        resets, self._unsynced_resets = self._unsynced_resets, []
        for rows, reset in zip(written, resets, strict=True):
            self._forget(reset)
            self.durable_rows.update(rows)
            self.on_durable(rows)
        for entity in applied:
            self._expire(entity)
        if changes:
            self.on_changes(changes)

    def load(self, entity: int) -> Loaded:
        self._read()
        self._check(entity)
        return super().load(entity)

    def read_log(self, entity: int, first: int, last: int, max_bytes: int = 1_048_576) -> list[tuple[int, Record]]:
        self._read()
        self._check(entity)
        return super().read_log(entity, first, last, max_bytes)

    def get(self, entity: int, key: bytes) -> bytes | None:
        if self.read_fails:
            self._read()
        self._check(entity)
        return super().get(entity, key)

    def scan(self, entity: int, start: bytes, end: bytes, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        self._check(entity)
        return super().scan(entity, start, end, reverse)

    # -- rules

    def _watch_rules(self, rows: Mapping[Place, Record]) -> None:
        for entity, entry in rows:
            if entry <= self.committed_entry(entity) and not rows[entity, entry].chosen:
                raise Violation(f"a vote at {(entity, entry)}, and {self.committed_entry(entity)} is applied already (rule 17)")

    def _watch_time(self, applies: Sequence[Apply]) -> None:
        times: dict[int, bytes] = {}
        for entity, entry, batch in applies:
            time = batch.writes.get(TIME)
            if time is None:
                continue
            before = times.get(entity) or super().get(entity, TIME) or b""
            if time < before:
                raise Violation(f"the time of entity {entity} goes back at entry {entry} (rule 20)")
            times[entity] = time

    def expire(self) -> None:
        """At once, of all entities: what a sync does of those that it makes applied."""
        for entity in self._durable.committed.items:
            self._expire(entity)

    def _expire(self, entity: int) -> None:
        """Rule 17: delete rows that are applied in the durable DB, and older than what is kept."""
        assert self.keep_entries is not None
        last = self._durable.committed.items.get(entity, 0) - self.keep_entries
        pinned = self.pins.above(entity)
        if pinned is not None:
            last = min(last, pinned)
        first = self._kept_from.get(entity, 1)
        if last < first:
            return
        for contents in (self._now, self._durable):
            log = contents.log.get(entity)
            if log is not None:
                for entry in range(first, last + 1):
                    log.delete(entry)
        self.expired += last + 1 - first
        self._kept_from[entity] = last + 1

    # -- faults

    def rot(self, entity: int, key: bytes, value: bytes | None) -> bytes | None:
        """The disk has another value at a key of the data, or none, and no checksum sees it. Returns what was there."""
        super().sync()  # or what is not synced yet would undo it later
        tables = [contents.data.setdefault(entity, SortedMap()) for contents in (self._now, self._durable)]
        before = tables[0].items.get(key)
        for table in tables:
            if value is None:
                table.delete(key)
            else:
                table.put(key, value)
        return before

    def damage(self, entity: int) -> None:
        """Lose what is kept of an entity: whoever reads it next is told."""
        self.damaged.add(entity)
        self.durably_damaged.add(entity)

    def _check(self, entity: int) -> None:
        if entity in self.damaged:
            raise damaged("the disk", f"entity {entity} cannot be read", entity)

    def _forget(self, reset: set[int]) -> None:
        """What is durable of entities that were reset: nothing."""
        for place in [place for place in self.durable_rows if place[0] in reset]:
            del self.durable_rows[place]
        for entity in reset:
            self._kept_from.pop(entity, None)
        self.durably_damaged -= reset
        self.damaged -= reset

    def _changes_vote(self, row: tuple[Place, Record]) -> bool:
        place, new = row
        old = self.rows.get(place, EMPTY)
        return old.value is not None and new.value is not None and old.value.id != new.value.id

    def _read(self) -> None:
        if self.read_fails:
            self.read_fails = False
            raise NodeError("the disk could not be read")
