"""A dict that can also be read in key order."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K", int, bytes)
V = TypeVar("V")

_FEW = 64
"""So many are put in place one by one; above that, sorting all anew is quicker."""


class SortedMap(Generic[K, V]):
    """Sorts its keys at the first ordered read and keeps them sorted from then on; never read in order, it is a plain dict."""

    __slots__ = ("_added", "_keys", "items")

    def __init__(self, items: dict[K, V] | None = None) -> None:
        self.items: dict[K, V] = {} if items is None else items
        """To read only."""
        self._keys: list[K] | None = None
        self._added: list[K] = []
        """Not among the sorted ones yet."""

    def put(self, key: K, value: V) -> None:
        if self._keys is not None and key not in self.items:
            self._added.append(key)
        self.items[key] = value

    def delete(self, key: K) -> None:
        if self.items.pop(key, None) is not None and self._keys is not None:
            keys = self._sorted()
            del keys[bisect_left(keys, key)]

    def range(self, start: K, end: K | None = None, reverse: bool = False) -> Iterator[tuple[K, V]]:
        """Pairs with start <= key < end (None: to the last), ascending, or descending."""
        keys = self._sorted()
        places = range(bisect_left(keys, start), len(keys) if end is None else bisect_left(keys, end))
        for at in reversed(places) if reverse else places:
            yield keys[at], self.items[keys[at]]

    def delete_range(self, start: K, end: K) -> None:
        keys = self._sorted()
        first, last = bisect_left(keys, start), bisect_left(keys, end)
        for key in keys[first:last]:
            del self.items[key]
        del keys[first:last]

    def copy(self) -> SortedMap[K, V]:
        return SortedMap(dict(self.items))

    def _sorted(self) -> list[K]:
        if self._keys is None:
            self._keys = sorted(self.items)
        elif len(self._added) < _FEW:
            for key in self._added:
                insort(self._keys, key)
        else:
            self._keys += self._added
            self._keys.sort()
        self._added.clear()
        return self._keys
