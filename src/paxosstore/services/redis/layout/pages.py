"""How many members a sorted set has before a place: a small counted index, so that ranks and offsets cost no walk.

    b"c" + level (1) + place -> count (8) + next place    the members from this place to the next one of the level

A level divides all members into pages: one of level 1 has up to 256 members, one of each further level up to 64 times as
many. Levels come and go with the size of the set; a small one has none. A place of one level is one of each level below.
A page reaches up to the next place; the first of a level begins with the set, wherever its own place is. So one that runs
empty at the low end, as those of a queue do, gives its members to the next, and no row that is gone lies before those in use.

As a page says where the next one begins, one that was met before (starts.py) is known by a get to be still the right one: to
search for it backwards takes six times as long. b"\xff\xff" is behind all places; nothing: it is too long, or was written before
that was kept, and has to be searched for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import islice

from .collection import Collection, after
from .starts import known_here

PAGES = b"c"
PAGE = 256
FAN = 64
HINT_BYTES = 64
"""Of a place, as it is kept in the head of the key: what is cut off makes it lower."""


LAST = b"\xff\xff"
"""Behind every place: no score is a NaN."""
MAX_NEXT_BYTES = 512
"""A longer next place is not kept."""
_HOPS = 4
"""From a page that was right once to the next one."""

Page = tuple[bytes, int, bytes]
"""Where it begins, how many members it has, where the next one begins."""


class Pages:
    """The index of a sorted set. Tell it of every place that comes or goes, once its row is written and `rows.size` is right."""

    __slots__ = ("_members", "_rows", "first", "last", "levels", "low")

    def __init__(self, rows: Collection, members: bytes, levels: int, first: bytes, last: bytes, low: bytes) -> None:
        """`members`: the prefix of the members' rows. The others: as they were kept."""
        self._rows = rows
        self._members = members
        self.levels = levels
        self.first = first
        """No place of any level is lower …"""
        self.last = last
        """… and each is lower than this."""
        self.low = low
        """No member is lower."""

    def add_many(self, places: Sequence[bytes]) -> None:
        """These, in ascending order, have come."""
        for level in range(1, self.levels + 1):
            at = 0
            while at < len(places):
                found, count, end = self._page(level, places[at])
                stop = bisect_left(places, end, at + 1)
                count += stop - at
                self._put(level, found, count, end)
                self._divide(level, found, count, end)
                at = stop
        while self._rows.size > _limit(self.levels + 1):
            self._grow()

    def _divide(self, level: int, place: bytes, count: int, end: bytes) -> None:
        """Divide a page until none of what it becomes has too many members."""
        if count <= _limit(level):
            return
        left, lowest, middle = self._split(level, place, count, end)
        if middle:
            self._divide(level, lowest, left, middle)
            self._divide(level, middle, count - left, end)

    def remove(self, place: bytes, count: int = 1) -> None:
        """So many members of the page of this place are gone."""
        if self._rows.size <= _limit(self.levels) // 4 and self.levels:
            self._shrink()
        for level in range(self.levels, 0, -1):
            found, before, end = self._page(level, place)
            left = before - count
            self._put(level, found, left, end)
            most = _limit(level)
            step = most // 16 or 1
            if not left or (left <= most // 4 and left // step != before // step):  # now and then is enough
                self._merge(level, found, left, end)

    def remove_many(self, places: Sequence[bytes]) -> None:
        """These, in ascending order, are gone."""
        if len(places) == 1:
            self.remove(places[0])
            return
        at = 0
        while at < len(places) and self.levels:
            stop = bisect_left(places, self._page(1, places[at])[2], at)
            self.remove(places[at], stop - at)
            at = stop

    def rank(self, place: bytes) -> tuple[int, bytes]:
        """How many members lie before the page of a place, and where that page begins (b"": with the set)."""
        total, start = 0, b""
        for level in range(self.levels, 0, -1):
            page: tuple[bytes, int] | None = None
            begin = start
            for row, value in self._rows.scan(_row(level, start or self.first), _row(level, place) + b"\0"):
                if page is not None:
                    total += page[1]
                    begin = row[2:]
                page = row[2:], _count(value)
            start = begin
        return total, start

    def at(self, rank: int) -> tuple[bytes, int]:
        """Where the page begins that has the member of a rank (b"": with the set), and how many are before it in there."""
        start = b""
        for level in range(self.levels, 0, -1):
            begin = start
            for number, (row, value) in enumerate(self._rows.scan(_row(level, start or self.first), _row(level, self.last))):
                begin = row[2:] if number else start
                count = _count(value)
                if rank < count:
                    break
                rank -= count
            start = begin
        return start, rank

    def build(self, places: Sequence[bytes]) -> None:
        """These, in ascending order, are all the members of a set that had none."""
        size = len(places)
        self.levels = 0
        while size > _limit(self.levels + 1):
            self.levels += 1
            step = _limit(self.levels) * 3 // 4
            for at in range(0, size, step):
                end = places[at + step] if at + step < size else LAST
                self._put(self.levels, places[at], min(step, size - at), end)
        self.first = places[0][:HINT_BYTES] if self.levels else b""

    def _page(self, level: int, place: bytes) -> Page:
        """The page that a place is in."""
        rows = self._rows
        known, where = known_here(), (rows.view.entity, rows.prefix, level)
        start = self.first if place < self.first else known.before(where, place)
        for _ in range(_HOPS):
            if start is None:
                break
            value = rows.get(_row(level, start))
            if value is None:
                known.forget(where, start)
                break
            end = value[8:]
            if place < end:
                return start, _count(value), end
            if not end:
                break
            known.learn(where, end)
            start = end
        page = self._search(level, place)
        known.learn(where, page[0])
        return page

    def _search(self, level: int, place: bytes) -> Page:
        for row, value in self._rows.scan(_row(level, self.first), _row(level, place) + b"\0", reverse=True):
            found: tuple[bytes, bytes] | None = (row[2:], value)
            break
        else:
            found = self._next(level, b"")
        assert found is not None, "a level has a page"
        start, value = found
        return start, _count(value), value[8:] or self._end(level, start)

    def _end(self, level: int, start: bytes) -> bytes:
        following = self._next(level, start)
        return LAST if following is None else following[0]

    def _next(self, level: int, place: bytes) -> tuple[bytes, bytes] | None:
        """Where the page behind a place begins, and its row's value."""
        start = _row(level, place + b"\0") if place > self.first else _row(level, self.first)
        for row, value in self._rows.scan(start, _row(level, self.last)):
            if row[2:] > place:
                return row[2:], value
        return None

    def _put(self, level: int, place: bytes, count: int, end: bytes) -> None:
        following = end if len(end) <= MAX_NEXT_BYTES else b""
        self._rows.put(_row(level, place), count.to_bytes(8, "big") + following)
        self.last = max(self.last, above(place))

    def _split(self, level: int, place: bytes, count: int, end: bytes) -> tuple[int, bytes, bytes]:
        """Divide a page in two at a place of the level below: how many the first has, and where both begin; b"": it cannot be."""
        first = self._is_first(level, place)
        if level == 1:
            start = self._members + (self.low if first else place)
            left = count // 2
            skip = len(self._members)
            lowest, *_, middle = [row[skip:] for row, _ in islice(self._rows.scan(start), left + 1)]
        else:
            left, lowest, middle = self._middle(level - 1, b"" if first else place, count)
        if not middle:
            return count, place, b""
        if first and middle <= place:
            self._lower(level, place, lowest)
            place = lowest
        self._put(level, place, left, middle)
        self._put(level, middle, count - left, end)
        return left, place, middle

    def _lower(self, level: int, place: bytes, lowest: bytes) -> None:
        """The first page of a level, and of those above that begin there, begins lower."""
        for higher in range(level, self.levels + 1):
            value = self._rows.get(_row(higher, place))
            if value is None:
                break
            self._rows.delete(_row(higher, place))
            self._rows.put(_row(higher, lowest), value)
        if level == 1:
            self.first = lowest[:HINT_BYTES]

    def _middle(self, level: int, place: bytes, count: int) -> tuple[int, bytes, bytes]:
        """Of the pages from a place on that have so many members together: how many are before the one that halves them, the
        first of them, and that one; b"": there is none."""
        left = total = 0
        lowest = best = b""
        for row, value in self._rows.scan(_row(level, place or self.first), _row(level, self.last)):
            if total >= count:
                break
            lowest = lowest or row[2:]
            if total:
                left, best = total, row[2:]
                if 2 * total >= count:
                    break
            total += _count(value)
        return left, lowest, best

    def _merge(self, level: int, place: bytes, count: int, end: bytes) -> None:
        """Give the members of a page to its neighbour, if they are few, and if no higher level is divided there."""
        most = _limit(level) * 3 // 4
        before = next(self._rows.scan(_row(level, self.first), _row(level, place), reverse=True), None)
        if before is None:
            following = self._next(level, place)
            if following is not None and (count + _count(following[1]) <= most or not count):
                self._pass_on(level, place, following[0])
            return
        if self._rows.get(_row(level + 1, place)) is None:
            total = count + _count(before[1])
            if total <= most or not count:
                self._put(level, before[0][2:], total, end)
                self._rows.delete(_row(level, place))
                if level == 1 and end == LAST:
                    self.last = above(before[0][2:])

    def _pass_on(self, level: int, place: bytes, following: bytes) -> None:
        """The first page of a level, and of those above that begin there, gives its members to the next place."""
        rows = self._rows
        for higher in range(level, self.levels + 1):
            value = rows.get(_row(higher, place))
            if value is None:
                break
            rows.delete(_row(higher, place))
            there = rows.get(_row(higher, following)) or bytes(8) + value[8:]
            self._put(higher, following, _count(value) + _count(there), there[8:])
        if level == 1:
            self.first = following[:HINT_BYTES]

    def _is_first(self, level: int, place: bytes) -> bool:
        return next(self._rows.scan(_row(level, self.first), _row(level, place)), None) is None

    def _grow(self) -> None:
        """One level more, of one page, which is divided at once."""
        size = self._rows.size
        if self.levels:
            place = next(self._rows.scan(_row(self.levels, self.first)))[0][2:]
        else:
            place = next(self._rows.scan(self._members + self.low))[0][len(self._members) :]
            self.first = place[:HINT_BYTES]
        self.levels += 1
        self._put(self.levels, place, size, LAST)
        self._divide(self.levels, place, size, LAST)

    def _shrink(self) -> None:
        """One level less: the set is small for it."""
        level = self.levels
        for row in [row for row, _ in self._rows.scan(_row(level, self.first), _row(level, self.last))]:
            self._rows.delete(row)
        self.levels -= 1
        if not self.levels:
            self.first = self.last = b""


def above(place: bytes) -> bytes:
    """What every place that begins alike, as far as it is kept, is before."""
    return place + b"\0" if len(place) < HINT_BYTES else after(place[:HINT_BYTES])


def _limit(level: int) -> int:
    """Most members of a page."""
    return PAGE * FAN ** (level - 1) if level else 0


def _row(level: int, place: bytes) -> bytes:
    return PAGES + bytes((level,)) + place


def _count(value: bytes) -> int:
    return int.from_bytes(value[:8], "big")
