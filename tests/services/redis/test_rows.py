"""The layout: rows, their number, the index of what expires, pages of a scan."""

from __future__ import annotations

from binascii import crc32
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from crc32c import crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.core.batch.overlay import NeedsWrite
from paxosstore.errors import TooLarge
from paxosstore.services.redis.layout import keys as keys_module
from paxosstore.services.redis.layout.collection import Collection
from paxosstore.services.redis.layout.garbage import is_there_garbage
from paxosstore.services.redis.layout.keys import (
    MANY,
    MAX_NAME_BYTES,
    MOST_DUE,
    PAGE_BYTES,
    SET,
    Key,
    delete_many,
    expire_due,
    first_expiry,
    get_value,
    number_of_keys,
    row_key,
    scan_page,
    set_many,
    stamp_of,
)
from paxosstore.services.redis.layout.keyspace import SLOT_BASE, hash_slot, slot_of

from .support import NOW_MS, DictView

names = st.sampled_from([b"a", b"b", b"c", b""])
steps = st.lists(
    st.tuples(st.just("set"), names, st.sampled_from([0, NOW_MS - 5, NOW_MS + 5, NOW_MS + 50]))
    | st.tuples(st.just("delete"), names, st.just(0))
    | st.tuples(st.sampled_from(["set_many", "delete_many"]), names, st.just(0))
    | st.tuples(st.just("expire_due"), st.just(b""), st.integers(0, 3))
    | st.tuples(st.just("wait"), st.just(b""), st.sampled_from([1, 10])),
    max_size=25,
)


STAMP = (1).to_bytes(8, "big") + bytes(4)
"""Entry 1, its first request: what a view of these tests stands at."""


def row(name: bytes) -> bytes:
    return b"k" + crc32c(name).to_bytes(4, "big") + name


def test_the_bytes_of_a_row() -> None:
    view = DictView()
    Key(view, b"one").set(b"value")
    Key(view, b"two").set(b"other", NOW_MS + 7)
    at = (NOW_MS + 7).to_bytes(8, "big")
    assert view.rows == {
        row(b"one"): b"\x02" + bytes(8) + STAMP + b"value",
        row(b"two"): b"\x02" + at + STAMP + b"other",
        b"x" + at + b"two": b"",
        b"n": (2).to_bytes(8, "big") + bytes(8 + 12),
    }


def test_the_hash_is_the_castagnoli_one() -> None:
    assert row_key(b"123456789") == b"k\xe3\x06\x92\x83123456789"
    assert crc32(b"123456789") != 0xE3069283


@given(steps)
@settings(max_examples=200, deadline=None)
def test_rows_number_and_index_agree_with_a_dict(script: list[tuple[str, bytes, int]]) -> None:
    view = DictView()
    model: dict[bytes, int] = {}
    for step, name, number in script:
        if step == "set":
            Key(view, name).set(b"v" + name, number)
            model[name] = number
        elif step == "set_many":
            set_many(view, [(name, b"old"), (b"b", b"vb"), (name, b"v" + name)])
            model[name] = model[b"b"] = 0
        elif step == "delete_many":
            alive = sum([1 for key in {name, b"b"} if key in model and not 0 < model[key] < view.now_ms])
            assert delete_many(view, [name, b"b", name]) == alive
            model.pop(name, None)
            model.pop(b"b", None)
        elif step == "delete":
            assert Key(view, name).delete() == (name in model and not 0 < model[name] < view.now_ms)
            model.pop(name, None)
        elif step == "wait":
            view.now_ms += number
        else:
            due = sorted([(at, key) for key, at in model.items() if 0 < at < view.now_ms])[:number]
            assert expire_due(view, number) == (len(due), due[-1][0] if due else 0)
            for _, key in due:
                del model[key]
        expected = {row(key): b"\x02" + at.to_bytes(8, "big") + STAMP + b"v" + key for key, at in model.items()}
        expected |= {b"x" + at.to_bytes(8, "big") + key: b"" for key, at in model.items() if at}
        assert {key: value for key, value in view.rows.items() if key[:1] not in b"nt"} == expected
        assert number_of_keys(view) == len(model)
        is_due = 0 < model.get(name, 0) < view.now_ms
        view.read_only = True
        for look in (get_value, Key):
            with pytest.raises(NeedsWrite) if is_due else nullcontext():
                look(view, name)
        view.read_only = False
        assert get_value(view, name) == Key(view, name).value == (b"v" + name if name in model and not is_due else None)
        if is_due:
            del model[name]
        assert number_of_keys(view) == len(model)


def test_a_key_lives_through_its_last_millisecond() -> None:
    view = DictView()
    Key(view, b"k").set(b"v", NOW_MS)
    assert get_value(view, b"k") == b"v"
    assert expire_due(view, 10) == (0, 0)
    view.now_ms += 1
    assert get_value(view, b"k") is None
    assert expire_due(view, 10) == (0, 0), "who has met it has deleted it"
    Key(view, b"k").set(b"v", NOW_MS)
    assert expire_due(view, 10) == (1, NOW_MS)


def test_who_meets_what_is_due_deletes_all_of_it() -> None:
    for meet in (lambda view: Key(view, b"k"), lambda view: get_value(view, b"k"), lambda view: stamp_of(view, b"k"),
                 lambda view: scan_page(view, 0, 10)):  # fmt: skip
        view = DictView()
        Key(view, b"other").set(b"v")
        collection = Collection(view, b"k", SET)
        collection.put(b"member", b"")
        collection.size = 1
        collection.save(expires_ms=NOW_MS + 5)
        view.now_ms += 6
        view.read_only = True
        with pytest.raises(NeedsWrite):
            meet(view)
        assert number_of_keys(view) == 2, "there is no word of it before"
        view.read_only = False
        meet(view)
        assert number_of_keys(view) == 1
        assert row_key(b"k") not in view.rows
        assert first_expiry(view.scan) is None
        assert is_there_garbage(view.scan)
        view.read_only = True
        meet(view)


