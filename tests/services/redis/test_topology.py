"""SENTINEL and CLUSTER: what clients that know them are told of the nodes."""

from __future__ import annotations

import re
from typing import Any

import pytest
import redis.cluster
import redis.sentinel
from redis.sentinel import MasterNotFoundError

from paxosstore.errors import ConfigError
from paxosstore.services.redis.session.topology import Topology
from paxosstore.services.redis.settings import RedisSettings

from .support import Client, ServerThread, in_loop, serving

ADDRESSES = [("db-a", 7001), ("10.0.0.2", 7002), ("::1", 7003)]
THREE = Topology("shop", 1, ADDRESSES, lambda number: number != 2)
IDS = [member.id for member in Topology("shop", 0, ADDRESSES).members("")]


async def ask(client: Client, line: str) -> list[str]:
    """What redis-cli would show of a reply."""
    client.send(line, "PING")
    got = (await client.reader.readuntil(b"+PONG\r\n")).decode()
    return [word for word in got.split("\r\n")[:-2] if not re.match(r"[$*%=]\d", word)]


def test_a_node_is_called_the_same_by_all_for_ever() -> None:
    assert ["39ac07ad5bbf65d5e14ab5bc9fe48eb4ec47a61b"[:0] or one.id for one in Topology("shop", 0, ADDRESSES).members("")] == IDS
    assert sorted(IDS) == sorted(one.id for one in THREE.members(""))
    assert {len(one) for one in IDS} == {40}
    assert not set(IDS) & {one.id for one in Topology("other", 0, ADDRESSES).members("")}


@in_loop
async def test_the_node_that_is_asked_is_the_master_of_everything() -> None:
    async with serving(topology=THREE) as harness:
        client = await harness.connect()
        assert await ask(client, "SENTINEL get-master-addr-by-name mymaster") == ["10.0.0.2", "7002"]
        assert await ask(client, "CLUSTER MYID") == [IDS[1]]
        assert await ask(client, "CLUSTER SLOTS") == [":0", ":16383", "10.0.0.2", ":7002", IDS[1], "db-a", ":7001", IDS[0]]
        found = await ask(client, "CLUSTER NODES")
        assert "\n".join(found).splitlines() == [
            f"{IDS[1]} 10.0.0.2:7002@0 myself,master - 0 0 1 connected 0-16383",
            f"{IDS[0]} db-a:7001@0 slave {IDS[1]} 0 0 1 connected",
            f"{IDS[2]} ::1:7003@0 slave,fail {IDS[1]} 0 0 1 disconnected",
        ]
        assert await ask(client, f"CLUSTER REPLICAS {IDS[0]}") == ["-ERR The specified node is not a master"]
        assert len(await ask(client, f"CLUSTER REPLICAS {IDS[1]}")) == 2
        assert await ask(client, "CLUSTER SLAVES x") == ["-ERR Unknown node x"]
        shards = await ask(client, "CLUSTER SHARDS")
        assert [word for word in shards if word in ("online", "failed", "master", "replica")] == [
            *("master", "online"),
            *("replica", "online"),
            *("replica", "failed"),
        ]


@in_loop
async def test_a_node_that_knows_of_no_others_gives_the_address_it_was_reached_by() -> None:
    async with serving() as harness:
        client = await harness.connect()
        assert await ask(client, "SENTINEL get-master-addr-by-name mymaster") == ["127.0.0.1", str(harness.server.port)]
        assert await ask(client, "SENTINEL ckquorum mymaster") == [
            "+OK 1 usable Sentinels. Quorum and failover authorization can be reached"
        ]
        assert await ask(client, "SENTINEL sentinels mymaster") == []


@in_loop
async def test_what_is_cut_off_says_so() -> None:
    alone = Topology("shop", 0, ADDRESSES, lambda number: False)
    async with serving(topology=alone) as harness:
        client = await harness.connect()
        assert (await ask(client, "CLUSTER INFO"))[0] == "cluster_state:fail"
        assert (await ask(client, "SENTINEL CKQUORUM mymaster"))[0].startswith("-NOQUORUM 1 usable Sentinels.")
    async with serving(topology=THREE) as harness:
        client = await harness.connect()
        assert (await ask(client, "CLUSTER INFO"))[0] == "cluster_state:ok"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("SENTINEL get-master-addr-by-name other", ["*-1"]),
        ("SENTINEL master other", ["-ERR No such master with that name"]),
        ("SENTINEL replicas other", ["-ERR No such master with that name"]),
        ("SENTINEL sentinels other", ["-ERR No such master with that name"]),
        ("SENTINEL ckquorum other", ["-ERR No such master with that name"]),
        ("SENTINEL is-master-down-by-addr 127.0.0.1 1 0 *", [":0", "*", ":0"]),
        ("SENTINEL nope", ["-ERR unknown subcommand 'nope'. Try SENTINEL HELP."]),
        ("SENTINEL master", ["-ERR wrong number of arguments for 'sentinel|master' command"]),
        ("SENTINEL", ["-ERR wrong number of arguments for 'sentinel' command"]),
        ("SENTINEL pending-scripts", []),
        ("SENTINEL flushconfig", ["+OK"]),
        ("READONLY", ["+OK"]),
        ("READWRITE", ["+OK"]),
        ("ASKING", ["+OK"]),
        ("CLUSTER KEYSLOT {a}b", [":15495"]),
        ("CLUSTER COUNTKEYSINSLOT 16384", ["-ERR Invalid slot"]),
        ("CLUSTER COUNTKEYSINSLOT x", ["-ERR value is not an integer or out of range"]),
        ("CLUSTER GETKEYSINSLOT 1 -1", ["-ERR Invalid slot or number of keys"]),
        ("CLUSTER GETKEYSINSLOT -1 1", ["-ERR Invalid slot or number of keys"]),
        ("CLUSTER LINKS", []),
        ("CLUSTER SAVECONFIG", ["+OK"]),
        ("CLUSTER nope", ["-ERR unknown subcommand 'nope'. Try CLUSTER HELP."]),
        ("CLUSTER COUNT-FAILURE-REPORTS x", ["-ERR Unknown node x"]),
    ],
)
@in_loop
async def test_replies_are_those_of_redis(line: str, said: list[str]) -> None:
    async with serving() as harness:
        assert await ask(await harness.connect(), line) == said


