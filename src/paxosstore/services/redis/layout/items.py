"""The elements of a list: rows keyed by their index, so that both ends are found without a look at anything between.

The first element may have any index; it goes down with what is put before it, and up with what is taken: an index is not
used again at that end until the other way is gone back, so nothing ever walks over rows that were deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ....core.batch.overlay import View
from .collection import Collection
from .keys import LIST

_MIDDLE = 1 << 63
_FEW = 8
"""So many are read one by one; a scan is opened for more."""
_CHEAP = 64
"""So many rows are deleted at once rather than left to who cleans up."""


class Items:
    """A list as it stands, or as it will once `save` is called. Positions count from 0 and must be within. Raises WrongType."""

    __slots__ = ("_first", "_rows")

    def __init__(self, view: View, name: bytes) -> None:
        rows = self._rows = Collection(view, name, LIST)
        self._first = int.from_bytes(rows.extra, "big") if rows.exists else _MIDDLE
        """Index of the first element."""

    @property
    def size(self) -> int:
        return self._rows.size

    def get(self, position: int) -> bytes:
        value = self._rows.get(self._index(position))
        assert value is not None, "every index from the first to the last is there"
        return value

    def set(self, position: int, value: bytes) -> None:
        self._rows.put(self._index(position), value)

    def slice(self, start: int, stop: int) -> list[bytes]:
        """The elements with start <= position < stop."""
        if stop - start <= _FEW:
            return [self.get(position) for position in range(start, stop)]
        return [value for _, value in self._rows.scan(self._index(start), self._index(stop))]

    def each(self, start: int = 0, *, reverse: bool = False) -> Iterator[tuple[int, bytes]]:
        """Positions and elements, from a position on to the end; `reverse`: from the end back to it."""
        rows = self._rows.scan(self._index(start), self._index(self.size), reverse=reverse)
        steps = range(self.size - 1, start - 1, -1) if reverse else range(start, self.size)
        for position, (_, value) in zip(steps, rows, strict=True):
            yield position, value

    def push(self, value: bytes, *, left: bool) -> None:
        if left:
            self._first -= 1
        self._rows.size += 1
        self.set(0 if left else self.size - 1, value)

    def pop(self, *, left: bool) -> bytes:
        position = 0 if left else self.size - 1
        value = self.get(position)
        self._forget(position)
        self._first += left
        self._rows.size -= 1
        return value

    def pop_many(self, count: int, *, left: bool) -> list[bytes]:
        """Up to so many elements, the one at the end first."""
        count = min(count, self.size)
        if count == self.size > _CHEAP:
            values = self.slice(0, count)
            self._rows.drop()
            return values if left else values[::-1]
        return [self.pop(left=left) for _ in range(count)]

    def insert(self, position: int, value: bytes) -> None:
        """Put it before the element there; those of the shorter side move."""
        size = self.size
        left = position < size - position
        moved = self.slice(0, position) if left else self.slice(position, size)
        self._rows.size += 1
        if left:
            self._first -= 1
            self._write(0, [*moved, value])
        else:
            self._write(position, [value, *moved])

    def remove(self, positions: Sequence[int]) -> None:
        """Take out some, in ascending order; those of the shorter side move."""
        gone, size = set(positions), self.size
        low, high, count = positions[0], positions[-1], len(positions)
        if high + 1 <= size - low:
            kept = [value for at, value in enumerate(self.slice(0, high + 1)) if at not in gone]
            for at in range(count):
                self._forget(at)
            self._first += count
            self._rows.size -= count
            self._write(0, kept)
        else:
            kept = [value for at, value in enumerate(self.slice(low, size), low) if at not in gone]
            for at in range(size - count, size):
                self._forget(at)
            self._rows.size -= count
            self._write(low, kept)

    def trim(self, start: int, stop: int) -> None:
        """Keep those with start <= position < stop. It costs by what goes, or by what stays, whichever is less."""
        size, kept = self.size, stop - start
        gone = size - kept
        if gone <= max(_CHEAP, 2 * kept):
            for position in (*range(start), *range(stop, size)):
                self._forget(position)
            self._first += start
            self._rows.size = kept
        elif not kept:
            self._rows.drop()
        else:
            values = self.slice(start, stop)
            self._rows.renew()
            self._first = _MIDDLE
            self._rows.size = kept
            self._write(0, values)

    def save(self) -> None:
        """Call it once, behind the last change. A list without elements is none."""
        rows = self._rows
        rows.extra = self._first.to_bytes(8, "big")
        rows.save()

    def _index(self, position: int) -> bytes:
        return (self._first + position).to_bytes(8, "big")

    def _forget(self, position: int) -> None:
        self._rows.delete(self._index(position))

    def _write(self, position: int, values: Sequence[bytes]) -> None:
        for at, value in enumerate(values, position):
            self.set(at, value)
