"""Rows and bodies as bytes: what comes back, and that damage never does."""

from __future__ import annotations

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from paxosstore.core.batch.overlay import WriteBatch
from paxosstore.core.entry.record import Record, Value
from paxosstore.errors import Damaged, NodeError
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.keys import entry_of, plog_end, plog_key
from paxosstore.storage.record_codec import decode_row, encode_row

from .support import row

u64 = st.integers(0, 2**64 - 1)
codec = MsgpackBodyCodec()


@st.composite
def records(draw: st.DrawFn) -> Record:
    promised = draw(st.integers(0, 2**40))
    value = draw(st.none() | st.builds(Value, st.binary(min_size=16, max_size=16), st.binary(max_size=300)))
    accepted = 0 if value is None else draw(st.integers(0, promised))
    return Record(draw(st.integers(0, promised)), promised, accepted, value, accepted > 0 and draw(st.booleans()))


@given(u64, u64, records())
def test_rows_come_back(entity: int, entry: int, record: Record) -> None:
    assert decode_row(entity, entry, encode_row(plog_key(entity, entry), record)) == record


@given(u64, u64, u64, u64)
def test_keys_sort_like_numbers(entity: int, entry: int, entity2: int, entry2: int) -> None:
    key, key2 = plog_key(entity, entry), plog_key(entity2, entry2)
    assert (key < key2) == ((entity, entry) < (entity2, entry2))
    assert entry_of(key) == entry
    assert key < plog_end(entity)
    assert (key2 < plog_end(entity)) == (entity2 <= entity)


def test_every_flipped_bit_of_a_row_is_noticed() -> None:
    whole = encode_row(plog_key(7, 3), row(3))
    for at in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << bit
            with pytest.raises(Damaged, match="entity 7, entry 3"):
                decode_row(7, 3, bytes(damaged))


def test_rows_that_are_too_short_or_too_long_or_misplaced_are_noticed() -> None:
    whole = encode_row(plog_key(7, 3), row(3))
    for length in range(len(whole)):
        with pytest.raises(Damaged):
            decode_row(7, 3, whole[:length])
    with pytest.raises(Damaged):
        decode_row(7, 3, whole + b"\0")
    with pytest.raises(Damaged, match="entity 7, entry 4: the checksum differs"):
        decode_row(7, 4, whole)
    with pytest.raises(Damaged, match="format version 2, this program knows 1") as raised:
        decode_row(7, 3, b"\x02" + whole[1:])
    assert raised.value.entity == 7, "one bit costs this entity, not the store"


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xc0", b"\x96\x05\x04\x00\xc2\xc0\xc4\x00", b"\x96\x01\x01\x01\xc2\xc0\xc4\x00", b"\x95\x01\x01\x00\xc2\xc0"],
    ids=["empty", "nil", "prepared above promised", "accepted without a value", "five fields"],
)
def test_a_row_with_a_right_checksum_and_wrong_content_is_noticed(payload: bytes) -> None:
    checksum = crc32c(payload, crc32c(plog_key(7, 3)))
    with pytest.raises(Damaged, match="entity 7, entry 3: no valid row"):
        decode_row(7, 3, b"\x01" + checksum.to_bytes(4, "big") + payload)


@given(st.dictionaries(st.binary(), st.none() | st.binary()), st.booleans())
def test_bodies_come_back_in_order(writes: dict[bytes, bytes | None], cleared: bool) -> None:
    batch = codec.decode(codec.encode(WriteBatch(writes, cleared)))
    assert (list(batch.writes.items()), batch.cleared) == (list(writes.items()), cleared)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_write_batch_or_an_error(body: bytes) -> None:
    try:
        batch = codec.decode(body)
    except NodeError:
        return
    assert codec.decode(codec.encode(batch)) == batch


@pytest.mark.parametrize(
    "body", [b"", b"\x92\xc2", b"\x92\xc2\x80\x00", b"\x92\x01\x80", b"\x92\xc2\x81\xa1a\xc0", b"\x92\xc2\x81\xc4\x01a\x01"]
)
def test_what_is_no_write_batch_is_no_damage(body: bytes) -> None:
    """It was chosen, so it is the same on all nodes: each would give its store up for it."""
    with pytest.raises(NodeError, match="no write batch") as raised:
        codec.decode(body)
    assert not isinstance(raised.value, Damaged)
