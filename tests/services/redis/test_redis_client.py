"""paxosstore.redis: goes on at another node by itself, and every write takes effect once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
import redis.exceptions

import paxosstore.redis
from paxosstore.redis import asyncio as aio
from paxosstore.redis.once import AGAIN, WRITES, Clock, Nodes, Waiting, limit, nodes_of, patience, under_uuid
from paxosstore.services.redis.commands.table import DATA_COMMANDS
from paxosstore.services.redis.reply import CODES

from .logstore import LogStore
from .support import Harness, in_loop
from .test_once import two_nodes

Client = Any


def addresses(*harnesses: Harness) -> list[tuple[str, int]]:
    return [("127.0.0.1", harness.server.port) for harness in harnesses]


class Blocking:
    """The client that blocks, awaited in a thread."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.client: Client = paxosstore.redis.Redis(*args, **options)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        return lambda *args, **options: asyncio.to_thread(getattr(self.client, name), *args, **options)

    async def run(self, *commands: tuple[Any, ...], transaction: bool, watch: str = "") -> Any:
        def go() -> Any:
            with self.client.pipeline(transaction=transaction) as pipeline:
                if watch:
                    pipeline.watch(watch)
                    pipeline.multi()
                for name, *words in commands:
                    getattr(pipeline, name)(*words)
                return pipeline.execute()

        return await asyncio.to_thread(go)

    async def aclose(self) -> None:
        await asyncio.to_thread(self.client.close)


