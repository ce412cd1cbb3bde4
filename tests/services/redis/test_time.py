"""TIME and WAIT: what a node knows of the clocks and of its peers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from paxosstore.services.redis.session.info import time, wait
from paxosstore.services.redis.session.session import Session


def session(replicas: int) -> Session:
    host = SimpleNamespace(now_ms=lambda: 1_700_000_000_123, replicas=replicas)
    return cast(Session, SimpleNamespace(host=host))


def test_time_is_that_by_which_keys_expire() -> None:
    assert time(session(0), [b"time"]) == b"*2\r\n$10\r\n1700000000\r\n$6\r\n123000\r\n"


@pytest.mark.parametrize("replicas", [0, 1, 2])
def test_what_was_answered_is_on_a_majority(replicas: int) -> None:
    assert wait(session(replicas), [b"wait", b"1", b"0"]) == b":%d\r\n" % replicas
