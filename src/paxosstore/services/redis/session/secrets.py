"""What nobody is shown of a command who is told of it later, or by another: passwords, in SLOWLOG and to MONITOR."""

from __future__ import annotations

from typing import Final

HIDDEN = b"(redacted)"
_PARAMETERS = frozenset((b"masterauth", b"masteruser", b"requirepass", b"tls-key-file-pass", b"tls-client-key-file-pass"))
_SAID_BY: Final = frozenset((b"auth", b"hello", b"acl", b"config", b"migrate"))


def without_secrets(words: list[bytes]) -> list[bytes]:
    """A command's words, as they may be shown: the very list, where there is nothing to hide."""
    name = words[0].lower()
    if name not in _SAID_BY:
        return words
    shown = list(words)
    for at in _places(name, [word.lower() for word in words]):
        if at < len(shown):
            shown[at] = HIDDEN
    return shown


def _places(name: bytes, words: list[bytes]) -> list[int]:
    second = words[1] if len(words) > 1 else b""
    if name == b"auth":
        return list(range(1, len(words)))
    if name == b"acl":
        return list(range(2, len(words))) if second == b"setuser" else []
    if name == b"config":
        return [at + 1 for at in range(2, len(words), 2) if words[at] in _PARAMETERS] if second == b"set" else []
    if name == b"hello":
        return _behind(words, 2, {b"auth": 2})
    return _behind(words, 6, {b"auth": 1, b"auth2": 2})  # MIGRATE


def _behind(words: list[bytes], first: int, options: dict[bytes, int]) -> list[int]:
    """So many words behind each of these options."""
    return [at + more for at in range(first, len(words)) for more in range(1, options.get(words[at], 0) + 1)]
