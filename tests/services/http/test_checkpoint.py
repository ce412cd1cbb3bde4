"""The page that has a checkpoint made: one at a time, and for those alone who have made a place for it."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import pytest

from paxosstore.errors import InvalidRequest
from paxosstore.services.http.checkpoint import CheckpointPage


def test_one_at_a_time_also_if_the_asker_has_gone() -> None:
    async def story() -> None:
        made: list[str] = []
        go_on = asyncio.Event()

        async def make(name: str) -> None:
            made.append(name)
            await go_on.wait()

        page = CheckpointPage(make)
        first = asyncio.create_task(page({"name": "a"}))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()  # the client hangs up
        busy = await page({"name": "b"})
        assert busy.status is HTTPStatus.SERVICE_UNAVAILABLE
        assert busy.retry_after_s
        assert made == ["a"]
        go_on.set()
        await asyncio.sleep(0.01)
        assert (await page({})).status is HTTPStatus.OK
        assert made == ["a", ""]

    asyncio.run(story())


def test_without_a_place_it_is_refused() -> None:
    async def story() -> None:
        async def make(name: str) -> None:
            raise InvalidRequest("no place")

        page = CheckpointPage(make)
        for _ in range(2):
            with pytest.raises(InvalidRequest):
                await page({"name": "../../etc"})

    asyncio.run(story())
