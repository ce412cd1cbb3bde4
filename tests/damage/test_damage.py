"""Damage of every kind, on one real node of three: a share of what `make soak` does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from paxosstore.cli.cluster import HOST, free_base_port
from paxosstore.core.batch.overlay import View
from paxosstore.errors import Damaged
from paxosstore.runtime.node import Node
from paxosstore.settings import ClusterSettings
from paxosstore.storage.damage import damaged
from paxosstore.storage.keys import PLOG, committed_key, plog_key
from paxosstore.storage.operations import META
from paxosstore.storage.rocks_table import RocksTable

from .campaign import TUNING, Campaign
from .small import small_stores


@pytest.mark.parametrize("seed", [1, 2])
def test_a_node_survives_whatever_its_disk_does_to_a_file(tmp_path: Path, seed: int) -> None:
    with small_stores():
        campaign = Campaign(tmp_path, seed)
        asyncio.run(campaign.run(16))
    assert {outcome.became for outcome in campaign.outcomes} >= {"repaired", "unaffected"}


@pytest.mark.parametrize("what", ["row", "committed"])
@pytest.mark.parametrize("running", [False, True])
def test_damage_of_one_entity_is_mended_alone(tmp_path: Path, what: str, running: bool) -> None:
    """A row of the log, or the committed entry: the node keeps its disk, and all other entities."""
    base = free_base_port(3)
    peers = [(HOST, base + number) for number in range(3)]
    nodes = [
        Node(ClusterSettings("one"), number, peers, tmp_path / f"node-{number}", TUNING, min_free_bytes=1, fatal=pytest.fail)
        for number in range(3)
    ]

    def damage(table: RocksTable) -> None:
        if what == "row":
            table.write([(PLOG + plog_key(7, 5), b"\1" + b"?" * 40)])
        else:
            table.write([(META + committed_key(7), b"?")])
        table.flush()

    async def story() -> None:
        for node in nodes:
            await node.start()
        await nodes[0].ready(timeout_ms=20_000.0)
        for number in range(5):
            for entity in (7, 8):
                await nodes[0].execute(entity, put(b"%d" % number))
        await nodes[2].catch_up(7)
        await nodes[2].catch_up(8)
        disk = nodes[2].statistics().reentry.state, nodes[0].statistics().peers[2].disk_id
        if running:
            damage(nodes[2]._open_store()._use().table)
            nodes[2]._open_store().on_damaged(_found())  # what the scrubber would say
        else:
            await nodes[2].stop()
            table = RocksTable(tmp_path / "node-2" / "store" / "rocksdb")
            damage(table)
            table.release()
            await nodes[2].start()
        campaign = Campaign.__new__(Campaign)
        campaign._fatal = []
        for entity in (7, 8):
            assert await campaign._ask(nodes[2], entity, lambda view: view.get(b"k"), read_only=True) == b"4"
        await campaign._until("is whole again", lambda: nodes[2].statistics().damage.entities_lost == 1)
        campaign._nodes = nodes
        await campaign._same()
        found = nodes[2].statistics().damage
        assert (found.stores_replaced, found.entities_lost) == (0, 1)
        assert (nodes[2].statistics().reentry.state, nodes[0].statistics().peers[2].disk_id) == disk
        for node in nodes:
            await node.stop()

    with small_stores():
        asyncio.run(story())


def put(value: bytes) -> Callable[[View], None]:
    return lambda view: view.put(b"k", value)


def _found() -> Damaged:
    return damaged("the store", "a row of entity 7", 7)
