"""The settings that decide on compact forms."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from paxosstore.services.redis.layout import compact

from .oracle import compare, needs_redis, script
from .support import in_loop, serving


@pytest.fixture(autouse=True)
def _defaults() -> Iterator[None]:
    yield
    compact.limits.update(compact.DEFAULTS)


SCRIPT = """
CONFIG SET / CONFIG SET foo 1 / CONFIG SET hash-max-listpack-entries x / CONFIG SET hash-max-listpack-entries -1
CONFIG SET hash-max-listpack-entries 2 foo 1 / CONFIG SET hash-max-listpack-entries 2 foo / CONFIG SET databases 5
CONFIG SET hash-max-listpack-entries 2 hash-max-listpack-entries 3 / CONFIG GET hash-max-listpack-entries
CONFIG SET hash-max-listpack-entries 2 set-max-intset-entries 3 / CONFIG GET hash-max-listpack-entries
CONFIG GET hash-max-ziplist-* / HSET h a 1 b 2 / OBJECT ENCODING h / HSET h c 3 / OBJECT ENCODING h / SADD s 1 2 3
OBJECT ENCODING s / SADD s 4 / OBJECT ENCODING s / CONFIG SET hash-max-ziplist-value 3 / HSET v f abc / OBJECT ENCODING v
HSET v f abcd / OBJECT ENCODING v / CONFIG SET zset-max-listpack-entries 1 ZSET-MAX-LISTPACK-VALUE 2 / ZADD z 1 aa
OBJECT ENCODING z / ZADD z 2 b / OBJECT ENCODING z / ZADD y 1 aaa / OBJECT ENCODING y / ZADD x 1 a / ZUNIONSTORE w 2 x x
OBJECT ENCODING w / CONFIG SET hll-sparse-max-bytes 30 / PFADD p a b c / PFDEBUG ENCODING p / PFADD p d e f g
PFDEBUG ENCODING p / CONFIG SET hash-max-listpack-entries 512
CONFIG SET hash-max-listpack-value 64 set-max-intset-entries 512 zset-max-listpack-entries 128 zset-max-listpack-value 64
CONFIG SET hll-sparse-max-bytes 3000
"""


@needs_redis
def test_values_outgrow_them_where_redis_says(ports: tuple[int, int]) -> None:
    compare(ports, 3, script(SCRIPT), ("CONFIG",))


@in_loop
async def test_they_are_set_all_or_none_and_nothing_else_is() -> None:
    async with serving() as harness:
        client = await harness.connect()
        await client.exchange(
            "CONFIG SET set-max-intset-entries 7 maxclients 7",
            b"-ERR CONFIG SET failed (possibly related to argument 'maxclients') - can't set immutable config\r\n",
        )
        assert compact.limits == compact.DEFAULTS
        await client.exchange("CONFIG SET set-max-intset-entries 7", b"+OK\r\n")
        await client.exchange("CONFIG GET set-max-intset-entries", b"*2\r\n$22\r\nset-max-intset-entries\r\n$1\r\n7\r\n")
