"""An entity's data on its way from a peer (rule 16). Deciding only; written by core/log/install.py.

begun = False   a peer is asked for a view that is newer than what is here
begun = True    the mark is written: the copy grows beside the data, which stays in force until the last piece is there
"""

from __future__ import annotations

from typing import NamedTuple

NOT_ASKED = -1e18
LONGEST_PAUSE_MS = 250.0


class Transfer(NamedTuple):
    """A snapshot under way, as it stood at one moment: for status, metrics and the log."""

    entity: int
    peer: int
    sends: bool
    """Whether this node is the one that sends."""
    committed: int
    """The entry at which the data is copied; 0: not known yet."""
    rows: int
    size: int
    """Bytes of keys and values so far."""
    seconds: float
    """Since it began."""

    @property
    def bytes_per_second(self) -> float:
        return self.size / self.seconds if self.seconds > 0.0 else 0.0


class Install:
    """Where the copy of an entity's data stands here. While there is one, the entity is not served by this node."""

    __slots__ = (
        "after",
        "asked_at_ms",
        "attempts",
        "begun",
        "committed",
        "ended",
        "heard_at_ms",
        "number",
        "pauses",
        "peer",
        "refusals",
        "renews",
        "resumes_at_ms",
        "rows",
        "since_ms",
        "size",
        "turn",
    )

    def __init__(self, peer: int, now_ms: float, *, renews: bool = False) -> None:
        self.peer = peer
        """Whom to ask."""
        self.renews = renews
        """Nothing is missing, but the data here is wrong: this peer's takes its place, also at the same entry."""
        self.begun = False
        """Whether some of a copy is on the disk, beside the data, or about to be by what this turn writes."""
        self.number = 0
        """Of the view that is read: one of its own each time a peer is asked from the start; 0: none yet."""
        self.after = b""
        """The last key that is here of this view."""
        self.committed = 0
        """The entry of the view; 0: no piece of it has come."""
        self.ended = False
        """The last piece is written, or about to be."""
        self.turn = 0
        """The turn that writes the piece that came last; 0: it is durable, and the next one may be asked for."""
        self.asked_at_ms = NOT_ASKED
        self.attempts = 0
        """How often the piece that is due has been asked for."""
        self.refusals = 0
        """How many peers in a row have had no view to read."""
        self.pauses = 0
        """How often it was given up because the disk was almost full."""
        self.resumes_at_ms = 0.0
        """When the next piece may be asked for: the disk is left to others for as long as it took to write the last one, and for
        longer if it has no room for the copy."""
        self.heard_at_ms = self.since_ms = now_ms
        self.rows = 0
        self.size = 0

    def turn_to(self, peer: int, now_ms: float) -> None:
        """Start again, from another peer, or from a new view of the same one: pieces of two views must not mix."""
        self.peer = peer
        self.number = self.committed = self.rows = self.size = self.attempts = 0
        self.after = b""
        self.asked_at_ms = NOT_ASKED
        self.heard_at_ms = now_ms

    def expects(self, peer: int, number: int, after: bytes) -> bool:
        """Whether this is the piece that was asked for: not one of another view, and none twice."""
        return not self.turn and number != 0 and (peer, number, after) == (self.peer, self.number, self.after)

    def decides(self, entry: int) -> bool:
        """Whether the copy's end is written, and this entry is below it: no row of it may be written any more, it would stay."""
        return self.ended and entry <= self.committed

    def take(self, rows: list[tuple[bytes, bytes]], turn: int, now_ms: float, *, more: bool) -> None:
        """The piece that was due has come, and is written by this turn."""
        if rows:
            self.after = rows[-1][0]
        self.rows += len(rows)
        self.size += size_of_rows(rows)
        self.ended = not more
        self.turn = turn
        self.heard_at_ms = now_ms
        self.attempts = self.refusals = 0

    def written(self, now_ms: float) -> None:
        """The piece is durable: the next one may be asked for after a pause. The time that took is not the peer's."""
        self.turn = 0
        self.resumes_at_ms = now_ms + min(now_ms - self.heard_at_ms, LONGEST_PAUSE_MS)
        self.heard_at_ms = now_ms
        self.asked_at_ms = NOT_ASKED

    def describe(self) -> str:
        """Why the entity is not served here, as a person reads it."""
        so_far = f": {self.size} bytes so far" if self.begun else ""
        return f"its data is copied to this node from node {self.peer}{so_far}"

    def transfer(self, entity: int, now_ms: float) -> Transfer:
        seconds = (now_ms - self.since_ms) / 1000.0
        return Transfer(entity, self.peer, False, self.committed, self.rows, self.size, seconds)


def size_of_rows(rows: list[tuple[bytes, bytes]]) -> int:
    """Bytes of keys and values."""
    return sum(len(key) + len(value) for key, value in rows)
