"""What a command is to an entity."""

from __future__ import annotations

from collections.abc import Callable

from ...core.batch.overlay import View

Run = Callable[[View, list[bytes], int], bytes]
"""(view, its words, the name first, protocol 2 or 3) -> its reply. It checks everything before its first write."""
