"""Where a node lives: the process, the thread and the loop it was started in. Whoever calls from elsewhere is told at once.

Nothing in a node is safe to share, and a future of one loop is never heard of in another: such a call would wait for ever.
"""

from __future__ import annotations

import asyncio
import os
from threading import get_ident
from typing import NoReturn
from weakref import WeakSet

from ..errors import InvalidRequest, NotServing

NOWHERE = 0
"""The thread of a home that a fork has taken along: no thread is called that."""


class Home:
    """Made inside the loop that it stands for."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.thread = get_ident()
        """For callers that compare it themselves, and `refuse` if it is another."""
        self.life = asyncio.Lock()
        """Held by a start or a stop: a stop waits for a start under way."""
        _homes.add(self)

    def check_loop(self) -> None:
        """Raises InvalidRequest in another loop or thread, NotServing in a forked process."""
        try:
            here = asyncio.get_running_loop() is self.loop and self.thread != NOWHERE
        except RuntimeError:  # no loop runs here, or one that came along with a fork
            here = False
        if not here:
            self.refuse()

    def check_thread(self) -> None:
        """For what does not wait: the same thread is enough."""
        if get_ident() != self.thread:
            self.refuse()

    @property
    def forked(self) -> bool:
        """Whether this is the copy of a home in a forked process: the home itself is elsewhere."""
        return self.thread == NOWHERE

    def refuse(self) -> NoReturn:
        if self.forked:
            raise NotServing("the node runs in the process that this one was forked from: start the process anew (spawn)")
        raise InvalidRequest(
            "the node runs in another event loop or thread: call it there (asyncio.run_coroutine_threadsafe), or use BlockingNode"
        )


_homes: WeakSet[Home] = WeakSet()


def _forked() -> None:
    for home in _homes:
        home.thread = NOWHERE


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
