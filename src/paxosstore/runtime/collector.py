"""Python's garbage collector at times looks at all objects there are: a second for 200,000 entities, and nothing else runs."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from typing import Any

LIMIT_S = 0.02
YOUNG = 20_000
"""New objects that bring about a look at them. A turn makes hundreds, and circles are rare: they wait for so long."""


class ShortCollections:
    """Has the collector leave alone what has survived a long collection, so that the next one looks only at what is new.

    What is left alone is still freed when nothing refers to it any more; only a circle that forms of it later is not. So this is
    for a process that does nothing but serve.
    """

    def __init__(self) -> None:
        self._started = 0.0
        self._thresholds = gc.get_threshold()

    def begin(self) -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG, *self._thresholds[1:])
        gc.callbacks.append(self.watch)

    def end(self) -> None:
        gc.callbacks.remove(self.watch)
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()

    def watch(self, phase: str, info: Mapping[str, Any]) -> None:
        if phase == "start":
            self._started = time.monotonic()
        elif info["generation"] == 2 and time.monotonic() - self._started > LIMIT_S:
            gc.freeze()  # it has just been found to be in use
