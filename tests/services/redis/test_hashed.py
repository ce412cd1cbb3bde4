"""Collections in the order of hashes: random members, and pages that go on anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from crc32c import crc32c

from paxosstore.errors import TooLarge
from paxosstore.services.redis.layout.hashed import CHANCE, FEW, MAX_MEMBER_BYTES, HashedCollection
from paxosstore.services.redis.layout.keys import SET

from .support import DictView


class CountingView(DictView):
    """Counts what scans have met."""

    def __init__(self) -> None:
        super().__init__()
        self.met = 0

    def scan(self, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        for pair in super().scan(start, end, reverse=reverse):
            self.met += 1
            yield pair


def filled(names: list[bytes]) -> tuple[CountingView, HashedCollection]:
    view = CountingView()
    collection = HashedCollection(view, b"k", SET)
    for name in names:
        collection.put(name, b"")
    collection.size = len(names)
    collection.save()
    return view, collection


@pytest.mark.parametrize("size", [3, FEW, FEW + 1, 1_000])
def test_each_member_is_as_likely_as_any_other(size: int) -> None:
    CHANCE.seed(size)
    _, collection = filled([b"%d" % number for number in range(size)])
    draws = 30 * size if size < 500 else 5_000
    seen = Counter([collection.sample(1)[0][0] for _ in range(draws)])
    expected = draws / size
    squares = sum([(seen[b"%d" % number] - expected) ** 2 / expected for number in range(size)])
    assert squares < size + 5 * (2 * size) ** 0.5, "chi-square, five standard deviations over its mean"


@pytest.mark.parametrize("count", [1, 5, 200, 300, 1_000])
def test_a_sample_has_no_member_twice(count: int) -> None:
    CHANCE.seed(count)
    names = {b"%d" % number for number in range(1_000)}
    _, collection = filled(sorted(names))
    sample = {name for name, _ in collection.sample(count)}
    assert len(sample) == count
    assert sample <= names


@pytest.mark.parametrize("count", [50, 450])
def test_each_member_is_drawn_as_often_though_some_twice(count: int) -> None:
    CHANCE.seed(count)
    _, collection = filled([b"%d" % number for number in range(1_000)])
    rounds = 9_000 // count
    seen = Counter([name for _ in range(rounds) for name, _ in collection.draw(count)])
    assert sum(seen.values()) == 9_000
    squares = sum([(seen[b"%d" % number] - 9) ** 2 / 9 for number in range(1_000)])
    assert squares < 2 * 1_000, "chi-square of draws that come in clusters"


def test_many_are_drawn_of_many_without_a_look_at_all() -> None:
    CHANCE.seed(1)
    view, collection = filled([b"%d" % number for number in range(8_000)])
    view.met = 0
    assert len(collection.draw(1_000)) == 1_000
    assert view.met < 6_000


def test_one_of_many_is_found_without_a_walk() -> None:
    CHANCE.seed(1)
    view, collection = filled([b"%d" % number for number in range(3_000)])
    view.met = 0
    for _ in range(50):
        collection.sample(1)
    assert view.met < 50 * 100


def test_members_whose_hashes_somebody_has_chosen_are_found_as_well() -> None:
    """All in one place: nearly every bucket is empty."""
    CHANCE.seed(1)
    names = sorted([b"%d" % number for number in range(200_000)], key=crc32c)[:200]
    _, collection = filled(names)
    sample = {name for name, _ in collection.sample(60)}
    assert len(sample) == 60
    assert sample <= set(names)


def test_pages_go_on_where_the_last_one_ended_and_skip_nothing() -> None:
    names = {b"%d" % number for number in range(500)}
    _, collection = filled(sorted(names))
    seen: list[bytes] = []
    at = 0
    while True:
        page, at = collection.page(at, 7)
        assert len(page) >= 7 or not at
        seen += [name for name, _ in page]
        if not at:
            break
    assert sorted(seen) == sorted(names)


def test_a_member_over_the_limit_is_refused_and_never_there() -> None:
    _, collection = filled([b"a"])
    with pytest.raises(TooLarge, match="a member of 65521 bytes is over the limit of 65520"):
        collection.put(bytes(MAX_MEMBER_BYTES + 1), b"")
    collection.put(bytes(MAX_MEMBER_BYTES), b"x")
    assert collection.get(bytes(MAX_MEMBER_BYTES)) == b"x"
    assert collection.get(bytes(MAX_MEMBER_BYTES + 1)) is None
