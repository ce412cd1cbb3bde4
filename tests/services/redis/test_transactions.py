"""MULTI, EXEC, DISCARD, WATCH, UNWATCH."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from paxosstore.errors import ConfigError, InvalidRequest, NoQuorum, OutcomeUnknown, TooLarge
from paxosstore.services.redis.commands import handler
from paxosstore.services.redis.commands.handler import encode, handle, unpack_replies
from paxosstore.services.redis.connection.transactions import FAILED
from paxosstore.services.redis.layout.keyspace import REDIS_BASE
from paxosstore.services.redis.session.transactions import ABORTED, NO_EXEC
from paxosstore.services.redis.settings import RedisSettings

from .support import DictView, Harness, in_loop, pack, serving

OK = b"+OK\r\n"
QUEUED = b"+QUEUED\r\n"
NIL = b"*-1\r\n"


@in_loop
async def test_what_is_queued_is_one_request_and_any_node_can_run_it() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        client.send(
            "SELECT 3", "MULTI", "SET a 1", "INCR a", "APPEND", "DISCARD", "MULTI", "SET a 1", "INCR a", "GET a", "APPEND b x"
        )
        arity = b"-ERR wrong number of arguments for 'append' command\r\n"
        await client.expect(OK + OK + QUEUED * 2 + arity + OK + OK + QUEUED * 4)
        assert store.submitted == []
        await client.exchange("EXEC", b"*4\r\n+OK\r\n:2\r\n$1\r\n2\r\n:1\r\n")
        (request,) = store.submitted
        assert (request.entity, request.read_only) == (REDIS_BASE + 3, False)
        elsewhere = DictView()
        assert unpack_replies(handle(elsewhere, request.payload())) == [OK, b":2\r\n", b"$1\r\n2\r\n", b":1\r\n"]
        assert handle(elsewhere, b"\x92\x02\x92\xc4\x03GET\xc4\x01a") == b"$1\r\n2\r\n"


@in_loop
async def test_one_of_reads_alone_is_a_read() -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send("WATCH k", "MULTI", "GET k", "DBSIZE", "EXEC")
        await client.expect(OK + OK + QUEUED * 2 + b"*2\r\n$-1\r\n:0\r\n")
        assert [request.read_only for request in harness.store.submitted] == [True, True]


@in_loop
async def test_an_error_of_one_command_is_a_reply_like_others() -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send("MULTI", "SET s word", "INCR s", "APPEND s s", "PING a b", "EXEC", "GET s")
        integer = b"-ERR value is not an integer or out of range\r\n"
        ping = b"-ERR wrong number of arguments for 'ping' command\r\n"
        await client.expect(OK + QUEUED * 4 + b"*4\r\n" + OK + integer + b":5\r\n" + ping + b"$5\r\nwords\r\n")


@pytest.mark.parametrize(
    "wrong",
    ["nonsense", "GET", "CLIENT bogus", "CLIENT SETNAME a b", "MULTI x", "DISCARD x", "WATCH", "RESET x", "MGET " + "k " * 20],
)
@in_loop
async def test_a_command_that_cannot_be_queued_ends_it(wrong: str) -> None:
    async with serving(max_keys=9) as harness:
        client = await harness.connect()
        client.send(
            "WATCH k", "SET k v", "MULTI", "SET a 1", wrong, "SET b 1", "EXEC", "EXEC", "MULTI", "SET c 1", "EXEC", "QUIT"
        )
        got = await client.reader.read()
        assert got.startswith(OK * 3 + QUEUED + b"-")
        assert got.endswith(QUEUED + ABORTED + NO_EXEC + OK + QUEUED + b"*1\r\n" + OK + OK), "and nothing is watched any more"
        assert harness.store.view(REDIS_BASE).get(b"k") is None
        client = await harness.connect()
        await client.exchange("EXISTS a b c", b":1\r\n")


@in_loop
async def test_what_is_refused_by_its_size_ends_it_too() -> None:
    async with serving(max_request_bytes=1_000, max_clients_bytes=1_000_000) as harness:
        transport, connection = harness.plug()
        connection.data_received(pack(b"MULTI") + pack(b"SET", b"k", bytes(2_000)) + pack(b"EXEC"))
        await harness.settle()
        assert transport.got.startswith(b"+OK\r\n-TOOLARGE ")
        assert transport.got.endswith(ABORTED)
        assert harness.store.submitted == []


@in_loop
async def test_nothing_of_one_that_ends_otherwise_is_done() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        client.send(
            "MULTI",
            "INCR n",
            "DISCARD",
            "MULTI",
            "INCR n",
            "RESET",
            "MULTI",
            "INCR n",
            "EXEC x",
            "EXEC",
            "MULTI",
            "INCR n",
            "QUIT",
        )
        aborted = b"-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n"
        begun = OK + QUEUED
        await client.expect_end(begun + OK + begun + b"+RESET\r\n" + begun + aborted + NO_EXEC + begun + OK)
        assert store.submitted == []


# -- watched keys


async def changed(harness: Harness, before: tuple[str, ...], watch: str, between: tuple[str, ...]) -> bool:
    """Whether EXEC finds that a watched key has changed; another client does what is between."""
    watcher, other = await harness.connect(), await harness.connect()
    for client, lines in ((other, ("FLUSHDB", *before)), (watcher, (watch,)), (other, between)):
        for line in lines:
            client.send(line)
            await client.reader.readline()
    watcher.send("MULTI", "SET mark v", "EXEC")
    await watcher.expect(OK + QUEUED)
    got = await watcher.reader.readline()
    assert got in (NIL, b"*1\r\n")
    await other.exchange("EXISTS mark", b":0\r\n" if got == NIL else b":1\r\n")
    return got == NIL


@pytest.mark.parametrize(
    ("before", "watch", "between", "expected"),
    [
        ((), "WATCH k", (), False),
        ((), "WATCH k", ("SET other v",), False),
        ((), "WATCH k", ("SET k v",), True),
        ((), "WATCH k", ("SET k v", "DEL k"), True),
        ((), "WATCH a k b", ("SET k v",), True),
        (("SET k v",), "WATCH k", ("EXISTS k",), False),
        (("SET k v",), "WATCH k", ("SET k v",), True),
        (("SET k v",), "WATCH k", ("DEL k",), True),
        (("SET k v",), "WATCH k", ("DEL k", "SET k v"), True),
        (("SET k v",), "WATCH k", ("EXPIRE k 100",), True),
        (("SET k v",), "WATCH k", ("SETNX k w",), False),
        (("SET k v",), "WATCH k", ("DEL other",), False),
        (("SET k v",), "WATCH k", ("FLUSHDB",), True),
        ((), "WATCH k", ("FLUSHDB",), False),
        ((), "WATCH k", ("SET k v", "FLUSHDB"), True),
        (("SET k v",), "WATCH k", ("FLUSHALL", "SET k v"), True),
        (("SET k v",), "WATCH k", ("SELECT 1", "SET k w", "SELECT 0"), False),
        (("SET k v PX 1000000",), "WATCH k", ("PERSIST k",), True),
    ],
)
@in_loop
async def test_a_transaction_does_nothing_once_a_watched_key_has_changed(
    before: tuple[str, ...], watch: str, between: tuple[str, ...], expected: bool
) -> None:
    async with serving() as harness:
        assert await changed(harness, before, watch, between) == expected


@in_loop
async def test_a_watched_key_that_expires_has_changed() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        client.send("SET k v PX 1000", "WATCH k")
        await client.expect(OK * 2)
        now_ms = store.now()
        store.now = lambda: now_ms + 2_000
        client.send("MULTI", "GET k", "EXEC", "HELLO 3", "WATCH k", "SET k v", "MULTI", "GET k", "EXEC")
        await client.expect(OK + QUEUED + NIL)
        assert (await client.reader.readuntil(b"*0\r\n")).startswith(b"%7")
        await client.expect(OK * 3 + QUEUED + b"_\r\n")


@in_loop
async def test_watched_keys_add_up_and_each_counts_from_when_it_was_watched_first() -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send("WATCH a", "SET a 1", "WATCH b a", "MULTI", "PING", "EXEC")
        await client.expect(OK * 4 + QUEUED + NIL)
        client.send("WATCH a", "WATCH b", "SET b 1", "MULTI", "PING", "EXEC")
        await client.expect(OK * 4 + QUEUED + NIL)


@pytest.mark.parametrize("end", ["UNWATCH", "MULTI,DISCARD", "MULTI,EXEC", "RESET", "EXEC x"])
@in_loop
async def test_what_ends_watching(end: str) -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send("WATCH k", *end.split(","), "SET k v", "MULTI", "GET k", "EXEC", "QUIT")
        assert (await client.reader.read()).endswith(b"*1\r\n$1\r\nv\r\n+OK\r\n")


@in_loop
async def test_watch_inside_is_refused_and_ends_nothing_and_unwatch_inside_is_queued() -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send("WATCH k", "MULTI", "WATCH k", "MULTI", "UNWATCH", "EXEC")
        errors = b"-ERR WATCH inside MULTI is not allowed\r\n-ERR MULTI calls can not be nested\r\n"
        await client.expect(OK * 2 + errors + QUEUED + b"*1\r\n" + OK)


@in_loop
async def test_exec_compares_with_what_was_read_however_late_that_comes() -> None:
    async with serving() as harness:
        store, client, other = harness.store, await harness.connect(), await harness.connect()
        store.holding = True
        client.send("WATCH k", "MULTI", "SET k mine", "EXEC")
        await harness.arrived(1)
        await client.silent()
        assert len(store.submitted) == 1, "everything waits for what WATCH reads"
        store.release(store.submitted[0])
        await harness.arrived(2)
        other.send("SET k theirs")
        await harness.arrived(3)
        store.release(store.submitted[2])
        store.release(store.submitted[1])
        await client.expect(OK * 2 + QUEUED + NIL)
        store.holding = False
        await client.exchange("GET k", b"$6\r\ntheirs\r\n")


@in_loop
async def test_a_watch_among_writes_is_waited_for_too() -> None:
    async with serving() as harness:
        store, client, other = harness.store, await harness.connect(), await harness.connect()
        store.holding = True
        client.send("SET a 1", "WATCH k", "MULTI", "SET k mine", "EXEC")
        await harness.arrived(2)
        await client.silent()
        assert [request.read_only for request in store.submitted] == [False, False], "nothing more is under way"
        store.release(store.submitted[0])
        store.release(store.submitted[1])
        await harness.arrived(3)
        other.send("SET k theirs")
        await harness.arrived(4)
        store.release(store.submitted[3])
        store.release(store.submitted[2])
        await client.expect(OK * 3 + QUEUED + NIL)


@in_loop
async def test_watched_keys_are_compared_at_whatever_node_runs_it() -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send("SET k v", "WATCH k", "MULTI", "SET k w", "EXEC")
        await client.expect(OK * 3 + QUEUED + b"*1\r\n" + OK)
        payload = harness.store.submitted[2].payload()
        elsewhere = DictView()
        assert unpack_replies(handle(elsewhere, payload)) is None
        assert elsewhere.get(b"k") is None


@in_loop
async def test_what_a_watch_that_failed_should_have_guarded_is_not_done() -> None:
    """In Redis none ever fails, so a client may send EXEC without a look at its reply."""
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        store.holding = True
        client.send("WATCH k")
        await harness.arrived(1)
        store.fail(store.submitted[0], NoQuorum("alone"))
        store.holding = False
        await client.expect(b"-NOQUORUM alone\r\n")
        client.send("SET k v", "MULTI", "SET k w", "EXEC", "GET k", "MULTI", "SET k w", "EXEC")
        await client.expect(OK * 2 + QUEUED + NIL + b"$1\r\nv\r\n" + OK + QUEUED + b"*1\r\n" + OK)


# -- what the session does itself


@in_loop
async def test_commands_of_the_session_have_their_place_and_effect() -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send("MULTI", "PING", "SELECT 2", "SELECT 99", "SET k v", "CLIENT SETNAME me", "HELLO 3", "GET none", "EXEC")
        await client.expect(OK + QUEUED * 7 + b"*7\r\n+PONG\r\n" + OK + b"-ERR DB index is out of range\r\n" + OK * 2)
        assert (await client.reader.readuntil(b"*0\r\n_\r\n")).startswith(b"%7\r\n")
        client.send("CLIENT GETNAME", "GET k", "SELECT 0", "GET k")
        await client.expect(b"$2\r\nme\r\n$1\r\nv\r\n+OK\r\n_\r\n")
        assert {request.entity for request in harness.store.submitted[:2]} == {REDIS_BASE + 2}
        client.send("MULTI", "PING", "ECHO x", "EXEC", "MULTI", "EXEC")
        await client.expect(OK + QUEUED * 2 + b"*2\r\n+PONG\r\n$1\r\nx\r\n" + OK + b"*0\r\n")


@pytest.mark.parametrize("how", ["changed", "unknown", "refused"])
@in_loop
async def test_the_session_does_nothing_of_a_transaction_that_did_nothing(how: str) -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        client.send("WATCH k", *(["SET k v"] if how == "changed" else []), "MULTI", "CLIENT SETNAME me", "SET k w", "SELECT 1")
        await client.expect(OK * (3 if how == "changed" else 2) + QUEUED * 3)
        submitted = len(store.submitted)
        store.holding = True
        client.send("EXEC", "GET k")
        await harness.arrived(submitted + 1)
        exec_ = store.submitted[-1]
        store.holding = False
        if how == "changed":
            store.release(exec_)
            await client.expect(NIL + b"$1\r\nv\r\n")
        elif how == "unknown":
            store.fail(exec_, OutcomeUnknown("it timed out"))
            await client.expect(b"-UNKNOWN outcome unknown: it timed out\r\n$-1\r\n")
        else:
            store.fail(exec_, NoQuorum("alone"))
            await client.expect(b"-NOQUORUM alone\r\n$-1\r\n")
        assert store.submitted[-1].entity == REDIS_BASE
        await client.exchange("CLIENT GETNAME", b"$-1\r\n")


@in_loop
async def test_a_command_behind_exec_waits_where_the_session_changes() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        store.holding = True
        client.send("MULTI", "SELECT 1", "SET k v", "EXEC", "SET k w", "MULTI", "SET k x", "EXEC", "GET k")
        await harness.arrived(1)
        await client.expect(OK + QUEUED * 2)
        await client.silent()
        assert len(store.submitted) == 1
        store.release(store.submitted[0])
        await harness.arrived(4)
        assert {request.entity for request in store.submitted} == {REDIS_BASE + 1}, "and without such a command nothing waits"
        while store.held:
            store.release(store.held[0])
        await client.expect(b"*2\r\n" + OK * 2 + OK * 2 + QUEUED + b"*1\r\n" + OK + b"$1\r\nx\r\n")


@in_loop
async def test_client_reply_off_is_done_when_exec_is() -> None:
    """The reply to EXEC is one, and is sent."""
    async with serving() as harness:
        client = await harness.connect()
        client.send("MULTI", "SET k v", "CLIENT REPLY OFF", "EXEC", "SET k w", "CLIENT REPLY ON", "GET k")
        await client.expect(OK + QUEUED * 2 + b"*2\r\n" + OK + OK + OK + b"$1\r\nw\r\n")


@in_loop
async def test_a_mistake_in_a_command_of_the_session_ends_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as harness:
        client = await harness.connect()
        monkeypatch.setattr(harness.server, "info", lambda: 1 // 0)
        client.send("MULTI", "INFO", "SET k v", "EXEC", "GET k")
        await client.expect(OK + QUEUED * 2 + b"*2\r\n" + FAILED + OK + b"$1\r\nv\r\n")


@pytest.mark.parametrize(
    "words", [[], [b"no message pack"], [b"\x91\xc4\x01a"], [b"\x90", b"junk"], [b"\x90", encode(2, [b"exec"])]]
)
def test_what_is_no_transaction_is_refused_in_words(words: list[bytes]) -> None:
    with pytest.raises(InvalidRequest, match="this node"):
        handle(DictView(), encode(2, [b"exec", *words]))


# -- one entity


@pytest.mark.parametrize("lines", [("MULTI", "SET a 1", "SELECT 1", "SET b 1"), ("WATCH a", "SELECT 1", "MULTI", "SET b 1")])
@in_loop
async def test_one_over_two_databases_is_refused_in_words(lines: tuple[str, ...]) -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send(*lines, "EXEC", "QUIT")
        got = await client.reader.read()
        text = b"-CROSSDB a transaction is of one database, watched keys included: not of 0 and 1\r\n"
        assert got.endswith(text + ABORTED + OK)
        assert all(request.read_only for request in harness.store.submitted)


@in_loop
async def test_keys_of_two_databases_cannot_be_watched_at_one_time() -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send("WATCH a", "SELECT 1", "WATCH b", "UNWATCH", "WATCH b", "MULTI", "SET b 1", "EXEC")
        text = b"-CROSSDB a transaction is of one database, watched keys included: not of 0 and 1\r\n"
        await client.expect(OK * 2 + text + OK * 3 + QUEUED + b"*1\r\n" + OK)


@in_loop
async def test_with_slots_all_keys_are_of_one() -> None:
    async with serving(keyspace="slots:1000") as harness:
        client = await harness.connect()
        client.send("WATCH {t}a", "MULTI", "SET {t}b 1", "GET {t}c", "EXEC", "WATCH a b")
        cross = b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"
        await client.expect(OK * 2 + QUEUED * 2 + b"*2\r\n" + OK + b"$-1\r\n" + cross)
        text = b"-CROSSSLOT Keys of a transaction, watched ones included, don't hash to the same slot\r\n"
        client.send("MULTI", "SET a 1", "SET b 1", "EXEC", "WATCH a", "WATCH b", "UNWATCH", "MULTI", "DBSIZE", "EXEC")
        await client.expect(OK + QUEUED + text + ABORTED + OK + text + OK * 2)
        await client.expect(b"-CROSSSLOT DBSIZE is on more than one entity: it cannot be in a transaction\r\n" + ABORTED)


@in_loop
async def test_flushall_is_of_all_databases() -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send("SET k v", "MULTI", "FLUSHDB", "DBSIZE", "SCAN 0", "EXEC", "MULTI", "FLUSHALL", "EXEC")
        text = b"-CROSSSLOT FLUSHALL is on more than one entity: it cannot be in a transaction\r\n"
        await client.expect(OK * 2 + QUEUED * 3 + b"*3\r\n" + OK + b":0\r\n*2\r\n$1\r\n0\r\n*0\r\n" + OK + text + ABORTED)


# -- bounds


@in_loop
async def test_so_many_commands_may_be_queued_and_so_many_bytes() -> None:
    async with serving(max_transaction_commands=3, max_transaction_bytes=5_000) as harness:
        transport, connection = harness.plug()

        async def answer(*commands: bytes) -> bytes:
            before = len(transport.got)
            connection.data_received(b"".join(commands))
            await harness.settle()
            return transport.got[before:]

        many = await answer(pack(b"MULTI"), pack(b"PING") * 4, pack(b"EXEC"))
        assert many.startswith(
            OK + QUEUED * 3 + b"-TOOLARGE more than 3 commands in a transaction: see redis.max_transaction_commands"
        )
        assert many.endswith(ABORTED)
        large = pack(b"SET", b"k", bytes(3_000))
        assert await answer(pack(b"MULTI"), large) == OK + QUEUED
        assert 3_000 < harness.server.room.held == connection.held < 4_000
        assert (await answer(large)).startswith(b"-TOOLARGE a transaction of ")
        assert harness.server.room.held == 0, "what is of no use is not kept"
        assert await answer(pack(b"EXEC"), pack(b"MULTI"), large, pack(b"DISCARD")) == ABORTED + OK + QUEUED + OK
        await answer(pack(b"MULTI"), large)
        transport.abort()
        await harness.settle()
        assert harness.server.room.held == 0
        assert harness.store.submitted == []


@in_loop
async def test_so_many_keys_may_be_watched_and_so_many_bytes() -> None:
    async with serving(max_keys=3, max_transaction_bytes=5_000) as harness:
        client = await harness.connect()
        client.send("WATCH a b", "WATCH b c", "WATCH d", "UNWATCH", "WATCH d", "WATCH " + "x" * 4_900)
        many = b"-TOOLARGE more than 3 keys would be watched: see redis.max_keys\r\n"
        await client.expect(OK * 2 + many + OK * 2)
        assert (await client.reader.readline()).startswith(b"-TOOLARGE a transaction of ")


@in_loop
async def test_what_is_watched_counts_as_soon_as_it_is() -> None:
    async with serving() as harness:
        transport, connection = harness.plug()
        harness.store.holding = True
        connection.data_received(pack(b"WATCH", b"k", b"x" * 400))
        await harness.settle()
        harness.store.release(harness.store.submitted[0])
        await harness.settle()
        assert harness.server.room.held == connection.held > 400
        connection.data_received(pack(b"UNWATCH"))
        await harness.settle()
        assert (transport.got, harness.server.room.held) == (OK * 2, 0)


@in_loop
async def test_replies_are_bounded_where_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "MAX_REPLIES_BYTES", 10_000)
    async with serving() as harness:
        client = await harness.connect()
        client.send("SET k " + "x" * 4_000, "MULTI", "GET k", "GET k", "GET k", "SET done 1", "EXEC", "EXISTS done")
        text = b"-TOOLARGE the replies of a transaction are over the limit of 10000 bytes: ask for less at a time\r\n"
        await client.expect(OK * 2 + QUEUED * 4 + text + b":0\r\n")
        request: Any = harness.store.submitted[1]
        with pytest.raises(TooLarge):
            handle(harness.store.view(REDIS_BASE), request.payload())


@in_loop
async def test_the_time_of_a_transaction_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its scripts has a budget of its own, and there may be ten thousand."""
    now_s = count()
    monkeypatch.setattr(handler, "thread_time", lambda: next(now_s), raising=False)
    monkeypatch.setattr(handler, "MAX_TRANSACTION_S", 3, raising=False)
    async with serving() as harness:
        client = await harness.connect()
        client.send("MULTI", *["SET k v"] * 3, "EXEC", "DEL k", "MULTI", *["SET k v"] * 4, "EXEC")
        done = OK + QUEUED * 3 + b"*3\r\n" + OK * 3 + b":1\r\n"
        text = b"-TOOLARGE a transaction may take 3000 ms: put less into one\r\n"
        await client.expect(done + OK + QUEUED * 4 + text)


