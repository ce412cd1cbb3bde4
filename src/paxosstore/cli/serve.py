"""`paxosstore serve`: one node and its services, until it is told to stop.

NodeConfig ─► Node ─┬─ Redis    commands go in by `submit`
                    ├─ gRPC     cards go in by `call`
                    └─ HTTP     statistics and inspection come out
"""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import NotServing, PaxosStoreError
from ..runtime.node import Node
from ..services.card import rules as card_rules
from ..services.card.server import CardServer
from ..services.http.metrics import NodeMetrics, counters, gauges
from ..services.http.pages import describe, node_pages
from ..services.http.server import HttpServer
from ..services.redis import commands as redis_commands
from ..services.redis.keyspace import REDIS_BASE
from ..services.redis.rows import has_expired
from ..services.redis.server import RedisServer
from .config import NodeConfig
from .logs import configure_logs

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

log = logging.getLogger(__name__)

EXPIRY_INTERVAL_S = 1.0
SLOW_STOP_S = 4.0
MAX_EXPIRY_ENTITIES = 1_024
"""Entities of the Redis service that are looked at in one round."""
EXPIRED_PER_CALL = 1_000

HANDLERS = {card_rules.HANDLER: card_rules.handle, redis_commands.HANDLER: redis_commands.handle}
"""What a request may name; the same on every node."""


def run(config: NodeConfig) -> None:
    """Serve until SIGTERM or SIGINT. Raises NodeError or ConfigError for what stands in the way of the start."""
    import uvloop

    configure_logs(config.log)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(config))


async def serve(config: NodeConfig) -> None:
    """Start the node, then its services; say so on standard output; stop them in reverse order."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)

    node = Node(config.cluster, config.node, config.peers, config.data_dir, config.tuning, HANDLERS)
    redis = RedisServer(node.submit, config.redis)
    node.on_told.append(redis.flush)
    card = CardServer(node, *config.listen.grpc)
    http = HttpServer(*config.listen.http, pages=_pages(config, node, redis))
    async with AsyncExitStack() as running:
        await node.start()
        running.push_async_callback(node.stop)
        await redis.start()
        running.push_async_callback(redis.stop)
        await card.start()
        running.push_async_callback(card.stop)
        await http.start()
        running.push_async_callback(http.stop)
        sweeper = asyncio.create_task(drop_expired(node))
        running.callback(sweeper.cancel)
        print(f"paxosstore node {config.node} ready: {config.listen}", flush=True)
        await stopped.wait()
        log.info("stopping")
        loop.call_later(SLOW_STOP_S, _say_what_waits)
    log.info("stopped")


def _say_what_waits() -> None:
    """The stop takes too long: name what it waits for, before somebody ends the process and asks why."""
    for task in asyncio.all_tasks():
        steps: list[str] = []
        step: Any = task.get_coro()
        while hasattr(step, "cr_frame") and step.cr_frame is not None:
            steps.append(f"{step.__qualname__}:{step.cr_frame.f_lineno}")
            step = step.cr_await
        log.warning("still stopping after %g s: waits in %s", SLOW_STOP_S, " > ".join(steps))


async def drop_expired(node: Node) -> None:
    """Delete Redis keys whose time has passed, entity by entity; all nodes look, and the preferred proposer writes."""
    while True:
        await asyncio.sleep(EXPIRY_INTERVAL_S * random.uniform(0.5, 1.5))
        for entity, _ in list(islice(node.committed(after=REDIS_BASE - 1), MAX_EXPIRY_ENTITIES)):
            try:
                if await node.execute(entity, has_expired, read_only=True) == b"1":
                    await node.call(entity, redis_commands.HANDLER, redis_commands.drop_expired_payload(EXPIRED_PER_CALL))
            except PaxosStoreError as error:
                log.debug("expired keys of entity %d stay for now: %s", entity, error)


def _pages(config: NodeConfig, node: Node, redis: RedisServer) -> dict[str, Any]:
    def health() -> str:
        try:
            node.statistics()
        except NotServing as error:
            return str(error)
        return ""

    def families() -> Iterator[Metric]:
        now = asdict(redis.statistics())
        still = {name: now.pop(name) for name in ("connections", "waiting")}
        yield from gauges("redis", still)
        yield from counters("redis", now)

    return dict(
        node_pages(
            health=health,
            statistics=node.statistics,
            status=lambda: describe(node.statistics(), config.cluster.cluster, node.committed()),
            inspect=node.inspect,
            content_hash=node.content_hash,
            metrics=NodeMetrics(node.statistics, families).render,
        )
    )
