"""The process that is recorded: a node's storage, driven through the turns of a seed, which says what it holds to be durable.

Each line that it appends to the file of claims is one system call, so the recording shows where in the sequence it was said:

    opened DISK TURN     the data directory is that disk's, and shows everything up to a turn (rule 7: then it is durable)
    writing TURN         this turn may be on the disk from now on
    synced TURN          everything up to this turn is durable
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

from rocksdict import Options

from paxosstore.settings import ClusterSettings
from paxosstore.storage import directory, rocks_table
from paxosstore.storage.directory import open_directory
from paxosstore.storage.epochs import Keep
from paxosstore.storage.rocks import RocksStore, create_store
from paxosstore.storage.rocks_options import table_options

from ..storage.support import settle
from .turns import Turns, highest

CLUSTER = ClusterSettings("crash")
NODE = 1
DATA = "data"
"""Name of the node's data directory on its disk."""
AT_WORK = (
    *("rocksdb.mem-table-flush-pending", "rocksdb.num-running-flushes"),
    *("rocksdb.compaction-pending", "rocksdb.num-running-compactions"),
)
"""Properties of RocksDB that are 0 while it does nothing in the background."""


KEEP = Keep(entries=2, bytes=50_000, seconds=0.1)
"""So little of the PLog that rows expire all the time, by each of the limits."""


class Sizes(NamedTuple):
    """How small a store is made, so that segments are switched, written out and deleted after some turns already."""

    segment_bytes: int
    buffer_bytes: int


def use(sizes: Sizes) -> None:
    """Let every store that this process makes or opens have these sizes."""

    def small_options(create: bool) -> Options:
        options = table_options(create)
        options.set_write_buffer_size(sizes.buffer_bytes)
        return options

    setattr(rocks_table, "table_options", small_options)  # noqa: B010
    setattr(directory, "create_store", partial(create_store, segment_bytes=sizes.segment_bytes))  # noqa: B010


def forget_to_sync() -> None:
    """Be the broken store that the checks must catch: it says that it synced, and did not."""
    setattr(RocksStore, "sync", lambda _: None)  # noqa: B010


class Life:
    """A node's storage from one start to its end: takes turns, and syncs after some of them."""

    def __init__(self, seed: int, disk: Path, claims: int, sizes: Sizes) -> None:
        self._claims = claims
        self._directory = open_directory(disk / DATA, CLUSTER, NODE)
        self._store = RocksStore(self._directory.store_path, segment_bytes=sizes.segment_bytes, keep=KEEP)
        self._syncing: Future[None] | None = None
        self._syncer = ThreadPoolExecutor(1)
        self._turns = Turns(seed)
        self._turns.skip_to(highest(self._store))
        self._random = Random(f"{seed} from {self._turns.number}")
        self._diligence = 0.5
        """How likely a turn is synced."""
        self._claim_opened()

    def run(self, turns: int) -> None:
        for _ in range(turns):
            turn = self._turns.next()
            self._claim(f"writing {self._turns.number}")
            self._store.write(*turn)
            self._after_turn()
        self._wait()

    def close(self) -> None:
        self._store.close()
        self._directory.close()

    def leave(self) -> None:
        """Wait until nothing is done in the background, so that the process can be killed with no call under way."""
        settle(self._store)
        table = self._store._use().table._db
        while any(table.property_int_value(name) for name in AT_WORK):
            time.sleep(0.001)

    def _after_turn(self) -> None:
        number = self._turns.number
        if number % 10 == 0:
            self._diligence = self._random.choice((0.1, 0.5, 0.8))
        if self._random.random() < self._diligence:
            self._wait()
            if self._random.random() < 0.7:
                self._sync(number)
            else:  # the next turns are written meanwhile
                self._syncing = self._syncer.submit(self._sync, number)
        elif self._random.random() < 0.02:
            self._wait()
            self._store.reopen()
            self._claim_opened()

    def _wait(self) -> None:
        syncing, self._syncing = self._syncing, None
        if syncing is not None:
            syncing.result()

    def _sync(self, number: int) -> None:
        self._store.sync()
        self._claim(f"synced {number}")

    def _claim_opened(self) -> None:
        self._claim(f"opened {self._directory.disk_id} {highest(self._store)}")

    def _claim(self, text: str) -> None:
        os.write(self._claims, text.encode() + b"\n")


def live(seed: int, disk: Path, claims: int, sizes: Sizes, turns: int, killed: bool) -> None:
    """One life, in a process of its own."""
    child = os.fork()
    if not child:
        use(sizes)
        life = Life(seed, disk, claims, sizes)
        life.run(turns)
        if killed:
            life.leave()
            os.kill(os.getpid(), signal.SIGKILL)
        life.close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == (signal.SIGKILL if killed else 0), f"a node ended with {status}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--disk", type=Path, required=True)
    parser.add_argument("--claims", type=Path, required=True)
    parser.add_argument("--turns", type=int, required=True)
    parser.add_argument("--segment-bytes", type=int, required=True)
    parser.add_argument("--buffer-bytes", type=int, required=True)
    parser.add_argument("--forget-to-sync", action="store_true")
    arguments = parser.parse_args()
    if arguments.forget_to_sync:
        forget_to_sync()
    sizes = Sizes(arguments.segment_bytes, arguments.buffer_bytes)
    claims = os.open(arguments.claims, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    random = Random(f"{arguments.seed} {sizes}")
    left = arguments.turns
    while left > 0:
        turns = min(left, random.randint(1, arguments.turns))
        live(arguments.seed, arguments.disk, claims, sizes, turns, random.random() < 0.7)
        left -= turns


if __name__ == "__main__":
    main()
