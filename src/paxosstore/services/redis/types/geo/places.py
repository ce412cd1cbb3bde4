"""Commands on places as members of a sorted set: a place is its score."""

from __future__ import annotations

from .....core.batch.overlay import View
from ...floats import double
from ...layout.scored import ScoredSet
from ...reply import NOT_A_FLOAT, SYNTAX_ERROR, ReplyError, array, bulk, error, nil, nil_array
from ..zsets.members import add_members
from .earth import Place, cell_of, distance, geohash, place_at

_UNITS = {b"M": 1.0, b"KM": 1000.0, b"FT": 0.3048, b"MI": 1609.34}
_NO_UNIT = error("unsupported unit provided. please use M, KM, FT, MI")


def geoadd(view: View, args: list[bytes], proto: int) -> bytes:
    at = 2
    options: set[bytes] = set()
    while at < len(args) and (word := args[at].upper()) in (b"NX", b"XX", b"CH"):
        options.add(word)
        at += 1
    words = args[at:]
    if len(words) % 3 or {b"NX", b"XX"} <= options or not words:
        return SYNTAX_ERROR
    members = []
    for longitude, latitude, member in zip(words[::3], words[1::3], words[2::3], strict=True):
        members.append((member, float(cell_of(need_place(longitude, latitude)).score)))
    return add_members(view, args[1], members, options, proto)


def geopos(view: View, args: list[bytes], proto: int) -> bytes:
    scored = ScoredSet(view, args[1])
    scores = [scored.score(member) for member in args[2:]]
    return array([nil_array(proto) if score is None else place_reply(place_at(score), proto) for score in scores])


def geohash_(view: View, args: list[bytes], proto: int) -> bytes:
    scored = ScoredSet(view, args[1])
    scores = [scored.score(member) for member in args[2:]]
    return array([nil(proto) if score is None else bulk(geohash(place_at(score))) for score in scores])


def geodist(view: View, args: list[bytes], proto: int) -> bytes:
    if len(args) > 5:
        return SYNTAX_ERROR
    unit = need_unit(args[4]) if len(args) == 5 else 1.0
    scored = ScoredSet(view, args[1])
    one, other = scored.score(args[2]), scored.score(args[3])
    if one is None or other is None:
        return nil(proto)
    return distance_reply(distance(place_at(one), place_at(other)) / unit)


def need_place(longitude: bytes, latitude: bytes) -> Place:
    """Raises ReplyError."""
    degrees = double(longitude), double(latitude)
    if degrees[0] is None or degrees[1] is None:
        raise ReplyError(NOT_A_FLOAT)
    place = Place(degrees[0], degrees[1])
    if not place.is_valid:
        raise ReplyError(error(f"invalid longitude,latitude pair {place.longitude:.6f},{place.latitude:.6f}"))
    return place


def need_unit(word: bytes) -> float:
    """A unit of length, in meters. Raises ReplyError."""
    unit = _UNITS.get(word.upper())
    if unit is None:
        raise ReplyError(_NO_UNIT)
    return unit


def distance_reply(length: float) -> bytes:
    return bulk(b"%.4f" % length)


def place_reply(place: Place, proto: int) -> bytes:
    return array([_degrees(place.longitude, proto), _degrees(place.latitude, proto)])


def _degrees(degrees: float, proto: int) -> bytes:
    shown = (b"%.17f" % degrees).rstrip(b"0").rstrip(b".")
    if shown == b"-0":
        shown = b"0"
    return b",%b\r\n" % shown if proto == 3 else bulk(shown)
