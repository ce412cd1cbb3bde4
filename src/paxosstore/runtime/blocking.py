"""A node for scripts and notebooks: the same calls, without asyncio. The node runs in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from ..core.batch.overlay import View, WriteBatch
from ..errors import InvalidRequest, NotServing
from .home import Home
from .node import Node, NodeStatistics

T = TypeVar("T")


class BlockingNode:
    """Takes the arguments of `Node`. Use it as a context manager, or call `close`. Safe to share between threads.

    The functions of requests run in the node's own thread: there every call raises InvalidRequest, it would wait for itself. In
    a process that was forked from the node's every call raises NotServing.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="paxosstore-node", daemon=True)
        self._thread.start()
        self._lock = threading.Lock()
        self._closed = False
        self._node: Node | None = None
        self._home: Home | None = None
        try:
            self._node = self._wait(self._start(args, kwargs))
        except BaseException:
            self.close()
            raise

    async def _start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Node:
        self._home = Home()
        node = Node(*args, **kwargs)
        await node.start()
        return node

    def ready(self, *, timeout_ms: float | None = None) -> None:
        """See `Node.ready`."""
        self._wait(self._running.ready(timeout_ms=timeout_ms))

    def execute(
        self,
        entity: int,
        function: Callable[[View], bytes | None],
        *,
        read_only: bool = False,
        uuid: bytes | UUID = b"",
        timeout_ms: float | None = None,
    ) -> bytes:
        """See `Node.execute`. The function runs in the node's thread."""
        options: dict[str, Any] = {"read_only": read_only, "uuid": uuid, "timeout_ms": timeout_ms}
        return self._wait(self._running.execute(entity, function, **options))

    def call(
        self,
        entity: int,
        handler: str,
        payload: bytes,
        *,
        read_only: bool = False,
        uuid: bytes | UUID = b"",
        timeout_ms: float | None = None,
    ) -> bytes:
        """See `Node.call`."""
        options: dict[str, Any] = {"read_only": read_only, "uuid": uuid, "timeout_ms": timeout_ms}
        return self._wait(self._running.call(entity, handler, payload, **options))

    def catch_up(self, entity: int, *, timeout_ms: float | None = None) -> int:
        """See `Node.catch_up`."""
        return self._wait(self._running.catch_up(entity, timeout_ms=timeout_ms))

    def run_paxos(
        self,
        entity: int,
        entry: int,
        value: WriteBatch | Mapping[bytes, bytes | None],
        uuids: Sequence[bytes | UUID] = (),
        *,
        timeout_ms: float | None = None,
    ) -> None:
        """See `Node.run_paxos`."""
        self._wait(self._running.run_paxos(entity, entry, value, uuids, timeout_ms=timeout_ms))

    def get_write_batch(self, entity: int, entry: int) -> WriteBatch:
        """See `Node.get_write_batch`."""
        return self._wait(self._call(lambda node: node.get_write_batch(entity, entry)))

    def statistics(self) -> NodeStatistics:
        """See `Node.statistics`."""
        return self._wait(self._call(Node.statistics))

    def close(self) -> None:
        """Stop the node and its thread; safe to repeat. In a forked process it does nothing: the node is not there."""
        if self._home is not None and self._home.forked:
            self._closed = True
            return
        self._check_thread()
        with self._lock:  # what comes after this is refused, so that nothing is left when the loop ends
            closed, self._closed = self._closed, True
        if closed:
            return
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        if self._node is not None:
            await self._node.stop()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)  # the callers of others

    def __enter__(self) -> BlockingNode:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def _running(self) -> Node:
        if self._closed or self._node is None:
            raise NotServing("the node is closed")
        return self._node

    async def _call(self, function: Callable[[Node], T]) -> T:
        return function(self._running)

    def _check_thread(self) -> None:
        """Whoever waits here waits for the node's thread."""
        if threading.current_thread() is self._thread:
            raise InvalidRequest("a BlockingNode cannot be called by the functions that it runs: it would wait for itself")
        if self._home is not None and self._home.forked:
            self._home.refuse()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            self._check_thread()
        except BaseException:
            work.close()
            raise
        with self._lock:
            if self._closed:
                work.close()
                raise NotServing("the node is closed")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result()
