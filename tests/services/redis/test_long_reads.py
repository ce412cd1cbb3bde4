"""Reads that are too long for the loop are done beside it: one at a time, on one moment, and told when that may be told."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from paxosstore import ClusterSettings, Node
from paxosstore.core.batch.overlay import DATA, View
from paxosstore.core.batch.request import Request
from paxosstore.errors import NotServing, OutcomeUnknown, Overloaded, PaxosStoreError, TooLarge
from paxosstore.services.redis.beside import reads
from paxosstore.services.redis.beside.reads import LongReads
from paxosstore.services.redis.beside.view import LongView
from paxosstore.services.redis.commands.handler import HANDLER, call, encode, handle
from paxosstore.services.redis.commands.table import TABLE
from paxosstore.services.redis.meter import Metered, TooLong, charge
from paxosstore.services.redis.run import Run
from paxosstore.services.redis.server import RedisServer
from paxosstore.services.redis.settings import RedisSettings

from ...runtime.test_links import free_addresses
from .oracle import parsed
from .support import NOW_MS, pack
from .test_portable import SortedView, run


class Frozen:
    """A view as it was when it was asked for."""

    def __init__(self, view: SortedView, entry: int = 1) -> None:
        self.entry = entry
        self.closed = 0
        self._view = SortedView()
        self._view.rows, self._view.keys = dict(view.rows), [*view.keys]

    def get(self, entity: int, key: bytes) -> bytes | None:
        assert not self.closed
        return self._view.get(key.removeprefix(DATA))

    def scan(self, entity: int, start: bytes, end: bytes, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._view.scan(
            start.removeprefix(DATA), end.removeprefix(DATA) if end > DATA else None, reverse=reverse
        ):
            assert not self.closed
            yield DATA + key, value

    def close(self) -> None:
        self.closed += 1


class Reader:
    """A command that was given up as too long."""

    entity = 1
    saw_entry = 1
    saw_ms = NOW_MS
    wanted = True

    def __init__(self, *words: bytes) -> None:
        self.words = list(words)
        self.outcomes: list[tuple[bytes, PaxosStoreError | None]] = []
        self.again = 0

    def read(self, view: View) -> bytes:
        command = TABLE[self.words[0]].run
        assert command is not None
        return command(view, self.words, 2)

    def finish(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self.outcomes.append((reply, error))

    def in_one_go(self) -> None:
        self.again += 1


class Prepared:
    """A command of which something is done before it is proposed."""

    wanted = True

    def __init__(self) -> None:
        self.run: Run | None = None
        self.outcomes: list[tuple[bytes, PaxosStoreError | None]] = []

    def finish(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self.outcomes.append((reply, error))

    def run_by(self, run: Run) -> None:
        self.run = run


class Desk:
    """The loop and the store that long reads know."""

    def __init__(self) -> None:
        self.view = SortedView()
        self.entry = 1
        self.frozen: list[Frozen] = []
        self.submitted: list[Request] = []
        self.soon: list[Callable[[], object]] = []
        self.later: list[Callable[[], None]] = []
        self.told = asyncio.Queue[Callable[[], object]]()
        self.fault: PaxosStoreError | None = None
        loop = asyncio.get_running_loop()
        self.reads = LongReads(
            self.freeze,
            self.submitted.append,
            self.soon.append,
            lambda call: loop.call_soon_threadsafe(self.told.put_nowait, call),
            lambda seconds, call: self.later.append(call),
        )

    def freeze(self, entity: int) -> Frozen:
        if self.fault is not None:
            raise self.fault
        self.frozen.append(Frozen(self.view, self.entry))
        return self.frozen[-1]

    async def end_one(self) -> None:
        """Wait until a thread has ended, and let it be known."""
        (await asyncio.wait_for(self.told.get(), 10))()

    def confirm(self, error: PaxosStoreError | None = None) -> None:
        self.submitted.pop(0).settle(b"", error)


def in_desk(story: Callable[[Desk], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        async def live() -> None:
            desk = Desk()
            run(desk.view, "HSET", "a", "f", "1")
            await story(desk)
            assert all(frozen.closed for frozen in desk.frozen)

        asyncio.run(live())

    return test


HASH = b"*2\r\n$1\r\nf\r\n$1\r\n1\r\n"
GETALL = (b"hgetall", b"a")


@in_desk
async def test_it_is_answered_when_it_is_read_and_confirmed(desk: Desk) -> None:
    one, other = Reader(*GETALL), Reader(*GETALL)
    desk.reads.begin(one)
    desk.reads.begin(other)
    assert len(desk.submitted) == 1
    run(desk.view, "HSET", "a", "f", "2")
    await desk.end_one()
    assert one.outcomes == []
    assert len(desk.submitted) == 2, "the second one is begun when the first one's thread has ended"
    desk.confirm()
    assert one.outcomes == [(HASH, None)]
    desk.confirm()
    assert other.outcomes == []
    await desk.end_one()
    assert other.outcomes == [(HASH.replace(b"1\r\n1\r\n", b"1\r\n2\r\n"), None)]


@in_desk
async def test_what_must_not_be_told_is_not(desk: Desk) -> None:
    reader = Reader(*GETALL)
    desk.reads.begin(reader)
    await desk.end_one()
    unknown = OutcomeUnknown("cut off")
    desk.confirm(unknown)
    assert reader.outcomes == [(b"", unknown)]


@in_desk
async def test_it_waits_for_the_entry_that_its_try_saw(desk: Desk) -> None:
    reader = Reader(*GETALL)
    reader.saw_entry = 2
    desk.reads.begin(reader)
    assert not desk.submitted
    desk.entry = 2
    desk.soon.pop()()
    await desk.end_one()
    desk.confirm()
    assert reader.outcomes == [(HASH, None)]
    reader.saw_entry = 3
    desk.reads.begin(reader)
    for _ in range(reads.TRIES):
        desk.soon.pop()()
    assert not desk.soon
    assert reader.again == 1
    desk.reads.begin(Reader(*GETALL))
    assert desk.submitted, "the next one's turn has come"
    await desk.end_one()


@in_desk
async def test_what_meets_a_key_that_is_due_is_tried_in_one_go(desk: Desk) -> None:
    reader = Reader(*GETALL)
    run(desk.view, "PEXPIREAT", "a", NOW_MS + 1)
    reader.saw_ms = NOW_MS + 9
    desk.reads.begin(reader)
    await desk.end_one()
    desk.confirm()
    assert reader.again == 1
    assert reader.outcomes == []


@in_desk
async def test_how_else_it_ends(desk: Desk) -> None:
    run(desk.view, "SET", "b", "1")
    refused, broken, gone, closed = Reader(b"hgetall", b"b"), Reader(b"hgetall"), Reader(*GETALL), Reader(*GETALL)
    for reader in (refused, broken):
        desk.reads.begin(reader)
    gone.wanted = False
    desk.reads.begin(gone)
    for _ in range(2):
        await desk.end_one()
        desk.confirm()
    assert refused.outcomes[0][0].startswith(b"-WRONGTYPE")
    assert isinstance(broken.outcomes[0][1], PaxosStoreError)
    assert isinstance(gone.outcomes[0][1], NotServing)
    desk.fault = NotServing("closed")
    desk.reads.begin(closed)
    assert closed.outcomes == [(b"", desk.fault)]
    assert desk.reads.done == 2


@in_desk
async def test_no_thread_can_be_started(desk: Desk) -> None:
    one, command, later = Reader(*GETALL), Prepared(), Reader(*GETALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        desk.reads.begin(one)
        desk.reads.prepare(command, lambda: lambda view, args, proto: b"", lambda: None)
    for outcomes in (one.outcomes, command.outcomes):
        assert [isinstance(error, Overloaded) for _, error in outcomes] == [True]
    assert not desk.submitted
    desk.reads.begin(later)
    await desk.end_one()
    desk.confirm()
    assert later.outcomes == [(HASH, None)]


def no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


class Slow(Reader):
    """One that goes on until it is let go."""

    def __init__(self) -> None:
        super().__init__(*GETALL)
        self.goes_on = threading.Event()

    def read(self, view: View) -> bytes:
        assert self.goes_on.wait(10)
        return super().read(view)


@in_desk
async def test_what_goes_on_for_long_lets_others_begin(desk: Desk) -> None:
    slow = [Slow() for _ in range(reads.MAX_SLOW + 1)]
    quick = [Reader(*GETALL) for _ in range(2)]
    for reader in (*slow, *quick):
        desk.reads.begin(reader)
    for begun in range(1, reads.MAX_SLOW + 1):
        assert len(desk.submitted) == begun
        desk.later.pop()()
    assert len(desk.submitted) == len(slow)
    desk.later.pop()()
    assert len(desk.submitted) == len(slow), "as many are slow as may be"
    slow[0].goes_on.set()
    await desk.end_one()
    assert len(desk.submitted) == len(slow), "nobody waited for that one"
    desk.later.pop()()
    assert len(desk.submitted) == len(slow) + 1
    for _ in quick:
        await desk.end_one()
    for reader in slow[1:]:
        reader.goes_on.set()
    for _ in slow[1:]:
        await desk.end_one()
    while desk.submitted:
        desk.confirm()
    assert all(reader.outcomes == [(HASH, None)] for reader in (*slow, *quick))
    while desk.later:
        desk.later.pop()()
    desk.reads.begin(quick[0])
    assert len(desk.submitted) == 1, "it is free again"
    await desk.end_one()


@in_desk
async def test_so_many_may_wait(desk: Desk) -> None:
    readers = [Reader(*GETALL) for _ in range(reads.MAX_WAITING + 2)]
    for reader in readers:
        desk.reads.begin(reader)
    assert [isinstance(reader.outcomes[0][1], Overloaded) for reader in readers if reader.outcomes] == [True]
    for _ in readers[1:]:
        await desk.end_one()
        desk.confirm()
    assert all(len(reader.outcomes) == 1 for reader in readers)


@in_desk
async def test_what_is_done_before_a_command_is_proposed(desk: Desk) -> None:
    command, gone, broken = Prepared(), Prepared(), Prepared()
    submitted: list[Prepared] = []

    def read() -> Run:
        assert threading.current_thread() is not threading.main_thread()
        return lambda view, args, proto: b"run"

    for one in (command, gone):
        desk.reads.prepare(one, read, partial(submitted.append, one))
    desk.reads.prepare(broken, lambda: 1 / 0, partial(submitted.append, broken))  # type: ignore[arg-type, return-value]  # what breaks is of no type
    gone.wanted = False
    for _ in range(2):
        assert len(submitted) < 2
        await desk.end_one()
    assert submitted == [command, broken]
    assert command.run is not None
    assert broken.run is None, "it is run as if nothing had been done"
    assert [isinstance(error, NotServing) for _, error in gone.outcomes] == [True]


def test_which_commands_only_read_with_these_words() -> None:
    for line, writes in (
        ("SORT a", False),
        ("SORT a BY b GET c", False),
        ("SORT a STORE b", True),
        ("SORT a DESC store b", True),
        ("GEORADIUS a 1 2 3 m", False),
        ("GEORADIUS a 1 2 3 m STOREDIST b", True),
        ("GEORADIUSBYMEMBER a b 3 m", False),
        ("GEORADIUSBYMEMBER a b 3 m STORE c", True),
        ("SET a b", True),
        ("GET a", False),
    ):
        words = line.encode().split()
        assert TABLE[words[0]].writes_with(words) == writes, line


class TestBounds:
    def test_what_is_done_at_one_go(self) -> None:
        view = SortedView()
        run(view, "RPUSH", "a", *range(50))
        for most, fits in ((60, True), (20, False)):
            metered = Metered(view, most)
            try:
                call(TABLE[b"lrange"].run, metered, [b"lrange", b"a", b"0", b"-1"], 2)  # type: ignore[arg-type]  # every command of this table has a run
            except TooLong:
                assert not fits
            else:
                assert fits
        with pytest.raises(TooLong):
            charge(Metered(view, 5), 6)
        charge(view, 6)

    def test_the_bytes_of_what_is_scanned_count(self) -> None:
        view = SortedView()
        view.put(b"a", bytes(1 << 20))
        with pytest.raises(TooLong):
            list(Metered(view, 200).scan(b"a", b"b"))
        assert Metered(view, 200).get(b"a")

    def test_what_is_done_beside(self, monkeypatch: pytest.MonkeyPatch) -> None:
        view = SortedView()
        for number in range(600):
            view.put(b"%04d" % number, bytes(100))
        with pytest.raises(TooLarge):
            list(LongView(1, Frozen(view), NOW_MS, 500, lambda: True).scan())
        assert len(list(LongView(1, Frozen(view), NOW_MS, 600, lambda: True).scan())) == 600
        with pytest.raises(NotServing):
            list(LongView(1, Frozen(view), NOW_MS, 600, lambda: False).scan())
        monkeypatch.setattr("paxosstore.services.redis.beside.view.MAX_BYTES", 50_000)
        with pytest.raises(TooLarge):
            list(LongView(1, Frozen(view), NOW_MS, 600, lambda: True).scan())
        monkeypatch.undo()
        monkeypatch.setattr("paxosstore.services.redis.beside.view.MAX_SECONDS", -1.0)
        with pytest.raises(TooLarge):
            list(LongView(1, Frozen(view), NOW_MS, 600, lambda: True).scan())


# -- three nodes


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[list[Client]]:
    """Three nodes, and a client of each."""
    addresses = free_addresses(3)
    nodes = [
        Node(ClusterSettings("test"), me, addresses, directory / str(me), handlers={HANDLER: handle}, min_free_bytes=1)
        for me in range(3)
    ]
    await asyncio.gather(*(node.start() for node in nodes))
    await asyncio.gather(*(node.ready(timeout_ms=20_000) for node in nodes))
    servers = [RedisServer(node.submit, RedisSettings(port=0), feed=node.feed, freeze=node.frozen) for node in nodes]
    for node, server in zip(nodes, servers, strict=True):
        node.on_told.append(server.flush)
        await server.start()
    clients = [await Client.of(server) for server in servers]
    try:
        yield clients
    finally:
        for client in clients:
            client.writer.close()
        for server in servers:
            await server.stop()
        await asyncio.gather(*(node.stop() for node in nodes))


class Client:
    def __init__(self, server: RedisServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer

    @classmethod
    async def of(cls, server: RedisServer) -> Client:
        return cls(server, *await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 26))

    @property
    def long_reads(self) -> int:
        assert self.server.beside is not None
        return self.server.beside.done

    async def ask(self, *commands: tuple[object, ...]) -> list[object]:
        """The replies to commands that are sent at once."""
        words = [[word if isinstance(word, bytes) else str(word).encode() for word in command] for command in commands]
        self.writer.write(b"".join([pack(*command) for command in words]) + pack(b"ECHO", b"the end"))
        got = await self.reader.readuntil(b"the end\r\n")
        replies = parsed(b"*%d\r\n" % (len(commands) + 1) + got)
        assert isinstance(replies, list)
        return replies[:-1]


MANY = 24_000
AT_ONCE = 2_000


async def fill(client: Client) -> None:
    for first in range(0, MANY, AT_ONCE):
        numbers = range(first, first + AT_ONCE)
        await client.ask(
            ("HSET", "hash", *[word for number in numbers for word in (f"f{number}", number)]),
            ("SADD", "set", *numbers),
            ("RPUSH", "list", *numbers),
        )
        for half in (numbers[: AT_ONCE // 2], numbers[AT_ONCE // 2 :]):
            await client.ask(("ZADD", "zset", *[word for number in half for word in (number, f"m{number}")]))


def test_more_rows_than_one_request_may_visit(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path) as (client, other, _):
            await fill(client)
            numbers = [b"%d" % number for number in range(MANY)]
            for asker in (client, other):
                fields, members, elements, scored = await asker.ask(
                    ("HGETALL", "hash"), ("SMEMBERS", "set"), ("LRANGE", "list", 0, -1), ("ZRANGE", "zset", 0, -1)
                )
                assert isinstance(fields, list)
                assert isinstance(members, list)
                assert dict(zip(fields[::2], fields[1::2], strict=True)) == {b"f" + number: number for number in numbers}
                assert sorted(members, key=int) == numbers
                assert elements == numbers
                assert scored == [b"m" + number for number in numbers]
            assert client.long_reads == other.long_reads == 4
            # what a connection sends behind it happens behind it
            replies = await client.ask(
                ("LRANGE", "list", 0, -1), ("DEL", "list"), ("LRANGE", "list", 0, -1), ("RPUSH", "list", "a"), ("LLEN", "list")
            )
            assert replies == [numbers, 1, [], 1, 1]
            assert (await other.ask(("LRANGE", "list", 0, -1)))[0] == [b"a"]
            assert isinstance((await client.ask(("ZUNION", 2, "zset", "zset")))[0], Exception)
            # sorting reads, unless it stores
            before = client.long_reads
            listed, stored, count = await client.ask(
                ("SORT", "set", "LIMIT", 0, 3), ("SORT", "set", "LIMIT", 0, 3, "STORE", "sorted"), ("LLEN", "sorted")
            )
            assert listed == [b"0", b"1", b"2"]
            assert isinstance(stored, Exception), "a write is done on the loop"
            assert count == 0
            assert client.long_reads == before + 1
            # what costs by its words is long if they are many
            await client.ask(("MSET", *[word for number in range(500) for word in (f"k{number}", number)]))
            names = [f"k{number}" for number in range(500)]
            few, many, fields = await client.ask(("MGET", *names[:255]), ("MGET", *names), ("HMGET", "hash", "f1", *["f2"] * 500))
            assert few == numbers[:255]
            assert many == numbers[:500]
            assert fields == [b"1", *[b"2"] * 500]
            assert client.long_reads == before + 3

    asyncio.run(story())


def test_it_shows_one_moment_while_others_write(tmp_path: Path) -> None:
    """Pairs of elements, one at each end, are pushed and popped together: there are always as many on both sides."""

    async def story() -> None:
        async with served(tmp_path) as (client, other, _):
            await client.ask(("RPUSH", "list", *["middle"] * 1_000))
            done = False

            async def write() -> None:
                number = 0
                while not done:
                    number += 1
                    await other.ask(("MULTI",), ("LPUSH", "list", number), ("RPUSH", "list", number), ("EXEC",))

            writing = asyncio.ensure_future(write())
            seen = []
            for _ in range(25):
                (elements,) = await client.ask(("LRANGE", "list", 0, -1))
                assert isinstance(elements, list)
                at = elements.index(b"middle")
                assert elements[:at] == elements[at + 1_000 :][::-1]
                seen.append(at)
            done = True
            await writing
            assert seen == sorted(seen)
            assert client.long_reads == 25

    asyncio.run(story())


def test_a_large_payload_is_read_before_it_is_restored(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path) as (client, other, _):
            value = random.Random(1).randbytes(300_000)
            (_, payload) = await client.ask(("SET", "a", value), ("DUMP", "a"))
            assert isinstance(payload, bytes)
            before = other.long_reads
            replies = await other.ask(
                ("SET", "b", "1"),
                ("RESTORE", "b", 0, payload),
                ("RESTORE", "b", 0, payload, "REPLACE"),
                ("STRLEN", "b"),
                ("SET", "b", "2"),
                ("RESTORE", "c", 0, payload[:-1] + bytes((payload[-1] ^ 1,))),
                ("RESTORE", "c", "x", payload),
                ("EXISTS", "c"),
                ("GET", "b"),
            )
            assert [reply for reply in replies if not isinstance(reply, Exception)] == [b"OK", b"OK", 300_000, b"OK", 0, b"2"]
            errors = [str(reply) for reply in replies if isinstance(reply, Exception)]
            assert [error.split()[1] for error in errors] == ["Target", "DUMP", "value"], errors
            assert other.long_reads == before + 4
            leaving = await Client.of(other.server)
            leaving.writer.write(pack(b"RESTORE", b"d", b"0", payload))
            await leaving.writer.drain()
            leaving.writer.close()
            assert (await client.ask(("GET", "a")))[0] == value

    asyncio.run(story())


def test_a_client_that_goes_and_a_node_that_stops(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path) as (client, _, _):
            await client.ask(("RPUSH", "list", *range(3_000)))
            for _ in range(5):
                leaving = await Client.of(client.server)
                leaving.writer.write(pack(b"LRANGE", b"list", b"0", b"-1") * 3)
                await leaving.writer.drain()
                leaving.writer.close()
            ((reply),) = await client.ask(("LRANGE", "list", 0, -1))
            assert reply == [b"%d" % number for number in range(3_000)]
            client.writer.write(pack(b"LRANGE", b"list", b"0", b"-1") * 20)
            await client.writer.drain()

    asyncio.run(story())


def test_what_was_encoded_for_the_handler_is_still_bounded() -> None:
    """Where it is run for another node, it is done in one go."""
    view = SortedView()
    run(view, "RPUSH", "a", *range(700))
    assert len(handle(view, encode(2, [b"LRANGE", b"a", b"0", b"-1"]))) > 700
