"""Connections: the order of commands and of replies, limits, endings."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.core.batch.request import Request
from paxosstore.errors import ConfigError, NodeError, NoQuorum, NotServing, OutcomeUnknown, Overloaded, PortTaken
from paxosstore.services.redis.commands.handler import HANDLER, handle
from paxosstore.services.redis.layout.keyspace import DATABASES, REDIS_BASE, SLOT_BASE, hash_slot
from paxosstore.services.redis.server import RedisServer
from paxosstore.services.redis.settings import RedisSettings

from .support import NOW_MS, DictView, Harness, MemoryStore, in_loop, serving


def kinds(store: MemoryStore) -> str:
    """What was submitted: r(ead only) or w(rite)."""
    return "".join(["r" if request.read_only else "w" for request in store.submitted])


# -- order


@in_loop
async def test_replies_leave_in_order_whatever_settles_first() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        store.holding = True
        client.send("SET a 1", "SELECT 1", "SET a 2", "PING", "GETSET a 3")
        await harness.arrived(3)
        first, second, third = store.submitted
        assert [first.entity, second.entity, third.entity] == [REDIS_BASE, REDIS_BASE + 1, REDIS_BASE + 1]
        store.release(second)
        store.release(third)
        await client.silent()
        store.release(first)
        await client.expect(b"+OK\r\n+OK\r\n+OK\r\n+PONG\r\n$1\r\n2\r\n")


@in_loop
async def test_a_read_behind_an_unsettled_write_is_queued_like_a_write() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        store.holding = True
        client.send("SET a 1", "GET a", "SELECT 1", "GET a")
        await harness.arrived(3)
        assert kinds(store) == "wwr", "a read of another database has no write to follow"
        for request in store.submitted:
            store.release(request)
        await client.expect(b"+OK\r\n$1\r\n1\r\n+OK\r\n$-1\r\n")
        client.send("SELECT 0", "GET a")
        await harness.arrived(4)
        assert kinds(store) == "wwrr", "once the write is settled, reads are reads again"


@in_loop
async def test_a_read_that_meets_a_due_key_becomes_a_write_and_its_connection_goes_on() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        client.send("SET a 1 PX 5", "SET b 1", "SET c 1 PX 5")
        await client.expect(b"+OK\r\n" * 3)
        store.now = lambda: NOW_MS + 6
        client.send("GET a", "GET b", "TTL c", "GET a", "SET a 2", "GET a", "DBSIZE")
        await client.expect(b"$-1\r\n$1\r\n1\r\n:-2\r\n$-1\r\n+OK\r\n$1\r\n2\r\n:2\r\n")
        assert kinds(store)[3:7] == "wrwr"


@in_loop
async def test_a_write_behind_unsettled_reads_waits_and_so_does_what_follows() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        store.holding = True
        client.send("GET a", "GET b", "SET a 1", "PING", "GET a", "SELECT 2", "SET a 2")
        await harness.arrived(2)
        one, other = store.submitted
        store.release(other)
        await client.silent()
        assert kinds(store) == "rr"
        store.release(one)
        await harness.arrived(5)
        assert kinds(store) == "rrwww"
        assert [request.entity - REDIS_BASE for request in store.submitted] == [0, 0, 0, 0, 2]
        for request in store.submitted[2:]:
            store.release(request)
        await client.expect(b"$-1\r\n$-1\r\n+OK\r\n+PONG\r\n$1\r\n1\r\n+OK\r\n+OK\r\n")


@in_loop
async def test_connections_do_not_wait_for_each_other() -> None:
    async with serving() as harness:
        store, slow, quick = harness.store, await harness.connect(), await harness.connect()
        store.holding = True
        slow.send("SET a 1")
        await harness.arrived(1)
        store.holding = False
        await quick.exchange("GET a", b"$-1\r\n")
        assert kinds(store) == "wr"


SCRIPTS = st.lists(
    st.sampled_from(
        ["SET a {n}", "SET b {n}", "GET a", "GET b", "MGET a b", "APPEND a {n}", "DEL a", "DBSIZE", "SELECT 0", "SELECT 1"]
    )
    | st.sampled_from(["PING {n}", "nonsense", "FLUSHALL", "GET", "MSET a {n} b {n}"]),
    max_size=25,
)


@given(SCRIPTS, st.integers(0, 2**32), st.sampled_from([2, 1024]), st.sampled_from(["db", "slots:3"]))
@settings(max_examples=60, deadline=None)
def test_pipelined_commands_act_as_if_one_by_one(script: list[str], seed: int, max_pipelined: int, keyspace: str) -> None:
    """The store ends an entity's writes in order, and reads whenever it likes: more than that is not promised."""

    async def replies(*, pipelined: bool) -> bytes:
        chance = random.Random(seed)
        store = MemoryStore()
        async with serving(store, max_pipelined=max_pipelined, keyspace=keyspace) as harness:
            client = await harness.connect()
            store.holding = pipelined
            got = b""
            if pipelined:
                client.send(*lines, "QUIT")
                ending = asyncio.ensure_future(client.reader.read())
                while not ending.done():
                    choices = [request for at, request in enumerate(store.held) if may_end(request, list(store.held)[:at])]
                    if choices and chance.random() < 0.7:
                        store.release(chance.choice(choices))
                    await asyncio.sleep(0)
                return ending.result()
            for line in lines:
                client.send(line, "ECHO ---")
                got += (await client.reader.readuntil(b"$3\r\n---\r\n")).removesuffix(b"$3\r\n---\r\n")
            return got + b"+OK\r\n"

    lines = [line.format(n=number) for number, line in enumerate(script)]
    assert asyncio.run(replies(pipelined=True)) == asyncio.run(replies(pipelined=False))


