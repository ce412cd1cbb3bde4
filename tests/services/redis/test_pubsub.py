"""Publishing and subscribing: the bytes that Redis sends, in its order; who does not read is closed, who is gone is forgotten."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paxosstore.core.batch.published import Published
from paxosstore.services.redis.pubsub import hub as hub_module
from paxosstore.services.redis.pubsub.hub import CHANNEL, SHARD_CHANNEL
from paxosstore.services.redis.session.subscribe import MAX_LONG_BYTES

from .support import DictView, MemoryStore, ServerThread, in_loop, serving
from .support import pack as packed


def pack(*words: str) -> bytes:
    return packed(*(word.encode() for word in words))


REDIS = shutil.which("redis-server")

DIALOGUE = """
a SUBSCRIBE x y / a GET k / a PING / a PING hi / a PSUBSCRIBE x* / a SSUBSCRIBE s1 / a UNSUBSCRIBE nope / a PUBLISH x m
a CLIENT ID / a CLIENT nonsense / a nonsense / a ECHO x / a HELLO 2 / a SUBSCRIBE / a PSUBSCRIBE / a SSUBSCRIBE / a SUBSCRIBE x
b PUBLISH x m / b PUBLISH y m / b PUBLISH xx m / b PUBLISH z m / b SPUBLISH s1 m / b SPUBLISH x m / b PUBLISH s1 m / b PUBLISH x
b SPUBLISH s1 / b PUBLISH a b c / b PUBSUB CHANNELS z*
b MULTI;PUBLISH y in;SPUBLISH s1 in;GET k;EXEC / b MULTI;PUBLISH y m;DISCARD / b MULTI;PUBLISH y m;nonsense;EXEC
b MULTI;SET k v;PUBLISH y m;PUBLISH z m;EXEC;DEL k / b MULTI;SUBSCRIBE t;PING hi;UNSUBSCRIBE t;EXEC
b PUBSUB NUMSUB / b PUBSUB NUMSUB x y z / b PUBSUB NUMPAT
b PUBSUB SHARDCHANNELS / b PUBSUB SHARDNUMSUB s1 x / b PUBSUB nonsense / b PUBSUB / b PUBSUB CHANNELS y / b PUBSUB NUMPAT x
a UNSUBSCRIBE x x / b PUBLISH x m / a UNSUBSCRIBE / a PUNSUBSCRIBE / a GET k / a SUNSUBSCRIBE / a GET k
a UNSUBSCRIBE / a PUNSUBSCRIBE / a SUNSUBSCRIBE / a UNSUBSCRIBE x y / b PUBSUB CHANNELS / b PUBSUB NUMPAT
a SUBSCRIBE z / a RESET / a GET k / b PUBLISH z m / a PSUBSCRIBE a* a? [ab]b / b PUBLISH bb m / b PUBLISH abc m / b PUBSUB NUMPAT
a RESET / b PUBSUB NUMPAT / a HELLO 3 SETNAME me / a SUBSCRIBE x / a GET k / a SET k v / a PUBLISH x mine / a PSUBSCRIBE *
a PUBLISH x two / a PING / a PING hi / b PUBLISH x theirs / a SSUBSCRIBE s / a SPUBLISH s m / a UNSUBSCRIBE / a UNSUBSCRIBE
a PUNSUBSCRIBE nope / a CLIENT GETNAME / a HELLO 2 SETNAME me / a GET k / a PING / a HELLO 3 / a SUNSUBSCRIBE / a QUIT
b PUBSUB CHANNELS / b PUBSUB NUMPAT / b PUBSUB SHARDCHANNELS
"""


class Talk:
    """Two clients of one server, and what each of them gets after each line."""

    def __init__(self, port: int) -> None:
        self.sockets = {name: socket.create_connection(("127.0.0.1", port), timeout=10) for name in "ab"}

    def say(self, line: str) -> dict[str, bytes]:
        who, _, commands = line.partition(" ")
        for command in commands.split(";"):
            self.sockets[who].sendall(pack(*["" if word == '""' else word for word in command.split()]))
        first = self._all(who)
        (other,) = {*self.sockets} - {who}
        return {who: first, other: self._all(other)}

    def _all(self, who: str) -> bytes:
        mark = b"--mark--"
        try:
            self.sockets[who].sendall(pack("PING", mark.decode()))
        except OSError:
            return b"closed"
        got = b""
        while not got.endswith(b"$8\r\n" + mark + b"\r\n"):
            try:
                piece = self.sockets[who].recv(65_536)
            except ConnectionError:
                piece = b""
            if not piece:
                return got + b"closed"
            got += piece
        return got

    def close(self) -> None:
        for one in self.sockets.values():
            one.close()


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    assert REDIS is not None
    quiet = ["--save", "", "--appendonly", "no", "--dir", str(tmp_path), "--logfile", str(tmp_path / "log")]
    process = subprocess.Popen([REDIS, "--port", str(port), *quiet])
    try:
        deadline = time.monotonic() + 10
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(REDIS is None, reason="redis-server is not installed on this machine")
def test_the_same_bytes_as_redis(redis_port: int) -> None:
    with ServerThread() as server:
        theirs, ours = Talk(redis_port), Talk(server.port)
        for line in (line.strip() for line in DIALOGUE.replace("\n", "/").split("/")):
            if line:
                one, other = ours.say(line), theirs.say(line)
                assert one == other or line.startswith("a HELLO"), line  # that says who the server is
        theirs.close()
        ours.close()


@in_loop
async def test_messages_from_other_nodes_reach_subscribers() -> None:
    async with serving() as harness:
        transport, connection = harness.plug()
        connection.data_received(pack("SUBSCRIBE", "x") + pack("PSUBSCRIBE", "*"))
        await harness.settle()
        begun = len(transport.got)
        harness.server.hub.take([Published(b"x", b"1", CHANNEL), Published(b"x", b"2", SHARD_CHANNEL), Published(b"x", b"3", 0)])
        await harness.settle()
        assert transport.got[begun:] == pack("message", "x", "1") + pack("pmessage", "*", "x", "1")
        assert harness.server.info()["Stats"]["pubsub_channels"] == 1


@in_loop
async def test_a_message_does_not_come_before_the_confirmation() -> None:
    """It waits behind a write that the store has not decided."""
    store = MemoryStore()
    async with serving(store) as harness:
        transport, connection = harness.plug()
        store.holding = True
        connection.data_received(pack("SET", "k", "v") + pack("SUBSCRIBE", "x"))
        await harness.settle()
        harness.server.hub.publish(b"x", b"m", CHANNEL)
        await harness.settle()
        assert transport.got == b""
        store.holding = False
        store.release(store.held[0])
        await harness.settle()
        confirmed = b"+OK\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n" + pack("message", "x", "m")
        assert transport.got == confirmed
        harness.server.hub.publish(b"x", b"n", CHANNEL)
        await harness.settle()
        assert transport.got == confirmed + pack("message", "x", "n")


@in_loop
async def test_in_resp3_a_message_does_not_wait_for_the_store() -> None:
    store = MemoryStore()
    async with serving(store) as harness:
        transport, connection = harness.plug()
        connection.data_received(pack("HELLO", "3") + pack("SUBSCRIBE", "x"))
        await harness.settle()
        begun = len(transport.got)
        store.holding = True
        connection.data_received(pack("SET", "k", "v"))
        await harness.settle()
        harness.server.hub.publish(b"x", b"m", CHANNEL)
        await harness.settle()
        assert transport.got[begun:] == b">3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\nm\r\n"
        store.holding = False
        store.release(store.held[0])
        await harness.settle()
        assert transport.got.endswith(b"+OK\r\n")


@in_loop
async def test_a_subscriber_that_does_not_read_is_closed_and_forgotten() -> None:
    async with serving(max_unread_bytes=200_000) as harness:
        slow, connection = harness.plug(reads=False)
        quick, other = harness.plug()
        for one in (connection, other):
            one.data_received(pack("SUBSCRIBE", "x") + pack("PSUBSCRIBE", "x*"))
        await harness.settle()
        hub = harness.server.hub
        assert hub.publish(b"x", b"m", CHANNEL) == 4
        for _ in range(100):
            hub.publish(b"x", bytes(10_000), CHANNEL)
            await harness.passes(3)
        assert slow.ended == "aborted"
        assert not quick.ended
        assert harness.server.statistics().closed_unread == 1
        assert hub.publish(b"x", b"m", CHANNEL) == 2
        assert slow.most_buffered < 250_000


@in_loop
async def test_who_is_gone_has_no_subscriptions() -> None:
    async with serving() as harness:
        transport, connection = harness.plug()
        connection.data_received(pack("SUBSCRIBE", "x", "y") + pack("PSUBSCRIBE", "x*") + pack("SSUBSCRIBE", "s"))
        await harness.settle()
        assert connection.held > 4 * hub_module.SUBSCRIPTION_BYTES
        transport.abort()
        await harness.settle()
        hub = harness.server.hub
        assert (hub.channels(), hub.channels(shard=True), hub.patterns) == ([], [], 0)
        assert harness.server.room.held == 0


@in_loop
async def test_subscriptions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from paxosstore.services.redis.session import subscribe

    monkeypatch.setattr(subscribe, "MAX_SUBSCRIPTIONS", 2)
    async with serving() as harness:
        transport, connection = harness.plug()
        connection.data_received(
            pack("SUBSCRIBE", "a", "b", "c") + pack("SUBSCRIBE", "a") + pack("PSUBSCRIBE", "*" + "a" * 2_000)
        )
        await harness.settle()
        assert transport.got.count(b"subscribe") == 3
        assert transport.got.count(b"-TOOLARGE") == 2


@in_loop
async def test_a_subscriber_is_not_idle() -> None:
    async with serving(idle_timeout_s=1) as harness:
        _, connection = harness.plug()
        connection.data_received(pack("SUBSCRIBE", "x"))
        await harness.settle()
        assert not connection.is_idle(harness.server.seconds() + 1_000, 1)
        connection.data_received(pack("UNSUBSCRIBE", "x"))
        await harness.settle()
        assert connection.is_idle(harness.server.seconds() + 1_000, 1)


def test_inside_a_transaction_it_is_published_by_the_request() -> None:
    from paxosstore.services.redis.commands.table import TABLE

    view = DictView()
    for name, kind in (("publish", CHANNEL), ("spublish", SHARD_CHANNEL)):
        spec = TABLE[name.encode()]
        assert spec.writes
        assert spec.run is not None
        assert spec.run(view, [name.encode(), b"c", b"m"], 2) == b":0\r\n"
        assert view.published.pop() == Published(b"c", b"m", kind)


class Listener:
    """A client that only listens."""

    proto = 2

    def __init__(self) -> None:
        self.subscriptions = hub_module.Subscriptions()
        self.got: list[bytes] = []

    def push(self, message: bytes) -> None:
        self.got.append(message)


def test_many_patterns_are_compared_in_pieces_and_the_order_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "PASS_S", -1.0)
    monkeypatch.setattr(hub_module, "AT_ONCE_BYTES", 500)
    later: list[Callable[[], object]] = []
    hub, at_once = hub_module.Hub(None, later.append), hub_module.Hub()
    told, listeners = [], [Listener(), Listener()]
    for one, listener in zip((hub, at_once), listeners, strict=True):
        leaving = Listener()
        for number in range(20):
            one.subscribe_pattern(listener, b"*%d*" % number)
        one.subscribe_pattern(leaving, b"*19")
        one.subscribe(listener, b"b1")
        for channel in (b"a1", b"b1", b"c19"):
            one.publish(channel, b"x", CHANNEL)
        if one is hub:
            assert len(later) == 1
            assert len(listener.got) < 3
        passes = 0
        while later:
            passes += 1
            later.pop()()
        assert not leaving.got[1:]
        told.append(listener.got)
        assert passes > 5 or one is at_once
    assert told[0] == told[1]
    assert len(told[0]) == 6
    hub.publish(b"1", b"x", CHANNEL)
    assert len(later) == 1
    hub.forget(listeners[0])
    while later:
        later.pop()()


def test_so_many_messages_wait_behind_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "PASS_S", -1.0)
    monkeypatch.setattr(hub_module, "AT_ONCE_BYTES", 0)
    monkeypatch.setattr(hub_module, "MAX_QUEUE", 2)
    later: list[Callable[[], object]] = []
    hub, listener = hub_module.Hub(None, later.append), Listener()
    for pattern in (b"a*", b"b*", b"c*"):
        hub.subscribe_pattern(listener, pattern)
    for _ in range(3):
        hub.publish(b"a", b"x", CHANNEL)
    assert len(listener.got) == 1
    hub.publish(b"a", b"y", CHANNEL)
    later.pop()()
    assert len(listener.got) > 1
    while later:
        later.pop()()
    assert len(listener.got) == 4
    assert b"y" in listener.got[-1]


@in_loop
async def test_one_command_subscribes_to_so_many_bytes_of_long_patterns() -> None:
    async with serving() as harness:
        transport, connection = harness.plug()
        connection.data_received(packed(b"PSUBSCRIBE", *[b"%04d*" % number + b"x" * 800 for number in range(100)]))
        connection.data_received(packed(b"PSUBSCRIBE", b"*" + b"x" * 100 + b"*"))
        connection.data_received(packed(b"PSUBSCRIBE", *[b"%04d*" % number + b"x" * 50 for number in range(900)]))
        connection.data_received(packed(b"SUBSCRIBE", *[b"%04d" % number + b"x" * 800 for number in range(100)]))
        await harness.settle()
        assert transport.got.count(b"-TOOLARGE") == 2
        assert harness.server.hub.patterns == MAX_LONG_BYTES // 805 + 900
        assert len(harness.server.hub.channels()) == 100
