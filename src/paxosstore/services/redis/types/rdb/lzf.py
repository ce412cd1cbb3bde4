"""Compression as Redis's own DUMP has it: LZF, step by step as liblzf takes them, so that the bytes are the same."""

from __future__ import annotations

MAX_BYTES = 16_384
"""Of what is compressed: a step a byte, on the loop. What is longer is written as it is, which Redis reads as well."""
_SAVED = 4
"""What is not shorter by so many bytes is not worth it."""
_MOST_LITERALS = 32
_MOST_BACK = 1 << 13
_MOST_COPIED = (1 << 8) + (1 << 3)
_UNROLLED, _LOOKED_AT = 16, 19
"""Where a copy may be longer than so many bytes, liblzf compares as many at once, to the very end of the text."""
_LONG = 7


def compress(data: bytes) -> bytes:
    """What is shorter than `data` by four bytes at least; b"" where there is no such, or `data` is too long."""
    end, most = len(data), len(data) - _SAVED
    if end > MAX_BYTES:
        return b""
    places: dict[int, int] = {}
    out = bytearray()
    start = at = 0
    last = end - 2
    one, two = data[0] if end else 0, data[1] if end > 1 else 0
    while at < last:
        three = data[at + 2]
        slot = (one << 8 | two) - (two << 8 | three) * 5 & 0xFFFF
        found = places.get(slot, 0)
        places[slot] = at
        if not found or at - found > _MOST_BACK or data[found : found + 3] != data[at : at + 3]:
            at += 1
            one, two = two, three
            continue
        run = at - start
        if len(out) + run + (run + _MOST_LITERALS) // _MOST_LITERALS + _SAVED - (not run) >= most:
            return b""
        _literals(out, data[start:at])
        size = _common(data, found, at)
        _copy(out, at - found - 1, size - 2)
        at = start = at + size
        if at >= last:
            break
        for known in (at - 2, at - 1):
            one, two, three = data[known : known + 3]
            places[(one << 8 | two) - (two << 8 | three) * 5 & 0xFFFF] = known
        one, two = two, three
    run = at - start
    if len(out) + run + (run + _MOST_LITERALS) // _MOST_LITERALS + 3 > most:
        return b""
    _literals(out, data[start:])
    return bytes(out)


def _common(data: bytes, one: int, other: int) -> int:
    """How many bytes are the same from two places on, as far as liblzf looks; three are."""
    most = min(len(data) - other - 2, _MOST_COPIED)
    if most > _UNROLLED:
        most = max(most, _LOOKED_AT)
    size = 3
    while size < most and data[one + size] == data[other + size]:
        size += 1
    return size


def _literals(out: bytearray, text: bytes) -> None:
    for at in range(0, len(text), _MOST_LITERALS):
        run = text[at : at + _MOST_LITERALS]
        out.append(len(run) - 1)
        out += run


def _copy(out: bytearray, back: int, length: int) -> None:
    if length < _LONG:
        out.append(back >> 8 | length << 5)
    else:
        out.append(back >> 8 | _LONG << 5)
        out.append(length - _LONG)
    out.append(back & 255)
