"""One entity's log at one replica: the ordered pointers and the entries still open. Written by core/log/log.py.

entry  1 ........ committed ........ contiguous_chosen ........ max_chosen   max_chosen+1
       |-- in the DB --|-- chosen, to be applied --|-- some missing --|          |
                                                                         the one open entry (rule 11)

committed <= contiguous_chosen <= max_chosen, and max_plog <= max_chosen + 1
"""

from __future__ import annotations

from ..batch.overlay import WriteBatch
from ..entry.ids import NOBODY, origin
from ..entry.machine import EntryMachine
from ..interface.event import Loaded
from .ahead import Ahead
from .divergence import RecentIds

NEVER = float("inf")
INFINITE = 2**63 - 1
"""A floor that is above every entry."""


class OpenEntry:
    """An entry that is not applied yet."""

    __slots__ = ("asked_all", "asked_at_ms", "attempts", "driving", "machine", "retry_at_ms", "told")

    def __init__(self, machine: EntryMachine) -> None:
        self.machine = machine
        self.driving = False
        """Whether this replica proposes here, and so tells the others when it is chosen."""
        self.asked_at_ms = 0.0
        """When a majority was asked to accept at once, without a prepare phase; 0: never."""
        self.asked_all = True
        """Whether no peer was left out then."""
        self.attempts = 0
        self.retry_at_ms = NEVER
        self.told: set[tuple[int, bytes]] = set()
        """(peer, value id) of values sent in full: repeated by their id alone (rule 4)."""

    def forget(self, peer: int) -> None:
        """What this peer has shown and was told counts no more: it was on another disk (rule 19b)."""
        self.machine.forget(peer)
        self.told = {(other, value) for other, value in self.told if other != peer}


