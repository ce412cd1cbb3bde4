"""Bytes and sizes that no honest client sends: the node says so clearly, if at all, and serves on."""

from __future__ import annotations

import asyncio
import http.client
import random
import socket
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from paxosstore.cli.cluster import HOST, LocalCluster
from paxosstore.cli.resp_client import ReplyError, RespClient
from paxosstore.errors import PaxosStoreError

GARBAGE = (
    b"\x00" * 4096,
    b"\xff" * 4096,
    b"*1000000000\r\n$3\r\nGET\r\n",
    b"*1\r\n$-7\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xfe" * 64,
    b"\x7f\xff\xff\xff" + b"x" * 64,
    b"a" * 100_000,
    random.Random(4).randbytes(10_000),
)


def throw(port: int, garbage: bytes) -> None:
    """Send it, read what comes for a moment, close; whether the node hangs up first is its business."""
    with suppress(OSError), socket.create_connection((HOST, port), timeout=0.1) as connection:
        connection.sendall(garbage)
        connection.recv(4096)


async def check_serves(cluster: LocalCluster) -> None:
    for node in range(cluster.nodes):
        async with RespClient([cluster.redis_servers[node]], timeout_s=5.0) as client:
            assert await client.call("SET", "alive", f"{node}") == b"OK"
            assert await client.call("GET", "alive") == b"%d" % node


@pytest.mark.parametrize("which", ["peer_port", "redis_port", "card_port", "http_port"])
def test_garbage(shared: LocalCluster, which: str) -> None:
    for garbage in GARBAGE:
        throw(getattr(shared, which)(0), garbage)
    assert shared.is_healthy(0)
    assert "Traceback" not in shared.log(0), shared.log(0)
    asyncio.run(check_serves(shared))


def test_a_value_is_too_large(shared: LocalCluster) -> None:
    async def story() -> None:
        async with RespClient([shared.redis_servers[0]], timeout_s=10.0) as client:
            with pytest.raises((PaxosStoreError, ReplyError)) as refused:
                await client.call("SET", "large", b"x" * 9_000_000)
            print(f"{type(refused.value).__name__}: {refused.value}")
            assert not isinstance(refused.value, PaxosStoreError) or refused.value.outcome_known
            assert "8388608" in str(refused.value)
            assert await client.call("EXISTS", "large") == 0
        await check_serves(shared)

    asyncio.run(story())


MB = 1_000_000


def resident_mb(cluster: LocalCluster, node: int) -> int:
    """What a node has in memory."""
    status = Path(f"/proc/{cluster._processes[node].pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) // 1_000


def connect(cluster: LocalCluster, *, receive_buffer: int = 0) -> socket.socket:
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(20.0)
    connection.connect(cluster.redis_servers[0])
    return connection


def read_exactly(connection: socket.socket, size: int) -> int:
    """Read so many bytes and keep none; returns how many came."""
    got = 0
    while got < size and (piece := connection.recv(MB)):
        got += len(piece)
    return got


def test_replies_that_nobody_reads_take_no_memory(shared: LocalCluster) -> None:
    with connect(shared) as connection:
        connection.sendall(b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$1000000\r\n%b\r\n" % bytes(MB))
        assert connection.recv(100) == b"+OK\r\n"
        before = most = resident_mb(shared, 0)
        connection.sendall(b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n" * 1_000)
        for _ in range(40):
            time.sleep(0.05)
            most = max(most, resident_mb(shared, 0))
        assert read_exactly(connection, 1_000 * (MB + 12)) == 1_000 * (MB + 12)
        most = max(most, resident_mb(shared, 0))
        print(f"resident: {before} MB before, {most} MB at most while 1,000 replies of 1 MB were unread and then read")
        assert most < before + 150
    asyncio.run(check_serves(shared))


def test_a_client_sends_everything_before_it_reads(shared: LocalCluster) -> None:
    with connect(shared, receive_buffer=4_096) as connection:
        connection.sendall(b"*1\r\n$4\r\nPING\r\n" * 1_000_000)
        assert read_exactly(connection, 7 * 1_000_000) == 7 * 1_000_000
    asyncio.run(check_serves(shared))


def test_a_client_that_never_reads_is_closed_and_named(shared: LocalCluster) -> None:
    command = b"*2\r\n$4\r\nPING\r\n$4000\r\n%b\r\n" % bytes(4_000)
    with connect(shared, receive_buffer=4_096) as connection, pytest.raises(ConnectionError):
        connection.sendall(command * (200 * MB // len(command)))
    assert "raise redis.max_unread_bytes" in shared.log(0)
    asyncio.run(check_serves(shared))


def test_a_web_page_writes_nothing(shared: LocalCluster) -> None:
    url = f"http://{HOST}:{shared.redis_port(0)}/"
    request = urllib.request.Request(url, data=b"\r\nSET owned yes\r\n", method="POST")
    browser = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises((OSError, http.client.HTTPException)):
        browser.open(request, timeout=10)

    async def story() -> None:
        async with RespClient([shared.redis_servers[0]], timeout_s=5.0) as client:
            assert await client.call("EXISTS", "owned") == 0

    asyncio.run(story())
