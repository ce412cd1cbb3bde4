"""Sorted sets as rows: order, ranks by the counted index, and ends that do not walk over what is gone."""

from __future__ import annotations

import random
import struct
from bisect import bisect_left
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.core.batch.overlay import Overlay
from paxosstore.errors import TooLarge
from paxosstore.services.redis.commands.handler import encode, handle
from paxosstore.services.redis.layout import pages, scored, starts
from paxosstore.services.redis.layout.garbage import drop_garbage
from paxosstore.services.redis.layout.keys import Key
from paxosstore.services.redis.layout.pages import LAST, MAX_NEXT_BYTES, PAGES
from paxosstore.services.redis.layout.scored import ScoredSet, ordered, place_of, score_in

from .support import DictView
from .test_items import CountingView, members


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_scores_compare_as_their_bytes(one: float, other: float) -> None:
    assert (one < other) == (ordered(one) < ordered(other))
    assert (one == other) == (ordered(one) == ordered(other))
    assert struct.pack(">d", score_in(ordered(one).to_bytes(8, "big"))) == struct.pack(">d", one + 0.0)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index of several levels for a few hundred members."""
    monkeypatch.setattr(pages, "PAGE", 8)
    monkeypatch.setattr(pages, "FAN", 4)
    monkeypatch.setattr(scored, "PAGE", 8)


def levels(view: DictView) -> list[list[tuple[bytes, int]]]:
    """The index as it lies: places and counts by level."""
    found: dict[int, list[tuple[bytes, int]]] = {}
    for row in sorted(view.rows):
        if row.startswith(b"m") and row[9:10] == PAGES:
            found.setdefault(row[10], []).append((row[11:], int.from_bytes(view.rows[row][:8], "big")))
    return [found[level] for level in sorted(found)]


def age(view: DictView) -> None:
    """The index as it was written before it said where the next page begins."""
    for row, value in view.rows.items():
        if row.startswith(b"m") and row[9:10] == PAGES:
            view.rows[row] = value[:8]


def check(view: DictView, model: dict[bytes, float]) -> None:
    """The set is what it should be, by every way of reading it, and its index counts right."""
    scored_set = ScoredSet(view, b"z")
    expected = sorted(model.items(), key=lambda pair: (pair[1], pair[0]))
    assert list(scored_set.members()) == expected
    assert list(scored_set.members(reverse=True)) == expected[::-1]
    assert scored_set.size == len(model)
    places = [place_of(*pair) for pair in expected]
    assert [scored_set.rank(place) for place in places] == list(range(len(places)))
    assert [scored_set.rank(place + b"\0") for place in places] == list(range(1, len(places) + 1))
    for start in range(len(expected)):
        assert scored_set.ranked(start, start + 3) == expected[start : start + 3]
        assert scored_set.ranked(start, start + 3, reverse=True) == expected[::-1][start : start + 3]
    previous = places
    for number, level in enumerate(levels(view), 1):
        bounds = [place for place, _ in level]
        assert set(bounds) <= set(previous) or previous is places, "a place of one level is one of each level below"
        ends = [*bounds[1:], None]
        starts = [b"", *bounds[1:]]
        counts = [
            sum([start <= place and (end is None or place < end) for place in places])
            for start, end in zip(starts, ends, strict=True)
        ]
        assert [count for _, count in level] == counts
        nexts = [view.rows[ScoredSet(view, b"z").rows.prefix + PAGES + bytes((number,)) + place][8:] for place in bounds]
        assert all(next in (b"", end or LAST) for next, end in zip(nexts, ends, strict=True))
        previous = bounds
    assert (len(places) <= 8) <= (len(levels(view)) <= 1)


step = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 400), st.sampled_from([0.0, 1.0, -1.0, 1.5, float("inf"), 1e300])),
    st.tuples(st.just("grow"), st.integers(0, 400), st.integers(1, 60)),
    st.tuples(st.just("remove"), st.integers(0, 400), st.just(0)),
    st.tuples(st.just("low"), st.integers(1, 60), st.just(0)),
    st.tuples(st.just("high"), st.integers(1, 60), st.just(0)),
    st.tuples(st.just("middle"), st.integers(0, 100), st.integers(1, 100)),
    st.tuples(st.just("scattered"), st.integers(0, 100), st.integers(1, 9)),
)


@given(st.lists(step, max_size=12))
@settings(max_examples=80, deadline=None)
def test_a_sorted_set_is_a_sorted_set(steps: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "PAGE", 8)
        patch.setattr(pages, "FAN", 4)
        patch.setattr(scored, "PAGE", 8)
        run(steps)


def run(steps: list[Any]) -> None:
    view = DictView()
    model: dict[bytes, float] = {}
    for name, one, two in steps:
        scored_set = ScoredSet(view, b"z")
        order = sorted(model.items(), key=lambda pair: (pair[1], pair[0]))
        gone: list[tuple[bytes, float]] = []
        if name == "put":
            member = b"%d" % one
            scored_set.put(member, two, model.get(member))
            model[member] = two
        elif name == "grow":
            for number in range(one, one + two):
                member = b"%d" % number
                scored_set.put(member, float(number), model.get(member))
                model[member] = float(number)
        elif name == "remove":
            member = order[one % len(order)][0] if order else b""
            if member in model:
                scored_set.remove(member, model.pop(member))
        elif name == "low" and one % 2:
            gone = order[:one]
        elif name == "high" and one % 2:
            gone = order[-one:]
        elif name in ("low", "high") and order:
            popped = order[:one] if name == "low" else order[::-1][:one]
            assert scored_set.pop(one, highest=name == "high") == popped
            model = {member: score for member, score in model.items() if (member, score) not in popped}
        elif name == "middle":
            gone = order[one : one + two]
        elif name == "scattered":
            gone = order[one::two]
        if gone:
            scored_set.remove_many(gone)
            for member, _ in gone:
                del model[member]
        scored_set.save()
        check(view, model)
        if (one + two) % 5 == 4:
            age(view)
    for member, score in list(model.items()):
        scored_set = ScoredSet(view, b"z")
        scored_set.remove(member, score)
        scored_set.save()
    assert not Key(view, b"z").exists
    drop_garbage(view, 10_000)
    assert not members(view), "no row is left behind"


def test_an_index_is_built_at_once_as_it_grows_one_by_one(small_pages: None) -> None:
    view = DictView()
    model = {b"%04d" % number: float(number) for number in range(400)}
    scored_set = ScoredSet(view, b"z")
    scored_set.fill(sorted(model.items()), large=True)
    scored_set.save()
    assert len(levels(view)) == 3
    check(view, model)
    for number in range(400, 440):
        scored_set = ScoredSet(view, b"z")
        scored_set.put(b"%04d" % number, float(number), None)
        scored_set.save()
        model[b"%04d" % number] = float(number)
    check(view, model)


def filled(view: DictView, size: int) -> None:
    scored_set = ScoredSet(view, b"z")
    scored_set.fill([(b"%07d" % number, float(number)) for number in range(size)], large=True)
    scored_set.save()


def test_ranks_and_offsets_cost_by_the_depth_of_the_index() -> None:
    view = CountingView()
    filled(view, 40_000)
    costs = []
    for rank in (0, 10_000, 20_000, 39_999):
        scored_set = ScoredSet(view, b"z")
        view.touched = 0
        assert scored_set.rank(place_of(b"%07d" % rank, float(rank))) == rank
        assert scored_set.ranked(rank, rank + 1) == [(b"%07d" % rank, float(rank))]
        costs.append(view.touched)
    assert max(costs) < 1_400


def test_a_change_costs_the_same_at_any_size() -> None:
    costs = []
    for size in (5_000, 15_000):
        view = CountingView()
        filled(view, size)
        view.touched = 0
        scored_set = ScoredSet(view, b"z")
        scored_set.put(b"new", size / 2, None)
        scored_set.save()
        costs.append(view.touched)
    assert max(costs) < 20


class TombstoneView(CountingView):
    """Counts what a scan steps over because it is deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.deleted: set[bytes] = set()
        self.stepped = 0

    def put(self, key: bytes, value: bytes) -> None:
        super().put(key, value)
        self.deleted.discard(key)

    def delete(self, key: bytes) -> None:
        if key in self.rows:
            self.deleted.add(key)
        super().delete(key)

    def scan(self, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False) -> Any:
        here = [key for key in self.deleted if start <= key and (end is None or key < end)]
        at: bytes | None = None
        for key, value in super().scan(start, end, reverse=reverse):
            self.stepped += sum([(at is None or (gone > at) != reverse) and (gone < key) != reverse for gone in here])
            at = key
            yield key, value
        self.stepped += sum([at is None or (gone > at) != reverse for gone in here])


