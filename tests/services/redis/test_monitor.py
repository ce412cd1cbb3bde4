"""MONITOR: what is told of the commands of others."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .oracle import Connection, needs_redis
from .support import in_loop, pack, serving

COMMANDS: tuple[tuple[bytes, ...], ...] = (
    (b"set", b"k", b'a b"\\\t\xc3\x00'),
    (b"GET", b"k"),
    (b"multi",),
    (b"incr", b"n"),
    (b"exec",),
    (b"nosuch", b"a"),
    (b"get",),
    (b"config", b"get", b"hz"),
    (b"select", b"2"),
    (b"get", b"k"),
    (b"auth", b"x"),
    (b"hello", b"2", b"auth", b"default", b"secret"),
    (b"hello", b"2", b"setname", b"auth"),
    (b"acl", b"setuser", b"x", b">secret"),
    (b"migrate", b"127.0.0.1", b"1", b"none", b"0", b"1", b"auth2", b"u", b"secret"),
    (b"client", b"setname", b"x"),
    (b"client", b"list"),
    (b"slowlog", b"len"),
    (b"object", b"encoding", b"k"),
)
LINE = re.compile(rb"\+\d+\.\d{6} \[(\d+) [^]]+\] (.*)")


def _told(port: int, commands: Sequence[tuple[bytes, ...]]) -> list[tuple[bytes, bytes]]:
    """Databases and words of what a client that listens is told, until the end is told."""
    listener, other = Connection(port), Connection(port)
    with listener.socket, other.socket:
        listener.socket.sendall(pack(b"MONITOR"))
        got = b""
        while not got.startswith(b"+OK\r\n"):
            got += listener.socket.recv(65_536)
        other.ask_all([*commands, (b"echo", b"the-end")])
        while b'"the-end"' not in got:
            got += listener.socket.recv(65_536)
    found = [LINE.fullmatch(line) for line in got.split(b"\r\n")]
    return [(match[1], match[2]) for match in found if match and b'"--mark' not in match[2]]


@needs_redis
def test_what_is_told_is_what_redis_tells(ports: tuple[int, int]) -> None:
    theirs, ours = (_told(port, COMMANDS) for port in ports)
    # Redis names the database after SELECT and has done it then; here commands are told as they come
    assert [words for _, words in ours] == [words for _, words in theirs]
    assert (b"2", b'"get" "k"') in ours


@in_loop
async def test_who_listens_is_named_and_stops_with_reset_or_goes() -> None:
    async with serving() as harness:
        listener, other = await harness.connect(), await harness.connect()
        await listener.exchange("MONITOR", b"+OK\r\n")
        assert bool(harness.server.monitors.sessions)
        await other.exchange("PING", b"+PONG\r\n")
        assert (await listener.reader.readline()).endswith(b'] "PING"\r\n')
        listener.send("RESET")
        await listener.expect(b"+RESET\r\n")
        assert not harness.server.monitors.sessions
        await listener.exchange("MONITOR", b"+OK\r\n")
        await other.exchange("CLIENT KILL SKIPME yes", b":1\r\n")
        assert await listener.reader.read() == b""
        assert not harness.server.monitors.sessions


@in_loop
async def test_the_exec_of_what_is_discarded_is_told_as_well() -> None:
    async with serving() as harness:
        listener, other = await harness.connect(), await harness.connect()
        await listener.exchange("MONITOR", b"+OK\r\n")
        other.send("MULTI", "NOSUCH", "EXEC")
        for word in (b"MULTI", b"EXEC"):
            assert (await listener.reader.readline()).endswith(b'] "%b"\r\n' % word)


@in_loop
async def test_what_is_told_of_a_large_command_is_bounded() -> None:
    async with serving() as harness:
        listener, other = await harness.connect(), await harness.connect()
        await listener.exchange("MONITOR", b"+OK\r\n")
        other.writer.write(pack(b"PING", b"x" * 1_000_000))
        assert len(await listener.reader.readline()) < 5_000
        other.writer.write(pack(b"MGET", *([b"k"] * 5_000)))
        assert len(await listener.reader.readline()) < 5_000
