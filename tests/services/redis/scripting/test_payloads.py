"""FUNCTION DUMP and RESTORE: the same bytes and errors as a real redis-server, payloads that go both ways, all or nothing."""

from __future__ import annotations

import pytest

from paxosstore.errors import TooLarge
from paxosstore.services.redis.scripting import libraries, payloads
from paxosstore.services.redis.types.rdb.crc64 import crc64
from paxosstore.services.redis.types.rdb.saving import string
from paxosstore.services.redis.types.rdb.sealing import VERSION, sealed

from ..oracle import Connection, Words, compare, needs_redis, parsed
from ..support import DictView
from .conftest import Evaluate

RESTORE, DUMP, FLUSH = (b"FUNCTION", b"RESTORE"), (b"FUNCTION", b"DUMP"), (b"FUNCTION", b"FLUSH")


def library(name: str, *functions: str) -> bytes:
    lines = [f"redis.register_function('{function}', function() return '{name}' end)" for function in functions]
    return "\n".join([f"#!lua name={name}", *lines]).encode()


def payload(*codes: bytes) -> bytes:
    return sealed(b"".join([b"\xf5" + string(code) for code in codes]))


def of_version(version: int) -> bytes:
    content = b"\xf5" + string(A) + version.to_bytes(2, "little")
    return content + crc64(content).to_bytes(8, "little")


A, B, C = library("a", "x"), library("b", "x"), library("c", "f1")
LONG = library("long", *[f"function_{number}" for number in range(120)]) + b"\n-- " + b"a" * 3_000
FAILS = b"#!lua name=d\nerror('boo')"
CONTENTS = (
    b"",
    b"\xf5",
    b"\xf5\x41",
    b"\x00\x01a",
    b"\xff",
    b"\xf5" + string(A) + b"\xf5",
    b"\xf5" + string(A) + b"\xff",
    b"\xf5" + string(b"abc"),
    b"\xf5" + string(b"#!py name=z\n"),
    b"\xf5" + string(b"#!lua name=z-\n"),
)
COMMANDS: list[Words] = [
    FLUSH,
    DUMP,
    (*DUMP, b"x"),
    (b"FUNCTION", b"LOAD", C),
    DUMP,
    FLUSH,
    (b"FUNCTION", b"LOAD", LONG),
    DUMP,
    FLUSH,
    RESTORE,
    (*RESTORE, b""),
    (*RESTORE, b"abc"),
    (*RESTORE, payload(A)[:-1] + b"?"),
    (*RESTORE, payload(A), b"x"),
    (*RESTORE, b"abc", b"x"),
    (*RESTORE, payload(A), b"FLUSH", b"x"),
    (b"function", b"restore", payload(A), b"FLUSH", b"x"),
    *[(*RESTORE, sealed(content)) for content in CONTENTS],
    (*RESTORE, of_version(VERSION + 1)),
    (*RESTORE, payload(A, B)),
    (*RESTORE, payload(A, A)),
    (*RESTORE, payload(A, FAILS)),
    (*RESTORE, payload(b"#!lua name=e\nxx yy")),
    (*RESTORE, payload(b"#!lua name=e\nreturn 1")),
    (b"FUNCTION", b"LIST"),
    (*RESTORE, payload(A), b"flush"),
    (b"FUNCTION", b"LIST"),
    (*RESTORE, payload(A)),
    (*RESTORE, payload(A), b"append"),
    (*RESTORE, payload(B), b"REPLACE"),
    (*RESTORE, payload(B), b"APPEND"),
    (*RESTORE, payload(library("a", "y")), b"Replace"),
    (b"FCALL", b"x", b"0"),
    (b"FCALL", b"y", b"0"),
    (*RESTORE, payload(B, FAILS), b"FLUSH"),
    (b"FUNCTION", b"LIST", b"WITHCODE"),
    (*RESTORE, of_version(9)),
    (*RESTORE, of_version(9), b"FLUSH"),
    (b"FCALL", b"x", b"0"),
    FLUSH,
]


