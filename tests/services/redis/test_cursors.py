"""What a cursor of SCAN may look like: as redis-server 7.0 takes it."""

from __future__ import annotations

import pytest

from paxosstore.services.redis.types.scanning import CURSORS, parse_cursor


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"", 0),
        (b"0", 0),
        (b"-0", 0),
        (b"+1", 1),
        (b"-1", CURSORS - 1),
        (b"0" * 26, 0),
        (b"18446744073709551615", CURSORS - 1),
        (b"-18446744073709551615", 1),
    ],
)
def test_a_cursor(text: bytes, number: int) -> None:
    assert parse_cursor(text) == number


@pytest.mark.parametrize(
    "text", [b"-", b"+", b"--", b" 1", b"1 ", b"1x", b"0x1", b"18446744073709551616", b"-18446744073709551616", b"9" * 1_000_000]
)
def test_no_cursor(text: bytes) -> None:
    assert parse_cursor(text) is None
