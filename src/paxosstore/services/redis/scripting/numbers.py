"""The generator behind math.random: the one that Redis uses, so that a script that sets a seed draws what it draws there."""

from __future__ import annotations

from random import getrandbits

_MASK = (1 << 48) - 1
_A, _C = 0x5DEECE66D, 0xB
_MAX = 2**31 - 1


class Random:
    """Begins anew, at random, with each script that draws."""

    __slots__ = ("_x",)

    def __init__(self) -> None:
        self._x: int | None = None

    def reset(self) -> None:
        """A script begins."""
        self._x = None

    def seed(self, number: float) -> None:
        """Begin at a number; only its lowest 32 bits count."""
        whole = int(number) if number == number and abs(number) < 2**63 else 0
        self._x = ((whole & 0xFFFFFFFF) << 16) | 0x330E

    def draw(self) -> float:
        """0 <= the next number < 1."""
        x = getrandbits(48) if self._x is None else self._x
        self._x = (x * _A + _C) & _MASK
        return (self._x >> 17) % _MAX / _MAX
