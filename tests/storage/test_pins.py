"""What is kept of the log for who copies an entity's data, and for how long."""

from __future__ import annotations

import pytest

from paxosstore.storage import pins
from paxosstore.storage.pins import GRACE_S, Pins

READER, OTHER = (2, 7, 1), (1, 7, 1)


class Time:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def held(time: Time) -> Pins:
    found = Pins(time)
    found.hold(READER, 50)
    return found


def test_what_comes_after_an_open_view_is_kept(held: Pins, time: Time) -> None:
    time.now_s += 100_000.0
    assert (held.above(7), held.above(8)) == (50, None)
    held.hold(OTHER, 40)
    assert held.above(7) == 40
    held.hold(OTHER, 60)
    assert held.above(7) == 50, "of each reader, the view that it opened last"


def test_who_has_not_read_all_of_it_needs_no_more(held: Pins) -> None:
    held.end(READER, read=False)
    assert held.above(7) is None


@pytest.mark.parametrize("later", ["not asked for", "closed once more"])
def test_after_the_last_piece_it_is_kept_for_a_while(held: Pins, time: Time, later: str) -> None:
    time.now_s += 60.0
    held.end(READER, read=True)
    if later == "closed once more":
        held.end(READER, read=False)
    time.now_s += GRACE_S
    assert held.above(7) == 50
    time.now_s += 0.1
    assert held.above(7) is None


def test_while_it_is_asked_for_it_is_kept_for_as_long_as_the_copy_took(held: Pins, time: Time) -> None:
    time.now_s += 60.0
    held.end(READER, read=True)
    for _ in range(14):
        time.now_s += GRACE_S / 2
        held.asked(7)
        held.asked(8)
        assert held.above(7) == 50
    for _ in range(2):
        time.now_s += GRACE_S / 2
        held.asked(7)
    assert held.above(7) is None


def test_what_is_over_is_not_kept_again(held: Pins, time: Time) -> None:
    held.end(READER, read=True)
    time.now_s += 2 * GRACE_S
    held.asked(7)
    assert held.above(7) is None


def test_there_are_so_many_at_the_most(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "MAX_PINS", 3)
    found = Pins(time)
    for entity in range(5):
        found.hold((1, entity, 9), 10)
        found.end((1, entity, 9), read=True)
    assert [found.above(entity) for entity in range(5)] == [None, None, 10, 10, 10]
