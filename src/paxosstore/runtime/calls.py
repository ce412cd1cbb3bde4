"""The requests that `Node` makes of calls: what they do is a function of this process, their outcome a future of its loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from ..core.batch.overlay import View
from ..core.batch.request import Request
from ..core.turn.context import Handler
from ..errors import PaxosStoreError


class FunctionRequest(Request):
    """A request whose function runs in this process; it cannot be handed over."""

    __slots__ = ("_done", "_function")

    def __init__(self, entity: int, function: Callable[[View], bytes | None], **options: Any) -> None:
        super().__init__(entity, **options)
        self._function = function
        self._done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def evaluate(self, view: View) -> bytes | None:
        return self._function(view)

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        if self._done.done():
            return  # the caller was cancelled
        if error is None:
            self._done.set_result(reply)
        else:
            self._done.set_exception(error)

    def __await__(self) -> Any:
        return self._done.__await__()


class CallRequest(FunctionRequest):
    """A request by the name of its handler: it can be handed over to the preferred proposer."""

    __slots__ = ("_payload", "handler")

    def __init__(self, entity: int, name: str, handler: Handler, payload: bytes, **options: Any) -> None:
        super().__init__(entity, lambda view: handler(view, payload), **options)
        self.handler = name  # type: ignore[misc]  # a class constant elsewhere, a slot here
        self._payload = payload
        self.size = len(payload)

    def payload(self) -> bytes:
        return self._payload

    def kept_here(self, deadline_ms: float) -> FunctionRequest:
        """The same once more, to be proposed by this node."""
        options = {"read_only": self.read_only, "uuid": self.uuid, "deadline_ms": deadline_ms}
        again = FunctionRequest(self.entity, self._function, **options)
        again.digest, again.size = self.digest, self.size
        return again


def replay(view: View, writes: Mapping[bytes, bytes | None], cleared: bool) -> None:
    """Do a caller's writes (run_paxos); None deletes."""
    if cleared:
        view.clear()
    for key, data in writes.items():
        if data is None:
            view.delete(key)
        else:
            view.put(key, data)
