"""Places on the earth as Redis's 52-bit geohashes, distances between them, and the cells that cover a shape.

The arithmetic is Redis's, step by step: a difference in the last bit would show in replies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

MAX_LONGITUDE = 180.0
MAX_LATITUDE = 85.05112878
"""No place nearer to a pole can be kept."""
STEPS = 26
"""Bits of each coordinate."""
_RADIUS = 6_372_797.560856
_MERCATOR_MAX = 20_037_726.37
_RADIANS = math.pi / 180.0
_LETTERS = b"0123456789bcdefghjkmnpqrstuvwxyz"
_NEIGHBOURS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
"""Steps north and east, in the order in which Redis looks at them."""
_MASK = 0xFFFFFFFF
_EVEN = bytes([byte & 1 | byte >> 1 & 2 | byte >> 2 & 4 | byte >> 3 & 8 for byte in range(256)])


class Place(NamedTuple):
    """In degrees."""

    longitude: float
    latitude: float

    @property
    def is_valid(self) -> bool:
        return abs(self.longitude) <= MAX_LONGITUDE and abs(self.latitude) <= MAX_LATITUDE


class Cell(NamedTuple):
    """A piece of the earth: its numbers from the south and from the west, of 2**steps each."""

    north: int
    east: int
    steps: int

    @property
    def score(self) -> int:
        """The lowest score of a place in it; those in it have less than the score of the next cell."""
        return (_spread(self.north) | _spread(self.east) << 1) << 2 * (STEPS - self.steps)

    @property
    def end(self) -> int:
        return self.score + (1 << 2 * (STEPS - self.steps))

    def latitudes(self) -> tuple[float, float]:
        return _sides(self.north, self.steps, MAX_LATITUDE)

    def longitudes(self) -> tuple[float, float]:
        return _sides(self.east, self.steps, MAX_LONGITUDE)

    def moved(self, north: int, east: int) -> Cell:
        size = 1 << self.steps
        return Cell(
            (self.north + north) % size if north else self.north, (self.east + east) % size if east else self.east, self.steps
        )


@dataclass(frozen=True, slots=True)
class Shape:
    """A circle, or with a height a box."""

    center: Place
    width: float
    """In units: of a circle, its radius."""
    height: float
    unit: float
    """In meters."""
    is_box: bool

    def distance(self, place: Place) -> float | None:
        """To the center, in meters; None: it is outside."""
        center = self.center
        if self.is_box:
            if _distance_of_latitudes(place.latitude, center.latitude) > self.height * self.unit / 2:
                return None
            if distance(place, Place(center.longitude, place.latitude)) > self.width * self.unit / 2:
                return None
            return distance(center, place)
        meters = distance(center, place)
        return None if meters > self.width * self.unit else meters

    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        longitude, latitude = self.center
        height = self.unit * (self.height / 2 if self.is_box else self.width)
        width = self.unit * (self.width / 2 if self.is_box else self.width)
        up = height / _RADIUS / _RADIANS
        top = _over(width / _RADIUS, _cos((latitude + up) * _RADIANS)) / _RADIANS
        bottom = _over(width / _RADIUS, _cos((latitude - up) * _RADIANS)) / _RADIANS
        aside = bottom if latitude < 0 else top
        return longitude - aside, latitude - up, longitude + aside, latitude + up

    def cells(self) -> Iterator[Cell]:
        """Cells that have every place inside, in Redis's order."""
        west, south, east, north = self.bounds()
        reach = math.sqrt(self.width / 2 * (self.width / 2) + self.height / 2 * (self.height / 2)) if self.is_box else self.width
        steps = _steps(reach * self.unit, self.center.latitude)
        cell = cell_of(self.center, steps)
        if steps > 1 and (
            cell.moved(1, 0).latitudes()[1] < north
            or cell.moved(-1, 0).latitudes()[0] > south
            or cell.moved(0, 1).longitudes()[1] < east
            or cell.moved(0, -1).longitudes()[0] > west
        ):
            steps -= 1
            cell = cell_of(self.center, steps)
        lower, upper = cell.latitudes()
        left, right = cell.longitudes()
        useless = set()
        if steps >= 2:
            useless = {(side, 0) for side, is_useless in ((-1, lower < south), (1, upper > north)) if is_useless}
            useless |= {(0, side) for side, is_useless in ((-1, left < west), (1, right > east)) if is_useless}
        previous: Cell | None = None
        for up, aside in _NEIGHBOURS:
            if (up, 0) in useless or (0, aside) in useless:
                continue
            neighbour = cell.moved(up, aside)
            if neighbour != previous:
                yield neighbour
            previous = neighbour if (up, aside) != (0, 0) else None


