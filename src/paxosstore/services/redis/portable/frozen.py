"""An entity of a store that nobody writes to, as commands see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ....core.batch.overlay import DATA
from ....errors import InvalidRequest

_AFTER_DATA = bytes((DATA[0] + 1,))

Get = Callable[[int, bytes], bytes | None]
Scan = Callable[[int, bytes, bytes, bool], Iterator[tuple[bytes, bytes]]]


class FrozenView:
    """A `View` for reading, without limits, at the beginning of time: no key has expired."""

    entry = request = now_ms = 0

    def __init__(self, entity: int, get: Get, scan: Scan) -> None:
        """`get` and `scan` are those of a Store."""
        self.entity = entity
        self._get = get
        self._scan = scan

    def get(self, key: bytes) -> bytes | None:
        return self._get(self.entity, DATA + key)

    def scan(self, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._scan(self.entity, DATA + start, _AFTER_DATA if end is None else DATA + end, reverse):
            yield key[1:], value

    def put(self, key: bytes, value: bytes) -> None:
        raise InvalidRequest("this view is only read")

    def delete(self, key: bytes) -> None:
        raise InvalidRequest("this view is only read")

    def clear(self) -> None:
        raise InvalidRequest("this view is only read")

    def publish(self, channel: bytes, payload: bytes, kind: int = 0) -> None:
        raise InvalidRequest("this view is only read")

    def require_write(self) -> None:
        raise InvalidRequest("this view is only read")

    def savepoint(self) -> tuple[int, int, int]:
        raise InvalidRequest("this view is only read")

    def undo(self, savepoint: tuple[int, int, int]) -> None:
        raise InvalidRequest("this view is only read")
