"""What can happen to a shard: the inputs of `Shard.step`, besides a `Request` itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..entry.record import Record
from .comparison import Comparison
from .message import Held, Message, SnapshotPiece


class Received(NamedTuple):
    """Messages of one frame from a peer."""

    peer: int
    messages: Sequence[Message]
    size: int = 0
    """Of the frame, in bytes."""
    disk: int = 0
    """The sender's disk id, as its hello on this very connection said (rule 19b); 0: not said."""


class PeerUp(NamedTuple):
    """A link to this peer stands, and what its hello said of it (rule 19a); 0: not said."""

    peer: int
    disk: int = 0
    starts: int = 0
    incarnation: int = 0


class PeerDown(NamedTuple):
    """There is no link to this peer. Repeated when the reason is another one."""

    peer: int
    reason: str = "down"


class Loaded(NamedTuple):
    """The range load of an entity: what its DB meta and PLog say."""

    entity: int
    committed: int
    records: Sequence[tuple[int, Record]]
    """(entry, row) of every PLog row above committed, ascending."""
    max_plog: int
    """Highest entry with a row in the PLog, or `committed` if none is above it."""
    last_value_id: bytes
    """Id of the value chosen at `committed`; empty: unknown."""
    floor: int = 0
    """Rule 19c; 0: none."""
    recovering: bool = False
    """Beside its data there is some of a copy: it began and did not end (rule 16)."""
    stopped: str = ""
    """Why it is never served here again; empty: it is."""
    damaged: str = ""
    """What of it could not be read, so that nothing of it counts; empty: all could (rule 19e)."""


class LogLoaded(NamedTuple):
    """The answer to a `LogRead`."""

    entity: int
    peer: int
    records: Sequence[tuple[int, Record]]
    asked: int
    """The first entry that the peer wants to learn."""
    cheaper: bool = False
    """As in the `LogRead`, and the next too."""
    patient: bool = False


class SnapshotLoaded(NamedTuple):
    """The answer to a `SnapshotRead`, as it goes to the peer."""

    peer: int
    piece: SnapshotPiece


class Durable(NamedTuple):
    """Every write up to and including this turn survives a crash."""

    turn: int


class DiskSilent(NamedTuple):
    """The sync of the turn before has taken so long, and is not over: the open turn is not written yet (core/turn/silence.py)."""

    for_ms: float


class WriteFailed(NamedTuple):
    """The turn's batch could not be written; nothing of it was revealed (rule 8)."""

    reason: str


class Tick(NamedTuple):
    """Time has passed; see `Shard.next_deadline_ms`."""


class DigestsLoaded(NamedTuple):
    """The answer to a `DigestRead`."""

    peer: int
    level: int
    nodes: list[int]
    own: bool
    """As in the `DigestRead`, all of them."""
    digests: bytes | None
    """None: the store does not know them yet."""


class InventoryLoaded(NamedTuple):
    """The answer to an `InventoryRead`."""

    peer: int
    buckets: list[int]
    after: int
    """As in the `InventoryRead`."""
    entities: Sequence[tuple[int, int]]
    more: bool


class FloorsLoaded(NamedTuple):
    """The answer to a `FloorRead`."""

    peer: int
    disk: int
    after: int
    entities: Sequence[tuple[int, int]]
    more: bool
    forced: bool = False
    held: Sequence[Held] = ()


class Compare(NamedTuple):
    """Compare an entity's replicas; `Release.compared` has it when that is done."""

    comparison: Comparison


class Renew(NamedTuple):
    """An operator has found the data of an entity wrong here, and right at this peer: have it copied from there."""

    entity: int
    peer: int


class ViewLoaded(NamedTuple):
    """The answer to a `ViewRead`."""

    peer: int
    entity: int
    number: int
    after: bytes
    """Those of the `ViewRead`."""
    committed: int
    """The entry of the view, or the one that is applied."""
    rows: Sequence[tuple[bytes, bytes]]
    """(key with its space byte, value), ascending."""
    more: bool
    """Whether the view is still open, for what may follow."""
    found: bool
    """Whether there is a view. If not, the view was closed."""


class LostLoaded(NamedTuple):
    """The answer to a `LostRead`."""

    peer: int
    disk: int
    number: int
    first: int
    upto: int
    """Of the entities first..upto, this is all there is."""
    entities: Sequence[tuple[int, int]]


class WritesAllowed(NamedTuple):
    """Whether this node takes new writes: an empty reason means yes, and ends what a failed write began (rule 8)."""

    reason: str


Event = (
    Received
    | PeerUp
    | PeerDown
    | Loaded
    | LogLoaded
    | SnapshotLoaded
    | DigestsLoaded
    | InventoryLoaded
    | FloorsLoaded
    | LostLoaded
    | Durable
    | DiskSilent
    | WriteFailed
    | WritesAllowed
    | Compare
    | Renew
    | ViewLoaded
    | Tick
)
