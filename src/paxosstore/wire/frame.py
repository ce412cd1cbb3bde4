"""Sans-I/O framing: how payloads follow each other in a stream of bytes.

    frame = length (u32, big-endian) │ crc32c of the payload (u32, big-endian) │ payload

The length is checked before anything is buffered, so a stream can make the reader hold one frame of the limit and no more.
A wrong length shows as a wrong checksum. After an error nothing in the stream can be trusted: the reader stays broken.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from crc32c import crc32c

from ..errors import WireError

_HEADER: Final = Struct(">II")
HEADER_BYTES: Final = _HEADER.size
MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
"""Largest payload of a frame between peers."""


def encode_frame(payload: bytes) -> bytes:
    """Header and payload as one piece. Raises WireError if no reader would take it."""
    if not 0 < len(payload) <= MAX_FRAME_BYTES:
        raise WireError(f"a frame of {len(payload)} bytes cannot be sent: 1 to {MAX_FRAME_BYTES} are possible")
    return _HEADER.pack(len(payload), crc32c(payload)) + payload


class FrameReader:
    """Turns pieces of a stream, cut anywhere, back into payloads."""

    def __init__(self, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self.max_bytes = max_bytes
        """Largest payload taken; may be changed between two feeds."""
        self._rest = bytearray()
        self._need = HEADER_BYTES
        """How long `_rest` must get before it is worth looking at again."""
        self._broken = ""

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that this piece completes. Raises WireError, from then on always: oversize, empty or damaged frame."""
        if self._broken:
            raise WireError(self._broken)
        if self._rest:
            self._rest += data
            if len(self._rest) < self._need:
                return []
            data = bytes(self._rest)
            self._rest.clear()
        frames, used = self._split(data)
        if used < len(data):
            self._rest += memoryview(data)[used:]
        return frames

    def _split(self, data: bytes) -> tuple[list[bytes], int]:
        """All whole frames at the start of `data`, and how many bytes they took."""
        frames: list[bytes] = []
        at, end = 0, len(data)
        while end - at >= HEADER_BYTES:
            length, checksum = _HEADER.unpack_from(data, at)
            if not 0 < length <= self.max_bytes:
                self._fail(f"a frame of {length} bytes: 1 to {self.max_bytes} are taken")
            first = at + HEADER_BYTES
            if end - first < length:
                self._need = HEADER_BYTES + length
                return frames, at
            at = first + length
            payload = data[first:at]
            if crc32c(payload) != checksum:
                self._fail(f"a frame of {length} bytes fails its checksum")
            frames.append(payload)
        self._need = HEADER_BYTES
        return frames, at

    def _fail(self, reason: str) -> None:
        self._broken = reason
        self._rest.clear()
        raise WireError(reason)
