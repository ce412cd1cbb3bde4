"""The nodes of a run: their configurations lead through the proxy, and nothing else changes."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from chaos.nodes import Nodes
from paxosstore.cli.config import load_config


@pytest.mark.parametrize("number", [3, 5])
def test_each_node_finds_its_peers_behind_doors(tmp_path: Path, number: int) -> None:
    with closing(
        Nodes(tmp_path / "nodes", number, "slots:16", {"request_timeout_ms": 500.0, "plog_keep_entries": 20}, small_disks=False)
    ) as nodes:
        nodes.init()
        taken = set(nodes.doors.values()) | {
            nodes.base_port + 10 * node + offset for node in range(number) for offset in range(4)
        }
        assert len(taken) == number * (number - 1) + 4 * number
        for node in range(number):
            config = load_config(nodes.config(node))
            assert config.listen.peers.port == nodes.peer_port(node)
            ports = [port for _, port in config.peers]
            assert ports == [nodes.peer_port(node) if peer == node else nodes.door(node, peer) for peer in range(number)]
            assert config.redis.keyspace == "slots:16"
            assert config.tuning.request_timeout_ms == 500.0
            assert config.tuning.plog_keep_entries == 20
            assert config.data_dir == nodes.data_dir(node)


def test_a_disk_is_lost_and_an_old_copy_takes_its_place(tmp_path: Path) -> None:
    with closing(Nodes(tmp_path / "nodes", 3, "db", {}, small_disks=False)) as nodes:
        data = nodes.data_dir(1)
        for age in ("old", "new"):
            data.mkdir(exist_ok=True)
            (data / "rows").write_text(age)
            nodes.copy_disk(1)
        assert nodes.copied == {1}
        places = [nodes.lose_disk(1)]
        assert not data.exists()
        nodes.restore_copy(1)
        assert (data / "rows").read_text() == "old"
        places.append(nodes.lose_disk(1))
        assert [(place / "rows").read_text() for place in places] == ["new", "old"]
        assert nodes.copied == set()


def test_a_node_is_started_under_its_own_clock(tmp_path: Path) -> None:
    """Its environment says so, and ours is as it was."""
    before = dict(os.environ)
    with closing(Nodes(tmp_path / "nodes", 3, "db", {}, small_disks=False)) as nodes:
        nodes.init()
        process = nodes.launch(2)
        nodes.wait_ready(2)
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        assert f"CHAOS_CLOCK={tmp_path}/nodes/clock-2".encode() in environment
        assert "clock_shim.so" in Path(f"/proc/{process.pid}/maps").read_text()
        assert nodes.exit_code(2) is None
        assert "node 0" in nodes.unsettled()
    assert dict(os.environ) == before
