"""The overlay against a dict: own writes over unwritten ones over the DB; clear, rollback, ordered scans, limits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.core.overlay import DATA, MAX_KEY_BYTES, UUID, Overlay, WriteBatch
from paxosstore.errors import InvalidRequest, TooLarge

from .support import DictReader

Model = dict[bytes, bytes]
Operation = tuple[str, bytes, bytes]

KEYS = st.sampled_from([b"", b"a", b"b", b"ba", b"c", b"\xff", b"\xff\xff"])
VALUES = st.sampled_from([b"", b"1", b"22"])
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["put", "put", "delete", "delete", "clear"]), KEYS, VALUES), max_size=6
)  # several of a request
DB = st.dictionaries(KEYS, VALUES)


def reader_of(model: Model) -> DictReader:
    reader = DictReader()
    for key, value in model.items():
        reader.put(1, key, value)
    reader.put(2, b"a", b"of another entity")
    return reader


def run(overlay: Overlay, model: Model, operations: list[Operation]) -> None:
    for verb, key, value in operations:
        if verb == "put":
            overlay.put(key, value)
            model[key] = value
        elif verb == "delete":
            overlay.delete(key)
            model.pop(key, None)
        else:
            overlay.clear()
            model.clear()


def assert_equal(overlay: Overlay, model: Model, start: bytes, end: bytes | None) -> None:
    for key in (b"", b"a", b"b", b"ba", b"c", b"\xff", b"\xff\xff", b"never"):
        assert overlay.get(key) == model.get(key)
    assert list(overlay.scan()) == sorted(model.items())
    expected = [(k, v) for k, v in sorted(model.items()) if start <= k and (end is None or k < end)]
    assert list(overlay.scan(start, end)) == expected


def applied(batch: WriteBatch, model: Model) -> Model:
    """What a store makes of a batch."""
    after = {} if batch.cleared else dict(model)
    for key, value in batch.writes.items():
        assert key[:1] == DATA
        if value is None:
            after.pop(key[1:], None)
        else:
            after[key[1:]] = value
    return after


@settings(max_examples=300, deadline=None, derandomize=True)
@given(db=DB, unwritten=st.none() | OPERATIONS, requests=st.lists(st.tuples(OPERATIONS, st.booleans()), max_size=4),
       start=KEYS, end=st.none() | KEYS)  # fmt: skip
def test_like_a_dict(
    db: Model, unwritten: list[Operation] | None, requests: list[tuple[list[Operation], bool]], start: bytes, end: bytes | None
) -> None:
    model = dict(db)
    under = None
    if unwritten is not None:  # an entry that was applied in this turn and is not in the DB yet
        before = Overlay(reader_of(db), 1, 0)
        run(before, model, unwritten)
        under = before.batch
    base = dict(model)
    overlay = Overlay(reader_of(db), 1, 0, under)
    for operations, fails in requests:
        overlay.begin()
        size = overlay.size
        trial = dict(model)
        run(overlay, trial, operations)
        assert_equal(overlay, trial, start, end)
        if fails:
            overlay.rollback()
            assert overlay.size == size
        else:
            model = trial
        assert_equal(overlay, model, start, end)
    assert applied(overlay.batch, base) == model


@settings(max_examples=200, deadline=None, derandomize=True)
@given(db=DB, batches=st.lists(OPERATIONS, max_size=5))
def test_merged_batches_do_what_each_does_in_turn(db: Model, batches: list[list[Operation]]) -> None:
    model = dict(db)
    merged = WriteBatch()
    for operations in batches:
        one = Overlay(reader_of(model), 1, 0)
        run(one, model, operations)
        merged.merge(one.batch)
    assert applied(merged, db) == model


def test_clear_keeps_what_the_protocol_keeps() -> None:
    overlay = Overlay(DictReader(), 1, 0)
    overlay.put_raw(UUID + b"u", b"first outcome")
    overlay.put(b"a", b"1")
    overlay.clear()
    assert overlay.get(b"a") is None
    assert overlay.get_raw(UUID + b"u") == b"first outcome"
    assert overlay.batch == WriteBatch({UUID + b"u": b"first outcome"}, cleared=True)


def test_clear_does_not_hide_the_protocols_keys_below() -> None:
    reader = DictReader()
    reader.data[1] = {UUID + b"u": b"in the DB", DATA + b"a": b"1"}
    overlay = Overlay(reader, 1, 0, WriteBatch({UUID + b"v": b"unwritten"}, cleared=True))
    assert overlay.get(b"a") is None
    assert overlay.get_raw(UUID + b"u") == b"in the DB"
    assert overlay.get_raw(UUID + b"v") == b"unwritten"
    assert list(overlay.scan()) == []


def test_what_a_request_wrote_and_cleared_is_rolled_back() -> None:
    overlay = Overlay(reader_of({b"a": b"0"}), 1, 0)
    overlay.begin()
    overlay.put(b"b", b"1")
    overlay.begin()
    overlay.put(b"b", b"2")
    overlay.clear()
    overlay.put(b"c", b"3")
    overlay.clear()
    overlay.rollback()
    assert list(overlay.scan()) == [(b"a", b"0"), (b"b", b"1")]
    assert overlay.batch == WriteBatch({DATA + b"b": b"1"})


@pytest.mark.parametrize("write", [lambda view: view.put(b"a", b"1"), lambda view: view.delete(b"a"), lambda view: view.clear()])
def test_a_read_only_view_refuses_writes(write: Callable[[Overlay], None]) -> None:
    overlay = Overlay(reader_of({b"a": b"0"}), 1, 0, read_only=True)
    with pytest.raises(InvalidRequest):
        write(overlay)
    assert overlay.get(b"a") == b"0"
    assert not overlay.batch


def test_values_are_bytes() -> None:
    with pytest.raises(InvalidRequest, match="not str"):
        Overlay(DictReader(), 1, 0).put(b"a", "text")  # type: ignore[arg-type]  # the mistake under test


def test_the_longest_key_and_one_more() -> None:
    overlay = Overlay(DictReader(), 1, 0)
    overlay.put(b"k" * (MAX_KEY_BYTES - 1), b"")
    with pytest.raises(TooLarge):
        overlay.put(b"k" * MAX_KEY_BYTES, b"")


def test_the_limit_is_one_requests_not_the_batchs() -> None:
    overlay = Overlay(DictReader(), 1, 0, max_request_bytes=10)
    for _ in range(3):
        overlay.begin()
        overlay.put(b"abc", b"123456")  # 10 bytes with the space byte
    overlay.begin()
    with pytest.raises(TooLarge):
        overlay.put(b"abc", b"1234567")
    overlay.rollback()
    assert overlay.get(b"abc") == b"123456"
    assert overlay.size == 30


def test_an_overlay_knows_its_entity_and_time() -> None:
    overlay = Overlay(reader_of({}), 2, 12345)
    assert (overlay.entity, overlay.now_ms) == (2, 12345)
    assert overlay.get(b"a") == b"of another entity"
