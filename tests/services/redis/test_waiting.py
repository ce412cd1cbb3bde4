"""Commands that wait, through the service: as Redis does it, and what becomes of what was taken for a client that goes away."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from paxosstore.core.batch.overlay import DATA, View, WriteBatch
from paxosstore.core.batch.request import Request
from paxosstore.core.interface.ready import Apply
from paxosstore.errors import NoQuorum, OutcomeUnknown
from paxosstore.runtime.feed import Feed
from paxosstore.runtime.node import Node
from paxosstore.services.redis.commands.handler import HANDLER, encode, handle
from paxosstore.services.redis.commands.spec import Spec
from paxosstore.services.redis.commands.table import TABLE as DATA_TABLE
from paxosstore.services.redis.commands.waits import MAX_SECONDS, THERE, found_nothing, wait_seconds
from paxosstore.services.redis.connection.connection import Connection
from paxosstore.services.redis.layout.keys import STREAM, row_key
from paxosstore.services.redis.layout.keyspace import REDIS_BASE
from paxosstore.services.redis.reply import OK, bulk, nil_array
from paxosstore.services.redis.server import RedisServer
from paxosstore.services.redis.session import table as session_table
from paxosstore.services.redis.settings import RedisSettings
from paxosstore.services.redis.waiting.giveback import served_from, undo
from paxosstore.settings import ClusterSettings

from ...runtime.test_links import free_addresses
from .support import Harness, MemoryStore, in_loop, serving
from .support import pack as packed
from .test_pubsub import REDIS, redis_port  # noqa: F401  # a fixture


def pack(line: str) -> bytes:
    return b"".join([packed(*[word.encode() for word in command.split()]) for command in line.split(";")])


class FeedStore(MemoryStore):
    """Tells the feed what its writes have changed, each when it is evaluated."""

    def __init__(self) -> None:
        super().__init__()
        self.feed = Feed(0)
        self.entry = 0
        self.writes = 0

    def evaluate(self, request: Request) -> None:
        rows = self.view(request.entity).rows
        before = dict(rows)
        super().evaluate(request)
        if request.read_only:
            return
        self.writes += 1
        self.entry += 1
        changed = {DATA + key: rows.get(key) for key in before.keys() | rows.keys() if before.get(key) != rows.get(key)}
        self.feed.take([Apply(request.entity, self.entry, WriteBatch(changed))], [])


@asynccontextmanager
async def waiting_service() -> AsyncIterator[tuple[Harness, FeedStore]]:
    store = FeedStore()
    async with serving(store, feed=store.feed) as harness:
        yield harness, store


@in_loop
async def test_who_waits_is_served_by_a_push_in_order() -> None:
    async with waiting_service() as (harness, store):
        clients = [harness.plug() for _ in range(3)]
        pusher, pushes = harness.plug()
        for _, connection in clients:
            connection.data_received(pack("BLPOP q r 0;PING"))
        await harness.settle()
        assert [transport.got for transport, _ in clients] == [b"", b"", b""]
        assert harness.server.info()["Clients"]["blocked_clients"] == 3
        assert store.writes == 0, "to ask in vain writes nothing"
        pushes.data_received(pack("RPUSH q a b"))
        await harness.settle()
        assert pusher.got == b":2\r\n"
        assert clients[0][0].got == pack("q a") + b"+PONG\r\n"
        assert clients[1][0].got == pack("q b") + b"+PONG\r\n"
        assert clients[2][0].got == b""
        pushes.data_received(pack("LPUSH r c"))
        await harness.settle()
        assert clients[2][0].got == pack("r c") + b"+PONG\r\n"
        assert not store.feed
        assert len(harness.server.waiting) == 0


class LooksElsewhere(FeedStore):
    """Has its reads run by a peer, as a node does that cannot serve them."""

    def _run(self, request: Request) -> bytes:
        if not request.read_only or request.handler != HANDLER:
            return super()._run(request)
        return handle(self._view_for(request), request.payload())


@in_loop
async def test_a_peer_that_looks_takes_nothing_not_even_later() -> None:
    """What it took when its answer is awaited no longer would be gone, and told to nobody."""
    store = LooksElsewhere()
    async with serving(store, feed=store.feed) as harness:
        transport, connection = harness.plug()
        connection.data_received(pack("BLPOP q 0"))
        await harness.settle()
        look = store.submitted[-1]
        late = look.payload()
        view = store.view(look.entity)
        view.read_only = False
        for word in (b"a", b"b"):
            handle(view, encode(2, [b"RPUSH", b"q", word]))
        assert handle(view, late) == THERE
        assert handle(view, encode(2, [b"LLEN", b"q"])) == b":2\r\n"
        other, pops = harness.plug()
        pops.data_received(pack("BRPOP q r 0"))
        await harness.settle()
        assert other.got == pack("q b"), "what is there according to a peer is tried for"
        assert transport.got == pack("q a"), "and so whoever waits hears of it"


@in_loop
async def test_all_who_read_a_stream_from_now_on_get_its_next_entry() -> None:
    """`$` is the last id of when they came, at every later try as well."""
    async with waiting_service() as (harness, store):
        adder, adds = harness.plug()
        adds.data_received(pack("XADD s 1-1 f old;XGROUP CREATE s g $"))
        clients = [harness.plug() for _ in range(3)]
        for at, (_, connection) in enumerate(clients):
            line = "XREAD BLOCK 0 STREAMS s $" if at < 2 else "XREADGROUP GROUP g me BLOCK 0 STREAMS s >"
            connection.data_received(pack(line))
        await harness.settle()
        assert [transport.got for transport, _ in clients] == [b"", b"", b""]
        writes = store.writes
        adds.data_received(pack("XADD s 2-1 f new"))
        await harness.settle()
        entry = b"*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n2-1\r\n*2\r\n$1\r\nf\r\n$3\r\nnew\r\n"
        assert [transport.got for transport, _ in clients] == [entry] * 3
        assert store.writes == writes + 2, "the entry, and that it was delivered to the group"
        assert adder.got.endswith(b"$3\r\n2-1\r\n")


@in_loop
async def test_who_reads_a_stream_from_further_on_keeps_the_next_entry_from_nobody() -> None:
    async with waiting_service() as (harness, _):
        (later, one), (reader, other), (_, adds) = harness.plug(), harness.plug(), harness.plug()
        one.data_received(pack("XREAD BLOCK 0 STREAMS s 9-0"))
        await harness.settle()
        other.data_received(pack("XREAD BLOCK 0 STREAMS s $"))
        await harness.settle()
        adds.data_received(pack("XADD s 2-1 f new"))
        await harness.settle()
        assert reader.got.startswith(b"*1\r\n")
        assert later.got == b""


@pytest.mark.parametrize("line", ["FLUSHALL", "DEL s", "SET s 1", "XGROUP DESTROY s g"])
@in_loop
async def test_a_consumer_whose_group_is_gone_waits_no_longer(line: str) -> None:
    async with waiting_service() as (harness, _):
        changer, changes = harness.plug()
        changes.data_received(pack("XADD s 1-1 f old;XGROUP CREATE s g $"))
        consumer, reads = harness.plug()
        reads.data_received(pack("XREADGROUP GROUP g me BLOCK 0 STREAMS s >"))
        await harness.settle()
        assert consumer.got == b""
        changes.data_received(pack(line))
        await harness.settle()
        assert consumer.got.startswith(b"-WRONGTYPE" if line == "SET s 1" else b"-NOGROUP")
        assert not changer.got.endswith(b"-")


@in_loop
async def test_a_client_that_goes_away_is_passed_over() -> None:
    async with waiting_service() as (harness, _):
        (gone, one), (transport, other), (_, pushes) = harness.plug(), harness.plug(), harness.plug()
        for connection in (one, other):
            connection.data_received(pack("BLPOP q 0"))
        await harness.settle()
        gone.abort()
        await harness.settle()
        assert harness.server.room.held == 0
        pushes.data_received(pack("RPUSH q a"))
        await harness.settle()
        assert transport.got == pack("q a")


@in_loop
async def test_what_waits_for_many_keys_counts_for_what_it_takes() -> None:
    async with waiting_service() as (harness, _):
        gone, connection = harness.plug()
        connection.data_received(pack("BLPOP " + " ".join(f"q{number}" for number in range(1_000)) + " 0"))
        await harness.settle()
        assert 300_000 < harness.server.room.held < 400_000
        gone.abort()
        await harness.settle()
        assert harness.server.room.held == 0


@pytest.mark.parametrize("behind", ["", ";PING", f";ECHO {'x' * 3000};PING" * 15])
@pytest.mark.parametrize("when", ["while it waits", "with its command"])
@in_loop
async def test_a_client_that_closes_its_socket_is_passed_over(when: str, behind: str) -> None:
    async with waiting_service() as (harness, _):
        gone, other = await harness.connect(), await harness.connect()
        gone.writer.write(pack("ECHO first;BLPOP q 0" + behind))
        if when == "while it waits":
            assert await gone.reader.readexactly(11) == b"$5\r\nfirst\r\n"
            while not harness.server.waiting.places:  # noqa: ASYNC110  the server has no event for it
                await asyncio.sleep(0)
            await harness.settle()
        gone.writer.close()
        async with asyncio.timeout(10):
            while harness.server.statistics().connections > 1:  # noqa: ASYNC110
                await asyncio.sleep(0)
        await harness.settle()
        assert not harness.server.waiting.places
        await other.exchange("RPUSH q a", b":1\r\n")
        await other.exchange("LLEN q", b":1\r\n")


@in_loop
async def test_a_client_that_only_sends_no_more_is_given_what_is_there() -> None:
    async with waiting_service() as (harness, _):
        client, waits = await harness.connect(), await harness.connect()
        await client.exchange("RPUSH q a", b":1\r\n")
        client.send("BLPOP q 0")
        client.writer.write_eof()
        await client.expect_end(pack("q a"))
        waits.send("BLPOP q 0")
        waits.writer.write_eof()
        await waits.expect_end(b"")


async def a_try(harness: Harness, store: FeedStore, one: Connection, other: Connection, command: str, push: str) -> Request:
    """What a waiting command submits when it is woken by a push, held by the store."""
    one.data_received(pack(command))
    await harness.settle()
    store.holding = True
    other.data_received(pack(push))
    await harness.settle()
    store.release(*store.held)  # it wakes who waits
    (retry,) = store.held
    return retry


@pytest.mark.parametrize("how", ["killed", "its socket closes", "its reply waits"])
@in_loop
async def test_what_is_decided_before_the_loss_of_its_client_is_told_is_given_back(how: str) -> None:
    async with waiting_service() as (harness, store):
        (gone, one), (transport, other) = harness.plug(), harness.plug()
        retry = await a_try(harness, store, one, other, "BLPOP q 0", "RPUSH q a")
        view = store.view(retry.entity)
        view.read_only = False
        reply = retry.evaluate(view)
        assert isinstance(reply, bytes)
        store.held.clear()
        store.holding = False
        if how == "killed":
            other.data_received(pack(f"CLIENT KILL ID {one.session.id}"))
        elif how == "its socket closes":
            gone.ended = "broken"  # the transport knows, and tells the connection in a later pass of the loop
        retry.settle(reply, None)
        one.connection_lost(None)  # before the pass of the loop that writes the reply
        await harness.settle()
        transport.written.clear()
        other.data_received(pack("LRANGE q 0 -1"))
        await harness.settle()
        assert transport.got == pack("a")
        assert harness.server.takings.given_back == 1


@in_loop
async def test_who_is_told_that_nobody_knows_loses_nothing() -> None:
    async with waiting_service() as (harness, store):
        (transport, one), (_, other) = harness.plug(), harness.plug()
        retry = await a_try(harness, store, one, other, "BLPOP q 0", "RPUSH q a")
        assert len(retry.uuid) == 16
        store.fail(retry, OutcomeUnknown("as asked"))
        await harness.settle()
        assert transport.got.startswith(b"-UNKNOWN")
        (asks,) = store.held
        assert (asks.uuid, asks.entity) == (retry.uuid, retry.entity)
        store.release(asks)
        store.release(*store.held)
        store.holding = False
        transport.written.clear()
        one.data_received(pack("LRANGE q 0 -1"))
        await harness.settle()
        assert transport.got == pack("a")
        assert harness.server.takings.given_back == 1


@pytest.mark.parametrize("when", ["before it is run", "after it is run"])
@in_loop
async def test_a_client_that_goes_away_while_it_is_served_loses_nothing(when: str) -> None:
    async with waiting_service() as (harness, store):
        (gone, one), (transport, other), (_, pushes) = harness.plug(), harness.plug(), harness.plug()
        for connection in (one, other):
            connection.data_received(pack("BRPOP q 0"))
        await harness.settle()
        pushes.data_received(pack("RPUSH l x"))
        await harness.settle()
        store.holding = True
        pushes.data_received(pack("RPUSH q a"))
        await harness.settle()
        (push,) = store.held
        store.release(push)  # it wakes the first
        (retry,) = store.held
        if when == "before it is run":
            gone.abort()
            await harness.settle()
            store.holding = False
            store.release(retry)
        else:
            view = store.view(retry.entity)
            view.read_only = False
            reply = retry.evaluate(view)  # it is decided, and the outcome is on its way
            assert reply == pack("q a")
            gone.abort()
            await harness.settle()
            store.holding = False
            store.held.clear()
            retry.settle(reply or b"", None)
        await harness.settle()
        assert transport.got == pack("q a")
        assert harness.server.takings.given_back == (when == "after it is run")
        assert harness.server.takings.lost_back == 0
        assert harness.server.room.held == 0


@pytest.mark.parametrize(
    ("command", "push", "look", "found"),
    [
        ("BLPOP p q 0", "RPUSH q 1 2 3 4", "LRANGE q 0 -1", "1 2 3 4"),
        ("BRPOP p q 0", "RPUSH q 1 2 3 4", "LRANGE q 0 -1", "1 2 3 4"),
        ("BLMPOP 0 2 p q LEFT COUNT 3", "RPUSH q 1 2 3 4", "LRANGE q 0 -1", "1 2 3 4"),
        ("BLMPOP 0 2 p q RIGHT COUNT 3", "RPUSH q 1 2 3 4", "LRANGE q 0 -1", "1 2 3 4"),
        ("BLMPOP 0 1 q right", "RPUSH q 1 2 3 4", "LRANGE q 0 -1", "1 2 3 4"),
        ("BZPOPMIN p q 0", "ZADD q 1 a 1 b 2.5 c", "ZRANGE q 0 -1 WITHSCORES", "a 1 b 1 c 2.5"),
        ("BZPOPMAX p q 0", "ZADD q 1 a 1 b 2.5 c", "ZRANGE q 0 -1 WITHSCORES", "a 1 b 1 c 2.5"),
        ("BZMPOP 0 1 q MAX COUNT 2", "ZADD q 1 a 1 b 2.5 c", "ZRANGE q 0 -1 WITHSCORES", "a 1 b 1 c 2.5"),
        ("BLMOVE q r LEFT RIGHT 0", "RPUSH q 1 2 3 4", "SORT q BY nosort", "2 3 4"),
        ("BLMOVE q r LEFT RIGHT 0", "RPUSH q 1 2 3 4", "LRANGE r 0 -1", "x y 1"),
        ("BLMOVE q r RIGHT LEFT 0", "RPUSH q 1 2 3 4", "LRANGE r 0 -1", "4 x y"),
        ("BRPOPLPUSH q r 0", "RPUSH q 1 2 3 4", "LRANGE r 0 -1", "4 x y"),
        ("BLMOVE q q LEFT RIGHT 0", "RPUSH q 1 2 3 4", "LRANGE q 0 -1", "2 3 4 1"),
    ],
)
@in_loop
async def test_what_was_taken_for_who_has_gone_is_at_its_end_again(command: str, push: str, look: str, found: str) -> None:
    async with waiting_service() as (harness, store):
        (gone, one), (transport, other) = harness.plug(), harness.plug()
        other.data_received(pack("RPUSH r x y"))
        retry = await a_try(harness, store, one, other, command, push)
        view = store.view(retry.entity)
        view.read_only = False
        reply = retry.evaluate(view)  # it is decided, and the outcome is on its way
        assert isinstance(reply, bytes)
        gone.abort()
        await harness.settle()
        store.holding = False
        store.held.clear()
        retry.settle(reply, None)
        await harness.settle()
        transport.written.clear()
        other.data_received(pack(look))
        await harness.settle()
        assert transport.got == pack(found)
        assert harness.server.takings.given_back == (not command.startswith(("BLMOVE", "BRPOPLPUSH")))
        assert harness.server.takings.lost_back == 0


@in_loop
async def test_what_is_given_back_is_tried_again_and_its_loss_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    from paxosstore.services.redis.waiting import giveback

    monkeypatch.setattr(giveback, "PAUSE_S", 0.001)
    async with waiting_service() as (harness, store):
        store.holding = True
        harness.server.takings.give_back(REDIS_BASE, [b"BLPOP", b"q", b"0"], pack("q a"), b"")
        store.fail(store.held[0], NoQuorum("as asked"))
        async with asyncio.timeout(10):
            while not store.held:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        store.release(store.held[0])
        assert harness.server.takings.given_back == 1
        for _ in range(giveback.TRIES):
            if not store.held:
                harness.server.takings.give_back(REDIS_BASE, [b"BLPOP", b"q", b"0"], pack("q a"), b"")
        async with asyncio.timeout(10):
            while not harness.server.takings.lost_back:
                for request in list(store.held):
                    store.fail(request, NoQuorum("as asked"))
                await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("command", "reply", "back"),
    [
        ("BLPOP q r 0", pack("q a"), "LPUSH q a"),
        ("brpop q 0", pack("q a"), "RPUSH q a"),
        ("BLMPOP 0 1 q LEFT COUNT 3", b"*2\r\n$1\r\nq\r\n" + pack("a b"), "LPUSH q b a"),
        ("BLMPOP 0 2 left q RIGHT COUNT 3", b"*2\r\n$1\r\nq\r\n" + pack("a b"), "RPUSH q b a"),
        ("BZPOPMIN z 0", pack("z m 1.5"), "ZADD z 1.5 m"),
        ("BZPOPMAX z 0", b"*3\r\n$1\r\nz\r\n$1\r\nm\r\n,1.5\r\n", "ZADD z 1.5 m"),
        ("BZMPOP 0 1 z MIN", b"*2\r\n$1\r\nz\r\n*2\r\n" + pack("a 1") + pack("b 2"), "ZADD z 1 a 2 b"),
        ("BLMOVE q r LEFT LEFT 0", b"$1\r\na\r\n", ""),
        ("BLPOP q 0", b"-WRONGTYPE no\r\n", ""),
        ("XREADGROUP GROUP g c STREAMS s >", b"*1\r\n*2\r\n$1\r\ns\r\n*0\r\n", ""),
    ],
)
def test_what_was_taken_goes_back_where_it_was(command: str, reply: bytes, back: str) -> None:
    assert undo([word.encode() for word in command.split()], reply) == ([word.encode() for word in back.split()] or None)
    assert served_from(reply) == (back.split()[1].encode() if back else b"")


@in_loop
async def test_whoever_waits_is_sent_away_when_the_service_drains() -> None:
    async with waiting_service() as (harness, store):
        transport, connection = harness.plug()
        connection.data_received(pack("BLPOP q 0"))
        await harness.settle()
        await harness.server.drain(10)
        assert transport.ended == "aborted"
        assert transport.got == b""
        assert not store.feed


@in_loop
async def test_whoever_waits_at_a_node_that_is_cut_off_is_sent_away() -> None:
    async with waiting_service() as (harness, store):
        (one, first), (other, second) = harness.plug(), harness.plug()
        for connection in (first, second):
            connection.data_received(pack("BLPOP q 0"))
        await harness.settle()
        harness.server.waiting.probe()
        await harness.settle()
        assert store.writes == 0
        assert not one.ended
        store.holding = True
        harness.server.waiting.probe()
        (look,) = store.held
        store.fail(look, NoQuorum("as asked"))
        await harness.settle()
        assert one.ended == other.ended == "aborted"
        assert one.got == other.got == b""
        assert len(harness.server.waiting) == 0


@in_loop
async def test_inside_a_transaction_nobody_waits() -> None:
    async with waiting_service() as (harness, _):
        transport, connection = harness.plug()
        connection.data_received(pack("MULTI;BLPOP q 0;BLMOVE q r LEFT LEFT 0;EXEC"))
        await harness.settle()
        assert transport.got.endswith(b"*2\r\n*-1\r\n$-1\r\n")


@in_loop
async def test_a_refusal_by_the_store_ends_the_wait() -> None:
    async with waiting_service() as (harness, store):
        (transport, connection), (other, behind) = harness.plug(), harness.plug()
        store.holding = True
        connection.data_received(pack("BLPOP q 0"))
        behind.data_received(pack("BLPOP q 0"))
        await harness.settle()
        assert len(store.held) == 1
        store.fail(store.held[0], NoQuorum("as asked"))
        await harness.settle()
        assert transport.got.startswith(b"-NOQUORUM")
        assert len(store.held) == 1, "what the first did not find out, the second does"
        store.holding = False
        store.release(store.held[0])
        await harness.settle()
        assert other.got == b""


DIALOGUE = """
a BLPOP q 0 / b BLPOP q r 0 / c RPUSH q 1 / c RPUSH r 2 / a PING / a BRPOP q r 0 / c RPUSH r 1 2 3 / c LRANGE r 0 -1
a BLMOVE r s LEFT RIGHT 0 / a BLMOVE none s LEFT RIGHT 0 / c LPUSH none x / c LRANGE s 0 -1 / a BRPOPLPUSH none none 0
c RPUSH none y / a BLMPOP 0 2 q none LEFT COUNT 5 / a BLMPOP 0 2 q none LEFT COUNT 5 / c RPUSH none 1 2 3
c SET str x / a BLPOP str 0 / a BLPOP other 0 / c SET other x / c DEL other / c RPUSH other y / a BLPOP q 0.1
a BLPOP q -1 / a BLPOP q x / a BLMOVE q r X LEFT 0 / a BLPOP q / a BLMPOP x 1 q LEFT / a BLMPOP 0 0 q LEFT
a BRPOPLPUSH q str 0 / c RPUSH q v / c DEL q / a HELLO 3 / a BLPOP q 0.05 / a BLMOVE q r LEFT LEFT 0.05 / a BLPOP q 0
c RPUSH q v / a BLPOP q 0;GET k;PING / c RPUSH q w / c EXISTS q / a BLPOP q 0 / c MULTI;RPUSH q 1;DEL q;RPUSH q 2;EXEC
a BLPOP x 0 / c RPUSH y 1;LMOVE y x LEFT LEFT / a BLPOP q 0 / b BLPOP q 0 / c MULTI;RPUSH q 1;RPUSH q 2;EXEC / a BLPOP q 0
b BLMOVE q2 q LEFT LEFT 0 / c RPUSH q2 z / a MULTI;BLPOP q 0;EXEC
"""


class Clients:
    """Three clients, and what they have got so far."""

    def __init__(self, port: int) -> None:
        self.sockets = {name: socket.create_connection(("127.0.0.1", port), timeout=10) for name in "abc"}
        self.got = dict.fromkeys("abc", b"")

    def say(self, line: str) -> None:
        who, _, commands = line.partition(" ")
        self.sockets[who].sendall(pack(commands))

    def hear(self) -> dict[str, bytes]:
        """All that any of them has got so far, a moment later."""
        heard, _, _ = select.select(list(self.sockets.values()), [], [], 0.01)
        for who, one in self.sockets.items():
            if one in heard:
                self.got[who] += one.recv(65_536)
        return self.got

    def close(self) -> None:
        for one in self.sockets.values():
            one.close()


def agree(ours: Clients, theirs: Clients) -> bool:
    """Whether they get the same in the end, and nothing more."""
    quiet = 0
    deadline = time.monotonic() + 5.0
    while quiet < 5 and time.monotonic() < deadline:
        quiet = quiet + 1 if ours.hear() == theirs.hear() else 0
    return ours.got == theirs.got


@pytest.mark.skipif(REDIS is None, reason="redis-server is not installed on this machine")
def test_the_same_bytes_as_redis(redis_port: int) -> None:  # noqa: F811
    async def story() -> None:
        async with waiting_service() as (harness, _):
            await asyncio.to_thread(talk, harness.server.port)

    def talk(port: int) -> None:
        ours, theirs = Clients(port), Clients(redis_port)
        for line in (line.strip() for line in DIALOGUE.replace("\n", "/").split("/")):
            if not line:
                continue
            before = len(ours.got["a"])
            ours.say(line)
            theirs.say(line)
            if line == "a HELLO 3":  # it says who the server is
                while not ours.got["a"].endswith(b"*0\r\n") or not theirs.got["a"].endswith(b"*0\r\n"):
                    ours.hear()
                    theirs.hear()
                theirs.got["a"] = ours.got["a"] = ours.got["a"][:before]
            assert agree(ours, theirs), (line, ours.got, theirs.got)
        ours.close()
        theirs.close()

    asyncio.run(story())


def test_a_push_at_one_node_serves_who_waits_at_another(tmp_path: Path) -> None:
    async def story() -> None:
        addresses = free_addresses(3)
        nodes = [
            Node(ClusterSettings("test"), me, addresses, tmp_path / str(me), handlers={HANDLER: handle}, min_free_bytes=1)
            for me in range(3)
        ]
        await asyncio.gather(*(node.start() for node in nodes))
        await asyncio.gather(*(node.ready(timeout_ms=20_000) for node in nodes))
        servers = [RedisServer(node.submit, RedisSettings(port=0), feed=node.feed) for node in nodes]
        for node, server in zip(nodes, servers, strict=True):
            node.on_told.append(server.flush)
            await server.start()
        talks = [await asyncio.open_connection("127.0.0.1", server.port) for server in servers for _ in range(10)]
        pusher = await asyncio.open_connection("127.0.0.1", servers[1].port)
        for _, writer in talks:
            writer.write(pack("BLPOP q 20"))
        async with asyncio.timeout(20):
            while sum(len(server.waiting) for server in servers) < 30:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            for number in range(30):
                pusher[1].write(pack(f"RPUSH q {number:02}"))
                if number % 5 == 0:
                    await asyncio.sleep(0.02)
            replies = [await reader.readexactly(len(pack("q 00"))) for reader, _ in talks]
        assert sorted(replies) == [pack(f"q {number:02}") for number in range(30)]
        for _, writer in (*talks, pusher):
            writer.close()
        for server in servers:
            await server.stop()
        await asyncio.gather(*(node.stop() for node in nodes))

    asyncio.run(story())


@in_loop
async def test_it_waits_with_the_words_that_its_first_try_has_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """XREAD's `$`: the end of the stream when it was asked, not when it is woken."""

    def run(view: View, args: list[bytes], proto: int) -> bytes:
        members = view.get(row_key(args[5])) or b""
        after = len(members) if args[6] == b"$" else int(args[6])
        return bulk(members[after:]) if members[after:] else nil_array(proto)

    def resumed(view: View, args: list[bytes]) -> list[bytes]:
        return [*args[:6], b"%d" % len(view.get(row_key(args[5])) or b"")] if args[6] == b"$" else args

    def add(view: View, args: list[bytes], proto: int) -> bytes:
        old = view.get(row_key(args[1])) or bytes((STREAM,)) + bytes(40)
        view.put(row_key(args[1]), old + args[2])
        return OK

    flags = ("readonly", "blocking")
    xread = Spec("tail", 7, "stream", "", flags, run, find_keys=lambda args: args[5:6], resumed=resumed)
    for spec in (xread, Spec("extend", 3, "stream", "", ("write",), add, (1, 1, 1))):
        monkeypatch.setitem(session_table.TABLE, spec.name.encode(), spec)
    async with waiting_service() as (harness, store):
        transport, connection = harness.plug()
        _, other = harness.plug()
        other.data_received(pack("extend s a"))
        connection.data_received(pack("tail x BLOCK 0 STREAMS s $"))
        await harness.settle()
        assert transport.got == b""
        assert len(harness.server.waiting) == 1
        other.data_received(pack("extend s b"))
        await harness.settle()
        assert transport.got == b"$1\r\nb\r\n"
        assert store.writes == 2


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"*-1\r\n", []),
        (b"$-1\r\n", []),
        (b"_\r\n", []),
        (b"_\r\n\x91\xc4\x01x", [b"x"]),
        (b"*0\r\n", None),
        (b"$1\r\nb\r\n", None),
        (b"", None),
    ],
)
def test_what_an_attempt_replies_where_there_is_nothing(reply: bytes, words: list[bytes] | None) -> None:
    assert found_nothing(reply) == words


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("BLPOP a 0", 0),
        ("BLPOP a 0.5", 0.5),
        ("BLPOP a 0x10", 16),
        ("BLPOP a 0x1p-2", 0.25),
        ("BLPOP a -0.0001", 0),  # rounded up to whole milliseconds, as Redis does
        ("BLPOP a 1e10", MAX_SECONDS),
        ("BLPOP a -1", None),
        ("BLPOP a 1_0", None),
        ("BLPOP a nan", None),
        ("BLPOP a inf", None),
        ("BLPOP a 1e18", None),
        ("BLMPOP 0x2 1 a LEFT", 2),
        ("BLMPOP 2 0 a LEFT", None),
        ("XREAD BLOCK 500 STREAMS a $", 0.5),
        ("XREAD BLOCK 9999999999999 STREAMS a $", MAX_SECONDS),
        ("XREAD BLOCK -1 STREAMS a $", None),
        ("XREAD BLOCK 0x1 STREAMS a $", None),
        ("XREAD STREAMS a $", None),
    ],
)
def test_how_long_a_command_may_wait(line: str, seconds: float | None) -> None:
    words = line.encode().split()
    assert wait_seconds(DATA_TABLE[words[0]], words) == seconds


@in_loop
async def test_what_waits_for_nothing_is_told_so_in_the_end() -> None:
    async with waiting_service() as (harness, _):
        transport, connection = harness.plug()
        connection.data_received(pack("BRPOPLPUSH none d 0x0.4;PING"))
        await harness.settle()
        assert transport.got == b""
        async with asyncio.timeout(10):
            while not transport.got.endswith(b"+PONG\r\n"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert transport.got == b"*-1\r\n+PONG\r\n"
