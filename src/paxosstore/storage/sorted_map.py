"""A dict that can also be read in key order."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K", int, bytes)
V = TypeVar("V")


class SortedMap(Generic[K, V]):
    """Sorts its keys at the first ordered read and keeps them sorted from then on; never read in order, it is a plain dict."""

    __slots__ = ("_keys", "items")

    def __init__(self, items: dict[K, V] | None = None) -> None:
        self.items: dict[K, V] = {} if items is None else items
        """To read only."""
        self._keys: list[K] | None = None

    def put(self, key: K, value: V) -> None:
        if self._keys is not None and key not in self.items:
            insort(self._keys, key)
        self.items[key] = value

    def delete(self, key: K) -> None:
        if self.items.pop(key, None) is not None and self._keys is not None:
            del self._keys[bisect_left(self._keys, key)]

    def range(self, start: K, end: K | None = None) -> Iterator[tuple[K, V]]:
        """Pairs with start <= key < end (None: to the last), ascending."""
        keys = self._sorted()
        last = len(keys) if end is None else bisect_left(keys, end)
        for at in range(bisect_left(keys, start), last):
            yield keys[at], self.items[keys[at]]

    def delete_range(self, start: K, end: K) -> None:
        keys = self._sorted()
        first, last = bisect_left(keys, start), bisect_left(keys, end)
        for key in keys[first:last]:
            del self.items[key]
        del keys[first:last]

    def last(self) -> K | None:
        """The highest key."""
        keys = self._sorted()
        return keys[-1] if keys else None

    def copy(self) -> SortedMap[K, V]:
        return SortedMap(dict(self.items))

    def _sorted(self) -> list[K]:
        if self._keys is None:
            self._keys = sorted(self.items)
        return self._keys
