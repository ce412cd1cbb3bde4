"""The same bytes to a real redis-server and to this service: the same bytes have to come back."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from .oracle import Connection, assert_same, needs_redis, words

pytestmark = needs_redis
FAR = str(int(time.time()) + 1_000_000)

SCRIPT = f"""
PING / PING hello / PING a b / ECHO / ECHO x / ECHO x y / nonsense / nonsense a b / CLIENT / CONFIG / OBJECTS encoding k
SELECT / SELECT x / SELECT 16 / SELECT -1 / SELECT 99999999999 / SELECT 1 / SET k in1 / SELECT 0 / GET k / DBSIZE / SET k v
SET k / GET / GET k / GET k k / GET nothing / SET k w GET / SET new w GET / SET k w NX / SET k w NX GET / SET other w XX
SET k w XX / SET k w NX XX / SET k w EX / SET k w EX 10 PX 10 / SET k w EX 10 KEEPTTL / SET k w bogus / SET k w EX 0
SET k w EX -1 / SET k w EX x / SET k w EX 9223372036854775807 / SET k w PX 9223372036854775807
SET k w EXAT 9223372036854775807 / SET k w PXAT 1 / GET k / SET k w ex 100 / TTL k / SET k w KEEPTTL / TTL k / SET k w / TTL k
SET k w EXAT {FAR} / TTL k / SET k w PXAT {FAR}000 / SET k w EX 100 EX 50 / TTL k / SET k w NX NX / SET k w GET GET
SET k x XX GET EX 30 / SET none x XX GET / EXISTS none / SETNX k v / SETNX fresh v / SETNX / GETSET k 1 / GETSET absent 1
TTL k / GETDEL k / GETDEL k / GETDEL / MSET a 1 b 2 / MSET a 1 b / MSET / MGET a b c a / MGET / APPEND a 23 / APPEND fresh2 x
APPEND a / STRLEN a / STRLEN nothing / INCR a / INCR n / INCR / DECR n / INCRBY n 10 / INCRBY n x
INCRBY n 9223372036854775807 / INCRBY n 9223372036854775807 / INCRBY n 1.5 / DECRBY n -9223372036854775808 / DECRBY n 5
SET w word / INCR w / DECRBY w 1 / INCRBY n 9223372036854775808 / SET z 01 / INCR z / SET m -9223372036854775808 / DECR m
GET m / INCRBY m -1 / SET s " / EXPIRE a 100 / INCR a / TTL a / APPEND a 1 / TTL a / EXPIRE nothing 10 / EXPIRE a / EXPIRE a x
EXPIRE a 100 NX / EXPIRE a 50 GT / TTL a / EXPIRE a 200 GT / TTL a / EXPIRE a 300 LT / EXPIRE a 60 LT / TTL a
EXPIRE a 60 NX XX / EXPIRE a 60 GT LT / EXPIRE a 60 bogus / EXPIRE b 60 XX / EXPIRE b 60 GT / TTL b / EXPIRE b 60 LT / TTL b
EXPIRE b 9223372036854775807 / PEXPIRE b 9223372036854775807 / EXPIREAT b 9223372036854775807 / EXPIRE b -9223372036854775808
PEXPIRE b -9223372036854775808 / EXISTS b / PEXPIREAT a {FAR}000 / EXPIREAT a {FAR} / EXPIREAT a 1 / EXISTS a / PERSIST a
SET a 1 EX 10 / PERSIST a / PERSIST a / TTL a / PTTL a / PTTL nothing / TTL / TYPE a / TYPE nothing / EXISTS a a b nothing
EXISTS / DEL a a nothing / DEL / UNLINK w z / DBSIZE / DBSIZE x / FLUSHDB x / FLUSHDB ASYNC / DBSIZE / FLUSHALL x y
FLUSHALL SYNC / SELECT 1 / DBSIZE / SELECT 0 / SCAN / SCAN 0 / SCAN x / SCAN 0 COUNT / SCAN 0 COUNT 0 / SCAN 0 COUNT x
SCAN 0 BOGUS 1 / SCAN 0 TYPE list / SCAN 0 TYPE nosuchtype / SCAN 18446744073709551616 / SCAN 1x / HELLO x / HELLO 4
HELLO 2 BOGUS / HELLO 2 SETNAME / HELLO 2 SETNAME {"a" * 3}\x01 / HELLO 2 AUTH bob x / AUTH x / AUTH bob x / AUTH default x
AUTH a b c / AUTH / CLIENT GETNAME / CLIENT SETNAME me / CLIENT GETNAME / CLIENT bogus / CLIENT SETNAME / CLIENT SETNAME a\x02
CLIENT GETNAME x / CLIENT ID x / CONFIG GET / CONFIG GET save / CONFIG GET nosuch* / CONFIG bogus x / CONFIG GET databases
CONFIG GET [d]atabases / CLIENT LIST TYPE / CLIENT LIST ID x / COMMAND GETKEYS / COMMAND GETKEYS get k
COMMAND GETKEYS mset a 1 b 2 / COMMAND GETKEYS ping / COMMAND GETKEYS ping x / COMMAND GETKEYS nonsense x
COMMAND GETKEYS get k k / COMMAND GETKEYS nonsense / COMMAND GETKEYS get / COMMAND INFO nonsense / COMMAND bogus
COMMAND DOCS nonsense / COMMAND COUNT x / RESET / RESET x / CLIENT GETNAME / QUIT
"""


@pytest.mark.parametrize("proto", [2, 3])
def test_every_command_and_its_errors(ports: tuple[int, int], proto: int) -> None:
    redis, ours = (Connection(port) for port in ports)
    with redis.socket, ours.socket:
        for connection in (redis, ours):
            connection.ask(b"FLUSHALL")
            connection.ask(b"HELLO", b"%d" % proto)
        for line in SCRIPT.strip().replace("\n", " / ").split(" / "):
            command = tuple(line.encode().split(b" "))
            assert_same(command, redis.ask(*command), ours.ask(*command))
            if command[0] == b"RESET":
                for connection in (redis, ours):
                    connection.ask(b"HELLO", b"%d" % proto)


KEY = st.sampled_from([b"a", b"b", b"c"])
VALUE = st.sampled_from([b"", b"1", b"-5", b"9223372036854775807", b"word", b"\x00\r\n\xff"])
SECONDS = st.sampled_from([b"100", b"200", b"3000", b"0", b"-1", b"x"])
NUMBER = st.sampled_from([b"1", b"-1", b"9223372036854775807", b"-9223372036854775808", b"1.0"])
OPTION = st.sampled_from([(b"NX",), (b"XX",), (b"GET",), (b"KEEPTTL",), (b"EX", b"100"), (b"px", b"100000"), (b"EX",)])
CONDITION = st.sampled_from([b"NX", b"XX", b"GT", b"LT", b"nope"])


COMMAND = st.one_of(
    st.builds(lambda k, v, o: (b"SET", k, v, *[w for option in o for w in option]), KEY, VALUE, st.lists(OPTION, max_size=3)),
    words("GET", KEY),
    words("MGET", KEY, KEY),
    words("MSET", KEY, VALUE, KEY, VALUE),
    words("DEL", KEY, KEY),
    words("EXISTS", KEY, KEY),
    words("INCR", KEY),
    words("DECR", KEY),
    words("INCRBY", KEY, NUMBER),
    words("DECRBY", KEY, NUMBER),
    words("APPEND", KEY, VALUE),
    words("STRLEN", KEY),
    words("SETNX", KEY, VALUE),
    words("GETSET", KEY, VALUE),
    words("GETDEL", KEY),
    st.builds(lambda k, s, c: (b"EXPIRE", k, s, *c), KEY, SECONDS, st.lists(CONDITION, max_size=2)),
    words("TTL", KEY),
    words("PERSIST", KEY),
    words("TYPE", KEY),
    words("DBSIZE"),
    words("SCAN", "0", "COUNT", "100", "MATCH", st.sampled_from([b"*", b"a", b"[a-b]", b"?", b"[^a]*"])),
    words("FLUSHDB"),
)


@given(st.lists(COMMAND, max_size=30), st.sampled_from([b"2", b"3"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence(ports: tuple[int, int], script: list[tuple[bytes, ...]], proto: bytes) -> None:
    redis, ours = (Connection(port) for port in ports)
    with redis.socket, ours.socket:
        for connection in (redis, ours):
            connection.ask(b"FLUSHALL")
            connection.ask(b"HELLO", proto)
        for command in script:
            assert_same(command, redis.ask(*command), ours.ask(*command))


@given(st.binary(max_size=6), st.lists(st.text("ab*?[]^-\\", max_size=8), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(key=b"", patterns=["**"])
def test_patterns(ports: tuple[int, int], key: bytes, patterns: list[str]) -> None:
    redis, ours = (Connection(port) for port in ports)
    with redis.socket, ours.socket:
        for connection in (redis, ours):
            connection.ask(b"FLUSHDB")
            connection.ask(b"MSET", key, b"", b"a", b"", b"ab", b"", b"a-b", b"", b"]", b"", b"b\\a^", b"")
        for pattern in patterns:
            command = (b"SCAN", b"0", b"COUNT", b"100", b"MATCH", pattern.encode())
            assert_same(command, redis.ask(*command), ours.ask(*command))


STREAMS = [
    b"PING\r\nPING\n  ECHO   'a b'\r\n\r\n",
    b'ECHO "\\x41\\xfe\\n\\q\\""\r\n',
    b"ECHO 'it\\'s \\n'\r\n",
    b'PING\r\nECHO "a"b\r\nPING\r\n',
    b'ECHO "a\r\n',
    b"*1\r\n$4\r\nPING\r\n*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n",
    b"*1\r\n$4\r\nPING\r\n*1\r\n:4\r\nPING\r\n",
    b"*01\r\n",
    b"*x\r\n",
    b"*99999999999\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$99999999999\r\n",
    b"*1\r\n$04\r\nPING\r\n",
    b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
    b"*1\r\n*1\r\n$4\r\nPING\r\n",
    b"$4\r\nPING\r\n",
    b"%1\r\n",
    b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
    b"*1\r\n$0\r\n\r\n",
    b"*2\r\n$3\r\nfoo\r\n$4\r\na\r\nb\r\n",
    b"x" * 70_000,
    b"*" + b"1" * 70_000,
    b"QUIT\r\nPING\r\n",
    b"quit now\r\n",
]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: repr(stream[:20]))
def test_streams(ports: tuple[int, int], stream: bytes) -> None:
    redis, ours = (Connection(port) for port in ports)
    ending = b"" if len(stream) > 65_536 else b"\r\nQUIT\r\n"
    assert ours.all(stream + ending) == redis.all(stream + ending)


@given(st.text("ab \"'\\x4n\t", max_size=10))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_inline_quoting(ports: tuple[int, int], line: str) -> None:
    stream = f"ECHO {line}\r\nQUIT\r\n".encode()
    redis, ours = (Connection(port) for port in ports)
    assert ours.all(stream) == redis.all(stream)
