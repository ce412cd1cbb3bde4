"""Limits of the Redis service that change while clients are there."""

from __future__ import annotations

from dataclasses import replace

from paxosstore.services.redis.resp import Limits, Refused, RequestParser

from .support import MemoryStore, in_loop, pack, serving


@in_loop
async def test_limits_hold_at_once_for_clients_that_are_there() -> None:
    async with serving(max_request_bytes=1_000_000) as harness:
        transport, connection = harness.plug()
        settings = harness.server.settings

        async def answer(*command: bytes) -> bytes:
            before = len(transport.got)
            connection.data_received(pack(*command))
            await harness.settle()
            transport.take(1_000_000)
            return transport.got[before:]

        assert await answer(b"SET", b"k", b"v" * 900_000) == b"+OK\r\n"
        harness.server.tune(replace(settings, max_request_bytes=100_000))
        assert b"over the limit of 100000: see redis.max_request_bytes" in await answer(b"SET", b"k", b"v" * 900_000)
        harness.server.tune(replace(settings, max_keys=2))
        assert b"at most 2 keys" in await answer(b"MGET", *[b"k"] * 40)
        harness.server.tune(settings)
        assert await answer(b"SET", b"k", b"v" * 900_000) == b"+OK\r\n"


@in_loop
async def test_no_more_clients_than_the_new_limit_and_those_that_are_there_stay() -> None:
    async with serving() as harness:
        settings = harness.server.settings
        first, connection = harness.plug()
        harness.server.tune(replace(settings, max_clients=1))
        second, _ = harness.plug()
        await harness.settle()
        assert b"max number of clients reached" in second.got + b"".join(second.written)
        connection.data_received(pack(b"PING"))
        await harness.settle()
        assert b"PONG" in first.got + b"".join(first.written)


@in_loop
async def test_who_holds_too_much_under_the_new_limit_is_closed() -> None:
    async with serving(MemoryStore(), max_clients_bytes=64_000_000) as harness:
        transport, connection = harness.plug()
        connection.data_received(pack(b"SET", b"k", b"v" * 2_000_000)[:-1_000_000])  # half a request
        await harness.settle()
        assert not transport.ended
        harness.server.tune(replace(harness.server.settings, max_clients_bytes=400_000, max_request_bytes=100_000))
        await harness.settle()
        assert transport.ended


@in_loop
async def test_where_it_listens_and_how_keys_map_does_not_change() -> None:
    async with serving() as harness:
        before = harness.server.settings
        harness.server.tune(replace(before, host="192.0.2.1", port=9, keyspace="slots:5", max_keys=7))
        assert harness.server.settings == replace(before, max_keys=7)


def test_a_request_under_way_meets_the_new_limits() -> None:
    parser = RequestParser(Limits(max_request_bytes=1_000_000))
    request = pack(b"SET", b"k", b"v" * 5_000)
    assert parser.feed(request[:30]) == []
    parser.tune(Limits(max_request_bytes=100))
    assert parser.feed(request[30:]) or True
    refused = [one for one in parser.feed(request) if isinstance(one, Refused)]
    assert refused
    parser.tune(Limits(max_request_bytes=1_000_000))
    assert parser.feed(request) == [[b"SET", b"k", b"v" * 5_000]]