def test_a_page_of_a_scan_deletes_so_many_that_are_due_and_ends() -> None:
    view = DictView()
    for number in range(2 * MOST_DUE):
        Key(view, b"%d" % number).set(b"v", NOW_MS + 5)
    Key(view, b"k").set(b"v")
    view.now_ms += 6
    found, at, pages = [], 0, 0
    while pages == 0 or at:
        page = scan_page(view, at, 10**6)
        found += page.keys
        at, pages = page.next_hash, pages + 1
        assert number_of_keys(view) >= 1 + 2 * MOST_DUE - pages * MOST_DUE
    assert [name for name, _ in found] == [b"k"]
    assert (pages, number_of_keys(view)) == (3, 1) or pages == 2


def test_a_key_that_does_not_expire_is_read_and_written_without_a_look_at_the_time() -> None:
    class Timeless(DictView):
        @property
        def now_ms(self) -> int:
            raise AssertionError("it was asked what time it is")

        @now_ms.setter
        def now_ms(self, now_ms: int) -> None: ...

    view = Timeless()
    Key(view, b"k").set(b"v")
    set_many(view, [(b"k", b"w"), (b"l", b"w")])
    assert get_value(view, b"k") == b"w"
    assert len(scan_page(view, 0, 10).keys) == 2
    assert delete_many(view, [b"k", b"l"]) == 2


def test_pages_hold_every_key_once_and_go_on_from_any_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    view = DictView()
    keys = {b"key:%d" % number for number in range(100)}
    monkeypatch.setattr(keys_module, "crc32c", lambda name: crc32(name) % 7 * 0x24924924)  # many keys of each hash
    for name in keys:
        Key(view, name).set(b"")
    found: list[bytes] = []
    pages = 0
    at = 0
    while True:
        page = scan_page(view, at, 3)
        found += [name for name, _ in page.keys]
        pages += 1
        at = page.next_hash
        if not at:
            break
        Key(view, b"key:%d" % pages).delete()  # a page must not depend on keys of the pages before it
    assert len(found) == len(set(found))
    assert keys - set(found) <= {b"key:%d" % number for number in range(pages)}
    assert pages == 7


class CountingView(DictView):
    """Counts what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.scanned = 0

    def get(self, key: bytes) -> bytes | None:
        self.asked += 1
        return super().get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self.asked += 1
        super().put(key, value)

    def delete(self, key: bytes) -> None:
        self.asked += 1
        super().delete(key)

    def scan(self, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        for pair in super().scan(start, end, reverse=reverse):
            self.scanned += 1
            yield pair


def test_many_keys_cost_two_rows_each() -> None:
    view = CountingView()
    keys = [b"key:%d" % number for number in range(1_000)]
    set_many(view, [(key, b"v") for key in keys])
    assert view.asked == 2 * 1_000 + 2
    set_many(view, [(key, b"w") for key in keys])
    assert view.asked == 4 * 1_000 + 2
    assert delete_many(view, keys) == 1_000
    assert view.asked == 7 * 1_000 + 4, "their tombstones as well"
    many = [b"key:%d" % number for number in range(MANY + 1)]
    set_many(view, [(key, b"v") for key in many])
    view.asked = 0
    assert delete_many(view, many) == MANY + 1
    assert view.asked == 2 * (MANY + 1) + 3, "one mark for all"


@pytest.mark.parametrize(
    ("name", "value", "most"), [(60_000, 1, PAGE_BYTES // 60_000 + 2), (10, 100_000, PAGE_BYTES // 100_000 + 2)]
)
def test_a_page_of_large_keys_or_values_is_shorter(name: int, value: int, most: int) -> None:
    view = CountingView()
    for number in range(40):
        Key(view, b"%0*d" % (name, number)).set(bytes(value))
    page = scan_page(view, 0, 1_000)
    assert 1 < len(page.keys) < view.scanned <= most < 40
    assert page.next_hash
    assert len(scan_page(view, 0, 1_000, max_name_bytes=1).keys) == 1


def test_a_scan_ends_at_the_highest_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    view = DictView()
    monkeypatch.setattr(keys_module, "crc32c", lambda name: 0xFFFFFFFF)
    Key(view, b"a").set(b"")
    Key(view, b"b").set(b"", NOW_MS - 1)
    assert scan_page(view, 0, 1) == ([(b"a", 2)], 0)
    assert scan_page(view, 0xFFFFFFFF, 1) == ([(b"a", 2)], 0)


def test_a_key_has_a_longest_length() -> None:
    view = DictView()
    Key(view, bytes(MAX_NAME_BYTES)).set(b"v", NOW_MS)
    with pytest.raises(TooLarge, match="over the limit"):
        Key(view, bytes(MAX_NAME_BYTES + 1)).set(b"v")
    assert number_of_keys(view) == 1


def test_slots_are_those_of_redis_cluster() -> None:
    assert hash_slot(b"123456789", 16384) == 0x31C3 % 16384
    assert hash_slot(b"foo{bar}{zap}", 16384) == hash_slot(b"bar", 16384)
    assert hash_slot(b"foo{{bar}}zap", 16384) == hash_slot(b"{bar", 16384)
    assert hash_slot(b"foo{}{bar}", 16384) != hash_slot(b"bar", 16384)
    assert hash_slot(b"{user}.a", 64) == hash_slot(b"{user}.b", 64)
    assert slot_of(SLOT_BASE + 5) == 5
