"""The CRC-64 of Redis (Jones; reflected, from 0)."""

from __future__ import annotations

from functools import lru_cache

_POLYNOMIAL = 0x95AC9329AC4BC9B5
_PIECE_POWER = 16
_PIECE = 1 << _PIECE_POWER
_SHORT = 2_048
"""What is longer is folded first."""


def _of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = [_of_byte(byte) for byte in range(256)]


def crc64(data: bytes) -> int:
    """Piece by piece: what is done at one go lets no other thread go on."""
    crc = 0
    end = len(data) % _PIECE
    if end:
        crc = _of_piece(data[:end])
    while end < len(data):
        crc = _apply(_zeros(_PIECE_POWER), crc) ^ _of_piece(data[end : end + _PIECE])
        end += _PIECE
    return crc


def _of_piece(data: bytes) -> int:
    """Python's bytes are slow one by one, so a long message is made half as long until it is short.

    All in front of the last 2**k + 8 bytes is carried over into them: a byte, with so many behind it, does to the CRC what 8
    other bytes do that end where it would stand if those were not there. Which they are says a table for each of the 8.
    """
    while len(data) > _SHORT:
        power = (len(data) - 9).bit_length() - 1
        kept = (1 << power) + 8
        head = data[:-kept]
        folded = int.from_bytes(data[-kept:], "big")
        for at, table in enumerate(_carried(power)):
            folded ^= int.from_bytes(head.translate(table), "big") << 8 * (7 - at)
        data = folded.to_bytes(kept, "big")
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


@lru_cache(maxsize=64)
def _carried(power: int) -> list[bytes]:
    """What the CRC of each byte is 2**power bytes of zero later: a table for each of its 8 bytes, the lowest first."""
    matrix = _zeros(power)
    later = [_apply(matrix, crc).to_bytes(8, "little") for crc in _TABLE]
    return [bytes([crc[at] for crc in later]) for at in range(8)]


@lru_cache(maxsize=64)
def _zeros(power: int) -> list[int]:
    """What each of the CRC's bits has become 2**power bytes of zero later."""
    if not power:
        return [(1 << bit) >> 8 ^ _TABLE[(1 << bit) & 0xFF] for bit in range(64)]
    half = _zeros(power - 1)
    return [_apply(half, crc) for crc in half]


def _apply(matrix: list[int], crc: int) -> int:
    result = 0
    for image in matrix:
        if crc & 1:
            result ^= image
        crc >>= 1
    return result
