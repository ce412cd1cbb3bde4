"""Commands that would change what the following ones mean, and are refused."""

from __future__ import annotations

import pytest

from paxosstore.services.redis.layout.keyspace import REDIS_BASE
from paxosstore.services.redis.session.modes import EXEC_ABORT, NESTED, NO_MULTI, NO_WATCH, NOT_DONE, WATCH_INSIDE

from .support import in_loop, serving


@in_loop
async def test_nothing_of_a_refused_transaction_is_done() -> None:
    async with serving() as harness:
        store, client = harness.store, await harness.connect()
        client.send("MULTI", "INCR n", "SELECT 3", "nonsense", "GET", "WATCH n", "MULTI", "UNWATCH", "EXEC", "ECHO after")
        await client.expect(NO_MULTI + NOT_DONE * 4 + WATCH_INSIDE + NESTED + NOT_DONE + EXEC_ABORT + b"$5\r\nafter\r\n")
        assert store.submitted == []
        client.send("MULTI", "INCR n", "DISCARD", "INCR n")
        await client.expect(NO_MULTI + NOT_DONE + b"+OK\r\n:1\r\n")
        assert [request.entity for request in store.submitted] == [REDIS_BASE]


@in_loop
async def test_a_refused_transaction_ends_with_reset_and_quit() -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send("MULTI", "RESET now", "RESET", "INCR n", "MULTI", "QUIT", "INCR n")
        await client.expect_end(NO_MULTI + NOT_DONE + b"+RESET\r\n:1\r\n" + NO_MULTI + b"+OK\r\n")
        assert len(harness.store.submitted) == 1


@in_loop
async def test_commands_on_transactions_outside_of_one() -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send("EXEC", "DISCARD", "UNWATCH", "WATCH k", "MULTI x", "watch", "INCR n")
        await client.expect(b"-ERR EXEC without MULTI\r\n-ERR DISCARD without MULTI\r\n+OK\r\n" + NO_WATCH)
        for name in ("multi", "watch"):
            await client.expect(b"-ERR wrong number of arguments for '%b' command\r\n" % name.encode())
        await client.expect(b":1\r\n")


@pytest.mark.parametrize("mode", ["OFF", "skip"])
@in_loop
async def test_a_client_that_wants_no_replies_is_not_given_wrong_ones(mode: str) -> None:
    async with serving() as harness:
        client = await harness.connect()
        client.send("CLIENT REPLY ON", "CLIENT REPLY", "CLIENT REPLY later", f"CLIENT REPLY {mode}", "INCR n")
        ending = b"-ERR CLIENT REPLY OFF and SKIP are not possible here: the connection ends\r\n"
        arity = b"-ERR wrong number of arguments for 'client|reply' command\r\n"
        await client.expect_end(b"+OK\r\n" + arity + b"-ERR syntax error\r\n" + ending)
        assert harness.store.submitted == []
