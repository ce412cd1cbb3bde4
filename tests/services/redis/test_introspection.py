"""INFO, COMMAND, ACL, CLIENT LIST, HELP: what tools read, beside a redis-server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from paxosstore.services.redis.information import MAX_EXPIRES, human, keyspace, more
from paxosstore.services.redis.layout.keyspace import REDIS_BASE, SLOT_BASE
from paxosstore.services.redis.session import introspection
from paxosstore.services.redis.session.acl import categories
from paxosstore.services.redis.session.spec import SessionSpec
from paxosstore.services.redis.session.table import ALL_COMMANDS, SPECS

from .oracle import compare, needs_redis, script
from .support import DictView, in_loop, pack, serving
from .test_commands import run

NOT_TOLD = re.compile(
    r"monotonic_clock|atomicvar_api|gcc_version|lru_clock|client_recent_.*|used_memory_(lua|vm|scripts|functions|overhead|startup"
    r"|dataset).*|expired_keys|number_of_.*|allocator_.*|rss_overhead_.*|expired_stale_perc|expire_cycle.*|dump_payload.*"
)
"""What nobody counts here, or there is not; expired keys are counted by the node."""
CONTAINERS = {spec.name for spec in ALL_COMMANDS if isinstance(spec, SessionSpec) and spec.subcommands}
SHARED = CONTAINERS | {"function", "memory", "object", "script", "xgroup", "xinfo", "debug"}
"""Redis says of what category their subcommands are, each by itself."""


def asked(port: int, *words: str) -> Any:
    with redis.Redis(port=port, protocol=2, decode_responses=True) as client:
        client.response_callbacks.clear()
        return client.execute_command(*words)


def fields(text: str) -> set[str]:
    return {line.partition(":")[0] for line in text.splitlines() if line and not line.startswith("#")}


@needs_redis
def test_info_has_the_fields_that_tools_read(ports: tuple[int, int]) -> None:
    theirs, ours = (fields(asked(port, "INFO")) for port in ports)
    missing = {name for name in theirs - ours if not NOT_TOLD.fullmatch(name) and not name.startswith(("db", "errorstat"))}
    assert not missing
    titles = [[line for line in asked(port, "INFO", "all").splitlines() if line.startswith("#")] for port in ports]
    assert set(titles[0]) - set(titles[1]) <= {"# Keyspace"}


@needs_redis
def test_commands_are_of_the_categories_that_they_are_of_in_redis(ports: tuple[int, int]) -> None:
    names = [spec.name for spec in ALL_COMMANDS if spec.name not in SHARED]
    found = {row[0]: {word.removeprefix("@") for word in row[6]} for row in asked(ports[0], "COMMAND", "INFO", *names) if row}
    assert len(found) > 200
    assert {name: theirs for name, theirs in found.items() if theirs != set(categories(SPECS[name.encode()]))} == {}


@needs_redis
@pytest.mark.parametrize("proto", [2, 3])
def test_answers_are_those_of_redis(ports: tuple[int, int], proto: int) -> None:
    text = """
    COMMAND LIST FILTERBY MODULE x / COMMAND LIST FILTERBY PATTERN hsetn* / COMMAND LIST FILTERBY foo x / COMMAND LIST x
    COMMAND GETKEYS GET a / COMMAND GETKEYSANDFLAGS GET a / COMMAND GETKEYSANDFLAGS PING / COMMAND GETKEYSANDFLAGS foo bar
    ACL CAT nope / ACL CAT a b / ACL GETUSER x / ACL LOG RESET / ACL LOG / ACL GENPASS 0 / ACL GENPASS 5000 / ACL LOAD / ACL SAVE
    ACL DRYRUN x get a / ACL DRYRUN default nope / ACL DRYRUN default get a / ACL CAT / MODULE LIST
    CLIENT LIST TYPE nope / CLIENT LIST TYPE master / CLIENT LIST TYPE replica / CLIENT LIST foo / CLIENT HELP x / CONFIG HELP x
    """
    compare(ports, proto, script(text))


@pytest.mark.parametrize("name", sorted(CONTAINERS))
@in_loop
async def test_containers_say_what_there_is(name: str) -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send(f"{name} help", "PING")
        got = (await client.reader.readuntil(b"+PONG\r\n")).decode()
        assert got.startswith("*")
        spec = SPECS[name.encode()]
        assert isinstance(spec, SessionSpec)
        if b"help" not in spec.subcommands:
            assert all(f"\r\n+{sub.decode().upper()}" in got for sub in spec.subcommands)
        client.send("MULTI", f"{name} help", "EXEC")
        await client.reader.readuntil(b"+QUEUED\r\n*1\r\n*")


@in_loop
async def test_client_list_tells_what_is_held() -> None:
    async with serving() as harness:
        client, other = await harness.connect(), await harness.connect()
        other.send("SUBSCRIBE c")
        await other.expect(b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
        waiting = await harness.connect()
        waiting.send("BLPOP k 0")
        await harness.arrived(1)
        client.send("CLIENT LIST TYPE pubsub", "CLIENT LIST TYPE normal", "PING")
        found = (await client.reader.readuntil(b"+PONG\r\n")).decode()
        flags = re.findall(r"fd=(-?\d+) .* flags=(\w+) ", found)
        assert [flag for _, flag in flags] == ["P", "N", "b"]
        assert all(int(number) > 0 for number, _ in flags)
        transport, connection = harness.plug(reads=False)
        connection.data_received(pack(b"ECHO", b"x" * 100_000) + b"*2\r\n$4\r\nECHO\r\n$100000\r\nabc")
        await harness.settle()
        sizes = connection.session.sizes()
        assert sizes.unread > 100_000 or transport.buffered
        assert sizes.unstarted > 0


# -- figures


def peek(views: dict[int, DictView]) -> Any:
    def rows(entity: int, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        return views.get(entity, DictView()).scan(start, end)

    return rows


def test_the_keyspace_is_told_by_databases() -> None:
    views = {REDIS_BASE: DictView(), REDIS_BASE + 3: DictView()}
    assert keyspace(peek(views), 0) == {}
    run(views[REDIS_BASE], "MSET a 1 b 2 c 3")
    run(views[REDIS_BASE], "EXPIRE a 100")
    run(views[REDIS_BASE + 3], "SET a 1")
    assert keyspace(peek(views), 0) == {"db0": "keys=3,expires=1,avg_ttl=0", "db3": "keys=1,expires=0,avg_ttl=0"}
    for number in range(MAX_EXPIRES + 10):
        run(views[REDIS_BASE], f"SETEX k{number} 100 v")
    assert keyspace(peek(views), 0)["db0"] == f"keys={MAX_EXPIRES + 13},expires={MAX_EXPIRES},avg_ttl=0"


def test_with_slots_there_is_one_database() -> None:
    views = {SLOT_BASE + number: DictView() for number in range(3)}
    for view in views.values():
        run(view, "SET a 1")
    assert keyspace(peek(views), 16) == {"db0": "keys=3,expires=0,avg_ttl=0"}
    assert keyspace(peek(views), 16_384) == {}, "they are too many to look at"
    assert more(peek(views), 16, lambda: 7)()["Stats"] == {"expired_keys": 7}


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (1_023, "1023B"), (1_024, "1.00K"), (1_536, "1.50K"), (5 * 1_024**2, "5.00M"), (2**40, "1.00T")]
)
def test_sizes_are_written_as_redis_does(size: int, text: str) -> None:
    assert human(size) == text


@pytest.mark.parametrize(
    "line", ["PSYNC ? -1", "SYNC", "REPLCONF capa eof", "REPLICAOF a 1", "SLAVEOF a 1", "FAILOVER", "SHUTDOWN"]
)
@in_loop
async def test_what_a_node_does_by_itself_or_not_at_all_is_refused(line: str) -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send(line, "PING")
        assert (await client.reader.readuntil(b"+PONG\r\n")).startswith(
            b"-ERR the nodes replicate" if line != "SHUTDOWN" else b"-ERR a n"
        )
        await client.exchange("REPLICAOF NO ONE", b"+OK\r\n")


@in_loop
async def test_the_seconds_that_were_slow_are_drawn() -> None:
    async with serving() as harness:
        client = await harness.connect()
        await client.exchange("LATENCY GRAPH command", b"-ERR No samples available for event 'command'\r\n")
        await client.exchange("CONFIG SET latency-monitor-threshold 1", b"+OK\r\n")
        harness.server.times.note(b"get", [b"get", b"k"], 30_000, b"", "", b"")
        client.send("LATENCY GRAPH command", "PING")
        found = await client.reader.readuntil(b"+PONG\r\n")
        assert b"command: 30 ms at worst" in found
        assert re.search(rb" s ago +30 ms #{40}\n", found)


@needs_redis
@pytest.mark.parametrize("name", ["MEMORY", "FUNCTION", "SCRIPT", "OBJECT", "XINFO", "XGROUP", "PUBSUB"])
def test_containers_on_data_say_what_there_is(ports: tuple[int, int], name: str) -> None:
    theirs, ours = (asked(port, name, "HELP") for port in ports)
    assert theirs[0] == ours[0]


@in_loop
async def test_what_is_told_of_a_command_is_made_once_for_each_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as harness:
        _, connection = harness.plug()
        session, spec = connection.session, SPECS[b"command"]
        assert isinstance(spec, SessionSpec)
        asked = [b"command"], [b"command", b"docs"], [b"command", b"info", b"get", b"config|get", b"nope"]
        told = {}
        for session.proto in (2, 3):
            told[session.proto] = [spec.answer(session, [*words]) for words in asked]
        monkeypatch.setattr(introspection, "_row", None)
        monkeypatch.setattr(introspection, "_doc", None)
        for session.proto in (2, 3):
            assert [spec.answer(session, [*words]) for words in asked] == told[session.proto]
        assert told[2] != told[3]
