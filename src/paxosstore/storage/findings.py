"""What damage was found on a node's disk since its process began, and what became of it: for the log, status and metrics."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from ..errors import Damaged

MAX_LATEST = 16


class Findings:
    """Counted where they are found; read by whoever looks from outside."""

    def __init__(self) -> None:
        self.count = 0
        self.stores_replaced = 0
        """Damage that could not be pinned on entities: the node came back from its peers."""
        self.latest: deque[tuple[float, str]] = deque(maxlen=MAX_LATEST)
        """(wall clock in s, what was found where)."""

    def describe(self) -> dict[str, Any]:
        """As plain data."""
        latest = [{"at_s": round(at_s, 3), "what": what} for at_s, what in self.latest]
        return {"found": self.count, "stores_replaced": self.stores_replaced, "latest": latest}

    def found(self, damage: Damaged) -> None:
        self.count += 1
        self.latest.append((time.time(), damage.what or str(damage)))
