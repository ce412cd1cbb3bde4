"""What stands in the way of a start ends it with one clear line and an exit code, never a traceback."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

import pytest

from paxosstore.cli.cluster import HOST, PROGRAM, LocalCluster, free_base_port
from paxosstore.errors import ConfigError, DirectoryInUse, DirectoryMismatch, PortTaken


def serve(config: Path) -> tuple[int, str]:
    """Exit code and last line of a start that does not succeed."""
    done = subprocess.run([*PROGRAM, "serve", "--config", str(config)], capture_output=True, text=True, timeout=20, check=False)
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    lines = done.stderr.strip().splitlines()
    assert lines, "it ended without a word"
    return done.returncode, lines[-1]


def other_ports(text: str, cluster: LocalCluster) -> str:
    """A configuration moved to ports that are free."""
    base = free_base_port(cluster.nodes)
    for port in range(cluster.base_port, cluster.base_port + 10 * cluster.nodes):
        text = re.sub(rf"\b{port}\b", str(base + port - cluster.base_port), text)
    return text


@pytest.mark.parametrize("which", ["peer_port", "redis_port", "card_port", "http_port"])
def test_a_port_is_taken(configured: LocalCluster, which: str) -> None:
    port: int = getattr(configured, which)(0)
    with socket.create_server((HOST, port)):
        code, line = serve(configured.config(0))
    assert code == PortTaken.exit_code
    assert str(port) in line
    assert "listen." in line, "it names the setting to change"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (r"(?m)^node = 0$", "node = 7", "node"),
        (r"(?m)^node = 0$", "node = 'zero'", "node"),
        (r"(?m)^node = 0$", "nod = 0", "nod"),
        (r"(?m)^node = 0$", "node = = 0", "TOML"),
    ],
)
def test_a_configuration_is_wrong(configured: LocalCluster, old: str, new: str, named: str) -> None:
    path = configured.config(0)
    text, replaced = re.subn(old, new, path.read_text())
    assert replaced == 1
    path.write_text(text)
    code, line = serve(path)
    assert code == ConfigError.exit_code
    assert str(path) in line
    assert named in line


def test_a_configuration_is_missing(tmp_path: Path) -> None:
    code, line = serve(tmp_path / "nowhere.toml")
    assert code == ConfigError.exit_code
    assert "nowhere.toml" in line


def test_a_data_directory_is_another_nodes(configured: LocalCluster) -> None:
    configured.start()
    for node in range(configured.nodes):
        assert configured.stop(node) == 0
    configured.data_dir(0).rename(configured.directory / "kept")
    configured.data_dir(1).rename(configured.data_dir(0))
    code, line = serve(configured.config(0))
    assert code == DirectoryMismatch.exit_code
    assert str(configured.data_dir(0)) in line


def test_a_data_directory_is_opened_twice(configured: LocalCluster) -> None:
    configured.start()
    second = configured.directory / "second.toml"
    second.write_text(other_ports(configured.config(0).read_text(), configured))
    code, line = serve(second)
    assert code == DirectoryInUse.exit_code
    assert str(configured.data_dir(0)) in line
    assert configured.is_healthy(0)
