"""The members of a sorted set, by name and in order.

    b"h" + crc32c(member) (4) + member -> score (8)     in the order of their hashes, for ZSCAN
    b"s" + score in order (8) + member -> b""           b"-": the score is -0.0, which stands where 0.0 does
    b"c" + ...                                          pages.py

A score in order is its double with the sign bit turned, or all bits if it is negative: as bytes they compare as the numbers do.
What stands behind b"s" is a member's place. The head of the key keeps the number of levels of the index, and up to 64 bytes each
of the places between which those of the index are, and of those between which the members are: so nothing walks over rows that
are gone at either end, however long members were taken from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from struct import Struct

from crc32c import crc32c

from ....core.batch.overlay import MAX_KEY_BYTES, View
from ....errors import TooLarge
from .collection import LARGE, Collection, after
from .compact import limits
from .keys import PAGE_BYTES, ZSET
from .pages import HINT_BYTES, PAGE, Pages, above

MAX_MEMBER_BYTES = MAX_KEY_BYTES - 64
_FEW = 128
"""So many members are deleted one by one, with nothing left to be cleaned up behind."""
_BY_NAME = b"h"
_BY_SCORE = b"s"
_DOUBLE = Struct(">d")
_SIGN = 1 << 63
_ALL = (1 << 64) - 1
MINUS_ZERO = _DOUBLE.pack(-0.0)

Scored = tuple[bytes, float]
"""A member and its score."""


class ScoredSet:
    """A sorted set as it stands, or as it will once `save` is called. Raises WrongType."""

    __slots__ = ("_loose_high", "_loose_low", "_new", "_pages", "high", "rows")

    def __init__(self, view: View, name: bytes) -> None:
        rows = self.rows = Collection(view, name, ZSET)
        levels, first, last, low, self.high = _unpack(rows.extra) if rows.exists else (0, b"", b"", b"", b"")
        self._pages = Pages(rows, _BY_SCORE, levels, first, last, low)
        self._new: set[bytes] = set()
        """Places of which the index has not been told."""
        self._loose_low = self._loose_high = False
        """What may have been the member at that end is gone."""

    @property
    def size(self) -> int:
        return self.rows.size

    @property
    def low(self) -> bytes:
        return self._pages.low

    def score(self, member: bytes) -> float | None:
        if len(member) > MAX_MEMBER_BYTES:
            return None
        value = self.rows.get(_name(member))
        return None if value is None else float(_DOUBLE.unpack(value)[0])

    # -- changes

    def put(self, member: bytes, score: float, before: float | None) -> None:
        """Add a member, or give it another score than it had before (None: it is new). Raises TooLarge."""
        if len(member) > MAX_MEMBER_BYTES:
            raise TooLarge(f"a member of {len(member)} bytes is over the limit of {MAX_MEMBER_BYTES}")
        rows = self.rows
        if before is None:
            rows.size += 1
            if rows.size > limits["zset-max-listpack-entries"] or len(member) > limits["zset-max-listpack-value"]:
                rows.flags |= LARGE
        else:
            self._leave(place_of(member, before))
        if not score and not rows.is_large:
            score = 0.0  # the compact form has no sign of zero
        value = _DOUBLE.pack(score)
        place = place_of(member, score)
        rows.put(_name(member), value)
        rows.put(_BY_SCORE + place, b"-" if value == MINUS_ZERO else b"")
        low, high = place[:HINT_BYTES], above(place)
        if rows.size == 1:
            self._pages.low, self.high = low, high
        else:
            self._pages.low, self.high = min(self.low, low), max(self.high, high)
        self._new.add(place)

    def remove(self, member: bytes, score: float) -> None:
        place = place_of(member, score)
        self.rows.size -= 1
        self.rows.delete(_name(member))
        self._leave(place)

    def _leave(self, place: bytes) -> None:
        self.rows.delete(_BY_SCORE + place)
        self._loosen(place)
        if place in self._new:
            self._new.discard(place)
        else:
            self._pages.remove(place)

    def _index(self) -> Pages:
        """It has been told of all that has come."""
        if self._new:
            places, self._new = sorted(self._new), set()
            self._pages.add_many(places)
        return self._pages

    def pop(self, count: int, *, highest: bool) -> list[Scored]:
        """Remove up to so many from an end, and return them, the one at the end first."""
        count = min(count, self.size)
        members = list(islice(self.members(reverse=highest), count + 1))
        taken, rest = members[:count], members[count:]
        self.remove_many(taken[::-1] if highest else taken)
        for following in rest:
            if highest:
                self.high, self._loose_high = above(place_of(*following)), False
            else:
                self._pages.low, self._loose_low = place_of(*following)[:HINT_BYTES], False
        return taken

    def remove_many(self, members: Sequence[Scored]) -> None:
        """Members with their scores, each once, in ascending order."""
        rows, pages = self.rows, self._index()
        if len(members) == rows.size > _FEW:
            rows.drop()
            return
        rows.size -= len(members)
        places = [place_of(*member) for member in members]
        for (member, _), place in zip(members, places, strict=True):
            rows.delete(_name(member))
            rows.delete(_BY_SCORE + place)
            self._loosen(place)
        pages.remove_many(places)

    def _loosen(self, place: bytes) -> None:
        self._loose_low = self._loose_low or place[:HINT_BYTES] == self.low
        self._loose_high = self._loose_high or above(place) == self.high

    def fill(self, members: Sequence[Scored], *, large: bool) -> None:
        """These, in ascending order, are the members of a set that had none; `large`: too many or too long for a compact form."""
        rows = self.rows
        rows.size = len(members)
        rows.flags = LARGE if large else 0
        places = []
        for member, score in members:
            if len(member) > MAX_MEMBER_BYTES:
                raise TooLarge(f"a member of {len(member)} bytes is over the limit of {MAX_MEMBER_BYTES}")
            value = _DOUBLE.pack(score if score or large else 0.0)
            place = place_of(member, score)
            rows.put(_name(member), value)
            rows.put(_BY_SCORE + place, b"-" if value == MINUS_ZERO else b"")
            places.append(place)
        self._pages = Pages(rows, _BY_SCORE, 0, b"", b"", places[0][:HINT_BYTES])
        self._pages.build(places)
        self.high = above(places[-1])

    def save(self) -> None:
        """Call it once, behind the last change. A sorted set without members is none."""
        rows, pages = self.rows, self._index()
        if rows.size:
            if self._loose_low:
                place = next(rows.scan(_BY_SCORE + self.low, _BY_SCORE + self.high))[0][1:]
                pages.low = place[:HINT_BYTES]
            if self._loose_high:
                place = next(rows.scan(_BY_SCORE + self.low, _BY_SCORE + self.high, reverse=True))[0][1:]
                self.high = above(place)
            rows.extra = _pack(pages.levels, pages.first, pages.last, pages.low, self.high)
        rows.save()

    # -- in order

    def between(self, start: bytes, end: bytes, *, reverse: bool = False) -> Iterator[Scored]:
        """Members with start <= place < end, ascending or descending."""
        start, end = max(start, self.low), min(end, self.high)
        if start < end:
            for row, value in self.rows.scan(_BY_SCORE + start, _BY_SCORE + end, reverse=reverse):
                yield row[9:], -0.0 if value else score_in(row[1:9])

    def members(self, *, reverse: bool = False) -> Iterator[Scored]:
        """All of them."""
        return self.between(self.low, self.high, reverse=reverse)

    def rank(self, place: bytes) -> int:
        """How many members are before a place."""
        if place <= self.low:
            return 0
        if place >= self.high:
            return self.size
        before, start = self._index().rank(place)
        start = max(start, self.low)
        return before + sum(1 for _ in self.rows.scan(_BY_SCORE + start, _BY_SCORE + place))

    def ranked(self, start: int, stop: int, *, reverse: bool = False) -> list[Scored]:
        """The members with start <= rank < stop, counted from the lowest, or the highest, in that order."""
        count = stop - start
        if count <= 0:
            return []
        if start <= PAGE:
            return list(islice(self.members(reverse=reverse), start, stop))
        first = self.size - 1 - start if reverse else start
        page, skipped = self._index().at(first)
        from_there = self.between(page or self.low, self.high)
        if not reverse:
            return list(islice(from_there, skipped, skipped + count))
        place = place_of(*next(islice(from_there, skipped, None)))
        return list(islice(self.between(self.low, place + b"\0", reverse=True), count))

    # -- by the hash of their names

    def page(self, first_hash: int, count: int, max_name_bytes: int = PAGE_BYTES) -> tuple[list[Scored], int]:
        """At least `count` members, fewer if they are large, and the hash to go on from; 0: there are no more."""
        page: list[Scored] = []
        previous, name_bytes = b"", 0
        for row, value in self.rows.scan(_BY_NAME + first_hash.to_bytes(4, "big"), after(_BY_NAME)):
            at = row[1:5]
            if at != previous and (len(page) >= count or name_bytes >= max_name_bytes):
                return page, int.from_bytes(at, "big")
            previous = at
            name_bytes += len(row)
            page.append((row[5:], float(_DOUBLE.unpack(value)[0])))
        return page, 0


def place_of(member: bytes, score: float) -> bytes:
    return ordered(score).to_bytes(8, "big") + member


def ordered(score: float) -> int:
    """64 bits that compare as scores do; -0.0 is 0.0."""
    bits = int.from_bytes(_DOUBLE.pack(score + 0.0), "big")
    return bits ^ _ALL if bits & _SIGN else bits | _SIGN


def score_in(order: bytes) -> float:
    bits = int.from_bytes(order, "big")
    return float(_DOUBLE.unpack((bits ^ _SIGN if bits & _SIGN else bits ^ _ALL).to_bytes(8, "big"))[0])


def _name(member: bytes) -> bytes:
    return _BY_NAME + crc32c(member).to_bytes(4, "big") + member


def _pack(levels: int, *places: bytes) -> bytes:
    return bytes((levels,)) + b"".join([bytes((len(place),)) + place for place in places])


def _unpack(extra: bytes) -> tuple[int, bytes, bytes, bytes, bytes]:
    places, at = [], 1
    for _ in range(4):
        end = at + 1 + extra[at]
        places.append(extra[at + 1 : end])
        at = end
    first, last, low, high = places
    return extra[0], first, last, low, high
