"""What traces say of a message."""

from __future__ import annotations

from ..core.interface.message import Message


def brief(message: Message) -> str:
    """A message in a few words, for traces."""
    name = type(message).__name__
    parts = []
    for key, value in message._asdict().items():
        if isinstance(value, bytes):
            value = value.hex()[:2] + ".." + value.hex()[-6:] if len(value) == 16 else f"{len(value)}B"
        if isinstance(value, list):
            value = f"{len(value)} items"
        if value is None or value is False or value == "":
            continue
        parts.append(key if value is True else f"{key}={value}")
    return f"{name}({' '.join(parts)})"
