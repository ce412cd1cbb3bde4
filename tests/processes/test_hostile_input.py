"""Bytes and sizes that no honest client sends: the node says so clearly, if at all, and serves on."""

from __future__ import annotations

import asyncio
import random
import socket
from contextlib import suppress

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
