"""Frames: cut anywhere, damaged anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxosstore.errors import WireError
from paxosstore.wire.frame import HEADER_BYTES, FrameReader, encode_frame

payloads = st.lists(st.binary(min_size=1, max_size=200), max_size=6)


def test_whole_and_trailing_bytes() -> None:
    reader = FrameReader(100)
    second = encode_frame(b"second")
    assert reader.feed(encode_frame(b"first") + second[:5]) == [b"first"]
    assert reader.feed(second[5:]) == [b"second"]


@given(payloads)
def test_byte_by_byte(wanted: list[bytes]) -> None:
    reader = FrameReader(200)
    stream = b"".join(map(encode_frame, wanted))
    assert [p for at in range(len(stream)) for p in reader.feed(stream[at : at + 1])] == wanted


@given(payloads, st.lists(st.integers(0, 2000), max_size=8))
def test_cut_anywhere(wanted: list[bytes], cuts: list[int]) -> None:
    reader = FrameReader(200)
    stream = b"".join(map(encode_frame, wanted))
    marks = [0, *sorted(min(c, len(stream)) for c in cuts), len(stream)]
    found = [p for one, other in pairwise(marks) for p in reader.feed(stream[one:other])]
    assert found == wanted


def test_largest_and_one_more() -> None:
    assert FrameReader(50).feed(encode_frame(b"x" * 50)) == [b"x" * 50]
    with pytest.raises(WireError, match="51 bytes"):
        FrameReader(50).feed(encode_frame(b"x" * 51)[:HEADER_BYTES])  # refused by its header: nothing is buffered


@pytest.mark.parametrize("bad", [bytes(8), b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 8])
def test_no_frame_breaks_the_reader_for_good(bad: bytes) -> None:
    reader = FrameReader(1000)
    with pytest.raises(WireError):
        reader.feed(bad)
    with pytest.raises(WireError):
        reader.feed(encode_frame(b"good"))


@given(st.binary(min_size=1, max_size=60), st.data())
def test_every_flipped_bit_is_noticed(payload: bytes, data: st.DataObject) -> None:
    frame = bytearray(encode_frame(payload))
    bit = data.draw(st.integers(0, len(frame) * 8 - 1))
    frame[bit // 8] ^= 1 << bit % 8
    try:
        assert FrameReader(1000).feed(bytes(frame)) == []  # a longer length: it waits for the rest
    except WireError:
        return
    assert bit < 32


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_only_wire_error_comes_out(pieces: list[bytes]) -> None:
    reader = FrameReader(1000)
    for piece in pieces:
        try:
            reader.feed(piece)
        except WireError:
            continue


@pytest.mark.parametrize("size", [0, 64 * 1024 * 1024 + 1])
def test_what_no_reader_takes_is_not_written(size: int) -> None:
    with pytest.raises(WireError):
        encode_frame(bytes(size))