@pytest.mark.parametrize("standing", [3, 60])
@pytest.mark.parametrize("how", ["pop", "remove"])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_queue_does_not_walk_over_what_was_taken(small_pages: None, standing: int, how: str, reverse: bool) -> None:
    view = TombstoneView()
    worst = 0
    for number in range(600):
        scored_set = ScoredSet(view, b"z")
        score = float(-number if reverse else number)
        scored_set.put(b"%d" % number, score, None)
        scored_set.save()
        if number >= standing:
            view.stepped = 0
            scored_set = ScoredSet(view, b"z")
            if how == "pop":
                assert len(scored_set.pop(1, highest=reverse)) == 1
            else:
                scored_set.remove(*scored_set.ranked(0, 1, reverse=reverse)[0])
            scored_set.save()
            assert ScoredSet(view, b"z").ranked(0, 1, reverse=reverse)
            worst = max(worst, view.stepped)
    assert worst <= 12, "of 600 that are gone"


def test_members_that_begin_alike_are_told_apart() -> None:
    view = DictView()
    model = {b"x" * 200 + b"%03d" % number: 0.0 for number in range(300)}
    for member in model:
        scored_set = ScoredSet(view, b"z")
        scored_set.put(member, 0.0, None)
        scored_set.save()
    assert list(ScoredSet(view, b"z").members()) == sorted(model.items())
    for member in sorted(model)[:290]:
        scored_set = ScoredSet(view, b"z")
        assert scored_set.ranked(0, 1) == [(member, 0.0)]
        scored_set.remove(member, 0.0)
        scored_set.save()
    assert len(list(ScoredSet(view, b"z").members())) == 10


