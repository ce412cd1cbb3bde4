"""LCS: the longest common subsequence of two strings, with the choices that Redis makes among equally long ones.

A row of the table of lengths is kept as one number, in which a bit says that the length grows there: a row costs a few
operations on numbers as long as the second string, not one step for each of its bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ....core.batch.overlay import View
from ....errors import TooLarge
from ..layout.keys import get_value
from ..meter import charge
from ..reply import NOT_AN_INTEGER, SYNTAX_ERROR, ReplyError, WrongType, array, bulk, error, integer_reply, map_of
from ..resp import integer

MAX_CELLS = 1 << 24
"""Lengths of the two strings, multiplied …"""
MAX_BYTES = 10_000
"""… and that of each: so it takes some 20 ms at most."""
_CELLS_SHIFT = 14
"""So many cells are as much work as a row."""
_NO_STRINGS = error("The specified keys must contain string values")
_ONE_OF_BOTH = error("If you want both the length and indexes, please just use IDX.")


@dataclass(frozen=True, slots=True)
class _Match:
    """Equal runs of bytes."""

    first: int
    """Where it begins in one string …"""
    second: int
    """… and in the other."""
    length: int


def lcs(view: View, args: list[bytes], proto: int) -> bytes:
    try:
        one, other = (get_value(view, name) or b"" for name in args[1:3])
    except WrongType:
        return _NO_STRINGS
    only_length, positions, lengths, least = _options(args[3:])
    if len(one) * len(other) > MAX_CELLS or max(len(one), len(other)) > MAX_BYTES:
        text = f"LCS of {len(one)} and {len(other)} bytes: {MAX_BYTES} each, {MAX_CELLS} multiplied, are possible"
        raise TooLarge(text)
    charge(view, len(one) * len(other) >> _CELLS_SHIFT)
    rows = _rows(one, other)
    length = rows[-1].bit_count()
    if only_length:
        return integer_reply(length)
    matches = list(_matches(one, other, rows))
    if not positions:
        return bulk(b"".join([one[match.first : match.first + match.length] for match in reversed(matches)]))
    shown = [_shown(match, lengths) for match in matches if match.length >= least]
    return map_of([(bulk(b"matches"), array(shown)), (bulk(b"len"), integer_reply(length))], proto)


def _options(words: list[bytes]) -> tuple[bool, bool, bool, int]:
    """LEN, IDX, WITHMATCHLEN, MINMATCHLEN. Raises ReplyError."""
    only_length = positions = lengths = False
    least = 0
    left = iter(words)
    for word in left:
        name = word.upper()
        if name == b"IDX":
            positions = True
        elif name == b"LEN":
            only_length = True
        elif name == b"WITHMATCHLEN":
            lengths = True
        elif name == b"MINMATCHLEN" and (argument := next(left, None)) is not None:
            number = integer(argument)
            if number is None:
                raise ReplyError(NOT_AN_INTEGER)
            least = number
        else:
            raise ReplyError(SYNTAX_ERROR)
    if only_length and positions:
        raise ReplyError(_ONE_OF_BOTH)
    return only_length, positions, lengths, least


def _rows(one: bytes, other: bytes) -> list[int]:
    """Of each beginning of `one`: where in `other` the length grows by one."""
    places = dict.fromkeys(one, 0)
    for at, byte in enumerate(other):
        if byte in places:
            places[byte] |= 1 << at
    everywhere = (1 << len(other)) - 1
    flat, rows = everywhere, [0]
    for byte in one:
        found = flat & places[byte]
        flat = (flat + found | flat - found) & everywhere
        rows.append(flat ^ everywhere)
    return rows


def _matches(one: bytes, other: bytes, rows: list[int]) -> Iterator[_Match]:
    """From the last one to the first, as Redis walks."""
    i, j = len(one), len(other)
    length = 0
    while i and j:
        if one[i - 1] == other[j - 1]:
            i, j, length = i - 1, j - 1, length + 1
            continue
        if length:
            yield _Match(i, j, length)
            length = 0
        if rows[i] >> j - 1 & 1:
            i -= 1
        else:
            j -= 1
    if length:
        yield _Match(i, j, length)


def _shown(match: _Match, with_length: bool) -> bytes:
    ends = [array([integer_reply(at), integer_reply(at + match.length - 1)]) for at in (match.first, match.second)]
    return array([*ends, integer_reply(match.length)] if with_length else ends)
