"""Clients that take all file descriptors: the store, the peers and the operator have theirs."""

from __future__ import annotations

import asyncio
import resource
import socket

import pytest

from paxosstore.cli.cluster import HOST, LocalCluster
from paxosstore.cli.resp_client import RespClient

LIMIT = 320
CLIENTS = 400


@pytest.fixture
def tight(configured: LocalCluster) -> LocalCluster:
    """Three nodes whose hard limit is low."""
    for node in range(configured.nodes):
        process = configured.launch(node)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))  # long before the node looks
    for node in range(configured.nodes):
        configured.wait_ready(node)
    return configured


def test_idle_clients_take_no_descriptor_from_the_store(tight: LocalCluster) -> None:
    idle = []
    try:
        for port in (tight.redis_port, tight.card_port, tight.http_port, tight.peer_port):
            idle += [socket.create_connection((HOST, port(number % 2)), timeout=5.0) for number in range(CLIENTS)]

        async def write() -> None:
            async with RespClient([tight.redis_servers[2]], timeout_s=10.0) as client:
                for number in range(80):  # 40 MB: several segments of the journal, and flushes of RocksDB
                    assert await client.call("SET", f"key:{number}", bytes(500_000)) == b"OK"

        asyncio.run(write())
        for node in range(tight.nodes):
            assert tight.is_running(node), tight.log(node)
            assert f"only {LIMIT} files may be open" in tight.log(node)
            assert "Too many open files" not in tight.log(node)
            assert "Traceback" not in tight.log(node)
    finally:
        for connection in idle:
            connection.close()
    assert all(tight.status(node)["serving"] for node in range(tight.nodes))
