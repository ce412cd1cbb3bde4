"""All entities are compared again and again, slowly, by one node at a time: the article's check-get-all.

The lowest-numbered node that is up walks over its entities, one after the other, once in `verify_days`, and rests in between.
What a node has found to differ it compares again now and then, so that the alarm ends when that is mended. Where the round is,
and which entities differ, is kept in a small file, so that a restart loses little. Losing the file costs a round from the start.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Protocol

from ..core.entry.ids import MAX_ENTITY
from ..core.interface.comparison import Compared
from ..errors import PaxosStoreError
from ..settings import TuningSettings
from .disk import beside
from .inspection import NodeStatistics
from .verify import Verifier

log = logging.getLogger(__name__)

FILE = "VERIFY"
MAX_FILE_BYTES = 65_536
MAX_REMEMBERED = 1_000
"""Entities that differ, and are compared again first after a restart."""
DAY_S = 86_400.0
LOOK_S = 1.0
"""How often a node that has nothing to do looks whether it has."""
AGAIN_S = 600.0
"""How often a node compares again what it has found to differ."""
SOON_S = 30.0
"""The same where not all nodes have taken part."""
SHARE = 0.02
"""Of the time of a round something is compared: so much of a processor at most, however many entities there are."""
LONGEST_PAUSE_S = 10.0
PAUSE_S = 0.01
"""Between two entities that have been found to differ."""
MANY = 10_000
"""Entities, where it is not known how many there are."""
KEEP_S = 60.0
"""How often the place is written down."""


class Place:
    """Where the round is."""

    def __init__(
        self, after: int = -1, began_s: float = 0.0, differing: Iterable[int] = (), compared: int = 0, last: int = 0
    ) -> None:
        self.after = after
        """All entities up to this one are compared in this round."""
        self.began_s = began_s
        """Wall-clock time; 0: never. One that lies in the future counts as never."""
        self.differing = set(differing)
        self.compared = compared
        """How many entities in this round."""
        self.last = last
        """How many in the round before."""

    def is_due(self, now_s: float, days: float) -> bool:
        """Whether a round is under way, or the next one may begin."""
        return self.after >= 0 or not 0.0 <= now_s - self.began_s < days * DAY_S

    def encode(self) -> bytes:
        differing = sorted(self.differing)[:MAX_REMEMBERED]
        place = {
            "after": self.after,
            "began_s": self.began_s,
            "differing": differing,
            "compared": self.compared,
            "last": self.last,
        }
        return json.dumps(place).encode()

    def pause_s(self, took_s: float, days: float) -> float:
        """How long to rest after a comparison that took so long: the round is to be over in half of its time."""
        many = max(self.compared, self.last or MANY)
        return min(took_s * (1.0 / SHARE - 1.0), LONGEST_PAUSE_S, 0.5 * days * DAY_S / many)


def decode(content: bytes) -> Place:
    """What was written down; a place at the start if that cannot be read."""
    try:
        found = json.loads(content)
        after, began_s, differing = found["after"], found["began_s"], found["differing"]
        compared, last = found.get("compared", 0), found.get("last", 0)  # files of earlier versions lack them
        if (
            type(after) is int
            and -1 <= after <= MAX_ENTITY
            and type(began_s) in (int, float)
            and all(type(entity) is int and 0 <= entity <= MAX_ENTITY for entity in differing)
            and all(type(number) is int and number >= 0 for number in (compared, last))
        ):
            return Place(after, float(began_s), differing[:MAX_REMEMBERED], compared, last)
    except (ValueError, LookupError, TypeError):
        pass
    return Place()


class Rounds:
    """Walks over all entities of a node."""

    def __init__(
        self,
        path: Path,
        compare: Callable[[int], Awaitable[Compared]],
        committed: Callable[[int], Iterable[tuple[int, int]]],
        is_mine: Callable[[], bool],
        differing: Callable[[], Iterable[int]],
        days: Callable[[], float],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`is_mine`: whether this node is the one that does it now. `differing`: the entities that it has found to differ."""
        self._path = path / FILE
        self._compare = compare
        self._committed = committed
        self._is_mine = is_mine
        self._differing = differing
        self._days = days
        self._clock = clock
        self._place = Place()
        self._kept_s = -KEEP_S

    async def run(self) -> None:
        """For as long as the node runs."""
        self._place = decode(await beside(self._read))
        now_s, again_at_s = asyncio.get_running_loop().time, 0.0
        is_mine, look_at_s = False, 0.0
        while True:
            try:
                if now_s() >= look_at_s:
                    look_at_s = now_s() + LOOK_S
                    is_mine = self._is_mine()
                if now_s() >= again_at_s:
                    again_at_s = now_s() + (AGAIN_S if await self._compare_again() else SOON_S)
                elif is_mine and self._place.is_due(self._clock(), self._days()):
                    await self._next()
                else:
                    await asyncio.sleep(LOOK_S)
            except PaxosStoreError as error:
                log.debug("nothing is compared for a moment: %s", error)
                await asyncio.sleep(LOOK_S)

    async def _compare_again(self) -> bool:
        """Compare what has been found to differ; whether all nodes have taken part."""
        all_compared = True
        for entity in sorted(self._place.differing.union(self._differing())):
            all_compared &= not (await self._one(entity)).missing
            await asyncio.sleep(PAUSE_S)
        return all_compared

    async def _next(self) -> None:
        """Compare the next entity, or end the round."""
        place = self._place
        entity = next((entity for entity, _ in islice(self._committed(place.after), 1)), None)
        if entity is None:
            if place.after >= 0:
                place.after, place.last, place.compared = -1, place.compared, 0
                await self._keep()
            await asyncio.sleep(LOOK_S)
            return
        if place.after < 0:
            place.began_s = self._clock()
        now_s = asyncio.get_running_loop().time
        began_s = now_s()
        await self._one(entity)
        place.after = entity
        place.compared += 1
        pause_s = place.pause_s(now_s() - began_s, self._days())
        if now_s() >= self._kept_s + KEEP_S:
            self._kept_s = now_s()
            await self._keep()
        await asyncio.sleep(pause_s)

    async def _one(self, entity: int) -> Compared:
        result = await self._compare(entity)
        if result.differing and entity not in self._place.differing:
            self._place.differing.add(entity)
            await self._keep()
        elif result.is_equal and entity in self._place.differing:
            self._place.differing.discard(entity)
            await self._keep()
        return result

    async def _keep(self) -> None:
        content = self._place.encode()
        try:
            await beside(lambda: self._write(content))
        except OSError as error:
            log.debug("%s: %s", self._path, error)

    def _write(self, content: bytes) -> None:
        """All of it or nothing; what a crash loses costs a few comparisons."""
        new = self._path.with_suffix(".new")
        new.write_bytes(content)
        os.replace(new, self._path)

    def _read(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                return file.read(MAX_FILE_BYTES)
        except OSError:
            return b""


class Host(Protocol):
    """What a running node offers. All but the numbers raise NotServing when it stops."""

    node_id: int
    tuning: TuningSettings
    verifier: Verifier

    def committed(self, after: int = -1) -> Iterable[tuple[int, int]]: ...

    def is_up(self, node: int) -> bool: ...

    def statistics(self) -> NodeStatistics: ...


def rounds_of(node: Host, data_dir: Path) -> Rounds:
    """Those of a node."""

    def is_mine() -> bool:
        return not node.statistics().not_ready_because and not any(node.is_up(other) for other in range(node.node_id))

    def differing() -> Iterable[int]:
        return node.statistics().differing

    return Rounds(data_dir, node.verifier.compare, node.committed, is_mine, differing, lambda: node.tuning.verify_days)
