"""One more try of a request, while the store still holds the last one."""

from __future__ import annotations

import ast
from pathlib import Path

import paxosstore
from paxosstore.core.interface.message import Message
from paxosstore.errors import NoQuorum, PaxosStoreError
from paxosstore.services.redis.again import Again
from paxosstore.settings import TuningSettings
from paxosstore.sim.cluster import SimCluster

from ...core.support import HANDLERS, Operation

ENTITY = 7


class Cluster(SimCluster):
    """Messages of one node's can be lost."""

    def __init__(self) -> None:
        self.mute = False
        super().__init__(1, 3, TuningSettings(), HANDLERS)
        self.start_all()
        self.found()

    def send(self, sender: int, receiver: int, messages: list[Message]) -> None:
        if not (self.mute and sender == 0):
            super().send(sender, receiver, messages)

    def wait(self, ms: float) -> None:
        self.run_until(self.now_ms + ms)


class Insistent(Operation):
    """Tries once more when it is refused."""

    def __init__(self, cluster: Cluster, operation: bytes, wait_ms: float) -> None:
        super().__init__(ENTITY, operation, deadline_ms=cluster.now_ms + wait_ms)
        self._cluster = cluster
        self.refusals: list[PaxosStoreError] = []

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        if error is None:
            super().settle(reply, None)
            return
        self.refusals.append(error)
        again = Again(self, read_only=False, handler=self.handler)
        self._cluster.after(0.0, lambda: self._cluster.nodes[0].step(again))


def test_a_try_that_was_refused_in_the_middle_of_the_queue_is_not_run_with_the_next_one() -> None:
    """The queue lets go of it when it gets there: that it has ended is written on it."""
    cluster = Cluster()
    node = cluster.nodes[0]
    first = Operation(ENTITY, b"put a 1")
    node.step(first)
    cluster.wait(100.0)
    assert first.ended
    cluster.mute = True
    others = [Operation(ENTITY, b"put %d 1" % number) for number in range(3)]
    node.step(others[0])
    cluster.wait(20.0)
    for other in others[1:]:
        node.step(other)
    once = Insistent(cluster, b"incr c", 100.0)
    node.step(once)
    cluster.wait(150.0)
    assert [type(error) for error in once.refusals] == [NoQuorum]
    entity = node.shard.entity(ENTITY)
    assert entity is not None
    assert once in entity.writes.queue, "it is there still"
    cluster.mute = False
    cluster.wait(1_000.0)
    assert all(other.reply == b"done" for other in others)
    assert once.reply == b"1"
    assert len(once.refusals) == 1
    read = Operation(ENTITY, b"get c", read_only=True)
    node.step(read)
    cluster.wait(100.0)
    assert read.reply == b"1"


def test_no_request_is_made_new_in_place() -> None:
    """For what the store does with one see above."""
    package = Path(paxosstore.__file__).parent
    files = [path for room in ("services", "runtime") for path in (package / room).rglob("*.py")]
    found = []
    for path in files:
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef) or function.name == "__init__":
                continue
            calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
            if any(isinstance(called, ast.Attribute) and called.attr == "__init__" for called in calls):
                found.append(f"{path.relative_to(package)}: {function.name}")
    assert len(files) > 100
    assert not found
