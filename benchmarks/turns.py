"""What one write costs at each of three replicas, alone and among others: µs and calls of every turn that it causes.

The production core, turn, codec and store, in one process: without sockets, without the event loop and without syncs. µs are of
the processor. A call is what the interpreter sees: one from compiled code to compiled code is none.

    python benchmarks/turns.py                       compiled, if it is
    PAXOSSTORE_PURE=1 python benchmarks/turns.py     pure
    python benchmarks/turns.py --profile voter       cProfile of one of the replicas
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from microbench import SetKey, keys, new_store
from paxosstore.compiled import BUILD
from paxosstore.core.batch.request import Request
from paxosstore.core.interface.event import Event, PeerUp, Received
from paxosstore.core.interface.message import Message
from paxosstore.core.interface.ready import Release
from paxosstore.core.shard.shard import Shard
from paxosstore.core.turn.context import Identity
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.turn import Turn
from paxosstore.wire.codec import decode_messages, encode_messages

NODES = 3
ROLES = ("proposer", "voter", "bystander")
WARM_UP = 500
WRITES = 3_000
COUNTED = 300
BATCHES = (1, 16)
WRITE_MS = 0.5
"""A lone client sends its next write so much later, on the replicas' clock: it decides how many writes one notice tells of."""


class Replica:
    """One of them: what has come, what its turns took."""

    def __init__(self, me: int, directory: Path, send: Callable[[int, int, bytes], None]) -> None:
        self.store = new_store(directory / f"store-{me}")
        settings, tuning, codec = ClusterSettings("bench", NODES), TuningSettings(), MsgpackBodyCodec()
        self._shard = Shard(Identity(settings, tuning, me, me + 1), self.store, codec, {})
        self._turn = Turn(self._shard, self.store, self._release)
        self._me, self._send = me, send
        self.inbox: list[Event | Request] = [PeerUp(peer) for peer in range(NODES) if peer != me]
        self.frames: list[tuple[int, bytes]] = []
        self.turns = 0
        self.seconds = 0.0
        self.calls = 0
        self.profiler: cProfile.Profile | None = None

    def _release(self, out: Release) -> None:
        frames: dict[int, list[Message]] = {}
        for peer, message in out.messages:
            frames.setdefault(peer, []).append(message)
        for peer, messages in frames.items():
            self._send(self._me, peer, encode_messages(messages))
        for request, reply, error in out.outcomes:
            request.settle(reply, error)

    def has_work(self, now_ms: float) -> bool:
        return bool(self.inbox or self.frames) or self._shard.next_deadline_ms <= now_ms

    def one_turn(self, now_ms: float) -> None:
        """Decode, step, write, release: what a node does when it wakes up."""
        inbox, self.inbox = self.inbox, []
        inbox += [Received(peer, decode_messages(frame)) for peer, frame in self.frames]
        self.frames.clear()
        wall_ms = int(now_ms)
        self._turn.begin(inbox, now_ms, wall_ms)
        self.inbox += self._turn.finish(now_ms, wall_ms)

    def timed_turn(self, now_ms: float) -> None:
        began = time.thread_time()
        self.one_turn(now_ms)
        self.seconds += time.thread_time() - began
        self.turns += 1

    def counted_turn(self, now_ms: float) -> None:
        def seen(frame: FrameType, event: str, argument: object) -> None:
            self.calls += event in ("call", "c_call")

        sys.setprofile(seen)
        self.one_turn(now_ms)
        sys.setprofile(None)

    def profiled_turn(self, now_ms: float) -> None:
        assert self.profiler is not None
        self.profiler.enable()
        self.one_turn(now_ms)
        self.profiler.disable()


class Cost(NamedTuple):
    """Of a write, at one replica."""

    turns: float
    microseconds: float
    calls: float


class Cluster:
    """Three replicas in lockstep. The first one is the proposer; who votes shows in the first write."""

    def __init__(self, directory: Path) -> None:
        self.replicas = [Replica(me, directory, self._send) for me in range(NODES)]
        self._now_ms = 1e6
        self._first_asked = -1

    def _send(self, sender: int, receiver: int, frame: bytes) -> None:
        self.replicas[receiver].frames.append((sender, frame))
        if sender == 0 and self._first_asked < 0:
            self._first_asked = receiver

    def run(self, turn: Callable[[Replica, float], None]) -> None:
        while waiting := [replica for replica in self.replicas if replica.has_work(self._now_ms)]:
            for replica in waiting:
                turn(replica, self._now_ms)

    def write(self, requests: list[Request], turn: Callable[[Replica, float], None]) -> None:
        self._now_ms += WRITE_MS
        self._first_asked = -1
        self.replicas[0].inbox += requests
        self.run(turn)

    def by_role(self) -> list[Replica]:
        voter = self._first_asked
        return [self.replicas[0], self.replicas[voter], self.replicas[NODES - voter]]

    def close(self) -> None:
        for replica in self.replicas:
            replica.store.close()


def measure(batch: int) -> dict[str, Cost]:
    with tempfile.TemporaryDirectory(prefix="paxosstore-turns-") as directory:
        cluster, source = Cluster(Path(directory)), keys(batch)

        def write(turn: Callable[[Replica, float], None], times: int) -> None:
            for _ in range(times):
                cluster.write([SetKey(key) for key in next(source)], turn)

        write(Replica.one_turn, WARM_UP)
        write(Replica.timed_turn, WRITES)
        write(Replica.counted_turn, COUNTED)
        found = {
            role: Cost(replica.turns / WRITES, 1e6 * replica.seconds / WRITES, replica.calls / COUNTED)
            for role, replica in zip(ROLES, cluster.by_role(), strict=True)
        }
        cluster.close()
        return found


def profile(role: str) -> None:
    with tempfile.TemporaryDirectory(prefix="paxosstore-turns-") as directory:
        cluster, source = Cluster(Path(directory)), keys(1)
        for _ in range(WARM_UP):
            cluster.write([SetKey(key) for key in next(source)], Replica.one_turn)
        chosen = cluster.by_role()[ROLES.index(role)]
        chosen.profiler = cProfile.Profile()
        for _ in range(WRITES):
            cluster.write(
                [SetKey(key) for key in next(source)],
                lambda replica, now_ms: replica.profiled_turn(now_ms) if replica is chosen else replica.one_turn(now_ms),
            )
        cluster.close()
    pstats.Stats(chosen.profiler).sort_stats("tottime").print_stats(40)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=ROLES, help="print a profile of this replica instead")
    options = parser.parse_args()
    if options.profile:
        profile(options.profile)
        return
    table = Table("requests", "replica", "turns", "µs", "calls", title=f"one batch, {BUILD}")
    for batch in BATCHES:
        costs = measure(batch)
        for role, cost in costs.items():
            table.add_row(str(batch), role, f"{cost.turns:.2f}", f"{cost.microseconds:.1f}", f"{cost.calls:.1f}")
        total = Cost(*(sum(column) for column in zip(*costs.values(), strict=True)))
        table.add_row("", "all", f"{total.turns:.2f}", f"{total.microseconds:.1f}", f"{total.calls:.1f}", end_section=True)
    Console().print(table)


if __name__ == "__main__":
    main()
