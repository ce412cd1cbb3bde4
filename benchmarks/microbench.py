"""Where a write's time goes: one turn's steps, each alone, in µs per request, for several batch sizes.

The last line is the whole way through three replicas in this one process: the production core, turn, codec and store,
without sockets, without the event loop and without syncs.

    python benchmarks/microbench.py                      the table
    python benchmarks/microbench.py --profile 256        cProfile of the whole way at this batch size
    python benchmarks/turns.py                           the whole way by replica and turn
    py-spy record -o out.svg -p PID                      a flame graph of a running node, under redis-benchmark
    py-spy record --native -o out.svg -p PID             the same, with the time in RocksDB and msgspec
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from paxosstore.core.batch.evaluate import evaluate
from paxosstore.core.batch.overlay import Overlay, View, WriteBatch
from paxosstore.core.batch.request import Request
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.event import Event, PeerUp, Received
from paxosstore.core.interface.message import Message, PaxosMessage
from paxosstore.core.interface.ready import Apply, Release
from paxosstore.core.shard.shard import Shard
from paxosstore.core.turn.context import Identity
from paxosstore.errors import PaxosStoreError
from paxosstore.services.redis.layout.keys import Key
from paxosstore.services.redis.resp import RequestParser
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.rocks import RocksStore, create_store
from paxosstore.storage.turn import Turn
from paxosstore.wire.codec import decode_messages, encode_messages

BATCHES = (1, 16, 64, 256)
NODES = 3
KEYSPACE = 100_000
VALUE = b"x" * 100
SECONDS_PER_STEP = 0.3
ENTITY = 1


class SetKey(Request):
    """SET, as the Redis service runs it."""

    __slots__ = ("key",)

    def __init__(self, key: bytes) -> None:
        super().__init__(ENTITY)
        self.key = key

    def evaluate(self, view: View) -> bytes:
        Key(view, self.key).set(VALUE)
        return b"+OK\r\n"

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        if error is not None:
            raise error


def keys(count: int) -> Iterator[list[bytes]]:
    """Lists of `count` keys, spread over the keyspace, for ever."""
    number = 0
    while True:
        yield [b"key:%012d" % ((number + at) * 7919 % KEYSPACE) for at in range(count)]
        number += count


class Replicas:
    """Three shards over three stores, in lockstep. Frames go through the codec; syncs are left out."""

    def __init__(self, directory: Path) -> None:
        settings, tuning, codec = ClusterSettings("bench", NODES), TuningSettings(), MsgpackBodyCodec()
        self.stores = [new_store(directory / f"store-{number}") for number in range(NODES)]
        self._inbox: list[list[Event | Request]] = [
            [PeerUp(peer) for peer in range(NODES) if peer != number] for number in range(NODES)
        ]
        shards = [Shard(Identity(settings, tuning, me, me + 1), store, codec, {}) for me, store in enumerate(self.stores)]
        self._turns = [Turn(shard, self.stores[me], self._releaser(me)) for me, shard in enumerate(shards)]

    def _releaser(self, me: int) -> Callable[[Release], None]:
        def release(out: Release) -> None:
            frames: dict[int, list[Message]] = {}
            for peer, message in out.messages:
                frames.setdefault(peer, []).append(message)
            for peer, messages in frames.items():
                self._inbox[peer].append(Received(me, decode_messages(encode_messages(messages))))
            for request, reply, error in out.outcomes:
                request.settle(reply, error)

        return release

    def write(self, requests: list[Request]) -> None:
        """Take requests in at node 0, and run turns until nothing is left to do."""
        self._inbox[0] += requests
        while any(self._inbox):
            for me, turn in enumerate(self._turns):
                inbox, self._inbox[me] = self._inbox[me], []
                now = time.monotonic() * 1000.0
                turn.begin(inbox, now, int(time.time() * 1000))
                self._inbox[me] += turn.finish(now, int(time.time() * 1000))

    def close(self) -> None:
        for store in self.stores:
            store.close()


@contextmanager
def replicas() -> Iterator[Replicas]:
    with tempfile.TemporaryDirectory(prefix="paxosstore-microbench-") as directory:
        running = Replicas(Path(directory))
        try:
            yield running
        finally:
            running.close()


def new_store(path: Path) -> RocksStore:
    create_store(path)
    return RocksStore(path)


def per_request_us(batch: int, step: Callable[[], object]) -> float:
    """The best of three rounds: what disturbs a round only ever makes it slower."""
    best = float("inf")
    for _ in range(3):
        done = 0
        started = time.perf_counter()
        while (took := time.perf_counter() - started) < SECONDS_PER_STEP / 3:
            step()
            done += batch
        best = min(best, took / done)
    return 1e6 * best


def split(batch: int) -> dict[str, float]:
    """µs per request of every step."""
    with replicas() as running:
        store, codec, source = running.stores[1], MsgpackBodyCodec(), keys(batch)
        some = next(source)
        piece = b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(k), k, len(VALUE), VALUE) for k in some)
        parser = RequestParser()
        writes = _evaluate(store, some)
        body = codec.encode(writes)
        message = PaxosMessage(ENTITY, 9, 1, 1, 0, False, bytes(16), body, 8, True, False)
        frame = encode_messages([message])
        entries = iter(range(1, 10**9))

        def write_turn() -> None:
            entry = next(entries)
            record = Record(1, 1, 1, Value(bytes(16), body), True)
            store.write({(ENTITY, entry): record}, [Apply(ENTITY, entry, writes)])

        def durable_turn() -> None:
            write_turn()
            store.sync()

        costs = {
            "parse the command": per_request_us(batch, lambda: parser.feed(piece)),
            "evaluate on the overlay": per_request_us(batch, lambda: _evaluate(store, next(source))),
            "encode the write batch": per_request_us(batch, lambda: codec.encode(writes)),
            "encode the frame": per_request_us(batch, lambda: encode_messages([message])),
            "decode the frame": per_request_us(batch, lambda: decode_messages(frame)),
            "decode the write batch": per_request_us(batch, lambda: codec.decode(body)),
            "store.write: row and apply": per_request_us(batch, write_turn),
            "store.write and sync": per_request_us(batch, durable_turn),
        }
    with replicas() as running:
        costs["the whole way, three replicas"] = per_request_us(batch, lambda: _write(running, next(source)))
    return costs


def _evaluate(store: RocksStore, names: list[bytes]) -> WriteBatch:
    queue: deque[Request] = deque(SetKey(name) for name in names)
    return evaluate(queue, Overlay(store, ENTITY, 1), 1, 65_536, 4_096, 1 << 20).batch


def _write(running: Replicas, names: list[bytes]) -> None:
    running.write([SetKey(name) for name in names])


def profile(batch: int) -> None:
    """Where the functions' time goes on the whole way."""
    source = keys(batch)
    with replicas() as running:
        for _ in range(20):
            _write(running, next(source))
        profiler = cProfile.Profile()
        profiler.enable()
        for _ in range(max(1, 100_000 // batch // 2)):
            _write(running, next(source))
        profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", type=int, metavar="BATCH", help="print a profile of the whole way instead")
    options = parser.parse_args()
    if options.profile:
        profile(options.profile)
        return
    columns = [split(batch) for batch in BATCHES]
    table = Table("µs per request, by batch size", *(str(batch) for batch in BATCHES))
    for name in columns[0]:
        table.add_row(name, *(f"{column[name]:.2f}" for column in columns))
    Console().print(table)


if __name__ == "__main__":
    main()
