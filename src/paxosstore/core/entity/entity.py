"""One entity's log at one replica: the ordered pointers, the entries still open, and who waits for what.

entry  1 ........ committed ........ contiguous_chosen ........ max_chosen   max_chosen+1
       |-- in the DB --|-- chosen, to be applied --|-- some missing --|          |
                                                                         the one open entry (rule 11)

committed <= contiguous_chosen <= max_chosen, and max_plog <= max_chosen + 1
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from ..batch.evaluate import Evaluated
from ..batch.overlay import WriteBatch
from ..batch.request import Request
from ..entry.ids import origin
from ..entry.machine import EntryMachine
from ..entry.record import Value
from ..interface.event import Loaded
from ..interface.message import Message
from .ahead import Ahead
from .catchup import CatchUpState
from .read import Reads

NEVER = float("inf")
NOBODY = -1


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


class InFlight(NamedTuple):
    """The batch under proposal. Its requests are done if exactly this value is chosen at exactly its entry."""

    evaluated: Evaluated
    value: Value
    turn: int
    """The turn that proposed it: from the next one on, peers may have seen it."""
    since_ms: float
    """When its evaluation began."""


class Claim:
    """Waiting requests that have lost an entry: they want to come next."""

    __slots__ = ("goes_at_ms", "since", "took_ms")

    def __init__(self, since: int, took_ms: float) -> None:
        self.since = since
        """The entry that was lost first."""
        self.took_ms = took_ms
        """From the last evaluation's beginning to its loss."""
        self.goes_at_ms = 0.0
        """When they are evaluated again; 0: when the others have been asked to give way."""


class Given(NamedTuple):
    """A peer comes first."""

    peer: int
    since: int
    """The entry that it has lost first."""
    until_ms: float

    def after(self, entry: int, origin: int) -> Given | None:
        """What is left of it when a value from there was chosen at this entry."""
        return None if origin == self.peer and entry > self.since else self


class News(NamedTuple):
    """An entry that was chosen by our proposal."""

    entry: int
    opened: OpenEntry
    since_ms: float


