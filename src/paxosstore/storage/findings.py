"""What damage was found on a node's disk since its process began, and what became of it: for the log, status and metrics."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import Damaged

MAX_LATEST = 16


class DamageFound(NamedTuple):
    """What was found on a node's disk since its process began."""

    found: int = 0
    stores_replaced: int = 0
    """Of it, what could not be pinned on entities: the node came back from its peers like one that lost its disk."""
    entities_lost: int = 0
    """Entities that were got from the peers again."""
    scrubs: int = 0
    """How often all that lies on the disk was read since the store was opened."""
    scrubbed_bytes: int = 0
    latest: Sequence[tuple[float, str]] = ()
    """(wall clock in seconds, what was found where), the oldest first."""


NOTHING = DamageFound()


class Findings:
    """Counted where they are found."""

    def __init__(self) -> None:
        self.stores_replaced = 0
        self.spared = 0
        """How often a store stayed, because what was damaged was not so at a second look."""
        self._count = self._entities = 0
        self._latest: deque[tuple[float, str]] = deque(maxlen=MAX_LATEST)

    def found(self, damage: Damaged) -> None:
        self._count += 1
        self._entities += damage.entity is not None
        self._latest.append((time.time(), damage.what or str(damage)))

    def now(self, scrubs: int, scrubbed_bytes: int) -> DamageFound:
        return DamageFound(self._count, self.stores_replaced, self._entities, scrubs, scrubbed_bytes, tuple(self._latest))
