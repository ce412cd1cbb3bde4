"""What Redis 7.0 says of its commands and their subcommands, for COMMAND and ACL: the file redis7.txt, a line for each (held
against a redis-server by test_introspection.py):

    name arity flags first:last:step categories tips keys group since

Flags and the like are joined by commas, `-` stands for none. Keys are `flags@begin@find`, several joined by semicolons: they
begin at the word of this index, or behind this keyword (`keyword:from`), and go on as a `range:last:step:limit` or after their
number (`keynum:index:first:step`); `?` where only the command itself can say it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ..commands.spec import Spec
from ..resp import integer
from .spec import SessionSpec

FILE = Path(__file__).with_name("redis7.txt")
UNKNOWN = "?"
NOT_HERE = frozenset(("memory|malloc-stats", "memory|stats"))
"""What containers on data do not know here."""


class Place(NamedTuple):
    """Where some of a command's keys stand."""

    flags: tuple[str, ...]
    begin: tuple[str, ...]
    find: tuple[str, ...]

    def keys_in(self, words: list[bytes]) -> list[bytes]:
        """Those of this place; none where only the command itself can find them, or the words are not as they should be."""
        if UNKNOWN in (self.begin[0], self.find[0]):
            return []
        kind, *numbers = self.find
        first, (one, two, three) = self._first(words), map(int, numbers)
        if not 0 < first < len(words):
            return []
        if kind == "range":
            last = first + one if one >= 0 else len(words) + one
            if one < 0 and three > 1:  # the rest is something else, one for each
                last = first + (last + 1 - first) // three - 1
            return words[first : last + 1 : two]
        number = integer(words[first + one])
        first += two
        return words[first : first + number * three : three] if number is not None and number > 0 else []

    def _first(self, words: list[bytes]) -> int:
        """At which word they begin; 0: the keyword is not there."""
        if len(self.begin) == 1:
            return int(self.begin[0])
        keyword, start = self.begin[0].encode(), int(self.begin[1])
        places = range(start, len(words)) if start > 0 else range(len(words) + start, 0, -1)
        return next((at + 1 for at in places if words[at].upper() == keyword), 0)


class Known(NamedTuple):
    """What is told of a command or subcommand."""

    name: str
    arity: int
    flags: tuple[str, ...]
    keys: tuple[int, ...]
    categories: tuple[str, ...]
    tips: tuple[str, ...]
    places: tuple[Place, ...]
    group: str
    since: str


@cache
def redis7() -> Mapping[str, Known]:
    """By their names, in lower case."""
    return {known.name: known for known in map(_known, FILE.read_text(encoding="ascii").splitlines())}


def _known(line: str) -> Known:
    name, arity, flags, keys, categories, tips, places, group, since = line.split(" ")
    found = [place.split("@") for place in _listed(places, ";")]
    return Known(
        name,
        int(arity),
        _listed(flags),
        tuple(map(int, keys.split(":"))),
        _listed(categories),
        _listed(tips),
        tuple([Place(_listed(said), tuple(begin.split(":")), tuple(find.split(":"))) for said, begin, find in found]),
        group,
        since,
    )


def _listed(text: str, by: str = ",") -> tuple[str, ...]:
    return () if text == "-" else tuple(text.split(by))


@cache
def subcommands(spec: Spec) -> tuple[Known, ...]:
    """Those of Redis's that there are here, and those that Redis 7.0 does not know."""
    return tuple(_subcommands(spec))


def _subcommands(spec: Spec) -> Iterator[Known]:
    names, prefix = redis7(), f"{spec.name}|"
    here = {sub.decode() for sub in (*spec.subcommands, b"help")} if isinstance(spec, SessionSpec) and spec.subcommands else None
    for name, known in names.items():
        if name.startswith(prefix) and name not in NOT_HERE and (here is None or name.removeprefix(prefix) in here):
            yield known
    if isinstance(spec, SessionSpec):
        for sub, (arity, _) in spec.subcommands.items():
            name = prefix + sub.decode()
            if name not in names:
                yield Known(name, arity, spec.flags, (0, 0, 0), (), (), (), spec.group, "1.0.0")
