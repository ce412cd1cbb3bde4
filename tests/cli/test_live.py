"""Settings that change while a node runs: what is taken, what is refused and why, and that it is all or nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

import pytest

from paxosstore.cli import live as live_module
from paxosstore.cli.change import told
from paxosstore.cli.config import Content, NodeConfig, line_of, read_config
from paxosstore.cli.init import write_configs
from paxosstore.cli.live import FIXED, LiveSettings
from paxosstore.cli.serve import Signals
from paxosstore.errors import ConfigError


class Node:
    """A node's settings and what they were applied to."""

    def __init__(self, directory: Path) -> None:
        self.path = write_configs(directory, 3, 7_400, "test")[0]
        self.applied: list[NodeConfig] = []
        self.amiss = ""
        self.live = LiveSettings(read_config(self.path), lambda before, now: self.applied.append(now), lambda: self.amiss)

    def add(self, text: str) -> None:
        """To the end of the file, which is its [tuning]."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)

    def replace(self, old: str, new: str) -> None:
        text = self.path.read_text(encoding="utf-8")
        assert old in text
        self.path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def reread(self) -> None:
        asyncio.run(self.live.reread())


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_who_changes_a_setting_is_told_what_is_amiss_with_it(node: Node) -> None:
    assert "WARNING" not in told(node.live.set("learn_only", "true"))
    node.amiss = "no majority votes now"
    assert told(node.live.set("learn_only", "true")).splitlines()[-1] == "WARNING: no majority votes now"


def test_a_setting_holds_until_it_is_reset(node: Node) -> None:
    answer = node.live.set("retry_ms", "50")
    assert (answer["name"], answer["value"], answer["was"]) == ("tuning.retry_ms", 50.0, 100.0)
    assert str(node.path) in answer["lasts"]
    assert "until the restart" in answer["lasts"]
    assert node.applied[-1].tuning.retry_ms == 50.0
    assert node.live.differing() == {"tuning.retry_ms": {"value": 50.0, "file": 100.0, "fixed": ""}}
    assert node.live.reset("tuning.retry_ms")["value"] == 100.0
    assert node.applied[-1].tuning.retry_ms == 100.0
    assert not node.live.differing()
    assert "to keep it" not in node.live.set("retry_ms", "100")["lasts"], "it is what the file says"


@pytest.mark.parametrize(
    ("name", "text", "section", "value"),
    [
        ("pre_auth", "false", "tuning", False),
        ("tuning.max_request_bytes", "4_000_000", "tuning", 4_000_000),
        ("redis.max_request_bytes", "100000", "redis", 100_000),
        ("idle_timeout_s", "7", "redis", 7),
        ("log.level", "debug", "log", "debug"),
        ("hosts", '["store.example"]', "http", ("store.example",)),
    ],
)
def test_settings_of_every_kind(node: Node, name: str, text: str, section: str, value: object) -> None:
    node.live.set(name, text)
    assert getattr(getattr(node.applied[-1], section), name.rpartition(".")[2]) == value


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("retry_msec", "50", "did you mean tuning.retry_ms?"),
        ("tuning.retry", "50", "did you mean tuning.retry_ms?"),
        ("x" * 5_000, "50", "is no setting: `paxosstore get` lists all"),
        ("", "50", "is no setting"),
        ("max_request_bytes", "50", "Write tuning.max_request_bytes or redis.max_request_bytes"),
        ("retry_ms", "soon", "'soon' is no value: write it as in the file, such as 100.0"),
        ("retry_ms", "1\nlease_ms = 2", "is no value"),
        ("retry_ms", "1" * 1_000, "is no value"),
        ("retry_ms", "-5", "tuning.retry_ms: must be a number over 0"),
        ("retry_ms", "true", "tuning.retry_ms: expected `float`".replace("`", "")),
        ("max_catch_ups", "1.5", "tuning.max_catch_ups: expected int"),
        ("pre_auth", "yes", "is no value"),
        ("log.level", "loud", "log.level"),
        ("max_batch_bytes", "48000000", "tuning.max_batch_bytes + max_request_bytes: an entry has to fit into one frame"),
        ("snapshot_bytes_per_second", "1000", "tuning.snapshot_bytes_per_second: must be at least 209716, not 1000"),
        ("snapshot_timeout_ms", "5", "tuning.snapshot_bytes_per_second: must be at least"),
        ("max_clients_bytes", "1000", "redis.max_clients_bytes: must be at least"),
    ],
)
def test_what_is_no_setting_or_no_value_changes_nothing(node: Node, name: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        node.live.set(name, text)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 400
    assert not node.applied
    assert not node.live.differing()


@pytest.mark.parametrize("name", [*FIXED, "cluster", "uuid_window_entries", "keyspace"])
def test_what_cannot_change_is_refused_with_the_reason(node: Node, name: str) -> None:
    if name == "cluster":
        name = "cluster.cluster"
    with pytest.raises(ConfigError, match=r"cannot change while the node runs: .{30}"):
        node.live.set(name, "5")
    assert not node.applied


def test_every_setting_is_listed_and_either_changes_or_says_why_not(node: Node) -> None:
    settings = node.live.all()
    assert {name for name, one in settings.items() if one["fixed"]} == set(FIXED)
    for name, one in settings.items():
        if not one["fixed"] and name != "http.hosts":
            value = str(one["value"])
            node.live.set(name, value.lower() if isinstance(one["value"], bool) else value)
    assert not node.live.differing(), "they were set to what they were"


def test_a_file_that_was_changed_is_taken(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    node.add("retry_ms = 70\nplog_keep_seconds = 5\n")
    node.reread()
    tuning = node.applied[-1].tuning
    assert (tuning.retry_ms, tuning.plog_keep_seconds) == (70.0, 5.0)
    assert "tuning.retry_ms is 70.0, was 100.0" in caplog.text
    assert not node.live.trouble
    node.reread()
    assert "nothing has changed" in caplog.text


def test_what_was_set_outlives_a_file_that_is_read_again(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    node.live.set("retry_ms", "50")
    node.add("retry_ms = 70\nlease_ms = 5\n")
    node.reread()
    assert (node.applied[-1].tuning.retry_ms, node.applied[-1].tuning.lease_ms) == (50.0, 5.0)
    assert "tuning.retry_ms stays at 50.0, as it was set, until the restart" in caplog.text
    assert node.live.differing()["tuning.retry_ms"]["file"] == 70.0
    assert node.live.reset("retry_ms")["value"] == 70.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("retry_msec = 70\nlease_ms = 5\n", "tuning.retry_msec: is unknown: did you mean retry_ms?"),
        ("lease_ms = 5\nretry_ms = -1\n", "tuning.retry_ms: must be a number over 0"),
        ("lease_ms = 5\nmax_batch_bytes = 48_000_000\n", "an entry has to fit into one frame"),
        ("lease_ms = 5\nnonsense\n", "is no TOML"),
        ("lease_ms = 5\n[redis]\nmax_clients = 5\n", "is no TOML"),
    ],
)
def test_of_a_file_with_a_mistake_nothing_is_taken(node: Node, caplog: pytest.LogCaptureFixture, text: str, said: str) -> None:
    lines = len(node.path.read_text(encoding="utf-8").splitlines())
    node.add(text)
    node.reread()
    assert not node.applied
    assert said in caplog.text
    assert said in node.live.trouble
    assert str(node.path) in caplog.text
    place = next((number for number, line in enumerate(text.splitlines(), lines + 1) if "retry_ms" in line), 0)
    assert f", line {place}:" in caplog.text or not place
    assert node.live.set("lease_ms", "6")["was"] == 10.0, "and the node goes on with what it had"


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("node = 0", "node = 1", "node"),
        ('data = "node-0"', 'data = "node-9"', "data"),
        ('cluster = "test"', 'cluster = "best"', "cluster.cluster"),
        ("uuid_window_entries = ", "uuid_window_entries = 1", "cluster.uuid_window_entries"),
        ('keyspace = "db"', 'keyspace = "slots:5"', "redis.keyspace"),
        ('redis = "127.0.0.1:7401"', 'redis = "127.0.0.1:7499"', "listen.redis"),
    ],
)
def test_of_a_file_that_changes_what_cannot_nothing_is_taken(
    node: Node, caplog: pytest.LogCaptureFixture, old: str, new: str, name: str
) -> None:
    node.replace(old, new)
    node.add("retry_ms = 70\n")
    node.reread()
    assert not node.applied
    assert f"{name} cannot change while the node runs: {FIXED[name]}" in caplog.text
    line = next(number for number, line in enumerate(node.path.read_text(encoding="utf-8").splitlines(), 1) if new in line)
    assert f"line {line}: {name} cannot" in caplog.text


def test_a_file_that_is_gone_or_cannot_be_read(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    kept = node.path.read_bytes()
    node.path.unlink()
    node.reread()
    assert "cannot be read (No such file or directory)" in node.live.trouble
    node.path.mkdir()
    node.reread()
    assert "cannot be read (Is a directory)" in node.live.trouble
    node.path.rmdir()
    node.path.write_bytes(b"\xff\xfe")
    node.reread()
    assert "is no TOML" in node.live.trouble
    assert not node.applied
    node.path.write_bytes(kept + b"retry_ms = 70\n")
    node.reread()
    assert not node.live.trouble
    assert node.applied[-1].tuning.retry_ms == 70.0


def test_a_file_that_contradicts_what_was_set_is_not_taken(node: Node) -> None:
    node.live.set("tuning.max_batch_bytes", "30_000_000")
    node.add("max_request_bytes = 30_000_000\n")
    node.reread()
    assert "an entry has to fit into one frame" in node.live.trouble
    assert len(node.applied) == 1


def test_what_cannot_be_applied_changes_nothing(tmp_path: Path) -> None:
    def refuse(before: NodeConfig, now: NodeConfig) -> None:
        raise ConfigError("there is no room for so many clients")

    live = LiveSettings(read_config(write_configs(tmp_path, 3, 7_400, "test")[0]), refuse)
    with pytest.raises(ConfigError, match="no room"):
        live.set("max_clients", "500000")
    assert live.config.redis.max_clients == 10_000
    assert not live.differing()


def test_no_file_ends_the_reading_of_files(node: Node, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is that nobody has thought of: the signal is heard again."""
    kept = node.path.read_bytes()

    def wrong(path: Path) -> Content:
        raise MemoryError("of something else")

    async def story() -> None:
        signals = Signals()
        task = asyncio.create_task(signals.reread(node.live))

        async def reread() -> None:
            os.kill(os.getpid(), signal.SIGHUP)
            before = len(caplog.records)
            while len(caplog.records) == before:  # noqa: ASYNC110  # of the log there is no event
                await asyncio.sleep(0.001)

        with monkeypatch.context() as patch:
            patch.setattr(live_module, "read_config", wrong)
            await reread()
        assert "MemoryError: of something else" in node.live.trouble
        for text in (b"x = " + b"[" * 3_000, b"x = " + b"1" * 5_000):
            node.path.write_bytes(text)
            await reread()
            assert "is no TOML" in node.live.trouble
        node.path.write_bytes(kept + b"retry_ms = 70\n")
        await reread()
        assert not task.done()
        task.cancel()

    caplog.set_level(logging.INFO)
    asyncio.run(story())
    assert not node.live.trouble
    assert node.applied[-1].tuning.retry_ms == 70.0


def test_lines_are_found_in_their_sections() -> None:
    text = 'node = 1\n[a]\nx = 1\n# y = 2\n [b]\n  y= 3\n[[nodes]]\npeers = ""\n'
    places = {"node": 1, "a.x": 3, "a.y": 0, "b.y": 6, "nodes.peers": 8, "b.x": 0, "": 0}
    assert {name: line_of(text, name) for name in places} == places


def test_the_file_is_read_beside_the_loop(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    async def spy(work: object) -> object:
        asked.append(work)
        return read_config(node.path)

    monkeypatch.setattr(live_module, "beside", spy)
    node.reread()
    assert asked