def test_a_level_is_never_without_a_page(small_pages: None) -> None:
    """All of the first pages emptied at once, from either end."""
    for cut in (slice(0, 390), slice(10, 400), slice(5, 395)):
        view = DictView()
        filled(view, 400)
        scored_set = ScoredSet(view, b"z")
        order = list(scored_set.members())
        gone = order[cut]
        scored_set.remove_many(gone)
        scored_set.save()
        check(view, dict([pair for pair in order if pair not in gone]))


def test_many_come_and_go_before_the_index_is_told(small_pages: None) -> None:
    """Members that are added, moved, taken out and looked up in one go, all over a set of several levels."""
    for standing in (0, 5, 40, 400):
        view, chance = DictView(), random.Random(standing)
        model = {b"%07d" % number: float(number) for number in range(standing)}
        if standing:
            filled(view, standing)
        for _ in range(6):
            scored_set = ScoredSet(view, b"z")
            for number in range(chance.choice((1, 30, 300))):
                member = b"%07d" % chance.randrange(600)
                if member in model and chance.random() < 0.4:
                    scored_set.remove(member, model.pop(member))
                else:
                    score = float(chance.randrange(-50, 700))
                    scored_set.put(member, score, model.get(member))
                    model[member] = score
                if number % 100 == 50 and model:
                    order = sorted(model.items(), key=lambda pair: (pair[1], pair[0]))
                    assert scored_set.ranked(0, 9) == order[:9]
                    scored_set.remove_many(order[1:4])
                    model = dict([*order[:1], *order[4:]])
            scored_set.save()
            check(view, model)


