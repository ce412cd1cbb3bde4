"""Who comes first at one entity, where several compete. Written by core/log/giveway.py."""

from __future__ import annotations

from typing import NamedTuple


class Claim:
    """Waiting requests that have lost an entry: they want to come next."""

    __slots__ = ("goes_at_ms", "since", "took_ms")

    def __init__(self, since: int, took_ms: float) -> None:
        self.since = since
        """The entry that was lost first."""
        self.took_ms = took_ms
        """From the last evaluation's beginning to its loss."""
        self.goes_at_ms = 0.0
        """When they are evaluated again; 0: when the others have been asked to give way."""


class Given(NamedTuple):
    """A peer comes first."""

    peer: int
    since: int
    """The entry that it has lost first."""
    until_ms: float


class Way:
    """The right of way at one entity."""

    __slots__ = ("claim", "given", "in_vain")

    def __init__(self) -> None:
        self.claim: Claim | None = None
        """What waits here has lost an entry, and the others are asked to give way."""
        self.given: Given | None = None
        """Whom we give way to."""
        self.in_vain = False
        """The last to whom we gave way did not come: now we propose, whoever asks."""

    def chosen(self, entry: int, origin: int) -> None:
        """A value from there was chosen at this entry: whoever has had its turn comes first no longer."""
        given = self.given
        if given is not None and origin == given.peer and entry > given.since:
            self.given = None
