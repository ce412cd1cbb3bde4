"""Programs of three clients, with transactions: a real redis-server, this service, and three nodes answer with the same bytes."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hiredis import Reader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paxosstore.cli.cluster import LocalCluster

from .oracle import Words, needs_redis, words
from .support import pack

pytestmark = needs_redis
CLIENTS = 3
Program = list[tuple[int, Words]]
"""Which client sends what."""


class Wire:
    """One client: a request, and the bytes of its reply."""

    def __init__(self, port: int, proto: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._reader = Reader(replyError=lambda text: RuntimeError(text))
        if proto == b"3":
            assert self.ask((b"HELLO", proto)).startswith(b"%7\r\n")

    def ask(self, command: Words) -> bytes:
        self.socket.sendall(pack(*command))
        got = b""
        while True:
            piece = self.socket.recv(65_536)
            assert piece, "the connection is closed"
            got += piece
            self._reader.feed(piece)
            if self._reader.gets() is not False:
                return got


def run(ports: Sequence[int], proto: bytes, program: Program) -> list[bytes]:
    """The replies to a program on an empty database, one command after the other; each client has a port of its own."""
    wires = [Wire(port, proto) for port in ports]
    try:
        wires[0].ask((b"FLUSHALL",))
        return [wires[client].ask(command) for client, command in program]
    finally:
        for wire in wires:
            wire.socket.close()


KEY = st.sampled_from([b"a", b"b", b"c"])
VALUE = st.sampled_from([b"1", b"-5", b"word", b""])
DATA: st.SearchStrategy[Words] = st.one_of(
    words("GET", KEY),
    words("SET", KEY, VALUE),
    words("SETNX", KEY, VALUE),
    words("GETSET", KEY, VALUE),
    words("MSET", KEY, VALUE, KEY, VALUE),
    words("INCR", KEY),
    words("INCRBY", KEY, VALUE),
    words("APPEND", KEY, VALUE),
    words("SETRANGE", KEY, "0", VALUE),
    words("DEL", KEY),
    words("EXISTS", KEY),
    words("EXPIRE", KEY, st.sampled_from([b"100", b"-1", b"x"])),
    words("PERSIST", KEY),
    words("TYPE", KEY),
    words("DBSIZE"),
    words("HSET", KEY, st.sampled_from([b"f", b"g"]), VALUE),
    words("HDEL", KEY, st.sampled_from([b"f", b"g"])),
    words("HGET", KEY, "f"),
    words("SADD", KEY, VALUE),
    words("SREM", KEY, VALUE),
    words("SCARD", KEY),
    words("LPUSH", KEY, VALUE),
    words("RPOP", KEY),
    words("LRANGE", KEY, "0", "-1"),
    words("LSET", KEY, "0", VALUE),
    words("BLPOP", KEY, "0.01"),
)
ODD: st.SearchStrategy[Words] = st.one_of(
    words("PING"),
    words("ECHO", VALUE),
    words("CLIENT", "GETNAME"),
    words("CLIENT", "SETNAME", st.sampled_from([b"me", b"a b"])),
    words("CLIENT", "nonsense"),
    words("PUBLISH", "channel", VALUE),
    words("nonsense", "x"),
    words("GET"),
    words("SELECT", "99"),
    words("EXEC", "x"),
    words("RESET"),
)
STEPS: st.SearchStrategy[Words] = st.one_of(
    *([DATA] * 4),
    ODD,
    words("MULTI"),
    words("MULTI"),
    words("EXEC"),
    words("EXEC"),
    words("DISCARD"),
    words("WATCH", KEY),
    words("WATCH", KEY, KEY),
    words("UNWATCH"),
)
WATCHED: st.SearchStrategy[Program] = st.builds(
    lambda client, other, key, between, queued: [
        (client, (b"WATCH", key)),
        *[(other, command) for command in between],
        (client, (b"MULTI",)),
        *[(client, command) for command in queued],
        (client, (b"EXEC",)),
    ],
    st.integers(0, CLIENTS - 1),
    st.integers(0, CLIENTS - 1),
    KEY,
    st.lists(DATA, max_size=3),
    st.lists(DATA, max_size=4),
)
PROGRAM: st.SearchStrategy[Program] = st.lists(
    st.one_of(WATCHED, st.builds(lambda client, step: [(client, step)], st.integers(0, CLIENTS - 1), STEPS)), max_size=25
).map(lambda parts: [step for part in parts for step in part])


def same(program: Program, theirs: Sequence[int], ours: Sequence[int], proto: bytes) -> None:
    expected, got = run(theirs, proto, program), run(ours, proto, program)
    different = [found for found in zip(program, expected, got, strict=True) if found[1] != found[2]]
    assert not different, "\n".join(map(str, different))


def programs(examples: int) -> settings:
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=examples, deadline=None, suppress_health_check=checks)


@given(PROGRAM, st.sampled_from([b"2", b"3"]))
@programs(60)
def test_one_node(ports: tuple[int, int], program: Program, proto: bytes) -> None:
    same(program, [ports[0]] * CLIENTS, [ports[1]] * CLIENTS, proto)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    directory: Path = tmp_path_factory.mktemp("nodes")
    with LocalCluster(directory) as cluster:
        cluster.init()
        for node in range(cluster.nodes):
            cluster.launch(node)
        for node in range(cluster.nodes):
            cluster.wait_ready(node, 120.0)  # the machine may have much else to do
        yield [cluster.redis_port(node) for node in range(cluster.nodes)]


@given(PROGRAM, st.sampled_from([b"2", b"3"]))
@programs(30)
def test_three_nodes_each_with_a_client(ports: tuple[int, int], nodes: list[int], program: Program, proto: bytes) -> None:
    same(program, [ports[0]] * CLIENTS, nodes, proto)