@in_loop
async def test_what_the_session_answers_is_bounded_too() -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send("MULTI", *["COMMAND DOCS"] * 1_000, "SET k v", "CLIENT SETNAME me", "EXEC", "GET k", "CLIENT GETNAME", "QUIT")
        got = await client.reader.read()
        text = b"-TOOLARGE not done: what the session answers within EXEC is over the limit of 262144 bytes\r\n"
        assert got.endswith(text + OK + text + b"$1\r\nv\r\n$-1\r\n" + OK)
        assert len(got) < 1_000_000


@pytest.mark.parametrize("name", ["max_transaction_commands", "max_transaction_bytes"])
def test_limits_that_cannot_be(name: str) -> None:
    with pytest.raises(ConfigError, match=f"redis {name}"):
        RedisSettings(**{name: 0})  # type: ignore[arg-type]  # whichever it is


@in_loop
async def test_client_list_shows_who_is_inside() -> None:
    async with serving() as harness:
        client, other = await harness.connect(), await harness.connect()
        client.send("MULTI", "PING")
        await client.expect(OK + QUEUED)
        other.send("CLIENT LIST", "QUIT")
        lines = (await other.reader.read()).split(b"\n")
        assert any(b" flags=x " in line and b" multi=1 " in line for line in lines)
        assert any(b" flags=N " in line and b" multi=-1 " in line for line in lines)
