"""Strings and their bits: the same commands to a real redis-server and to this service."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .oracle import Words, compare, needs_redis, script, sequences, words

pytestmark = needs_redis
FAR = str(int(time.time()) + 1_000_000)

SCRIPT_STRINGS = f"""
SET k hello / GETRANGE k 0 -1 / GETRANGE k 1 3 / GETRANGE k -3 -2 / GETRANGE k 3 1 / GETRANGE k -1 -3 / GETRANGE k 0 100
GETRANGE k 100 200 / GETRANGE k -100 1 / GETRANGE k -100 -99 / GETRANGE k x 1 / GETRANGE k 0 x / GETRANGE none 0 1
GETRANGE none x 1 / GETRANGE k 0 9223372036854775807 / GETRANGE k -9223372036854775808 9223372036854775807
GETRANGE k 9223372036854775808 1 / GETRANGE k 0 / SUBSTR k 0 1 / SUBSTR none 0 1 / SET empty  / GETRANGE empty 0 -1
SETRANGE k 1 EY / GET k / SETRANGE k 10 x / GET k / SETRANGE k 0  / SETRANGE none 5  / EXISTS none / SETRANGE none 3 x
GET none / SETRANGE k -1 x / SETRANGE k x x / SETRANGE k 3 / SETRANGE k 536870912 x / SETRANGE k 9223372036854775807 x
SETRANGE k 9223372036854775807  / SETRANGE k 536870911 yy / INCRBYFLOAT f 10.5 / INCRBYFLOAT f 0.1 / INCRBYFLOAT f -5.0e3
INCRBYFLOAT f x / INCRBYFLOAT f inf / INCRBYFLOAT f -inf / INCRBYFLOAT f nan / INCRBYFLOAT f 1e5000 / INCRBYFLOAT f
SET w word / INCRBYFLOAT w 1 / INCRBYFLOAT w x / SET f2 3.0e3 / INCRBYFLOAT f2 200 / SET i 1 / INCRBYFLOAT i 1 / INCR i
INCRBYFLOAT i 0.5 / INCR i / SET z inf / INCRBYFLOAT z 1 / EXPIRE f 100 / INCRBYFLOAT f 1 / TTL f / INCRBYFLOAT empty 1
SET padded " / INCRBYFLOAT padded 1 / INCRBYFLOAT f  / SETEX e 100 v / TTL e / GET e / SETEX e 0 v / SETEX e -1 v
SETEX e x v / SETEX e 9223372036854775807 v / SETEX e 10 / PSETEX e 100000 w / PTTL e / PSETEX e 0 v
PSETEX e 9223372036854775807 v / PSETEX e x v / GETEX e / TTL e / GETEX e PERSIST / TTL e / GETEX e EX 50 / TTL e
GETEX e PX 60000 / TTL e / GETEX e EXAT {FAR} / TTL e / GETEX e PXAT {FAR}000 / TTL e / GETEX e EX 0 / GETEX e EX x
GETEX e EX / GETEX e EX 10 PX 10 / GETEX e EX 10 PERSIST / GETEX e KEEPTTL / GETEX e NX / GETEX e GET / GETEX e bogus
GETEX none / GETEX none EX 0 / GETEX none EX x / GETEX e PERSIST PERSIST / GETEX e EX 100 EX 200 / TTL e / SET e v PERSIST
GETEX e EXAT 1 / EXISTS e / GETEX / MSETNX a 1 b 2 / MSETNX b 3 c 4 / MGET a b c / MSETNX a / MSETNX a 1 b / MSETNX d 1 d 2
GET d / HSET h f v / MSETNX h 1 q 2 / GETRANGE h 0 1 / SETRANGE h 0 x / SETRANGE h 0  / INCRBYFLOAT h 1 / INCRBYFLOAT h x
GETEX h / GETEX h EX 0 / SETEX h 100 v / TYPE h / MGET a none b / SET one ohmytext / SET two mynewtext / LCS one two
LCS one two LEN / LCS one two IDX / LCS one two IDX WITHMATCHLEN / LCS one two IDX MINMATCHLEN 4
LCS one two IDX MINMATCHLEN 4 WITHMATCHLEN / LCS one two IDX LEN / LCS one two bogus / LCS one none / LCS none none2 LEN
LCS one none IDX / LCS one two MINMATCHLEN / LCS one two MINMATCHLEN x / LCS one two IDX MINMATCHLEN -5
LCS one two WITHMATCHLEN / LCS one two MINMATCHLEN 100 / LCS one / HSET hh f v / LCS one hh / LCS hh one bogus
LCS one one IDX
"""

SCRIPT_BITS = """
SETBIT b 1 1 / SETBIT b 1 0 / SETBIT b 1 1 / GET b / SETBIT b 20 1 / GET b / SETBIT b 0 2 / SETBIT b 0 x / SETBIT b x 1
SETBIT b -1 1 / SETBIT b 4294967296 1 / SETBIT b 9223372036854775808 1 / SETBIT b 4294967296 x / SETBIT b 1
SETBIT fresh 9 0 / GET fresh / GETBIT b 1 / GETBIT b 0 / GETBIT b 1000 / GETBIT b x / GETBIT b -1 / GETBIT none 5
GETBIT b 4294967296 / GETBIT b 4294967295 / SET s foobar / BITCOUNT s / BITCOUNT s 0 0 / BITCOUNT s 1 1 / BITCOUNT s 0 -1
BITCOUNT s -2 -1 / BITCOUNT s 5 3 / BITCOUNT s -1 -3 / BITCOUNT s 0 / BITCOUNT s 0 1 BIT / BITCOUNT s 5 30 BIT
BITCOUNT s 5 30 byte / BITCOUNT s 5 30 bogus / BITCOUNT s -1 -3 bogus / BITCOUNT s 0 x / BITCOUNT s x 0 / BITCOUNT none
BITCOUNT none 0 / BITCOUNT none x y / BITCOUNT s 0 100 / BITCOUNT s 100 200 BIT / BITCOUNT s 0 -1 BIT / BITCOUNT s -9 -2 BIT
BITCOUNT s 7 7 BIT / BITCOUNT s 0 1 BIT x / BITCOUNT s -100 -50 / BITCOUNT s 9 8 BIT / SET e  / BITCOUNT e / BITCOUNT e 0 0
BITCOUNT e 0 -1 BIT / BITPOS e 1 / BITPOS e 0 / BITPOS e 0 0 -1 / BITPOS s 1 / BITPOS s 0 / BITPOS s 1 2 / BITPOS s 1 2 3
BITPOS s 1 -1 / BITPOS s 1 10 / BITPOS s 0 -1 -1 / BITPOS s 1 9 20 BIT / BITPOS s 0 9 20 BIT / BITPOS s 1 3 3 BIT
BITPOS s 1 0 -1 bogus / BITPOS s 2 / BITPOS s x / BITPOS s 1 x / BITPOS s 1 0 x / BITPOS s 1 0 0 BYTE x / BITPOS none 1
BITPOS none 0 / BITPOS none 0 x / BITPOS none 2 / BITPOS s 1 5 2 / BITPOS s / BITFIELD ff SET u8 0 255 SET u16 8 65535
BITPOS ff 0 / BITPOS ff 1 / BITPOS ff 0 0 / BITPOS ff 0 0 -1 / BITPOS ff 0 1 / BITPOS ff 0 1 1 / BITPOS ff 0 0 23 BIT
BITPOS ff 0 24 30 BIT / BITPOS ff 0 5 3 / BITFIELD z SET u32 0 0 / BITPOS z 1 / BITPOS z 0 / BITPOS z 1 0 -1
BITOP AND d s b / GET d / BITOP OR d s b / GET d / BITOP XOR d s b / GET d / BITOP NOT d s / GET d / BITOP NOT d s b
BITOP nope d s / BITOP AND d none / EXISTS d / BITOP AND d none s / GET d / BITOP OR s s s / GET s / BITOP NOT e e
BITOP XOR one s / GET one / BITOP AND d / BITOP not d s / GET d / EXPIRE d 100 / BITOP NOT d s / TTL d / HSET h f v
BITOP AND d h / BITOP AND d none h / BITOP AND h s / TYPE h / HSET h2 f v / SETBIT h2 1 1 / GETBIT h2 1 / BITCOUNT h2
BITPOS h2 1 / BITFIELD h2 GET u8 0 / BITFIELD h2 SET u8 0 1 / BITFIELD_RO h2 GET u8 0 / BITFIELD bf GET u8 0 / EXISTS bf
BITFIELD bf SET u8 0 200 GET u8 0 / BITFIELD bf INCRBY u8 0 100 / BITFIELD bf OVERFLOW SAT INCRBY u8 0 250
BITFIELD bf OVERFLOW FAIL INCRBY u8 0 250 GET u8 0 / BITFIELD bf SET i8 8 -1 GET u8 8 GET i8 8
BITFIELD bf INCRBY i8 8 -128 / BITFIELD bf OVERFLOW SAT INCRBY i8 8 -128
BITFIELD bf OVERFLOW SAT INCRBY i8 8 127 INCRBY i8 8 127 INCRBY i8 8 127 / BITFIELD bf SET u8 #1 7 GET u8 #1 GET u4 #3
BITFIELD bf SET i64 3 -9223372036854775808 INCRBY i64 3 -1 GET i64 3 / GET bf
BITFIELD bf OVERFLOW SAT INCRBY i64 3 9223372036854775807 INCRBY i64 3 9223372036854775807
BITFIELD bf SET u63 5 -1 GET u63 5 / BITFIELD bf OVERFLOW FAIL SET u8 0 -1 SET u8 0 256 SET u8 0 255
BITFIELD bf OVERFLOW SAT SET u8 0 -1 GET u8 0 SET i8 0 1000 GET i8 0
BITFIELD bf SET u1 7 1 GET u1 7 GET i1 7 INCRBY i1 7 1 / BITFIELD bf GET u64 0 / BITFIELD bf GET i65 0
BITFIELD bf GET i0 0 / BITFIELD bf GET x8 0 / BITFIELD bf GET u 0 / BITFIELD bf GET U8 0 / BITFIELD bf GET u08 0
BITFIELD bf GET u8 -1 / BITFIELD bf GET u8 x / BITFIELD bf GET u8 # / BITFIELD bf GET u8 #x / BITFIELD bf GET u8 4294967296
BITFIELD bf GET u8 #536870912 / BITFIELD bf SET u8 0 x / BITFIELD bf SET u8 0 / BITFIELD bf GET u8 / BITFIELD bf nonsense
BITFIELD bf OVERFLOW / BITFIELD bf OVERFLOW nope GET u8 0 / BITFIELD bf OVERFLOW WRAP / BITFIELD bf / BITFIELD none
EXISTS none / BITFIELD / BITFIELD_RO bf GET u8 0 GET i8 8 / BITFIELD_RO bf SET u8 0 1 / BITFIELD_RO bf OVERFLOW SAT GET u8 0
BITFIELD_RO none GET u8 0 / BITFIELD_RO bf INCRBY u8 0 x / BITFIELD failing OVERFLOW FAIL INCRBY u2 30 9 / GET failing
EXPIRE bf 100 / BITFIELD bf SET u8 0 1 / SETBIT bf 3 1 / TTL bf / BITFIELD bf get u8 100 / BITFIELD bf incrby u8 100 1
STRLEN bf / SETBIT s / DBSIZE
"""


@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("text", [SCRIPT_STRINGS, SCRIPT_BITS], ids=["strings", "bits"])
def test_commands_and_their_errors(ports: tuple[int, int], text: str, proto: int) -> None:
    compare(ports, proto, script(text))


KEY = st.sampled_from([b"a", b"b", b"c"])
VALUE = st.one_of(st.binary(max_size=6), st.sampled_from([b"10", b"-1.5", b"\xff\xff", b"\0\0\0"]))
PLACE = st.integers(-20, 60).map(lambda number: b"%d" % number)
BIT = st.sampled_from([b"0", b"1"])
UNIT = st.sampled_from([b"BIT", b"BYTE"])
FLOAT = st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda number: repr(number).encode())
FIELD = st.builds(lambda sign, bits: sign + b"%d" % bits, st.sampled_from([b"u", b"i"]), st.integers(1, 64))
NUMBER = st.one_of(st.integers(-300, 300), st.integers(-(2**63), 2**63 - 1)).map(lambda number: b"%d" % number)
OPERATION = st.one_of(
    words("GET", FIELD, PLACE),
    words("SET", FIELD, PLACE, NUMBER),
    words("INCRBY", FIELD, PLACE, NUMBER),
    words("OVERFLOW", st.sampled_from([b"WRAP", b"SAT", b"FAIL"])),
)


def flat(key: bytes, operations: list[Words]) -> Words:
    return (b"BITFIELD", key, *[word for operation in operations for word in operation])


COMMAND = st.one_of(
    words("SET", KEY, VALUE),
    words("GET", KEY),
    words("GETRANGE", KEY, PLACE, PLACE),
    words("SETRANGE", KEY, PLACE, VALUE),
    words("INCRBYFLOAT", KEY, FLOAT),
    words("GETEX", KEY, "EX", "100"),
    words("GETEX", KEY, "PERSIST"),
    words("TTL", KEY),
    words("MSETNX", KEY, VALUE, KEY, VALUE),
    words("SETBIT", KEY, PLACE, BIT),
    words("GETBIT", KEY, PLACE),
    words("BITCOUNT", KEY),
    words("BITCOUNT", KEY, PLACE, PLACE),
    words("BITCOUNT", KEY, PLACE, PLACE, UNIT),
    words("BITPOS", KEY, BIT),
    words("BITPOS", KEY, BIT, PLACE),
    words("BITPOS", KEY, BIT, PLACE, PLACE),
    words("BITPOS", KEY, BIT, PLACE, PLACE, UNIT),
    words("BITOP", st.sampled_from([b"AND", b"OR", b"XOR"]), KEY, KEY, KEY),
    words("BITOP", "NOT", KEY, KEY),
    st.builds(flat, KEY, st.lists(OPERATION, max_size=4)),
    words("DEL", KEY),
)


@given(st.lists(COMMAND, max_size=40), st.sampled_from([2, 3]))
@sequences
def test_any_sequence(ports: tuple[int, int], commands: list[Words], proto: int) -> None:
    compare(ports, proto, commands)


TEXT = st.one_of(st.text("ab", max_size=40), st.text("abcdef", max_size=80)).map(str.encode)


@given(TEXT, TEXT, st.integers(0, 3))
@sequences
def test_what_two_strings_have_in_common(ports: tuple[int, int], one: bytes, other: bytes, least: int) -> None:
    asked: list[Words] = [
        (b"MSET", b"a", one, b"b", other),
        (b"LCS", b"a", b"b"),
        (b"LCS", b"a", b"b", b"LEN"),
        (b"LCS", b"a", b"b", b"IDX", b"WITHMATCHLEN", b"MINMATCHLEN", b"%d" % least),
    ]
    compare(ports, 2, asked)
