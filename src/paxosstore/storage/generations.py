"""An entity's data has two places in the table, its generations (rule 16): one is in force, a copy is written into the other.

Which one is in force stands in a row of the meta rows; no row: the first. Where no copy is under way, the other one is empty.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from heapq import merge
from pathlib import Path
from typing import Final

from .keys import ENTITY_BYTES, META, entity_of, entity_prefix, mark_key
from .marks import GENERATION, RECOVERING, decode_generation, decode_recovering

FIRST: Final = b"d"
SECOND: Final = b"e"
"""First byte of the data keys of each. They follow one another."""
AFTER_DATA: Final = b"f"
MAX_KNOWN = 16_384
"""Entities of which it is remembered. With more, all are forgotten, and looked up once more."""
_LAST: Final = (1 << 64) - 1

Rows = Iterator[tuple[bytes, bytes]]


def other(generation: bytes) -> bytes:
    return SECOND if generation == FIRST else FIRST


def after_entity(generation: bytes, entity: int) -> bytes:
    """Above every data key of an entity there, and not above those of the next one."""
    return generation + entity_prefix(entity + 1) if entity < _LAST else bytes((generation[0] + 1,))


def generation_of(entity: int, get: Callable[[bytes], bytes | None], place: Path | str) -> bytes:
    """The one that is in force, as the rows say. Raises Damaged."""
    return SECOND if decode_generation(entity, get(META + mark_key(GENERATION, entity)), place) else FIRST


class Generations:
    """Of one table: which one is in force, for any thread."""

    def __init__(self, get: Callable[[bytes], bytes | None], place: Path | str) -> None:
        self._get = get
        self._place = place
        self._known: dict[int, bytes] = {}
        self._learning = threading.Lock()
        """So that nobody notes what he has read before it was changed."""

    def of(self, entity: int) -> bytes:
        """Raises Damaged."""
        found = self._known.get(entity)
        if found is None:
            with self._learning:
                found = generation_of(entity, self._get, self._place)
                if len(self._known) >= MAX_KNOWN:
                    self._known.clear()
                self._known[entity] = found
        return found

    def changed(self, entity: int) -> None:
        """The table says something else by now, or may."""
        with self._learning:
            self._known.pop(entity, None)

    def has_copy(self, entity: int) -> bool:
        """Whether there may be anything in the one that is not in force."""
        return decode_recovering(entity, self._get(META + mark_key(RECOVERING, entity)), self._place)

    def ahead(self) -> Ahead:
        """For the changes of one write."""
        return Ahead(self)


class Ahead:
    """The generations as one write leaves them, change by change."""

    __slots__ = ("_copies", "_generations", "_in_force")

    def __init__(self, generations: Generations) -> None:
        self._generations = generations
        self._in_force: dict[int, bytes] = {}
        self._copies: dict[int, bool] = {}

    def of(self, entity: int) -> bytes:
        found = self._in_force.get(entity)
        return self._generations.of(entity) if found is None else found

    def turn(self, entity: int) -> bytes:
        """The other one is in force from now on. Returns it."""
        found = self._in_force[entity] = other(self.of(entity))
        self._copies[entity] = False
        return found

    def dropped(self, entity: int) -> None:
        self._copies[entity] = False

    def reset(self, entity: int) -> None:
        """Nothing is left of it in either."""
        self._in_force[entity] = FIRST
        self._copies[entity] = False

    def begin(self, entity: int) -> bool:
        """A copy begins. Returns whether there may be some of an earlier one."""
        found = self._copies.get(entity)
        self._copies[entity] = True
        return self._generations.has_copy(entity) if found is None else found


def data_in_force(first: Rows, second: Rows, generations: Rows) -> Rows:
    """Of all data keys, each generation's ascending, those that are in force, ascending and without their first byte.

    `generations` are the rows that say which one it is, ascending, without the first byte of meta keys.
    """
    entity = -1
    in_force = FIRST
    marked: int | None = -1
    # of the same key in both, the first generation's comes first: never are both in force
    for key, value in merge(first, second, key=_key):
        found = int.from_bytes(key[1 : 1 + ENTITY_BYTES])
        if found != entity:
            entity = found
            while marked is not None and marked < entity:
                row = next(generations, None)
                marked = None if row is None else entity_of(row[0])
            in_force = SECOND if marked == entity else FIRST
        if key[:1] == in_force:
            yield key[1:], value


def _key(row: tuple[bytes, bytes]) -> bytes:
    return row[0][1:]
