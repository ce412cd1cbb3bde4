"""`paxosstore import` against a node that is none: what it sends and repeats, and which line it names when that fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import cast

import msgspec
import pytest

from paxosstore.backup.lines import Header, Key, read_rows, write_lines
from paxosstore.cli import importing
from paxosstore.cli.cluster import free_base_port
from paxosstore.cli.config import NodeConfig, load_config
from paxosstore.cli.init import write_configs
from paxosstore.cli.intake import Batch, Intake
from paxosstore.errors import BackupError, InvalidRequest, NotServing, PaxosStoreError
from paxosstore.runtime.node import Node
from paxosstore.services.http.server import HttpServer, Response, text
from paxosstore.services.importing import OF_A_RUN, encode
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.places import IMPORT, a_place, place_of

from ..backup.test_lines import store_with

DB = "redis.keyspace=db"


class FakeIntake:
    """Answers as it is told, and keeps what came."""

    def __init__(self, data_dir: Path) -> None:
        self.answers: list[tuple[HTTPStatus, str]] = []
        self.taken: list[tuple[int, Batch]] = []
        self.under_way = 0
        self.at_once: list[int] = []
        """How many there were, with each that came."""
        self.runs: dict[bytes, bytes] = {}
        """Of each uuid the run that came first."""
        self._data_dir = data_dir

    async def __call__(self, query: Mapping[str, str]) -> Response:
        content = (place_of(self._data_dir, IMPORT, query["name"]) / query["number"]).read_bytes()
        batch = msgspec.msgpack.decode(content, type=Batch)
        self.taken.append((int(query["number"]), msgspec.structs.replace(batch, run=b"")))
        self.under_way += 1
        self.at_once.append(self.under_way)
        for _ in range(20):
            await asyncio.sleep(0)
        self.under_way -= 1
        if self.answers:
            return text(*self.answers.pop(0))
        return text(HTTPStatus.OK, "ok" if self.runs.setdefault(batch.uuid, batch.run) == batch.run else "earlier")


@pytest.fixture
def config(tmp_path: Path) -> NodeConfig:
    found = load_config(write_configs(tmp_path, 3, free_base_port(3), "blue")[0])
    found.data_dir.mkdir()
    return found


@pytest.fixture
def node(config: NodeConfig, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIntake]:
    intake = FakeIntake(config.data_dir)
    monkeypatch.setattr(importing, "PAUSE_S", 0.001)
    monkeypatch.setattr(importing, "AT_ONCE", 1)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> HttpServer:
        server = HttpServer(*config.listen.http, pages={}, actions={"/import": intake})
        await server.start()
        return server

    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    yield intake
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def export(path: Path, entities: dict[int, dict[bytes, bytes]], services: str = DB, *, own: bool = False) -> Path:
    def key_of(entity: int, key: bytes, value: bytes) -> list[Key] | bool:
        if entity == 9:
            return [Key(key, b"", 0, "set", part, False, [[b"%d" % part]] * 300) for part in range(10)]
        return [Key(key, value, 0)] if entity == 8 else True

    with path.open("wb") as file:
        write_lines(store_with(entities), Header("9f", "green", services, 0, "now"), file, key_of, own=own)
    return path


MANY = {5: {b"%04d" % number: b"x" for number in range(1_100)}, 8: {b"a": b"b"}}


def test_rows_go_in_batches_under_uuids_of_their_own(node: FakeIntake, config: NodeConfig, tmp_path: Path) -> None:
    file = export(tmp_path / "file", MANY, own=True)
    assert importing.run(file, config) == importing.Imported(1_101, 0, 2)
    assert importing.run(file, config) == importing.Imported(0, 1_101, 2)
    first, again = node.taken[:4], node.taken[4:]
    assert first == again  # the same uuids: nothing happens twice
    assert [(batch.entity, batch.handler) for _, batch in first] == [(5, "import")] * 3 + [(8, "redis")]
    assert [line for line, _ in first] == [3, 503, 1003, 1105]
    assert len({batch.uuid for _, batch in first}) == 4
    assert not list(config.data_dir.glob(f"{IMPORT}.[0-9a-f]*"))


def test_it_goes_on_where_it_broke_off_with_the_same_requests(node: FakeIntake, config: NodeConfig, tmp_path: Path) -> None:
    file = export(tmp_path / "file", MANY)
    importing.run(file, config, 2)
    all_of_it = node.taken.copy()
    for line, left in ((3, 4), (502, 4), (503, 3), (600, 3), (1104, 1)):
        node.taken.clear()
        importing.run(file, config, line)
        assert node.taken == all_of_it[-left:], line


def test_members_of_a_key_go_one_request_after_the_other(
    node: FakeIntake, config: NodeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 4)
    file = export(tmp_path / "file", {9: {b"key": b""}})
    assert importing.run(file, config, 2) == importing.Imported(10, 0, 0)
    assert [line for line, _ in node.taken] == list(range(3, 13))  # two parts are more than 500 members
    assert set(node.at_once) == {1}  # what goes on with a key waits for all before it


def test_what_is_as_large_as_a_request_may_be_goes_alone(node: FakeIntake, config: NodeConfig, tmp_path: Path) -> None:
    sizes = [100_000, 100_000, 8_000_000, 1, 2]
    file = export(tmp_path / "file", {5: {b"%d" % at: bytes(size) for at, size in enumerate(sizes)}})
    importing.run(file, config, 2)
    assert [line for line, _ in node.taken] == [3, 5, 6]


def test_what_cannot_be_done_now_is_repeated(node: FakeIntake, config: NodeConfig, tmp_path: Path) -> None:
    node.answers = [(HTTPStatus.SERVICE_UNAVAILABLE, "no quorum")] * 3
    importing.run(export(tmp_path / "file", {5: {b"a": b"b"}}), config, 2)
    assert len(node.taken) == 4
    assert len({batch.uuid for _, batch in node.taken}) == 1


def test_what_is_to_be_written_again_has_uuids_of_its_own(node: FakeIntake, config: NodeConfig, tmp_path: Path) -> None:
    file = export(tmp_path / "file", MANY)
    importing.run(file, config, 503)
    assert importing.run(file, config) == importing.Imported(500, 601, 0), "what broke off goes on"
    node.taken.clear()
    for _ in range(2):
        assert importing.run(file, config, again=True) == importing.Imported(1_101, 0, 0)
    assert len({batch.uuid for _, batch in node.taken}) == 8
    node.answers = [(HTTPStatus.SERVICE_UNAVAILABLE, "no quorum")] * 2
    assert importing.run(file, config, again=True) == importing.Imported(1_101, 0, 0)
    assert len({batch.uuid for _, batch in node.taken}) == 12, "within one run nothing is done twice"
    with pytest.raises(InvalidRequest, match="--again begins at the beginning"):
        importing.run(file, config, 503, again=True)
    node.answers = [(HTTPStatus.BAD_REQUEST, "too large")]
    with pytest.raises(BackupError, match="line 3: too large; what came before it is done, import --again from the beginning"):
        importing.run(file, config, again=True)


def test_a_file_that_changes_meanwhile(
    node: FakeIntake, config: NodeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, other = export(tmp_path / "file", MANY), export(tmp_path / "other", {5: {b"a": b"1"}})
    monkeypatch.setattr(importing, "read_rows", lambda _: read_rows(other))
    with pytest.raises(BackupError, match=r"file: was changed meanwhile: 1 rows were there instead of 1101"):
        importing.run(file, config)


def test_the_line_that_cannot_be_written_is_named(node: FakeIntake, config: NodeConfig, tmp_path: Path) -> None:
    node.answers = [(HTTPStatus.OK, ""), (HTTPStatus.BAD_REQUEST, "too large")]
    with pytest.raises(BackupError, match=r"file, line 503: too large; what came before it is done, go on with --from-line 503"):
        importing.run(export(tmp_path / "file", MANY), config, 2)


def test_who_never_answers_is_not_waited_for(config: NodeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "PATIENCE_S", 0.0)
    with pytest.raises(NotServing, match=r"line 3: .*is the node running"):
        importing.run(export(tmp_path / "file", MANY), config, 2)


def test_another_keyspace_is_refused_with_a_way_out(node: FakeIntake, config: NodeConfig, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"redis-cli --pipe"):
        importing.run(export(tmp_path / "file", MANY, "redis.keyspace=slots:16"), config, 2)
    assert not node.taken


def test_nothing_is_written_of_a_file_that_is_not_whole(node: FakeIntake, config: NodeConfig, tmp_path: Path) -> None:
    file = export(tmp_path / "file", MANY)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(BackupError, match="is cut off"):
        importing.run(file, config, 2)
    assert not node.taken


class Caller:
    """A node, as far as its intake goes."""

    def __init__(self, reply: bytes) -> None:
        self.reply = reply
        self.tuning = TuningSettings()
        self.given: list[tuple[bytes, bytes]] = []
        """Payloads and digests."""

    async def call(self, entity: int, handler: str, payload: bytes, *, digest: bytes, **_: object) -> bytes:
        assert (entity, handler) == (1, OF_A_RUN)
        self.given.append((payload, digest))
        return self.reply


@pytest.mark.parametrize(
    ("reply", "said"),
    [(b"r" * 16 + b"2", "ok"), (b"s" * 16 + b"2", "earlier"), (b"2", "earlier"), (b"+OK\r\n", "earlier")],
)
def test_the_answer_says_which_run_has_done_it(tmp_path: Path, reply: bytes, said: str) -> None:
    caller = Caller(reply)
    intake = Intake(cast(Node, caller), tmp_path)
    with a_place(tmp_path, IMPORT) as (name, place):
        for run in (b"r" * 16, b"q" * 16):
            (place / "1").write_bytes(msgspec.msgpack.encode(Batch(1, "import", encode([(b"a", b"b")]), bytes(16), run)))
            answer = asyncio.run(intake({"name": name, "number": "1"}))
            assert answer.body.decode().strip() == (said if run[:1] == b"r" else "earlier")
    (one, digest), (other, same) = caller.given
    assert one != other
    assert digest == same, "it is the same request under that uuid, whichever run it is of"


@pytest.mark.parametrize("reply", [b"-ERR no\r\n", b"r" * 16 + b"-ERR no\r\n"])
def test_what_redis_refuses_is_refused(tmp_path: Path, reply: bytes) -> None:
    intake = Intake(cast(Node, Caller(reply)), tmp_path)
    with a_place(tmp_path, IMPORT) as (name, place):
        (place / "1").write_bytes(msgspec.msgpack.encode(Batch(1, "redis", b"", bytes(16), b"r" * 16)))
        with pytest.raises(InvalidRequest, match=r"^ERR no$"):
            asyncio.run(intake({"name": name, "number": "1"}))


class TestIntake:
    """The node's end, without its node: what is refused never gets there."""

    @pytest.fixture
    def intake(self, tmp_path: Path) -> Intake:
        peers = [("127.0.0.1", 1)] * 3
        return Intake(Node(ClusterSettings("blue"), 0, peers, tmp_path), tmp_path)

    def ask(self, intake: Intake, name: str, number: str) -> PaxosStoreError:
        with pytest.raises(PaxosStoreError) as refused:
            asyncio.run(intake({"name": name, "number": number}))
        return refused.value

    def test_paths_are_none(self, intake: Intake, tmp_path: Path) -> None:
        (tmp_path / "IDENTITY").write_bytes(b"x")
        with a_place(tmp_path, IMPORT) as (name, _):
            for number in ("../IDENTITY", "", "-1", "/etc/passwd", "1" * 21, "٣"):
                assert "a number is needed" in str(self.ask(intake, name, number))
            assert "no such request" in str(self.ask(intake, name, "1"))
            for wrong in ("..", "", name[:-1], "0" * 32):
                assert "no place was made" in str(self.ask(intake, wrong, "1"))

    def test_content_is_checked(self, intake: Intake, tmp_path: Path) -> None:
        with a_place(tmp_path, IMPORT) as (name, place):
            (place / "1").write_bytes(b"\xc1")
            assert "no such request" in str(self.ask(intake, name, "1"))
            (place / "1").write_bytes(msgspec.msgpack.encode(Batch(1, "card", b"", bytes(16), bytes(16))))
            assert "'card' imports nothing" in str(self.ask(intake, name, "1"))
            (place / "1").write_bytes(bytes(9_000_000))
            assert "max_request_bytes" in str(self.ask(intake, name, "1"))
            (place / "1").write_bytes(msgspec.msgpack.encode(Batch(1, "import", b"", bytes(16), bytes(16))))
            assert isinstance(self.ask(intake, name, "1"), NotServing)


def test_a_line_that_the_file_does_not_have(node: FakeIntake, config: NodeConfig, tmp_path: Path) -> None:
    file = export(tmp_path / "file", {5: {b"a": b"1"}})
    with pytest.raises(InvalidRequest, match="has 4 lines, so it cannot go on with line 5"):
        importing.run(file, config, 5)
    importing.run(file, config, 4)
    assert not node.taken
