"""The parser: whole, cut anywhere, with trailing bytes, and fuzzed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.services.redis.resp import (
    ARGUMENT_BYTES,
    LARGE_BYTES,
    MAX_LINE_BYTES,
    Limits,
    Refused,
    RequestError,
    RequestParser,
    integer,
    split_arguments,
)
from paxosstore.services.redis.room import Room

from .support import pack

LIMITS = Limits(max_bulk_bytes=5_000, max_request_bytes=300_000)

words = st.binary(max_size=12) | st.sampled_from([b"\r\n", b"$3\r\nabc", b"*1\r\n", b"x" * 2047, b"x" * 2048, b"x" * 2049])
requests = st.lists(words, min_size=1, max_size=70)
protocol_bytes = st.lists(
    st.sampled_from(
        [b"*1\r\n", b"*2\r\n", b"*0\r\n", b"*-1\r\n", b"$0\r\n", b"$1\r\n", b"$3\r\n", b"$-1\r\n", b"\r\n", b"\n", b"\r"]
    )
    | st.sampled_from(
        [b"abc", b"a", b'"', b"'", b"\\", b"\0", b" ", b"*", b"$", b":", b"9", b"PING\r\n", b"*1000000000\r\n", b"%1\r\n"]
    )
    | st.binary(max_size=4),
    max_size=14,
).map(b"".join)


def run(pieces: list[bytes], limits: Limits = LIMITS) -> tuple[list[list[bytes] | bytes], str]:
    """All requests in a stream, or the answer to one that was refused, and the error that ended it."""
    parser = RequestParser(limits)
    found: list[list[bytes] | bytes] = []
    for piece in pieces:
        try:
            found += map(content, parser.feed(piece))
        except RequestError as error:
            return [*found, *map(content, error.before)], str(error)
    assert parser.held >= 0
    return found, ""


def content(request: list[bytes] | Refused) -> list[bytes] | bytes:
    return request if isinstance(request, list) else request.reply


def single(stream: bytes) -> list[bytes]:
    return [stream[at : at + 1] for at in range(len(stream))]


@given(st.lists(requests, max_size=6))
@settings(max_examples=60, deadline=None)
def test_arrays_come_out_as_they_went_in(sent: list[list[bytes]]) -> None:
    stream = b"".join([pack(*request) for request in sent])
    assert run([stream]) == (sent, "")


@given(st.lists(requests, max_size=3), st.lists(st.integers(0, 400), max_size=6), st.binary(max_size=3))
@settings(max_examples=60, deadline=None)
def test_cuts_and_trailing_bytes_change_nothing(sent: list[list[bytes]], cuts: list[int], trailing: bytes) -> None:
    stream = b"".join([pack(*request) for request in sent]) + b"*2\r\n$1\r\n" + trailing
    borders = sorted({0, len(stream), *[cut for cut in cuts if cut < len(stream)]})
    pieces = [stream[start:end] for start, end in pairwise(borders)]
    assert run(pieces) == run([stream])
    assert run(pieces)[0][: len(sent)] == sent


@given(protocol_bytes)
@settings(max_examples=300, deadline=None)
def test_the_fast_way_and_the_complete_way_agree_on_anything(stream: bytes) -> None:
    # byte by byte, a request is never complete in one piece, so the fast way sees none
    assert run([stream]) == run(single(stream))


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_only_the_protocol_error_comes_out(stream: bytes) -> None:
    run([stream])


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (b"*1000000000\r\n", "invalid multibulk length"),
        (b"*03\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*1 \r\n", "invalid multibulk length"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n*1\r\n$4\r\nPING\r\n", "expected '$', got '*'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$5001\r\n", "invalid bulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1" + b"0" * MAX_LINE_BYTES, "too big mbulk count string"),
        (b"*1\r\n$" + b"0" * MAX_LINE_BYTES, "too big bulk count string"),
        (b"x" * (MAX_LINE_BYTES + 1), "too big inline request"),
        (b"x" * (MAX_LINE_BYTES + 1) + b"\r\n", "too big inline request"),
        (b'SET "a\r\n', "unbalanced quotes in request"),
        (b'SET "a"b\r\n', "unbalanced quotes in request"),
        (b"\0\r\nECHO y\r\n", "no request begins with byte 0x00"),
        (b"\x16\x03\x01\x02\x00\x01", "no request begins with byte 0x16"),
        (b"\x80\r\n", "no request begins with byte 0x80"),
        (b"GET / HTTP/1.1\r\nECHO y\r\n", "this port speaks the Redis protocol"),
        (b"SET k HTTP/1.1\nECHO y\r\n", "this port speaks the Redis protocol"),
        (b"POST /'a HTTP/2.0 \r\n\r\nECHO y\r\n", "this port speaks the Redis protocol"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "this port speaks the Redis protocol"),
    ],
)
def test_what_cannot_be_understood(stream: bytes, text: str) -> None:
    before = [[b"PING"], [b"ECHO", b"x"]]
    start = b"*1\r\n$4\r\nPING\r\nECHO x\r\n"
    assert run([start + stream]) == (before, "Protocol error: " + text)
    assert run([start, stream]) == (before, "Protocol error: " + text)


TOO_MUCH = b"-TOOLARGE a request of %d bytes or more is over the limit of 300000: see redis.max_request_bytes\r\n"


@pytest.mark.parametrize("cut", [1, 7, 4_096, 10**9])
def test_what_is_too_large_is_refused_by_its_header_and_never_kept(cut: int) -> None:
    parser = RequestParser(LIMITS)
    after = pack(b"ECHO", b"x")
    stream = pack(*[b"x" * 5_000] * 61, b"", b"yy") + after
    found: list[list[bytes] | bytes] = []
    most = 0
    for at in range(0, len(stream), cut):
        found += map(content, parser.feed(stream[at : at + cut]))
        most = max(most, parser.held)
    assert found == [TOO_MUCH % 305_000, [b"ECHO", b"x"]]
    assert most <= 60 * (5_000 + ARGUMENT_BYTES) + 5_100
    assert parser.held == 0


def test_nothing_is_kept_from_the_header_on_that_goes_over_the_limit() -> None:
    parser = RequestParser(Limits(max_bulk_bytes=64_000_000, max_request_bytes=8_000_000))
    assert parser.feed(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$60000000\r\n") == []
    for _ in range(60):
        assert parser.feed(b"x" * 1_000_000) == []
        assert parser.held == 0
    (refused,) = parser.feed(b"\r\n")
    assert isinstance(refused, Refused)
    assert refused.reply.startswith(b"-TOOLARGE a request of 60000004 bytes or more is over the limit of 8000000")


@pytest.mark.parametrize("cut", [1, 10**9])
def test_more_arguments_than_keys_can_need_are_refused_by_their_number(cut: int) -> None:
    limits = Limits(max_keys=40)
    assert limits.max_arguments == 88
    stream = pack(*[b"x"] * 88) + pack(*[b"x"] * 89) + b"x " * 89 + b"\r\n" + pack(b"PING")
    refusal = b"-TOOLARGE a request of 89 arguments: at most 40 keys are possible: see redis.max_keys\r\n"
    found, error = run([stream[at : at + cut] for at in range(0, len(stream), cut)], limits)
    assert (found, error) == ([[b"x"] * 88, refusal, refusal, [b"PING"]], "")


def test_what_is_large_is_refused_while_there_is_no_room() -> None:
    room = Room(1_000)
    parser = RequestParser(Limits(), room)
    room.add(500)
    large, small = pack(b"SET", b"k", b"x" * LARGE_BYTES), pack(b"SET", b"k", b"x")
    refused, taken = parser.feed(large + small)
    assert isinstance(refused, Refused)
    assert refused.reply == (
        b"-OVERLOADED the clients of this node hold 500 bytes: send it later, or raise redis.max_clients_bytes\r\n"
    )
    assert taken == [b"SET", b"k", b"x"]
    room.add(-1)
    assert len(parser.feed(large)) == 1


@given(st.lists(requests, min_size=1, max_size=4), st.integers(1, 400))
@settings(max_examples=60, deadline=None)
def test_refusals_do_not_depend_on_where_the_stream_is_cut(sent: list[list[bytes]], cut: int) -> None:
    stream = b"".join([pack(*request) for request in sent])
    limits = Limits(max_bulk_bytes=5_000, max_request_bytes=2_100, max_keys=20)
    found = run([stream], limits)
    assert found == run([stream[at : at + cut] for at in range(0, len(stream), cut)], limits)
    assert len(found[0]) == len(sent)


def test_after_an_error_there_is_nothing_more() -> None:
    parser = RequestParser()
    with pytest.raises(RequestError, match="invalid multibulk length"):
        parser.feed(b"*x\r\n")
    with pytest.raises(RequestError, match="invalid multibulk length") as caught:
        parser.feed(b"PING\r\n")
    assert caught.value.before == []


def test_empty_requests_are_passed_over() -> None:
    assert run([b"\r\n*0\r\n*-1\r\n   \r\n\nPING\n*1\r\n$4\r\nPING\r\n"]) == ([[b"PING"], [b"PING"]], "")


def test_many_inline_requests_in_one_piece_take_no_longer_than_their_number() -> None:
    stream = b"PING\r\n*1\r\n$4\r\nPING\r\n" * 10_000
    assert run([stream])[0] == [[b"PING"]] * 20_000


def test_a_long_value_in_many_pieces() -> None:
    value = bytes(range(256)) * 4096
    stream = pack(b"SET", b"k", value)
    pieces = [stream[at : at + 1000] for at in range(0, len(stream), 1000)]
    assert run(pieces, Limits()) == ([[b"SET", b"k", value]], "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", []),
        (b"  a  bc\t d ", [b"a", b"bc", b"d"]),
        (b'"a b" c', [b"a b", b"c"]),
        (rb'"\x41\xfFz\n\r\t\b\a\q\"" x', [b'A\xffz\n\r\t\b\aq"', b"x"]),
        (rb"'it\'s \n'", [rb"it's \n"]),
        (rb'"\xZZ"', [b"xZZ"]),
        (b'pre"in side"', [b"prein side"]),
        (b'""', [b""]),
        (b"a\0b", [b"a"]),
        (b'"a', None),
        (b"'a", None),
        (b"'a'b", None),
        (b'"a\\', None),
        (b"a\x0bb \x0b c", [b"a\x0bb", b"c"]),
    ],
)
def test_inline_words(line: bytes, words: list[bytes] | None) -> None:
    assert split_arguments(line) == words


@pytest.mark.parametrize(
    "text", [b"", b"+1", b" 1", b"1 ", b"01", b"-0", b"1_0", b"9223372036854775808", b"-9223372036854775809", b"1\n"]
)
def test_no_integers(text: bytes) -> None:
    assert integer(text) is None


@given(st.integers(-(2**63), 2**63 - 1))
@settings(max_examples=30)
def test_integers(number: int) -> None:
    assert integer(b"%d" % number) == number
