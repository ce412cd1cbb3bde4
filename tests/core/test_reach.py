"""Who is missing, since when, and whether that is too many for a majority."""

from __future__ import annotations

import pytest

from paxosstore.core.turn.reach import Reach, describe


def test_nothing_said_is_no_loss() -> None:
    reach = Reach(3, 2)
    assert reach.lost_at_ms is None
    assert reach.describe(9.0) == ""


def test_the_majority_is_lost_with_the_second_of_three_and_back_with_the_first() -> None:
    reach = Reach(3, 2)
    assert reach.down(1, "refused", 1_000.0)
    assert reach.lost_at_ms is None
    assert reach.down(2, "silent", 10_000.0)
    assert reach.lost_at_ms == 10_000.0
    assert reach.describe(13_000.0) == "node 1 down for 12 s (refused), node 2 down for 3.0 s (silent)"
    reach.up(1)
    assert reach.lost_at_ms is None
    assert reach.describe(13_000.0) == "node 2 down for 3.0 s (silent)"
    assert reach.down(1, "again", 14_000.0)
    assert reach.lost_at_ms == 14_000.0, "it counts from when it was lost last"


def test_another_reason_is_no_other_loss() -> None:
    reach = Reach(3, 2)
    reach.down(1, "closed by the peer", 0.0)
    reach.down(2, "closed by the peer", 1.0)
    assert not reach.down(1, "connection refused", 5_000.0)
    assert reach.lost_at_ms == 1.0
    assert reach.describe(6_000.0).startswith("node 1 down for 6.0 s (connection refused)")


def test_five_nodes_bear_two_losses() -> None:
    reach = Reach(5, 3)
    for peer in (1, 2):
        reach.down(peer, "", 0.0)
    assert reach.lost_at_ms is None
    reach.down(4, "", 7.0)
    assert reach.lost_at_ms == 7.0


def test_a_peer_that_only_learns_makes_no_majority() -> None:
    reach = Reach(3, 2)
    reach.down(1, "refused", 1_000.0)
    reach.says(2, 77, votes=False, now_ms=2_000.0)
    assert reach.lost_at_ms == 2_000.0
    assert not reach.is_down(2)
    assert reach.describe(4_000.0) == "node 1 down for 3.0 s (refused), node 2 does not vote yet (it lost its disk)"
    reach.down(2, "killed", 4_000.0)
    assert reach.lost_at_ms == 2_000.0
    assert reach.describe(5_000.0) == "node 1 down for 4.0 s (refused), node 2 down for 1.0 s (killed)"
    reach.up(2)
    assert reach.lost_at_ms == 2_000.0, "it still only learns"
    reach.says(2, 77, votes=True, now_ms=6_000.0)
    assert reach.lost_at_ms is None
    reach.says(2, 77, votes=False, now_ms=7_000.0)
    assert reach.lost_at_ms is None, "a word that came late"
    reach.says(2, 78, votes=False, now_ms=8_000.0)
    assert reach.lost_at_ms == 8_000.0


def test_up_without_down_is_nothing() -> None:
    reach = Reach(3, 2)
    reach.up(1)
    assert reach.lost_at_ms is None


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.04, "0.0 s"), (3.0, "3.0 s"), (12.4, "12 s"), (599.0, "599 s"), (7_200.0, "120 min")]
)
def test_durations(seconds: float, said: str) -> None:
    assert describe([(4, seconds, "silent")]) == f"node 4 down for {said} (silent)"
