"""Comparing replicas while the node serves (core/verify/comparer.py): one entity, or many in a job that somebody watches.

A job goes on for as long as it is looked at, and what it has found is kept for a while.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..core.interface.comparison import Compared, Comparison, DifferingKey, show_key
from ..core.interface.event import Compare, Renew
from ..errors import InvalidRequest, NotServing, Overloaded, PaxosStoreError

MAX_JOBS = 4
"""That are under way, or whose results are kept."""
AT_ONCE = 8
"""Entities that a job compares at one time."""
MAX_NAMED = 100
"""Entities that differ, and as many that were not compared with all nodes, that a job names; the others are counted."""
PATIENCE_S = 30.0
"""A job that nobody has looked at for so long ends, and its results are gone."""
PAGE = 256

Range = tuple[int, int]
"""Entities first..last. A single one is compared whether or not this node has it."""


class Awaited(Comparison):
    """A comparison that somebody waits for."""

    def __init__(self, entity: int, bytes_per_second: float) -> None:
        super().__init__(entity, bytes_per_second)
        self.done: asyncio.Future[Compared] = asyncio.get_running_loop().create_future()

    def settle(self) -> None:
        assert self.result is not None
        if not self.done.done():
            self.done.set_result(self.result)


class Verifier:
    """Has entities compared by the node that it belongs to."""

    def __init__(
        self,
        step: Callable[[Compare | Renew], None],
        committed: Callable[[int], Iterable[tuple[int, int]]],
        bytes_per_second: Callable[[], float],
    ) -> None:
        """`step` hands it to the node, `committed` lists its entities above one. Either raises NotServing. `bytes_per_second`:
        what is read of an entity at most."""
        self._step = step
        self._committed = committed
        self._bytes_per_second = bytes_per_second
        self._waiting: set[Awaited] = set()
        self._jobs: dict[int, VerifyJob] = {}
        self._numbers = itertools.count(1)

    async def compare(self, entity: int) -> Compared:
        """Compare an entity's replicas. Raises NotServing if the node stops."""
        awaited = Awaited(entity, self._bytes_per_second())
        self._waiting.add(awaited)
        try:
            self._step(Compare(awaited))
            return await awaited.done
        finally:
            awaited.cancelled = True
            self._waiting.discard(awaited)

    def entities(self, wanted: Sequence[Range]) -> Iterator[int]:
        """The entities of these ranges, in order; of a range that this node has any of."""
        for first, last in wanted:
            if first == last:
                yield first
                continue
            after = first - 1
            while page := [entity for entity, _ in itertools.islice(self._committed(after), PAGE) if entity <= last]:
                yield from page
                after = page[-1]

    def start(self, wanted: Sequence[Range]) -> VerifyJob:
        """Begin to compare all these entities. Raises Overloaded."""
        now_s = asyncio.get_running_loop().time()
        for number in [number for number, job in self._jobs.items() if now_s > job.looked_at_s + PATIENCE_S]:
            self._jobs.pop(number).end()
        if len(self._jobs) >= MAX_JOBS:
            raise Overloaded(f"{MAX_JOBS} jobs compare entities already, or their results wait to be looked at: try again later")
        number = next(self._numbers)
        job = self._jobs[number] = VerifyJob(number, self.compare, self.entities(wanted))
        return job

    def look(self, number: int) -> Mapping[str, Any]:
        """How a job stands. Raises InvalidRequest."""
        job = self._jobs.get(number)
        if job is None:
            raise InvalidRequest(f"there is no job {number} any more: start another one")
        job.looked_at_s = asyncio.get_running_loop().time()
        return job.describe()

    def cancel(self, number: int) -> Mapping[str, Any]:
        """End a job and forget it. Raises InvalidRequest."""
        said = self.look(number)
        self._jobs.pop(number).end()
        return said

    def renew(self, entity: int, peer: int) -> None:
        """Have an entity's data copied from a peer, in the place of what is here. Raises NotServing."""
        self._step(Renew(entity, peer))

    def stop(self) -> None:
        """The node stops: nothing is compared any more."""
        for job in self._jobs.values():
            job.end()
        self._jobs.clear()
        for awaited in self._waiting:
            if not awaited.done.done():
                awaited.done.set_exception(NotServing("the node stops"))


class VerifyJob:
    """Compares many entities, some at a time."""

    def __init__(self, number: int, compare: Callable[[int], Any], entities: Iterator[int]) -> None:
        self.number = number
        self._compare = compare
        self._entities = entities
        self._loop = asyncio.get_running_loop()
        self.looked_at_s = self._began_s = self._loop.time()
        self._ended_s = 0.0
        self._seen: Counter[str] = Counter()
        self._differing: list[Compared] = []
        self._partial: list[Compared] = []
        self._error = ""
        self._task = self._loop.create_task(self._run())

    def end(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(AT_ONCE):
                    workers.create_task(self._work())
        except* PaxosStoreError as failed:
            self._error = str(failed.exceptions[0])
        finally:
            self._ended_s = self._loop.time()

    async def _work(self) -> None:
        for entity in self._entities:
            self._note(await self._compare(entity))
            if self._loop.time() > self.looked_at_s + PATIENCE_S:
                raise NotServing("nobody has looked at this job for long")

    def _note(self, result: Compared) -> None:
        seen = self._seen
        seen["entities"] += 1
        seen["rows"] += result.rows
        seen["bytes"] += result.size
        if not result.entry and not result.missing:
            seen["unknown"] += 1
        if result.differing:
            seen["differing"] += 1
            if len(self._differing) < MAX_NAMED:
                self._differing.append(result)
        elif result.missing:
            seen["partial"] += 1
            if len(self._partial) < MAX_NAMED:
                self._partial.append(result)

    def describe(self) -> dict[str, Any]:
        """As plain data."""
        names = ("entities", "rows", "bytes", "unknown", "differing", "partial")
        return {
            "job": self.number,
            "done": bool(self._ended_s),
            "error": self._error,
            "seconds": round((self._ended_s or self._loop.time()) - self._began_s, 3),
            **{name: self._seen[name] for name in names},
            "differing_entities": [describe_compared(one) for one in self._differing],
            "partial_entities": [describe_compared(one) for one in self._partial],
        }


def describe_compared(result: Compared) -> dict[str, Any]:
    """What came of a comparison, as plain data. Of values nothing is shown but how long they are, and their digests."""
    return {
        "entity": result.entity,
        "entry": result.entry,
        "described": result.describe(),
        "nodes": list(result.nodes),
        "missing": {str(node): why for node, why in result.missing.items()},
        "differing": result.differing,
        "odd": list(result.odd),
        "keys": [_describe_key(key) for key in result.keys],
    }


def _describe_key(key: DifferingKey) -> dict[str, Any]:
    values = {
        str(node): "not there" if row is None else f"{row.length} bytes, digest {row.digest.hex()}"
        for node, row in sorted(key.values.items())
    }
    return {"key": show_key(key.key), "entry": key.entry, "values": values}
