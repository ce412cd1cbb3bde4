"""Keys of any kind: the same commands to a real redis-server and to this service."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .oracle import Words, compare, needs_redis, script, sequences, words

pytestmark = needs_redis
FAR = str(int(time.time()) + 1_000_000)
UNORDERED = ("KEYS", "SMEMBERS")

SCRIPT = f"""
SET a 1 / SET b 2 / HSET h f v g w / SADD i 1 2 / SADD s x y / KEYS * / KEYS [a-b] / KEYS nothing / KEYS a? / KEYS
KEYS a b / RENAME a c / GET a / GET c / RENAME none x / RENAME c c / RENAME none none / RENAME h i / HGETALL i / TYPE h
RENAME i b / HGETALL b / RENAME a / RENAME a b c / RENAMENX b c / RENAMENX b fresh / HGETALL fresh / RENAMENX none x
RENAMENX none c / RENAMENX c c / EXPIRE c 100 / RENAME c d / TTL d / SET e 1 / RENAME e d / TTL d / SADD s z / RENAME s t
SADD t w / SMEMBERS t / EXISTS s / SADD s new / SMEMBERS s / COPY d d / COPY none x / COPY none none / COPY d x / GET x
COPY d x / COPY t x REPLACE / SMEMBERS x / SADD x only / SMEMBERS t / COPY fresh copied / HSET copied f other
HGETALL fresh / HGETALL copied / EXPIRE t 100 / COPY t u / TTL u / COPY d x bogus / COPY d x DB / COPY d x DB x
COPY d x DB 99 / COPY d x DB -1 / COPY d d DB 0 / COPY none x DB 1 / COPY d x DB 0 REPLACE / COPY d
COPY d x DB 99999999999 / COPY d x REPLACE REPLACE / MOVE d / MOVE d 0 / MOVE d x / MOVE d 16 / MOVE d -1 / MOVE none 1
MOVE d 99999999999 / SWAPDB 0 0 / SWAPDB x 0 / SWAPDB 0 x / SWAPDB 0 99 / SWAPDB 0 / TOUCH d none t d / TOUCH / EXPIRETIME d
EXPIRETIME none / EXPIREAT d {FAR} / EXPIRETIME d / PEXPIRETIME d / PEXPIRETIME none / PEXPIREAT d {FAR}499 / EXPIRETIME d
PEXPIREAT d {FAR}500 / EXPIRETIME d / PEXPIRETIME t x / EXPIRETIME / PERSIST d / PEXPIRETIME d / WAIT 0 0 / WAIT x 0
WAIT 0 x / WAIT 0 -1 / WAIT 0 / WAIT -5 0 / OBJECT / OBJECT HELP / OBJECT HELP x / OBJECT foo / OBJECT foo d
OBJECT ENCODING / OBJECT ENCODING d e / OBJECT ENCODING none / OBJECT REFCOUNT none / OBJECT FREQ none / OBJECT FREQ d
OBJECT IDLETIME none / OBJECT IDLETIME d / OBJECT REFCOUNT fresh / OBJECT refcount t / SET k 10 / OBJECT ENCODING k
OBJECT REFCOUNT k / SET k 10000 / OBJECT REFCOUNT k / OBJECT ENCODING k / SET k -1 / OBJECT REFCOUNT k / OBJECT ENCODING k
SET k 01 / OBJECT ENCODING k / SET k word / OBJECT ENCODING k / OBJECT REFCOUNT k / SET k {"x" * 44} / OBJECT ENCODING k
SET k {"x" * 45} / OBJECT ENCODING k / SET k 9223372036854775807 / OBJECT ENCODING k / SET k 9223372036854775808
OBJECT ENCODING k / SET k  / OBJECT ENCODING k / OBJECT ENCODING fresh / HSET fresh f {"y" * 64} / OBJECT ENCODING fresh
HSET fresh f {"y" * 65} / OBJECT ENCODING fresh / HSET fresh f y / OBJECT ENCODING fresh / HINCRBY fresh {"z" * 65} 1
SADD n 1 2 3 / OBJECT ENCODING n / SADD n x / OBJECT ENCODING n / SREM n x / OBJECT ENCODING n / RENAME n m
OBJECT ENCODING m / COPY m m2 / OBJECT ENCODING m2 / SINTERSTORE m3 m m / OBJECT ENCODING m3 / SUNIONSTORE m4 m t
OBJECT ENCODING m4 / FLUSHALL / RANDOMKEY / SET only 1 / RANDOMKEY / RANDOMKEY x / SCAN 0 TYPE string / SCAN 0 TYPE hash
SCAN 0 TYPE zset COUNT 10 / COMMAND GETKEYS object encoding a / COMMAND GETKEYS sintercard 2 a b
COMMAND GETKEYS sintercard 0 a / COMMAND GETKEYS copy a b / DBSIZE
"""


@pytest.mark.parametrize("proto", [2, 3])
def test_commands_and_their_errors(ports: tuple[int, int], proto: int) -> None:
    compare(ports, proto, script(SCRIPT), UNORDERED)


@pytest.mark.parametrize("size", [512, 513])
def test_encodings_change_where_redis_changes_them(ports: tuple[int, int], size: int) -> None:
    fill: list[Words] = []
    for number in range(size):
        fill += [(b"HSET", b"h", b"%d" % number, b"v"), (b"SADD", b"s", b"%d" % number)]
    asked = [(b"OBJECT", b"ENCODING", b"h"), (b"OBJECT", b"ENCODING", b"s")]
    compare(ports, 2, [*fill, *asked, (b"HDEL", b"h", b"1"), (b"SREM", b"s", b"1"), *asked])


KEY = st.sampled_from([b"a", b"b", b"c"])
COMMAND = st.one_of(
    words("SET", KEY, "1"),
    words("HSET", KEY, "f", "v"),
    words("SADD", KEY, st.sampled_from([b"1", b"x"])),
    words("EXPIRE", KEY, "100"),
    words("RENAME", KEY, KEY),
    words("RENAMENX", KEY, KEY),
    words("COPY", KEY, KEY),
    words("COPY", KEY, KEY, "REPLACE"),
    words("KEYS", st.sampled_from([b"*", b"a", b"[^a]"])),
    words("TYPE", KEY),
    words("OBJECT", "ENCODING", KEY),
    words("TTL", KEY),
    words("SMEMBERS", KEY),
    words("HGETALL", KEY),
    words("DEL", KEY),
    words("DBSIZE"),
)


@given(st.lists(COMMAND, max_size=40), st.sampled_from([2, 3]))
@sequences
def test_any_sequence(ports: tuple[int, int], commands: list[Words], proto: int) -> None:
    compare(ports, proto, commands, UNORDERED)
