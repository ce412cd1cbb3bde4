"""Messages: every kind there and back; whatever else comes is a WireError."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxosstore.core.batch.published import Published
from paxosstore.core.interface.digest import (
    BUCKETS,
    CHILDREN,
    LEVELS,
    MAX_BUCKETS,
    MAX_NODES,
    NODE_BYTES,
    PAGE,
    bucket_of,
    entity_at,
)
from paxosstore.core.interface.message import (
    CatchUpReply,
    CatchUpRequest,
    CompareReply,
    CompareRequest,
    DigestReply,
    DigestRequest,
    Fill,
    FloorPage,
    FloorRequest,
    GiveWay,
    HandedBack,
    HandOver,
    Held,
    InventoryReply,
    InventoryRequest,
    Learned,
    LostPage,
    LostRequest,
    Message,
    PaxosMessage,
    ReadAnswer,
    ReadQuestion,
    SnapshotPiece,
    SnapshotRequest,
    Standing,
    Stopped,
    TakeOver,
)
from paxosstore.errors import WireError
from paxosstore.wire.codec import MAX_ENTRY, decode_messages, encode_messages, encode_payloads, writable

ID = bytes(range(16))
ROW = PaxosMessage(2**64 - 1, 7, 1, 4, 4, True, ID, b"body", 6, True, False, ID[::-1])
ONE_OF_EACH: list[Message] = [
    ROW,
    ReadQuestion(0, 2**64 - 1),
    ReadAnswer(1, 2, 4, 3, ID),
    CatchUpRequest(1, 1, 64, ID, True),
    CatchUpReply(1, 9, [Learned(1, 1, ID, b""), Learned(2, 5, ID, b"x")], False, True),
    SnapshotRequest(1, 2**64 - 1, b"dkey", 1),
    SnapshotPiece(1, 2**64 - 1, b"dkey", 9, [(b"dkez", b"x"), (b"wkey", b"")], True, True),
    HandOver(1, ID, "redis", b"payload", 0, 5000, ID, True),
    HandedBack(1, ID, "", b"reply", ID),
    TakeOver(2**64 - 1),
    GiveWay(2**64 - 1, 1, 0),
    Stopped(2**64 - 1, 1, ID),
    DigestRequest(4, [0, 1, 16**4 - 1]),
    DigestReply(1, [0, 15], bytes(range(256))),
    InventoryRequest([0, BUCKETS - 1], -1),
    InventoryReply([0, BUCKETS - 1], entity_at(1), [(entity_at(2), 1), (entity_at(2**64 - 1), 0)], True),
    Standing("new", [(1, 2, 3), (0, 0, 0)], [1, 2], [4], True, [3]),
    FloorRequest(7, -1, 1, True),
    FloorPage(
        7,
        -1,
        [(1, 3), (9, 1)],
        True,
        2,
        damaged=[(2, 2), (7, 9)],
        disks=[(5, 1, 9), (0, 0, 0), (2**64 - 1, 3, 2**64 - 1)],
        replaced=[(2, 4), (1, 6)],
    ),
    FloorPage(7, 8, [(9, 0)], False, 0, True, [Held(9, 1, 4, 4, True, ID, b"x"), Held(9, 2, 3, 0, False, b"", b"")]),
    Fill(2**64 - 1, 1),
    CompareRequest(2**64 - 1, 2**64 - 1, 0, b"ukey", 0, MAX_ENTRY, True),
    CompareReply(1, 1, 9, b"", "", ID, 12, 2, b"dkez", True, [(b"dkey", 7, ID), (b"dkez", 0, ID)]),
    CompareReply(1, 1, 9, b"dkey", "behind", b"", 0, 0, b"", False),
    LostRequest(7, 9, 0, 2**64 - 1),
    LostPage(7, 9, 3, 5, [(3, 0), (5, 9)], 2),
]

PIECE = ONE_OF_EACH[-4]
assert isinstance(PIECE, CompareReply)
WORD, _, PAGE_LISTED, PAGE_HELD = ONE_OF_EACH[-10:-6]
assert isinstance(PAGE_HELD, FloorPage)
assert isinstance(PAGE_LISTED, FloorPage)
assert isinstance(WORD, Standing)
assert {type(one) for one in ONE_OF_EACH} == set(get_args(Message))

entities = st.integers(0, 2**64 - 1)
entries = st.integers(1, MAX_ENTRY)
numbers = st.integers(0, MAX_ENTRY)
ids = st.binary(min_size=16, max_size=16)
bodies = st.binary(max_size=40)
known = st.just(b"") | ids
KINDS = len(get_args(Message))


@st.composite
def rows(draw: st.DrawFn) -> PaxosMessage:
    promised = draw(numbers)
    accepted = draw(st.integers(0, promised))
    prepared = draw(st.integers(0, promised))
    value_id = draw(ids) if accepted or (promised and draw(st.booleans())) else b""
    body = draw(st.none() | bodies) if value_id else None
    chosen = bool(accepted) and draw(st.booleans())
    flags = draw(st.tuples(st.booleans(), st.booleans()))
    return PaxosMessage(
        draw(entities), draw(entries), prepared, promised, accepted, chosen, value_id, body, draw(numbers), *flags, draw(known)
    )


@st.composite
def pieces(draw: st.DrawFn) -> SnapshotPiece:
    keys = draw(st.lists(st.builds(lambda space, key: space + key, st.sampled_from([b"d", b"u", b"w"]), bodies), unique=True))
    found = [(key, draw(bodies)) for key in sorted(keys)]
    more = bool(found) and draw(st.booleans())
    return SnapshotPiece(draw(entities), draw(st.integers(1, 2**64 - 1)), b"", draw(numbers), found, more, draw(st.booleans()))


def nodes(end: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, end - 1), min_size=1, max_size=3, unique=True).map(sorted)


@st.composite
def digests(draw: st.DrawFn) -> DigestRequest | DigestReply:
    level = draw(st.integers(0, LEVELS - 1))
    some = draw(nodes(CHILDREN**level))
    size = len(some) * CHILDREN * NODE_BYTES
    return (
        DigestRequest(level, some)
        if draw(st.booleans())
        else DigestReply(level, some, draw(st.binary(min_size=size, max_size=size)))
    )


@st.composite
def inventories(draw: st.DrawFn) -> InventoryReply:
    places = sorted(draw(st.sets(entities, max_size=3)))
    buckets = sorted({bucket_of(place) for place in places} | {draw(st.integers(0, BUCKETS - 1))})
    listed = [(entity_at(place), draw(numbers)) for place in places]
    return InventoryReply(buckets, -1, listed, bool(listed) and draw(st.booleans()))


published = st.builds(Published, bodies, bodies, st.integers(0, 255))
learned = st.builds(Learned, entries, entries, ids, bodies)
messages = st.lists(
    rows()
    | st.builds(ReadQuestion, entities, entities)
    | st.builds(ReadAnswer, entities, entities, numbers, numbers, known)
    | st.builds(CatchUpRequest, entities, entries, entries, known, st.booleans(), st.booleans())
    | st.builds(CatchUpReply, entities, numbers, st.lists(learned, max_size=3), st.booleans(), st.booleans())
    | st.builds(SnapshotRequest, entities, st.integers(1, 2**64 - 1), bodies, entries)
    | pieces()
    | st.builds(HandOver, entities, ids, st.text(max_size=8), bodies, numbers, numbers, st.just(b"") | ids, st.booleans())
    | st.builds(HandedBack, entities, ids, st.text(max_size=8), bodies, st.just(b"") | ids, st.tuples() | st.tuples(published))
    | st.builds(TakeOver, entities)
    | st.builds(GiveWay, entities, entries, numbers)
    | st.builds(Stopped, entities, entries, ids)
    | digests()
    | st.builds(InventoryRequest, nodes(BUCKETS), st.integers(-1, 2**64 - 1))
    | inventories(),
    max_size=12,
)


def by_kind(items: list[Message]) -> dict[type[Message], list[Message]]:
    """Tuples of different kinds can be equal, so kinds are kept apart."""
    return {type(m): [x for x in items if type(x) is type(m)] for m in items}


def test_one_of_each_keeps_its_kind() -> None:
    found = decode_messages(encode_messages(ONE_OF_EACH))
    assert found == ONE_OF_EACH
    assert [type(m) for m in found] == [type(m) for m in ONE_OF_EACH]
    reply = found[4]
    assert isinstance(reply, CatchUpReply)
    assert isinstance(reply.entries[0], Learned)


@given(messages)
def test_there_and_back(wanted: list[Message]) -> None:
    assert by_kind(decode_messages(encode_messages(wanted))) == by_kind(wanted)


@pytest.mark.parametrize("first", ONE_OF_EACH, ids=lambda message: type(message).__name__)
def test_one_kind_alone_and_two_of_them(first: Message) -> None:
    """A payload of one kind is decoded as that alone: no other one may be taken for it, whatever bytes its messages end with."""
    assert by_kind(decode_messages(encode_messages([first] * 3))) == {type(first): [first] * 3}
    for second in ONE_OF_EACH:
        assert by_kind(decode_messages(encode_messages([first, second]))) == by_kind([first, second])


@given(st.integers(0, len(ONE_OF_EACH) - 1), st.integers(0, 30), st.binary(max_size=4))
def test_what_ends_otherwise_than_a_payload_of_its_kind(kind: int, empty: int, rest: bytes) -> None:
    """Too few other kinds behind it, or too many, or something else: refused, as when it is decoded as a whole."""
    payload = encode_messages([ONE_OF_EACH[kind]]).rstrip(b"\x90") + b"\x90" * empty + rest
    try:
        whole = msgspec.msgpack.decode(payload)
    except (msgspec.DecodeError, ValueError):  # no text, for one
        whole = None
    try:
        found = decode_messages(payload)
    except WireError:
        return
    assert whole is not None
    assert sum(map(len, whole)) == len(found)


@pytest.mark.parametrize(
    "bad",
    [
        ROW._replace(entity=-1),
        ROW._replace(entry=0),
        ROW._replace(entry=2**63),
        ROW._replace(prepared=5),
        ROW._replace(accepted=5),
        ROW._replace(accepted=-1),
        ROW._replace(accepted=0),
        ROW._replace(max_chosen=-1),
        ROW._replace(value_id=b""),
        ROW._replace(value_id=b"short"),
        ROW._replace(chosen=False, accepted=0, value_id=b""),
        ROW._replace(chosen=False, accepted=0, promised=0, prepared=0),
        ROW._replace(chosen_id=b"short"),
        ReadQuestion(-1, 1),
        ReadQuestion(1, -1),
        ReadAnswer(1, 1, -1, 0),
        ReadAnswer(1, 1, 1, 0, b"short"),
        CatchUpRequest(1, 1, 1, b"short"),
        CatchUpRequest(1, 0, 1),
        CatchUpRequest(1, 1, 0),
        CatchUpReply(1, -1, []),
        CatchUpReply(1, 1, [Learned(0, 1, ID, b"")]),
        CatchUpReply(1, 1, [Learned(1, 0, ID, b"")]),
        CatchUpReply(1, 1, [Learned(1, 1, ID[1:], b"")]),
        SnapshotRequest(-1, 1, b"", 1),
        SnapshotRequest(1, 0, b"", 1),
        SnapshotRequest(1, 1, b"", -1),
        SnapshotPiece(-1, 1, b"", 1, [], False, True),
        SnapshotPiece(1, 0, b"", 1, [], False, True),
        SnapshotPiece(1, 1, b"", -1, [], False, True),
        SnapshotPiece(1, 1, b"dk", 1, [(b"dk", b"")], False, True),
        SnapshotPiece(1, 1, b"", 1, [(b"dk", b""), (b"dk", b"")], False, True),
        SnapshotPiece(1, 1, b"", 1, [(b"xk", b"")], False, True),
        SnapshotPiece(1, 1, b"", 1, [(b"", b"")], False, True),
        SnapshotPiece(1, 1, b"", 1, [], True, True),
        HandOver(1, ID[1:], "h", b"", 1, 1, b""),
        HandOver(1, ID, "h", b"", -1, 1, b""),
        HandOver(1, ID, "h", b"", 1, -1, b""),
        HandOver(1, ID, "h", b"", 1, 1, ID[1:]),
        HandedBack(1, b"", "", b"", b""),
        HandedBack(1, ID, "", b"", ID[1:]),
        TakeOver(-1),
        GiveWay(-1, 1, 1),
        GiveWay(1, 0, 1),
        GiveWay(1, 1, -1),
        Stopped(-1, 1, ID),
        Stopped(1, 0, ID),
        Stopped(1, 1, ID[1:]),
        DigestRequest(-1, [0]),
        DigestRequest(LEVELS, [0]),
        DigestRequest(0, []),
        DigestRequest(0, [1]),
        DigestRequest(1, [-1, 0]),
        DigestRequest(1, [3, 3]),
        DigestRequest(4, list(range(MAX_NODES + 1))),
        DigestReply(1, [1], bytes(127)),
        DigestReply(1, [16], bytes(128)),
        InventoryRequest([0], -2),
        InventoryRequest([], -1),
        InventoryRequest([BUCKETS], -1),
        InventoryRequest(list(range(MAX_BUCKETS + 1)), -1),
        InventoryReply([1, 0], -1, [], False),
        InventoryReply([0], -2, [], False),
        InventoryReply([0], -1, [], True),
        InventoryReply([0], -1, [(entity_at(1) - 2**64, 1)], False),
        InventoryReply([0], -1, [(entity_at(1), -1)], False),
        InventoryReply([0], -1, [(entity_at(2), 1), (entity_at(2), 1)], False),
        InventoryReply([0], entity_at(2), [(entity_at(2), 1)], False),
        InventoryReply([1], -1, [(entity_at(2), 1)], False),
        InventoryReply([0], -1, [(entity_at(place), 1) for place in range(1, PAGE + 2)], False),
        CompareRequest(-1, 1, 1, b"", 1),
        CompareRequest(1, 0, 1, b"", 1),
        CompareRequest(1, 1, -1, b"", 1),
        CompareRequest(1, 1, 1, b"x", 1),
        CompareRequest(1, 1, 1, b"", -1),
        CompareRequest(1, 1, 1, b"", 1, -1),
        PIECE._replace(entity=-1),
        PIECE._replace(number=0),
        PIECE._replace(entry=-1),
        PIECE._replace(size=-1),
        PIECE._replace(row_count=-1),
        PIECE._replace(digest=ID[1:]),
        PIECE._replace(after=b"dkez"),
        PIECE._replace(last=b"", rows=None),
        PIECE._replace(rows=[(b"dkez", 0, ID), (b"dkey", 7, ID)]),
        PIECE._replace(rows=[(b"dkf", 0, ID)]),
        PIECE._replace(rows=[(b"dkey", -1, ID)]),
        PIECE._replace(rows=[(b"dkey", 1, ID[1:])]),
        PIECE._replace(why_not="behind"),
        PIECE._replace(why_not="no reason", more=False, rows=None),
        WORD._replace(state="odd"),
        WORD._replace(founding=[1]),
        WORD._replace(history=[-1]),
        WORD._replace(disks=[(1, -2, 3), (0, 0, 0)]),
        LostRequest(-1, 1, 1, 1),
        LostRequest(7, -1, 1, 1),
        LostRequest(7, 1, 2, 1),
        LostPage(7, -1, 3, 5, [], 0),
        LostPage(7, 1, 3, 2, [], 0),
        LostPage(7, 1, 3, 5, [(2, 1)], 0),
        LostPage(7, 1, 3, 5, [(6, 1)], 0),
        LostPage(7, 1, 3, 5, [(4, 1), (4, 1)], 0),
        LostPage(7, 1, 3, 5, [(4, -1)], 0),
        LostPage(7, 1, 3, 5, [], -1),
        FloorPage(7, -1, [], False, 0, damaged=[(3, 2)]),
        FloorPage(7, -1, [], False, 0, damaged=[(number, number) for number in range(1_025)]),
        FloorPage(7, -1, [], False, 0, disks=[(-1, 1, 1)]),
        FloorPage(7, -1, [], False, 0, replaced=[(2, -1)]),
        FloorPage(7, -1, [], False, 0, replaced=[(1, number) for number in range(257)]),
        FloorRequest(-1, -1, 1),
        FloorRequest(7, -2, 1),
        FloorRequest(7, -1, 0),
        Fill(1, 0),
        PAGE_LISTED._replace(entities=[(9, 1), (1, 3)]),
        PAGE_LISTED._replace(entities=[(1, MAX_ENTRY - 1)]),
        PAGE_LISTED._replace(entities=[]),
        PAGE_LISTED._replace(after=1),
        PAGE_LISTED._replace(default=MAX_ENTRY - 1),
        PAGE_HELD._replace(held=[Held(8, 1, 4, 4, True, ID, b"x")]),
        PAGE_HELD._replace(held=[Held(9, 0, 4, 4, True, ID, b"x")]),
        PAGE_HELD._replace(held=[Held(9, 1, 3, 4, True, ID, b"x")]),
        PAGE_HELD._replace(held=[Held(9, 1, 4, 0, True, b"", b"")]),
        PAGE_HELD._replace(held=[Held(9, 1, 4, 4, False, b"", b"")]),
        PAGE_HELD._replace(held=[Held(9, 1, 4, 0, False, ID, b"x")]),
    ],
    ids=lambda bad: str(bad)[:80],
)
def test_out_of_range(bad: Message) -> None:
    with pytest.raises(WireError, match=type(bad).__name__ + "|Learned|Held"):
        decode_messages(encode_messages([*ONE_OF_EACH, bad]))


@given(st.binary(max_size=200))
def test_random_bytes(payload: bytes) -> None:
    try:
        assert decode_messages(payload) == []
    except WireError:
        return
    assert payload == encode_messages([])


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4), st.integers(0, 3))
def test_mutated_bytes(changes: list[tuple[int, int]], cut: int) -> None:
    payload = bytearray(encode_messages(ONE_OF_EACH))
    for at, byte in changes:
        payload[at % len(payload)] = byte
    try:
        found = decode_messages(bytes(payload[: len(payload) - cut]))
    except WireError:
        return
    assert by_kind(decode_messages(encode_messages(found))) == by_kind(found)


@pytest.mark.parametrize(
    "payload",
    [
        b"\x91" * 5000,
        msgspec.msgpack.encode([[]] * (KINDS - 1)),
        msgspec.msgpack.encode([[]] * (KINDS + 1)),
        encode_messages([]) + b"\x00",
        bytes([0x90 + KINDS]) + b"\xdd\xff\xff\xff\xff" * KINDS,
        encode_messages([HandedBack(1, ID, "text", b"", b"")]).replace(b"text", b"\xff\xfe\xfd\xfc"),
    ],
    ids=["deep", "a kind less", "a kind more", "trailing", "huge lengths", "no UTF-8"],
)
def test_malformed(payload: bytes) -> None:
    with pytest.raises(WireError):
        decode_messages(payload)


class Bytes(bytes):
    pass


def test_what_cannot_be_written() -> None:
    recursive: list[object] = []
    recursive.append(recursive)
    for change in ({"entity": 2**64}, {"body": Bytes(b"x")}, {"entity": 1j}, {"value_id": "\ud800"}, {"body": recursive}):
        bad = ROW._replace(**change)
        with pytest.raises(WireError):
            encode_messages([bad])
        assert writable([ROW, bad, ROW]) == [ROW, ROW]


def test_many_messages_are_split_in_order() -> None:
    wanted: list[Message] = [ROW._replace(entry=e, body=bytes(100)) for e in range(1, 51)]
    pieces = encode_payloads(wanted, soft_bytes=1000)
    assert all(len(p) <= 1000 for p in pieces)
    assert [m for p in pieces for m in decode_messages(p)] == wanted


def test_a_long_catch_up_reply_is_split() -> None:
    entries = [Learned(e, 1, ID, bytes(300)) for e in range(1, 11)]
    found = [m for p in encode_payloads([CatchUpReply(1, 99, entries)], soft_bytes=1000) for m in decode_messages(p)]
    assert len(found) > 1
    replies = [m for m in found if isinstance(m, CatchUpReply)]
    assert [x for reply in replies for x in reply.entries] == entries
    assert {(reply.entity, reply.max_chosen) for reply in replies} == {(1, 99)}


def test_a_message_over_the_limit_of_a_frame() -> None:
    assert len(encode_payloads([ROW._replace(body=bytes(2000))], soft_bytes=1000)) == 1
    with pytest.raises(WireError, match="PaxosMessage"):
        encode_payloads([ROW._replace(body=bytes(64 * 1024 * 1024))])


def test_many_small_messages_and_several_large_ones_are_several_frames_in_order() -> None:
    small: list[Message] = [ReadQuestion(number, 1) for number in range(10_000)]
    pieces = encode_payloads(small)
    assert [len(decode_messages(piece)) for piece in pieces] == [4_096, 4_096, 1_808]
    assert [message for piece in pieces for message in decode_messages(piece)] == small
    large: list[Message] = [ROW._replace(entry=at, body=bytes(400)) for at in range(1, 21)]
    pieces = encode_payloads(large, soft_bytes=2_000)
    assert all(len(piece) <= 2_100 for piece in pieces)
    assert [message for piece in pieces for message in decode_messages(piece)] == large
