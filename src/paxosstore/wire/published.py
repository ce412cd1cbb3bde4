"""Frames of published messages. They are of no entity and no log, so they travel beside the messages of the protocol, and whoever
does not know them drops the frame.

    published   "M" │ msgpack array of [channel, payload, kind]
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..core.batch.published import MAX_KIND, Published
from ..errors import WireError

PUBLISHED = ord("M")
SOFT_BYTES = 1024 * 1024
"""Of a frame: a larger one would hold up what the protocol has to say."""

_decoder = msgspec.msgpack.Decoder(list[Published])
_encode = msgspec.msgpack.Encoder().encode


def encode_published(messages: Sequence[Published]) -> list[bytes]:
    """Payloads for these messages, in order; each of about `SOFT_BYTES` at most, unless a single message is larger."""
    parts: list[list[Published]] = [[]]
    room = SOFT_BYTES
    for message in messages:
        if parts[-1] and message.size > room:
            parts.append([])
            room = SOFT_BYTES
        parts[-1].append(message)
        room -= message.size
    return [bytes((PUBLISHED,)) + _encode(part) for part in parts if part]


def decode_published(payload: bytes) -> list[Published]:
    """Raises WireError for everything else."""
    try:
        messages = _decoder.decode(memoryview(payload)[1:])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise WireError(f"bytes that are no published messages: {error}") from error
    if any(not 0 <= message.kind <= MAX_KIND for message in messages):
        raise WireError("a published message of a kind that is out of range")
    return messages
