"""Glob patterns, against a slow matcher that follows the rules one by one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.errors import TooLarge
from paxosstore.services.redis.glob import MAX_PIECE, check_glob, compile_glob, steps_per_byte


def matches(pattern: bytes, text: bytes) -> bool:
    """Like Redis: of an empty key it asks no pattern but the empty one and "*" anything."""
    return fits(pattern, text) and (bool(text) or pattern in (b"", b"*"))


def fits(pattern: bytes, text: bytes) -> bool:
    if not pattern:
        return not text
    head, rest = pattern[:1], pattern[1:]
    if head == b"*":
        return any(fits(rest, text[at:]) for at in range(len(text) + 1))
    if not text:
        return False
    if head == b"[":
        found, rest = set_matches(rest, text[0])
        return found and fits(rest, text[1:])
    if head == b"\\" and rest:
        head, rest = rest[:1], rest[1:]
        return head == text[:1] and fits(rest, text[1:])
    return (head == b"?" or head == text[:1]) and fits(rest, text[1:])


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


@pytest.mark.parametrize("pattern", [b"a*a*a*a*a*b", b"*" + b"a?" * 32 + b"*b", b"*" + b"a" * 60 + b"b*", b"*[^b]" * 200 + b"b"])
def test_no_pattern_takes_more_than_its_longest_piece_for_each_byte(pattern: bytes) -> None:
    assert steps_per_byte(pattern) <= MAX_PIECE
    assert not compile_glob(pattern).fullmatch(b"a" * 65_000)


def test_patterns_that_would_take_too_long_are_refused() -> None:
    assert compile_glob(b"x" * 500 + b"*" + b"a" * MAX_PIECE + b"*" + b"y" * 400)
    with pytest.raises(TooLarge, match="more than 64 characters between two stars"):
        compile_glob(b"*" + b"a?" * 33 + b"*")
    with pytest.raises(TooLarge, match="a pattern of 1025 bytes is over the limit of 1024"):
        compile_glob(b"x" * 1_025)


def test_a_set_is_as_long_as_its_pattern() -> None:
    assert len(compile_glob(b"[\x00-\xff]" * 200).pattern) <= 200 * 12


@pytest.mark.parametrize("pattern", [b"a" * 1_025, b"*" + b"a" * (MAX_PIECE + 1) + b"*", b"*" + b"[ab]" * (MAX_PIECE + 1) + b"*"])
def test_what_cannot_be_made_ready_is_known_before(pattern: bytes) -> None:
    for make in (compile_glob, check_glob):
        with pytest.raises(TooLarge):
            make(pattern)
    check_glob(b"a" * 1_024)
    check_glob(b"*" + b"[ab]" * MAX_PIECE + b"*")
