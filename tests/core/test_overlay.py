"""The overlay against a dict: own writes over unwritten ones over the DB; clear, rollback, ordered scans, limits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.core.batch import overlay as overlay_module
from paxosstore.core.batch.overlay import DATA, MAX_KEY_BYTES, UUID, Overlay, WriteBatch
from paxosstore.errors import InvalidRequest, TooLarge

from ..pure import PURE_ONLY
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
    assert list(overlay.scan(start, end, reverse=True)) == expected[::-1]


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
        Overlay(DictReader(), 1, 0).put(b"a", "text")


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
    overlay = Overlay(reader_of({}), 2, 12345, entry=6)
    assert (overlay.entity, overlay.now_ms, overlay.entry) == (2, 12345, 6)
    assert overlay.get(b"a") == b"of another entity"


class Bytes(bytes):
    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize("make", [Bytes, bytearray, memoryview])
def test_what_is_kept_is_exactly_bytes(make: Callable[[bytes], bytes]) -> None:
    """A value of a subclass could once be proposed, and then be written by nobody."""
    overlay = Overlay(reader_of({b"b": b"0"}), 1, 0)
    overlay.put(make(b"a"), make(b"1"))
    overlay.delete(make(b"b"))
    assert [(type(key), type(value)) for key, value in overlay.batch.writes.items()] == [(bytes, bytes), (bytes, type(None))]
    assert overlay.get(make(b"a")) == b"1"
    assert list(overlay.scan(make(b"a"), make(b"b"))) == [(b"a", b"1")]


@pytest.mark.parametrize("key", ["a", None, 1, ["a"]])
def test_keys_are_bytes(key: Any) -> None:
    overlay = Overlay(DictReader(), 1, 0)
    for use in (overlay.get, overlay.delete, overlay.scan, lambda key: overlay.put(key, b"")):
        if use == overlay.scan and key is None:
            continue
        with pytest.raises(InvalidRequest, match="must be bytes"):
            use(key)
    assert not overlay.batch


def test_a_scan_shows_what_was_there_when_it_began() -> None:
    overlay = Overlay(reader_of({b"a": b"0", b"c": b"0"}), 1, 0)
    seen = []
    for key, value in overlay.scan():
        overlay.put(b"b", b"new")
        overlay.put(b"z", b"new")
        overlay.delete(b"c")
        seen.append((key, value))
    assert seen == [(b"a", b"0"), (b"c", b"0")]
    assert [key for key, _ in overlay.scan()] == [b"a", b"b", b"z"]


def test_a_write_over_the_limit_is_not_kept_by_whoever_catches_the_error() -> None:
    overlay = Overlay(DictReader(), 1, 0, max_request_bytes=10)
    for _ in range(3):
        with pytest.raises(TooLarge):
            overlay.put(b"abc", b"1234567")
    assert not overlay.batch
    assert overlay.size == 0


USES: list[Callable[[Overlay], object]] = [
    lambda view: view.get(b"a"),
    lambda view: view.put(b"a", b"1"),
    lambda view: view.delete(b"a"),
    lambda view: view.clear(),
    lambda view: view.scan(),
    lambda view: view.scan(reverse=True),
]


@pytest.mark.parametrize("use", USES)
def test_a_view_is_its_functions_own(use: Callable[[Overlay], object]) -> None:
    """Kept and written to later, it would change a batch that is proposed already, or the next request's."""
    overlay = Overlay(reader_of({b"a": b"0", b"b": b"0"}), 1, 0, caller=threading.get_ident)
    scans = [overlay.scan(), overlay.scan(), overlay.scan(reverse=True)]
    next(scans[0])
    told: list[type[BaseException]] = []

    def elsewhere() -> None:
        try:
            use(overlay)
        except InvalidRequest as error:
            told.append(type(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert told == [InvalidRequest]
    overlay.close()
    with pytest.raises(InvalidRequest, match="after its request's function has returned"):
        use(overlay)
    for scan in scans:
        with pytest.raises(InvalidRequest):
            next(scan)
    assert not overlay.batch
    overlay.open()
    use(overlay)


def test_a_scan_that_is_kept_lets_go_of_the_store() -> None:
    closed = []

    class Reader(DictReader):
        def scan(self, entity: int, start: bytes, end: bytes, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
            try:
                yield from super().scan(entity, start, end, reverse)
            finally:
                closed.append(entity)

    reader = Reader()
    reader.put(1, b"a", b"0")
    overlay = Overlay(reader, 1, 0)
    kept = overlay.scan()
    next(kept)
    overlay.close()
    assert closed == [1]


# -- what is visited


STEPS = st.lists(st.tuples(st.sampled_from(["put", "delete", "clear", "next", "next"]), KEYS, VALUES), max_size=12)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(db=DB, unwritten=st.none() | OPERATIONS, before=OPERATIONS, steps=STEPS, start=KEYS, end=st.none() | KEYS,
       reverse=st.booleans())  # fmt: skip
def test_a_scan_is_of_one_moment_whatever_is_written_meanwhile(
    db: Model,
    unwritten: list[Operation] | None,
    before: list[Operation],
    steps: list[Operation],
    start: bytes,
    end: bytes | None,
    reverse: bool,
) -> None:
    model = dict(db)
    under = None
    if unwritten is not None:
        below = Overlay(reader_of(db), 1, 0)
        run(below, model, unwritten)
        under = below.batch
    overlay = Overlay(reader_of(db), 1, 0, under)
    overlay.begin()
    run(overlay, model, before)
    expected = sorted(((k, v) for k, v in model.items() if start <= k and (end is None or k < end)), reverse=reverse)
    rows = overlay.scan(start, end, reverse=reverse)
    found = []
    for verb, key, value in steps:
        if verb == "next":
            found += [pair for pair in [next(rows, None)] if pair is not None]
        else:
            run(overlay, model, [(verb, key, value)])
    assert [*found, *rows] == expected
    assert list(overlay.scan()) == sorted(model.items())


def test_every_row_counts_once_and_its_bytes_beside() -> None:
    overlay = Overlay(reader_of({b"a": b"1", b"big": b"x" * 9_000}), 1, 0)
    for action, work in (
        (lambda: overlay.get(b"never"), 1),
        (lambda: overlay.get(b"a"), 1),
        (lambda: overlay.get(b"big"), 3),
        (lambda: overlay.put(b"b", b"y" * 5_000), 2),
        (lambda: overlay.delete(b"a"), 1),
        (lambda: list(overlay.scan()), 1 + 2 + 3),  # one that is deleted, and two that are there
        (lambda: next(overlay.scan(b"b")), 2),
        (lambda: list(overlay.scan(reverse=True)), 1 + 2 + 3),
        (lambda: next(overlay.scan(reverse=True)), 3),
        (lambda: next(overlay.scan(b"a", b"big", reverse=True)), 2),
        (lambda: overlay.clear(), 1),
    ):
        before = overlay.work
        action()
        assert overlay.work - before == work


@pytest.mark.parametrize(
    "visit",
    [
        lambda view, n: [view.get(b"k%d" % at) for at in range(n)],
        lambda view, n: [view.put(b"k%d" % at, b"") for at in range(n)],
        lambda view, n: [view.delete(b"k") for _ in range(n)],
        lambda view, n: [view.clear() for _ in range(n)],
        lambda view, n: [next(view.scan()) for _ in range(n)],
        lambda view, n: [next(view.scan(reverse=True)) for _ in range(n)],
        lambda view, n: [pair for _, pair in zip(range(n), view.scan(), strict=False)],
    ],
)
def test_a_request_may_visit_so_many_rows(visit: Callable[[Overlay, int], object]) -> None:
    reader = reader_of({b"%03d" % at: b"" for at in range(200)})
    overlay = Overlay(reader, 1, 0, max_request_rows=100)
    visit(overlay, 100)
    with pytest.raises(TooLarge, match="max_request_rows"):
        overlay.get(b"one more")
    overlay.open()
    with pytest.raises(TooLarge, match="max_request_rows"):
        visit(overlay, 101)


def test_rows_that_others_have_deleted_are_not_counted_against_a_request() -> None:
    overlay = Overlay(reader_of({b"%04d" % at: b"" for at in range(1_000)}), 1, 0, max_request_rows=100)
    for at in range(990):
        overlay.open()
        overlay.delete(b"%04d" % at)
    overlay.open()
    before = overlay.work
    assert len(list(overlay.scan())) == 10
    assert overlay.work - before == 1_000, "but it is work"


@PURE_ONLY
def test_a_scan_costs_what_is_asked_of_it_however_much_was_written_before(monkeypatch: pytest.MonkeyPatch) -> None:
    sorted_keys = []

    def counting(keys: dict[bytes, object]) -> list[bytes]:
        sorted_keys.append(len(keys))
        return sorted(keys)

    monkeypatch.setattr(overlay_module, "sorted", counting, raising=False)
    overlay = Overlay(reader_of({b"a": b""}), 1, 0)
    for at in range(1_000):
        overlay.begin()
        overlay.put(b"k%04d" % at, b"")
        before = overlay.work
        assert next(overlay.scan(b"k")) == (b"k0000", b"")
        assert overlay.work - before == 1
    assert sorted_keys == [1], "once, and kept in order from then on"


def test_clearing_again_and_again_does_not_copy_what_the_protocol_keeps() -> None:
    overlay = Overlay(DictReader(), 1, 0)
    for at in range(10):
        overlay.begin()
        overlay.put_raw(UUID + b"%d" % at, b"outcome")
        overlay.put(b"a", b"1")
        overlay.clear()
    assert len(overlay.kept) == 10
    assert overlay.batch == WriteBatch({UUID + b"%d" % at: b"outcome" for at in range(10)}, cleared=True)


def test_a_request_comes_back_to_a_savepoint() -> None:
    overlay = Overlay(DictReader(), 1, 0)
    overlay.begin()
    overlay.put(b"a", b"1")
    overlay.publish(b"channel", b"kept")
    assert [key for key, _ in overlay.scan()] == [b"a"]
    size, before = overlay.size, overlay.savepoint()
    overlay.put(b"a", b"2")
    overlay.put(b"b", b"3")
    overlay.clear()
    overlay.put(b"c", b"4")
    overlay.publish(b"channel", b"undone")
    overlay.undo(before)
    assert dict(overlay.scan()) == {b"a": b"1"}
    assert (overlay.size, [message.payload for message in overlay.published]) == (size, [b"kept"])
    overlay.put(b"d", b"5")
    assert [key for key, _ in overlay.scan()] == [b"a", b"d"]
    overlay.rollback()
    assert not dict(overlay.scan())
    assert not overlay.published
