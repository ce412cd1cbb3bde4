"""What stands behind the content of every payload: its version (2 bytes), and the CRC-64 of all in front of that (8)."""

from __future__ import annotations

from ...reply import error
from .crc64 import crc64

VERSION = 10
_FOOTER = 10
WRONG_PAYLOAD = error("DUMP payload version or checksum are wrong")


def sealed(content: bytes) -> bytes:
    payload = content + VERSION.to_bytes(2, "little")
    return payload + crc64(payload).to_bytes(8, "little")


def unsealed(payload: bytes) -> bytes | None:
    """The content; None: it is not whole, or of a later version."""
    if len(payload) < _FOOTER or int.from_bytes(payload[-_FOOTER:-8], "little") > VERSION:
        return None
    return payload[:-_FOOTER] if crc64(payload[:-8]).to_bytes(8, "little") == payload[-8:] else None
