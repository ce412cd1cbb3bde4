"""What a shard has going on, beside the entities that a turn has touched: nothing else is looked at in a turn.

    a part begins something ─► `add` ─► it is asked when to look again, ticked, and told what is durable ─► it has nothing left

So a turn's cost follows what there is to do, however many things a shard can do. A part that is not on the agenda has nothing
that time or the disk could bring on, so leaving it out changes nothing. What follows from a standing, a link or the disk's state
is not traced to its parts: all of them come on the agenda then (`add_all`), and those that have nothing to do leave at once.
"""

from __future__ import annotations

from ..entity.logstate import NEVER


class Part:
    """Something that a shard does over several turns."""

    on_agenda = False
    """Written by the agenda."""
    minds_disk = False
    """Whether it is told what is durable."""

    @property
    def at_work(self) -> bool:
        """Whether it has anything that time or the disk may bring on. Whoever makes it so adds it to the agenda."""
        raise NotImplementedError  # each part knows it of itself

    @property
    def next_ms(self) -> float:
        """When to tick it at the latest; NEVER: nothing of it waits for a time."""
        return NEVER

    def tick(self) -> None:
        """Do what is due. Called whenever the shard ticks."""

    def durable(self, turn: int) -> bool:
        """All writes up to this turn are durable: go on with what waited for that; whether the next turn may begin at once."""
        return False


class Agenda:
    """The parts that have something to do."""

    __slots__ = ("_all", "_at_work", "_minding")

    def __init__(self) -> None:
        self._all: tuple[Part, ...] = ()
        self._at_work: list[Part] = []
        self._minding: list[Part] = []
        """Those of them that mind the disk."""

    def begin(self, *parts: Part) -> None:
        """These are all parts, in the order in which they are ticked. They may have something to do already."""
        self._all = parts
        self.add_all()

    def add(self, part: Part) -> None:
        """It has something to do."""
        if not part.on_agenda:
            part.on_agenda = True
            self._list()

    def add_all(self) -> None:
        """Any of them may have something to do."""
        for part in self._all:
            part.on_agenda = True
        self._list()

    def _list(self) -> None:
        self._at_work = [part for part in self._all if part.on_agenda]
        self._minding = [part for part in self._at_work if part.minds_disk]

    def look(self) -> float:
        """When to tick at the latest; NEVER: nothing waits for a time. Those that have nothing to do leave."""
        due, at_work = NEVER, True
        for part in self._at_work:
            part_due = part.next_ms
            if part_due < due:
                due = part_due
            elif part_due == NEVER and not part.at_work:
                at_work = part.on_agenda = False
        if not at_work:
            self._list()
        return due

    def tick(self) -> None:
        """Let each of them do what is due, what one of them adds on the way as well."""
        for part in self._all:
            if part.on_agenda:
                part.tick()

    def durable(self, turn: int) -> bool:
        """Tell them; whether the next turn may begin at once."""
        unfinished = False
        for part in self._minding:
            unfinished |= part.durable(turn)
        return unfinished