class LogState:
    """Where the log of an entity stands here."""

    __slots__ = (
        "ahead",
        "changed_turn",
        "committed",
        "contiguous_chosen",
        "floor",
        "floor_stored",
        "last_origin",
        "lease_until_ms",
        "listed",
        "max_chosen",
        "max_plog",
        "no_preauth_through",
        "opened",
        "recent",
        "row_turn",
        "unwritten",
        "vouched",
    )

    def __init__(self) -> None:
        self.committed = 0
        """Highest entry applied."""
        self.contiguous_chosen = 0
        """Everything up to it is known to be chosen."""
        self.max_chosen = 0
        """Highest entry known, from anyone, to be chosen."""
        self.vouched = 0
        """Highest entry that a peer has called chosen: all up to it is, whatever becomes of this replica's own votes."""
        self.max_plog = 0
        """Highest entry with a row in the local PLog: above this the disk is empty (rule 9)."""
        self.floor = 0
        """Below this entry this replica only learns, for it may have voted there on a disk that is lost (rule 19c); 0: none."""
        self.floor_stored = False
        """The floor has a row of its own on the disk."""
        self.listed = False
        """The store lists the entity: its first row, or its first copy, is written or about to be."""
        self.opened: dict[int, OpenEntry] = {}
        self.last_origin = NOBODY
        """Where the value chosen at `committed` originated: the holder of pre-auth (rule 5a), hence preferred."""
        self.recent = RecentIds()
        self.no_preauth_through = 0
        """Rule 6: after a load, no pre-auth up to and including this entry."""
        self.row_turn = 0
        """Turn that last changed a row in a way that needs syncing."""
        self.changed_turn = 0
        """Turn that last wrote a row, an entry or a floor: until it is durable, the disk may not have all of it (rule 18)."""
        self.lease_until_ms = 0.0
        """Somebody else was active at the open entry: until then it is not competed with (rule 13)."""
        self.unwritten: WriteBatch | None = None
        """Applied in this turn and not in the DB yet."""
        self.ahead: Ahead | None = None
        """What is applied in memory only, while the disk takes no writes."""

    def load(self, loaded: Loaded, n: int, me: int) -> None:
        """Take what the disk says (recover and range load)."""
        self.committed = self.contiguous_chosen = self.max_chosen = loaded.committed
        self.max_plog = max(loaded.max_plog, loaded.committed)
        self.listed = self.max_plog > 0 or loaded.recovering
        self.no_preauth_through = self.max_plog + 1
        if loaded.last_value_id:
            self.last_origin = origin(loaded.last_value_id)
            self.recent.applied(loaded.committed, loaded.last_value_id)
        for entry, record in loaded.records:
            assert entry > loaded.committed
            self.opened[entry] = OpenEntry(EntryMachine(n, me, record))
            if record.chosen:
                self.max_chosen = max(self.max_chosen, entry)
        self.max_chosen = max(self.max_chosen, self.max_plog - 1)  # rule 11
        self.validate()

    def set_floor(self, floor: int, *, stored: bool) -> None:
        """Rules 19c and 19d. Written by core/reentry alone."""
        self.floor = floor
        self.floor_stored = stored
        if floor < INFINITE:
            self.no_preauth_through = max(self.no_preauth_through, floor)

    def doubt_chosen(self, entry: int) -> bool:
        """A majority has promised there, and none of it has accepted anything: no longer believe who has called that, or what
        comes after it, chosen; whether anybody had. Else one wrong number has entries filled for ever.

        Was it right, by a higher ballot since, this is no more than if its message had been lost: the number is in memory alone.
        """
        if not self.max_plog == entry <= self.max_chosen:
            return False
        self.max_chosen = entry - 1
        self.vouched = min(self.vouched, self.max_chosen)
        return True

    @property
    def learns_only(self) -> bool:
        """Whether this replica may lack what it has voted for on a disk that is lost: its word on that does not count."""
        return self.contiguous_chosen < self.floor - 1

    def validate(self) -> None:
        """Assert the order of the pointers."""
        assert 0 <= self.committed <= self.contiguous_chosen <= self.max_chosen, self.pointers
        assert self.max_plog <= self.max_chosen + 1, self.pointers

    @property
    def pointers(self) -> tuple[int, int, int, int]:
        """committed, contiguous chosen, max chosen, max plog."""
        return self.committed, self.contiguous_chosen, self.max_chosen, self.max_plog

    def chosen_id(self, entry: int) -> bytes:
        """Id of the value that is known here to be chosen there; empty: none is, or memory does not know it any more."""
        opened = self.opened.get(entry)
        if opened is None:
            return self.recent.at(entry)
        mine = opened.machine.mine
        return mine.value.id if mine.chosen and mine.value is not None else b""

    @property
    def lag(self) -> int:
        """How many entries are known to be chosen, each with its value, and not applied yet."""
        return self.contiguous_chosen - self.committed

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """(first, last) entries that are known to be chosen, and what was chosen there is not known here; ascending."""
        found, known = [], self.contiguous_chosen
        chosen = sorted(entry for entry, opened in self.opened.items() if entry > known and opened.machine.mine.chosen)
        for entry in (*chosen, self.max_chosen + 1):
            if entry > known + 1:
                found.append((known + 1, entry - 1))
            known = entry
        return found

    @property
    def applied(self) -> int:
        """Highest entry that reads see: `committed`, or further in memory only."""
        return self.committed if self.ahead is None else self.ahead.applied

    @property
    def is_caught_up(self) -> bool:
        """Whether everything that is known to be chosen is applied."""
        return self.committed == self.max_chosen

    @property
    def value_bytes(self) -> int:
        """What the values of open entries take of memory, roughly: what peers propose there is mostly the same."""
        values = (opened.machine.mine.value or opened.machine.proposal for opened in self.opened.values())
        return sum(len(value.body) for value in values if value is not None)

    @property
    def highest(self) -> int:
        """Highest entry at which this replica has accepted anything, or that it knows to be chosen: its answer to a read
        question (rule 12). What is not durable yet counts: it may be at any moment."""
        if self.max_plog > self.max_chosen:
            opened = self.opened.get(self.max_plog)
            if opened is None or opened.machine.mine.accepted:
                return self.max_plog
        return self.max_chosen
