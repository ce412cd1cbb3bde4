"""What comes from outside is exact afterwards, or refused: whatever a subclass says of itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from itertools import count, repeat
from typing import Any
from uuid import UUID

import pytest

from paxosstore.boundary import (
    MAX_ENTITY,
    exact_bool,
    exact_bytes,
    exact_callable,
    exact_entity,
    exact_int,
    exact_list,
    exact_number,
    exact_pairs,
    exact_text,
    exact_uuid,
    kind,
    shown,
)
from paxosstore.errors import ConfigError, InvalidRequest, PaxosStoreError, TooLarge
from paxosstore.settings import ClusterSettings, TuningSettings, exact_settings


class LyingBytes(bytes):
    def __len__(self) -> int:
        return 1

    def __bytes__(self) -> bytes:
        return b"lie"

    def __getitem__(self, at: Any) -> Any:
        return b"lie"

    def __iter__(self) -> Any:
        return iter(b"lie")

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = bytes.__hash__


class LyingArray(bytearray):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, at: Any) -> Any:
        return b"lie"


class LyingInt(int):
    def __index__(self) -> int:
        return 7

    def __int__(self) -> int:
        return 7

    def __le__(self, other: object) -> bool:
        return True


class LyingText(str):
    def __str__(self) -> str:
        return "lie"

    def __len__(self) -> int:
        return 1


class LyingFloat(float):
    def __float__(self) -> float:
        return 7.0


class Index:
    def __init__(self, number: Any) -> None:
        self.number = number

    def __index__(self) -> Any:
        if isinstance(self.number, BaseException):
            raise self.number
        return self.number


class Color(IntEnum):
    RED = 3


class Liar:
    """It says it is bytes."""

    __class__ = bytes  # type: ignore[assignment]  # that is the point

    def __repr__(self) -> str:
        raise ValueError("no words")


class WordlessType(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]  # that is the point
        raise ValueError("no name")


class Wordless(metaclass=WordlessType):
    def __repr__(self) -> str:
        raise ValueError("no words")

    __str__ = __repr__


def values(examples: list[Any]) -> pytest.MarkDecorator:
    """Tests with each of them; pytest asks them for no name."""
    return pytest.mark.parametrize("value", examples, ids=[f"{at}-{kind(value)}" for at, value in enumerate(examples)])


@pytest.mark.parametrize(("value", "exact"), [(5, 5), (LyingInt(5), 5), (Index(5), 5), (Index(LyingInt(5)), 5), (Color.RED, 3)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of an __index__ that returns a subclass
def test_whole_numbers(value: Any, exact: int) -> None:
    found = exact_int("n", value, 0, 10)
    assert (found, type(found)) == (exact, int)
    assert type(exact_entity(value)) is int


NO_NUMBERS = [
    True,
    1.0,
    "1",
    b"1",
    None,
    [],
    Index(ValueError()),
    Index("1"),
    Decimal(1),
    Liar(),
    Wordless(),
    math.nan,
]


@values([*NO_NUMBERS, -1, 11, 10**5000, -(10**5000), LyingInt(11)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_no_whole_number_of_the_range(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="n must be"):
        exact_int("n", value, 0, 10)


@values([-1, 2**64, True])
def test_an_entity_has_64_bits(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="an entity"):
        exact_entity(value)
    assert exact_entity(MAX_ENTITY) == MAX_ENTITY


@values([1, 1.0, LyingFloat(1.0), LyingInt(1), Decimal(1), Fraction(1), Index(1)])
def test_numbers(value: Any) -> None:
    assert type(exact_number("t", value, 10.0)) is float


@values(
    [
        True,
        0,
        -1,
        0.0,
        math.nan,
        math.inf,
        -math.inf,
        1e300,
        10**400,
        "1",
        b"1",
        bytearray(b"1"),
        memoryview(b"1"),
        None,
        1j,
        Wordless(),
        LyingFloat(11.0),
    ]
)
def test_what_is_no_number_of_the_range(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="t must be a number"):
        exact_number("t", value, 10.0)


@values([b"abc", LyingBytes(b"abc"), bytearray(b"abc"), LyingArray(b"abc"), memoryview(b"abc"), memoryview(b"a.b.c")[::2]])
def test_bytes(value: Any) -> None:
    found = exact_bytes("k", value)
    assert type(found) is bytes
    assert found == b"abc"
    with pytest.raises(TooLarge, match="k of 3 bytes"):
        exact_bytes("k", value, 2)


def released() -> memoryview:
    view = memoryview(b"abc")
    view.release()
    return view


@values(["abc", None, 3, [97], Liar(), Wordless(), released()])
def test_what_is_no_bytes(value: Any) -> None:
    with pytest.raises(InvalidRequest):
        exact_bytes("k", value, 10)


@values(["abc", LyingText("abc")])
def test_text(value: Any) -> None:
    found = exact_text("h", value, 3)
    assert (found, type(found)) == ("abc", str)
    with pytest.raises(InvalidRequest, match="3 characters"):
        exact_text("h", value, 2)


@values([b"abc", None, 5, "\ud800", Wordless()])
def test_what_is_no_text(value: Any) -> None:
    with pytest.raises(InvalidRequest):
        exact_text("h", value, 10)


class LyingUuid(UUID):
    @property
    def bytes(self) -> Any:
        return "lie"


SIXTEEN = bytes(range(16))


@values([SIXTEEN, LyingBytes(SIXTEEN), bytearray(SIXTEEN), UUID(bytes=SIXTEEN), LyingUuid(bytes=SIXTEEN)])
def test_uuids(value: Any) -> None:
    found = exact_uuid(value)
    assert (found, type(found)) == (SIXTEEN, bytes)


@values([b"short", str(UUID(int=1)), 5, None, Liar(), Wordless()])
def test_what_is_no_uuid(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="uuid"):
        exact_uuid(value)
    assert exact_uuid(b"") == b""


def test_lists_and_mappings_end() -> None:
    assert exact_list("l", iter([1, 2]), 2) == [1, 2]
    for endless in (count(), repeat(1), 5, None, "text", b"bytes", Wordless()):
        with pytest.raises(InvalidRequest, match=r"^l"):
            exact_list("l", endless, 2)

    class Endless:
        def items(self) -> Any:
            return zip(count(), count(), strict=True)

    class Broken:
        def items(self) -> Any:
            return [1, 2]

    assert list(exact_pairs("m", {1: 2}, 1)) == [(1, 2)]
    mapping: Any
    for mapping in (Endless(), Broken(), 5, None, [], {1: 1, 2: 2}, Wordless()):
        with pytest.raises(InvalidRequest, match=r"^m"):
            list(exact_pairs("m", mapping, 1))


@pytest.mark.parametrize("check", [exact_bool, exact_callable])
def test_flags_and_functions(check: Callable[[str, Any], Any]) -> None:
    with pytest.raises(InvalidRequest):
        check("f", 1)


def test_an_error_shows_a_value_in_short() -> None:
    for value in (Wordless(), Liar(), 10**5000, "x" * 10**6, b"x" * 10**6, [Wordless()], 1.5, None):
        assert len(shown(value)) < 120
    assert kind(Wordless()) == "Wordless"


@pytest.mark.parametrize("field", ["cluster", "nodes", "uuid_window_entries", "services"])
@values([None, True, math.nan, 10**400, b"", [], "\ud800", Wordless()])
def test_settings_of_a_cluster_are_exact(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        ClusterSettings(**{"cluster": "c", field: value})


@pytest.mark.parametrize("field", ["pre_auth", "lease_ms", "takeover_requests", "max_request_bytes"])
@values([None, math.nan, math.inf, 10**400, 1e300, 0, -1, "1", b"", [], Wordless()])
def test_settings_that_tune_are_exact(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        TuningSettings(**{field: value})


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        pytest.param({"snapshot_bytes_per_second": 200_000}, "snapshot_bytes_per_second", id="a rate"),
        pytest.param({"snapshot_piece_bytes": 20_000_000}, "snapshot_bytes_per_second", id="a piece"),
        pytest.param({"max_snapshots": 1_000}, "snapshot_bytes_per_second", id="many that share the rate"),
        pytest.param({"snapshot_timeout_ms": 50.0}, "snapshot_bytes_per_second", id="a time"),
        pytest.param({"snapshot_timeout_ms": 1e-9}, "snapshot_bytes_per_second", id="no time"),
        pytest.param({"verify_bytes_per_second": 100_000}, "verify_bytes_per_second", id="a comparison"),
    ],
)
def test_a_rate_at_which_no_piece_comes_in_time_is_refused(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name}: must be at least \d+, .*snapshot_piece_bytes.*snapshot_timeout_ms"):
        TuningSettings(**settings)


def test_the_least_rate_that_an_error_names_is_taken() -> None:
    with pytest.raises(ConfigError) as refused:
        TuningSettings(snapshot_bytes_per_second=1)
    least = int(str(refused.value).split()[5].rstrip(","))
    assert TuningSettings(snapshot_bytes_per_second=least).snapshot_bytes_per_second == least


def test_a_bool_is_no_number_in_settings_and_a_number_no_bool() -> None:
    for field, value in (("lease_ms", True), ("takeover_requests", True), ("pre_auth", 1)):
        with pytest.raises(ConfigError, match=field):
            TuningSettings(**{field: value})  # type: ignore[arg-type]  # the mistake under test
    assert type(TuningSettings(lease_ms=5).lease_ms) is float
    assert type(TuningSettings(takeover_requests=LyingInt(5)).takeover_requests) is int


class Sly(TuningSettings):
    """It says something else each time."""

    def __post_init__(self) -> None:
        pass


def test_settings_are_taken_as_a_checked_copy() -> None:
    assert type(exact_settings(TuningSettings, Sly())) is TuningSettings
    with pytest.raises(ConfigError, match="lease_ms"):
        exact_settings(TuningSettings, Sly(lease_ms=math.nan))
    for value in (None, 5, ClusterSettings("c"), Wordless(), TuningSettings):
        with pytest.raises(ConfigError, match="TuningSettings are needed"):
            exact_settings(TuningSettings, value)


def test_every_refusal_is_the_callers_fault() -> None:
    for raised in (InvalidRequest, ConfigError, TooLarge):
        assert issubclass(raised, PaxosStoreError)
        assert raised.outcome_known
