"""What is published: a message that is of no log. Whoever listens gets it, now or never."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...boundary import exact_bytes, exact_int

MAX_KIND = 255
PUBLISHED_BYTES = 64
"""What a message counts for, besides its channel and payload."""


class Published(NamedTuple):
    """A message to whoever listens, at any node."""

    channel: bytes
    payload: bytes
    kind: int = 0
    """Whose it is, 0 to 255: 0 is the library's own (`Node.publish`), services have others."""

    @property
    def size(self) -> int:
        return len(self.channel) + len(self.payload) + PUBLISHED_BYTES


def exact_published(channel: Any, payload: Any, kind: Any, max_bytes: int) -> Published:
    """What a caller hands in, as a message. Raises InvalidRequest, TooLarge."""
    return Published(
        exact_bytes("a channel", channel, max_bytes),
        exact_bytes("what is published", payload, max_bytes),
        exact_int("kind", kind, 0, MAX_KIND),
    )


def pack(messages: Sequence[Published]) -> bytes:
    """As they are remembered with the outcome of their request: kind, lengths, channel and payload of each."""
    parts: list[bytes] = []
    for channel, payload, kind in messages:
        parts += (bytes((kind,)), len(channel).to_bytes(4, "big"), len(payload).to_bytes(4, "big"), channel, payload)
    return b"".join(parts)


def unpack(packed: bytes) -> list[Published]:
    """What `pack` was given."""
    messages: list[Published] = []
    at = 0
    while at < len(packed):
        middle = at + 9 + int.from_bytes(packed[at + 1 : at + 5], "big")
        end = middle + int.from_bytes(packed[at + 5 : at + 9], "big")
        messages.append(Published(packed[at + 9 : middle], packed[middle:end], packed[at]))
        at = end
    return messages
