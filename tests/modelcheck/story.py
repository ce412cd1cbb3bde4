"""A way to a state in words: one line for each step."""

from __future__ import annotations

from collections.abc import Iterator

from paxosstore.core.entry.record import EMPTY, Record, Value

from .replica import EXPLORED, Node


def tell(before: Node, after: Node, *, crashed: bool) -> str:
    """What one replica did."""
    if after.settled and not before.settled:
        return f"{after.me} forgets all of entry {EXPLORED[0]} but that it is chosen"
    return f"{after.me} {_what(before, after, crashed=crashed)}" + "".join(_changes(before, after))


def _what(before: Node, after: Node, *, crashed: bool) -> str:
    if len(after.past) > len(before.past):
        return "loses its disk"
    if after.life > before.life:
        return f"notes disk {after.life}, and answers"
    if after.floor != before.floor:
        return f"has the floor {after.floor}"
    if after.answered != before.answered:
        return f"is answered: there is something at {after.asked}"
    if after.copied != before.copied:
        return "has the data of a peer" if before.committed < after.committed else "lets a row expire"
    if crashed:
        return "crashes"
    if any(now.rounds > was.rounds for was, now in zip(before.parts, after.parts, strict=True)):
        return "begins a round"
    if before.syncing and not after.syncing:
        return "ends its turn"
    return "hears a row"


def _changes(before: Node, after: Node) -> Iterator[str]:
    for entry, was, now in zip(EXPLORED, before.parts, after.parts, strict=True):
        if was.rows[after.me] != now.rows[after.me]:
            yield f"; entry {entry}: {_row(now.rows[after.me])}"
        for row in now.shown[len(was.shown) :]:
            if row != now.rows[after.me]:
                yield f"; shows {_row(row)}"


def _row(row: Record) -> str:
    """prepared/promised/accepted, and the value."""
    if row == EMPTY:
        return "empty"
    value = "" if row.value is None else f" {_name(row.value)}"
    return f"{row.prepared}/{row.promised}/{row.accepted}{value}{' chosen' if row.chosen else ''}"


def _name(value: Value) -> str:
    """Its origin, and which of the origin's rounds brought it."""
    return f"v{value.id[0]}.{value.id[-1]}"
