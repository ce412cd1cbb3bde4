"""The thread of the syncs: who waits, who is called, and what is left of it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable

import pytest

from paxosstore.runtime.syncer import Syncer

LONG_MS = 60_000.0


def with_syncer(sync: Callable[[], None], ask: Callable[[Syncer], None]) -> list[Exception | None]:
    """How syncs ended until one had, as the loop was told."""

    async def main() -> list[Exception | None]:
        told: list[Exception | None] = []
        ended = asyncio.Event()

        def done(error: Exception | None) -> None:
            told.append(error)
            ended.set()

        syncer = Syncer(sync, done)
        ask(syncer)
        async with asyncio.timeout(10.0):
            await ended.wait()
        syncer.close()
        return told

    return asyncio.run(main())


@pytest.mark.parametrize("ask", [Syncer.start, lambda syncer: syncer.start_and_wait(LONG_MS)])
@pytest.mark.parametrize("error", [None, OSError("input/output error")])
def test_the_loop_is_told_how_it_ended(ask: Callable[[Syncer], None], error: OSError | None) -> None:
    def sync() -> None:
        if error is not None:
            raise error

    assert with_syncer(sync, ask) == [error]


def test_who_has_waited_long_enough_is_called_at_the_end() -> None:
    may_end = threading.Event()

    def ask(syncer: Syncer) -> None:
        syncer.start_and_wait(1.0)  # returns, though it has not ended
        may_end.set()

    assert with_syncer(may_end.wait, ask) == [None]  # type: ignore[arg-type]  # nobody asks what it returns


def test_an_end_just_after_the_wait_is_told_once() -> None:
    """The end and the end of the wait in any order, again and again."""

    async def main() -> None:
        told: list[Exception | None] = []
        syncer = Syncer(lambda: None, told.append)
        for count in range(1, 500):
            syncer.start_and_wait(0.0)
            async with asyncio.timeout(10.0):
                while len(told) < count:  # noqa: ASYNC110  # it may have been told already
                    await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert len(told) == 499
        syncer.close()

    asyncio.run(main())


def test_nothing_is_left_of_it() -> None:
    async def main() -> None:
        syncer = Syncer(lambda: None, lambda error: None)
        syncer.start_and_wait(LONG_MS)
        syncer.close()
        syncer.close()
        assert not syncer._thread.is_alive()
        for pipe in (syncer._wanted, syncer._want, syncer._ended, syncer._end_now):
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(pipe)

    asyncio.run(main())
