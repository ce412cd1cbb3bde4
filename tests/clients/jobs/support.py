"""What every job needs: where the server is, the moment at which a node is killed, and patience.

The runner gives the addresses in SERVERS; the job is a client of the first. It prints `@harm` in its middle and goes on when
the runner has done its harm; without a runner (a terminal) nothing is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from importlib.metadata import version
from subprocess import Popen
from typing import Any, TypeVar

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

T = TypeVar("T")

SERVERS = [(host, int(port)) for host, port in (a.split(":") for a in os.environ.get("SERVERS", "127.0.0.1:6379").split(","))]
HOST, PORT = SERVERS[0]
URL = f"redis://{HOST}:{PORT}/0"
PATIENCE_S = 90.0
PAUSE_S = 0.2
TRANSIENT = (ConnectionError, TimeoutError, OSError, redis.ConnectionError, redis.TimeoutError)
BUSY = ("NOQUORUM", "OVERLOADED", "TRYAGAIN", "LOADING", "UNKNOWN")
"""The store's own answers after which what is idempotent may be asked again."""


def client(**options: object) -> redis.Redis:
    """A client of redis-py that goes on trying while its node is away."""
    retry = Retry(ConstantBackoff(PAUSE_S), int(PATIENCE_S / PAUSE_S))
    return redis.Redis(host=HOST, port=PORT, retry=retry, **options)


def harm() -> None:
    """The middle of the job: the runner kills a node now, or does not."""
    print("@harm", flush=True)
    if not sys.stdin.isatty():
        sys.stdin.readline()


def used(*packages: str) -> None:
    """Tell the runner's table what this job is made of."""
    print("@with " + ", ".join(f"{name} {version(name)}" for name in packages), flush=True)


def did(what: str) -> None:
    print(f"@did {what}", flush=True)


async def patient(call: Callable[[], Awaitable[Any]], seconds: float = 60.0) -> Any:
    """What a call gives, tried again while the server is away."""
    for _ in range(int(seconds / 0.2)):
        try:
            return await call()
        except Exception as error:
            if not is_transient(error):
                raise
            await asyncio.sleep(0.2)
    raise AssertionError("the server is away for too long")


def is_transient(error: BaseException) -> bool:
    return isinstance(error, TRANSIENT) or str(error).startswith(BUSY)


def patiently(call: Callable[[], T]) -> T:
    """For what may be done twice: again while the server is away. Raises the last error."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except Exception as error:
            if not is_transient(error) or time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_S)


def until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
    """Wait until it is so; an AssertionError that says `what` otherwise."""
    deadline = time.monotonic() + seconds
    while not patiently(condition):
        assert time.monotonic() < deadline, f"not in {seconds:g} s: {what}"
        time.sleep(PAUSE_S)


@contextlib.contextmanager
def kept_running(start: Callable[[], Popen[bytes]]) -> Iterator[Callable[[], None]]:
    """A worker's process, started again when it ends, as a supervisor would. Yields what looks after it: call it often."""
    running = [start()]

    def look() -> None:
        if running[0].poll() is not None:
            time.sleep(PAUSE_S)
            running[0] = start()

    try:
        yield look
    finally:
        running[0].terminate()
        with contextlib.suppress(Exception):
            running[0].wait(5)
        running[0].kill()
