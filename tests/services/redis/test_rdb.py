"""DUMP and RESTORE without a Redis: what comes back, what old versions wrote, and payloads that somebody has made up."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.errors import TooLarge
from paxosstore.services.redis.commands import handler
from paxosstore.services.redis.types.rdb import lzf
from paxosstore.services.redis.types.rdb.crc64 import _TABLE, crc64
from paxosstore.services.redis.types.rdb.loading import load
from paxosstore.services.redis.types.rdb.lzf import compress
from paxosstore.services.redis.types.rdb.packed import listpack, make_listpack
from paxosstore.services.redis.types.rdb.reading import BadData, Budget, Reader
from paxosstore.services.redis.types.rdb.saving import length, packed_string, string
from paxosstore.services.redis.types.rdb.sealing import sealed

from .support import NOW_MS, DictView
from .test_portable import SortedView, exported, fill, found_in, run

BAD = b"-ERR Bad data format\r\n"
WRONG = b"-ERR DUMP payload version or checksum are wrong\r\n"


def dumped(view: DictView, name: bytes) -> bytes:
    reply = run(view, "DUMP", name)
    assert reply[:1] == b"$"
    return reply.split(b"\r\n", 1)[1][:-2]


class TestCrc:
    def test_it_is_that_of_redis(self) -> None:
        assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA
        assert crc64(b"") == 0

    @pytest.mark.parametrize("size", [2_047, 2_048, 2_049, 2_056, 2_057, 4_104, 4_105, 9_999, 100_000])
    def test_a_long_message_is_folded_to_the_same(self, size: int) -> None:
        data = random.Random(size).randbytes(size)
        crc = 0
        for byte in data:
            crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
        assert crc64(data) == crc


REPEATING = st.builds(
    lambda parts, times: b"".join(parts) * times + b"".join(parts[:2]),
    st.lists(st.binary(max_size=40) | st.sampled_from((b"a", b"abc" * 9, bytes(300), bytes(range(256)))), max_size=8),
    st.integers(1, 40),
)


class TestStrings:
    @settings(deadline=None)
    @given(REPEATING)
    def test_what_is_compressed_is_read_as_it_was(self, text: bytes) -> None:
        compressed = compress(text)
        assert not compressed or len(compressed) <= len(text) - 4
        reader = Reader(packed_string(text), Budget())
        assert reader.string() == text
        assert not reader.left

    def test_what_is_too_long_is_not_compressed(self) -> None:
        text = bytes(lzf.MAX_BYTES)
        assert len(packed_string(text)) < 2_000
        assert packed_string(text + b"\0") == string(text + b"\0")


@settings(deadline=None)
@given(st.lists(st.binary(max_size=5_000) | st.integers(-(2**63), 2**63 - 1), max_size=9))
def test_a_listpack_is_read_as_it_was_written(elements: list[bytes | int]) -> None:
    words = [b"%d" % element if isinstance(element, int) else element for element in elements]
    assert listpack(make_listpack(elements), Budget()) == words


def test_every_kind_of_key_is_restored_as_it_was() -> None:
    view, copy = SortedView(), SortedView()
    fill(view)
    run(view, "ZREM", "large", "minus")
    for found in found_in(view):
        payload = dumped(view, found.name)
        assert run(copy, "RESTORE", found.name, found.expires_ms, payload, "ABSTTL") == b"+OK\r\n"
        assert run(copy, "RESTORE", found.name, found.expires_ms, payload) == b"-BUSYKEY Target key name already exists.\r\n"
        assert run(copy, "RESTORE", found.name, found.expires_ms, payload, "replace", "absttl") == b"+OK\r\n"
        assert dumped(copy, found.name) == payload
    run(view, "HDEL", "shrunk", "field")  # whether it was large is not in a payload
    run(copy, "HDEL", "shrunk", "field")
    assert sorted(map(repr, exported(copy))) == sorted(map(repr, exported(view)))


def test_times_and_options() -> None:
    view = DictView()
    run(view, "SET", "a", "1")
    payload = dumped(view, b"a")
    for words, reply in (
        (("b", "x", payload), b"-ERR value is not an integer or out of range\r\n"),
        (("b", -1, payload), b"-ERR Invalid TTL value, must be >= 0\r\n"),
        (("b", 0, payload, "IDLETIME", -1), b"-ERR Invalid IDLETIME value, must be >= 0\r\n"),
        (("b", 0, payload, "FREQ", 256), b"-ERR Invalid FREQ value, must be >= 0 and <= 255\r\n"),
        (("b", 0, payload, "FREQ", 1, "IDLETIME", 1), b"-ERR syntax error\r\n"),
        (("b", 0, payload, "FREQ"), b"-ERR syntax error\r\n"),
        (("b", 0, payload[:-1] + b"\0"), WRONG),
        (("b", 0, payload[:5]), WRONG),
        (("b", 0, b""), WRONG),
        (("b", 5_000, payload), b"+OK\r\n"),
        (("a", 1, payload, "ABSTTL", "REPLACE", "IDLETIME", 5), b"+OK\r\n"),
        (("c", 2**63 - 1, payload), b"+OK\r\n"),
    ):
        assert run(view, "RESTORE", *words) == reply, words
    assert run(view, "PEXPIRETIME", "b") == b":%d\r\n" % (NOW_MS + 5_000)
    assert run(view, "EXISTS", "a") == b":0\r\n"  # it has expired
    assert run(view, "DUMP", "none") == b"$-1\r\n"
    assert run(view, "MIGRATE", "host", 1, "a", 0, 1)[:28] == b"-ERR MIGRATE is not possible"


def test_a_newer_version_is_refused() -> None:
    payload = b"\0\1a\x0b\0"
    assert run(DictView(), "RESTORE", "a", 0, payload + crc64(payload).to_bytes(8, "little")) == WRONG
    assert run(DictView(), "RESTORE", "a", 0, sealed(b"\x15" + bytes(20))) == BAD  # a stream of Redis 7.2
    payload = b"\0\1a\x01\0"
    assert run(DictView(), "RESTORE", "a", 0, payload + crc64(payload).to_bytes(8, "little")) == b"+OK\r\n"


def ziplist_of(*entries: bytes) -> bytes:
    body = b"".join([b"\0" + entry for entry in entries]) + b"\xff"
    return string((len(body) + 10).to_bytes(4, "little") + bytes(4) + len(entries).to_bytes(2, "little") + body)


@pytest.mark.parametrize(
    ("value", "kind", "members"),
    [
        (b"\x01\x02\x01a\xc0\xff", "list", [b"a", b"-1"]),
        (b"\x0a" + ziplist_of(b"\x01a", b"\xfe\x80", b"\xf1", b"\xc0\x00\x01"), "list", [b"a", b"-128", b"0", b"256"]),
        (b"\x0e\x01" + ziplist_of(b"\x40\x02ab", b"\x80\x00\x00\x00\x01c", b"\xf0\xff\xff\xff"), "list", [b"ab", b"c", b"-1"]),
        (b"\x0d" + ziplist_of(b"\x01a", b"\x01b"), "hash", [b"a", b"b"]),
        (b"\x0c" + ziplist_of(b"\x01a", b"\x031.5"), "zset", [b"a", b"1.5"]),
        (b"\x09" + string(b"\x01\x01a\x02\x01bbx\xff"), "hash", [b"a", b"bb"]),
        (b"\x0b" + string(b"\2\0\0\0\2\0\0\0\xff\xff\x05\0"), "set", [b"-1", b"5"]),
        (b"\x03\x02\x01a\x031.5\x01b\xfe", "zset", [b"a", b"1.5", b"b", b"inf"]),
        (b"\x12\x02\x01\x01a\x02" + string(make_listpack([b"b", -5])), "list", [b"a", b"b", b"-5"]),
        (b"\x01\x01\xc3\x04\x0a\x00a\xe0\x00"[:-1] + b"\x00", "list", None),
    ],
)
def test_what_older_versions_wrote(value: bytes, kind: str, members: list[bytes] | None) -> None:
    if members is None:
        with pytest.raises(BadData):
            load(value)
        return
    assert load(value)[0] == kind
    assert [word for words in load(value)[2] for word in words] == members


def test_compressed_strings() -> None:
    packed = b"\x00a\xe0\x05\x00" + b"\x02xyz"  # an a, 14 more of it, and three others
    assert load(b"\0\xc3" + length(len(packed)) + length(18) + packed)[1] == b"a" * 15 + b"xyz"
    for size in (17, 19, 2**40):
        with pytest.raises((BadData, TooLarge)):
            load(b"\0\xc3" + length(len(packed)) + length(size) + packed)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\0",
        b"\0\x05abc",
        b"\0\x81" + b"\xff" * 8,
        b"\0\xff",
        b"\0\x82",
        b"\0\1ab",
        b"\2\0",
        b"\2\2\1a\1a",
        b"\4\1\1a",
        b"\4\2\1a\1b\1a\1c",
        b"\5\1\1a" + b"\0\0\0\0\0\0\xf8\x7f",
        b"\3\1\1a\xfd",
        b"\6\0",
        b"\x08",
        b"\x10" + string(make_listpack([b"a"])),
        b"\x10" + string(make_listpack([b"a", b"b"])[:-1]),
        b"\x10\x07\x07\0\0\0\1\0\xff",
        b"\x12\1\3\1a",
        b"\x0b" + string(b"\2\0\0\0\2\0\0\0\5\0\5\0"),
        b"\x0b" + string(b"\2\0\0\0\xff\xff\xff\xff\5\0"),
        b"\x13\0\0\0\0",
    ],
)
def test_bad_values_are_refused(value: bytes) -> None:
    assert run(DictView(), "RESTORE", "a", 0, sealed(value)) == BAD


def test_work_is_bounded() -> None:
    reader = Reader(length(2**62), Budget())
    with pytest.raises(BadData):
        reader.count()
    packed = b"\0a" + b"\xe0\xff\x00" * 300_000
    with pytest.raises(TooLarge):  # in bytes
        load(b"\0\xc3" + length(len(packed)) + length(1 + 300_000 * 264) + packed)
    packed = b"\0a" * 1_000_001
    with pytest.raises(TooLarge):  # in steps
        load(b"\0\xc3" + length(len(packed)) + length(1_000_001) + packed)
    with pytest.raises(TooLarge):
        load(b"\1" + length(100_001) + b"\0" * 100_001)
    with pytest.raises(TooLarge):
        load(b"\x12\1\2" + string(make_listpack([1] * 100_001)))


def samples() -> list[bytes]:
    view = SortedView()
    run(view, "SET", "string", "some text")
    run(view, "RPUSH", "list", "a", "b", 7)
    run(view, "HSET", "hash", "a", 1, "b", 2)
    run(view, "SADD", "set", "a", "b")
    run(view, "ZADD", "zset", 1, "a", "inf", "b")
    run(view, "XADD", "stream", "1-1", "a", "b")
    run(view, "XADD", "stream", "2-1", "a", "c", "d", "e")
    run(view, "XGROUP", "CREATE", "stream", "g", 0)
    run(view, "XREADGROUP", "GROUP", "g", "Ada", "STREAMS", "stream", ">")
    values = [dumped(view, found.name)[:-10] for found in found_in(view)]
    values += [b"\x10" + string(make_listpack([b"a", 1, b"b", -300])), b"\x11" + string(make_listpack([b"a", 1]))]
    values += [b"\x0d" + ziplist_of(b"\x01a", b"\xfe\x80"), b"\x09" + string(b"\x01\x01a\x02\x01bbx\xff")]
    packed = b"\x00a\xe0\x05\x00\x02xyz"
    values.append(b"\0\xc3" + length(len(packed)) + length(18) + packed)
    return values


SAMPLES = samples()


@settings(deadline=None, max_examples=1_500)
@given(st.data())
def test_no_payload_does_more_than_be_refused(data: st.DataObject) -> None:
    """Bytes changed, put in and taken out: an error reply, and nothing written; or a key that can be read."""
    value = bytearray(data.draw(st.sampled_from(SAMPLES)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(value) - 1)))
        value[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    view = DictView()
    try:
        reply = run(view, "RESTORE", "key", 0, sealed(bytes(value)))
    except TooLarge:
        return
    if reply == b"+OK\r\n":
        run(view, "SET", "other", "x")
        assert run(DictView(), "RESTORE", "again", 0, dumped(view, b"key")) == b"+OK\r\n"
    else:
        assert reply == BAD
        assert not view.rows


def test_handler_knows_them() -> None:
    assert handler.handle(DictView(), handler.encode(2, [b"DUMP", b"none"])) == b"$-1\r\n"
