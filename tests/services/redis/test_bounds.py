"""What one client may take of a node's memory and time, counted in bytes and passes of the loop: no sockets, no clocks."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxosstore.errors import ConfigError, NoQuorum
from paxosstore.services.redis import server as server_module
from paxosstore.services.redis.connection.connection import READ_AHEAD_BYTES, SLICE_BYTES, Connection
from paxosstore.services.redis.connection.order import CROWDED_BYTES, MAX_QUEUED_READS, MAX_UNDER_WAY_BYTES, QUEUED_READS
from paxosstore.services.redis.connection.requests import PARTS_AT_ONCE, Command
from paxosstore.services.redis.server import STUCK_S, WORK_PER_PASS
from paxosstore.services.redis.settings import RedisSettings

from .support import FakeTransport, Harness, MemoryStore, in_loop, pack, serving

MB = 1_000_000
PIECE = 65_536


async def send(harness: Harness, transport: FakeTransport, connection: Connection, data: bytes) -> int:
    """What the client can send: it stops when the node reads no more. Returns what was taken."""
    at = 0
    while at < len(data) and not transport.ended:
        if transport.paused:
            await harness.settle()
            if transport.paused:
                break
        connection.data_received(data[at : at + PIECE])
        at += PIECE
        await asyncio.sleep(0)
    await harness.settle()
    return min(at, len(data))


async def read_all(harness: Harness, transport: FakeTransport, size: int) -> bytes:
    """Read as long as something comes."""
    while sum(map(len, transport.written)) < size:
        await harness.settle()
        if not transport.buffered:
            break
        transport.take(MB)
    return transport.got


# -- replies that nobody reads


@in_loop
async def test_large_replies_are_not_made_for_a_client_that_has_not_read_the_last_ones() -> None:
    async with serving() as harness:
        store = harness.store
        value = bytes(MB)
        transport, connection = harness.plug(reads=False)
        connection.data_received(pack(b"SET", b"big", value))
        await harness.settle()
        transport.take()
        one = b"$1000000\r\n%b\r\n" % value
        store.batching = True  # as in a node: all that has arrived is evaluated together
        await send(harness, transport, connection, pack(b"GET", b"big") * 200)
        await harness.passes(50)
        assert transport.most_buffered <= CROWDED_BYTES + len(one)
        assert harness.server.room.held <= CROWDED_BYTES + len(one) + PIECE
        assert store.evaluated <= 20
        await read_all(harness, transport, 200 * len(one))
        assert transport.got.count(one[:10]) == 200
        assert transport.got == b"+OK\r\n" + one * 200
        assert transport.most_buffered <= 2 * (CROWDED_BYTES + len(one))
        assert store.put_off < 400, "reads are not started again and again in vain"
        transport.take()
        assert connection.weigh() == harness.server.room.held == 0


@in_loop
async def test_a_client_may_send_many_small_commands_before_it_reads() -> None:
    async with serving() as harness:
        transport, connection = harness.plug(reads=False)
        connection.data_received(b"SET k v\r\n")
        commands = pack(b"GET", b"k") * 300_000
        assert await send(harness, transport, connection, commands) == len(commands)
        assert not transport.ended
        assert transport.most_buffered <= CROWDED_BYTES + 100_000
        await read_all(harness, transport, 5 + 7 * 300_000)
        assert transport.got == b"+OK\r\n" + b"$1\r\nv\r\n" * 300_000


@pytest.mark.parametrize("command", [pack(b"PING", b"x" * 4_000), pack(b"GET", b"k"), pack(b"SET", b"k", b"x" * 1_000)])
@in_loop
async def test_a_client_that_never_reads_is_closed_at_its_limit(command: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(max_unread_bytes=2 * MB) as harness:
        transport, connection = harness.plug(reads=False)
        taken = 0
        with caplog.at_level(logging.WARNING):
            while not transport.ended:
                taken += await send(harness, transport, connection, command * (MB // len(command)))
                assert connection.held <= 2 * MB + CROWDED_BYTES
                assert taken < 1_000 * MB
        assert transport.ended == "aborted"
        await harness.settle()
        assert (harness.server.statistics().closed_unread, harness.server.room.held) == (1, 0)
        assert "redis.max_unread_bytes" in caplog.text


@in_loop
async def test_replies_of_reads_among_writes_are_bounded_too() -> None:
    async with serving() as harness:
        store = harness.store
        transport, connection = harness.plug(reads=False)
        connection.data_received(pack(b"SET", b"big", bytes(MB)))
        await harness.settle()
        store.holding = True
        connection.data_received(b"SET other v\r\n" + b"GET big\r\n" * 1_000)
        await harness.settle()
        assert len(store.held) == 1 + QUEUED_READS
        while store.held:
            store.release(store.held[0])
        await harness.settle()
        assert transport.most_buffered <= (QUEUED_READS + 2) * (MB + 20)
        assert not transport.ended


@in_loop
async def test_as_many_small_reads_as_ever_follow_writes_and_fewer_when_they_are_large() -> None:
    async with serving() as harness:
        store = harness.store
        transport, connection = harness.plug()
        connection.data_received(pack(b"SET", b"big", bytes(MB)))
        await harness.settle()
        store.holding = True
        connection.data_received(b"SET k v\r\nGET k\r\n" * 1_000)
        most = 0
        while store.held:
            most = max(most, sum([request.queued_read for request in store.held if isinstance(request, Command)]))
            for request in list(store.held):
                store.release(request)
            await harness.passes(2)
        assert most == MAX_QUEUED_READS
        assert transport.got == b"+OK\r\n" + b"+OK\r\n$1\r\nv\r\n" * 1_000
        connection.data_received(b"SET k v\r\nGET big\r\n" * 100)
        found = []
        while store.held:
            found.append(sum([request.queued_read for request in store.held if isinstance(request, Command)]))
            for request in list(store.held):
                store.release(request)
            await harness.passes(2)
        assert found[0] == MAX_QUEUED_READS
        assert max(found[1:]) == 1


@in_loop
async def test_a_write_that_answers_with_what_is_there_is_refused_where_too_much_is_unread() -> None:
    async with serving(max_unread_bytes=3 * MB) as harness:
        store = harness.store
        transport, connection = harness.plug(reads=False)
        connection.data_received(pack(b"SET", b"big", bytes(MB)))
        await harness.settle()
        store.holding = True
        connection.data_received(b"SET big v NX GET\r\n" * 100)
        await harness.settle()
        assert len(store.held) == 100
        evaluated = 0
        while store.held:
            store.release(store.held[0])
            evaluated = max(evaluated, connection.held)
        assert evaluated <= 4 * MB + 100_000
        await harness.settle()
        assert transport.ended == "aborted"


@in_loop
async def test_local_replies_are_not_made_ahead_of_the_reader() -> None:
    async with serving() as harness:
        transport, connection = harness.plug(reads=False)
        await send(harness, transport, connection, b"COMMAND DOCS\r\n" * 10_000)
        assert transport.most_buffered <= CROWDED_BYTES + 100_000
        assert connection.held <= CROWDED_BYTES + 400_000


# -- commands that wait


@in_loop
async def test_what_the_store_has_not_done_holds_the_client_back_and_not_more_is_kept() -> None:
    async with serving() as harness:
        store = harness.store
        store.holding = True
        transport, connection = harness.plug()
        commands = pack(b"SET", b"k", b"x" * 100_000) * 1_000
        taken = await send(harness, transport, connection, commands)
        most = MAX_UNDER_WAY_BYTES + READ_AHEAD_BYTES + 4 * PIECE + 100_100
        assert MAX_UNDER_WAY_BYTES < taken <= most
        assert connection.held <= most
        assert harness.server.room.held == connection.held
        while store.held:
            store.release(store.held[0])
            await asyncio.sleep(0)
        assert not transport.paused
        store.holding = False
        assert await send(harness, transport, connection, commands[taken:]) == len(commands) - taken
        assert transport.got == b"+OK\r\n" * 1_000
        assert harness.server.room.held == 0


@in_loop
async def test_half_a_request_counts_and_the_largest_goes_first_when_there_is_no_room(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(max_clients_bytes=40 * MB) as harness:
        half = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8000000\r\n"
        clients = [harness.plug() for _ in range(8)]
        for transport, connection in clients:
            await send(harness, transport, connection, half)
        with caplog.at_level(logging.WARNING):
            for number, (transport, connection) in enumerate(clients):
                await send(harness, transport, connection, bytes(7 * MB - number))
        assert [transport.ended for transport, _ in clients].count("aborted") == 3
        assert all(transport.ended for transport, _ in clients[:3])
        assert harness.server.room.held <= 40 * MB
        assert harness.server.statistics().closed_memory == 3
        assert "redis.max_clients_bytes" in caplog.text
        # small commands of others go on, large ones are refused by their header
        transport, connection = harness.plug()
        await send(harness, transport, connection, pack(b"SET", b"k", bytes(100_000)) + pack(b"SET", b"k", b"v"))
        assert transport.got.startswith(b"-OVERLOADED the clients of this node hold ")
        assert transport.got.endswith(b"\r\n+OK\r\n")
        for other, _ in clients:
            other.abort()
        await harness.settle()
        assert harness.server.room.held == 0


@in_loop
async def test_large_reads_of_many_clients_wait_for_room_and_all_end() -> None:
    async with serving(max_clients_bytes=40 * MB) as harness:
        store = harness.store
        first, connection = harness.plug()
        await send(harness, first, connection, pack(b"SET", b"big", bytes(MB)))
        store.batching = True
        clients = [harness.plug(reads=False) for _ in range(100)]
        for _, connection in clients:
            connection.data_received(b"GET big\r\n")
        await harness.passes(3)
        small, connection = harness.plug()
        connection.data_received(b"GET nothing\r\n")
        await harness.passes(3)
        assert small.got == b"$-1\r\n", "small ones do not wait"
        assert 20 * MB <= harness.server.room.held <= 22 * MB
        for _ in range(20):
            for transport, _ in clients:
                if transport.buffered:
                    transport.take()
            await harness.passes(5)
        assert all(len(transport.got) == MB + 12 for transport, _ in clients)
        assert harness.server.room.held == 0
        assert harness.server.statistics().closed_memory == 0


@in_loop
async def test_who_is_stuck_is_closed_only_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(max_clients_bytes=40 * MB) as harness:
        server, now_s = harness.server, 0.0
        monkeypatch.setattr(server, "seconds", lambda: now_s)
        half = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8000000\r\n" + bytes(7 * MB)
        clients = [harness.plug() for _ in range(2)]
        for transport, connection in clients:
            await send(harness, transport, connection, half)
        now_s = STUCK_S + 1
        server._look_at_clients()
        assert not any(transport.ended for transport, _ in clients)
        clients.append(harness.plug())
        await send(harness, *clients[-1], half)
        server._look_at_clients()
        assert [transport.ended for transport, _ in clients] == ["aborted", "aborted", ""]


@in_loop
async def test_who_sends_nothing_for_too_long_is_closed_unless_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(idle_timeout_s=60) as harness:
        server, now_s = harness.server, 0.0
        monkeypatch.setattr(server, "seconds", lambda: now_s)
        harness.store.holding = True
        clients = [harness.plug() for _ in range(3)]
        clients[0][1].data_received(b"GET k\r\n")
        now_s = 30
        clients[1][1].data_received(b"PING\r\n")
        now_s = 60
        server._look_at_clients()
        assert [transport.ended for transport, _ in clients] == ["", "", "aborted"]
        assert server.statistics().closed_idle == 1


# -- time


@in_loop
async def test_a_pass_of_the_loop_starts_no_more_than_its_share() -> None:
    async with serving() as harness:
        clients = [harness.plug() for _ in range(6)]
        for _, connection in clients:
            connection.data_received(b"PING\r\n" * 20_000)
        assert harness.server.commands == 0
        passes = 0
        while any(len(transport.got) < 7 * 20_000 for transport, _ in clients):
            before = harness.server.commands
            await asyncio.sleep(0)
            passes += 1
            assert harness.server.commands - before <= WORK_PER_PASS + 16_384 // 6 + 1
            if passes == 12:
                assert all(transport.got for transport, _ in clients), "nobody waits for the others to end"
        assert all(transport.got == b"+PONG\r\n" * 20_000 for transport, _ in clients)


@in_loop
async def test_a_pass_of_the_loop_parses_no_more_than_its_share() -> None:
    async with serving() as harness:
        transport, connection = harness.plug()
        stream = pack(*[b"x"] * 400_000)
        connection.data_received(stream)
        passes = 0
        while not transport.got:
            before = connection._unparsed_bytes
            await asyncio.sleep(0)
            passes += 1
            assert before - connection._unparsed_bytes <= 64 * WORK_PER_PASS + SLICE_BYTES
        assert passes >= len(stream) // (64 * WORK_PER_PASS)
        assert transport.got.startswith(b"-TOOLARGE a request of 400000 arguments: at most 8000 keys are possible")


@in_loop
async def test_a_command_on_many_entities_is_under_way_at_few_of_them_at_a_time() -> None:
    async with serving(keyspace="slots:65536") as harness:
        store = harness.store
        store.holding = True
        transport, connection = harness.plug()
        connection.data_received(b"FLUSHDB\r\nSET k v\r\n")
        await harness.settle()
        assert len(store.submitted) == PARTS_AT_ONCE
        for _ in range(70_000):
            if not store.held:
                break
            while store.held:
                store.release(store.held[0])
            await asyncio.sleep(0)
        assert [request.entity for request in store.submitted[:-1]] == sorted({r.entity for r in store.submitted})
        assert len(store.submitted) == 65_536 + 1
        assert transport.got == b"+OK\r\n+OK\r\n"


@in_loop
async def test_a_command_on_many_entities_ends_where_it_fails() -> None:
    async with serving(keyspace="slots:65536") as harness:
        store = harness.store
        store.holding = True
        transport, connection = harness.plug()
        connection.data_received(b"FLUSHDB\r\n")
        await harness.settle()
        store.release(store.held[0])
        for request in list(store.held):
            store.fail(request, NoQuorum("alone"))
        await harness.settle()
        assert len(store.submitted) == PARTS_AT_ONCE
        text = b"-UNKNOWN outcome unknown: done in 1 of 65536 entities, not in 65535, unknown in 0: NOQUORUM alone\r\n"
        assert transport.got == text


@in_loop
async def test_a_command_on_many_entities_is_finished_though_its_client_has_gone() -> None:
    async with serving(keyspace="slots:1000") as harness:
        store = harness.store
        store.holding = True
        transport, connection = harness.plug()
        connection.data_received(b"FLUSHDB\r\n")
        await harness.settle()
        transport.abort()
        await harness.settle()
        while store.held:
            store.release(store.held[0])
            await asyncio.sleep(0)
        assert len(store.submitted) == 1_000


# -- all of it together


@given(st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_whatever_clients_do_what_is_held_is_counted_and_comes_to_nothing(seed: int) -> None:
    """Random clients, readers and not; at every moment the account is right, and in the end it is empty."""

    async def story() -> None:
        chance = random.Random(seed)
        store = MemoryStore()
        options: dict[str, Any] = {"max_clients_bytes": 4 * MB, "max_unread_bytes": MB, "max_request_bytes": 200_000}
        async with serving(store, max_pipelined=chance.choice([3, 1_024]), **options) as harness:
            clients = [harness.plug(reads=chance.random() < 0.4) for _ in range(12)]
            for _ in range(150):
                transport, connection = chance.choice(clients)
                store.holding = chance.random() < 0.3
                store.batching = not store.holding
                key = chance.choice([b"a", b"b"])
                size = chance.choice([1, 600, 70_000, 190_000, 300_000])
                words = chance.choice([(b"SET", key, bytes(size)), (b"GET", key), (b"GETSET", key, b"x" * size), (b"PING",)])
                data = pack(*words) * chance.choice([1, 1, 3, 50])
                cut = chance.choice([len(data), len(data), len(data) // 2])
                if not transport.ended and not transport.paused:
                    for at in range(0, cut, PIECE):
                        connection.data_received(data[at : min(cut, at + PIECE)])
                        if transport.ended or transport.paused:
                            break
                    if cut < len(data):
                        transport.close()  # what follows would make no sense
                if chance.random() < 0.5:
                    transport.take(chance.choice([100, 100_000, 2**60]))
                for request in list(store.held)[: chance.choice([0, 1, 100])]:
                    store.release(request)
                await harness.passes(chance.choice([0, 1, 3]))
                assert harness.server.room.held == sum([c._share.held for _, c in clients])
                for other, theirs in clients:
                    if not other.ended:
                        assert theirs.held <= 2 * MB + MAX_UNDER_WAY_BYTES
            for transport, _ in clients:
                transport.reads = True
                transport.take()
            for _ in range(50):
                while store.held:
                    store.release(store.held[0])
                await harness.passes(2)
            for transport, connection in clients:
                transport.take()
                transport.abort()
                assert not connection.held or transport.ended
            await harness.settle()
            assert harness.server.room.held == 0
            assert not store.held

    asyncio.run(story())


LARGE_SCRIPT = st.lists(
    st.tuples(st.sampled_from([b"GET", b"GET", b"GET", b"GET", b"GET", b"MGET", b"SET", b"DBSIZE", b"PING"]), st.integers(0, 3)),
    min_size=30,
    max_size=60,
)


@given(LARGE_SCRIPT, st.integers(0, 2**32), st.sampled_from(["db", "slots:3"]))
@settings(max_examples=60, deadline=None)
def test_reads_that_are_put_off_keep_their_place(script: list[tuple[bytes, int]], seed: int, keyspace: str) -> None:
    """A pipeline of large reads and writes is answered like one command after the other, however slowly it is read."""

    def words(number: int, name: bytes, key: int) -> bytes:
        value = (b"%d" % number) * chance.choice([1, 200_000, 500_000])
        tail = {b"SET": [value], b"GETSET": [value], b"MGET": [b"{%d}k" % key] * 2}.get(name, [])
        return pack(name, *([] if name in (b"DBSIZE", b"PING") else [b"{%d}k" % key]), *tail)

    async def story(*, pipelined: bool) -> bytes:
        async with serving(keyspace=keyspace) as harness:
            pace = random.Random(seed)
            harness.store.batching = pipelined
            transport, connection = harness.plug(reads=not pipelined)
            if not pipelined:
                for command in commands:
                    connection.data_received(command)
                    await harness.passes(20)
                return transport.got
            stream, at = b"".join(commands), 0
            for _ in range(20_000):
                if at < len(stream) and not transport.paused:
                    connection.data_received(stream[at : at + PIECE])
                    at += PIECE
                await harness.passes(pace.choice([0, 1, 5]))
                transport.take(pace.choice([0, 1_000, MB]))
                assert transport.most_buffered <= 3 * MB + 2 * MB * QUEUED_READS
                if at >= len(stream) and not transport.buffered and not connection.waiting:
                    return transport.got
            raise AssertionError("it never ends")

    chance = random.Random(seed)
    commands = [words(number, name, key) for number, (name, key) in enumerate(script)]
    assert asyncio.run(story(pipelined=True)) == asyncio.run(story(pipelined=False))


@pytest.mark.parametrize(
    "wrong",
    [{name: 0} for name in ("max_keys", "max_unread_bytes", "max_clients_bytes")]
    + [{"tcp_keepalive_s": -1}, {"idle_timeout_s": 40_000}, {"max_clients_bytes": 1_000_000}],
)
def test_limits_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"redis {next(iter(wrong))}"):
        RedisSettings(**wrong)


def test_the_names_of_reasons_are_those_that_are_counted() -> None:
    assert {f"closed_{why}" for why in server_module.CLOSED_FOR} <= set(server_module.RedisStatistics.__slots__)
