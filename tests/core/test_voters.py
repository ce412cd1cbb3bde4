"""Whom a proposal is shown first, and how long one waits before the others are asked."""

from __future__ import annotations

from paxosstore.core.roundtrip import FIRST_MS, LONGEST_MS, RoundTrip
from paxosstore.core.voters import EXPLORE_MS, Voters


def explored(peers: list[int], needed: int) -> Voters:
    voters = Voters(peers, needed)
    assert voters.first(0.0) == peers, "the first time, all are asked"
    return voters


def test_as_few_as_make_a_majority() -> None:
    assert explored([1, 2], 1).first(1.0) == [1]
    assert explored([0, 2, 3, 4], 2).first(1.0) == [0, 2]


def test_whoever_made_the_majority_is_asked_first() -> None:
    three = explored([1, 2], 1)
    three.completed(2, 1.0)
    assert three.first(1.0) == [2]
    five = explored([1, 2, 3, 4], 2)
    five.completed(4, 1.0)
    assert five.first(1.0) == [4, 1]
    five.completed(1, 1.0)
    assert five.first(1.0) == [1, 4]


def test_a_lost_peer_is_asked_last() -> None:
    voters = explored([1, 2, 3, 4], 2)
    voters.lost(1)
    assert voters.first(1.0) == [2, 3]
    voters.lost(3)
    assert voters.first(1.0) == [2, 4]


def test_all_are_asked_again_now_and_then() -> None:
    voters = explored([1, 2], 1)
    assert voters.first(EXPLORE_MS - 0.1) == [1]
    assert voters.first(EXPLORE_MS) == [1, 2]
    assert voters.first(EXPLORE_MS + 0.1) == [1]
    voters.completed(2, 1.0)
    assert voters.first(2 * EXPLORE_MS - 0.1) == [2]


def test_what_is_handed_out_is_not_the_order_itself() -> None:
    voters = Voters([1, 2], 1)
    asked = voters.first(0.0)
    voters.lost(1)
    assert asked == [1, 2]


def test_patience_follows_what_it_takes() -> None:
    voters = explored([1, 2], 1)
    assert voters.patience_ms(5.0) == FIRST_MS + 5.0
    for _ in range(100):
        voters.completed(1, 0.5)
    assert 5.5 <= voters.patience_ms(5.0) < 6.0


def test_variation_counts_four_times() -> None:
    steady, unsteady = RoundTrip(), RoundTrip()
    for number in range(200):
        steady.observe(10.0)
        unsteady.observe(5.0 if number % 2 else 15.0)
    assert steady.patience_ms(0.0) < 10.5
    assert 20.0 < unsteady.patience_ms(0.0) < 40.0


def test_a_long_absence_is_no_measure() -> None:
    once, capped = RoundTrip(), RoundTrip()
    once.observe(3_600_000.0)
    capped.observe(LONGEST_MS)
    assert once.patience_ms(1.0) == capped.patience_ms(1.0)
