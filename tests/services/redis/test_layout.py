"""Collections, what is left of them, and the stamps that WATCH compares."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.services.redis.commands.handler import drop_expired_payload, dropped, encode, handle
from paxosstore.services.redis.layout.collection import Collection, after
from paxosstore.services.redis.layout.garbage import drop_garbage, is_there_garbage
from paxosstore.services.redis.layout.keys import HASH, SET, Key, expire_due, flush, get_value, number_of_keys, row_key, stamp_of
from paxosstore.services.redis.reply import WrongType

from .support import NOW_MS, DictView


def fill(view: DictView, name: bytes, members: int, kind: int = SET) -> Collection:
    collection = Collection(view, name, kind)
    for number in range(members):
        collection.put(b"%06d" % number, b"v%d" % number)
    collection.size = members
    collection.save()
    return collection


def members(view: DictView) -> int:
    return sum([where.startswith(b"m") for where in view.rows])


def test_members_are_found_by_name_and_in_order() -> None:
    view = DictView()
    fill(view, b"k", 5)
    found = Collection(view, b"k", SET)
    assert (found.exists, found.size, found.get(b"000003"), found.get(b"x")) == (True, 5, b"v3", None)
    assert [member for member, _ in found.scan(b"000001", b"000004")] == [b"000001", b"000002", b"000003"]
    assert [member for member, _ in found.scan(reverse=True)][:2] == [b"000004", b"000003"]
    with pytest.raises(WrongType):
        Collection(view, b"k", HASH)
    with pytest.raises(WrongType):
        get_value(view, b"k")


@pytest.mark.parametrize("how", ["delete", "overwrite", "expire", "delete_many", "another kind"])
def test_what_is_gone_leaves_its_members_to_be_cleaned_up(how: str) -> None:
    view = DictView()
    fill(view, b"k", 25)
    fill(view, b"other", 3)
    writes = len(view.rows)
    if how == "delete":
        Key(view, b"k").delete()
    elif how == "overwrite":
        Key(view, b"k").set(b"string")
    elif how == "delete_many":
        handle(view, encode(2, [b"del", b"k"]))
    elif how == "another kind":
        Key(view, b"k").delete()
        fill(view, b"k", 0, HASH)
    else:
        Key(view, b"k").expire(NOW_MS + 1)
        view.now_ms += 10
        assert expire_due(view, 10) == (1, NOW_MS + 1)
    assert abs(len(view.rows) - writes) <= 2, "a constant number of rows, however many members"
    assert members(view) == 28
    assert is_there_garbage(view.scan)
    assert [drop_garbage(view, 10) for _ in range(4)] == [10, 10, 5, 0]
    assert members(view) == 3
    assert not is_there_garbage(view.scan)
    assert Collection(view, b"other", SET).size == 3


def test_a_collection_that_lost_its_last_member_leaves_nothing_behind() -> None:
    view = DictView()
    collection = fill(view, b"k", 1)
    collection.delete(b"000000")
    collection.size = 0
    collection.save()
    assert not Key(view, b"k").exists
    assert not is_there_garbage(view.scan)
    assert not members(view)


def test_a_key_that_expires_anew_keeps_its_members() -> None:
    view = DictView()
    fill(view, b"k", 3)
    Key(view, b"k").expire(NOW_MS + 50)
    Key(view, b"k").expire(0)
    assert not is_there_garbage(view.scan)
    assert Collection(view, b"k", SET).get(b"000001") == b"v1"


def test_the_node_s_own_command_cleans_up_both() -> None:
    view = DictView()
    Key(view, b"s").set(b"v", NOW_MS - 1)
    fill(view, b"k", 5)
    Key(view, b"k").delete()
    assert dropped(handle(view, drop_expired_payload(3))) == (1, NOW_MS - 1, 3)
    assert dropped(handle(view, drop_expired_payload(3))) == (0, 0, 2)
    assert dropped(handle(view, drop_expired_payload(3))) == (0, 0, 0)


def test_versions_are_never_used_twice() -> None:
    view = DictView()
    for _ in range(3):
        fill(view, b"k", 1)
        Key(view, b"k").delete()
    assert members(view) == 3
    flush(view)
    assert number_of_keys(view) == 0
    assert not members(view)


def test_a_string_of_an_older_version_is_read() -> None:
    view = DictView()
    at = (NOW_MS + 5).to_bytes(8, "big")
    view.rows = {row_key(b"k"): b"\x01" + at + b"value", b"x" + at + b"k": b"", b"n": (1).to_bytes(8, "big")}
    assert get_value(view, b"k") == Key(view, b"k").value == b"value"
    stamp = stamp_of(view, b"k")
    Key(view, b"k").expire(NOW_MS + 9)
    assert (get_value(view, b"k"), Key(view, b"k").expires_ms, number_of_keys(view)) == (b"value", NOW_MS + 9, 1)
    assert stamp_of(view, b"k") != stamp


changes = st.lists(
    st.sampled_from([b"set k 1", b"del k", b"flushall", b"set other 1", b"del other", b"expire k 100", b"member"]), max_size=6
)


@given(changes, changes, st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_stamp_is_another_one_after_any_change(before: list[bytes], after_: list[bytes], same_entry: bool) -> None:
    view = DictView()

    def run(steps: list[bytes]) -> bool:
        touched = False
        for step in steps:
            view.request += 1
            there = Key(view, b"k").exists
            if step == b"member":
                if Key(view, b"k").kind in (0, SET):
                    fill(view, b"k", 1)
                    touched = True
                continue
            handle(view, encode(2, step.split()))
            touched = touched or step == b"set k 1" or (there and step in (b"del k", b"flushall", b"expire k 100"))
        return touched

    run(before)
    stamp = stamp_of(view, b"k")
    if not same_entry:
        view.entry, view.request = view.entry + 1, 0
    assert run(after_) <= (stamp_of(view, b"k") != stamp)


def test_a_stamp_stays_while_others_change() -> None:
    view = DictView()
    Key(view, b"k").set(b"v")
    stamp, absent = stamp_of(view, b"k"), stamp_of(view, b"absent")
    for number in range(100):
        view.request += 1
        Key(view, b"o%d" % number).set(b"v")
    assert (stamp_of(view, b"k"), stamp_of(view, b"absent")) == (stamp, absent)


def test_the_end_of_a_prefix() -> None:
    assert after(b"m\x01\xff\xff") == b"m\x02"
    assert after(b"m\x00") == b"m\x01"
