"""What redis_exporter and RedisInsight send when they start and when they look: no error that a user would see, true figures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from paxosstore.cli.cluster import LocalCluster

KEYS = 25
GROUPS = """
local result, batch = {}, redis.call("SCAN", ARGV[1], "COUNT", ARGV[2])
for _, key in ipairs(batch[2]) do result[#result + 1] = {key, redis.pcall("MEMORY", "USAGE", key)} end
return {batch[1], result}
"""
"""As the exporter groups keys."""


@pytest.fixture(scope="module")
def client(shared: LocalCluster) -> Iterator[redis.Redis]:
    """Of a node that has something to tell, and answers as it does."""
    with redis.Redis(port=shared.redis_port(1), protocol=2, decode_responses=True, single_connection_client=True) as client:
        client.response_callbacks.clear()
        for number in range(KEYS):
            client.execute_command("SET", f"key:{number}", "x" * number)
        client.execute_command("SET", "brief", 1, "EX", 1_000)
        client.execute_command("HSET", "hash", "f", "v")
        client.execute_command("XADD", "stream", "1-1", "f", "v")
        client.execute_command("XGROUP", "CREATE", "stream", "group", "0")
        client.execute_command("XREADGROUP", "GROUP", "group", "reader", "STREAMS", "stream", ">")
        client.execute_command("SELECT", 2)
        client.execute_command("SET", "other", 1)
        client.execute_command("SELECT", 0)
        yield client


def sections(text: str) -> dict[str, dict[str, str]]:
    """INFO, as both read it: titles, and a name and a value in each other line."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        if line.startswith("# "):
            fields = found.setdefault(line[2:], {})
        elif line:
            name, colon, value = line.partition(":")
            assert colon, line
            fields[name] = value
    return found


def numbers(text: str) -> dict[str, float]:
    """`name=number`, between commas."""
    return {name: float(value) for name, _, value in (pair.partition("=") for pair in text.split(","))}


def test_the_exporter_finds_its_figures(client: Any) -> None:
    ask = client.execute_command
    assert ask("PING") == "PONG"
    assert ask("CLIENT", "SETNAME", "redis_exporter") == "OK"
    info = sections(ask("INFO", "ALL"))
    assert numbers(info["Keyspace"]["db0"])["keys"] == KEYS + 3
    assert numbers(info["Keyspace"]["db0"])["expires"] == 1
    assert numbers(info["Keyspace"]["db2"])["keys"] == 1
    stats = {name: numbers(value) for name, value in info["Commandstats"].items()}
    assert all({"calls", "usec", "usec_per_call", "rejected_calls", "failed_calls"} == set(one) for one in stats.values())
    assert stats["cmdstat_set"]["calls"] == KEYS + 2
    assert float(info["Clients"]["connected_clients"]) >= 1
    for title, names in {
        "Server": ("uptime_in_seconds", "process_id", "hz", "configured_hz", "redis_version", "redis_build_id", "run_id", "os"),
        "Memory": ("used_memory", "used_memory_rss", "used_memory_peak", "maxmemory", "mem_fragmentation_ratio"),
        "CPU": ("used_cpu_sys", "used_cpu_user", "used_cpu_sys_children", "used_cpu_user_children"),
        "Stats": (
            "total_connections_received",
            "total_commands_processed",
            "expired_keys",
            "evicted_keys",
            "rejected_connections",
        ),
        "Replication": ("role", "connected_slaves", "master_replid"),
    }.items():
        assert set(names) <= set(info[title])
    assert info["Replication"]["role"] == "master"
    config = ask("CONFIG", "GET", "*")
    parameters = dict(zip(config[::2], config[1::2], strict=True))
    assert parameters["databases"] == "16"
    assert all(float(parameters[name]) >= 0 for name in ("maxmemory", "maxclients", "io-threads", "repl-backlog-size"))
    limits = parameters["client-output-buffer-limit"].split(" ")
    assert "normal" in limits[::4]
    assert all(word.isdigit() for at, word in enumerate(limits) if at % 4)
    assert ask("LATENCY", "LATEST") == []
    histogram = ask("LATENCY", "HISTOGRAM")
    details = dict(zip(histogram[::2], histogram[1::2], strict=True))["set"]
    assert details[:2] == ["calls", KEYS + 2]
    assert max(details[3][1::2]) == KEYS + 2, "each bucket holds those below it"
    assert ask("COMMAND", "INFO", "COMMANDLOG") == [None]
    assert ask("SLOWLOG", "LEN") == len(ask("SLOWLOG", "GET", "-1"))
    keys: list[str] = []
    cursor = "0"
    while cursor != "0" or not keys:
        cursor, page = ask("SCAN", cursor, "MATCH", "*", "COUNT", "10")
        keys += page
    assert len(keys) == KEYS + 3
    sizes = {"string": "STRLEN", "hash": "HLEN", "stream": "XLEN"}
    for key in keys:
        kind = ask("TYPE", key)
        assert ask(sizes[kind], key) >= 0
        assert ask("MEMORY", "USAGE", key) > 0
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        ask("PFCOUNT", "key:1")  # by which it tells a string from a HyperLogLog
    stream = ask("XINFO", "STREAM", "stream")
    assert dict(zip(stream[::2], stream[1::2], strict=True))["length"] == 1
    (group,) = ask("XINFO", "GROUPS", "stream")
    assert dict(zip(group[::2], group[1::2], strict=True))["pending"] == 1
    assert len(ask("XINFO", "CONSUMERS", "stream", "group")) == 1
    found: list[Any] = []
    cursor = "0"
    while cursor != "0" or not found:
        cursor, page = ask("EVAL", GROUPS, "0", cursor, "1000")
        found += page
    assert all(used > 0 for _, used in found)
    own = next(line for line in ask("CLIENT", "LIST").splitlines() if "name=redis_exporter" in line)
    facts = dict(word.partition("=")[::2] for word in own.split(" "))
    wanted = (
        "id",
        "user",
        "age",
        "idle",
        "flags",
        "db",
        "sub",
        "psub",
        "ssub",
        "qbuf",
        "qbuf-free",
        "obl",
        "oll",
        "omem",
        "tot-mem",
    )
    assert set(wanted) <= set(facts)
    assert re.fullmatch(r"127\.0\.0\.1:\d+", facts["addr"])


def test_redisinsight_finds_its_way(client: Any) -> None:
    ask = client.execute_command
    assert ask("CLIENT", "SETNAME", "redisinsight-common-1234") == "OK"
    info = sections(ask("INFO"))
    assert (info["Server"]["redis_mode"], info["Cluster"]["cluster_enabled"]) == ("standalone", "0")
    assert info["Persistence"]["loading"] == "0"
    assert int(info["Stats"]["instantaneous_ops_per_sec"]) >= 0
    assert ask("MODULE", "LIST") == []
    assert ask("COMMAND", "INFO", "ft.info", "json.get", "ts.add") == [None] * 3
    assert ask("CONFIG", "GET", "databases") == ["databases", "16"]
    assert ask("DBSIZE") == KEYS + 3
    with pytest.raises(redis.ResponseError, match="Unknown node nobody"):
        ask("CLUSTER", "REPLICAS", "nobody")
    assert "cluster_state:ok" in ask("CLUSTER", "INFO")
    assert ask("SENTINEL", "MASTERS")
    cursor, keys = ask("SCAN", "0", "MATCH", "*", "COUNT", "10000")
    assert (cursor, len(keys)) == ("0", KEYS + 3)
    assert ask("SCAN", "0", "MATCH", "*", "COUNT", "10000", "TYPE", "hash") == ["0", ["hash"]]
    for key in keys:
        assert ask("MEMORY", "USAGE", key, "SAMPLES", "0") > 0
        assert ask("TTL", key) >= -1
        assert ask("OBJECT", "ENCODING", key)
    assert ask("HSCAN", "hash", "0", "COUNT", "500", "MATCH", "*") == ["0", ["f", "v"]]
    assert ask("XINFO", "STREAM", "stream")
    assert ask("XREVRANGE", "stream", "+", "-", "COUNT", "500") == [["1-1", ["f", "v"]]]
    assert ask("CONFIG", "GET", "slowlog*")[::2] == ["slowlog-log-slower-than", "slowlog-max-len"]
    assert isinstance(ask("SLOWLOG", "GET", "50"), list)
    assert ask("ACL", "WHOAMI") == "default"
    assert ask("PUBSUB", "CHANNELS") == []
    docs = ask("COMMAND", "DOCS", "get", "config")
    assert docs[::2] == ["get", "config"]
