"""The library `bit`: operations on 32 bits, as LuaBitOp has them. Arguments come as text or numbers, checked by numbers.lua."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

_MASK = 0xFFFFFFFF


def unsigned(number: float) -> int:
    """The 32 bits of a number; halves are rounded to even, what is too large wraps around."""
    if isinstance(number, int):
        return number & _MASK
    return round(number) & _MASK if math.isfinite(number) else 0


def signed(bits: int) -> int:
    bits &= _MASK
    return bits - (1 << 32) if bits >> 31 else bits


def _shift(operation: Callable[[int, int], int]) -> Callable[..., int]:
    def shift(number: float, by: float) -> int:
        return signed(operation(unsigned(number), unsigned(by) & 31))

    return shift


def _rotate(x: int, n: int) -> int:
    return (x << n | x >> (32 - n)) & _MASK


def tohex(number: float, digits: float = 8) -> bytes:
    """Hexadecimal digits, in upper case where their number is negative."""
    count = signed(unsigned(digits))
    upper = count < 0
    count = min(abs(count), 8)
    text = f"{unsigned(number):08x}"[8 - count :]
    return (text.upper() if upper else text).encode()


OPERATIONS: dict[str, Callable[..., int | bytes]] = {
    "tobit": lambda x: signed(unsigned(x)),
    "bnot": lambda x: signed(~unsigned(x)),
    "bswap": lambda x: signed(int.from_bytes(unsigned(x).to_bytes(4, "little"), "big")),
    "band": lambda *all_: signed(reduce(lambda a, b: a & b, map(unsigned, all_))),
    "bor": lambda *all_: signed(reduce(lambda a, b: a | b, map(unsigned, all_))),
    "bxor": lambda *all_: signed(reduce(lambda a, b: a ^ b, map(unsigned, all_))),
    "lshift": _shift(lambda x, n: x << n),
    "rshift": _shift(lambda x, n: x >> n),
    "arshift": _shift(lambda x, n: signed(x) >> n),
    "rol": _shift(_rotate),
    "ror": _shift(lambda x, n: _rotate(x, -n & 31)),
    "tohex": tohex,
}
"""Each takes at least one number; shifts and rotations take two."""
