"""The handler by which rows of an export are written, any entity's, as they stand there. (Redis keys go by the Redis service.)"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..core.batch.overlay import View
from ..errors import InvalidRequest

HANDLER = "import"
"""The name under which every node knows `handle`."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]]).decode


def encode(rows: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Keys and values as the payload of `handle`."""
    return _encode(rows)


def handle(view: View, payload: bytes) -> bytes:
    """Write all of them, whatever was there before; a key that is not named stays. Raises InvalidRequest."""
    try:
        rows = _decode(payload)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"no rows that can be written: {error}") from error
    for key, value in rows:
        view.put(key, value)
    return b"%d" % len(rows)
