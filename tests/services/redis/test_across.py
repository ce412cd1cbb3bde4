"""MOVE and COPY between databases: beside redis-server, and what may happen between their steps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from paxosstore.errors import NoQuorum, OutcomeUnknown, PaxosStoreError, TooLarge
from paxosstore.services.redis.commands.handler import encode, handle
from paxosstore.services.redis.connection.across import TRIES
from paxosstore.services.redis.layout.keyspace import REDIS_BASE
from paxosstore.services.redis.types.across import IS_OVER, READ_OUT, TAKE_AWAY, Way, found, stamp_in, way_of, words_in
from paxosstore.services.redis.types.rdb.commands import PREPARE_BYTES

from .oracle import compare, needs_redis, script
from .support import NOW_MS, Client, DictView, Harness, in_loop, pack, serving
from .test_naming import run

FAR = str(int(time.time()) + 1_000_000)
UNORDERED = ("SMEMBERS", "HGETALL", "KEYS")
SCRIPT = f"""
MOVE none 1 / SET k v / MOVE k 1 / EXISTS k / MOVE k 1 / SET k w / MOVE k 1 / GET k / SELECT 1 / GET k / MOVE k 1 / MOVE k 0
DEL k / SELECT 0 / MOVE k 1 / SELECT 1 / GET k / EXPIREAT k {FAR} / MOVE k 2 / SELECT 2 / EXPIRETIME k / TTL k
RPUSH l a b c / HSET h f v g w / SADD s x y / SADD i 1 2 3 / ZADD z 1 a 2.5 b inf c / XADD x 1-1 f v / XADD x 2-1 f w
XGROUP CREATE x g 0 / XREADGROUP GROUP g me COUNT 1 STREAMS x > / PFADD p a b c / SETBIT b 7 1
MOVE l 3 / MOVE h 3 / MOVE s 3 / MOVE i 3 / MOVE z 3 / MOVE x 3 / MOVE p 3 / MOVE b 3 / DBSIZE / SELECT 3 / DBSIZE / KEYS *
LRANGE l 0 -1 / HGETALL h / SMEMBERS s / SMEMBERS i / ZRANGE z 0 -1 WITHSCORES / XRANGE x - + / XPENDING x g / PFCOUNT p
GETBIT b 7 / OBJECT ENCODING i / OBJECT ENCODING l / TYPE x
COPY l l DB 4 / COPY l l DB 4 / COPY l l DB 4 REPLACE / COPY l l REPLACE DB 5 / COPY h other DB 4 / COPY none h DB 4
COPY none h DB 4 REPLACE / EXPIREAT z {FAR} / COPY z z DB 4 / COPY z z DB 3 / COPY z z2 DB 3 / COPY z z DB 4 DB 5 / DBSIZE
SELECT 4 / LRANGE l 0 -1 / HGETALL other / EXISTS h / EXPIRETIME z / SELECT 5 / LRANGE l 0 -1 / ZRANGE z 0 -1 / move l 6
COPY l l DB 16 DB 9 / COPY l l DB x DB 9
COPY l l DB 16 / COPY l l DB x / COPY l l DB -1 / MOVE l 16 / MOVE l x / MOVE l / MOVE l 6 7 / COPY l / COPY l l DB
SELECT 6 / LRANGE l 0 -1 / LPUSH l new / COPY l l DB 7 foo / EXISTS l / SELECT 7 / EXISTS l / FLUSHALL / DBSIZE
MULTI / MOVE none 1 / COPY none x DB 1 / EXEC
"""


@needs_redis
@pytest.mark.parametrize("proto", [2, 3])
def test_between_databases_as_redis_does(ports: tuple[int, int], proto: int) -> None:
    compare(ports, proto, script(SCRIPT), UNORDERED)


@pytest.mark.parametrize(
    ("line", "way"),
    [
        ("MOVE k 3", Way(3, b"k", True, False)),
        ("COPY k n DB 3", Way(3, b"n", False, False)),
        ("COPY k n REPLACE db 3", Way(3, b"n", False, True)),
        ("COPY k n DB 5 DB 3 REPLACE", Way(3, b"n", False, True)),
        ("MOVE k 1", None),
        ("MOVE k 16", None),
        ("MOVE k -1", None),
        ("MOVE k x", None),
        ("COPY k n", None),
        ("COPY k n DB 1", None),
        ("COPY k n DB", None),
        ("COPY k n DB 3 foo", None),
        ("COPY k n DB 99", None),
        ("COPY k n DB 99 DB 3", None),
        ("COPY k n DB x DB 3", None),
        ("COPY k n DB 3 DB", None),
        ("COPY k n DB 1 DB 3", Way(3, b"n", False, False)),
    ],
)
def test_what_leads_to_another_database(line: str, way: Way | None) -> None:
    """Whatever does not is answered by its own database, errors included."""
    assert way_of(line.encode().split(b" "), 1) == way


@asynccontextmanager
async def moving(line: str = "MOVE k 1", **fill: str) -> AsyncIterator[tuple[Harness, Client]]:
    """A MOVE is under way: its first step has arrived."""
    async with serving() as harness:
        client = await harness.connect()
        await client.exchange("SET k " + fill.get("value", "v"), b"+OK\r\n")
        before = len(harness.store.submitted)
        harness.store.holding = True
        client.send(line)
        await harness.arrived(before + 1)
        yield harness, client


def do(harness: Harness, line: str, database: int = 0) -> bytes:
    """What another client does meanwhile."""
    view = harness.store.view(REDIS_BASE + database)
    view.read_only = False
    view.entry += 1
    return run(view, line)


async def line_of(client: Client) -> bytes:
    async with asyncio.timeout(10):
        return await client.reader.readline()


async def step(harness: Harness, error: PaxosStoreError | None = None) -> None:
    """The step that is under way ends."""
    (request,) = harness.store.held
    if error is None:
        harness.store.release(request)
    else:
        harness.store.fail(request, error)
    await harness.settle()


NOBODY = NoQuorum("no majority")
LOST = OutcomeUnknown("the node was cut off")


@in_loop
async def test_it_is_in_both_for_a_moment_and_never_in_neither() -> None:
    async with moving() as (harness, client):
        await step(harness)
        assert (do(harness, "GET k"), do(harness, "GET k", 1)) == (b"$1\r\nv\r\n", b"$-1\r\n")
        await step(harness)
        assert (do(harness, "GET k"), do(harness, "GET k", 1)) == (b"$1\r\nv\r\n", b"$1\r\nv\r\n")
        await step(harness)
        assert (do(harness, "GET k"), do(harness, "GET k", 1)) == (b"$-1\r\n", b"$1\r\nv\r\n")
        await client.expect(b":1\r\n")


@in_loop
async def test_what_is_written_meanwhile_is_moved_too() -> None:
    async with moving() as (harness, client):
        await step(harness)
        do(harness, "SET k later")
        await step(harness)  # the value of before
        await step(harness)  # it is not taken away
        await step(harness)  # and comes back
        assert do(harness, "GET k", 1) == b"$-1\r\n"
        for _ in range(3):
            await step(harness)
        await client.expect(b":1\r\n")
        assert (do(harness, "GET k"), do(harness, "GET k", 1)) == (b"$-1\r\n", b"$5\r\nlater\r\n")


@in_loop
async def test_one_that_is_gone_meanwhile_is_not_moved() -> None:
    async with moving() as (harness, client):
        await step(harness)
        do(harness, "DEL k")
        for _ in range(4):
            await step(harness)
        await client.expect(b":0\r\n")
        assert do(harness, "GET k", 1) == b"$-1\r\n"


@in_loop
async def test_one_that_is_changed_all_the_time_stays() -> None:
    async with moving() as (harness, client):
        for number in range(TRIES):
            await step(harness)
            do(harness, f"SET k {number}")
            for _ in range(3):
                await step(harness)
        await client.expect(b"-TRYAGAIN the key is changed all the time: it was not moved\r\n")
        assert (do(harness, "GET k"), do(harness, "GET k", 1)) == (b"$1\r\n4\r\n", b"$-1\r\n")


@in_loop
async def test_a_key_that_comes_there_meanwhile_is_let_alone() -> None:
    async with moving() as (harness, client):
        await step(harness)
        do(harness, "SET k theirs", 1)
        await step(harness)
        await client.expect(b":0\r\n")
        assert (do(harness, "GET k"), do(harness, "GET k", 1)) == (b"$1\r\nv\r\n", b"$6\r\ntheirs\r\n")


@pytest.mark.parametrize("at", [0, 1, 2])
@in_loop
async def test_where_nothing_happened_nothing_is_left(at: int) -> None:
    async with moving() as (harness, client):
        for _ in range(at):
            await step(harness)
        await step(harness, NOBODY)
        if at == 2:
            await step(harness)  # it comes back
        assert (await line_of(client)).startswith(b"-NOQUORUM")
        assert (do(harness, "GET k"), do(harness, "GET k", 1)) == (b"$1\r\nv\r\n", b"$-1\r\n")


@in_loop
async def test_a_value_that_no_entry_holds_stays() -> None:
    async with moving() as (harness, client):
        await step(harness)
        await step(harness, TooLarge("over the limit"))
        assert (await line_of(client)).startswith(b"-TOOLARGE")
        assert do(harness, "GET k") == b"$1\r\nv\r\n"


@in_loop
async def test_where_it_is_not_known_what_happened_there_it_is_not_taken_away() -> None:
    async with moving() as (harness, client):
        await step(harness)
        await step(harness, LOST)
        assert (await line_of(client)).startswith(b"-UNKNOWN")
        assert do(harness, "GET k") == b"$1\r\nv\r\n"


IN_BOTH = b"-UNKNOWN outcome unknown: the key is in database 1, and may still be in this one: look, and delete one\r\n"


@in_loop
async def test_where_it_is_not_known_whether_it_was_taken_away_the_reply_says_where_it_is() -> None:
    async with moving() as (harness, client):
        await step(harness)
        await step(harness)
        await step(harness, LOST)
        await client.expect(IN_BOTH)
        assert do(harness, "GET k", 1) == b"$1\r\nv\r\n"


@pytest.mark.parametrize("error", [None, NOBODY, LOST])
@in_loop
async def test_one_that_was_changed_at_both_is_not_taken_away(error: PaxosStoreError | None) -> None:
    async with moving() as (harness, client):
        await step(harness)
        await step(harness)
        do(harness, "SET k later")
        do(harness, "APPEND k x", 1)
        await step(harness)
        await step(harness, error)
        await client.expect(IN_BOTH)
        assert (do(harness, "GET k"), do(harness, "GET k", 1)) == (b"$5\r\nlater\r\n", b"$2\r\nvx\r\n")


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("line", ["MOVE k 1", "COPY k k DB 1", "COPY k k DB 1 REPLACE"])
@in_loop
async def test_what_expires_meanwhile_is_not_moved(line: str, at: int) -> None:
    """The reply is one that a client can read, and what else is there stays."""
    async with moving(line) as (harness, client):
        do(harness, f"PEXPIREAT k {NOW_MS + 5}")
        if "REPLACE" in line:
            do(harness, "SET k theirs", 1)
        for _ in range(at):
            await step(harness)
        harness.store.now = lambda: NOW_MS + 6
        while harness.store.held:
            await step(harness)
        is_done = at == 2 and line.startswith("COPY")  # it was there
        await client.expect(b":1\r\n" if is_done else b":0\r\n")
        await client.exchange("PING", b"+PONG\r\n")
        for database in (0, 1):
            harness.store.view(REDIS_BASE + database).now_ms = NOW_MS + 6
        assert do(harness, "GET k") == b"$-1\r\n"
        assert do(harness, "GET k", 1) == (b"$6\r\ntheirs\r\n" if "REPLACE" in line and at == 1 else b"$-1\r\n")


@in_loop
async def test_what_others_delete_at_both_is_in_neither() -> None:
    async with moving() as (harness, client):
        await step(harness)
        await step(harness)
        do(harness, "DEL k")
        do(harness, "DEL k", 1)
        while harness.store.held:
            await step(harness)
        await client.expect(b":0\r\n")


@in_loop
async def test_a_value_is_held_once_however_often_it_is_read() -> None:
    async with moving(value="v" * 30_000) as (harness, client):
        held = set[int]()
        for number in range(TRIES):
            await step(harness)
            held.add(harness.server.room.held)
            do(harness, "SET k " + "v" * 30_000 + str(number))
            for _ in range(3):
                await step(harness)
        assert max(held) < 2 * 30_100
        assert (await line_of(client)).startswith(b"-TRYAGAIN")
        await client.exchange("PING", b"+PONG\r\n")
        assert harness.server.room.held == 0


@in_loop
async def test_it_goes_on_when_its_client_has_gone() -> None:
    async with moving() as (harness, client):
        await step(harness)
        client.writer.close()
        await harness.settle()
        await step(harness)
        await step(harness)
        assert (do(harness, "GET k"), do(harness, "GET k", 1)) == (b"$-1\r\n", b"$1\r\nv\r\n")


@in_loop
async def test_what_its_client_sends_before_and_behind_it_keeps_its_place() -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send("SELECT 1", "SET k old", "DEL k", "SELECT 0", "SET k v", "MOVE k 1", "SET k w", "SELECT 1", "GET k")
        await client.expect(b"+OK\r\n+OK\r\n:1\r\n+OK\r\n+OK\r\n:1\r\n+OK\r\n+OK\r\n$1\r\nv\r\n")


@in_loop
async def test_it_is_read_behind_what_its_client_has_written() -> None:
    async with serving() as harness:
        client = await harness.connect()
        harness.store.holding = True
        client.send("SET k v", "MOVE k 1")
        await harness.arrived(2)
        assert [request.read_only for request in harness.store.held] == [False, False]


@pytest.mark.parametrize("size", [PREPARE_BYTES // 2, PREPARE_BYTES + 1, 300_000])
@in_loop
async def test_a_large_value(size: int) -> None:
    """It is read in a thread; no bytes of it are held when it is over."""
    async with serving() as harness:
        client = await harness.connect()
        client.writer.write(pack(b"SET", b"k", b"v" * size))
        await client.expect(b"+OK\r\n")
        await client.exchange("COPY k other DB 1", b":1\r\n")
        await client.exchange("MOVE k 1", b":1\r\n")
        await client.exchange("SELECT 1", b"+OK\r\n")
        for key in ("k", "other"):
            await client.exchange(f"STRLEN {key}", b":%d\r\n" % size)
        assert harness.server.room.held == 0


@in_loop
async def test_between_slots_there_are_no_databases() -> None:
    async with serving(keyspace="slots:16") as harness:
        client = await harness.connect()
        await client.exchange("SET k v", b"+OK\r\n")
        await client.exchange("MOVE k 1", b"-ERR DB index is out of range\r\n")
        await client.exchange("COPY k k DB 1", b"-ERR DB index is out of range\r\n")


def test_a_peer_runs_the_steps_from_their_words() -> None:
    source, target = DictView(REDIS_BASE), DictView(REDIS_BASE + 1)
    run(source, "HSET h f v")
    key = found(handle(source, encode(2, [READ_OUT, b"h"])))
    assert key is not None
    stamp = handle(target, encode(2, words_in(Way(1, b"h", True, False), key)))
    assert run(target, "HGET h f") == b"$1\r\nv\r\n"
    assert handle(source, encode(2, [TAKE_AWAY, b"h", key.stamp])) == b":1\r\n"
    assert handle(target, encode(2, [TAKE_AWAY, b"h", b"another"])) == b":0\r\n"
    assert handle(target, encode(2, [TAKE_AWAY, b"h", stamp_in(stamp)])) == b":1\r\n"
    assert handle(target, encode(2, [TAKE_AWAY, b"h", stamp_in(stamp)])) == IS_OVER
