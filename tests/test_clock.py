"""The median of clocks that differ, are set, and are heard with delay (rule 20)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxosstore.clock import KEPT_MS, SAMPLES, Clocks, median

HOUR_MS = 3_600_000.0
NOW_MS = 1_700_000_000_000.0


def hear(clocks: Clocks, peer: int, clock_ms: float, at_ms: float, trip_ms: float = 0.0) -> None:
    """Its clock was read in the middle of a round trip that ended then."""
    clocks.heard(peer, clock_ms, at_ms - trip_ms, at_ms)


@pytest.mark.parametrize(
    ("clocks", "found"),
    [([5], 5), ([5, 9], 5), ([9, 5], 5), ([9, 5, 7], 7), ([1, 2, 3, 4], 2), ([9, 9, 1], 9), ([5, 4, 3, 2, 1], 3)],
)
def test_the_lower_one_of_the_two_in_the_middle(clocks: list[float], found: float) -> None:
    assert median(clocks) == found


@pytest.mark.parametrize("wrong_ms", [-HOUR_MS, -1.0, 1.0, HOUR_MS])
def test_one_wrong_clock_of_three_is_outvoted_at_every_node(wrong_ms: float) -> None:
    for own, peers in ((0.0, (0.0, wrong_ms)), (wrong_ms, (0.0, 0.0))):
        clocks = Clocks()
        for peer, offset_ms in enumerate(peers):
            hear(clocks, peer, NOW_MS + offset_ms, 50.0)
        assert clocks.now_ms(NOW_MS + own, 50.0) == NOW_MS
        assert clocks.now_ms(NOW_MS + own + 300.0, 350.0) == NOW_MS + 300.0, "the own monotonic clock goes on with them"
        offsets = clocks.offsets(NOW_MS + own, 50.0)
        assert (offsets.own, [*offsets.peers.values()]) == (own, [*peers])


def test_of_two_the_lower_one_counts() -> None:
    clocks = Clocks()
    hear(clocks, 1, NOW_MS + HOUR_MS, 0.0)
    assert clocks.now_ms(NOW_MS, 0.0) == NOW_MS
    hear(clocks, 1, NOW_MS - HOUR_MS, 1.0)
    assert clocks.now_ms(NOW_MS, 1.0) == NOW_MS - HOUR_MS


def test_a_peer_that_is_not_heard_any_more_counts_for_a_while() -> None:
    clocks = Clocks()
    for peer in (1, 2):
        hear(clocks, peer, NOW_MS, 0.0)
    wrong = NOW_MS + KEPT_MS + HOUR_MS
    assert clocks.now_ms(wrong, KEPT_MS) == NOW_MS + KEPT_MS
    assert clocks.now_ms(wrong, KEPT_MS + 1.0) == wrong, "there is no other"


def test_the_quickest_round_trip_tells_best() -> None:
    clocks = Clocks()
    clocks.heard(1, NOW_MS + 1.0, 0.0, 40.0)  # read at 1 ms
    assert clocks.offsets(NOW_MS + 40.0, 40.0).peers == {1: -0.0} or clocks.now_ms(NOW_MS + 40.0, 40.0) <= NOW_MS + 40.0
    clocks.heard(1, NOW_MS + 101.0, 100.0, 102.0)
    assert clocks.now_ms(NOW_MS + 102.0, 102.0) == NOW_MS + 102.0
    clocks.heard(1, NOW_MS + 201.0, 200.0, 260.0)
    assert clocks.now_ms(NOW_MS + 260.0, 260.0) == NOW_MS + 260.0


def test_a_clock_that_is_set_is_believed_at_once() -> None:
    clocks = Clocks()
    for at in range(SAMPLES):
        for peer in (1, 2):
            hear(clocks, peer, NOW_MS + at, float(at), trip_ms=0.2)
    hear(clocks, 1, NOW_MS + 100.0 - HOUR_MS, 100.0, trip_ms=4.0)
    assert clocks.offsets(NOW_MS + 100.0, 100.0).peers[1] == pytest.approx(-HOUR_MS, abs=2.1)


@given(
    offsets=st.lists(st.sampled_from([0.0, -HOUR_MS, HOUR_MS]), min_size=3, max_size=5),
    trips=st.lists(st.floats(0.0, 50.0), min_size=5, max_size=30),
    skew=st.floats(0.0, 1.0),
)
def test_no_further_off_than_the_round_trips(offsets: list[float], trips: list[float], skew: float) -> None:
    """However many are wrong, what comes out is within half a round trip of one of the clocks in the middle."""
    clocks, at_ms = Clocks(), 0.0
    for number, trip_ms in enumerate(trips):
        peer = 1 + number % (len(offsets) - 1)
        at_ms += 200.0
        clocks.heard(peer, NOW_MS + at_ms + offsets[peer] + skew * trip_ms, at_ms, at_ms + trip_ms)
    at_ms += 50.0
    heard = {1 + number % (len(offsets) - 1) for number in range(len(trips))}
    exact = median([NOW_MS + at_ms + offsets[node] for node in {0, *heard}])
    assert abs(clocks.now_ms(NOW_MS + at_ms + offsets[0], at_ms) - exact) <= 25.0 + 1e-3
