"""Double numbers as Redis reads and writes them."""

from __future__ import annotations

import re

from .reply import bulk

MAX_DIGITS = 512
"""Longer spellings are no numbers: making sense of them would take the loop's time."""
_DECIMAL = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_HEX = re.compile(rb"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?\d+)?")
_INFINITE = re.compile(rb"[+-]?inf(?:inity)?", re.IGNORECASE)
_NOTHING = re.compile(rb"[0.]*")


def double(text: bytes) -> float | None:
    """A number as C's strtod takes it, if that is all there is, and neither NaN nor out of range; None: it is none."""
    if len(text) > MAX_DIGITS:
        return None
    if _DECIMAL.fullmatch(text):
        number = float(text)
        return number if _in_range(number, text) else None
    if _INFINITE.fullmatch(text):
        return float(text)
    if _HEX.fullmatch(text):
        try:
            return float.fromhex(text.decode())
        except (OverflowError, ValueError):
            return None
    return None


def _in_range(number: float, text: bytes) -> bool:
    """Neither too large nor too small for a double."""
    if number in (float("inf"), float("-inf")):
        return False
    if number:
        return True
    return _NOTHING.fullmatch(text.lower().partition(b"e")[0].lstrip(b"+-")) is not None


def format_double(number: float) -> bytes:
    """As RESP2 shows it."""
    return b"%.17g" % number


def double_reply(number: float, proto: int) -> bytes:
    shown = format_double(number)
    return b",%b\r\n" % shown if proto == 3 else bulk(shown)
