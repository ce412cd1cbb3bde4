"""PAXOS.ONCE: a command takes effect once under its uuid, and what is too old to be known is refused."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from paxosstore.core.batch.overlay import View
from paxosstore.core.batch.request import Request
from paxosstore.core.turn.context import Handler
from paxosstore.services.redis.commands import once
from paxosstore.services.redis.commands.handler import encode, handle, handler_of, unpack_replies
from paxosstore.services.redis.connection import once as once_words
from paxosstore.services.redis.layout.keyspace import REDIS_BASE
from paxosstore.services.redis.server import RedisServer
from paxosstore.services.redis.settings import RedisSettings

from .logstore import LogStore
from .support import NOW_MS, DictView, Harness, MemoryStore, in_loop, pack, serving

OK = b"+OK\r\n"
QUEUED = b"+QUEUED\r\n"
UUID_NEEDED = "ERR PAXOS.ONCE: a uuid is needed, of 16 bytes or as text, as RFC 9562 has it"


def uuid7(at_ms: int, number: int = 0) -> bytes:
    return at_ms.to_bytes(6, "big") + b"\x70\x00\x80\x00" + number.to_bytes(6, "big")


A, B = (str(UUID(bytes=uuid7(NOW_MS, number))) for number in (1, 2))


@asynccontextmanager
async def two_nodes(store: LogStore) -> AsyncIterator[tuple[Harness, Harness]]:
    """Two servers on one log."""
    first, second = (
        RedisServer(store.submit, RedisSettings(port=0), uuid_window_entries=store.window, now_ms=lambda: store.now_ms)
        for _ in range(2)
    )
    await first.start()
    await second.start()
    harnesses = Harness(first, MemoryStore()), Harness(second, MemoryStore())
    try:
        yield harnesses
    finally:
        for harness in harnesses:
            for client in harness.clients:
                client.writer.close()
            await harness.server.stop()


# -- once


@in_loop
async def test_a_repetition_at_any_node_takes_effect_once_and_gets_the_first_reply() -> None:
    async with two_nodes(LogStore()) as (one, other):
        here, there = await one.connect(), await other.connect()
        await here.exchange(f"PAXOS.ONCE {A} INCR k", b":1\r\n")
        await here.exchange("INCR k", b":2\r\n")
        await there.exchange(f"paxos.once {A.upper()} INCR k", b":1\r\n")
        here.writer.write(pack(b"PAXOS.ONCE", UUID(A).bytes, b"INCR", b"k"))
        await here.expect(b":1\r\n")
        await there.exchange("GET k", b"$1\r\n2\r\n")


@in_loop
async def test_several_of_one_batch_are_told_apart() -> None:
    store = LogStore()
    async with two_nodes(store) as (one, other):
        here, there = await one.connect(), await other.connect()
        here.send(
            f"PAXOS.ONCE {A} INCR k", f"PAXOS.ONCE {B} INCR k", f"PAXOS.ONCE {A} INCR k", "INCR k", f"PAXOS.ONCE {B} INCR k"
        )
        await here.expect(b":1\r\n:2\r\n:1\r\n:3\r\n:2\r\n")
        there.send(f"PAXOS.ONCE {B} INCR k", f"PAXOS.ONCE {A} INCR k")
        await there.expect(b":2\r\n:1\r\n")


@in_loop
async def test_what_a_client_was_not_told_is_told_to_who_repeats_it() -> None:
    store = LogStore()
    async with two_nodes(store) as (one, other):
        here, there = await one.connect(), await other.connect()
        store.lost = True
        here.send(f"PAXOS.ONCE {A} RPUSH l a b")
        await here.silent()
        store.lost = False
        await there.exchange(f"PAXOS.ONCE {A} RPUSH l a b", b":2\r\n")
        await there.exchange("LLEN l", b":2\r\n")


@in_loop
async def test_an_error_is_a_first_reply_like_any() -> None:
    async with two_nodes(LogStore()) as (one, _):
        client = await one.connect()
        integer = b"-ERR value is not an integer or out of range\r\n"
        await client.exchange("SET k word", OK)
        await client.exchange(f"PAXOS.ONCE {A} INCR k", integer)
        await client.exchange("SET k 1", OK)
        await client.exchange(f"PAXOS.ONCE {A} INCR k", integer)
        await client.exchange(f"PAXOS.ONCE {B} INCR k", b":2\r\n")


@in_loop
async def test_another_command_or_protocol_under_a_uuid_is_refused_and_does_not_happen() -> None:
    async with two_nodes(LogStore()) as (one, _):
        client = await one.connect()
        await client.exchange(f"PAXOS.ONCE {A} INCR k", b":1\r\n")
        text = f"another request was made under the uuid {UUID(A).hex}: this one did not happen, draw a new uuid for it"
        await client.exchange(f"PAXOS.ONCE {A} INCRBY k 5", f"-UUIDREUSED {text}\r\n".encode())
        await client.exchange(f"PAXOS.ONCE {A} MULTI", OK)
        await client.exchange("INCR k", QUEUED)
        await client.exchange("EXEC", f"-UUIDREUSED {text}\r\n".encode())
        client.send("HELLO 3", f"PAXOS.ONCE {A} INCR k")
        got = await client.reader.readuntil(b"draw a new uuid for it\r\n")
        assert b"-UUIDREUSED" in got
        await client.exchange("GET k", b"$1\r\n1\r\n")


@in_loop
async def test_outcomes_outlive_flushall() -> None:
    async with two_nodes(LogStore()) as (one, _):
        client = await one.connect()
        await client.exchange(f"PAXOS.ONCE {A} INCR k", b":1\r\n")
        await client.exchange("FLUSHALL", OK)
        await client.exchange(f"PAXOS.ONCE {A} INCR k", b":1\r\n")
        await client.exchange("EXISTS k", b":0\r\n")
        await client.exchange("DBSIZE", b":0\r\n")


@in_loop
async def test_a_reply_that_is_too_large_to_be_kept_is_given_once() -> None:
    store = LogStore()
    store.max_kept_bytes = 100
    async with two_nodes(store) as (one, _):
        client = await one.connect()
        await client.exchange("SET k " + "x" * 200, OK)
        await client.exchange(f"PAXOS.ONCE {A} GETDEL k", b"$200\r\n" + b"x" * 200 + b"\r\n")
        await client.exchange("SET k y", OK)
        text = "it was done under this uuid before, but its reply of 208 bytes was not kept (max_kept_reply_bytes)"
        await client.exchange(f"PAXOS.ONCE {A} GETDEL k", f"-NOTKEPT {text}\r\n".encode())
        await client.exchange("GET k", b"$1\r\ny\r\n")


# -- transactions and scripts


@in_loop
async def test_a_transaction_is_executed_once() -> None:
    async with two_nodes(LogStore()) as (one, other):
        here, there = await one.connect(), await other.connect()
        lines = (f"PAXOS.ONCE {A} MULTI", "INCR k", "PING", "RPUSH l a", "EXEC")
        reply = OK + QUEUED * 3 + b"*3\r\n:1\r\n+PONG\r\n:1\r\n"
        for client in (here, here, there):
            client.send(*lines)
            await client.expect(reply)
        here.send(f"PAXOS.ONCE {B} MULTI", "INCR k", "DISCARD", "MULTI", "INCR k", "EXEC", "MULTI", "INCR k", "EXEC")
        await here.expect(OK + QUEUED + OK + OK + QUEUED + b"*1\r\n:2\r\n" + OK + QUEUED + b"*1\r\n:3\r\n")


@in_loop
async def test_a_transaction_that_only_reads_is_one_too() -> None:
    async with two_nodes(LogStore()) as (one, other):
        here, there = await one.connect(), await other.connect()
        lines = (f"PAXOS.ONCE {A} MULTI", "GET k", "STRLEN k", "EXEC")
        for client in (here, here):
            client.send(*lines)
            await client.expect(OK + QUEUED * 2 + b"*2\r\n$-1\r\n:0\r\n")
            here.send("SET k 1")
            await here.expect(OK)
        there.send(*lines)
        await there.expect(OK + QUEUED * 2 + b"*2\r\n$-1\r\n:0\r\n")


@pytest.mark.parametrize(
    ("words", "refusal"),
    [("bad MULTI", UUID_NEEDED), (f"{A} MULTI x", "ERR wrong number of arguments for 'multi' command")],
)
@in_loop
async def test_what_follows_a_transaction_that_is_refused_does_not_happen(words: str, refusal: str) -> None:
    async with two_nodes(LogStore()) as (one, _):
        client = await one.connect()
        client.send(f"PAXOS.ONCE {words}", "INCR k", "INCR k", "EXEC", "GET k")
        got = await client.reader.readuntil(b"$-1\r\n")
        assert got.startswith(b"-" + refusal.encode())
        assert got.split(b"\r\n")[1:3] == [b"+QUEUED"] * 2
        assert got.split(b"\r\n")[3].startswith(b"-EXECABORT")


@in_loop
async def test_what_was_watched_is_no_part_of_a_transaction() -> None:
    async with two_nodes(LogStore()) as (one, other):
        here, there = await one.connect(), await other.connect()
        here.send("WATCH w", "SET w 1", f"PAXOS.ONCE {A} MULTI", "INCR k", "EXEC")
        await here.expect(OK + OK + OK + QUEUED + b"*-1\r\n")
        there.send(f"PAXOS.ONCE {A} MULTI", "INCR k", "EXEC")
        await there.expect(OK + QUEUED + b"*-1\r\n")
        there.send("WATCH w", f"PAXOS.ONCE {B} MULTI", "INCR k", "EXEC")
        await there.expect(OK + OK + QUEUED + b"*1\r\n:1\r\n")
        here.send("WATCH other", f"PAXOS.ONCE {B} MULTI", "INCR k", "EXEC")
        await here.expect(OK + OK + QUEUED + b"*1\r\n:1\r\n")


@in_loop
async def test_one_that_is_only_to_be_told_is_not_done() -> None:
    async with two_nodes(LogStore()) as (one, other):
        here, there = await one.connect(), await other.connect()
        here.send(f"PAXOS.ONCE {A} MULTI", "INCR k", "EXEC")
        await here.expect(OK + QUEUED + b"*1\r\n:1\r\n")
        for uuid, reply in ((A, b"*1\r\n:1\r\n"), (B, b"*-1\r\n"), (B, b"*-1\r\n")):
            there.send(f"PAXOS.ONCE {uuid} MULTI REPEATED", "INCR k", "EXEC")
            await there.expect(OK + QUEUED + reply)
        here.send(f"PAXOS.ONCE {B} MULTI", "INCR k", "EXEC", "GET k")
        await here.expect(OK + QUEUED + b"*-1\r\n" + b"$1\r\n1\r\n")


@in_loop
async def test_a_script_runs_once() -> None:
    async with two_nodes(LogStore()) as (one, other):
        script = "redis.call('incr', KEYS[1]) return redis.call('incr', KEYS[1])"
        words = pack(b"PAXOS.ONCE", A.encode(), b"EVAL", script.encode(), b"1", b"k")
        for harness in (one, other):
            client = await harness.connect()
            client.writer.write(words)
            await client.expect(b":2\r\n")
        await client.exchange("GET k", b"$1\r\n2\r\n")


# -- what is refused


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("", "ERR wrong number of arguments for 'paxos.once' command"),
        ("x INCR k", UUID_NEEDED),
        ("0123456789abcdef INCR k", UUID_NEEDED),
        ("01234567-89ab-0def-8123-456789abcdef INCR k", UUID_NEEDED),
        (f"{A} INCR", "ERR wrong number of arguments for 'incr' command"),
        (f"{A} NOSUCH k", "ERR unknown command 'NOSUCH', with args beginning with: 'k'"),
        (f"{A} PAXOS.ONCE {B} INCR k", "ERR PAXOS.ONCE is for commands on data, and for MULTI: PAXOS.ONCE is none"),
        (f"{A} PING", "ERR PAXOS.ONCE is for commands on data, and for MULTI: PING is none"),
        (f"{A} SELECT 1", "ERR PAXOS.ONCE is for commands on data, and for MULTI: SELECT is none"),
        (f"{A} PUBLISH c m", "ERR PAXOS.ONCE is for commands on data, and for MULTI: PUBLISH is none"),
        (f"{A} SUBSCRIBE c", "ERR PAXOS.ONCE is for commands on data, and for MULTI: SUBSCRIBE is none"),
        (f"{A} WATCH k", "ERR PAXOS.ONCE is for commands on data, and for MULTI: WATCH is none"),
        (f"{A} EXEC", "ERR PAXOS.ONCE is for commands on data, and for MULTI: EXEC is none"),
        (f"{A} BLPOP k 0", "ERR PAXOS.ONCE: BLPOP may wait, send it without"),
        (f"{A} XREAD BLOCK 0 STREAMS s 0", "ERR PAXOS.ONCE: XREAD may wait, send it without"),
        (f"{A} FLUSHALL", "CROSSSLOT FLUSHALL is on more than one entity"),
        (f"{A} MGET " + "k " * 20, "TOOLARGE 20 keys are over the limit of 9"),
    ],
)
@in_loop
async def test_what_cannot_be_done_once_is_refused(line: str, error: str) -> None:
    async with serving(max_keys=9) as harness:
        client = await harness.connect()
        client.send(f"PAXOS.ONCE {line}", "PING")
        got = await client.reader.readuntil(b"+PONG\r\n")
        assert got.startswith(b"-" + error.encode())
        assert harness.store.submitted == []


@pytest.mark.parametrize("seed", range(20))
def test_what_is_no_uuid_is_none(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(300):
        raw = rng.randbytes(16)
        valid = 1 <= raw[6] >> 4 <= 8 and raw[8] >> 6 == 2
        text = str(UUID(bytes=raw))
        assert once_words.parse_uuid(raw) == (raw if valid else None)
        for spelled in (text, text.upper()):
            assert once_words.parse_uuid(spelled.encode()) == (raw if valid else None)
        at = rng.randrange(36)
        for wrong in (text[:at] + "-" + text[at:], text[:at] + text[at + 1 :], text[:at] + "g" + text[at + 1 :], text + "\n"):
            assert once_words.parse_uuid(wrong.encode()) is None
    for word in (b"", b"{" + b"0" * 34 + b"}", b"urn:uuid:" + b"1" * 27, "１".encode() * 12, b"x" * 15, b"x" * 17):
        assert once_words.parse_uuid(word) is None


@in_loop
async def test_inside_of_a_transaction_it_is_refused() -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send("MULTI", f"PAXOS.ONCE {A} INCR k", "EXEC", "MULTI", f"PAXOS.ONCE {A} MULTI", "DISCARD")
        inside = b"-ERR Command not allowed inside a transaction\r\n"
        aborted = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
        await client.expect(OK + inside + aborted + OK + inside + OK)


@in_loop
async def test_any_node_can_run_it() -> None:
    async with serving() as harness:
        client = await harness.connect()
        await client.exchange(f"PAXOS.ONCE {A} INCR k", b":1\r\n")
        client.send(f"PAXOS.ONCE {B} MULTI", "INCR k", "EXEC")
        await client.expect(OK + QUEUED + b"*1\r\n:2\r\n")
        first, second = harness.store.submitted
        assert (first.uuid, second.uuid) == (UUID(A).bytes, UUID(B).bytes)
        assert not first.read_only
        view = DictView()
        assert handle(view, first.payload()) == b":1\r\n"
        assert unpack_replies(handle(view, second.payload())) == [b":2\r\n"]


# -- what is too old


SMALL = handler_of(once.Window(320))


def incr(view: DictView, uuid: bytes) -> bytes:
    return SMALL(view, encode(2, [once.ONCE, uuid, b"INCR", b"k"]))


def test_a_uuid_that_may_be_forgotten_is_refused_by_its_time() -> None:
    view = DictView()
    for entry in range(1, 321):
        view.entry, view.now_ms = entry, NOW_MS + 1_000 * entry
        assert incr(view, uuid7(NOW_MS)).startswith(b":"), "nothing is forgotten yet"
    view.entry, view.now_ms = 400, NOW_MS + 400_000
    # entries up to 80 are forgotten, the next mark is at 90
    assert incr(view, uuid7(NOW_MS + 102_000)) == b":321\r\n"
    text = b"outcome unknown: by its time the uuid was made 330000 ms ago, what is that old may be forgotten"
    assert incr(view, uuid7(NOW_MS + 70_000)) == b"-UUIDEXPIRED " + text + b"\r\n"
    assert incr(view, uuid7(NOW_MS + 70_000)[:6] + b"\x40" + bytes(9)) == b":322\r\n", "that says nothing of its time"
    assert len(view.rows[b"o"]) <= 16 * (once.SPANS + 3)


def test_that_something_is_forgotten_is_known_through_flushall() -> None:
    view = DictView()
    incr(view, uuid7(NOW_MS))
    view.entry, view.now_ms = 1_000, NOW_MS + 1_000_000
    incr(view, uuid7(view.now_ms))
    assert handle(view, encode(2, [b"FLUSHALL"])) == OK
    assert incr(view, uuid7(NOW_MS)).startswith(b"-UUIDEXPIRED ")


def test_a_uuid_from_ahead_is_refused() -> None:
    view = DictView()
    assert incr(view, uuid7(NOW_MS + once.Window().skew_ms)) == b":1\r\n"
    text = b"by its time the uuid was made 10001 ms from now: nothing happened, set the client's clock"
    assert incr(view, uuid7(NOW_MS + once.Window().skew_ms + 1)) == b"-ERR " + text + b"\r\n"


class Incr(Request):
    """INCR of a key of its own under a uuid."""

    handler = "redis"

    def __init__(self, uuid: bytes, run: Handler) -> None:
        super().__init__(REDIS_BASE, uuid=uuid)
        self.reply = b""
        self._run = run

    def evaluate(self, view: View) -> object:
        return self._run(view, self.payload())

    def payload(self) -> bytes:
        return encode(2, [once.ONCE, self.uuid, b"INCR", self.uuid])

    def settle(self, reply: bytes, error: Exception | None) -> None:
        assert error is None
        self.reply = reply


@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_ever_done_twice_whenever_it_is_repeated(seed: int) -> None:
    """With clients whose clocks are wrong, a store whose time jumps, and a window of few entries."""
    rng = random.Random(seed)
    store = LogStore(window=rng.choice((16, 40, 100)))
    run = handler_of(once.Window(store.window))
    uuids: list[bytes] = []
    for number in range(1_500):
        store.now_ms += rng.choice((0, 1, 300, 2_000, 30_000, -5_000))
        if not uuids or rng.random() < 0.6:
            uuids.append(uuid7(store.now_ms + rng.choice((0, 0, -8_000, 8_000, 9_999)), number))
        several = rng.sample(uuids[-60:], min(len(uuids[-60:]), rng.choice((1, 1, 2, 5)))) if rng.random() < 0.6 else uuids[-1:]
        requests = [Incr(uuid, run) for uuid in [*several, rng.choice(uuids)]]
        store.apply_all(requests)
        assert not [request for request in requests if request.reply not in (b":1\r\n",) and request.reply[:1] == b":"]
    told = store.reader.data[REDIS_BASE]
    assert sum(key.startswith(b"dk") for key in told) > 300, "most are done"
