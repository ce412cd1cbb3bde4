"""One node of three is harmed on its disk, again and again, and must be itself again each time: three real nodes in one process.

Before each harm some writes are acknowledged. Then the node is stopped, or its directory is taken as a kill leaves it; one file
is harmed; it is started. It has to start, or to refuse with a reason and a remedy. While it is up, what it answers has to be what
was acknowledged, and in the end it has to hold the same as its peers, and vote.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

from paxosstore.cli.cluster import HOST, free_base_port
from paxosstore.core.batch.overlay import View
from paxosstore.errors import CallerError, ClusterError, DataDirectoryError, NodeError, PaxosStoreError
from paxosstore.runtime.node import Node
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.replace import MARK

from .harm import harm

VICTIM = 0
ENTITIES = 24
PATIENCE_S = 30.0
COPIES = 10
TUNING = TuningSettings(retry_ms=20.0, plog_keep_entries=40, request_timeout_ms=2_000.0)
REMEDIES = ("put that file back from any copy", "start the node again", "make room")


class Failure(Exception):
    """What must never come of any damage."""


class Watch(logging.Handler):
    """Notes what must not be logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.tracebacks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.tracebacks.append(logging.Formatter().format(record))


class Outcome(NamedTuple):
    harm: str
    became: str
    """unaffected, repaired or refused."""
    said: str


def copy(directory: Path, image: Path) -> None:
    """A copy of a directory in the place of the last one. Where its node runs, what it deletes meanwhile is not in it."""
    for _ in range(COPIES):
        shutil.rmtree(image, ignore_errors=True)
        with suppress(shutil.Error):
            shutil.copytree(directory, image)
            return
    raise Failure(f"files vanish from {directory} as fast as it is copied")


class Campaign:
    """Three nodes, of which one is harmed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = Random(seed)
        self.folder = folder
        self.acknowledged: dict[tuple[int, bytes], bytes] = {}
        self.outcomes: list[Outcome] = []
        self.counts: Counter[str] = Counter()
        self._fatal: list[str] = []
        base = free_base_port(3)
        self._peers = [(HOST, base + number) for number in range(3)]
        self._nodes = [self._node(number) for number in range(3)]
        self._writes = 0

    def _node(self, number: int) -> Node:
        path = self.folder / f"node-{number}"
        cluster = ClusterSettings("damage")
        return Node(cluster, number, self._peers, path, TUNING, min_free_bytes=1, fatal=self._fatal.append)

    async def run(self, harms: int, until_s: float = float("inf"), progress: Callable[[Outcome], None] = lambda o: None) -> None:
        """Raises Failure."""
        watch, began = Watch(), time.monotonic()
        logging.getLogger().addHandler(watch)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: watch.tracebacks.append(str(context)))
        try:
            for node in self._nodes:
                await node.start()
            await self._nodes[0].ready(timeout_ms=PATIENCE_S * 1000.0)
            for _ in range(40):
                await self._write()
            while len(self.outcomes) < harms and time.monotonic() - began < until_s:
                outcome = await self._one(watch)
                self.outcomes.append(outcome)
                self.counts[f"{outcome.harm.split(':')[0]}: {outcome.became}"] += 1
                progress(outcome)
        finally:
            logging.getLogger().removeHandler(watch)
            for node in self._nodes:
                await node.stop()

    async def _one(self, watch: Watch) -> Outcome:
        for _ in range(self.random.randrange(1, 6)):
            await self._write()
        victim, path = self._nodes[VICTIM], self.folder / f"node-{VICTIM}"
        image = self.folder / "image"
        if self.random.random() < 0.5:
            await asyncio.sleep(0.1)  # what was synced last is noted elsewhere too by then
            copy(path, image)
            await victim.stop()
        else:
            await victim.stop()
            copy(path, image)
        shutil.rmtree(path)
        for kept in image.glob("store.damaged-*"):
            shutil.rmtree(kept)
        shutil.copytree(image, path)
        done = harm(path, self.random)
        try:
            outcome = await self._come_back(done, image, path)
        except Failure as failure:
            raise Failure(f"harm {len(self.outcomes)}, {done}: {failure}") from None
        if watch.tracebacks:
            raise Failure(f"harm {len(self.outcomes)}, {done}: traceback: {watch.tracebacks[0]}")
        return outcome

    async def _come_back(self, done: str, image: Path, path: Path) -> Outcome:
        victim = self._nodes[VICTIM] = self._node(VICTIM)
        refused = ""
        try:
            await victim.start()
        except DataDirectoryError as error:
            refused = str(error)
            if not any(remedy in refused for remedy in REMEDIES):
                raise Failure(f"refused without a remedy: {refused}") from None
            shutil.rmtree(path)
            shutil.copytree(image, path)
            await victim.start()
        except Exception as error:
            raise Failure(f"the start raised {error!r}") from error
        for place in self.random.sample(sorted(self.acknowledged), min(20, len(self.acknowledged))):
            await self._check(victim, *place)
        await self._until("is a member again", lambda: victim.statistics().reentry.done)
        await self._until("says that it is whole", lambda: not (path / "store" / MARK).exists())
        for place in self.acknowledged:
            await self._check(victim, *place)
        await self._write(through=VICTIM)
        await self._same()
        if self._fatal:
            raise Failure(f"the node ended: {self._fatal}")
        found = victim.statistics().damage
        became = "refused" if refused else "repaired" if found.found else "unaffected"
        return Outcome(done, became, refused or "; ".join(said for _, said in found.latest))

    async def _write(self, through: int | None = None) -> None:
        self._writes += 1
        entity, key = self.random.randrange(ENTITIES), b"k%d" % self.random.randrange(6)
        size = self.random.choice((10, 10, 200, 3_000, 40_000))
        value = b"%d " % self._writes + self.random.randbytes(size)
        node = self._nodes[self.random.randrange(3) if through is None else through]
        await self._ask(node, entity, lambda view: view.put(key, value))
        self.acknowledged[entity, key] = value

    async def _check(self, node: Node, entity: int, key: bytes) -> None:
        found = await self._ask(node, entity, lambda view: view.get(key), read_only=True)
        if found != self.acknowledged[entity, key]:
            raise Failure(
                f"entity {entity}, {key!r}: {found[:20]!r} is read, {self.acknowledged[entity, key][:20]!r} was written"
            )

    async def _ask(self, node: Node, entity: int, function: Callable[[View], bytes | None], *, read_only: bool = False) -> bytes:
        """Until it is answered: a repetition of these requests does no harm."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await node.execute(entity, function, read_only=read_only)
            except CallerError:
                raise
            except (ClusterError, NodeError) as error:
                if time.monotonic() > deadline or self._fatal:
                    raise Failure(f"node {node.node_id} does not answer: {error}; {self._fatal}") from None
                await asyncio.sleep(0.01)

    async def _same(self) -> None:
        hashes: list[str] = []

        def equal() -> bool:
            hashes[:] = [node.content_hash() for node in self._nodes]
            return len(set(hashes)) == 1

        await self._until("holds what its peers hold", equal)

    async def _until(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                if holds():
                    return
            except PaxosStoreError:
                pass  # it stops serving for a moment
            if time.monotonic() > deadline or self._fatal:
                raise Failure(f"it never {what}; {self._fatal}")
            await asyncio.sleep(0.01)
