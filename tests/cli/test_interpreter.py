"""How the threads of a node's process share Python's interpreter."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

import pytest

from paxosstore.cli.interpreter import SWITCH_INTERVAL_S, let_the_loop_go_soon


@pytest.fixture
def _as_before() -> Iterator[None]:
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_as_before")
def test_a_thread_that_computes_gives_way() -> None:
    let_the_loop_go_soon()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL_S)
    ends = threading.Event()
    turns = 0

    def compute() -> None:
        nonlocal turns
        while not ends.is_set():
            turns += sum(range(100))

    other = threading.Thread(target=compute)
    other.start()
    try:
        for _ in range(50):
            time.sleep(0.0)
    finally:
        ends.set()
        other.join()
    assert turns
