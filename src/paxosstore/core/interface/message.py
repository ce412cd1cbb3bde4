"""What nodes say to each other: one class per kind, all of them plain tuples.

A frame carries a list of each kind. Messages are repeatable: receiving one twice, late or out of order is harmless.
"""

from __future__ import annotations

from typing import NamedTuple

from ..batch.published import Published


class PaxosMessage(NamedTuple):
    """The sender's row at one entry. One shape serves prepare, promise, accept, accepted and chosen (rule 2).

    `value_id` without `body` stands for a value the receiver should hold (rule 4). A value with accepted == 0 is a
    pre-auth proposal to accept at ballot `promised`, by a sender that does not count itself yet (rule 6).
    """

    entity: int
    entry: int
    prepared: int
    promised: int
    accepted: int
    chosen: bool
    value_id: bytes
    """Empty when the row has no value."""
    body: bytes | None
    max_chosen: int
    """Highest entry that the sender knows to be chosen."""
    asks: bool
    """The sender wants the receiver's row in return."""
    wants_value: bool
    """The sender could not resolve the value id it was sent, and asks for the value."""
    chosen_id: bytes = b""
    """Id of the value chosen at `max_chosen`, so that replicas that differ notice it; empty: the sender does not know it."""


class ReadQuestion(NamedTuple):
    """Rule 12: what is the highest entry at which you have accepted anything, or that you know to be chosen?"""

    entity: int
    number: int
    """The question's own number: 31 random bits of the asker's start, then a count of 32."""


class ReadAnswer(NamedTuple):
    entity: int
    number: int
    highest: int
    """Highest entry with an accepted row, or known to be chosen. (A mere promise above it hides nothing: it is no vote.)"""
    max_chosen: int
    chosen_id: bytes = b""
    """As in PaxosMessage."""


class CatchUpRequest(NamedTuple):
    """Send me chosen entries from `first` on, `limit` at most."""

    entity: int
    first: int
    limit: int
    chosen_id: bytes = b""
    """Id of the value that the sender knows to be chosen at the entry before; empty: it does not know it."""
    weighs: bool = False
    """Say as well whether copying all data is cheaper than so many entries."""
    patient: bool = False
    """Nobody waits for this entity: answer at the rate of catch-up."""


class Learned(NamedTuple):
    """One chosen entry."""

    entry: int
    ballot: int
    value_id: bytes
    body: bytes


class CatchUpReply(NamedTuple):
    entity: int
    max_chosen: int
    entries: list[Learned]
    gone: bool = False
    """Rule 17: the entry asked for is applied here, and its row is no longer kept. Only a snapshot tells of it."""
    cheaper: bool = False
    """To copy all data costs less than to learn what is missing."""


class SnapshotRequest(NamedTuple):
    """Rule 16: send me an entity's data, the next piece of one consistent view."""

    entity: int
    number: int
    """The view's own, drawn by the asker: another one is another view."""
    after: bytes
    """The last key that the asker has of it; empty: open it."""
    limit: int
    """Of the piece, in bytes; it ends after the row that crosses this. 0: nothing more is read, close the view."""


class SnapshotPiece(NamedTuple):
    entity: int
    number: int
    after: bytes
    """Those of the request."""
    committed: int
    """The entry through which the view is applied, the same in each of its pieces."""
    rows: list[tuple[bytes, bytes]]
    """(key with its space byte, value), ascending."""
    more: bool
    """Whether something may follow."""
    found: bool
    """Whether there is a view to read. If not, nothing else here counts."""


class HandOver(NamedTuple):
    """Run this request for me: you are the preferred proposer of its entity."""

    entity: int
    uuid: bytes
    handler: str
    payload: bytes
    floor: int
    """Highest entry the sender knew to be chosen when it first saw the request: how far back the uuid can lie (rule 15)."""
    budget_ms: int
    """Time left until the client's deadline."""
    digest: bytes
    """What tells the request from another under its uuid; empty: the sender drew the uuid."""
    read_only: bool = False
    """A read, of an entity that the sender cannot serve now."""


