"""Rows of data that were read lately, in memory, as they are in the table now: who sets a key again and again reads it once.

Two halves. What is used goes into the younger one; when that is full, the older one is forgotten, and the younger one is it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

HALF_BYTES: Final = 4 * 1024 * 1024
MAX_VALUE_BYTES: Final = 4_096
ROW_BYTES: Final = 200
"""What a row takes beside its key and value."""


class RecentRows:
    """Of one table. It belongs to the thread that writes, which tells it of all that it writes."""

    __slots__ = ("_old", "_read", "_size", "_young")

    def __init__(self, read: Callable[[bytes], bytes | None]) -> None:
        self._read = read
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._size = 0
        """Of the younger ones."""

    def get(self, key: bytes) -> bytes | None:
        """As the table has it. Raises what reading that raises."""
        found = self._young.get(key)
        if found is not None:
            return found
        found = self._old.get(key)
        if found is None:
            found = self._read(key)
        if found is not None and len(found) <= MAX_VALUE_BYTES:
            self._size += ROW_BYTES + len(key) + len(found)
            self._young[key] = found
            self._look_at_size()
        return found

    def wrote(self, prefix: bytes, rows: Mapping[bytes, bytes | None]) -> None:
        """These are the rows of the keys that begin so now; None: deleted."""
        young, old = self._young, self._old
        if not young and not old:
            return
        for name, value in rows.items():
            key = prefix + name
            before = young.get(key)
            if before is None and key not in old:
                continue
            old.pop(key, None)
            if before is not None:
                self._size -= ROW_BYTES + len(key) + len(before)
            if value is None or len(value) > MAX_VALUE_BYTES:
                young.pop(key, None)
            else:
                self._size += ROW_BYTES + len(key) + len(value)
                young[key] = value
        self._look_at_size()

    def _look_at_size(self) -> None:
        if self._size >= HALF_BYTES:
            self._old, self._young, self._size = self._young, {}, 0

    def forget(self) -> None:
        """More has changed than single rows."""
        self._young, self._old, self._size = {}, {}, 0