def may_end(request: Request, before: list[Request]) -> bool:
    return request.read_only or not any(other.entity == request.entity and not other.read_only for other in before)


@in_loop
async def test_what_arrives_together_leaves_together() -> None:
    async with serving() as harness:
        transport, connection = harness.plug()
        connection.data_received(b"SET a 1\r\nGET a\r\nPING\r\n" * 20)
        connection.data_received(b"GET a\r\n")
        assert transport.written == []
        await asyncio.sleep(0)
        assert transport.written == [b"+OK\r\n$1\r\n1\r\n+PONG\r\n" * 20 + b"$1\r\n1\r\n"]
        connection.connection_lost(None)


# -- bounds


@in_loop
async def test_unanswered_commands_are_limited() -> None:
    async with serving(max_pipelined=4) as harness:
        store, client = harness.store, await harness.connect()
        store.holding = True
        client.send(*["INCR n"] * 50)
        await harness.arrived(4)
        await client.silent()
        assert len(store.submitted) == 4
        assert harness.server.statistics().waiting == 50
        client.send(*["INCR n"] * 50)
        await client.silent()
        assert len(store.submitted) == 4, "what is read meanwhile waits as it came"
        store.holding = False
        while store.held:
            store.release(store.held[0])
        await client.expect(b"".join([b":%d\r\n" % number for number in range(1, 101)]))


@in_loop
async def test_a_peer_that_does_not_read_is_not_read_from() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        value = "x" * 1_000_000
        await client.exchange(f"SET big {value[:60_000]}", b"+OK\r\n")
        for _ in range(4):
            client.send("GET big")
            await client.expect(b"$60000\r\n" + value[:60_000].encode() + b"\r\n")
        for _ in range(400):
            client.send("GET big")
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        assert len(store.submitted) < 405
        await client.expect((b"$60000\r\n" + value[:60_000].encode() + b"\r\n") * 400)
        assert len(store.submitted) == 405


@in_loop
async def test_clients_are_limited() -> None:
    async with serving(max_clients=2) as harness:
        first, _ = await harness.connect(), await harness.connect()
        third = await harness.connect()
        await third.expect_end(b"-ERR max number of clients reached\r\n")
        first.send("QUIT")
        await first.expect_end(b"+OK\r\n")
        fourth = await harness.connect()
        await fourth.exchange("PING", b"+PONG\r\n")
        now = harness.server.statistics()
        assert (now.connections, now.connections_total, now.connections_refused) == (2, 4, 1)


