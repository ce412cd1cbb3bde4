"""How much of a read a node does at one go, on its loop."""

from __future__ import annotations

from collections.abc import Iterator

from ...core.batch.overlay import View

AT_ONCE = 400
"""Rows, at some 5 to 20 µs each: with more, a read is done beside the loop (beside/)."""
_BYTES_SHIFT = 12
"""4 KiB of a value that a scan meets count as one more."""


class TooLong(BaseException):
    """A read is more than is done at one go. No error, so nobody takes it for one on its way up."""


class Metered:
    """A view for reading that gives up, by TooLong, where it takes too long."""

    __slots__ = ("_left", "_view")

    def __init__(self, view: View, most: int = AT_ONCE) -> None:
        self._view = view
        self._left = most

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

    def charge(self, rows: int) -> None:
        """What follows takes as long as so many rows."""
        self._left -= rows
        if self._left < 0:
            raise TooLong

    def get(self, key: bytes) -> bytes | None:
        self.charge(1)
        return self._view.get(key)

    def scan(self, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._view.scan(start, end, reverse=reverse):
            self.charge(1 + (len(value) >> _BYTES_SHIFT))
            yield key, value

    def put(self, key: bytes, value: bytes) -> None:
        self._view.put(key, value)

    def delete(self, key: bytes) -> None:
        self._view.delete(key)

    def clear(self) -> None:
        self._view.clear()

    def publish(self, channel: bytes, payload: bytes, kind: int = 0) -> None:
        self._view.publish(channel, payload, kind)

    def require_write(self) -> None:
        self._view.require_write()

    def savepoint(self) -> tuple[int, int, int]:
        return self._view.savepoint()

    def undo(self, savepoint: tuple[int, int, int]) -> None:
        self._view.undo(savepoint)


def charge(view: View, rows: int) -> None:
    """What follows takes as long as so many rows, though it reads none."""
    if isinstance(view, Metered):
        view.charge(rows)
