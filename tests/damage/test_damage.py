"""Damage of every kind, on one real node of three: a share of what `make soak` does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from .campaign import Campaign
from .small import small_stores


@pytest.mark.parametrize("seed", [1, 2])
def test_a_node_survives_whatever_its_disk_does_to_a_file(tmp_path: Path, seed: int) -> None:
    with small_stores():
        campaign = Campaign(tmp_path, seed)
        asyncio.run(campaign.run(1_000, until_s=8.0))
    assert {outcome.became for outcome in campaign.outcomes} >= {"repaired", "unaffected"}
