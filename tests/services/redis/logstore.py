"""A store in memory that evaluates batches as the core does: uuids are remembered, and all that waits is one entry."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from paxosstore.core.batch.evaluate import evaluate
from paxosstore.core.batch.overlay import DATA, Overlay
from paxosstore.core.batch.request import Request, digest_of

from ...core.support import DictReader
from .support import NOW_MS


class LogStore:
    """`submit` of several nodes at once. Requests of one pass of the loop are one entry; reads are of the latest."""

    def __init__(self, window: int = 65_536) -> None:
        self.reader = DictReader()
        self.entries: dict[int, int] = {}
        self.now_ms = NOW_MS
        self.window = window
        self.max_kept_bytes = 65_536
        self.lost = False
        """Replies are lost on their way: what is asked takes effect, and nobody is told."""
        self.dropped = False
        """Requests are lost on their way."""
        self.told_nobody = asyncio.Event()
        """One has been lost."""
        self._what = b""
        self._queues: dict[int, deque[Request]] = {}

    def lose(self, what: bytes = b"") -> None:
        """Lose the replies to requests with this word, any if there is none."""
        self.lost, self._what = True, what

    def drop(self, what: bytes) -> None:
        """Lose requests with this word."""
        self.dropped, self._what = True, what

    def _is_lost(self, request: Request) -> bool:
        is_lost = self._what in b" ".join(getattr(request, "words", []))
        if is_lost:
            self.told_nobody.set()
        return is_lost

    def submit(self, request: Request) -> None:
        if self.dropped and self._is_lost(request):
            return
        if request.uuid and not request.digest:
            request.digest = digest_of(request.handler, request.payload())
        assert not (request.uuid and request.read_only), "what is remembered under a uuid is written"
        request.read_only = False  # what it reads is the latest, so it might as well write
        if not self._queues:
            asyncio.get_running_loop().call_soon(self.turn)
        self._queues.setdefault(request.entity, deque()).append(request)

    def turn(self) -> None:
        queues, self._queues = self._queues, {}
        for entity, queue in queues.items():
            self.apply(entity, queue)

    def apply_all(self, requests: Iterable[Request]) -> None:
        """As one entry of one entity, without a loop."""
        queue = deque(requests)
        self.apply(queue[0].entity, queue)

    def apply(self, entity: int, queue: deque[Request]) -> None:
        """One entry."""
        entry = self.entries.get(entity, 0) + 1
        overlay = Overlay(self.reader, entity, self.now_ms, entry=entry)
        done = evaluate(queue, overlay, entry, self.window, 4_096, 2**20, max_kept_bytes=self.max_kept_bytes)
        assert not queue
        data = self.reader.data.setdefault(entity, {})
        if done.batch.cleared:
            for key in [key for key in data if key.startswith(DATA)]:
                del data[key]
        for key, value in done.batch.writes.items():
            if value is None:
                data.pop(key, None)
            else:
                data[key] = value
        self.entries[entity] = entry if done.proposed else entry - 1
        for request, reply in done.proposed + done.decided:
            if self.lost and self._is_lost(request):
                continue
            request.settle(reply.content if reply.error is None else b"", reply.error)
