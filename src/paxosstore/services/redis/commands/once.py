"""PAXOS.ONCE: what is too old to be known under its uuid.

The store remembers outcomes by itself, by their entries (rule 15): a repetition within `uuid_window_entries` entries is told what
happened at first. Behind that it would run again. A uuid that says when it was made (version 7) is refused then. So that this
is exact, an entity keeps, in one row, at which entries uuids were used, and what time it was (rule 20):

    (entry (8), time (8)) * SPANS at most, the oldest first; the last one is moved on until the next span begins

What is forgotten was done at an entry below `entry - window`, so at no later time than the first mark above that. When it was
done, its uuid was at most `skew_ms` ahead of the entity's time, or it would have been refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from ....core.batch.overlay import View
from ..layout.keys import LOOKUPS
from ..layout.keys import ONCE as ROW
from ..reply import ReplyError, error
from ..run import Run
from .table import READING

ONCE = b"once"
"""In front of the uuid and the words of a command, on their way to the handler."""
SPANS = 32
_MARK = 16
_HALF = 8
Mark = tuple[int, int]
"""An entry, and the time that it was."""


@dataclass(frozen=True, slots=True)
class Window:
    """For how long the nodes of a cluster remember outcomes; the same at every node."""

    entries: int = 65_536
    """Of the command's entity: `ClusterSettings.uuid_window_entries`."""
    skew_ms: int = 10_000
    """How far a client's clock may be ahead."""

    def run(self, command: Run, uuid: bytes, view: View, args: list[bytes], proto: int) -> bytes:
        """Run a command that nothing is known of under its uuid. Raises ReplyError if that does not mean that it is new."""
        self.check(view, uuid, ROW)
        LOOKUPS.reading = command in READING
        return command(view, args, proto)

    def check(self, view: View, uuid: bytes, key: bytes) -> None:
        """What nothing is known of under its uuid is new, or else raises ReplyError. `key` is that of the entity's row."""
        row = view.get(key) or b""
        entry, now_ms = view.entry, view.now_ms
        if row and _number(row, len(row) - _MARK) > entry:
            row = b""  # it was imported, and is of another log
        at_ms = made_ms(uuid)
        if at_ms is not None:
            may_be_forgotten = row and _number(row, 0) <= entry - self.entries  # else they need not be read
            self._refuse(at_ms, now_ms, self.forgotten_until(_marks(row), entry) if may_be_forgotten else None)
        if not row or _number(row, len(row) - _MARK) != entry:
            moved = self.moved_on(_marks(row), entry, now_ms)
            view.put(key, b"".join([number.to_bytes(_HALF, "big") for mark in moved for number in mark]))

    def _refuse(self, at_ms: int, now_ms: int, forgotten_ms: int | None) -> None:
        if at_ms > now_ms + self.skew_ms:
            text = f"by its time the uuid was made {at_ms - now_ms} ms from now: nothing happened, set the client's clock"
            raise ReplyError(error(text))
        if forgotten_ms is not None and at_ms <= forgotten_ms + self.skew_ms:
            text = f"outcome unknown: by its time the uuid was made {now_ms - at_ms} ms ago, what is that old may be forgotten"
            raise ReplyError(error(text, "UUIDEXPIRED"))

    def forgotten_until(self, marks: list[Mark], entry: int) -> int | None:
        """No outcome of later than this, of the entity's time, is forgotten where this entry is evaluated; None: none at all."""
        first = entry - self.entries
        if not marks or marks[0][0] > first:
            return None  # nothing was done so long ago
        return next((at_ms for used, at_ms in marks if used > first), marks[-1][1])

    def moved_on(self, marks: list[Mark], entry: int, now_ms: int) -> list[Mark]:
        """The marks with this use of a uuid: as many as are needed to know what is forgotten."""
        span = max(1, self.entries // SPANS)
        kept = marks[:-1] if len(marks) > 1 and entry - marks[-2][0] < span else marks
        first = entry - self.entries
        while len(kept) > 1 and kept[1][0] <= first:
            kept = kept[1:]
        return [*kept, (entry, now_ms)]


def made_ms(uuid: bytes) -> int | None:
    """When it was made, in ms since 1970, if it says so."""
    return int.from_bytes(uuid[:6], "big") if uuid[6] >> 4 == 7 else None


def _number(row: bytes, at: int) -> int:
    return int.from_bytes(row[at : at + _HALF], "big")


def _marks(row: bytes) -> list[Mark]:
    return [(_number(row, at), _number(row, at + _HALF)) for at in range(0, len(row), _MARK)]
