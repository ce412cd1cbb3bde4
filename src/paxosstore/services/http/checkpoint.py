"""The page that has a node make a checkpoint of its store, for `paxosstore backup` and `export`.

POST /checkpoint?name=NAME      200 when it is there

Nothing happens without the place that whoever may write into the data directory has made under that name (storage/places.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

from .server import Response, text

RETRY_S = 1


class CheckpointPage:
    """Has them made one at a time, also if the asker does not wait."""

    def __init__(self, make: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        self._make = make
        self._under_way: asyncio.Task[None] | None = None

    async def __call__(self, query: Mapping[str, str]) -> Response:
        if self._under_way is not None and not self._under_way.done():
            return text(HTTPStatus.SERVICE_UNAVAILABLE, "a checkpoint is being made already: ask again later")._replace(
                retry_after_s=RETRY_S
            )
        made = self._under_way = asyncio.get_running_loop().create_task(self._make(query.get("name", "")))
        made.add_done_callback(lambda done: done.cancelled() or done.exception())  # it may have no other reader
        await asyncio.shield(made)
        return text(HTTPStatus.OK, "ok")
