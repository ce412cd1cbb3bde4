"""Configuration files: what `init` writes is what a node reads, and every mistake is named."""

from __future__ import annotations

import re
import socket
from dataclasses import fields
from pathlib import Path

import pytest

from paxosstore.cli.config import MAX_FILE_BYTES, Address, LogSettings, NodeConfig, load_config, parse_address
from paxosstore.cli.init import write_configs
from paxosstore.errors import ConfigError
from paxosstore.services.redis.settings import RedisSettings
from paxosstore.settings import ClusterSettings, TuningSettings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Node 1 of three."""
    return write_configs(tmp_path, 3, 7400, "test")[1]


def edited(path: Path, old: str, new: str) -> Path:
    text, count = re.subn(old, new, path.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1, f"{old} is not there"
    path.write_text(text)
    return path


# -- init and back


@pytest.mark.parametrize("nodes", [3, 5])
def test_what_init_writes_is_what_a_node_reads(tmp_path: Path, nodes: int) -> None:
    paths = write_configs(tmp_path / "a" / "b", nodes, 7400)
    assert [path.name for path in paths] == [f"node-{node}.toml" for node in range(nodes)]
    configs = [load_config(path) for path in paths]
    for node, config in enumerate(configs):
        first = 7400 + 10 * node
        assert config.node == node
        assert config.data_dir == tmp_path / "a" / "b" / f"node-{node}"
        assert config.listen == tuple(Address("127.0.0.1", first + offset) for offset in range(4))
        assert config.listen == config.nodes[node]
        assert config.tuning == TuningSettings()
        assert config.redis == RedisSettings(port=first + 1)
        assert config.log == LogSettings()
    assert len({config.cluster for config in configs}) == 1
    assert configs[0].cluster == ClusterSettings(configs[0].cluster.cluster, nodes, services="redis.keyspace=db")
    assert len({config.nodes for config in configs}) == 1
    assert configs[0].peers == [("127.0.0.1", 7400 + 10 * node) for node in range(nodes)]


def test_two_clusters_have_two_names(tmp_path: Path) -> None:
    one, other = (load_config(write_configs(tmp_path / name, 3, 7400)[0]) for name in ("one", "other"))
    assert one.cluster.cluster != other.cluster.cluster


@pytest.mark.parametrize("name", ["test", 'say "hi"', "back\\slash", "größer"])
def test_names_survive(tmp_path: Path, name: str) -> None:
    assert load_config(write_configs(tmp_path, 3, 7400, name)[0]).cluster.cluster == name


def test_the_commented_defaults_are_the_defaults(path: Path) -> None:
    text, count = re.subn(r"^# (\w+ = [\d.]+)$", r"\1", path.read_text(), flags=re.MULTILINE)
    assert count >= 6
    path.write_text(text)
    assert load_config(path).tuning == TuningSettings()


def test_init_touches_nothing_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "node-2.toml").write_text("mine")
    with pytest.raises(ConfigError, match=r"node-2\.toml: exists already"):
        write_configs(tmp_path, 3, 7400)
    assert [path.name for path in tmp_path.iterdir()] == ["node-2.toml"]
    assert (tmp_path / "node-2.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("nodes", "base_port", "cluster", "named"),
    [
        (4, 7400, "", "nodes"),
        (3, 0, "", "base-port"),
        (3, -7400, "", "base-port"),
        (3, 65_513, "", "base-port"),
        (3, 7400, "x" * 65, "cluster"),
        (3, 7400, "a\nb", "cluster"),
    ],
)
def test_init_refuses(tmp_path: Path, nodes: int, base_port: int, cluster: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        write_configs(tmp_path, nodes, base_port, cluster)
    assert not list(tmp_path.iterdir())


def test_the_highest_base_port(tmp_path: Path) -> None:
    assert load_config(write_configs(tmp_path, 3, 65_512)[2]).listen.http.port == 65_535


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file"):
        write_configs(tmp_path / "file" / "below", 3, 7400)


# -- settings


def test_settings_are_taken_over(path: Path) -> None:
    edited(path, r"^# lease_ms = .*$", "lease_ms = 25\npre_auth = false")
    edited(path, r'^keyspace = "db"$', 'keyspace = "slots:64"')
    edited(path, r'^format = "human"$', 'format = "json"')
    edited(path, r'^peers = "127.0.0.1:7410"$', 'peers = "0.0.0.0:7410"')
    edited(path, r'^data = "node-1"$', 'data = "/var/lib/paxosstore"')
    config = load_config(path)
    assert config.tuning == TuningSettings(lease_ms=25.0, pre_auth=False)
    assert config.redis.slots == 64
    assert config.cluster.services == "redis.keyspace=slots:64", "the peers and the data directory compare it"
    assert config.log.format == "json"
    assert config.data_dir == Path("/var/lib/paxosstore")
    assert config.peers == [("127.0.0.1", 7400), ("0.0.0.0", 7410), ("127.0.0.1", 7420)]


def test_grpc_can_be_switched_off_or_left_out(path: Path) -> None:
    edited(path, r'^grpc = "127.0.0.1:7412"$', 'grpc = "off"')
    edited(path, r'^grpc = "127.0.0.1:7422"$', "")
    config = load_config(path)
    assert config.listen.grpc is None
    assert config.nodes[2].grpc is None
    assert config.nodes[0].grpc == Address("127.0.0.1", 7402)
    assert "grpc off" in str(config.listen)


def test_addresses_of_ipv6(path: Path) -> None:
    path.write_text(path.read_text().replace("127.0.0.1", "[fd77::1]"))
    config = load_config(path)
    assert config.listen.grpc == Address("fd77::1", 7412)
    assert config.peers[2] == ("fd77::1", 7420)
    assert str(config.listen).startswith("peers [fd77::1]:7410 redis [fd77::1]:7411")


def test_the_names_that_http_answers_to(path: Path) -> None:
    edited(path, r"^hosts = \[\]$", 'hosts = ["store.example"]')
    edited(path, r'^peers = "127.0.0.1:7420"$', 'peers = "node-2.example:7420"')
    assert {"store.example", "node-2.example", socket.gethostname()} <= load_config(path).http_hosts


def test_the_redis_service_takes_what_a_request_may_write(path: Path) -> None:
    edited(path, r"^\[tuning\]$", "[tuning]\nmax_request_bytes = 1_000")
    assert load_config(path).redis.max_request_bytes == 1_000
    edited(path, r'^keyspace = "db"$', "max_request_bytes = 500")
    assert load_config(path).redis.max_request_bytes == 500


def test_every_setting_can_be_set(path: Path) -> None:
    """No field of the settings has a type that TOML cannot say."""
    lines = [f"{field.name} = {str(getattr(TuningSettings(), field.name)).lower()}" for field in fields(TuningSettings)]
    edited(path, r"^\[tuning\]$", "\n".join(["[tuning]", *lines]))
    assert load_config(path).tuning == TuningSettings()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1:7400", Address("10.0.0.1", 7400)),
        ("db-1.example:1", Address("db-1.example", 1)),
        ("[::1]:65535", Address("::1", 65_535)),
        (":7400", Address("127.0.0.1", 7400)),
        ("7400", Address("127.0.0.1", 7400)),
        (7400, Address("127.0.0.1", 7400)),
    ],
)
def test_addresses(text: str | int, address: Address) -> None:
    assert parse_address(text, "key") == address
    assert parse_address(str(address), "key") == address


@pytest.mark.parametrize(
    "text", ["", "host", "host:", "host:0", "host:65536", "host:x", "host:-1", "::1:7400", "a b:1", "a:²", "a:" + "9" * 5000, 0]
)
def test_no_addresses(text: str | int) -> None:
    with pytest.raises(ConfigError, match=r"^key: "):
        parse_address(text, "key")


# -- mistakes


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        (r"^node = 1$", "node = 3", "node"),
        (r"^node = 1$", "node = -1", "node"),
        (r"^node = 1$", 'node = "1"', "node"),
        (r"^node = 1$", "", "node"),
        (r"^node = 1$", "node = 1\nnods = 1", "nods"),
        (r"^data = .*$", 'data = ""', "data"),
        (r"^data = .*$", 'data = "a\\\\u0000b"', "data"),
        (r"^peers = \"127.0.0.1:7410\"$", 'peers = "a..b:7410"', "listen.peers"),
        (r"^redis = \"127.0.0.1:7411\"$", 'redis = "a..b:7411"', "listen.redis"),
        (r"^redis = \"127.0.0.1:7411\"$", f'redis = "{"a" * 64}:7411"', "listen.redis"),
        (r"^http = \"127.0.0.1:7413\"$", 'http = "a\\\\u0007:7413"', "listen.http"),
        (r"^grpc = \"127.0.0.1:7422\"$", 'grpc = "a b:7422"', "nodes[2].grpc"),
        (r"^cluster = .*$", "", "cluster.cluster"),
        (r"^cluster = .*$", 'cluster = ""', "cluster.cluster"),
        (r"^cluster = .*$", 'cluster = "a\\\\u0007b"', "cluster.cluster"),
        (r"^nodes = 3$", "nodes = 4", "cluster.nodes"),
        (r"^hosts = .*$", "hosts = 7", "http.hosts"),
        (r'^grpc = "127.0.0.1:7412"$', 'grpc = "of"', "listen.grpc"),
        (r"^nodes = 3$", "nodes = 5", "nodes"),
        (r"^nodes = 3$", "nodes = 3.0", "cluster.nodes"),
        (r"^uuid_window_entries = .*$", "uuid_window_entries = 1", "cluster.uuid_window_entries"),
        (r"^\[cluster\]$", "[clutser]", "clutser"),
        (r"^peers = \"127.0.0.1:7410\"$", 'peers = "127.0.0.1"', "listen.peers"),
        (r"^peers = \"127.0.0.1:7410\"$", "", "listen.peers"),
        (r"^peers = \"127.0.0.1:7410\"$", "peers = [1]", "listen.peers"),
        (r"^redis = \"127.0.0.1:7411\"$", 'redis = "127.0.0.1:7410"', "listen.redis"),
        (r"^http = \"127.0.0.1:7403\"$", 'http = "127.0.0.1:7400"', "nodes[0].http"),
        (r"^grpc = \"127.0.0.1:7422\"$", "grp = 1", "nodes[2].grp"),
        (r"^keyspace = .*$", 'keyspace = "slots:0"', "redis.keyspace"),
        (r"^max_clients = .*$", "max_clients = true", "redis.max_clients"),
        (r"^max_clients = .*$", "port = 1", "redis.port"),
        (r"^format = .*$", 'format = "xml"', "log.format"),
        (r"^level = .*$", "level = 3", "log.level"),
        (r"^# lease_ms = .*$", "lease_ms = 0", "tuning.lease_ms"),
        (r"^# lease_ms = .*$", "lease = 10", "tuning.lease"),
        (r"^\[tuning\]$", "[[tuning]]", "tuning"),
        (r"^\[tuning\]$", "[tuning]\nmax_request_bytes = 50_000_000", "tuning.max_batch_bytes + max_request_bytes"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(path: Path, old: str, new: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{re.escape(str(path))}(, line [0-9]+)?: {re.escape(key)}: "):
        load_config(edited(path, old, new))


def test_a_slip_of_the_pen_gets_a_hint(path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean lease_ms"):
        load_config(edited(path, r"^# lease_ms = .*$", "lease_m = 10"))


@pytest.mark.parametrize(
    "content",
    [
        b"node = = 1",
        b"\xff\xfe",
        b"[a",
        b"node = 1\nnode = 2",
        b"x = " + b"[" * 3_000 + b"]" * 3_000,
        b"node = " + b"1" * 5_000,
    ],
    ids=range(6),
)
def test_what_is_no_toml(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^{re.escape(str(path))}: is no TOML"):
        load_config(path)


@pytest.mark.parametrize("number", ["1" * 4_000, "-" + "1" * 4_000, "0x" + "f" * 5_000, "1e999", "inf", "nan", "[[[[[]]]]]"])
def test_what_is_no_number_for_anybody(path: Path, number: str) -> None:
    for name in ("node", "uuid_window_entries", "max_clients", "max_bulk_bytes", "redis"):
        with pytest.raises(ConfigError, match=re.escape(str(path))):
            load_config(edited(path, rf"^{name} = .*$", f"{name} = {number}"))


def test_what_has_no_end_is_not_read(path: Path) -> None:
    for endless in (Path("/dev/zero"), path):
        path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
        with pytest.raises(ConfigError, match=f"{endless}: is larger than 1048576 bytes"):
            load_config(endless)


def test_a_byte_order_mark_is_none_of_it(path: Path) -> None:
    before = load_config(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_config(path) == before


def test_no_file(tmp_path: Path) -> None:
    for missing in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigError, match=re.escape(str(missing))):
            load_config(missing)


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").touch()
    with pytest.raises(ConfigError, match="is missing"):
        load_config(tmp_path / "empty.toml")


def test_a_config_does_not_change() -> None:
    assert NodeConfig.__dataclass_params__.frozen  # type: ignore[attr-defined]  # dataclasses do not declare it
