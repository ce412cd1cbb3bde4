"""The handlers of an application, as PAXOS.CALL and PAXOS.READ run them, at whichever node.

They see entities of their own, and of these all but one key, in which the store keeps at which entries uuids were used: so
what is too old to be remembered is refused, instead of being done again (once.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, cast

from ....boundary import exact_bytes
from ....core.batch.overlay import View
from ....errors import InvalidRequest, UuidExpired
from ..reply import ReplyError
from .once import Window

Function = Callable[[View, bytes], bytes]
"""(view, payload) -> reply."""
ENTITIES = 1 << 61
"""An application has the entities below this one; those above are the cards' and the Redis databases'."""
PREFIX = "app:"
"""In front of a handler's name, so that none is taken for one of the services'."""
ROW = b"\xff\xffpaxosstore.once"
"""The store's own key in each of an application's entities."""
_BEHIND = ROW + b"\0"
UUID_BYTES = 16
NO_UUID = bytes(UUID_BYTES)
"""In front of the payload of a read."""
_EXPIRED = b"-UUIDEXPIRED "


def handlers(functions: Mapping[str, Function], window: Window) -> dict[str, Function]:
    """The functions under the names by which nodes know them. `window`: for how long outcomes are remembered."""
    return {PREFIX + name: partial(run, name, function, window) for name, function in functions.items()}


def run(name: str, function: Function, window: Window, view: View, payload: bytes) -> bytes:
    """Run a function on what is its own of a view. `payload` has the uuid in front. Raises UuidExpired, and what it raises."""
    uuid = payload[:UUID_BYTES]
    if uuid != NO_UUID:
        _check(window, view, uuid)
    found: Any = function(cast("View", Own(view)), payload[UUID_BYTES:])
    if found is None:
        return b""
    return found if type(found) is bytes else exact_bytes(f"what handler {name} returns", found)


def _check(window: Window, view: View, uuid: bytes) -> None:
    try:
        window.check(view, uuid, ROW)
    except ReplyError as refused:
        text = refused.reply.partition(b" ")[2].rstrip().decode()
        raise (UuidExpired if refused.reply.startswith(_EXPIRED) else InvalidRequest)(text) from None


class Own:
    """A `View` without the store's own key."""

    __slots__ = ("_view", "delete", "get", "publish", "put", "require_write", "savepoint", "undo")

    def __init__(self, view: View) -> None:
        self._view = view
        self.get, self.put, self.delete = view.get, view.put, view.delete
        self.savepoint, self.undo = view.savepoint, view.undo
        self.publish, self.require_write = view.publish, view.require_write

    @property
    def entity(self) -> int:
        return self._view.entity

    @property
    def entry(self) -> int:
        return self._view.entry

    @property
    def request(self) -> int:
        return self._view.request

    @property
    def now_ms(self) -> int:
        return self._view.now_ms

    def scan(self, start: Any = b"", end: Any = None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        scan, start = self._view.scan, exact_bytes("start", start)
        end = None if end is None else exact_bytes("end", end)
        if start > ROW or (end is not None and end <= ROW):
            return scan(start, end, reverse=reverse)
        parts = [(start, ROW), (_BEHIND, end)]
        # the second part is begun with the first one: a scan shows what is there when it begins
        begun = [scan(first, last, reverse=reverse) for first, last in (reversed(parts) if reverse else parts)]
        return chain(*begun)

    def clear(self) -> None:
        kept = self._view.get(ROW)
        self._view.clear()
        if kept is not None:
            self._view.put(ROW, kept)
