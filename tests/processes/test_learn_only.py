"""A real node that is told to learn only: its clients, its peers, and whoever looks at it."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request

import pytest

from paxosstore.cli.cluster import HOST, LocalCluster
from paxosstore.cli.resp_client import RespClient
from paxosstore.errors import LearnsOnly, NoQuorum
from paxosstore.services.card.client import CardClient

from .test_settings import command, until


def redis(cluster: LocalCluster, node: int, *words: bytes) -> object:
    async def call() -> object:
        async with RespClient([(HOST, cluster.redis_port(node))], timeout_s=10.0) as client:
            return await client.call(*words)

    return asyncio.run(call())


def ready(cluster: LocalCluster, node: int) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{cluster.http_port(node)}/readyz", timeout=5.0) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_node_under_repair(cluster: LocalCluster) -> None:
    server = "--server", f"{HOST}:{cluster.http_port(2)}"
    assert redis(cluster, 2, b"SET", b"k", b"1") == b"OK"
    assert command("set", "learn_only", "true", *server)[0] == 0
    for words in ((b"SET", b"k", b"2"), (b"GET", b"k")):
        with pytest.raises(LearnsOnly, match=r"node 2 learns only \(learn_only\): ask node 0 ") as refused:
            redis(cluster, 2, *words)
        assert f"redis {HOST}:{cluster.redis_port(0)}" in str(refused.value)
        assert f"grpc {HOST}:{cluster.card_port(1)}" in str(refused.value)
    assert redis(cluster, 2, b"PING") == b"PONG"
    assert redis(cluster, 0, b"SET", b"k", b"3") == b"OK"
    assert redis(cluster, 0, b"GET", b"k") == b"3"

    async def cards() -> int:
        async with CardClient([cluster.card_servers[2], *cluster.card_servers[:2]], timeout_s=10.0) as client:
            await client.insert(1, balance=5)  # goes on to the next one
            return (await client.select(1)).card_info.balance

    assert asyncio.run(cards()) == 5
    assert ready(cluster, 2)[0] == 503
    assert "it learns only (learn_only)" in ready(cluster, 2)[1]
    assert ready(cluster, 0)[0] == 200
    code, out, _ = command("status", *server)
    assert code == 1
    assert "it learns only" in out
    assert len(set(cluster.wait_equal())) == 1, "it learns all of it"

    second = "--server", f"{HOST}:{cluster.http_port(1)}"
    code, out, _ = command("set", "learn_only", "true", *second)
    assert code == 0, "the operator may know why"
    assert "WARNING: no majority votes now (node 2 learns only (learn_only)): nothing is written or read at any node" in out
    assert "no majority votes now" in ready(cluster, 1)[1]
    assert "learns only from now on, and no majority votes now" in cluster.log(1)
    assert "WARNING" not in command("set", "learn_only", "false", *second)[1]

    cluster.kill(1)
    until(lambda: "node 2 learns only" in ready(cluster, 0)[1])
    assert ready(cluster, 0)[0] == 503
    with pytest.raises(NoQuorum, match="node 2 learns only"):
        redis(cluster, 0, b"SET", b"k", b"4")
    assert command("set", "learn_only", "false", *server)[0] == 0
    until(lambda: ready(cluster, 0)[0] == 200)
    assert redis(cluster, 0, b"SET", b"k", b"5") == b"OK", "its vote counts again"
    assert redis(cluster, 2, b"GET", b"k") == b"5"
    assert cluster.status(2)["settings_changed"] == {}
    assert "node 2 learns only from now on" in cluster.log(2)
    assert "node 2 votes and serves again" in cluster.log(2)
