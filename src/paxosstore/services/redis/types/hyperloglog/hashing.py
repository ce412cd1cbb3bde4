"""The hash by which Redis finds an element's register: MurmurHash64A, by Austin Appleby."""

from __future__ import annotations

import struct

_SEED = 0xADC83B19
_M = 0xC6A4A7935BD1E995
_MASK = 2**64 - 1


def murmur64a(data: bytes, seed: int = _SEED) -> int:
    size = len(data)
    whole = size & ~7
    state = seed ^ size * _M & _MASK
    for (word,) in struct.iter_unpack("<Q", data[:whole]):
        word = word * _M & _MASK
        state = (state ^ (word ^ word >> 47) * _M & _MASK) * _M & _MASK
    if whole < size:
        state = (state ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    state = (state ^ state >> 47) * _M & _MASK
    return state ^ state >> 47


def place(element: bytes) -> tuple[int, int]:
    """The register of an element, and what it counts: the zeros behind its index, and one."""
    hashed = murmur64a(element)
    rest = hashed >> 14 | 1 << 50
    return hashed & 0x3FFF, (rest & -rest).bit_length()