def cell_of(place: Place, steps: int = STEPS, max_latitude: float = MAX_LATITUDE) -> Cell:
    north = (place.latitude + max_latitude) / (max_latitude - -max_latitude)
    east = (place.longitude + MAX_LONGITUDE) / (MAX_LONGITUDE - -MAX_LONGITUDE)
    return Cell(int(north * (1 << steps)), int(east * (1 << steps)), steps)


def place_at(score: float) -> Place:
    """The middle of the smallest cell, for any score that a sorted set may have."""
    bits = int(score) & (1 << 64) - 1 if -(2.0**63) <= score < 2.0**64 else 1 << 63
    south, north = _sides(_gather(bits), STEPS, MAX_LATITUDE)
    west, east = _sides(_gather(bits >> 1), STEPS, MAX_LONGITUDE)
    longitude, latitude = (west + east) / 2, (south + north) / 2
    return Place(_limited(longitude, MAX_LONGITUDE), _limited(latitude, MAX_LATITUDE))


def geohash(place: Place) -> bytes:
    """The standard geohash of 11 letters, where latitudes go to the poles."""
    bits = cell_of(place, STEPS, 90.0).score
    return bytes([_LETTERS[bits >> (52 - 5 * number) & 31] for number in range(1, 11)]) + _LETTERS[:1]


def distance(one: Place, other: Place) -> float:
    """In meters."""
    v = math.sin((other.longitude * _RADIANS - one.longitude * _RADIANS) / 2)
    if v == 0.0:
        return _distance_of_latitudes(one.latitude, other.latitude)
    first, second = one.latitude * _RADIANS, other.latitude * _RADIANS
    u = math.sin((second - first) / 2)
    return 2.0 * _RADIUS * math.asin(min(math.sqrt(u * u + math.cos(first) * math.cos(second) * v * v), 1.0))


def _distance_of_latitudes(one: float, other: float) -> float:
    return _RADIUS * abs(other * _RADIANS - one * _RADIANS)


def _steps(meters: float, latitude: float) -> int:
    """How small cells may be for nine of them to cover so much."""
    if meters == 0:
        return STEPS
    steps = 1
    while meters < _MERCATOR_MAX:
        meters *= 2
        steps += 1
    steps -= 2
    if abs(latitude) > 66:
        steps -= 2 if abs(latitude) > 80 else 1
    return min(max(steps, 1), STEPS)


def _sides(number: int, steps: int, most: float) -> tuple[float, float]:
    size = 1 << steps
    scale = most - -most
    return -most + number * 1.0 / size * scale, -most + (number + 1 & _MASK) * 1.0 / size * scale


def _limited(degrees: float, most: float) -> float:
    return min(max(degrees, -most), most)


def _cos(angle: float) -> float:
    """As C has it."""
    return math.cos(angle) if math.isfinite(angle) else math.nan


def _over(number: float, other: float) -> float:
    """As C divides."""
    return number / other if other else math.copysign(math.inf, number)


def _spread(number: int) -> int:
    """Its bits at the even places."""
    number = (number | number << 16) & 0x0000FFFF0000FFFF
    number = (number | number << 8) & 0x00FF00FF00FF00FF
    number = (number | number << 4) & 0x0F0F0F0F0F0F0F0F
    number = (number | number << 2) & 0x3333333333333333
    return (number | number << 1) & 0x5555555555555555


def _gather(number: int) -> int:
    """The bits at the even places, of 64: 4 of each byte, as digits."""
    return int(number.to_bytes(8, "big").translate(_EVEN).hex()[1::2], 16)
