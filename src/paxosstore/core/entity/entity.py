"""One entity at one replica: its log, and who waits for what. Each part belongs to the one file that works on it."""

from __future__ import annotations

from ..batch.request import Request
from ..interface.event import Loaded
from ..interface.message import Message
from .catchup import CatchUpState
from .divergence import Stop
from .handedover import HandedOver
from .install import Install
from .logstate import NEVER as NEVER
from .logstate import LogState
from .news import News
from .read import Reads
from .way import Way
from .writes import Writes


class Entity:
    """State of a loaded entity, or the mailbox of one that is being loaded (rule 9)."""

    __slots__ = (
        "bytes",
        "catchup",
        "entries",
        "handover",
        "id",
        "install",
        "log",
        "mailbox",
        "news",
        "reads",
        "stopped",
        "timer_ms",
        "touched",
        "wake_ms",
        "way",
        "writes",
    )

    def __init__(self, entity: int) -> None:
        self.id = entity
        self.mailbox: list[Request | tuple[int, Message]] | None = []
        """Events that wait for the load; None: loaded."""
        self.stopped: Stop | None = None
        """Why nothing is done for it here any more: core/log/agreement.py."""
        self.log = LogState()
        self.writes = Writes()
        self.reads = Reads()
        self.catchup = CatchUpState()
        self.handover = HandedOver()
        self.way = Way()
        self.news = News()
        self.install: Install | None = None
        """The copy of its data that is under way: core/log/install.py."""
        self.wake_ms = NEVER
        """When to look at this entity again."""
        self.timer_ms = NEVER
        """The earliest timer that is set for it: core/turn/entities.py."""
        self.touched = False
        """Whether it is to be looked at: core/turn/entities.py."""
        self.entries = 0
        self.bytes = 0
        """What was noted of what it takes: core/turn/memory.py."""

    def load(self, loaded: Loaded, n: int, me: int) -> None:
        """Take what the disk says, and whatever waits in the mailbox from now on."""
        assert self.mailbox is not None
        assert loaded.entity == self.id
        self.log.load(loaded, n, me)

    def wake_at(self, at_ms: float) -> None:
        """Have it looked at again at this time, or earlier."""
        if at_ms < self.wake_ms:
            self.wake_ms = at_ms

    @property
    def serves(self) -> bool:
        """Whether this node evaluates requests on this entity's data, and reads: not while it has newer data copied."""
        return self.install is None

    def describe(self) -> str:
        """Why this node does not serve it now, as a person reads it; empty: it does."""
        return "" if self.install is None else f"entity {self.id}: {self.install.describe()}"

    @property
    def is_copying(self) -> bool:
        """Whether a copy is being written beside its data (rule 16): nothing is applied to that any more."""
        return self.install is not None and self.install.begun

    @property
    def busy(self) -> bool:
        """Whether any request waits here."""
        return bool(self.writes or self.reads or self.handover.returned or self.mailbox)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way here: no load, no copying, no request, no proposal, nothing at a peer, no question to
        one, nothing to be told, and nothing that memory alone knows (rule 18). An accepted leftover that nobody asks about is
        at rest."""
        return not (
            self.mailbox is not None
            or self.install is not None
            or self.busy
            or self.touched
            or self.wake_ms != NEVER
            or self.handover.count
            or self.news.untold
            or self.catchup.waits
            or self.log.ahead is not None
        )

    def raise_max_chosen(self, entry: int, peer: int) -> None:
        """A peer has shown that `entry` is chosen."""
        log = self.log
        if entry > log.vouched:
            log.vouched = entry
        if entry > log.max_chosen:
            log.max_chosen = entry
            self.catchup.news_from(peer)

    def requests(self) -> list[Request]:
        """Every request that waits here, in no particular order."""
        waiting = [*self.writes.queue, *self.handover.returned, *self.writes.proposed, *self.reads.all()]
        waiting += [item for item in self.mailbox or () if isinstance(item, Request)]
        return waiting