class HandedBack(NamedTuple):
    """The outcome of a handed-over request."""

    entity: int
    uuid: bytes
    code: str
    """Empty: done. Otherwise the `code` of an error (errors.py)."""
    reply: bytes
    """The reply, or the error's text in UTF-8."""
    digest: bytes
    """That of the hand-over."""
    published: tuple[Published, ...] = ()
    """By the request: for the node that has handed it over to publish."""


class TakeOver(NamedTuple):
    """Propose here yourself: for a while nobody else has written, so you may as well be the preferred proposer."""

    entity: int


class GiveWay(NamedTuple):
    """Let me propose next: what waits here has lost its entry to somebody else."""

    entity: int
    since: int
    """The entry that it lost first. Who has waited since the lowest one comes first."""
    for_ms: int
    """For so long at most; 0: not any more."""


class Stopped(NamedTuple):
    """I do nothing for this entity any more: here I know this value to be chosen, and was shown another (Divergence)."""

    entity: int
    entry: int
    value_id: bytes


class DigestRequest(NamedTuple):
    """What are the digests of the children of these nodes of your tree (core/interface/digest.py)?"""

    level: int
    """Of the nodes; 0: the root. Those below it are asked for after every (re)connect."""
    nodes: list[int]
    """Ascending."""


class DigestReply(NamedTuple):
    """Those below the root also come unasked, when a link comes up."""

    level: int
    nodes: list[int]
    """As in the request."""
    digests: bytes
    """Of their children, one after the other: 16 of 8 bytes, little-endian, for each node."""


class InventoryRequest(NamedTuple):
    """Which entities do you have in these buckets, and applied how far?"""

    buckets: list[int]
    """Ascending."""
    after: int
    """Only entities behind this one, in the order of the reply; -1: from the start."""


class InventoryReply(NamedTuple):
    buckets: list[int]
    after: int
    """As in the request."""
    entities: list[tuple[int, int]]
    """(entity, committed entry), in the order of their places: that of the buckets."""
    more: bool
    """Whether there may be others behind the last one."""


class Standing(NamedTuple):
    """What I am, and by which disks I know all nodes (rule 19a). Sent when it is durable."""

    state: str
    """That of core/turn/standing.py: State."""
    disks: list[tuple[int, int, int]]
    """By node number: its disk, how often it has started on it, and its incarnation; 0: never seen. The sender's own included."""
    founding: list[int]
    """The disks of all nodes when the cluster began; empty: not known."""
    replaced: list[int]
    """Disks of the receiver's number that another has taken the place of."""
    asks: bool
    """The sender wants the receiver's in return."""
    history: list[int]
    """Incarnations of the sender's last starts, this one's last."""
    learning: int = 0
    """How often the sender has been told to learn only, and to stop that, since its start: it only rises."""

    @property
    def learns_only(self) -> bool:
        """Whether the sender votes for nothing and serves nobody, for now: not because of its disk."""
        return self.learning % 2 == 1


class FloorRequest(NamedTuple):
    """Which entities do you have anything at all of, and up to which entry? I come back with this disk (rule 19c)."""

    disk: int
    after: int
    """Only entities above this one; -1: from the start."""
    limit: int
    forced: bool = False
    """The operator has given up what only lost disks knew: up to which entry is it applied, I go on right above that."""


class Held(NamedTuple):
    """A row that an intact node has of an entry that it has not applied."""

    entity: int
    entry: int
    promised: int
    accepted: int
    chosen: bool
    value_id: bytes
    """Empty where nothing is accepted."""
    body: bytes


class FloorPage(NamedTuple):
    """The answer: the disk that asked was noted, durably, before this was read (rule 19b)."""

    disk: int
    after: int
    entities: list[tuple[int, int]]
    """(entity, highest entry with anything at all), ascending; of one with a floor, at least the entry below that."""
    more: bool
    default: int
    """The sender's own floor of entities that it does not have; 0: none."""
    forced: bool = False
    """That of the request: these are the applied entries."""
    held: list[Held] = []  # noqa: RUF012  # of a tuple
    """Only then: every row above those, by entity and entry."""
    damaged: list[tuple[int, int]] = []  # noqa: RUF012  # of a tuple
    """(first, last) entities of which the sender has forgotten what it had itself (rule 19e): of these the page says nothing."""
    disks: list[tuple[int, int, int]] = []  # noqa: RUF012  # of a tuple
    """With the first page: id, starts and incarnation of each node's disk, as the sender has noted it; 0: none."""
    replaced: list[tuple[int, int]] = []  # noqa: RUF012  # of a tuple
    """With the first page: (node, disk) that others have taken the place of."""


