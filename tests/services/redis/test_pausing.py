"""CLIENT PAUSE and UNPAUSE: what is held back, and what goes on."""

from __future__ import annotations

import pytest

from .oracle import compare, needs_redis, script
from .support import Harness, in_loop, serving

OK = b"+OK\r\n"


@in_loop
async def test_nothing_is_started_until_the_pause_is_ended() -> None:
    async with serving() as harness:
        admin, client = await harness.connect(), await harness.connect()
        await client.exchange("SET k 1", OK)
        await admin.exchange("CLIENT PAUSE 100000", OK)
        client.send("GET k", "PING", "MULTI", "INCR k", "EXEC")
        await client.silent()
        late = await harness.connect()
        late.send("PING")
        await late.silent()
        assert len(harness.store.submitted) == 1
        await admin.exchange("CLIENT UNPAUSE", OK)
        await client.expect(b"$1\r\n1\r\n+PONG\r\n+OK\r\n+QUEUED\r\n*1\r\n:2\r\n")
        await late.expect(b"+PONG\r\n")
        await admin.exchange("CLIENT UNPAUSE", OK)


@in_loop
async def test_reads_go_on_where_writes_are_held_back() -> None:
    async with serving() as harness:
        admin, reader, writer = [await harness.connect() for _ in range(3)]
        other, scripts = await harness.connect(), await harness.connect()
        writer.send("MULTI", "SET k 1")
        await writer.expect(b"+OK\r\n+QUEUED\r\n")
        await admin.exchange("CLIENT PAUSE 100000 write", OK)
        writer.send("EXEC")
        other.send("PUBLISH c m")
        scripts.send("EVAL return(1) 0")
        await reader.exchange("GET k", b"$-1\r\n")
        reader.send("MULTI", "GET k", "EXEC", "EVAL_RO return(1) 0")
        await reader.expect(b"+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n:1\r\n")
        for client in (writer, other, scripts):
            await client.silent()
        await admin.exchange("CLIENT UNPAUSE", OK)
        await writer.expect(b"*1\r\n+OK\r\n")
        await other.expect(b":0\r\n")
        await scripts.expect(b":1\r\n")


@in_loop
async def test_a_pause_ends_by_itself_and_the_longer_one_counts() -> None:
    async with serving() as harness:
        admin, client = await harness.connect(), await harness.connect()
        admin.send("CLIENT PAUSE 30 WRITE", "CLIENT PAUSE 0")
        await admin.expect(OK * 2)
        client.send("SET k 1")
        await client.expect(OK)
        assert not harness.server.pause.active
        admin.send("CLIENT PAUSE 1000000", "CLIENT PAUSE 1 WRITE")
        await admin.expect(OK * 2)
        client.send("GET k")
        await client.silent()
        assert harness.server.pause.all, "the stricter one counts"


@in_loop
async def test_a_node_that_stops_does_not_wait_for_a_pause() -> None:
    async with serving() as harness:
        await _pause_and_drain(harness)


async def _pause_and_drain(harness: Harness) -> None:
    admin, client = await harness.connect(), await harness.connect()
    await admin.exchange("CLIENT PAUSE 1000000", OK)
    client.send("SET k 1")
    await client.silent()
    await harness.server.drain(5.0)
    await client.expect_end(b"-NOTSERVING the node is stopping: nothing happened\r\n")


@needs_redis
@pytest.mark.parametrize("proto", [2, 3])
def test_answers_are_those_of_redis(ports: tuple[int, int], proto: int) -> None:
    text = """
    CLIENT PAUSE / CLIENT PAUSE x / CLIENT PAUSE -1 / CLIENT PAUSE 0 nope / CLIENT PAUSE 99999999999999999999 / CLIENT UNPAUSE x
    CLIENT PAUSE 0 / CLIENT UNPAUSE / CLIENT PAUSE 0 WRITE / CLIENT UNPAUSE
    """
    compare(ports, proto, script(text))