class Entity:
    """State of a loaded entity, or the mailbox of one that is being loaded (rule 9)."""

    __slots__ = (
        "ahead",
        "catchup",
        "claim",
        "committed",
        "contiguous_chosen",
        "given",
        "given_in_vain",
        "guest",
        "guest_requests",
        "handed_count",
        "handed_to",
        "id",
        "in_flight",
        "last_origin",
        "lease_until_ms",
        "lost_turn",
        "mailbox",
        "max_chosen",
        "max_plog",
        "no_preauth_through",
        "opened",
        "queue",
        "readers",
        "reads",
        "returned",
        "row_turn",
        "taking_over",
        "timer_ms",
        "touched",
        "untold",
        "unwritten",
        "vouched",
        "wake_ms",
        "wanted",
    )

    def __init__(self, entity: int) -> None:
        self.id = entity
        self.mailbox: list[Request | tuple[int, Message]] | None = []
        """Events that wait for the load; None: loaded."""
        self.committed = 0
        self.contiguous_chosen = 0
        self.max_chosen = 0
        self.vouched = 0
        """Highest entry that a peer has called chosen: all up to it is, whatever becomes of this replica's own votes."""
        self.max_plog = 0
        """Highest entry with a row in the local PLog: above this the disk is empty (rule 9)."""
        self.opened: dict[int, OpenEntry] = {}
        self.last_origin = NOBODY
        """Where the value chosen at `committed` originated: the holder of pre-auth (rule 5a), hence preferred."""
        self.no_preauth_through = 0
        """Rule 6: after a load, no pre-auth up to and including this entry."""
        self.row_turn = 0
        """Turn that last changed a row in a way that needs syncing."""
        self.lease_until_ms = 0.0
        self.queue: deque[Request] = deque()
        self.in_flight: InFlight | None = None
        self.lost_turn = 0
        """Turn in which the own batch was last found to have lost."""
        self.reads = Reads()
        self.catchup = CatchUpState()
        self.handed_to = NOBODY
        self.handed_count = 0
        """Requests handed over to `handed_to` without an outcome yet."""
        self.returned: list[Request] = []
        """Handed over and come back, while others are still away: they wait for those, to keep their order."""
        self.guest = NOBODY
        """The peer that all of the last `guest_requests` proposed here came from."""
        self.guest_requests = 0
        self.taking_over = False
        """The preferred proposer has asked us to propose ourselves."""
        self.claim: Claim | None = None
        """What waits here has lost an entry, and the others are asked to give way."""
        self.given: Given | None = None
        """Whom we give way to."""
        self.given_in_vain = False
        """The last to whom we gave way did not come: now we propose, whoever asks."""
        self.untold: dict[int, list[News]] = {}
        """By peer: what it does not know yet, the oldest first."""
        self.readers: set[int] = set()
        """Peers that asked for a read while an entry was under way: they wait to hear that it is chosen."""
        self.unwritten: WriteBatch | None = None
        """Applied in this turn and not in the DB yet."""
        self.ahead: Ahead | None = None
        """What is applied in memory only, while the disk takes no writes."""
        self.wanted = 0
        """Entry up to which somebody asked us to catch up."""
        self.wake_ms = NEVER
        """When to look at this entity again."""
        self.timer_ms = NEVER
        """The earliest timer that is set for it."""
        self.touched = False

    def load(self, loaded: Loaded, n: int, me: int) -> None:
        """Take what the disk says (recover and range load)."""
        assert self.mailbox is not None
        assert loaded.entity == self.id
        self.committed = self.contiguous_chosen = self.max_chosen = loaded.committed
        self.max_plog = max(loaded.max_plog, loaded.committed)
        self.no_preauth_through = self.max_plog + 1
        if loaded.last_value_id:
            self.last_origin = origin(loaded.last_value_id)
        for entry, record in loaded.records:
            assert entry > loaded.committed
            self.opened[entry] = OpenEntry(EntryMachine(n, me, record))
            if record.chosen:
                self.max_chosen = max(self.max_chosen, entry)
        self.max_chosen = max(self.max_chosen, self.max_plog - 1)  # rule 11
        self.validate()

    def validate(self) -> None:
        """Assert the order of the pointers."""
        assert 0 <= self.committed <= self.contiguous_chosen <= self.max_chosen, (self.id, self.pointers)
        assert self.max_plog <= self.max_chosen + 1, (self.id, self.pointers)

    @property
    def pointers(self) -> tuple[int, int, int, int]:
        """committed, contiguous chosen, max chosen, max plog."""
        return self.committed, self.contiguous_chosen, self.max_chosen, self.max_plog

    @property
    def applied(self) -> int:
        """Highest entry that reads see: `committed`, or further in memory only."""
        return self.committed if self.ahead is None else self.ahead.applied

    @property
    def highest(self) -> int:
        """Highest entry at which this replica has accepted anything, or that it knows to be chosen: its answer to a read
        question (rule 12). What is not durable yet counts: it may be at any moment."""
        if self.max_plog > self.max_chosen:
            opened = self.opened.get(self.max_plog)
            if opened is None or opened.machine.mine.accepted:
                return self.max_plog
        return self.max_chosen

    @property
    def busy(self) -> bool:
        """Whether any request waits here."""
        return bool(self.queue or self.in_flight or self.reads or self.returned or self.mailbox)

    def raise_max_chosen(self, entry: int, peer: int) -> None:
        """A peer has shown that `entry` is chosen."""
        if entry > self.vouched:
            self.vouched = entry
        if entry > self.max_chosen:
            self.max_chosen = entry
            self.catchup.news_from(peer)

    @property
    def proposed(self) -> list[Request]:
        """Those of the batch in flight."""
        return [] if self.in_flight is None else [request for request, _ in self.in_flight.evaluated.proposed]

    def requests(self) -> list[Request]:
        """Every request that waits here, in no particular order."""
        waiting = [*self.queue, *self.returned, *self.proposed, *self.reads.all()]
        waiting += [item for item in self.mailbox or () if isinstance(item, Request)]
        return waiting