class Asyncio:
    """The one for asyncio."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.client: Client = aio.Redis(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    async def run(self, *commands: tuple[Any, ...], transaction: bool, watch: str = "") -> Any:
        async with self.client.pipeline(transaction=transaction) as pipeline:
            if watch:
                await pipeline.watch(watch)
                pipeline.multi()
            for name, *words in commands:
                getattr(pipeline, name)(*words)
            return await pipeline.execute()


forms = pytest.mark.parametrize("form", [Blocking, Asyncio])


async def lose(store: LogStore, node: Harness, call: Awaitable[Any]) -> Any:
    """What a call is told whose first reply is lost: it has taken effect, and the node has gone."""
    task = asyncio.ensure_future(call)
    async with asyncio.timeout(20):
        await store.told_nobody.wait()
        store.lost = store.dropped = False
        await node.server.stop()
        return await task


# -- what takes effect once


@forms
@pytest.mark.parametrize("protocol", [2, 3])
@in_loop
async def test_a_write_whose_reply_was_lost_is_done_once(form: type[Any], protocol: int) -> None:
    store = LogStore()
    async with two_nodes(store) as (one, other):
        client = form(addresses(one, other), protocol=protocol)
        assert await client.incr("k") == 1
        store.lose()
        assert await lose(store, one, client.incr("k")) == 2
        assert await client.get("k") == b"2"
        assert await client.rpush("l", "a", "b") == 2
        assert await client.zadd("z", {"m": 1.5}) == 1
        assert await client.zincrby("z", 1, "m") == 2.5, "replies are made what redis-py makes of them"
        assert await client.hset("h", mapping={"f": "v"}) == 1
        assert await client.getex("k", ex=10) == b"2"
        assert await client.xadd("s", {"f": "v"}, id="1-1") == b"1-1"
        assert await client.xgroup_create("s", "g", "0")
        assert len(await client.xreadgroup("g", "c", {"s": ">"})) == 1
        assert await client.eval("return redis.call('incr', KEYS[1])", 1, "k") == 3
        await client.aclose()


@forms
@in_loop
async def test_a_pipeline_is_done_once(form: type[Any]) -> None:
    store = LogStore()
    async with two_nodes(store) as (one, other):
        client = form(addresses(one, other))
        await client.incr("k")
        store.lose()
        told = client.run(("incr", "k"), ("set", "a", "1"), ("incr", "k"), ("get", "k"), transaction=False)
        assert await lose(store, one, told) == [2, True, 3, b"3"]
        assert await client.get("k") == b"3"
        await client.aclose()


@forms
@in_loop
async def test_what_a_pipeline_was_told_before_the_connection_broke_is_not_asked_again(form: type[Any]) -> None:
    store = LogStore()
    store.max_kept_bytes = 100
    async with two_nodes(store) as (one, other):
        client = form(addresses(one, other))
        await client.set("big", "x" * 1_000)
        told = asyncio.ensure_future(client.run(("getdel", "big"), ("incr", "k"), ("incr", "k"), transaction=False))
        store.lose(b"INCR")
        assert await lose(store, one, told) == [b"x" * 1_000, 1, 2]
        assert await client.get("k") == b"2"
        await client.aclose()


@forms
@in_loop
async def test_a_transaction_is_done_once(form: type[Any]) -> None:
    store = LogStore()
    async with two_nodes(store) as (one, other):
        client = form(addresses(one, other))
        await client.incr("k")
        store.lose()
        assert await lose(store, one, client.run(("incr", "k"), ("incr", "k"), transaction=True)) == [2, 3]
        assert await client.get("k") == b"3"
        await client.aclose()


@forms
@in_loop
async def test_a_transaction_that_was_done_though_its_watch_is_gone_is_told(form: type[Any]) -> None:
    store = LogStore()
    async with two_nodes(store) as (one, other):
        client = form(addresses(one, other))
        await client.incr("k")
        store.lose(b"exec")
        assert await lose(store, one, client.run(("incr", "k"), transaction=True, watch="k")) == [2]
        assert await client.get("k") == b"2"
        await client.aclose()


@forms
@in_loop
async def test_one_that_was_not_done_is_not_done_without_its_watch(form: type[Any]) -> None:
    store = LogStore()
    async with two_nodes(store) as (one, other):
        client = form(addresses(one, other))
        await client.incr("k")
        store.drop(b"exec")
        with pytest.raises(redis.exceptions.WatchError):
            await lose(store, one, client.run(("incr", "k"), transaction=True, watch="k"))
        assert await client.get("k") == b"1"
        await client.aclose()


@forms
@pytest.mark.parametrize("lost", ["its reply", "the command"])
@in_loop
async def test_a_write_before_multi_is_done_once_and_told_and_its_watch_is_lost(form: type[Any], lost: str) -> None:
    store = LogStore()
    async with two_nodes(store) as (one, other):
        client = form(addresses(one, other))
        await client.rpush("jobs", "a", "b")
        (store.lose if lost == "its reply" else store.drop)(b"LPOP")
        found: list[Any] = []

        async def take() -> Any:
            if form is Asyncio:
                async with client.pipeline() as pipeline:
                    await pipeline.watch("k")
                    found.append(await pipeline.lpop("jobs"))
                    found.append(await pipeline.llen("jobs"))
                    pipeline.multi()
                    pipeline.set("k", "1")
                    await pipeline.execute()
                return

            def go() -> None:
                with client.client.pipeline() as pipeline:
                    pipeline.watch("k")
                    found.append(pipeline.lpop("jobs"))
                    found.append(pipeline.llen("jobs"))
                    pipeline.multi()
                    pipeline.set("k", "1")
                    pipeline.execute()

            await asyncio.to_thread(go)

        with pytest.raises(redis.exceptions.WatchError):
            await lose(store, one, take())
        assert found == [b"a", 1]
        assert await client.get("k") is None
        await client.aclose()


# -- waiting


@forms
@in_loop
async def test_who_waits_is_not_taken_for_one_whose_node_does_not_answer(form: type[Any]) -> None:
    async with two_nodes(LogStore()) as (one, other):
        client = form(addresses(one, other), socket_timeout=0.3)
        for wait in (client.blpop("q", timeout=0.7), client.bzmpop(0.7, 1, ["z"], min=True), client.xread({"s": "$"}, block=700)):
            began = time.monotonic()
            assert not await wait
            assert 0.6 < time.monotonic() - began < 5.0
        assert one.server.statistics().connections == 1
        assert other.server.statistics().connections == 0
        await client.aclose()


@forms
@pytest.mark.parametrize("wait_s", [0, 2])
@in_loop
async def test_who_waits_goes_on_at_another_node_for_what_is_left(form: type[Any], wait_s: int) -> None:
    async with two_nodes(LogStore()) as (one, other):
        client = form(addresses(one, other), socket_timeout=0.3)
        began = time.monotonic()
        waiting = asyncio.ensure_future(client.blpop("q", timeout=wait_s))
        while not one.server.waiting.places:  # noqa: ASYNC110  the server has no event for it
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.7)
        await one.server.stop()
        while not other.server.waiting.places:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if wait_s:
            assert await waiting is None
            assert 1.9 < time.monotonic() - began < 6.0
        else:
            (place,) = other.server.waiting.places
            other.server.waiting.expire(place)
            assert await waiting is None
        await client.aclose()


@pytest.mark.parametrize(
    ("args", "again"),
    [
        (("BLPOP", "a", "b", 7), ("BLPOP", "a", "b", 5.0)),
        ((b"blmove", "a", "b", "LEFT", "LEFT", b"7"), (b"blmove", "a", "b", "LEFT", "LEFT", 5.0)),
        (("BLMPOP", "7", 1, "a", "LEFT"), ("BLMPOP", 5.0, 1, "a", "LEFT")),
        (("XREAD", "COUNT", 1, "BLOCK", 7_000, "STREAMS", "BLOCK", "$"),
         ("XREAD", "COUNT", 1, "BLOCK", 5_000, "STREAMS", "BLOCK", "$")),
        (("XREADGROUP", "GROUP", "block", "block", "BLOCK", 7_000, "STREAMS", "s", ">"),
         ("XREADGROUP", "GROUP", "block", "block", "BLOCK", 5_000, "STREAMS", "s", ">")),
        (("BLPOP", "a", 0), ("BLPOP", "a", 0)),
        (("XREADGROUP", "GROUP", "block", "c", "STREAMS", "s", ">"), None),
        (("BLPOP", "a", "x"), None),
        (("BLPOP", "a", -1), None),
        (("GET", "a"), None),
    ],
)  # fmt: skip
def test_a_command_that_waits_says_for_how_long(
    args: tuple[Any, ...], again: tuple[Any, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    waiting = Waiting.of(args, 30.0)
    assert (waiting is None) == (again is None)
    if waiting is not None and again is not None:
        with waiting.trying() as words:
            assert tuple(words) == args
        now += 2.0
        with waiting.trying() as words:
            assert tuple(words) == again


def test_who_waits_is_patient_from_when_no_node_lets_it_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    now, error = 1_000.0, redis.exceptions.ConnectionError()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    waiting = Waiting.of(("BLPOP", "q", 100), 30.0)
    assert waiting is not None
    for waited in (50.0, 0.0, 0.1):
        with waiting.trying():
            now += waited
        assert waiting.pause(error) <= 0.5
    now += 30.0
    with waiting.trying():
        pass
    with pytest.raises(redis.exceptions.ConnectionError):
        waiting.pause(error)


# -- going on


@forms
@in_loop
async def test_a_node_that_does_not_answer_is_left_for_the_next_one(form: type[Any]) -> None:
    store = LogStore()
    async with two_nodes(store) as (one, other):
        dead = ("127.0.0.1", 1)
        client = form([dead, *addresses(one, other)])
        assert await client.incr("k") == 1
        await one.server.stop()
        assert await client.incr("k") == 2
        await client.aclose()


@forms
@in_loop
async def test_when_nobody_can_it_says_so_after_a_while(form: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    monkeypatch.setattr(Nodes, "leave", lambda nodes, host, port: left.append(port))
    client = form([("127.0.0.1", 1), ("127.0.0.1", 2)], patience_s=0.3)
    with pytest.raises(redis.exceptions.ConnectionError):
        await client.incr("k")
    assert len(left) > 2
    await client.aclose()


@forms
@in_loop
async def test_other_errors_are_told_at_once(form: type[Any]) -> None:
    async with two_nodes(LogStore()) as (one, other):
        client = form(addresses(one, other))
        await client.set("k", "word")
        with pytest.raises(redis.exceptions.ResponseError, match="not an integer"):
            await client.incr("k")
        with pytest.raises(redis.exceptions.ResponseError, match="not an integer"):
            await client.run(("incr", "k"), transaction=False)
        with pytest.raises(redis.exceptions.ResponseError, match="not an integer"):
            await client.run(("incr", "k"), transaction=True)
        await client.aclose()


# -- the parts


def test_what_goes_under_a_uuid_are_all_writes_to_one_entity() -> None:
    plain = {"function", "script", "flushall", "swapdb", "migrate", "pfdebug", "move"}
    writes = {
        spec.name.upper()
        for spec in DATA_COMMANDS
        if spec.writes and spec.group != "pubsub" and not spec.timeout_at and spec.name not in plain
    }
    assert writes == WRITES


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("incr", "k"), ["incr", "k"]),
        ((b"SET", "k", 1), ["SET", "k", 1]),
        (("XGROUP CREATE", "s", "g"), ["XGROUP", "CREATE", "s", "g"]),
        (("GET", "k"), None),
        (("BLPOP", "k", 0), None),
        (("MOVE", "k", 1), None),
        (("COPY", "k", "n", "DB", 1), None),
        ((b"COPY", b"k", b"n", "REPLACE", b"db", 1), None),
        (("COPY", "k", "DB"), ["COPY", "k", "DB"]),
        (("SCRIPT LOAD", "x"), None),
        (("XREADGROUP", "GROUP", "g", "c", "STREAMS", "block", ">"), ["XREADGROUP", "GROUP", "g", "c", "STREAMS", "block", ">"]),
        (("XREADGROUP", "GROUP", "block", "c", "STREAMS", "s", ">"), ["XREADGROUP", "GROUP", "block", "c", "STREAMS", "s", ">"]),
        (("XREADGROUP", "GROUP", "g", "c", b"block", 5, "STREAMS", "s", ">"), None),
    ],
)
def test_the_words_of_a_command(args: tuple[Any, ...], words: list[Any] | None) -> None:
    assert under_uuid(args) == words


def test_where_redis_py_is_missing_it_says_so() -> None:
    words = "import sys; sys.modules['redis'] = None; import paxosstore.redis"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: paxosstore.redis needs redis-py: pip install 'paxosstore[redis]'"


def test_errors_that_pass_are_those_of_the_store() -> None:
    assert set(CODES.values()) >= AGAIN
    assert {"ERR", "TOOLARGE", "NOTKEPT", "UUIDREUSED", "UUIDEXPIRED", "DIVERGED", "REFUSED", "NOHANDLER"} == set(
        CODES.values()
    ) - AGAIN


def test_uuids_are_of_version_7_by_the_stores_time() -> None:
    clock = Clock()
    assert clock.due
    clock.learn(1_700_000_000, 500_000)
    assert not clock.due
    found = [clock.uuid() for _ in range(1_000)]
    assert len(set(found)) == 1_000
    for uuid in found:
        assert (UUID(bytes=uuid).version, UUID(bytes=uuid).variant) == (7, "specified in RFC 4122")
        assert 0 <= int.from_bytes(uuid[:6], "big") - 1_700_000_000_500 < 10_000
    assert all(first[:6] <= second[:6] for first, second in pairwise(found))


def test_the_next_node_is_used_when_the_one_in_use_fails() -> None:
    nodes = Nodes(["a", "b:1", ("c", 2), "[::1]:3", "a:6379", ("b", 1)])  # the last ones are there already
    assert nodes.current == ("a", 6379)
    nodes.leave("b", 1)
    assert nodes.current == ("a", 6379)
    nodes.leave("a", 6379)
    nodes.leave("a", 6379)
    assert nodes.current == ("b", 1)
    nodes.leave("b", 1)
    nodes.leave("c", 2)
    assert nodes.current == ("::1", 3)
    nodes.leave("::1", 3)
    assert nodes.current == ("a", 6379)


@pytest.mark.parametrize(
    "nodes",
    [
        [],
        "a:1",
        [""],
        [":1"],
        ["a:b"],
        ["a:0"],
        ["a:65536"],
        ["a:"],
        ["redis://a:1"],
        ["http://a"],
        ["unix:/x"],
        ["a:1/5"],
        ["u:p@a:1"],
        ["a:1?db=3"],
        ["a..b:1"],
        ["."],
        ["a" * 64],
        [("a..b", 1)],
        [("a", 0)],
    ],
)
def test_what_are_no_nodes_is_refused(nodes: Any) -> None:
    with pytest.raises(ValueError, match=r"nodes|address|[Pp]ort"):
        Nodes(nodes)


def test_a_url_names_several_nodes() -> None:
    assert nodes_of("redis://a:1,b:2/3") == (["a:1", "b:2"], 3)
    assert nodes_of("redis://a") == (["a"], 0)
    for wrong in ("http://a", "redis://", "redis://a/x", "redis://a/1?db=3"):
        with pytest.raises(ValueError, match="redis://host:port"):
            nodes_of(wrong)


def test_who_tries_within_a_trial_has_no_more_time() -> None:
    with limit(0.02), limit(1e9):
        pauses = []
        for pause_s in patience():
            time.sleep(pause_s)
            pauses.append(pause_s)
    assert sum(pauses) < 1.0