@needs_redis
@pytest.mark.parametrize("proto", [2, 3])
def test_the_same_as_redis(ports: tuple[int, int], proto: int) -> None:
    compare(ports, proto, COMMANDS)


@needs_redis
def test_payloads_go_both_ways(ports: tuple[int, int]) -> None:
    redis, ours = (Connection(port) for port in ports)
    with redis.socket, ours.socket:
        for source, target in ((redis, ours), (ours, redis)):
            for one in (source, target):
                assert one.ask(*FLUSH) == b"+OK\r\n"
            for code in (A, C, LONG):
                assert source.ask(b"FUNCTION", b"LOAD", code)[:1] == b"$"
            dumped = parsed(source.ask(*DUMP))
            assert isinstance(dumped, bytes)
            assert target.ask(*RESTORE, dumped) == b"+OK\r\n"
            for name in (b"a", b"c", b"long"):
                asked = (b"FUNCTION", b"LIST", b"LIBRARYNAME", name, b"WITHCODE")
                here, there = parsed(source.ask(*asked)), parsed(target.ask(*asked))
                assert sorted(repr(here)) == sorted(repr(there)), name  # Redis lists functions in no order
            assert target.ask(b"FCALL", b"f1", b"0") == b"$1\r\nc\r\n"


def test_it_restores_all_or_nothing(run: Evaluate, view: DictView) -> None:
    for code in (A, C):
        run("FUNCTION", "LOAD", code)
    before = dict(view.rows)
    other = library("other", "other")
    for policy in ("APPEND", "REPLACE", "FLUSH"):
        assert run("FUNCTION", "RESTORE", payload(other, library("a", "y"), library("c", "y")), policy)[:1] == b"-"
        assert run("FUNCTION", "RESTORE", payload(other, FAILS), policy)[:1] == b"-"
        assert run("FUNCTION", "RESTORE", sealed(b"\xf5" + string(other) + b"\xf5\x41"), policy)[:1] == b"-"
    assert run("FUNCTION", "RESTORE", payload(other, library("e", "F1")), "REPLACE") == b"-ERR Function F1 already exists\r\n"
    assert view.rows == before


def test_there_is_no_room(run: Evaluate, view: DictView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "MAX_LIBRARIES", 3)
    for code in (A, C):
        run("FUNCTION", "LOAD", code)
    before = dict(view.rows)
    with pytest.raises(TooLarge):
        run("FUNCTION", "RESTORE", payload(library("d", "d"), library("e", "e")))
    with pytest.raises(TooLarge):
        run("FUNCTION", "RESTORE", payload(*[library(f"l{number}", f"f{number}") for number in range(4)]), "FLUSH")
    assert view.rows == before
    assert run("FUNCTION", "RESTORE", payload(library("d", "d"), library("a", "x"))) != b"+OK\r\n"
    assert run("FUNCTION", "RESTORE", payload(library("d", "d"), library("a", "x")), "REPLACE") == b"+OK\r\n"
    monkeypatch.setattr(libraries, "MAX_BYTES", 100)
    with pytest.raises(TooLarge):
        run("FUNCTION", "RESTORE", payload(A, C), "FLUSH")


def test_its_time_is_bounded(run: Evaluate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "MAX_RESTORE_S", -1.0)
    with pytest.raises(TooLarge):
        run("FUNCTION", "RESTORE", payload(A))


def test_what_is_not_compressed_is_restored_as_well(run: Evaluate, view: DictView, monkeypatch: pytest.MonkeyPatch) -> None:
    run("FUNCTION", "LOAD", LONG)
    short = run("FUNCTION", "DUMP")
    monkeypatch.setattr(payloads, "MAX_PACKED_BYTES", 100)
    plain = run("FUNCTION", "DUMP")
    assert len(short) < len(LONG) < len(plain)
    rows = dict(view.rows)
    for dumped in (short, plain):
        run("FUNCTION", "FLUSH")
        assert run("FUNCTION", "RESTORE", dumped.split(b"\r\n", 1)[1][:-2]) == b"+OK\r\n"
        assert view.rows == rows
