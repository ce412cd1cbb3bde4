"""CLIENT REPLY: clients that want no replies, to all commands or to one."""

from __future__ import annotations

import pytest

from .support import MemoryStore, in_loop, serving

OFF = (
    "SET k 1",
    "CLIENT REPLY OFF",
    "INCR k",
    "FLUSHALL",
    "SET k 5",
    "GET k",
    "PING",
    "NONE",
    "CLIENT REPLY ON",
    "GET k",
    "PING",
)
SKIP = ("CLIENT REPLY SKIP", "INCR k", "INCR k", "CLIENT REPLY SKIP", "PING", "PING")
NEVER_MIND = ("CLIENT REPLY SKIP", "CLIENT REPLY ON", "PING")
MESSAGES = ("CLIENT REPLY OFF", "SUBSCRIBE c", "UNSUBSCRIBE c", "PING", "CLIENT REPLY SKIP", "SUBSCRIBE c", "PING x")
CONFIRMED = b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
LEFT = b"*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n"
WRONG = b"-ERR syntax error\r\n"


@pytest.mark.parametrize(
    ("lines", "replies"),
    [
        (OFF, b"+OK\r\n+OK\r\n$1\r\n5\r\n+PONG\r\n"),
        (SKIP, b":2\r\n+PONG\r\n"),
        (NEVER_MIND, b"+OK\r\n+PONG\r\n"),
        (MESSAGES, CONFIRMED + LEFT + CONFIRMED + b"*2\r\n$4\r\npong\r\n$1\r\nx\r\n"),
        (("CLIENT REPLY OFF", "RESET", "PING"), b"+RESET\r\n+PONG\r\n"),
        (("CLIENT REPLY x", "CLIENT REPLY SKIP", "CLIENT REPLY OFF", "PING", "CLIENT REPLY ON"), WRONG + b"+OK\r\n"),
    ],
)
@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
@in_loop
async def test_what_is_not_wanted_is_not_sent(lines: tuple[str, ...], replies: bytes, late: bool) -> None:
    store = MemoryStore()
    store.batching = late
    async with serving(store) as harness:
        client = await harness.connect()
        client.send(*lines)
        await client.expect(replies)
        await client.silent()
        await client.exchange("RESET", b"+RESET\r\n")
        await client.exchange("GET none", b"$-1\r\n")
