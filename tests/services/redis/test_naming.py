"""Renaming, copying and choosing keys, by what they cost and leave behind; OBJECT and RANDOMKEY over slots."""

from __future__ import annotations

from collections import Counter

import pytest

from paxosstore.services.redis.commands.handler import encode, handle
from paxosstore.services.redis.layout.garbage import is_there_garbage
from paxosstore.services.redis.layout.hashed import CHANCE
from paxosstore.services.redis.layout.keys import Key, number_of_keys
from paxosstore.services.redis.layout.keyspace import REDIS_BASE

from .support import NOW_MS, DictView, in_loop, serving


def run(view: DictView, line: str) -> bytes:
    return handle(view, encode(2, line.encode().split()))


def members(view: DictView) -> set[bytes]:
    return {where for where in view.rows if where.startswith(b"m")}


def test_a_new_name_moves_no_member_and_lets_go_of_what_had_it() -> None:
    view = DictView(REDIS_BASE)
    run(view, "SADD s " + " ".join([f"m{number}" for number in range(500)]))
    before = members(view)
    assert run(view, "RENAME s t") == b"+OK\r\n"
    assert members(view) == before
    assert not is_there_garbage(view.scan)
    run(view, "SADD u x")
    run(view, "RENAME t u")
    assert is_there_garbage(view.scan)
    assert number_of_keys(view) == 1
    assert run(view, "SCARD u") == b":500\r\n"


def test_a_copy_and_its_source_go_their_own_ways() -> None:
    view = DictView(REDIS_BASE)
    run(view, "HSET h f 1 g 2")
    run(view, "COPY h i")
    run(view, "HSET i f other")
    run(view, "HDEL h g")
    assert run(view, "HGET h f") == b"$1\r\n1\r\n"
    assert run(view, "HGET i g") == b"$1\r\n2\r\n"
    assert len(members(view)) == 3


@pytest.mark.parametrize("line", ["MOVE k 1", "COPY k k DB 1", "COPY k other DB 15", "SWAPDB 0 1"])
def test_what_concerns_two_databases_is_refused(line: str) -> None:
    view = DictView(REDIS_BASE)
    run(view, "SET k v")
    rows = dict(view.rows)
    assert run(view, line).startswith(b"-ERR databases are replicated each by itself")
    assert view.rows == rows


def test_every_key_is_chosen_as_often() -> None:
    CHANCE.seed(7)
    view = DictView(REDIS_BASE)
    for number in range(300):
        run(view, f"SET k{number} v")
    seen = Counter([run(view, "RANDOMKEY") for _ in range(3_000)])
    squares = sum([(count - 10) ** 2 / 10 for count in seen.values()]) + 10 * (300 - len(seen))
    assert squares < 300 + 5 * 600**0.5, "chi-square, five standard deviations over its mean"


def test_no_key_is_chosen_whose_time_has_passed() -> None:
    CHANCE.seed(7)
    view = DictView(REDIS_BASE)
    for number in range(300):
        Key(view, b"due%d" % number).set(b"v", NOW_MS - 1)
    run(view, "SET k v")
    assert {run(view, "RANDOMKEY") for _ in range(30)} == {b"$1\r\nk\r\n"}
    run(view, "DEL k")
    assert {run(view, "RANDOMKEY") for _ in range(30)} == {b"$-1\r\n"}
    assert run(view, "KEYS *") == b"*0\r\n"


@in_loop
async def test_over_slots() -> None:
    async with serving(keyspace="slots:4") as harness:
        client = await harness.connect()
        await client.exchange("RANDOMKEY", b"$-1\r\n")
        await client.exchange("SET k v", b"+OK\r\n")
        await client.exchange("RANDOMKEY", b"$1\r\nk\r\n")
        await client.exchange("OBJECT ENCODING k", b"$6\r\nembstr\r\n")
        await client.exchange("SINTERCARD 0 k", b"-ERR numkeys should be greater than 0\r\n")
        await client.exchange("OBJECT HELP x", b"-ERR wrong number of arguments for 'object|help' command\r\n")
        await client.exchange(
            "KEYS *", b"-ERR KEYS is not possible where the keys of a database are spread over slots: use SCAN\r\n"
        )
