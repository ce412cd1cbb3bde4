"""Run by test_rocks_kill.py: a store is killed at one step after the other, and opened again by the next process.

Prints `step synced found` for each step, until a life ends without being killed. Every process is forked from one that has
no threads yet.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from paxosstore.storage.rocks import RocksStore

from .support import assert_prefix, write_numbered

SEGMENT_BYTES = 4_096
WRITES = 14
STEPS = ("pwrite", "fdatasync", "fsync")
PATH_STEPS = ("rename", "unlink")


def kill_at(step: int) -> None:
    """Let this process kill itself before the step-th call that changes the disk."""
    left = step

    def wrap(call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*args: object, **kwargs: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return wrapped

    for name in STEPS:
        setattr(os, name, wrap(getattr(os, name)))
    for name in PATH_STEPS:
        setattr(Path, name, wrap(getattr(Path, name)))


def live(path: Path, step: int, synced_to: int) -> None:
    """Write and sync until killed; what is synced is told through a pipe."""
    kill_at(step)
    store = RocksStore(path, segment_bytes=SEGMENT_BYTES)
    first = store.committed_entry(7) + 1
    for number in range(first, first + WRITES):
        write_numbered(store, number, 200)
        if number % 3:
            store.sync()
            os.write(synced_to, number.to_bytes(4, "big"))
        if number % 4 == 0:
            store.reopen()
    store.close()


def look(path: Path, told_to: int) -> None:
    store = RocksStore(path, segment_bytes=SEGMENT_BYTES, read_only=True)
    count = store.committed_entry(7)
    assert_prefix(store, count, 200)
    store.close()
    os.write(told_to, count.to_bytes(4, "big"))


def in_child(task: Callable[[int], None]) -> tuple[int, int]:
    """(exit status, the last number that the task has told)."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read)
            task(write)
            status = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        numbers = told.read()
    return os.waitpid(child, 0)[1], int.from_bytes(numbers[-4:], "big")


def main(path: Path, first_step: int, every: int) -> None:
    synced = 0
    for step in range(first_step, 10_000, every):
        status, told = in_child(lambda told_to, step=step: live(path, step, told_to))  # type: ignore[misc]  # a default binds the step
        synced = max(synced, told)
        looked, found = in_child(lambda told_to: look(path, told_to))
        assert looked == 0
        print(step, synced, found, flush=True)
        if not os.WIFSIGNALED(status):
            assert status == 0
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
