"""Searches in sorted sets of places: GEOSEARCH, GEORADIUS and their kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from .....core.batch.overlay import View
from ...floats import double
from ...layout.keys import LOOKUPS, Key
from ...layout.scored import ScoredSet, place_of
from ...reply import SYNTAX_ERROR, ZERO, ReplyError, array, bulk, error, integer_reply
from ...run import Run
from ..arguments import need_integer
from ..zsets.ranges import store
from .earth import Place, Shape, place_at
from .places import distance_reply, need_place, need_unit, place_reply

_NO_MEMBER = error("could not decode requested zset member")
_DESCRIBING = frozenset((b"WITHDIST", b"WITHHASH", b"WITHCOORD"))
_FLAGS = _DESCRIBING | {b"ANY"}
_ANY_NEEDS_COUNT = error("the ANY argument requires COUNT argument")


class _Found(NamedTuple):
    member: bytes
    score: float
    place: Place
    meters: float


@dataclass(slots=True)
class _Search:
    """What the words of a command ask for."""

    scored: ScoredSet
    target: bytes | None = None
    store_distances: bool = False
    center: Place | None = None
    given: set[bytes] = field(default_factory=set)
    """Options without a word of their own, upper case."""
    sort: bytes = b""
    count: int = 0
    size: tuple[float, float] | None = None
    unit: float = 1.0
    is_box: bool = False

    def from_member(self, member: bytes) -> None:
        score = self.scored.score(member)
        if score is None:
            raise ReplyError(_NO_MEMBER)
        self.center = place_at(score)

    def circle(self, words: list[bytes]) -> None:
        radius = _need_size(words[0], "need numeric radius")
        if radius < 0:
            raise ReplyError(error("radius cannot be negative"))
        self.unit = need_unit(words[1])
        self.size, self.is_box = (radius, 0.0), False

    def box(self, words: list[bytes]) -> None:
        width, height = _need_size(words[0], "need numeric width"), _need_size(words[1], "need numeric height")
        if width < 0 or height < 0:
            raise ReplyError(error("height or width cannot be negative"))
        self.unit = need_unit(words[2])
        self.size, self.is_box = (width, height), True

    def find(self) -> list[_Found]:
        assert self.center is not None
        assert self.size is not None
        shape = Shape(self.center, *self.size, self.unit, self.is_box)
        limit = self.count if b"ANY" in self.given else 0
        found = _within(self.scored, shape, limit)
        if self.sort:
            found.sort(key=lambda one: one.meters, reverse=self.sort == b"DESC")
        return found[: self.count] if self.count else found

    def reply(self, found: list[_Found], proto: int) -> bytes:
        if self.target is not None:
            scored = [(one.member, one.meters / self.unit if self.store_distances else one.score) for one in found]
            return store(self.scored.rows.view, self.target, sorted(scored, key=lambda pair: (pair[1], pair[0])))
        return array([self._describe(one, proto) for one in found])

    def _describe(self, one: _Found, proto: int) -> bytes:
        more = []
        if b"WITHDIST" in self.given:
            more.append(distance_reply(one.meters / self.unit))
        if b"WITHHASH" in self.given:
            more.append(integer_reply(int(one.score)))
        if b"WITHCOORD" in self.given:
            more.append(place_reply(one.place, proto))
        return array([bulk(one.member), *more]) if more else bulk(one.member)


def _within(scored: ScoredSet, shape: Shape, limit: int) -> list[_Found]:
    """Members inside; as many as `limit` says at most, 0: all."""
    found: list[_Found] = []
    for cell in shape.cells():
        if limit and len(found) >= limit:
            break
        for member, score in scored.between(place_of(b"", float(cell.score)), place_of(b"", float(cell.end))):
            place = place_at(score)
            meters = shape.distance(place)
            if meters is not None:
                found.append(_Found(member, score, place, meters))
                if limit and len(found) >= limit:
                    break
    return found


def radius_command(*, by_member: bool, stores: bool) -> Run:
    """GEORADIUS and GEORADIUSBYMEMBER; those that only read have no STORE."""

    def search(view: View, args: list[bytes], proto: int) -> bytes:
        with LOOKUPS:
            wanted = _Search(ScoredSet(view, args[1]))
        if by_member:
            if wanted.scored.size:
                wanted.from_member(args[2])
                wanted.circle(args[3:])
        else:
            wanted.center = need_place(args[2], args[3])
            wanted.circle(args[4:])
        _options(wanted, args[5 if by_member else 6 :], _store_option if stores else _no_option)
        return _answer(wanted, "STORE option in GEORADIUS", proto)

    return search


def geosearch(view: View, args: list[bytes], proto: int) -> bytes:
    wanted = _Search(ScoredSet(view, args[1]))
    _options(wanted, args[2:], _shape_option)
    return _answer(wanted, "", proto, args[0])


def geosearchstore(view: View, args: list[bytes], proto: int) -> bytes:
    with LOOKUPS:
        wanted = _Search(ScoredSet(view, args[2]), args[1])
    _options(wanted, args[3:], _shape_option)
    return _answer(wanted, "GEOSEARCHSTORE", proto, args[0])


def _answer(wanted: _Search, storing: str, proto: int, search: bytes = b"") -> bytes:
    """Check that what was asked for fits together, and do it. Raises ReplyError."""
    given = wanted.given
    if wanted.target is not None and given & _DESCRIBING:
        return error(f"{storing} is not compatible with WITHDIST, WITHHASH and WITHCOORD options")
    if search and not given & {b"FROMMEMBER", b"FROMLONLAT"}:
        return error(b"exactly one of FROMMEMBER or FROMLONLAT can be specified for " + search)
    if search and not given & {b"BYRADIUS", b"BYBOX"}:
        return error(b"exactly one of BYRADIUS and BYBOX can be specified for " + search)
    if b"ANY" in given and not wanted.count:
        return _ANY_NEEDS_COUNT
    if not wanted.scored.size:
        if wanted.target is None:
            return array([])
        Key(wanted.scored.rows.view, wanted.target).delete()
        return ZERO
    if wanted.count and not wanted.sort and b"ANY" not in given:
        wanted.sort = b"ASC"
    return wanted.reply(wanted.find(), proto)


def _options(wanted: _Search, words: list[bytes], more: Callable[[_Search, bytes, list[bytes]], int | None]) -> None:
    """Read the words behind those that are always there. Raises ReplyError."""
    at = 0
    while at < len(words):
        word, behind = words[at].upper(), words[at + 1 :]
        taken: int | None = 0
        if word in _FLAGS:
            wanted.given.add(word)
        elif word in (b"ASC", b"DESC"):
            wanted.sort = word
        elif word == b"COUNT" and behind:
            wanted.count = need_integer(behind[0])
            if wanted.count <= 0:
                raise ReplyError(error("COUNT must be > 0"))
            taken = 1
        else:
            taken = more(wanted, word, behind)
        if taken is None:
            raise ReplyError(SYNTAX_ERROR)
        at += 1 + taken


def _no_option(wanted: _Search, word: bytes, behind: list[bytes]) -> int | None:
    return None


def _store_option(wanted: _Search, word: bytes, behind: list[bytes]) -> int | None:
    """Of GEORADIUS; returns how many words it takes, None: it cannot stand here."""
    if word not in (b"STORE", b"STOREDIST") or not behind:
        return None
    wanted.target, wanted.store_distances = behind[0], word == b"STOREDIST"
    return 1


def _shape_option(wanted: _Search, word: bytes, behind: list[bytes]) -> int | None:
    """Of GEOSEARCH, like `_store_option`."""
    given, left = wanted.given, len(behind)
    if word == b"STOREDIST" and wanted.target is not None:
        wanted.store_distances = True
        return 0
    if word == b"FROMMEMBER" and left >= 1 and b"FROMLONLAT" not in given:
        given.add(word)
        if wanted.scored.size:
            wanted.from_member(behind[0])
        return 1
    if word == b"FROMLONLAT" and left >= 2 and b"FROMMEMBER" not in given:
        given.add(word)
        wanted.center = need_place(behind[0], behind[1])
        return 2
    if word == b"BYRADIUS" and left >= 2 and b"BYBOX" not in given:
        given.add(word)
        wanted.circle(behind)
        return 2
    if word == b"BYBOX" and left >= 3 and b"BYRADIUS" not in given:
        given.add(word)
        wanted.box(behind)
        return 3
    return None


def _need_size(word: bytes, otherwise: str) -> float:
    """Raises ReplyError."""
    number = double(word)
    if number is None:
        raise ReplyError(error(otherwise))
    return number


GEORADIUS, GEORADIUS_RO = radius_command(by_member=False, stores=True), radius_command(by_member=False, stores=False)
BYMEMBER, BYMEMBER_RO = radius_command(by_member=True, stores=True), radius_command(by_member=True, stores=False)
