"""The mark of a store that was never whole: taken off as soon as it is whole, and not later than its node stops."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from paxosstore.runtime.damage import watch_return
from paxosstore.storage.directory import Directory
from paxosstore.storage.replace import MARK, is_incomplete


@pytest.mark.parametrize("whole", [True, False])
def test_a_node_that_stops_between_two_looks_says_that_it_was_whole(tmp_path: Path, whole: bool) -> None:
    """Otherwise stores that were whole, each for a moment, count as so many in a row that never were."""
    directory = cast(Directory, SimpleNamespace(store_path=tmp_path))
    (tmp_path / MARK).write_text("3\n")
    answers = iter([False])

    async def story() -> None:
        watching = asyncio.create_task(watch_return(directory, lambda: next(answers, whole)))
        await asyncio.sleep(0)
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching

    asyncio.run(story())
    assert is_incomplete(directory) is not whole


def test_the_mark_goes_when_the_node_is_whole(tmp_path: Path) -> None:
    directory = cast(Directory, SimpleNamespace(store_path=tmp_path))
    (tmp_path / MARK).write_text("3\n")
    asyncio.run(watch_return(directory, lambda: True))
    assert not is_incomplete(directory)
