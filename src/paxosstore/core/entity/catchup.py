"""Learning missing chosen entries from peers, entry by entry. Deciding only."""

from __future__ import annotations

from ..entry.ids import NOBODY
from ..entry.record import Record
from ..interface.message import Learned

ENTRIES_PER_REQUEST = 64


class CatchUpState:
    """The catch-up of one entity: whom to ask next, and when."""

    __slots__ = ("asked_at_ms", "attempts", "peer", "wanted")

    def __init__(self) -> None:
        self.peer = NOBODY
        """Peer to ask."""
        self.asked_at_ms = -1e18
        self.attempts = 0
        self.wanted = 0
        """Entry up to which somebody asked us to catch up; 0: none."""

    def due(self, now_ms: float, interval_ms: float) -> bool:
        return now_ms >= self.asked_at_ms + interval_ms  # the same sum as the timer's, to the last bit

    def asked(self, now_ms: float) -> None:
        self.asked_at_ms = now_ms
        self.attempts += 1

    def news_from(self, peer: int) -> None:
        """This peer is known to be ahead: it is asked first, and at once."""
        self.peer = peer
        self.restart()

    def restart(self) -> None:
        """The next request may go at once, to the same peer."""
        self.asked_at_ms = -1e18
        self.attempts = 0

    def had_nothing(self, peers: int) -> None:
        """The peer asked last has nothing: the next one may be asked at once, once around."""
        if self.attempts < peers:
            self.asked_at_ms = -1e18

    def next_peer(self, n: int, me: int) -> int:
        """The peer to ask: the one that is known to be ahead first, the others in turn when it stays silent."""
        if self.peer < 0 or self.attempts:
            self.peer = (max(self.peer, 0) + 1) % n
        if self.peer == me:
            self.peer = (self.peer + 1) % n
        return self.peer


def learned_from(records: list[tuple[int, Record]]) -> list[Learned]:
    """The unbroken run of chosen rows at the start of a PLog range, as it goes to a peer (rule 3: only flagged rows)."""
    learned: list[Learned] = []
    for entry, record in records:
        if not record.chosen or (learned and entry != learned[-1].entry + 1):
            break
        assert record.value is not None
        learned.append(Learned(entry, record.accepted, record.value.id, record.value.body))
    return learned