@in_loop
async def test_a_write_over_the_limit_is_refused_and_the_connection_lives() -> None:
    async with serving(max_request_bytes=100, max_bulk_bytes=1000) as harness:
        client = await harness.connect()
        await client.exchange(
            f"SET k {'x' * 200}",
            b"-TOOLARGE a request of 204 bytes or more is over the limit of 100: see redis.max_request_bytes\r\n",
        )
        await client.exchange("PING", b"+PONG\r\n")
        assert harness.store.submitted == []
        client.writer.write(b"*2\r\n$4\r\nECHO\r\n$1001\r\n")
        await client.expect_end(b"-ERR Protocol error: invalid bulk length\r\n")


# -- outcomes


@in_loop
async def test_errors_of_the_store_reach_the_client() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        store.holding = True
        client.send("SET a 1", "SET b 1", "INCR a")
        await harness.arrived(3)
        for request, error in zip(store.submitted, [Overloaded("full"), OutcomeUnknown("late"), NoQuorum("alone")], strict=True):
            store.fail(request, error)
        await client.expect(b"-OVERLOADED full\r\n-UNKNOWN outcome unknown: late\r\n-NOQUORUM alone\r\n")


@in_loop
async def test_a_node_that_does_not_serve_says_so() -> None:
    def submit(request: Request) -> None:
        request.settle(b"", NotServing("the node is not running"))

    server = RedisServer(submit, RedisSettings(port=0))
    await server.start()
    client = await Harness(server, MemoryStore()).connect()
    await client.exchange("GET a", b"-NOTSERVING the node is not running\r\n")
    client.writer.close()
    await server.stop()


@in_loop
async def test_what_a_request_carries_to_another_node() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        client.send("HELLO 3", "SET k v", "GETDEL nothing")
        await harness.arrived(2)
        view = DictView()
        assert [request.handler for request in store.submitted] == [HANDLER, HANDLER]
        assert [handle(view, request.payload()) for request in store.submitted] == [b"+OK\r\n", b"_\r\n"]


# -- keyspaces


@in_loop
async def test_databases_are_entities() -> None:
    async with serving() as harness:
        client = await harness.connect()
        await client.exchange("SET k zero", b"+OK\r\n")
        await client.exchange("SELECT 15", b"+OK\r\n")
        await client.exchange("GET k", b"$-1\r\n")
        await client.exchange("SET k last", b"+OK\r\n")
        await client.exchange("FLUSHDB", b"+OK\r\n")
        await client.exchange("SELECT 0", b"+OK\r\n")
        await client.exchange("GET k", b"$4\r\nzero\r\n")
        before = len(harness.store.submitted)
        await client.exchange("FLUSHALL", b"+OK\r\n")
        await client.exchange("DBSIZE", b":0\r\n")
        flushed = harness.store.submitted[before:-1]
        assert [request.entity for request in flushed] == list(range(REDIS_BASE, REDIS_BASE + DATABASES))


