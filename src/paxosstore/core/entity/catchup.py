"""Learning missing chosen entries from peers, entry by entry. Deciding only."""

from __future__ import annotations

from collections.abc import Sequence

from ..entry.ids import NOBODY
from ..entry.record import Record
from ..interface.message import Learned

ENTRIES_PER_REQUEST = 64


class CatchUpState:
    """The catch-up of one entity: whom to ask next, and when."""

    __slots__ = ("asked_at_ms", "attempts", "fill_at_ms", "fill_peer", "lacking", "peer", "waits", "wanted", "weighs")

    def __init__(self) -> None:
        self.peer = NOBODY
        """Peer to ask."""
        self.asked_at_ms = -1e18
        self.attempts = 0
        self.waits = False
        """Whether it would ask, if not so many others did."""
        self.wanted = 0
        """Entry up to which somebody asked us to catch up; 0: none."""
        self.lacking: dict[int, bool] = {}
        """Peers that do not have the first entry that is missing here, and whether they had: they have applied it, and keep it no
        longer (rule 17)."""
        self.weighs = True
        """The next question asks as well whether copying all data is cheaper."""
        self.fill_peer = NOBODY
        """Who was asked last to have an entry decided (rule 19c)."""
        self.fill_at_ms = 0.0
        """When the next one may be."""

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

    def lacks(self, peer: int, *, gone: bool) -> None:
        """This peer does not have the first entry that is missing here; `gone`: not any more."""
        self.lacking[peer] = gone

    @property
    def offer(self) -> int:
        """A peer whose data holds what its log does not; NOBODY: none is known."""
        return next((peer for peer, gone in self.lacking.items() if gone), NOBODY)

    def has_come(self) -> None:
        """Some of what was missing is here: who lacked that may have the next."""
        self.lacking.clear()
        self.restart()

    def had_nothing(self, peers: int) -> None:
        """The peer asked last has nothing: the next one may be asked at once, once around."""
        if self.attempts < peers:
            self.asked_at_ms = -1e18

    def next_peer(self, n: int, me: int) -> int:
        """The peer to ask: the one that is known to be ahead first, the others in turn when it is silent or has it no more."""
        if self.peer < 0 or self.attempts:
            self.peer = (max(self.peer, 0) + 1) % n
        gone = [peer for peer, had in self.lacking.items() if had]
        while self.peer == me or (self.peer in gone and len(gone) < n - 1):
            self.peer = (self.peer + 1) % n
        return self.peer


def learned_from(first: int, records: Sequence[tuple[int, Record]]) -> list[Learned]:
    """The unbroken run of chosen rows from `first` on, as it goes to a peer (rule 3: only flagged rows).

    Of what begins later nothing: the peer could not apply it, and has to hear that `first` is not there.
    """
    learned: list[Learned] = []
    for due, (entry, record) in enumerate(records, first):
        if entry != due or not record.chosen:
            break
        assert record.value is not None
        learned.append(Learned(entry, record.accepted, record.value.id, record.value.body))
    return learned
