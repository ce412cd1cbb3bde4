"""What the tests of scripts share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from paxosstore.services.redis.commands.handler import encode, handle
from paxosstore.services.redis.scripting.runtime import RUNTIME

from ..support import DictView

Evaluate = Callable[..., bytes]


@pytest.fixture
def budget_ms() -> Iterator[Callable[[float], None]]:
    """Sets the time that a script may take."""
    before = RUNTIME.budget_ms

    def set_to(budget_ms: float) -> None:
        RUNTIME.budget_ms = budget_ms

    yield set_to
    RUNTIME.budget_ms = before


@pytest.fixture
def view() -> DictView:
    return DictView()


@pytest.fixture
def run(view: DictView) -> Evaluate:
    """Runs a command on the view."""

    def run_command(*words: bytes | str) -> bytes:
        return handle(view, encode(2, [word.encode() if isinstance(word, str) else word for word in words]))

    return run_command
