"""What a step asks of the world. The order of persist and send is decided here and nowhere else (rule 7).

The driver does, for each Ready, in this order:

1. write `changes`, `records` and `applies` in one atomic batch. If the write fails: `step(WriteFailed())`, release nothing;
2. release `early`: it shows only rows that were durable before this turn, or a pre-auth proposal (rule 6);
3. if `needs_sync`, sync, and do not go on before it returned. A failed sync ends the process (rule 8);
4. `step(Durable(turn))` and release `late`: what shows rows that this turn has written;
5. do `snapshot_closes`, `loads` and the reads, and step their results in. If the disk was `renewed`: end all links, and begin
   anew under it.

While the sync of 3 takes long, the next turn is open and may be taken in gulps: `Shard.gulp` hands out what is `early` by
then, as often as the driver likes, and its loads. Early is what leaves before the turn is written anyway, now it does so in
pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ...errors import PaxosStoreError
from ..batch.overlay import WriteBatch
from ..batch.published import Published
from ..batch.request import Request
from ..entry.record import Record
from .comparison import Comparison
from .message import Message


class Apply(NamedTuple):
    """An entry's writes, applied atomically with `committed = entry` (rule 10)."""

    entity: int
    entry: int
    batch: WriteBatch


class SetStanding(NamedTuple):
    """What this node is, and knows of the others' disks (rule 19): opaque to the store."""

    content: bytes


class SetFloor(NamedTuple):
    """Rule 19c: below this entry the entity only learns; 0: no floor any more."""

    entity: int
    floor: int


class BeginInstall(NamedTuple):
    """Rule 16: a copy of the entity's data is written beside it from now on, and it is marked as recovering.

    What there is of an earlier copy goes. The data and its committed entry stay, and stay in force.
    """

    entity: int


class InstallRows(NamedTuple):
    """Pairs of the copy."""

    entity: int
    rows: Sequence[tuple[bytes, bytes]]
    """(key with its space byte, value), as `Store.scan` gives them."""


class EndInstall(NamedTuple):
    """All of the copy is there: it takes the place of the data, the mark goes, and the committed entry is the copy's.

    That never goes back.
    """

    entity: int
    committed: int


class DropInstall(NamedTuple):
    """The copy does not go on: what there is of it goes, and the mark. The data stays in force."""

    entity: int


class StopEntity(NamedTuple):
    """Two values were seen chosen at one entry: the entity is not served here any more."""

    entity: int
    reason: str
    """Empty: an operator has mended it, and it is served again."""


class NewEntity(NamedTuple):
    """The entity's first row ever is in this batch: from now on it is listed, with nothing committed."""

    entity: int


class ResetEntity(NamedTuple):
    """What is kept of the entity is damaged (rule 19e): rows and data are deleted; it is listed, with nothing committed."""

    entity: int


Change = SetStanding | SetFloor | BeginInstall | InstallRows | EndInstall | DropInstall | StopEntity | NewEntity | ResetEntity
"""What is written besides rows and applied entries, before them, in order."""


class LogRead(NamedTuple):
    """Read chosen entries first..last from the PLog and step them in as `LogLoaded` for this peer."""

    entity: int
    first: int
    last: int
    peer: int
    compared: int = 0
    """So many entries at its beginning are read only to compare them with what the peer knows."""
    cheaper: bool = False
    """The peer is to be told that copying all data is cheaper."""
    patient: bool = False
    """Nobody waits for the entity there."""


class SnapshotRead(NamedTuple):
    """Read a piece of a view of an entity's data (`Store.read_snapshot`) and step it in as `SnapshotLoaded` for this peer."""

    peer: int
    entity: int
    number: int
    after: bytes
    max_bytes: int


class ViewRead(NamedTuple):
    """Read a piece of a view of an entity's data, to compare it, and step it in as `ViewLoaded`."""

    peer: int
    """Who asks; this node itself may."""
    entity: int
    number: int
    after: bytes
    max_bytes: int
    opens: bool
    """Open the view first: of what this turn leaves in the DB."""


class DigestRead(NamedTuple):
    """Step the digests of the children of these nodes in as `DigestsLoaded` (`Store.digests`)."""

    peer: int
    level: int
    nodes: list[int]
    own: bool
    """They are to be compared with this peer's; else they are for the peer."""


