"""What peers have yet to hear of the entries that this replica's proposals had chosen. Written by core/log/log.py."""

from __future__ import annotations

from typing import NamedTuple

from .logstate import OpenEntry


class Chosen(NamedTuple):
    """An entry that was chosen by our proposal."""

    entry: int
    opened: OpenEntry
    since_ms: float


class News:
    """What is to be told, and to whom at once."""

    __slots__ = ("readers", "untold")

    def __init__(self) -> None:
        self.untold: dict[int, list[Chosen]] = {}
        """By peer: what it does not know yet, the oldest first."""
        self.readers: list[int] = []
        """Peers that asked for a read while an entry was under way: they wait to hear that it is chosen."""

    def add_reader(self, peer: int) -> None:
        """This peer waits to hear that what is under way is chosen."""
        if peer not in self.readers:
            self.readers.append(peer)
