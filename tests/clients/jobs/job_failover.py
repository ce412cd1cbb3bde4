"""Clients that are told of all nodes, and of nothing else: redis-py by its Sentinel and its RedisCluster, kombu by sentinel://."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kombu import Connection
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel
from support import SERVERS, did, harm, patiently, used

VALUES = 50
ONCE = {"retry": Retry(NoBackoff(), 0), "socket_timeout": 5, "socket_connect_timeout": 1}
used("redis", "kombu")


def fill(client: Any, prefix: str) -> float:
    """Returns how long the longest of them has taken, in seconds."""
    return max(
        [took(lambda number=number: patiently(lambda: client.set(f"{prefix}:{number}", number))) for number in range(VALUES)]
    )


def check(client: Any, *prefixes: str) -> None:
    for prefix in prefixes:
        for number in range(VALUES):
            found = patiently(lambda name=f"{prefix}:{number}": client.get(name))
            assert found == b"%d" % number, f"{prefix}:{number} was lost"


def main() -> None:
    clients: dict[str, Any] = {
        "sentinel": Sentinel(SERVERS, sentinel_kwargs=ONCE).master_for("mymaster", **ONCE),
        "cluster": RedisCluster(startup_nodes=[ClusterNode(*server) for server in SERVERS], socket_timeout=5),
    }
    for name, client in clients.items():
        fill(client, name)
    url = ";".join(f"sentinel://{host}:{port}/0" for host, port in SERVERS)
    with Connection(url, transport_options={"master_name": "mymaster", "socket_timeout": 5, "socket_connect_timeout": 1}) as jobs:
        queue = jobs.SimpleQueue("jobs")
        for number in range(VALUES):
            queue.put(number)
        harm()
        with ThreadPoolExecutor() as pool:
            gaps_s = dict(zip(clients, pool.map(fill, clients.values(), [f"{name} again" for name in clients]), strict=True))
        for client in clients.values():
            check(client, *(name + more for name in clients for more in ("", " again")))
        queue = patiently(lambda: jobs.SimpleQueue("jobs"))
        seen = {patiently(lambda: take(queue)) for _ in range(VALUES)}
        assert seen == set(range(VALUES)), "a message was lost"
    longest = ", ".join([f"{name} {gap_s:.1f} s" for name, gap_s in gaps_s.items()])
    did(f"{VALUES} values each, and as many behind it, {VALUES} messages; longest gap: {longest}")


def take(queue: Any) -> int:
    message = queue.get(timeout=30)
    message.ack()
    number: int = message.payload
    return number


def took(call: Callable[[], object]) -> float:
    began_s = time.monotonic()
    call()
    return time.monotonic() - began_s


if __name__ == "__main__":
    main()
