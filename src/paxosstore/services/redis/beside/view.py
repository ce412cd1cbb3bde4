"""An entity as it was at one moment, for one long read, in its thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Protocol

from ....core.batch.overlay import NeedsWrite
from ....errors import NotServing, TooLarge
from ..layout.keys import Aside
from ..portable.frozen import FrozenView

MAX_ROWS = 1_000_000
MAX_BYTES = 32 * 1024 * 1024
MAX_SECONDS = 10.0
"""What one long read may take."""
SLOW_S, SLOW_ROWS = 1.0, 2_000
"""A read that meets no more rows in so long is done on the loop, where it is quick: a key that is not there is looked up by what
lies behind it, which takes long where that is a value of megabytes."""
LOOKS_EVERY = 256
"""Rows, between two looks at whether anybody waits for it."""


class Frozen(Protocol):
    """What it reads: the data of an entity, its keys with their space byte. Raises NotServing when the store is closed."""

    entry: int
    """The last one that is applied in it."""

    def get(self, entity: int, key: bytes) -> bytes | None: ...

    def scan(self, entity: int, start: bytes, end: bytes, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]: ...

    def close(self) -> None: ...


class LongView(FrozenView, Aside):
    """Raises TooLarge beyond its bounds, NotServing when nobody waits any more, NeedsWrite for what is to be done on the loop."""

    def __init__(self, entity: int, frozen: Frozen, now_ms: int, max_rows: int, wanted: Callable[[], bool]) -> None:
        FrozenView.__init__(self, entity, self._counted_get, self._counted_scan)
        Aside.__init__(self)
        self._frozen = frozen
        self.entry = frozen.entry
        self.now_ms = now_ms
        self._wanted = wanted
        self._max_rows = max_rows
        self._rows = self._bytes = 0
        self._began_s = monotonic()

    def require_write(self) -> None:
        raise NeedsWrite

    def _counted_get(self, entity: int, key: bytes) -> bytes | None:
        value = self._frozen.get(entity, key)
        self._count(len(key) + (0 if value is None else len(value)))
        return value

    def _counted_scan(self, entity: int, start: bytes, end: bytes, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._frozen.scan(entity, start, end, reverse):
            self._count(len(key) + len(value))
            yield key, value

    def _count(self, size: int) -> None:
        self._rows += 1
        self._bytes += size
        if self._rows > self._max_rows:
            raise TooLarge(f"a read may visit {self._max_rows} rows at most: ask for less at a time")
        if self._bytes > MAX_BYTES:
            raise TooLarge(f"a read may visit {MAX_BYTES} bytes of rows at most: ask for less at a time")
        if self._rows % LOOKS_EVERY == 0:
            if not self._wanted():
                raise NotServing("nobody waits for it any more")
            took_s = monotonic() - self._began_s
            if took_s > SLOW_S and self._rows < SLOW_ROWS * took_s:
                raise NeedsWrite
            if took_s > MAX_SECONDS:
                raise TooLarge(f"a read may take {MAX_SECONDS:g} s at most: ask for less at a time")
