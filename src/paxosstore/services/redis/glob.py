"""Redis's glob patterns, as regular expressions that take no more than len(pattern) * len(text) steps."""

from __future__ import annotations

import re
from functools import lru_cache

_ANY = b"."
_NOTHING = b"(?!)"


@lru_cache(maxsize=256)
def compile_glob(pattern: bytes) -> re.Pattern[bytes]:
    """A pattern with * ? [set] [^set] [a-z] and \\x, to be used with `fullmatch`."""
    runs = _runs(pattern)
    first, *others = runs
    if not others:
        return re.compile(first, re.DOTALL)
    # between two stars the first place that fits is as good as any later one, so no other is ever tried
    middle = b"".join(b"(?>.*?%b)" % run for run in others[:-1] if run)
    return re.compile(first + middle + b".*" + others[-1], re.DOTALL)


def _runs(pattern: bytes) -> list[bytes]:
    """The pieces between stars; each element of a piece matches exactly one byte."""
    runs = [b""]
    at = 0
    while at < len(pattern):
        byte = pattern[at : at + 1]
        at += 1
        if byte == b"*":
            runs.append(b"")
            continue
        if byte == b"?":
            element = _ANY
        elif byte == b"[":
            element, at = _set(pattern, at)
        else:
            if byte == b"\\" and at < len(pattern):
                byte = pattern[at : at + 1]
                at += 1
            element = re.escape(byte)
        runs[-1] += element
    return runs


def _set(pattern: bytes, at: int) -> tuple[bytes, int]:
    """The set that opens before `at`, and where it ends: at its bracket or, like in Redis, with the pattern."""
    inverted = pattern[at : at + 1] == b"^"
    at += inverted
    members: set[int] = set()
    while at < len(pattern):
        byte = pattern[at]
        if byte == 0x5C and at + 1 < len(pattern):
            members.add(pattern[at + 1])
            at += 2
        elif byte == 0x5D:
            at += 1
            break
        elif at + 2 < len(pattern) and pattern[at + 1] == 0x2D:
            low, high = sorted((byte, pattern[at + 2]))
            members.update(range(low, high + 1))
            at += 3
        else:
            members.add(byte)
            at += 1
    if not members:
        return (_ANY if inverted else _NOTHING), at
    content = b"".join(re.escape(bytes((member,))) for member in sorted(members))
    return b"[%b%b]" % (b"^" if inverted else b"", content), at
