"""Glob patterns, against a slow matcher that follows the rules one by one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.services.redis.glob import compile_glob


def matches(pattern: bytes, text: bytes) -> bool:
    if not pattern:
        return not text
    head, rest = pattern[:1], pattern[1:]
    if head == b"*":
        return any(matches(rest, text[at:]) for at in range(len(text) + 1))
    if not text:
        return False
    if head == b"[":
        found, rest = set_matches(rest, text[0])
        return found and matches(rest, text[1:])
    if head == b"\\" and rest:
        head, rest = rest[:1], rest[1:]
        return head == text[:1] and matches(rest, text[1:])
    return (head == b"?" or head == text[:1]) and matches(rest, text[1:])


def set_matches(pattern: bytes, byte: int) -> tuple[bool, bytes]:
    inverted = pattern.startswith(b"^")
    pattern = pattern[inverted:]
    found = False
    while pattern and pattern[0] != ord("]"):
        if pattern[0] == ord("\\") and len(pattern) >= 2:
            found |= pattern[1] == byte
            pattern = pattern[2:]
        elif len(pattern) >= 3 and pattern[1] == ord("-"):
            low, high = sorted((pattern[0], pattern[2]))
            found |= low <= byte <= high
            pattern = pattern[3:]
        else:
            found |= pattern[0] == byte
            pattern = pattern[1:]
    return found != inverted, pattern[1:]


@given(st.text("ab*?[]^-\\", max_size=9), st.text("abc-]\n", max_size=7))
@settings(max_examples=400, deadline=None)
def test_like_the_rules(pattern: str, text: str) -> None:
    expected = matches(pattern.encode(), text.encode())
    assert bool(compile_glob(pattern.encode()).fullmatch(text.encode())) == expected


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (b"user:*:name", b"user:7:name", True),
        (b"user:*:name", b"user:7:names", False),
        (b"h[^e-g]llo", b"hallo", True),
        (b"h[^e-g]llo", b"hfllo", False),
        (b"[[&&~~||--]", b"&", True),
        (b"\xff*\x00", b"\xff..\x00", True),
        (b"[]", b"]", False),
        (b"[^]x", b"ax", True),
        (b"[a", b"a", True),
        (b"**a**", b"bab", True),
    ],
)
def test_examples(pattern: bytes, text: bytes, expected: bool) -> None:
    assert matches(pattern, text) == expected
    assert bool(compile_glob(pattern).fullmatch(text)) == expected


def test_many_stars_do_not_take_for_ever() -> None:
    assert not compile_glob(b"*a" * 30 + b"*b").fullmatch(b"a" * 5_000)
