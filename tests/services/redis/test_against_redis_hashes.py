"""Hashes: the same commands to a real redis-server and to this service."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .oracle import Words, compare, needs_redis, script, sequences, words

pytestmark = needs_redis
LONG = "x" * 65
UNORDERED = ("HRANDFIELD",)

SCRIPT = f"""
HSET / HSET h f / HSET h f v / HSET h f v g / HSET h f w g 2 f 3 / HGET h f / HGET h g / HGET h none / HGET none f / HGET h
HMSET h / HMSET h f / HMSET h f v g / HMSET h f 1 k 2 / HGETALL h / HGETALL none / HKEYS h / HVALS h / HKEYS none / HVALS none
HLEN h / HLEN none / HSTRLEN h k / HSTRLEN h none / HSTRLEN none none / HEXISTS h f / HEXISTS h none / HEXISTS none f
HSETNX h f 5 / HSETNX h new 5 / HSETNX fresh f 1 / HSETNX h f / HMGET h f none g f / HMGET none a b / HMGET h / HDEL h
HDEL h none / HDEL h f f none / HGETALL h / HSET h f back / HGETALL h / HDEL none f / TYPE h / HDEL fresh f / EXISTS fresh
HINCRBY h n 5 / HINCRBY h n -7 / HINCRBY h f 1 / HINCRBY h n x / HINCRBY h n 9223372036854775807
HINCRBY h n 9223372036854775807 / HINCRBY h n -9223372036854775808 / HINCRBY h n -9223372036854775808 / HINCRBY h n 1.5
HINCRBY fresh n 1 / HGETALL fresh / HINCRBY h / HINCRBY h n / HSET h spaced "1 / HINCRBY h spaced 1
HINCRBYFLOAT h d 1.5 / HINCRBYFLOAT h d 0.1 / HINCRBYFLOAT h d 1e3 / HINCRBYFLOAT h d -1002.6 / HINCRBYFLOAT h d x
HINCRBYFLOAT h f 1 / HINCRBYFLOAT h d nan / HINCRBYFLOAT h d inf / HINCRBYFLOAT h d -inf / HINCRBYFLOAT huge d 1e400
HINCRBYFLOAT huge big 1e4000 / HINCRBYFLOAT h d 1e5000 / HINCRBYFLOAT h d 1e-5000 / HINCRBYFLOAT h d 0e99999999999
HINCRBYFLOAT h d 0x10 / HINCRBYFLOAT h d 0x1.8p3 / HINCRBYFLOAT h third 0.33333333333333333333333 / HINCRBYFLOAT h third 3
HINCRBYFLOAT h tiny 1e-18 / HINCRBYFLOAT h tiny 5e-18 / HINCRBYFLOAT h neg -0.0 / HINCRBYFLOAT h . 1. / HINCRBYFLOAT h . .5
HINCRBYFLOAT h . . / HINCRBYFLOAT h . +5 / HINCRBYFLOAT h . 1e / HINCRBYFLOAT h . 1e+2 / HINCRBYFLOAT h n 9007199254740993
HINCRBYFLOAT h l 12345678901234567890123 / HINCRBYFLOAT h l 0.1 / HINCRBYFLOAT h neg -0.00000000000000000001 / HINCRBYFLOAT h
HINCRBYFLOAT h empty 1 / HSET h empty  / HINCRBY h empty 1 / HINCRBYFLOAT h empty 1
SET s 1 / HSET s f v / HGET s f / HGETALL s / HDEL s f / HLEN s / HINCRBY s f 1 / HINCRBY s f x / HINCRBYFLOAT s f 1
HINCRBYFLOAT s f x / HSETNX s f v / HMGET s f / HSCAN s 0 / HRANDFIELD s / HRANDFIELD s 1 / HRANDFIELD s x / HEXISTS s f
HSTRLEN s f / HKEYS s / HVALS s / HMSET s a b / GET h / APPEND h x / INCR h / STRLEN h / GETDEL h / GETSET h x / SETNX h x
MGET h s none / SET h v GET / TYPE h / HRANDFIELD / HRANDFIELD none / HRANDFIELD none 1 / HRANDFIELD none -1 WITHVALUES
HRANDFIELD none x / HSET one f v / HRANDFIELD one / HRANDFIELD one 0 / HRANDFIELD one 5 / HRANDFIELD one 5 WITHVALUES
HRANDFIELD one -3 / HRANDFIELD one -3 WITHVALUES / HRANDFIELD one 1 bogus / HRANDFIELD one 1 WITHVALUES x
HRANDFIELD one -9223372036854775808 / HRANDFIELD one -9223372036854775807 WITHVALUES / HRANDFIELD one 9223372036854775807
HRANDFIELD one 9223372036854775807 WITHVALUES / HRANDFIELD one 4611686018427387903 WITHVALUES
HRANDFIELD h 100 WITHVALUES / HSCAN / HSCAN h / HSCAN h 0 / HSCAN h x / HSCAN h 0 COUNT / HSCAN h 0 COUNT 0 / HSCAN h 0 MATCH f
HSCAN h 0 MATCH [a-f]* COUNT 1 / HSCAN h 5 / HSCAN none 0 / HSCAN none x / HSCAN none 0 bogus / HSCAN h 0 TYPE hash
HSCAN h 0 COUNT x / HSCAN h 18446744073709551616 / HSET h f v / EXPIRE h 100 / HSET h f w / TTL h / HDEL h f / TTL h / DEL h
HSET h f v / TTL h / HSET long {LONG} v / HGETALL long / HSET long {LONG} w / HGETALL long / HSCAN long 0
COMMAND INFO nonsense / DBSIZE
"""


@pytest.mark.parametrize("proto", [2, 3])
def test_hashes_and_their_errors(ports: tuple[int, int], proto: int) -> None:
    compare(ports, proto, script(SCRIPT), UNORDERED)


def test_a_small_hash_keeps_the_order_in_which_its_fields_came(ports: tuple[int, int]) -> None:
    fill: list[Words] = [(b"HSET", b"h", b"%d" % (number * 7919 % 512), b"v") for number in range(512)]
    compare(ports, 3, [*fill, (b"HGETALL", b"h"), (b"HDEL", b"h", b"5", b"7"), (b"HSET", b"h", b"5", b"w"), (b"HKEYS", b"h")])


def test_a_large_hash(ports: tuple[int, int]) -> None:
    fill: list[Words] = [(b"HSET", b"h", b"%d" % number, b"v%d" % number) for number in range(600)]
    asked = [words.encode().split() for words in ("HGETALL h", "HKEYS h", "HVALS h", "HSCAN h 0 COUNT 1000", "HRANDFIELD h 700")]
    compare(ports, 2, [*fill, *map(tuple, asked)], unordered=("HGETALL", "HKEYS", "HVALS", "HRANDFIELD", "HSCAN"))


KEY = st.sampled_from([b"a", b"b"])
FIELD = st.sampled_from([b"f", b"g", b"h", b"", b"y" * 65])
VALUE = st.sampled_from([b"", b"1", b"-5", b"2.5", b"9223372036854775807", b"word", b"\x00\r\n\xff"])
NUMBER = st.sampled_from([b"1", b"-1", b"9223372036854775807", b"1.0", b"x"])
FLOAT = st.one_of(st.floats().map(lambda number: repr(number).encode()), st.decimals(places=9).map(lambda n: str(n).encode()))
ORDERED = st.sampled_from([b"f", b"g", b"h", b""])

COMMAND = st.one_of(
    words("HSET", KEY, FIELD, VALUE),
    words("HSET", KEY, FIELD, VALUE, FIELD, VALUE),
    words("HMSET", KEY, FIELD, VALUE, FIELD, VALUE),
    words("HSETNX", KEY, FIELD, VALUE),
    words("HGET", KEY, FIELD),
    words("HMGET", KEY, FIELD, FIELD),
    words("HDEL", KEY, FIELD, FIELD),
    words("HEXISTS", KEY, FIELD),
    words("HLEN", KEY),
    words("HSTRLEN", KEY, FIELD),
    words("HKEYS", KEY),
    words("HGETALL", KEY),
    words("HINCRBY", KEY, FIELD, NUMBER),
    words("HINCRBYFLOAT", KEY, FIELD, FLOAT),
    words("HRANDFIELD", KEY, "10", "WITHVALUES"),
    words("HSCAN", KEY, "0", "COUNT", "100"),
    words("SET", KEY, VALUE),
    words("DEL", KEY),
    words("TYPE", KEY),
    words("EXPIRE", KEY, "100"),
    words("DBSIZE"),
)


@given(st.lists(COMMAND, max_size=40), st.sampled_from([2, 3]))
@sequences
def test_any_sequence(ports: tuple[int, int], commands: list[Words], proto: int) -> None:
    compare(ports, proto, commands, unordered=("HGETALL", "HKEYS", "HRANDFIELD", "HSCAN"))


@given(st.text("0123456789.e+-xinf", max_size=8), FLOAT)
@sequences
def test_floats(ports: tuple[int, int], text: str, number: bytes) -> None:
    compare(
        ports, 2, [(b"HINCRBYFLOAT", b"h", b"f", number), (b"HINCRBYFLOAT", b"h", b"f", text.encode()), (b"HGET", b"h", b"f")]
    )
