"""Why an entity is stopped: its replicas differ, or it has a chosen value that cannot be read. What is remembered and said of it.

No rule mends replicas that differ. It means that one was broken: a disk that forgot what it had synced, damage that no checksum
saw, a node that voted though it should not have. Whoever sees it stops the entity, for good, rather than answer from data that
may be wrong. What is chosen and cannot be read stops it as well: nothing after that entry can be applied.
"""

from __future__ import annotations

from typing import NamedTuple

from ..entry.ids import origin

REMEMBERED = 4
"""Applied entries of an entity whose value ids stay in memory: as far back as late messages reach, as a rule."""


class Divergence(NamedTuple):
    """Two values at one entry that exclude each other: both were called chosen, or accepted under one ballot."""

    entry: int
    ours: bytes
    """Id of the value that this node knows there."""
    theirs: bytes
    """Id of the value that a peer has shown there."""
    peer: int

    @property
    def headline(self) -> str:
        """What the log and the status begin with."""
        return "THE REPLICAS DIFFER"

    def encode(self) -> str:
        """As it is kept on the disk."""
        return f"{self.entry} {self.ours.hex()} {self.theirs.hex()} {self.peer}"

    def describe(self, entity: int, me: int) -> str:
        """What an operator reads, in the log, in the status and in each refused request."""
        return (
            f"entity {entity} is stopped: node {me} and node {self.peer} know different values at entry {self.entry} "
            f"({self.ours.hex()} here, {self.theirs.hex()} there), so the replicas differ: do not repeat the request, compare "
            f"what each node says of it (paxosstore inspect entity {entity} --entries {self.entry}), and see docs/OPERATING.md, "
            f'"Two values seen chosen"'
        )


class Unreadable(NamedTuple):
    """A value was chosen that is no write batch, as far as this version of the program knows."""

    entry: int
    ours: bytes
    """Its id."""

    @property
    def headline(self) -> str:
        """What the log and the status begin with."""
        return "A CHOSEN VALUE CANNOT BE READ"

    def encode(self) -> str:
        """As it is kept on the disk: as a divergence from nothing, which earlier versions can read."""
        return f"{self.entry} {self.ours.hex()}  {origin(self.ours)}"

    def describe(self, entity: int, me: int) -> str:
        """What an operator reads, in the log, in the status and in each refused request."""
        return (
            f"entity {entity} is stopped: node {me} cannot read the value {self.ours.hex()} of node {origin(self.ours)} that was "
            f"chosen at its entry {self.entry}: if another version of the program has written it, start that one on all nodes, "
            f"after paxosstore resume {entity} on each; the data is as it was at entry {self.entry - 1}, see docs/OPERATING.md, "
            f'"A chosen value cannot be read"'
        )


Stop = Divergence | Unreadable
"""Why an entity is stopped."""


def decode(kept: str) -> Stop:
    """What `encode` of either gave."""
    entry, ours, theirs, peer = kept.split(" ")
    if not theirs:
        return Unreadable(int(entry), bytes.fromhex(ours))
    return Divergence(int(entry), bytes.fromhex(ours), bytes.fromhex(theirs), int(peer))


class RecentIds:
    """Ids of the values chosen at the last entries that were applied here."""

    __slots__ = ("_ids", "_through")

    def __init__(self) -> None:
        self._through = 0
        self._ids: tuple[bytes, ...] = ()

    def applied(self, entry: int, value_id: bytes) -> None:
        """This value was chosen at this entry. Where the entries jump, what came before is forgotten."""
        self._ids = (*self._ids, value_id)[-REMEMBERED:] if entry == self._through + 1 else (value_id,)
        self._through = entry

    def at(self, entry: int) -> bytes:
        """The id of the value that was chosen there; empty: not known any more."""
        back = self._through - entry
        return self._ids[-1 - back] if 0 <= back < len(self._ids) else b""
