"""CONFIG, DEBUG, MEMORY, CLIENT and what else tools say to a server: as Redis answers, as far as it means something here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from paxosstore.services.redis.layout import compact

from .oracle import compare, needs_redis, script
from .support import DictView, in_loop, serving
from .test_commands import run


@pytest.fixture(autouse=True)
def _defaults() -> Iterator[None]:
    yield
    compact.limits.update(compact.DEFAULTS)


CONFIG = """
CONFIG SET maxmemory 1gb / CONFIG GET maxmemory / CONFIG SET maxmemory 10k / CONFIG GET maxmemory / CONFIG SET maxmemory 10x
CONFIG SET maxmemory -1 / CONFIG SET maxmemory 0 maxmemory 1
CONFIG SET maxmemory 5 maxmemory-clients 200% / CONFIG GET maxmemory
CONFIG SET maxmemory-clients x / CONFIG SET appendonly maybe / CONFIG SET hz x / CONFIG SET maxmemory-policy none
CONFIG SET maxmemory-policy allkeys-lru / CONFIG GET maxmemory-policy / CONFIG SET loglevel loud / CONFIG SET daemonize yes
CONFIG SET notify-keyspace-events KEA / CONFIG GET notify-keyspace-events / CONFIG SET notify-keyspace-events Kg$x
CONFIG GET notify-keyspace-events / CONFIG SET notify-keyspace-events q / CONFIG SET notify-keyspace-events g$lshzxetdmnE
CONFIG GET notify-keyspace-events / CONFIG SET save / CONFIG SET slowlog-log-slower-than -2 / CONFIG SET lua-time-limit 7
CONFIG GET busy-reply-threshold / CONFIG GET key-load-delay / CONFIG GET key-load* / CONFIG REWRITE / CONFIG GET
CONFIG SET notify-keyspace-events x / CONFIG SET maxmemory 0 / CONFIG SET maxmemory-policy noeviction
"""
OTHERS = """
CLIENT KILL / CLIENT KILL id 10 x / CLIENT KILL id x / CLIENT KILL id 0 / CLIENT KILL id 9999999 / CLIENT KILL type x
CLIENT KILL user x / CLIENT KILL skipme x / CLIENT KILL 1.1.1.1:1 / CLIENT KILL foo 1 / CLIENT KILL type slave
CLIENT KILL addr 1.1.1.1:1 laddr 1.1.1.1:2 skipme no / CLIENT NO-EVICT on / CLIENT NO-EVICT x / CLIENT GETREDIR
CLIENT TRACKING off / CLIENT TRACKING x / CLIENT TRACKINGINFO / CLIENT CACHING yes
SAVE / BGSAVE x / ROLE x / ACL WHOAMI / ACL USERS / ACL LIST / MEMORY USAGE / MEMORY USAGE none / MEMORY USAGE none SAMPLES
MEMORY USAGE none SAMPLES -1 / MEMORY USAGE none SAMPLES x / MEMORY PURGE / MEMORY PURGE x / MEMORY foo
"""
DEBUG = """
DEBUG PROTOCOL string / DEBUG PROTOCOL integer / DEBUG PROTOCOL double / DEBUG PROTOCOL null / DEBUG PROTOCOL array
DEBUG PROTOCOL set / DEBUG PROTOCOL map / DEBUG PROTOCOL attrib / DEBUG PROTOCOL verbatim / DEBUG PROTOCOL true
DEBUG PROTOCOL false / DEBUG PROTOCOL bignum / DEBUG PROTOCOL foo / DEBUG / DEBUG foo / DEBUG OBJECT none / DEBUG DIGEST-VALUE
DEBUG DIGEST-VALUE none / DEBUG DIGEST x / DEBUG OBJECT / DEBUG RELOAD x / DEBUG RELOAD / DEBUG RELOAD NOSAVE / DEBUG DIGEST
DEBUG LOG x / DEBUG SET-ACTIVE-EXPIRE 1 / DEBUG QUICKLIST-PACKED-THRESHOLD 1b / DEBUG SLEEP 0
"""


@needs_redis
@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("text", [CONFIG, OTHERS, DEBUG], ids=["config", "others", "debug"])
def test_answers_are_those_of_redis(ports: tuple[int, int], proto: int, text: str) -> None:
    compare(ports, proto, script(text))


def _value(line: str) -> bytes:
    view = DictView()
    for command in line.split(" / "):
        assert not run(view, command).startswith(b"-")
    return run(view, "DEBUG DIGEST-VALUE k")


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        ("SET k 1", "INCR k", "SET k 2"),
        ("HSET k a 1 b 2", "HSET k b 2 a 1", "HSET k a 2 b 1"),
        ("SADD k a b", "SADD k b c a / SREM k c", "SADD k a"),
        ("RPUSH k a b", "LPUSH k b a", "RPUSH k b a"),
        ("ZADD k 1 a 2 b", "ZADD k 2 a 2 b / ZADD k 1 a", "ZADD k 2 a 1 b"),
        ("SET k 1", "SET k 1", "SET k 1 EX 100"),
    ],
)
def test_a_digest_is_of_what_a_value_is(one: str, same: str, other: str) -> None:
    assert _value(one) == _value(same) != _value(other)


def test_a_digest_of_all_is_of_all_keys() -> None:
    view = DictView()
    empty = run(view, "DEBUG DIGEST")
    run(view, "SET k 1")
    one = run(view, "DEBUG DIGEST")
    run(view, "RENAME k other")
    assert len({empty, one, run(view, "DEBUG DIGEST")}) == 3


def test_memory_usage_grows_with_the_members() -> None:
    view = DictView()
    run(view, "RPUSH k 1")
    few = int(run(view, "MEMORY USAGE k")[1:])
    for _ in range(100):
        run(view, "RPUSH k 1")
    assert int(run(view, "MEMORY USAGE k")[1:]) > 25 * few


@in_loop
async def test_a_client_that_is_killed_is_gone_and_one_may_kill_itself() -> None:
    async with serving() as harness:
        client, other = await harness.connect(), await harness.connect()
        await other.exchange("PING", b"+PONG\r\n")
        await client.exchange("CLIENT KILL SKIPME yes", b":1\r\n")
        assert await other.reader.read() == b""
        await client.exchange("CLIENT KILL SKIPME no", b":1\r\n")
        assert await client.reader.read() == b""


@in_loop
async def test_debug_may_be_called_in_scripts_for_it_changes_nothing() -> None:
    async with serving() as harness:
        client = await harness.connect()
        await client.exchange("EVAL \"return redis.call('debug', 'protocol', 'integer')\" 0", b":12345\r\n")
        await client.exchange("EVAL \"return redis.call('debug', 'sleep', '1000')\" 0", b"+OK\r\n")  # it waits for nothing
        await client.exchange("DEBUG SET-DISABLE-DENY-SCRIPTS 1", b"+OK\r\n")
