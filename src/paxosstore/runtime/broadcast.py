"""Publishing: messages that are of no log, to whoever listens at any node.

A node tells its own listeners at once, and its peers in one frame per pass of the loop. Each message arrives once, in the order
in which its node has published, while the link is up; what is sent over a link that breaks or is down is lost, and so is what is
published while a peer reads too slowly (counted: `LinkStatistics.published_lost`). Nothing is kept for anybody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from ..core.batch.published import Published
from ..wire.published import encode_published
from .links import Links

log = logging.getLogger(__name__)

FLUSH_BYTES = 256 * 1024
"""When so much waits for the peers, it is sent at once."""


class Broadcast:
    """The messages of one node, from its start to its stop."""

    def __init__(self, links: Links, listeners: list[Callable[[Sequence[Published]], None]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._links = links
        self._listeners = listeners
        self._waiting: list[Published] = []
        self._waiting_bytes = 0
        self.sent = 0
        """Messages that were published here."""
        self.received = 0
        """Messages that peers have published."""

    def publish(self, messages: Sequence[Published]) -> None:
        """Tell whoever listens: these, in order."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting += messages
        self.sent += len(messages)
        self._waiting_bytes += sum([message.size for message in messages])
        if self._waiting_bytes >= FLUSH_BYTES:
            self._flush()
        self._tell(messages)

    def take(self, messages: Sequence[Published]) -> None:
        """A peer has published these."""
        self.received += len(messages)
        self._tell(messages)

    def _flush(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if waiting:
            self._links.broadcast(encode_published(waiting), len(waiting))

    def _tell(self, messages: Sequence[Published]) -> None:
        for listener in self._listeners:
            try:
                listener(messages)
            except Exception:
                log.exception("a listener could not take what was published")
