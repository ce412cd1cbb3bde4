"""`paxosstore serve`: one node and its services, until it is told to stop.

NodeConfig ─► Node ─┬─ Redis    commands go in by `submit`
                    ├─ gRPC     cards go in by `call`
                    └─ HTTP     statistics and inspection come out
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ..core.turn.budget import Job
from ..errors import NotServing
from ..runtime.collector import ShortCollections
from ..runtime.node import Node
from ..services import importing
from ..services.card import rules as card_rules
from ..services.card.server import CardServer
from ..services.http.checkpoint import CheckpointPage
from ..services.http.metrics import NodeMetrics, counters, gauges
from ..services.http.pages import describe, node_pages
from ..services.http.server import HttpServer, Page, SlowPage
from ..services.http.settings import settings_actions, settings_pages
from ..services.http.verify import verify_actions, verify_pages
from ..services.redis.commands import calls
from ..services.redis.commands import handler as redis_commands
from ..services.redis.commands.once import Window
from ..services.redis.information import more as more_info
from ..services.redis.server import RedisServer
from ..services.redis.session.topology import Topology
from ..services.redis.sweeper import Sweeper
from .allocator import bound_what_is_kept
from .application import load_app
from .bar import is_wanted, show_progress
from .config import Content, NodeConfig, services
from .descriptors import share_out
from .intake import HANDLERS as INTAKE_HANDLERS
from .intake import Intake
from .interpreter import let_the_loop_go_soon
from .live import LiveSettings
from .logs import configure_logs

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

log = logging.getLogger(__name__)

GRACE_S = 3.0
"""How long requests under way may take after the signal to stop; a second signal ends it."""
SLOW_STOP_S = 4.0
IGNORED = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name))
"""Signals that would end a process which does not expect them."""

HANDLERS = {
    card_rules.HANDLER: card_rules.handle,
    importing.HANDLER: importing.handle,
}
"""What a request may name; the same on every node."""


def run(content: Content, *, force_reentry: bool = False) -> None:
    """Serve with the settings of this file until SIGTERM or SIGINT.

    Raises NodeError or ConfigError for what stands in the way of the start.
    """
    import uvloop

    configure_logs(content.check().log)
    bound_what_is_kept()
    let_the_loop_go_soon()
    ShortCollections().begin()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(content, force_reentry=force_reentry))


async def serve(content: Content, *, force_reentry: bool = False) -> None:
    """Start the node, then its services; say so on standard output; at the signal drain and stop them, then the node."""
    signals, config = Signals(), content.check()
    app = load_app(content, config.app)
    window = Window(config.cluster.uuid_window_entries)
    handlers = {**HANDLERS, redis_commands.HANDLER: redis_commands.handler_of(window), **calls.handlers(app or {}, window)}
    handlers[importing.OF_A_RUN] = importing.of_a_run({name: handlers[name] for name in INTAKE_HANDLERS})
    room = share_out(config.redis.max_clients)
    node = Node(config.cluster, config.node, config.peers, config.data_dir, config.tuning, handlers, force_reentry=force_reentry)
    node.elsewhere.update((number, services(at)) for number, at in enumerate(config.nodes))
    redis = RedisServer(
        node.submit,
        replace(config.redis, max_clients=room.redis),
        feed=node.feed,
        freeze=node.frozen,
        publish=lambda channel, payload, kind: node.publish(channel, payload, kind=kind),
        now_ms=node.now_ms,
        replicas=len(config.peers) // 2,
        uuid_window_entries=config.cluster.uuid_window_entries,
        info=more_info(node.peek, config.redis.slots, lambda: sweeper.dropped_keys),
        app=app,
        directory=config.data_dir,
        topology=Topology(config.cluster.cluster, config.node, [each.redis for each in config.nodes], node.is_up),
    )
    node.on_told.append(redis.flush)
    node.on_published.append(redis.hub.take)
    sweeper = Sweeper(node, lambda size, ms: node.background.charge(Job.KEY_EXPIRY, size, ms))
    node.on_applied.append(sweeper.applied)
    card = None if config.listen.grpc is None else CardServer(node, *config.listen.grpc, max_connections=room.grpc)

    def apply(before: NodeConfig, now: NodeConfig) -> None:
        clients = room.redis if now.redis.max_clients == before.redis.max_clients else share_out(now.redis.max_clients).redis
        node.tune(now.tuning)
        redis.tune(replace(now.redis, max_clients=clients))
        http.answer_to(now.http_hosts)
        if now.log != before.log:
            configure_logs(now.log)

    def warning() -> str:
        with suppress(NotServing):  # its store is being replaced
            now = node.statistics()
            return now.no_majority_because if now.learns_only else ""
        return ""

    live = LiveSettings(content, apply, warning)
    pages = {**_pages(config, node, redis, live), **settings_pages(live), **verify_pages(node.verifier)}
    places: dict[str, SlowPage] = {"/checkpoint": CheckpointPage(node.checkpoint), "/import": Intake(node, config.data_dir)}
    actions: dict[str, Page | SlowPage] = {**settings_actions(live), **verify_actions(node.verifier), **places}
    http = HttpServer(*config.listen.http, pages=pages, actions=actions, hosts=config.http_hosts, max_connections=room.http)
    async with AsyncExitStack() as running:
        await node.start()
        running.push_async_callback(node.stop)
        await redis.start()
        running.push_async_callback(redis.stop)
        if card is not None:
            await card.start()
            running.push_async_callback(card.stop, 0.0)
        await http.start()
        running.push_async_callback(http.stop)
        besides = [sweeper.run(), signals.reread(live), *([show_progress(node.statistics)] if is_wanted() else [])]
        for task in map(asyncio.create_task, besides):
            running.callback(task.cancel)
        with suppress(OSError):  # nobody listens any more
            print(f"paxosstore node {config.node} listens: {config.listen}", flush=True)
        await signals.stop.wait()
        log.info("stopping: requests under way have %g s", GRACE_S)
        draining = [http.stop(GRACE_S), redis.drain(GRACE_S), *([] if card is None else [card.stop(GRACE_S)])]
        await _drain(draining, signals.hurry)
        asyncio.get_running_loop().call_later(SLOW_STOP_S, _say_what_waits)
    log.info("stopped")


class Signals:
    """What the process is told from outside: to stop, to hurry with it, or what does not concern it."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        self._reread = asyncio.Event()
        if hasattr(signal, "SIGHUP"):  # not on every system: there is `paxosstore set`
            loop.add_signal_handler(signal.SIGHUP, self._reread.set)
        for number in IGNORED:
            loop.add_signal_handler(number, log.info, "%s is ignored", number.name)

    async def reread(self, live: LiveSettings) -> None:
        """For ever: read the settings again whenever the process is told to."""
        while True:
            await self._reread.wait()
            self._reread.clear()
            try:
                await live.reread()
            except Exception as error:  # a file may be put right, and the signal sent again
                live.trouble = f"it could not be taken in: {type(error).__name__}: {error}"
                log.exception("the settings were not read again")

    def _end(self) -> None:
        (self.hurry if self.stop.is_set() else self.stop).set()


