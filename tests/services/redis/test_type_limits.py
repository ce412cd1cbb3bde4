"""What a number or a length from outside may ask of a command: refused before anything is made for it."""

from __future__ import annotations

from fractions import Fraction

import pytest

from paxosstore.errors import TooLarge
from paxosstore.services.redis.commands.handler import encode, handle
from paxosstore.services.redis.types import long_double

from .support import DictView


def run(view: DictView, line: str) -> bytes:
    return handle(view, encode(2, line.encode().split()))


@pytest.mark.parametrize(
    "line",
    [
        "SETRANGE k 100000000 x",
        "SETBIT k 4294967295 1",
        "BITFIELD k SET u8 4294967000 1",
        "LCS long long",
        "HRANDFIELD h -1000000000",
        "SRANDMEMBER s -9223372036854775807",
        "SSCAN s 0 MATCH " + "x" * 2_000,
    ],
)
def test_what_would_take_too_much_is_refused_and_changes_nothing(line: str) -> None:
    view = DictView()
    for before in ("SET long " + "x" * 20_001, "HSET h f v", "SADD s a b c"):
        run(view, before)
    rows = dict(view.rows)
    with pytest.raises(TooLarge):
        run(view, line)
    assert view.rows == rows


def test_one_page_of_members_has_an_end() -> None:
    view = DictView()
    for first in range(0, 10_020, 1_670):
        run(view, "SADD s " + " ".join([f"m{number}" for number in range(first, first + 1_670)]))
    assert run(view, "SSCAN s 0 COUNT 9223372036854775807").count(b"\r\nm") < 10_020


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1", Fraction(1)),
        (b"-0x1.8p1", Fraction(-3)),
        (b"0e99999999999999999999", Fraction(0)),
        (b"9007199254740993", Fraction(9007199254740993)),
        (b"36893488147419103233", Fraction(2**65)),
        (b"1e99999999999999999999", None),
        (b"1e-99999999999999999999", None),
        (b"1" * 5_119, None),
        (b"0" * 5_118 + b"1", Fraction(1)),
        (b"0" * 5_119 + b"1", None),
        (b"nan", None),
        (b" 1", None),
        (b"1 ", None),
        (b".", None),
        (b"", None),
    ],
)
def test_long_doubles_are_read_as_c_reads_them(text: bytes, value: Fraction | None) -> None:
    assert long_double.parse(text) == value


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Fraction(3), b"3"),
        (Fraction(-1, 10**18), b"0"),
        (Fraction(7, 2), b"3.5"),
        (Fraction(2**16383), str(2**16383 // 10**2000).encode() + str(2**16383 % 10**2000).zfill(2000).encode()),
    ],
)
def test_long_doubles_are_written_as_redis_writes_them(number: Fraction, text: bytes) -> None:
    assert long_double.human(number) == text
