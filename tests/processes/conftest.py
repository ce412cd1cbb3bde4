"""Real `paxosstore serve` processes for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from paxosstore.cli.cluster import LocalCluster


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[LocalCluster]:
    """Three nodes with their configurations written and nothing started."""
    with LocalCluster(tmp_path) as cluster:
        cluster.init()
        yield cluster


@pytest.fixture
def cluster(configured: LocalCluster) -> LocalCluster:
    """Three nodes that serve."""
    seconds = configured.start()
    print(f"three nodes started and serving within {seconds:.2f} s")
    return configured


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Three nodes that serve, for the tests of a module that leave them as they were."""
    with LocalCluster(tmp_path_factory.mktemp("nodes")) as cluster:
        cluster.init()
        cluster.start()
        yield cluster
