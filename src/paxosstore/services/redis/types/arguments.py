"""Words of commands that several types share, checked before anything is done."""

from __future__ import annotations

from ..floats import double
from ..reply import NOT_AN_INTEGER, SYNTAX_ERROR, ReplyError, error
from ..resp import integer

NOT_POSITIVE = error("value is out of range, must be positive")
_MAX = 2**63 - 1


def need_integer(word: bytes, otherwise: bytes = NOT_AN_INTEGER) -> int:
    """Raises ReplyError."""
    number = integer(word)
    if number is None:
        raise ReplyError(otherwise)
    return number


def need_between(word: bytes, low: int, high: int, otherwise: bytes) -> int:
    """A number that is neither smaller nor larger. Raises ReplyError."""
    number = integer(word)
    if number is None or not low <= number <= high:
        raise ReplyError(otherwise)
    return number


def need_count(word: bytes, otherwise: bytes = NOT_POSITIVE) -> int:
    """Zero or more. Raises ReplyError."""
    return need_between(word, 0, _MAX, otherwise)


def need_timeout(word: bytes) -> None:
    """The seconds that a command may wait, as far as they can be wrong. Raises ReplyError."""
    seconds = double(word)
    if seconds is None:
        raise ReplyError(error("timeout is not a float or out of range"))
    if seconds * 1000 <= -1 or seconds * 1000 > _MAX:  # as Redis rounds, and takes what does not fit
        raise ReplyError(error("timeout is negative"))


def numbered_keys(args: list[bytes], at: int) -> tuple[list[bytes], int]:
    """The keys behind their number at args[`at`], and where the words behind them begin. Raises ReplyError."""
    number = need_between(args[at], 1, _MAX, error("numkeys should be greater than 0"))
    end = at + 1 + number
    if end >= len(args):
        raise ReplyError(SYNTAX_ERROR)
    return args[at + 1 : end], end
