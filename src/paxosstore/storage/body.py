"""Write batches to and from the bytes that a value carries: msgpack `[cleared, {key: value or nil}]`, order kept.

These bytes travel between nodes and stand in the PLog, so their form is part of the wire's and the disk's format versions.
"""

from __future__ import annotations

import msgspec

from ..core.overlay import WriteBatch
from ..errors import Damaged


class MsgpackBodyCodec:
    """`core.overlay.BodyCodec` in msgpack."""

    __slots__ = ("_decode", "_encode")

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(tuple[bool, dict[bytes, bytes | None]]).decode

    def encode(self, batch: WriteBatch) -> bytes:
        return self._encode((batch.cleared, batch.writes))

    def decode(self, body: bytes) -> WriteBatch:
        """Raises Damaged if these bytes are no write batch."""
        try:
            cleared, writes = self._decode(body)
        except msgspec.DecodeError as error:
            raise Damaged(f"a value of {len(body)} bytes is no write batch: {error}") from None
        return WriteBatch(writes, cleared)
