"""Write batches to and from the bytes that a value carries: msgpack `[cleared, {key: value or nil}]`, order kept.

These bytes travel between nodes and stand in the PLog, so their form is part of the wire's and the disk's format versions.
"""

from __future__ import annotations

import msgspec

from ..core.batch.overlay import WriteBatch
from ..errors import InvalidRequest, NodeError


class MsgpackBodyCodec:
    """`core.overlay.BodyCodec` in msgpack."""

    __slots__ = ("_decode", "_encode")

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(tuple[bool, dict[bytes, bytes | None]]).decode

    def encode(self, batch: WriteBatch) -> bytes:
        """Raises InvalidRequest for what is no batch of bytes."""
        try:
            return self._encode((batch.cleared, batch.writes))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidRequest(f"a batch cannot be written: {error}") from None

    def decode(self, body: bytes) -> WriteBatch:
        """Raises NodeError if these bytes are no write batch.

        That is no damage: the bytes are what was chosen, the same on all nodes, and all would give their stores up for it.
        """
        try:
            cleared, writes = self._decode(body)
        except msgspec.DecodeError as error:
            raise NodeError(
                f"a value of {len(body)} bytes that was chosen is no write batch: {error}: if another version of the program has "
                "written it, start that one on all nodes; the data is as it was"
            ) from None
        return WriteBatch(writes, cleared)
