"""The registers of a HyperLogLog as Redis keeps them in a string, byte for byte.

"HYLL", encoding (1), unused (3), cardinality (8, little-endian; its highest bit: it has to be counted anew), registers
dense (0):  6 bits for each of the 16,384 registers, lowest bits first
sparse (1): runs of equal registers, one byte each, two for XZERO
            00llllll           ZERO:  l + 1 registers are 0
            01llllll llllllll  XZERO: l + 1 registers are 0
            1vvvvvll           VAL:   l + 1 registers are v + 1
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate

from ...layout.compact import limits

REGISTERS = 16_384
REGISTER_BITS = 6
HEADER_BYTES = 16
DENSE_BYTES = HEADER_BYTES + REGISTERS * REGISTER_BITS // 8
_MAGIC = b"HYLL"
_DENSE, _SPARSE = 0, 1
_ENCODING = 4
_CARDINALITY = slice(8, 16)
_STALE = 0x80
_MOST_SPARSE = 32
_ZERO_RUN = 64
_VAL_RUN = 4
_ALL_ZERO = bytes((0x40 | REGISTERS - 1 >> 8, REGISTERS - 1 & 0xFF))
_Q = 50
_ALPHA = 0.721347520444481703680
_LEFT = {bits: bytes([byte << bits & 0xFF for byte in range(256)]) for bits in (2, 4, 6)}
_RIGHT = {bits: bytes([byte >> bits for byte in range(256)]) for bits in (2, 4, 6)}
_LEFT_6 = {bits: bytes([byte << bits & 0x3F for byte in range(256)]) for bits in (0, 2, 4)}
"""What each byte becomes when it is shifted; of the last, six bits are left."""
_HIGH_BITS = int.from_bytes(b"\x80" * REGISTERS, "little")


class Corrupted(Exception):
    """The registers make no sense."""


class Sketch:
    """A HyperLogLog as it stands in a string. Raises ValueError for one that is none, Corrupted where its runs are wrong."""

    __slots__ = ("_dense", "_header", "_runs", "_size", "_starts")

    def __init__(self, value: bytes | None = None) -> None:
        """None: a new one, which is sparse."""
        if value is None:
            value = _MAGIC + bytes((_SPARSE,)) + bytes(11) + _ALL_ZERO
        if len(value) < HEADER_BYTES or not value.startswith(_MAGIC) or value[_ENCODING] > _SPARSE:
            raise ValueError("no HyperLogLog")
        if value[_ENCODING] == _DENSE and len(value) != DENSE_BYTES:
            raise ValueError("no HyperLogLog")
        self._header = bytearray(value[:HEADER_BYTES])
        self._dense = bytearray()
        self._runs: list[bytes] = []
        self._starts: list[int] = []
        """The first register of each run, and behind them the number of registers."""
        self._size = len(value)
        """As long as it is sparse."""
        if value[_ENCODING] == _DENSE:
            self._dense = bytearray(_unpacked(value[HEADER_BYTES:]))
        else:
            self._runs = _split(value[HEADER_BYTES:])
            self._starts = [0, *accumulate(map(_length, self._runs))]

    @property
    def is_dense(self) -> bool:
        return self._header[_ENCODING] == _DENSE

    @property
    def value(self) -> bytes:
        return bytes(self._header) + (_packed(self._dense) if self.is_dense else b"".join(self._runs))

    @property
    def cardinality(self) -> int | None:
        """As it was counted last; None: something has changed since."""
        counted = self._header[_CARDINALITY]
        return None if counted[7] & _STALE else int.from_bytes(counted, "little")

    @cardinality.setter
    def cardinality(self, counted: int | None) -> None:
        if counted is None:
            self._header[15] |= _STALE
        else:
            self._header[_CARDINALITY] = counted.to_bytes(8, "little")

    def described(self) -> str:
        """The runs, as PFDEBUG shows them. Raises Corrupted."""
        shown = []
        for run in self._runs:
            kind = f"v:{_value(run)}," if _value(run) else "Z:" if len(run) == 2 else "z:"
            shown.append(f"{kind}{_length(run)}")
        return " ".join(shown)

    def registers(self) -> bytes:
        """One byte each. Raises Corrupted."""
        if self.is_dense:
            return bytes(self._dense)
        if self._starts[-1] != REGISTERS:
            raise Corrupted
        return b"".join([bytes((_value(run),)) * _length(run) for run in self._runs])

    def set(self, index: int, count: int) -> bool:
        """Raise a register to `count`; whether it was lower. Raises Corrupted."""
        if self.is_dense:
            if self._dense[index] >= count:
                return False
            self._dense[index] = count
            return True
        if count > _MOST_SPARSE:
            return self._promote(index, count)
        at = bisect_right(self._starts, index) - 1
        if at >= len(self._runs):
            raise Corrupted
        run, first, after = self._runs[at], self._starts[at], self._starts[at + 1]
        value = _value(run)
        if value >= count:
            return False
        new = _val(count, 1)
        if after - first > 1 or len(run) > 1:
            parts = [_run(value, index - first), new, _run(value, after - index - 1)]
            starts = [first, index, index + 1]
            kept = [number for number, part in enumerate(parts) if part]
            grown = sum(map(len, parts)) - len(run)
            if grown > 0 and self._size + grown > limits["hll-sparse-max-bytes"]:
                return self._promote(index, count)
            self._size += grown
            self._runs[at : at + 1] = [parts[number] for number in kept]
            self._starts[at : at + 1] = [starts[number] for number in kept]
        else:
            self._runs[at] = new
        self._join(max(at - 1, 0))
        return True

    def _join(self, at: int) -> None:
        """Join equal neighbours, of a few runs from this one on, as Redis does."""
        runs = self._runs
        for _ in range(5):
            if at >= len(runs):
                return
            if at + 1 < len(runs) and _value(runs[at]) and _value(runs[at]) == _value(runs[at + 1]):
                length = _length(runs[at]) + _length(runs[at + 1])
                if length <= _VAL_RUN:
                    runs[at : at + 2] = [_val(_value(runs[at]), length)]
                    del self._starts[at + 1]
                    self._size -= 1
                    continue
            at += 1

    def _promote(self, index: int, count: int) -> bool:
        self.make_dense()
        return self.set(index, count)

    def make_dense(self) -> None:
        """Raises Corrupted."""
        if not self.is_dense:
            self._dense = bytearray(self.registers())
            self._header[_ENCODING] = _DENSE
            self._runs, self._starts = [], []

    def raise_to(self, registers: bytes) -> None:
        """Raise each register to what it is there. Raises Corrupted."""
        if self.is_dense:
            self._dense = bytearray(highest(bytes(self._dense), registers))
            return
        for index, count in enumerate(registers):
            if count:
                self.set(index, count)


def highest(one: bytes, other: bytes) -> bytes:
    """Of two arrays of registers, the higher one of each pair: as one number, in a few steps."""
    first, second = int.from_bytes(one, "little"), int.from_bytes(other, "little")
    not_less = ((first | _HIGH_BITS) - second & _HIGH_BITS) >> 7
    mask = not_less * 0xFF
    return (first & mask | second & ~mask).to_bytes(REGISTERS, "little")


def estimate(registers: bytes) -> int:
    """How many different elements there were (Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches")."""
    of = [registers.count(bytes((number,))) for number in range(64)]
    z = REGISTERS * _tau((REGISTERS - of[_Q + 1]) / REGISTERS)
    for number in range(_Q, 0, -1):
        z += of[number]
        z *= 0.5
    z += REGISTERS * _sigma(of[0] / REGISTERS)
    cardinality = _ALPHA * REGISTERS * REGISTERS / z
    return int(cardinality) + (cardinality - int(cardinality) >= 0.5)


def _sigma(x: float) -> float:
    if x == 1.0:
        return math.inf
    y, z, before = 1.0, x, -1.0
    while before != z:
        x *= x
        before = z
        z += x * y
        y += y
    return z


def _tau(x: float) -> float:
    if x in (0.0, 1.0):
        return 0.0
    y, z, before = 1.0, 1 - x, -1.0
    while before != z:
        x = math.sqrt(x)
        before = z
        y *= 0.5
        z -= (1 - x) ** 2 * y
    return z / 3


# -- dense


def _unpacked(packed: bytes) -> bytes:
    """Four registers from each three bytes, one byte each."""
    one, two, three = packed[0::3], packed[1::3], packed[2::3]
    registers = bytearray(REGISTERS)
    registers[0::4] = one.translate(_LEFT_6[0])
    registers[1::4] = _either(one.translate(_RIGHT[6]), two.translate(_LEFT_6[2]))
    registers[2::4] = _either(two.translate(_RIGHT[4]), three.translate(_LEFT_6[4]))
    registers[3::4] = three.translate(_RIGHT[2])
    return bytes(registers)


def _packed(registers: bytes | bytearray) -> bytes:
    a, b, c, d = (bytes(registers[first::4]) for first in range(4))
    packed = bytearray(REGISTERS * REGISTER_BITS // 8)
    packed[0::3] = _either(a, b.translate(_LEFT[6]))
    packed[1::3] = _either(b.translate(_RIGHT[2]), c.translate(_LEFT[4]))
    packed[2::3] = _either(c.translate(_RIGHT[4]), d.translate(_LEFT[2]))
    return bytes(packed)


def _either(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") | int.from_bytes(other, "big")).to_bytes(len(one), "big")


# -- sparse


def _split(sparse: bytes) -> list[bytes]:
    """Into runs."""
    runs = []
    at = 0
    while at < len(sparse):
        size = 2 if sparse[at] & 0xC0 == 0x40 else 1
        runs.append(sparse[at : at + size].ljust(size, b"\0"))
        at += size
    return runs


def _length(run: bytes) -> int:
    if run[0] & 0x80:
        return (run[0] & 3) + 1
    return ((run[0] & 0x3F) << 8 | run[1]) + 1 if len(run) == 2 else (run[0] & 0x3F) + 1


def _value(run: bytes) -> int:
    return (run[0] >> 2 & 31) + 1 if run[0] & 0x80 else 0


def _val(value: int, length: int) -> bytes:
    return bytes((0x80 | value - 1 << 2 | length - 1,))


def _run(value: int, length: int) -> bytes:
    """So many registers of a value; nothing if there are none."""
    if not length:
        return b""
    if value:
        return _val(value, length)
    if length <= _ZERO_RUN:
        return bytes((length - 1,))
    return bytes((0x40 | length - 1 >> 8, length - 1 & 0xFF))
