"""Clients that people use: redis-py, redis-cli, redis-benchmark."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import redis

from .support import ServerThread

TOOLS = all(shutil.which(tool) for tool in ("redis-cli", "redis-benchmark"))
needs_tools = pytest.mark.skipif(not TOOLS, reason="redis-tools are not installed on this machine")


@pytest.fixture(scope="module", params=["db", "slots:4"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with ServerThread(keyspace=request.param) as server:
        yield server.port


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py(port: int, protocol: Literal[2, 3]) -> None:
    client: Any = redis.Redis(port=port, protocol=protocol, client_name="tester", decode_responses=True)
    with client:
        client.flushdb()
        assert client.ping()
        assert client.set("k", "v", ex=100)
        assert client.set("k", "v", nx=True) is None
        assert client.set("k", "w", get=True, keepttl=True) == "v"
        assert client.get("k") == "w"
        assert 95 <= client.ttl("k") <= 100
        assert client.mset({"{t}a": "1", "{t}b": "2"})
        assert client.mget("{t}a", "{t}b", "{t}c") == ["1", "2", None]
        assert client.incr("{t}a", 41) == 42
        assert client.expire("{t}a", 100, gt=True) is False
        assert client.expireat("{t}a", int(time.time()) + 1000, nx=True) is True
        assert client.delete("{t}a", "{t}b") == 2
        assert client.dbsize() == 1
        assert client.type("k") == "string"
        for number in range(40):
            client.set(f"key:{number}", number)
        assert sorted(client.scan_iter("key:*", count=5)) == sorted([f"key:{number}" for number in range(40)])
        assert client.info("replication")["role"] == "master"
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.client_getname() == "tester"
        assert client.client_id() in [int(other["id"]) for other in client.client_list()]
        assert client.command_count() == len(client.command())
        assert client.command_getkeys("MSET", "a", "1", "b", "2") == ["a", "b"]
        with pytest.raises(redis.ResponseError, match="value is not an integer or out of range"):
            client.incr("k")
        with pytest.raises(redis.ResponseError, match="unknown command 'NOSUCH', with args beginning with: 'k' 'v'"):
            client.execute_command("NOSUCH", "k", "v")


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_pipelines(port: int, protocol: Literal[2, 3]) -> None:
    client: Any = redis.Redis(port=port, protocol=protocol)
    with client, client.pipeline(transaction=False) as pipeline:
        client.flushdb()
        for number in range(300):
            pipeline.set(f"p:{number}", number)
            pipeline.get(f"p:{number}")
        assert pipeline.execute() == [result for number in range(300) for result in (True, b"%d" % number)]


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_transactions(port: int, protocol: Literal[2, 3]) -> None:
    client: Any = redis.Redis(port=port, protocol=protocol)
    with client:
        client.delete("{t}n", "{t}m")
        with client.pipeline() as pipeline:
            assert pipeline.incr("{t}n").set("{t}m", "x").get("{t}m").execute() == [1, True, b"x"]
            with pytest.raises(redis.ResponseError, match="not an integer"):
                pipeline.incr("{t}n").incr("{t}m").execute()
            assert pipeline.incr("{t}n").incr("{t}m").execute(raise_on_error=False)[0] == 3
            pipeline.watch("{t}n")
            before = int(pipeline.get("{t}n"))
            client.incr("{t}n")
            pipeline.multi()
            pipeline.set("{t}n", before + 100)
            with pytest.raises(redis.WatchError):
                pipeline.execute()
        calls: list[int] = []

        def add(pipeline: Any) -> None:
            before = int(pipeline.get("{t}n"))
            if not calls:
                client.incr("{t}n")
            calls.append(before)
            pipeline.multi()
            pipeline.set("{t}n", before + 10)

        assert client.transaction(add, "{t}n") == [True]
        assert (calls, client.get("{t}n")) == ([4, 5], b"15")


def redis_cli(port: int, *words: str) -> str:
    run = subprocess.run(["redis-cli", "-p", str(port), *words], capture_output=True, text=True, timeout=30, check=True)
    assert run.stderr == ""
    return run.stdout


@needs_tools
def test_redis_cli(port: int) -> None:
    assert redis_cli(port, "FLUSHALL") == "OK\n"
    assert redis_cli(port, "SET", "a b", "c d") == "OK\n"
    assert redis_cli(port, "GET", "a b") == "c d\n"
    assert redis_cli(port, "--scan") == "a b\n"
    assert redis_cli(port, "-3", "HELLO").startswith("server redis\n")
    assert "# Replication" in redis_cli(port, "INFO")
    assert "The value of a key." in redis_cli(port, "HELP", "GET")
    assert redis_cli(port, "nonsense").startswith("ERR unknown command 'nonsense', with args beginning with: ")


@needs_tools
def test_redis_benchmark(port: int) -> None:
    options = ["-c", "20", "-n", "2000", "-P", "4", "-r", "100", "-t", "ping,set,get,incr", "--csv"]
    run = subprocess.run(["redis-benchmark", "-p", str(port), *options], capture_output=True, text=True, timeout=60, check=True)
    assert '"GET","' in run.stdout
    assert "rror" not in run.stdout + run.stderr
