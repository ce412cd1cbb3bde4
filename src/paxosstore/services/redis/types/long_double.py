"""Redis counts with C's long double, of 64 bits of mantissa: read, rounded and written as it does on x86-64.

A number here is a Fraction that a long double can hold; infinite ones are math.inf and -math.inf.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

MAX_CHARS = 5_119
"""Longest spelling that is read."""
_MANTISSA = 64
_MAX_EXPONENT = 16_384
"""The largest numbers are below 2 to this."""
_LEAST_BIT = -16_445
_DECIMAL = re.compile(rb"([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?", re.IGNORECASE)
_HEXADECIMAL = re.compile(rb"([+-]?)0x([0-9a-f]*)(?:\.([0-9a-f]*))?(?:p([+-]?\d+))?", re.IGNORECASE)
_INFINITE = re.compile(rb"([+-]?)inf(?:inity)?", re.IGNORECASE)
_PIECE = 4_000
_FAR = 40_000
"""Exponents beyond this, with so few digits, are out of any range."""


def parse(text: bytes) -> Fraction | float | None:
    """None: it is not a number, or one too large or too near to zero."""
    if not text or len(text) > MAX_CHARS:
        return None
    if found := _INFINITE.fullmatch(text):
        return -math.inf if found[1] == b"-" else math.inf
    if found := _HEXADECIMAL.fullmatch(text):
        base, power = 16, 2
    elif found := _DECIMAL.fullmatch(text):
        base, power = 10, 10
    else:
        return None
    whole, part = found[2], found[3] or b""
    if not whole + part:
        return None
    digits = _read(whole + part, base)
    if not digits:
        return Fraction(0)
    exponent = _bounded(found[4] or b"0")
    number = Fraction(digits) / base ** len(part) * Fraction(power) ** exponent
    rounded = round_to(-number if found[1] == b"-" else number)
    return None if rounded == 0 or isinstance(rounded, float) else rounded


def round_to(number: Fraction) -> Fraction | float:
    """The nearest number that can be held."""
    if not number:
        return number
    top = abs(number.numerator).bit_length() - number.denominator.bit_length()
    if abs(number) < Fraction(2) ** top:
        top -= 1
    bit = Fraction(2) ** max(top - _MANTISSA + 1, _LEAST_BIT)
    rounded = round(number / bit) * bit
    return rounded if abs(rounded) < 2**_MAX_EXPONENT else math.inf if number > 0 else -math.inf


def add(one: Fraction | float, other: Fraction | float) -> Fraction | None:
    """None: the sum is not finite."""
    if isinstance(one, float) or isinstance(other, float):
        return None
    total = round_to(one + other)
    return None if isinstance(total, float) else total


def human(number: Fraction) -> bytes:
    """17 digits behind the point at most, and none that says nothing."""
    scaled = abs(round(number * 10**17))
    whole, part = divmod(scaled, 10**17)
    text = b"%b%b.%017d" % (b"" if number >= 0 else b"-", _written(whole), part)
    text = text.rstrip(b"0").rstrip(b".")
    return b"0" if text == b"-0" else text


def _bounded(exponent: bytes) -> int:
    digits = exponent.lstrip(b"+-").lstrip(b"0")
    far = _FAR if len(digits) > 5 else min(int(digits or b"0"), _FAR)
    return -far if exponent.startswith(b"-") else far


def _read(digits: bytes, base: int) -> int:
    """Piece by piece: Python converts no more than 4,300 digits at once."""
    number = 0
    for at in range(0, len(digits), _PIECE):
        piece = digits[at : at + _PIECE]
        number = number * base ** len(piece) + int(piece, base)
    return number


def _written(number: int) -> bytes:
    text = b""
    while number >= 10**_PIECE:
        number, piece = divmod(number, 10**_PIECE)
        text = b"%0*d" % (_PIECE, piece) + text
    return b"%d" % number + text
