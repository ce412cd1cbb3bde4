"""Lengths and strings as RDB has them. Nothing is believed: every length is compared with what there is."""

from __future__ import annotations

from .....errors import TooLarge

MAX_BYTES = 64 * 1024 * 1024
"""Of what is decompressed, all together."""
MAX_WORK = 1_000_000
"""In steps of decompressing; an element is as much work as ten of them."""
_ELEMENT = 10
_INTEGER_BYTES = {0: 1, 1: 2, 2: 4}
_LZF = 3


class BadData(Exception):
    """This is no value of the type that it is said to be."""


class Budget:
    """What one payload may cost, however it is nested."""

    def __init__(self) -> None:
        self._work = MAX_WORK
        self._bytes = MAX_BYTES

    def elements(self, count: int) -> None:
        """Raises TooLarge."""
        self.unpacking(count * _ELEMENT, 0)

    def unpacking(self, steps: int, size: int) -> None:
        """Raises TooLarge."""
        self._work -= steps
        self._bytes -= size
        if self._work < 0 or self._bytes < 0:
            raise TooLarge("a payload has more in it than one request may restore")


class Reader:
    """Goes through bytes from the front. All raises BadData, or TooLarge."""

    def __init__(self, data: bytes, budget: Budget, at: int = 0) -> None:
        self.data = data
        self.at = at
        self.budget = budget

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, size: int) -> bytes:
        if not 0 <= size <= self.left:
            raise BadData
        taken = self.data[self.at : self.at + size]
        self.at += size
        return taken

    def number(self, size: int, *, signed: bool = False) -> int:
        """Little-endian."""
        return int.from_bytes(self.take(size), "little", signed=signed)

    def length(self) -> int:
        length, is_encoded = self._length()
        if is_encoded:
            raise BadData
        return length

    def count(self) -> int:
        """Of elements that follow, each of a byte at least."""
        number = self.length()
        if number > self.left:
            raise BadData
        self.budget.elements(number)
        return number

    def _length(self) -> tuple[int, bool]:
        (first,) = self.take(1)
        kind = first >> 6
        if kind == 0:
            return first & 63, False
        if kind == 1:
            return (first & 63) << 8 | self.take(1)[0], False
        if kind == 3:
            return first & 63, True
        if first not in (0x80, 0x81):
            raise BadData
        return int.from_bytes(self.take(4 if first == 0x80 else 8), "big"), False

    def string(self) -> bytes:
        length, is_encoded = self._length()
        if not is_encoded:
            return self.take(length)
        if length in _INTEGER_BYTES:
            return b"%d" % self.number(_INTEGER_BYTES[length], signed=True)
        if length != _LZF:
            raise BadData
        packed_size, size = self.length(), self.length()
        return self._unpacked(self.take(packed_size), size)

    def _unpacked(self, packed: bytes, size: int) -> bytes:
        """LZF: a step is a run of bytes, or a place to copy from and how many."""
        self.budget.unpacking(0, size)
        out = bytearray()
        at, end, steps = 0, len(packed), 0
        while at < end:
            steps += 1
            if steps & 0xFFF == 0:
                self.budget.unpacking(0x1000, 0)
            control = packed[at]
            at += 1
            if control < 32:
                out += packed[at : at + control + 1]
                at += control + 1
                if at > end:
                    raise BadData
            else:
                at = _copy(packed, at, control, out)
            if len(out) > size:
                raise BadData
        if len(out) != size:
            raise BadData
        self.budget.unpacking(steps & 0xFFF, 0)
        return bytes(out)


def _copy(packed: bytes, at: int, control: int, out: bytearray) -> int:
    """A step that copies; returns where the next one begins."""
    length, extra = control >> 5, control >> 5 == 7
    if at + extra >= len(packed):
        raise BadData
    if extra:
        length += packed[at]
        at += 1
    start = len(out) - ((control & 31) << 8 | packed[at]) - 1
    if start < 0:
        raise BadData
    length += 2
    piece = bytes(out[start : start + length])
    out += (piece * (length // len(piece) + 1))[:length]  # where it overlaps with what it makes, that repeats
    return at + 1
