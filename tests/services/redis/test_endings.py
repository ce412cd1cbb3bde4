"""How a connection ends: by its client, by the node, or because it speaks something else."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct

import pytest

from paxosstore.errors import NotServing
from paxosstore.services.redis.server import RedisServer
from paxosstore.services.redis.settings import RedisSettings

from .support import in_loop, serving

# -- other protocols

BODY = b"\r\nSET owned yes\r\n"
REQUEST_LINES = [
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1:7401\r\nContent-Length: 17\r\n",
    b"GET /?q=%20 HTTP/1.1\r\nHost: x\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"SET /owned HTTP/1.1\r\nHost: x\r\n",
    b"DEL /'k HTTP/1.0\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
    b"POST /" + b"a" * 70_000 + b" HTTP/1.1\r\n",
    b"post /without-a-version\r\n",
    b"Host: x\r\n",
    b"*1\r\n$4\r\nPOST\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x80\x01\x00\x03\x00\x00\x00\x00",
    b"\x00\x01\x00\x08\x21\x12\xa4\x42",
    b"SSH-2.0-OpenSSH_9.2p1\r\n",
]


@pytest.mark.parametrize("start", REQUEST_LINES, ids=lambda start: repr(start[:20]))
@pytest.mark.parametrize("cut", [1, 100_000])
@in_loop
async def test_what_comes_in_another_protocol_is_never_a_command(start: bytes, cut: int) -> None:
    async with serving() as harness:
        transport, connection = harness.plug()
        stream = start + BODY
        for at in range(0, len(stream), cut):
            connection.data_received(stream[at : at + cut])
        await harness.settle()
        assert transport.ended == "closed"
        assert harness.store.submitted == []
        assert transport.got.count(b"\n") <= 1
        now = harness.server.statistics()
        assert now.closed_foreign == 1 or b"too big inline request" in transport.got


@in_loop
async def test_other_protocols_are_named_in_the_log_and_not_a_thousand_times(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as harness:
        with caplog.at_level(logging.WARNING):
            for _ in range(1_000):
                _, connection = harness.plug()
                connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
                await asyncio.sleep(0)
        assert caplog.messages == ["closed client 127.0.0.1:1: it speaks HTTP, not the Redis protocol"]
        assert harness.server.statistics().closed_foreign == 1_000


@in_loop
async def test_sockets_are_asked_whether_their_client_is_there() -> None:
    for seconds in (300, 0):
        async with serving(tcp_keepalive_s=seconds) as harness:
            client = await harness.connect()
            await client.exchange("PING", b"+PONG\r\n")
            (connection,) = harness.server._connections.values()
            assert connection._transport is not None
            theirs = connection._transport.get_extra_info("socket")
            assert bool(theirs.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) == bool(seconds)
            assert theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            if seconds and hasattr(socket, "TCP_KEEPIDLE"):
                assert theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 300
            client.send("CONFIG GET tcp-keepalive", "CONFIG GET timeout", "CONFIG GET client-output-buffer-limit", "QUIT")
            text = await client.reader.read()
            assert b"tcp-keepalive\r\n$%d\r\n%d\r\n" % (len(str(seconds)), seconds) in text
            assert b"normal 67108864 0 0\r\n" in text


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("MSET " + "k v " * 6, "6 keys are over the limit of 5: see redis.max_keys"),
        ("DEL " + "k " * 15, "15 keys are over the limit of 5: see redis.max_keys"),
        ("COMMAND INFO " + "x " * 5, ""),
        ("CONFIG GET " + "x" * 1_100, "patterns of 1100 bytes are over the limit of 1024"),
        ("CONFIG GET *" + "x" * 70 + "*", "a pattern with more than 64 characters between two stars"),
        ("SCAN 0 MATCH *" + "x" * 70 + "*", "a pattern with more than 64 characters between two stars"),
    ],
)
@in_loop
async def test_commands_that_would_take_too_long_are_refused(line: str, error: str) -> None:
    async with serving(max_keys=5) as harness:
        client = await harness.connect()
        client.send(line, "QUIT")
        reply = await client.reader.read()
        assert reply.startswith(b"-TOOLARGE " + error.encode() + b"\r\n" if error else b"*5")


@in_loop
async def test_names_of_clients_have_a_limit() -> None:
    async with serving() as harness:
        client = await harness.connect()
        wrong = b"-ERR Client names cannot contain spaces, newlines or special characters.\r\n"
        await client.exchange("CLIENT SETNAME " + "x" * 1_024, b"+OK\r\n")
        await client.exchange("CLIENT SETNAME " + "x" * 1_025, wrong)


# -- endings


@in_loop
async def test_what_is_under_way_is_answered_before_the_end() -> None:
    async with serving() as harness:
        store, client, idle = harness.store, await harness.connect(), await harness.connect()
        await idle.exchange("PING", b"+PONG\r\n")
        store.holding = True
        client.send("SET a 1", "GET a")
        await harness.arrived(2)
        draining = asyncio.ensure_future(harness.server.drain(10.0))
        await idle.expect_end()
        client.send("SET a 2")
        with pytest.raises(OSError, match=r"refused|reset|Connect"):
            await asyncio.open_connection("127.0.0.1", harness.server.port)
        store.release(store.submitted[0])
        store.release(store.submitted[1])
        await client.expect_end(b"+OK\r\n$1\r\n1\r\n-NOTSERVING the node is stopping: nothing happened\r\n")
        assert len(store.submitted) == 2
        async with asyncio.timeout(5):
            await draining


@in_loop
async def test_a_drain_ends_with_its_grace() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        store.holding = True
        client.send("SET a 1")
        await harness.arrived(1)
        async with asyncio.timeout(5):
            await harness.server.drain(0.01)
            await harness.server.stop()
        store.release(store.submitted[0])


@in_loop
async def test_quit_answers_everything_before_it_and_nothing_after_it() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        store.holding = True
        client.send("SET a 1", "QUIT", "SET a 2")
        await harness.arrived(1)
        store.release(store.submitted[0])
        await client.expect_end(b"+OK\r\n+OK\r\n")
        assert len(store.submitted) == 1


@in_loop
async def test_a_protocol_error_comes_after_the_replies_before_it() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        store.holding = True
        client.writer.write(b"GET a\r\nSET a 1\r\n*1\r\n:1\r\nSET a 2\r\n")
        await harness.arrived(1)
        store.release(store.submitted[0])
        await harness.arrived(2)
        store.release(store.submitted[1])
        await client.expect_end(b"$-1\r\n+OK\r\n-ERR Protocol error: expected '$', got ':'\r\n")
        assert len(store.submitted) == 2
        assert harness.server.statistics().protocol_errors == 1


@in_loop
async def test_a_client_that_stops_sending_still_gets_its_replies() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        store.holding = True
        client.send("GET a", "SET a 1")
        client.writer.write_eof()
        await harness.arrived(1)
        store.release(store.submitted[0])
        await harness.arrived(2)
        store.release(store.submitted[1])
        await client.expect_end(b"$-1\r\n+OK\r\n")
        idle = await harness.connect()
        idle.writer.write_eof()
        await idle.expect_end()


@in_loop
async def test_outcomes_after_the_client_has_gone_are_dropped() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        store.holding = True
        client.send("SET a 1", "GET a", "FLUSHALL")
        await harness.arrived(2)
        connection = client.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.writer.transport.abort()  # a reset, not an end of what it sends
        while harness.server.statistics().connections:  # noqa: ASYNC110  the server has no event for it
            await asyncio.sleep(0)
        while store.held:
            store.release(store.held[0])
        other = await harness.connect()
        store.holding = False
        await other.exchange("PING", b"+PONG\r\n")


@in_loop
async def test_stopping_drops_clients_and_frees_the_port() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        port = harness.server.port
        store.holding = True
        client.send("SET a 1")
        await harness.arrived(1)
        await harness.server.stop()
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await client.reader.readexactly(1)
        store.fail(store.submitted[0], NotServing("the node is stopping"))
        again = RedisServer(store.submit, RedisSettings(port=port))
        await again.start()
        await again.stop()