async def _drain(services: list[Coroutine[Any, Any, None]], hurry: asyncio.Event) -> None:
    """Let the services end what is under way, all at once, until there is a hurry."""
    ending = asyncio.gather(*services)
    hurrying = asyncio.ensure_future(hurry.wait())
    await asyncio.wait((ending, hurrying), return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    hurrying.cancel()
    await asyncio.gather(ending, hurrying, return_exceptions=True)


def _say_what_waits() -> None:
    """The stop takes too long: name what it waits for, before somebody ends the process and asks why."""
    for task in asyncio.all_tasks():
        steps: list[str] = []
        step: Any = task.get_coro()
        while hasattr(step, "cr_frame") and step.cr_frame is not None:
            steps.append(f"{step.__qualname__}:{step.cr_frame.f_lineno}")
            step = step.cr_await
        log.warning("still stopping after %g s: waits in %s", SLOW_STOP_S, " > ".join(steps))


def _pages(config: NodeConfig, node: Node, redis: RedisServer, live: LiveSettings) -> dict[str, Any]:
    def health() -> str:
        try:
            node.statistics()
        except NotServing as error:
            return str(error)
        return ""

    def families() -> Iterator[Metric]:
        now = asdict(redis.statistics())
        still = {name: now.pop(name) for name in ("connections", "waiting", "held_bytes")}
        yield from gauges("redis", still)
        yield from counters("redis", now)

    return dict(
        node_pages(
            health=health,
            statistics=node.statistics,
            status=lambda: {
                **describe(node.statistics(), config.cluster.cluster, node.committed()),
                "settings_changed": live.differing(),
                "settings_trouble": live.trouble,
            },
            inspect=node.inspect,
            content_hash=node.content_hash,
            metrics=NodeMetrics(node.statistics, families).render,
        )
    )