class InventoryRead(NamedTuple):
    """Step the entities of these buckets behind this one in as `InventoryLoaded` (`Store.inventory`), for this peer."""

    peer: int
    buckets: list[int]
    after: int


class FloorRead(NamedTuple):
    """Rule 19c. List what there is anything of above `after`, `limit` entities, and step it in as `FloorsLoaded`.

    For a peer, which came back with this disk: (entity, highest entry with anything, but at least the one below its floor).
    For this node itself: (entity, floor) of those that have one; `disk` is the number of its round.
    `forced`: (entity, applied entry), and every row above that.
    """

    after: int
    limit: int
    peer: int
    disk: int
    forced: bool = False


class LostRead(NamedTuple):
    """Rule 19e. List what there is anything of among the entities first..last, `limit` of them, and step it in as `LostLoaded`.

    For a peer on this disk, as a `FloorRead` would.
    """

    first: int
    last: int
    limit: int
    peer: int
    disk: int
    number: int
    """Of its question."""


class Outcome:
    """How a request has ended. No tuple, as there is one for each request; it can be unpacked like one."""

    __slots__ = ("error", "reply", "request")

    def __init__(self, request: Request, reply: bytes, error: PaxosStoreError | None) -> None:
        self.request = request
        self.reply = reply
        self.error = error

    def __iter__(self) -> Iterator[Any]:
        return iter((self.request, self.reply, self.error))


class Release:
    """What leaves the shard."""

    __slots__ = ("compared", "messages", "outcomes", "published")

    def __init__(self) -> None:
        self.messages: list[tuple[int, Message]] = []
        """(peer, message), in order."""
        self.outcomes: list[Outcome] = []
        self.compared: list[Comparison] = []
        """Those that are done."""
        self.published: list[Published] = []
        """By requests that were decided, in order; before their outcomes are told."""

    def __bool__(self) -> bool:
        return bool(self.messages or self.outcomes or self.compared or self.published)


class Ready:
    """All that one turn produced."""

    __slots__ = (
        "applies",
        "changes",
        "digest_reads",
        "early",
        "floor_reads",
        "inventory_reads",
        "late",
        "loads",
        "log_reads",
        "lost_reads",
        "needs_sync",
        "records",
        "renewed",
        "shown",
        "snapshot_closes",
        "snapshot_reads",
        "turn",
        "view_reads",
    )

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.records: dict[tuple[int, int], Record] = {}
        """(entity, entry) -> this replica's row, as it stands at the end of the turn."""
        self.applies: list[Apply] = []
        self.changes: list[Change] = []
        """Whoever adds one that must be durable before something shows it sets `needs_sync`."""
        self.needs_sync = False
        """Whether `records` hold more than chosen marks, or a change must be durable."""
        self.early = Release()
        self.shown: set[bytes] = set()
        """Ids of the values that gulps have shown."""
        self.late = Release()
        self.loads: list[int] = []
        """Entities to load; step the result in as `Loaded`."""
        self.log_reads: list[LogRead] = []
        self.digest_reads: list[DigestRead] = []
        self.inventory_reads: list[InventoryRead] = []
        self.snapshot_reads: list[SnapshotRead] = []
        """Done when the turn is durable, for what a peer installs must never be forgotten here; never of a mixed DB (rule 16)."""
        self.snapshot_closes: list[tuple[int, int, int]] = []
        """(peer, entity, number) of views that are not read any more: `Store.close_snapshot`."""
        self.view_reads: list[ViewRead] = []
        """Done after the turn is written and before the next one is."""
        self.floor_reads: list[FloorRead] = []
        self.lost_reads: list[LostRead] = []
        self.renewed = 0
        """This node's disk is another one from now on (rule 19a): once the turn is durable, all links begin anew; 0: no."""

    @property
    def reads(self) -> bool:
        """Whether anything is to be read for peers, or views of theirs are to be closed."""
        return bool(
            self.snapshot_closes
            or self.log_reads
            or self.digest_reads
            or self.inventory_reads
            or self.snapshot_reads
            or self.view_reads
            or self.floor_reads
            or self.lost_reads
        )
