"""The rows of a list: which are written and read, and that they are what a list of Python would be."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.services.redis.layout.garbage import drop_garbage, is_there_garbage
from paxosstore.services.redis.layout.items import Items
from paxosstore.services.redis.layout.keys import Key

from .support import DictView


class CountingView(DictView):
    """Counts rows that are read, scanned or written."""

    def __init__(self) -> None:
        super().__init__()
        self.touched = self.scans = 0

    def get(self, key: bytes) -> bytes | None:
        self.touched += 1
        return super().get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self.touched += 1
        super().put(key, value)

    def delete(self, key: bytes) -> None:
        self.touched += 1
        super().delete(key)

    def scan(self, *args: Any, **options: Any) -> Any:
        self.scans += 1
        for row in super().scan(*args, **options):
            self.touched += 1
            yield row


def filled(view: DictView, size: int) -> Items:
    items = Items(view, b"l")
    for number in range(size):
        items.push(b"%d" % number, left=False)
    items.save()
    return Items(view, b"l")


def content(view: DictView) -> list[bytes]:
    items = Items(view, b"l")
    return items.slice(0, items.size)


def members(view: DictView) -> int:
    return sum([where.startswith(b"m") for where in view.rows])


step = st.one_of(
    st.tuples(st.just("push"), st.booleans(), st.integers(0, 3)),
    st.tuples(st.just("pop"), st.booleans(), st.integers(1, 100)),
    st.tuples(st.just("insert"), st.integers(0, 200), st.integers(0, 3)),
    st.tuples(st.just("remove"), st.sets(st.integers(0, 99), min_size=1), st.just(0)),
    st.tuples(st.just("trim"), st.integers(0, 150), st.integers(0, 150)),
    st.tuples(st.just("set"), st.integers(0, 150), st.integers(0, 3)),
)


@given(st.integers(0, 150), st.lists(step, max_size=12))
@settings(max_examples=200, deadline=None)
def test_a_list_is_a_list(size: int, steps: list[Any]) -> None:
    view = DictView()
    filled(view, size)
    model = [b"%d" % number for number in range(size)]
    for name, one, two in steps:
        items, value = Items(view, b"l"), b"new%d" % two if isinstance(two, int) else b""
        if name == "push":
            items.push(value, left=one)
            model.insert(0 if one else len(model), value)
        elif name == "pop":
            expected = model[:two] if one else model[::-1][:two]
            model = model[two:] if one else model[: max(0, len(model) - two)]
            assert items.pop_many(two, left=one) == expected
        elif name == "insert" and one <= len(model):
            items.insert(one, value)
            model.insert(one, value)
        elif name == "remove" and (gone := sorted({at for at in one if at < len(model)})):
            items.remove(gone)
            model = [value for at, value in enumerate(model) if at not in gone]
        elif name == "trim" and one <= two <= len(model):
            items.trim(one, two)
            model = model[one:two]
        elif name == "set" and one < len(model):
            items.set(one, value)
            model[one] = value
        items.save()
        assert content(view) == model
        assert Key(view, b"l").exists == bool(model)
    drop_garbage(view, 10_000)
    assert members(view) == len(model), "no row is left behind"


def cost(view: CountingView, change: str) -> int:
    items = Items(view, b"l")
    view.touched = 0
    if change == "push":
        items.push(b"x", left=True)
    elif change == "pop":
        items.pop(left=True)
    elif change == "insert near the left":
        items.insert(3, b"x")
    elif change == "insert near the right":
        items.insert(items.size - 3, b"x")
    elif change == "remove near the right":
        items.remove([items.size - 5, items.size - 3])
    elif change == "trim all":
        items.trim(0, 0)
    elif change == "keep few":
        items.trim(10, 15)
    elif change == "lose few":
        items.trim(3, items.size)
    items.save()
    return view.touched


def test_what_a_change_costs_does_not_depend_on_the_size() -> None:
    changes = ["push", "pop", "insert near the left", "insert near the right", "remove near the right", "trim all", "keep few"]
    for change in [*changes, "lose few"]:
        costs = []
        for size in (1_000, 5_000):
            view = CountingView()
            filled(view, size)
            costs.append(cost(view, change))
        assert costs[0] == costs[1] <= 30, change


def test_what_is_trimmed_at_once_is_cleaned_up_behind() -> None:
    view = DictView()
    items = filled(view, 300)
    items.trim(0, 10)
    items.save()
    assert content(view) == [b"%d" % number for number in range(10)]
    assert is_there_garbage(view.scan)
    drop_garbage(view, 10_000)
    assert members(view) == 10


def test_a_queue_never_uses_an_index_twice_nor_reads_a_row_that_is_gone() -> None:
    view = CountingView()
    costs = []
    for number in range(1_000):
        view.touched = 0
        items = Items(view, b"l")
        items.push(b"%d" % number, left=True)
        items.save()
        if number > 10:
            items = Items(view, b"l")
            items.pop(left=False)
            items.save()
            costs.append(view.touched)
    assert len(set(costs)) == 1
    assert Items(view, b"l").size == 11