@in_loop
async def test_slots_spread_one_database() -> None:
    async with serving(keyspace="slots:8") as harness:
        store, client = harness.store, await harness.connect()
        await client.exchange("SELECT 1", b"-ERR DB index is out of range\r\n")
        for number in range(50):
            await client.exchange(f"SET key:{number} v", b"+OK\r\n")
        assert {request.entity for request in store.submitted} == set(range(SLOT_BASE, SLOT_BASE + 8))
        await client.exchange("DBSIZE", b":50\r\n")
        await client.exchange("MSET {u}a 1 {u}b 2", b"+OK\r\n")
        await client.exchange("MGET {u}a {u}b {v}", b"-CROSSSLOT Keys in request don't hash to the same slot\r\n")
        await client.exchange("MGET {u}a {u}b", b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n")
        assert store.submitted[-1].entity == SLOT_BASE + hash_slot(b"u", 8)
        await client.exchange("FLUSHDB", b"+OK\r\n")
        await client.exchange("DBSIZE", b":0\r\n")


QUORUM, LATE = NoQuorum("alone: nothing happened"), OutcomeUnknown("late")


@pytest.mark.parametrize(
    ("ends", "reply"),
    [
        ([None, None, None], b"+OK\r\n"),
        ([QUORUM, QUORUM, QUORUM], b"-NOQUORUM alone: nothing happened\r\n"),
        (
            [QUORUM, LATE, LATE],
            b"-UNKNOWN outcome unknown: done in 0 of 3 entities, not in 1, unknown in 2: UNKNOWN outcome unknown: late\r\n",
        ),
        (
            [None, QUORUM, QUORUM],
            b"-UNKNOWN outcome unknown: done in 1 of 3 entities, not in 2, unknown in 0: NOQUORUM alone: nothing happened\r\n",
        ),
        (
            [None, QUORUM, LATE],
            b"-UNKNOWN outcome unknown: done in 1 of 3 entities, not in 1, unknown in 1: UNKNOWN outcome unknown: late\r\n",
        ),
    ],
    ids=["done", "refused", "unknown behind a refusal", "done in part", "all three"],
)
@in_loop
async def test_nothing_happened_is_said_only_if_that_is_certain_of_every_part(
    ends: list[NoQuorum | OutcomeUnknown | None], reply: bytes
) -> None:
    async with serving(keyspace="slots:3") as harness:
        store, client = harness.store, await harness.connect()
        store.holding = True
        client.send("FLUSHDB", "DBSIZE")
        await harness.arrived(6)
        *parts, _, _, _ = store.submitted
        assert kinds(store) == "wwwwww", "the sizes are read behind the writes"
        for request, error in zip(parts, ends, strict=True):
            if error is None:
                store.release(request)
            else:
                store.fail(request, error)
        while store.held:
            store.release(store.held[0])
        await client.expect(reply + b":0\r\n")


@pytest.mark.parametrize("keyspace", ["db", "slots:5"])
@in_loop
async def test_a_scan_finds_every_key_that_stays(keyspace: str) -> None:
    async with serving(keyspace=keyspace) as harness:
        client = await harness.connect()
        stay = {f"key:{number}" for number in range(60)}
        for key in stay:
            await client.exchange(f"SET {key} v", b"+OK\r\n")
        found: list[str] = []
        cursor, pages = "0", 0
        while pages == 0 or cursor != "0":
            client.send(f"SCAN {cursor} COUNT 7")
            assert await client.reader.readline() == b"*2\r\n"
            await client.reader.readline()
            cursor = (await client.reader.readline()).decode().strip()
            for _ in range(int((await client.reader.readline())[1:])):
                await client.reader.readline()
                found.append((await client.reader.readline()).decode().strip())
            pages += 1
            await client.exchange(f"SET other:{pages} v", b"+OK\r\n")
        assert len(found) == len(set(found))
        assert stay <= set(found)
        await client.exchange(f"SCAN {2**63}", b"*2\r\n$1\r\n0\r\n*0\r\n")
        await client.exchange("SCAN x", b"-ERR invalid cursor\r\n")


# -- looking in


@in_loop
async def test_info_can_be_extended() -> None:
    def more() -> dict[str, dict[str, object]]:
        return {"Cluster": {"node": 2}, "Paxos": {"rounds": 7}}

    async with serving(info=more) as harness:
        client = await harness.connect()
        client.send("INFO cluster PAXOS", "INFO server", "INFO nothing", "QUIT")
        text = (await client.reader.read()).decode()
        expected = "# Cluster\r\ncluster_enabled:0\r\nnode:2\r\n\r\n# Paxos\r\nrounds:7\r\n"
        assert text.startswith(f"${len(expected)}\r\n{expected}\r\n")
        assert f"tcp_port:{harness.server.port}\r\n" in text
        assert "redis_version:7." in text
        assert text.endswith("$0\r\n\r\n+OK\r\n")


@in_loop
async def test_a_port_in_use_and_an_address_that_is_none() -> None:
    async with serving() as harness:
        with pytest.raises(PortTaken, match=f"127.0.0.1:{harness.server.port}"):
            await RedisServer(harness.store.submit, RedisSettings(port=harness.server.port)).start()
        with pytest.raises(NodeError, match=r"cannot listen for Redis on 192\.0\.2\.1:0"):
            await RedisServer(harness.store.submit, RedisSettings(host="192.0.2.1", port=0)).start()


@pytest.mark.parametrize(
    "wrong",
    [
        {"keyspace": "DB"},
        {"keyspace": "slots"},
        {"keyspace": "slots:0"},
        {"keyspace": "slots:x"},
        {"keyspace": "slots:99999"},
        {"port": -1},
        {"port": 70_000},
        {"max_clients": 0},
        {"max_pipelined": 0},
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="redis"):
        RedisSettings(**wrong)
