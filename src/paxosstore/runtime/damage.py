"""What a node does about damage on its disk beside its turns: when it is whole again, it says so on the disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..storage.directory import Directory
from ..storage.replace import completed, is_incomplete

log = logging.getLogger(__name__)

LOOK_S = 0.25


async def watch_return(directory: Directory, is_whole: Callable[[], bool]) -> None:
    """Take the mark off a store that was put in the place of a damaged one, when the node has all again that it had.

    Also where it is stopped between two looks: a store that was whole is not one of those that never were.
    """
    try:
        while is_incomplete(directory):
            if _complete(directory, is_whole):
                break
            await asyncio.sleep(LOOK_S)
    except asyncio.CancelledError:
        if is_incomplete(directory):
            _complete(directory, is_whole)
        raise


def _complete(directory: Directory, is_whole: Callable[[], bool]) -> bool:
    if not is_whole():
        return False
    try:
        completed(directory)
    except OSError as error:
        log.warning("%s: cannot be marked as whole: %s", directory.store_path, error.strerror)
        return False
    return True