@pytest.mark.parametrize("line", ["CLUSTER RESET", "CLUSTER MEET a 1", "CLUSTER FAILOVER", "SENTINEL FAILOVER mymaster"])
@in_loop
async def test_nothing_of_it_can_be_changed(line: str) -> None:
    async with serving() as harness:
        assert (await ask(await harness.connect(), line))[0].startswith("-ERR the nodes are those of the configuration file")


@pytest.mark.parametrize("keyspace", ["db", "slots:16384", "slots:16"])
@in_loop
async def test_the_keys_of_a_slot_are_found_by_looking_at_all(keyspace: str) -> None:
    async with serving(keyspace=keyspace) as harness:
        client = await harness.connect()
        for name in ("{a}1", "{a}2", "{a}3", "b", "c"):
            await client.exchange(f"SET {name} v", b"+OK\r\n")
        assert await ask(client, "CLUSTER COUNTKEYSINSLOT 15495") == [":3"]
        assert len(await ask(client, "CLUSTER GETKEYSINSLOT 15495 2")) == 2
        assert sorted(await ask(client, "CLUSTER GETKEYSINSLOT 15495 20")) == ["{a}1", "{a}2", "{a}3"]
        assert await ask(client, "CLUSTER COUNTKEYSINSLOT 15496") == [":0"]
        client.send("MULTI", "CLUSTER COUNTKEYSINSLOT 1", "EXEC")
        await client.expect(b"+OK\r\n+QUEUED\r\n*1\r\n-ERR CLUSTER COUNTKEYSINSLOT is not possible in a transaction\r\n")


@in_loop
async def test_where_slots_do_not_divide_evenly_it_is_refused() -> None:
    async with serving(keyspace="slots:100") as harness:
        assert (await ask(await harness.connect(), "CLUSTER COUNTKEYSINSLOT 1"))[0].startswith(
            "-ERR a slot of Redis's is in no slot"
        )


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "a\n"])
def test_a_name_for_the_master_is_a_word(name: str) -> None:
    with pytest.raises(ConfigError, match="master_name"):
        RedisSettings(master_name=name)


# -- with the clients themselves

sentinels: Any = redis.sentinel.Sentinel
clusters: Any = redis.cluster.RedisCluster
nodes: Any = redis.cluster.ClusterNode


@pytest.mark.parametrize("protocol", [2, 3])
def test_sentinel_of_redis_py(protocol: int) -> None:
    with ServerThread(master_name="shop") as server:
        sentinel: Any = sentinels([("127.0.0.1", 1), ("127.0.0.1", server.port)], socket_timeout=5.0, protocol=protocol)
        assert sentinel.discover_master("shop") == ("127.0.0.1", server.port)
        with pytest.raises(MasterNotFoundError):
            sentinel.discover_master("other")
        master = sentinel.master_for("shop", protocol=protocol)
        assert master.incr("k") == 1
        assert sentinel.discover_slaves("shop") == []
        assert sentinel.slave_for("shop", protocol=protocol).get("k") == b"1", "there is no other node: the master reads"
        master.close()
        sentinel.close()


@pytest.mark.parametrize("protocol", [2, 3])
def test_cluster_of_redis_py(protocol: int) -> None:
    with ServerThread() as server:
        cluster = clusters(startup_nodes=[nodes("127.0.0.1", server.port)], protocol=protocol)
        for number in range(100):
            cluster.set(f"key:{number}", number)
        assert cluster.mget_nonatomic([f"key:{number}" for number in range(100)])[99] == b"99"
        assert cluster.dbsize() == 100
        assert cluster.delete("key:1", "key:2") == 2
        with cluster.pipeline() as pipeline:
            assert pipeline.incr("a").incr("b").execute() == [1, 1]
        assert cluster.eval("return redis.call('incr', KEYS[1])", 1, "a") == 2
        assert cluster.cluster_keyslot("{a}b") == 15495
        assert len(cluster.cluster_nodes()) == 1
        assert cluster.xadd("s", {"f": "v"}, id="1-1") == b"1-1"
        cluster.close()
