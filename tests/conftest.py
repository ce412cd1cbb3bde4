"""How the tests share the machine when several workers run them (`make test`: pytest-xdist, one worker a processor)."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from paxosstore.cli import cluster

TOGETHER = (
    "tests/crash_images/test_crash_images.py",
    "tests/processes/test_any_object.py",
    "tests/processes/test_hostile_input.py",
    "tests/processes/test_signals.py",
    "tests/processes/test_verify.py",
    "tests/services/redis/test_against_redis_transactions.py",
    "tests/services/redis/test_clients.py",
    "tests/sim/test_simulation.py::test_seeds",
)
"""Tests that share what is dear (nodes that serve, seeds that have run): one worker takes all of a line, and takes them first."""


def group(test: str) -> str:
    """All tests of a group run one after the other, in the same process."""
    return next((together for together in TOGETHER if test.startswith(together)), test)


def pytest_configure() -> None:
    """Give each worker ports of its own: those of a node that is down are free, and must not be taken by another test's."""
    worker = re.fullmatch(r"gw(\d+)", os.environ.get("PYTEST_XDIST_WORKER", ""))
    if worker:
        share = (cluster.HIGHEST_PORT - cluster.LOWEST_PORT) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        cluster.LOWEST_PORT += int(worker[1]) * share
        cluster.HIGHEST_PORT = cluster.LOWEST_PORT + share


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hands the groups out to the workers. (The marks that xdist has for this do not reach it in pytest 9.2.)"""
    from xdist.scheduler import LoadScopeScheduling

    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = group
    return scheduling