class Rows:
    """Applied data that is what a view has; it stays as it is."""

    def __init__(self, view: DictView) -> None:
        self.rows = view.rows
        self.keys = sorted(self.rows)

    def get(self, entity: int, key: bytes) -> bytes | None:
        return self.rows.get(key[1:])

    def scan(self, entity: int, start: bytes, end: bytes, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        keys = self.keys[bisect_left(self.keys, start[1:]) : bisect_left(self.keys, end[1:])]
        for key in reversed(keys) if reverse else keys:
            yield b"d" + key, self.rows[key]

    def committed_entry(self, entity: int) -> int:
        return 1


def test_what_fits_into_one_request() -> None:
    """As docs/REDIS.md says, with the limit of a node's default settings."""
    view = DictView()
    filled(view, 20_000)
    run_here = partial(Overlay, Rows(view), 0, view.now_ms, max_request_rows=20_000)
    many = [b"%d" % number for number in range(4_000)]
    names = [member for member, _ in ScoredSet(view, b"z").members()][::5]
    assert handle(run_here(), encode(2, [b"ZADD", b"z", *many])) == b":2000\r\n"
    assert handle(run_here(), encode(2, [b"ZADD", b"new", *many])) == b":2000\r\n"
    assert handle(run_here(), encode(2, [b"ZREMRANGEBYRANK", b"z", b"100", b"5099"])) == b":5000\r\n"
    assert handle(run_here(), encode(2, [b"ZREM", b"z", *names[::2], *names])) == b":4000\r\n"
    assert handle(run_here(), encode(2, [b"RPUSH", b"l", *many, *many])) == b":8000\r\n"
    with pytest.raises(TooLarge):
        handle(run_here(), encode(2, [b"ZADD", b"z", *[b"%d" % number for number in range(10_000)]]))


def test_what_is_known_of_pages_is_a_hint(small_pages: None) -> None:
    """Two sets that are told apart by nothing but their rows: what is known of one is not believed of the other."""
    one, other = DictView(), DictView()
    models: list[dict[bytes, float]] = [{}, {}]
    random.seed(7)
    for turn in range(60):
        for view, model, step in ((one, models[0], 1), (other, models[1], 3)):
            scored_set = ScoredSet(view, b"z")
            for _ in range(12):
                member = b"%d" % random.randrange(0, 300, step)
                if turn % 3 == 2 and member in model:
                    scored_set.remove(member, model.pop(member))
                else:
                    score = float(random.randrange(200))
                    scored_set.put(member, score, model.get(member))
                    model[member] = score
            scored_set.save()
    for view, model in ((one, models[0]), (other, models[1])):
        check(view, model)


def test_places_that_are_too_long_to_be_kept_twice_are_searched_for(small_pages: None) -> None:
    view, model = DictView(), dict[bytes, float]()
    for number in range(60):
        member = b"%d" % (number * 7 % 60) + b"x" * (MAX_NEXT_BYTES if number % 2 else 5)
        scored_set = ScoredSet(view, b"z")
        scored_set.put(member, 1.0, None)
        scored_set.save()
        model[member] = 1.0
    check(view, model)


def test_a_page_that_was_met_is_found_without_a_search() -> None:
    view = CountingView()
    filled(view, 5_000)
    for _ in range(2):
        view.touched = view.scans = 0
        scored_set = ScoredSet(view, b"z")
        scored_set.put(b"new", 2_500.5 - _, 2_500.5 if _ else None)
        scored_set.save()
    assert view.scans == 0


def test_a_thread_knows_only_so_many() -> None:
    known = starts.Starts()
    level = (1, b"m", 1)
    for number in range(starts.MAX_STARTS):
        known.learn(level, b"%06d" % number)
        known.learn(level, b"%06d" % number)
    known.learn(level, b"x" * (starts.MAX_START_BYTES + 1))
    assert (known.before(level, b"000005x"), known.before(level, b"y"), known.before((2, b"m", 1), b"y")) == (
        b"000005",
        b"%06d" % (starts.MAX_STARTS - 1),
        None,
    )
    known.forget(level, b"000005")
    known.forget(level, b"000005")
    assert known.before(level, b"000005x") == b"000004"
    known.learn(level, b"a")
    known.learn(level, b"b")
    assert (known.before(level, b"a"), known.before(level, b"z")) == (None, b"b")
