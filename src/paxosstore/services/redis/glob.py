"""Redis's glob patterns, as regular expressions whose steps are bounded: for each byte of the text, no more than the
longest piece between two stars has elements."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

from ...errors import TooLarge

MAX_PATTERN_BYTES = 1_024
"""To make one ready takes a few ms at this length."""
MAX_PIECE = 64
"""Elements between two stars."""
_ANY = b"."
_NOTHING = b"(?!)"


@lru_cache(maxsize=256)
def compile_glob(pattern: bytes) -> re.Pattern[bytes]:
    """A pattern with * ? [set] [^set] [a-z] and \\x, to be used with `fullmatch`. Raises TooLarge."""
    _check_length(pattern)
    if len(pattern) > 1 and not pattern.strip(b"*"):
        return re.compile(b".+", re.DOTALL)  # as in Redis: it asks no pattern but "*" alone about an empty key, "**" not either
    first, *others = _pieces(pattern)
    if not others:
        return re.compile(b"".join(first), re.DOTALL)
    *middle, last = others
    _check_pieces(middle)
    # between two stars the first place that fits is as good as any later one, so no other is ever tried; the last piece
    # has one place, the end
    fitting = b"".join(b"(?>.*?%b)" % b"".join(piece) for piece in middle if piece)
    end = b".{%d,}+(?<=%b)" % (len(last), b"".join(last)) if last else b".*"
    return re.compile(b"".join(first) + fitting + end, re.DOTALL)


def check_glob(pattern: bytes) -> None:
    """See that a pattern can be made ready, which takes ten times as long. Raises TooLarge."""
    _check_length(pattern)
    if len(pattern) > MAX_PIECE:
        _check_pieces(_pieces(pattern)[1:-1])


def _check_length(pattern: bytes) -> None:
    if len(pattern) > MAX_PATTERN_BYTES:
        raise TooLarge(f"a pattern of {len(pattern)} bytes is over the limit of {MAX_PATTERN_BYTES}")


def _check_pieces(middle: list[list[bytes]]) -> None:
    if max(map(len, middle), default=0) > MAX_PIECE:
        raise TooLarge(f"a pattern with more than {MAX_PIECE} characters between two stars")


def steps_per_byte(pattern: bytes) -> int:
    """How many steps a match may take for each byte of its text."""
    _, *others = _pieces(pattern)
    return max([1, *map(len, others[:-1])])


def _pieces(pattern: bytes) -> list[list[bytes]]:
    """What stands between stars, as elements of which each matches exactly one byte."""
    pieces: list[list[bytes]] = [[]]
    at = 0
    while at < len(pattern):
        byte = pattern[at : at + 1]
        at += 1
        if byte == b"*":
            pieces.append([])
            continue
        if byte == b"?":
            element = _ANY
        elif byte == b"[":
            element, at = _set(pattern, at)
        else:
            if byte == b"\\" and at < len(pattern):
                byte = pattern[at : at + 1]
                at += 1
            element = re.escape(byte)
        pieces[-1].append(element)
    return pieces


def _set(pattern: bytes, at: int) -> tuple[bytes, int]:
    """The set that opens before `at`, and where it ends: at its bracket or, like in Redis, with the pattern."""
    inverted = pattern[at : at + 1] == b"^"
    at += inverted
    members: set[int] = set()
    while at < len(pattern):
        byte = pattern[at]
        if byte == 0x5C and at + 1 < len(pattern):
            members.add(pattern[at + 1])
            at += 2
        elif byte == 0x5D:
            at += 1
            break
        elif at + 2 < len(pattern) and pattern[at + 1] == 0x2D:
            low, high = sorted((byte, pattern[at + 2]))
            members.update(range(low, high + 1))
            at += 3
        else:
            members.add(byte)
            at += 1
    if not members:
        return (_ANY if inverted else _NOTHING), at
    return b"[%b%b]" % (b"^" if inverted else b"", _ranges(sorted(members))), at


def _ranges(members: list[int]) -> bytes:
    """The members of a set, shortly: it costs what it is long."""
    ends = [-1, *[at for at, (one, other) in enumerate(pairwise(members)) if other != one + 1], len(members) - 1]
    return b"".join([b"\\x%02x-\\x%02x" % (members[before + 1], members[last]) for before, last in pairwise(ends)])
