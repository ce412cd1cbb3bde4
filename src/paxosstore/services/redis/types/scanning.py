"""What SCAN, HSCAN and SSCAN have in common: cursors and options."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..glob import compile_glob, steps_per_byte
from ..layout.hashed import HashedCollection
from ..layout.keys import PAGE_BYTES
from ..reply import NOT_AN_INTEGER, SYNTAX_ERROR, ReplyError, array, bulk, error
from ..resp import integer

MAX_SCAN_COUNT = 10_000
"""One page looks at no more than this, whatever COUNT says: nobody else is served meanwhile."""
MATCH_STEPS = 1_048_576
"""A page ends when matching its names may take so many steps, some tens of ns each."""
INVALID_CURSOR = error("invalid cursor")
CURSORS = 1 << 64
_CURSOR = re.compile(rb"(?:([+-]?)0*([0-9]{1,20}))?")
EMPTY_PAGE = array([bulk(b"0"), array([])])


@dataclass(frozen=True, slots=True)
class ScanOptions:
    count: int
    pattern: bytes
    only_type: str
    """Lower case; empty: any."""

    @property
    def max_name_bytes(self) -> int:
        """What a page may have in names: all of them are matched."""
        return PAGE_BYTES if self.pattern == b"*" else MATCH_STEPS // steps_per_byte(self.pattern)

    def matching(self, names: Sequence[bytes]) -> list[bytes]:
        if self.pattern == b"*":
            return list(names)
        matches = compile_glob(self.pattern).fullmatch
        return [name for name in names if matches(name)]


def scan_options(args: Sequence[bytes], *, with_type: bool = False) -> ScanOptions:
    """The words behind a cursor. Raises ReplyError."""
    count, pattern, only_type = 10, b"*", ""
    words = iter(args)
    for word in words:
        name, argument = word.upper(), next(words, None)
        if argument is None or name not in (b"COUNT", b"MATCH", b"TYPE") or (name == b"TYPE" and not with_type):
            raise ReplyError(SYNTAX_ERROR)
        if name == b"COUNT":
            number = integer(argument)
            if number is None:
                raise ReplyError(NOT_AN_INTEGER)
            if number < 1:
                raise ReplyError(SYNTAX_ERROR)
            count = min(number, MAX_SCAN_COUNT)
        elif name == b"MATCH":
            pattern = argument
        else:
            only_type = argument.decode("latin-1").lower()
    return ScanOptions(count, pattern, only_type)


def parse_cursor(text: bytes) -> int | None:
    """As Redis reads it: -1 is the highest one, and nothing at all is 0."""
    found = _CURSOR.fullmatch(text)
    if found is None:
        return None
    sign, digits = found.groups()
    number = int(digits or b"0")
    if number >= CURSORS:
        return None
    return (CURSORS - number) % CURSORS if sign == b"-" else number


def cursor(text: bytes) -> int:
    """Raises ReplyError."""
    number = parse_cursor(text)
    if number is None:
        raise ReplyError(INVALID_CURSOR)
    return number


def page_of(members: HashedCollection, cursor: int, options: ScanOptions) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Where to go on, and the members of a page that match. A cursor is a hash: it holds at every node."""
    if cursor >= 1 << 32:
        return b"0", []
    page, following = members.page(cursor, options.count, options.max_name_bytes)
    wanted = set(options.matching([name for name, _ in page]))
    return b"%d" % following, [pair for pair in page if pair[0] in wanted]