class Fill(NamedTuple):
    """See that the entries of this entity are decided up to this one: I may not propose there (rule 19c)."""

    entity: int
    through: int


class CompareRequest(NamedTuple):
    """Show me a digest of a piece of an entity's data as it is at exactly one entry: replicas are compared by it."""

    entity: int
    number: int
    """The view's own, drawn by the asker: pieces of one view follow each other."""
    entry: int
    """Of the view. Who has not applied it waits for it for a while, and stops there until the view is open."""
    after: bytes
    """Behind this key; empty: from the start."""
    limit: int
    """Of the piece, in bytes; it ends after the row that crosses this. 0: close the view."""
    known: int = 0
    """Highest entry that some replica has applied: who lacks it learns it."""
    lists: bool = False
    """Show the rows one by one as well: this piece is not the same everywhere."""


class CompareReply(NamedTuple):
    entity: int
    number: int
    entry: int
    """Of the view; where there is none, the one that is applied here."""
    after: bytes
    """As the number, that of the request."""
    why_not: str
    """Empty: there is a view. Else one of `NO_VIEW`, and the rest does not count."""
    digest: bytes
    """Of the piece."""
    size: int
    """Bytes of the piece."""
    row_count: int
    """Rows of the piece."""
    last: bytes
    """The last key of the piece; empty: there is nothing behind `after`."""
    more: bool
    """Whether something may follow."""
    rows: list[tuple[bytes, int, bytes]] | None = None
    """(key, length of the value, its digest), if they were asked for."""


PASSED, BEHIND, BUSY, STOPPED, GONE = NO_VIEW = ("passed", "behind", "busy", "stopped", "gone")
"""Why there is no view: the entry is applied and others after it; it is not applied yet; there are too many views; the
entity is stopped; there was one, and it was closed."""


class LostRequest(NamedTuple):
    """Up to which entry do you have anything of the entities first..last? What I had of them is damaged (rule 19e)."""

    disk: int
    """The one I am on."""
    number: int
    """Of the question: what was answered to an earlier one, when I had lost them before, says too little."""
    first: int
    last: int


class LostPage(NamedTuple):
    """The answer, for the entities first..upto."""

    disk: int
    number: int
    first: int
    upto: int
    entities: list[tuple[int, int]]
    """(entity, highest entry with anything at all), ascending; of one with a floor, at least the entry below that."""
    default: int
    """The sender's own floor of entities that it does not have; 0: none."""


def size_of(message: Message) -> int:
    """About how much memory a message holds while it waits."""
    if isinstance(message, PaxosMessage):
        carried = len(message.body or b"")
    elif isinstance(message, HandOver):
        carried = len(message.payload)
    elif isinstance(message, HandedBack):
        carried = len(message.reply) + sum([published.size for published in message.published])
    elif isinstance(message, CatchUpReply):
        carried = sum(len(learned.body) + 200 for learned in message.entries)
    elif isinstance(message, SnapshotPiece):
        carried = sum(len(key) + len(value) + 150 for key, value in message.rows)
    elif isinstance(message, CompareReply):
        carried = sum(len(key) + 200 for key, _, _ in message.rows or ())
    elif isinstance(message, FloorPage):
        carried = 100 * (len(message.entities) + len(message.replaced)) + sum(len(held.body) + 200 for held in message.held)
    else:
        carried = 0
    return carried + 400


Message = (
    PaxosMessage
    | ReadQuestion
    | ReadAnswer
    | CatchUpRequest
    | CatchUpReply
    | SnapshotRequest
    | SnapshotPiece
    | HandOver
    | HandedBack
    | TakeOver
    | GiveWay
    | Stopped
    | DigestRequest
    | DigestReply
    | InventoryRequest
    | InventoryReply
    | Standing
    | FloorRequest
    | FloorPage
    | Fill
    | CompareRequest
    | CompareReply
    | LostRequest
    | LostPage
)
