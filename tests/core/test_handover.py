"""A peer as a place to hand requests over to: patience, suspicion, taking back."""

from __future__ import annotations

import pytest

from paxosstore.core.entity.entity import NEVER
from paxosstore.core.handover.peer import BYTES_PER_MS, Peer
from paxosstore.core.turn.roundtrip import FIRST_MS, LONGEST_MS

from .support import Operation, uuid

MARGIN_MS = 5.0


def request(name: str) -> Operation:
    return Operation(1, b"incr c", uuid=uuid(name))


def copy(name: str) -> tuple[int, bytes]:
    return 1, uuid(name)


def up() -> Peer:
    peer = Peer(MARGIN_MS)
    peer.up = True
    return peer


def test_a_peer_that_is_down_or_suspect_is_not_used() -> None:
    peer = Peer(MARGIN_MS)
    assert not peer.usable(0.0)
    peer.up = True
    assert peer.usable(0.0)
    peer.suspect_until_ms = 50.0
    assert not peer.usable(49.0)
    assert peer.usable(50.0)


def test_what_was_handed_over_is_exposed() -> None:
    peer, one = up(), request("a")
    peer.hand_over(one, 0, 10.0)
    assert one.exposed
    assert peer.overdue_at_ms == 10.0 + peer.round_trip.patience_ms
    with pytest.raises(AssertionError):
        peer.hand_over(request("a"), 0, 11.0)


def test_an_outcome_ends_the_request_it_belongs_to_once() -> None:
    peer, one, two = up(), request("a"), request("b")
    peer.hand_over(one, 0, 10.0)
    peer.hand_over(two, 0, 11.0)
    assert peer.settle(copy("b"), 12.0) is two
    assert peer.overdue_at_ms == 10.0 + peer.round_trip.patience_ms
    assert peer.settle(copy("a"), 12.0) is one
    assert peer.overdue_at_ms == NEVER
    assert peer.settle(copy("a"), 13.0) is None
    assert peer.settle(copy("never"), 13.0) is None


def test_taken_back_in_order_and_a_late_outcome_is_nobodys() -> None:
    peer = up()
    requests = [request(name) for name in "abc"]
    for one in requests:
        peer.hand_over(one, 0, 10.0)
    assert peer.take_back() == requests
    assert peer.take_back() == []
    peer.suspect_until_ms = 1_000.0
    assert peer.settle(copy("b"), 90.0) is None
    assert peer.usable(90.0), "a late answer proves it alive"


def test_patience_follows_the_round_trip() -> None:
    peer = up()
    assert peer.round_trip.patience_ms == FIRST_MS + MARGIN_MS
    now = 0.0
    for number in range(100):
        peer.hand_over(request(str(number)), 0, now)
        now += 2.0
        peer.settle(copy(str(number)), now)
    assert MARGIN_MS + 2.0 <= peer.round_trip.patience_ms < MARGIN_MS + 3.0


def test_a_peer_that_became_slow_is_given_more_time() -> None:
    """The answers come too late each time, and still tell how long it takes now."""
    peer, now = up(), 0.0
    for number in range(60):
        peer.hand_over(request(str(number)), 0, now)
        now += peer.round_trip.patience_ms
        if peer.round_trip.patience_ms < 300.0:
            peer.take_back()
        now = max(now, number * 1_000.0 + 300.0)
        peer.settle(copy(str(number)), now)
        now = (number + 1) * 1_000.0
    assert peer.round_trip.patience_ms >= 300.0


def test_an_answer_about_another_entity_settles_nothing() -> None:
    """A uuid means nothing without its entity: a late answer about one once settled the other's request."""
    peer, one = up(), request("a")
    peer.hand_over(one, 0, 10.0)
    assert peer.settle((2, uuid("a")), 11.0) is None
    assert peer.settle(copy("a"), 12.0) is one


def test_a_peer_that_was_away_for_long_is_not_waited_for_as_long() -> None:
    peer = up()
    peer.hand_over(request("a"), 0, 0.0)
    peer.take_back()
    peer.settle(copy("a"), 60_000.0)
    assert peer.round_trip.patience_ms < 2_000.0


def test_patience_grows_with_what_a_peer_has_to_run() -> None:
    """A large request that is run here as well, because it takes longer than small ones do, takes twice the time."""
    peer = up()
    usual = peer.round_trip.patience_ms
    peer.hand_over(request("small"), 100, 10.0)
    peer.hand_over(request("large"), 200 * BYTES_PER_MS, 10.0)
    assert peer.overdue_at_ms > 10.0 + usual + 200.0
    peer.settle(copy("large"), 11.0)
    assert peer.overdue_at_ms < 10.0 + peer.round_trip.patience_ms + 1.0
    peer.hand_over(request("huge"), 2**40, 20.0)
    assert peer.overdue_at_ms <= 10.0 + peer.round_trip.patience_ms + LONGEST_MS
    peer.take_back()
    peer.hand_over(request("next"), 0, 30.0)
    assert peer.overdue_at_ms == 30.0 + peer.round_trip.patience_ms
