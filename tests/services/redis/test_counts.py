"""What INFO counts: keys that were there and were not, bytes, errors; held against a redis-server."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import redis

from paxosstore.services.redis.beside.view import LongView
from paxosstore.services.redis.commands.handler import call, encode, handle
from paxosstore.services.redis.commands.once import ONCE
from paxosstore.services.redis.commands.table import TABLE
from paxosstore.services.redis.information import Rates
from paxosstore.services.redis.layout.keys import LOOKUPS
from paxosstore.services.redis.meter import Metered, TooLong
from paxosstore.services.redis.room import Traffic

from .oracle import Connection, needs_redis, script
from .support import NOW_MS, Client, DictView, in_loop, pack, serving
from .test_commands import run
from .test_long_reads import Desk, Frozen, Reader, in_desk
from .test_portable import SortedView

DATA = """
SET s abc / SET n 12 / SET s2 abd / HSET h f v g w / RPUSH l a b c / SADD t a b c / SADD u b c d / ZADD z 1 a 2 b
ZADD y 1 b 5 c / XADD x 1-1 f v / XADD x 1-2 f v / XGROUP CREATE x g 0 / GEOADD geo 1 1 a 1.001 1 b / PFADD p a b / PFADD q c
SET w_a 3 / SET w_b 2 / SET w_c 1
"""
LOOKED_UP = """
GET s / GET no / GET h / GETSET s x / GETSET no x / GETDEL s / GETDEL no / GETEX s / GETEX no / GETEX s EX 10 / MGET s no n s h
STRLEN s / STRLEN no / GETRANGE s 0 1 / SUBSTR s 0 1 / LCS s s2 / LCS s no / SET s v GET / SET no v GET / SET s v / SET s v XX
SETNX s v / SETNX no v / INCR n / INCR no / APPEND s x / SETRANGE s 1 z / MSET s a b c / MSETNX s a q1 b / MSETNX a1 a q1 b
INCRBYFLOAT n 1 / SETEX s 10 x / PSETEX s 10000 x / GETBIT s 1 / BITCOUNT s / BITCOUNT no / BITPOS s 1 / BITOP AND d s s2
BITOP AND d s no / BITOP NOT d no / SETBIT s 1 1 / BITFIELD s GET u8 0 / BITFIELD s SET u8 0 1 / BITFIELD no SET u8 0 1
BITFIELD_RO s GET u8 0 / HGET h f / HGET h no / HGET no f / HMGET h f g / HLEN h / HEXISTS h f / HSTRLEN h f / HKEYS h / HVALS h
HGETALL h / HGETALL no / HRANDFIELD h / HRANDFIELD h 2 / HRANDFIELD no 2 / HSCAN h 0 / HSCAN no 0 / HSET h a b / HSETNX h a b
HDEL h f / HINCRBY h c 1 / HINCRBYFLOAT h c 1 / LLEN l / LLEN no / LRANGE l 0 -1 / LINDEX l 0 / LPOS l a / LPUSH l a / LPUSHX l a
LPOP l / LSET l 0 x / LREM l 0 a / LTRIM l 0 1 / LINSERT l BEFORE b x / LMOVE l m LEFT LEFT / RPOPLPUSH l m / LMPOP 1 l LEFT
BLPOP l 1 / BLMPOP 1 1 l LEFT / BLMOVE l m LEFT LEFT 1 / BRPOPLPUSH l m 1 / SMEMBERS t / SISMEMBER t a / SMISMEMBER t a b
SCARD t / SCARD no / SINTER t u / SINTER t no u / SINTER no t u / SUNION t u no / SDIFF t u no / SINTERCARD 2 t u
SINTERCARD 3 t no u / SRANDMEMBER t / SRANDMEMBER t 2 / SRANDMEMBER t -2 / SSCAN t 0 / SADD t z / SREM t a / SPOP t / SPOP t 2
SMOVE t u a / SINTERSTORE d t u / SUNIONSTORE d t u no / SDIFFSTORE d t u / SUNIONSTORE t t u / SINTERSTORE d t no
ZSCORE z a / ZMSCORE z a b / ZCARD z / ZRANK z a / ZREVRANK z a / ZCOUNT z 0 9 / ZLEXCOUNT z - + / ZRANGE z 0 -1 / ZRANGE no 0 -1
ZREVRANGE z 0 -1 / ZRANGEBYSCORE z 0 9 / ZREVRANGEBYSCORE z 9 0 / ZRANGEBYLEX z - + / ZREVRANGEBYLEX z + - / ZRANDMEMBER z
ZRANDMEMBER z 2 / ZSCAN z 0 / ZUNION 2 z y / ZUNION 2 z no / ZINTER 2 z y / ZDIFF 2 z y / ZINTERCARD 2 z y / ZUNIONSTORE d 2 z y
ZUNIONSTORE d 2 z t / ZINTERSTORE d 2 z no / ZDIFFSTORE d 2 z y / ZRANGESTORE d z 0 -1 / ZRANGESTORE d no 0 -1 / ZADD z 1 a
ZINCRBY z 1 a / ZREM z a / ZPOPMIN z / ZMPOP 1 z MIN / BZPOPMIN z 1 / BZMPOP 1 1 z MIN / ZREMRANGEBYRANK z 0 0
ZREMRANGEBYSCORE z 0 1 / ZREMRANGEBYLEX z - + / GEODIST geo a b / GEOHASH geo a / GEOPOS geo a
GEOSEARCH geo FROMMEMBER a BYRADIUS 1 km / GEOSEARCH no FROMLONLAT 1 1 BYRADIUS 1 km / GEORADIUS geo 1 1 1 km
GEORADIUS geo 1 1 1 km STORE d / GEORADIUSBYMEMBER geo a 1 km / GEORADIUSBYMEMBER geo a 1 km STORE d
GEORADIUS_RO geo 1 1 1 km / GEORADIUSBYMEMBER_RO geo a 1 km / GEOSEARCHSTORE d geo FROMMEMBER a BYRADIUS 1 km / GEOADD geo 1 1 c
PFCOUNT p / PFCOUNT no / PFCOUNT p q no / PFMERGE d p q / PFMERGE p q no / PFADD p z / PFDEBUG ENCODING p / XLEN x / XRANGE x - +
XRANGE no - + / XREVRANGE x + - / XPENDING x g / XPENDING x g - + 10 / XINFO STREAM x / XINFO GROUPS x / XINFO CONSUMERS x g
XINFO STREAM no / XADD x * a b / XADD x NOMKSTREAM * a b / XDEL x 1-1 / XTRIM x MAXLEN 1 / XACK x g 1-1 / XACK no g 1-1
XCLAIM x g c 0 1-1 / XCLAIM no g c 0 1-1 / XAUTOCLAIM x g c 0 0 / XGROUP CREATECONSUMER x g d / XGROUP SETID x g 0 / XSETID x 9-9
EXISTS s no n s / TYPE s / TYPE no / TTL s / PTTL no / EXPIRETIME s / PEXPIRETIME s / TOUCH s no / DUMP s / DUMP no
OBJECT ENCODING s / OBJECT ENCODING no / OBJECT REFCOUNT s / MEMORY USAGE s / MEMORY USAGE no / RANDOMKEY / KEYS * / SCAN 0
DBSIZE / COPY s d / COPY no d / COPY s n / COPY s n REPLACE / RENAME s d / RENAME no d / RENAMENX s n / EXPIRE s 100
EXPIRE no 100 / SELECT 0
PERSIST s / DEL s no / UNLINK s no / MOVE no 1 / SORT l ALPHA / SORT no / SORT t BY w_* / SORT t BY w_* GET w_* GET #
SORT t BY nosort / SORT t BY w_* GET no_* STORE d / SORT_RO t BY w_* / SORT l ALPHA STORE d / DEBUG OBJECT s / RESTORE rr 0 x
WATCH s no / UNWATCH / EVAL return(redis.call('get','s')) 0 / EVAL return(redis.call('set','s','v')) 0
"""
"""XREAD and XREADGROUP look each stream up twice in Redis."""
WRONG = """
GET / GET a b / NOPE / NOPE x / CONFIG / CONFIG NOPE / CONFIG GET / CLIENT NOPE x / INCR s / MULTI / GET / EXEC / MULTI / MULTI
WATCH a / EXEC / EXEC / DISCARD / SETRANGE s -1 x / HELLO 9 / SELECT 99 / XINFO / BLPOP l x
SUBSCRIBE / LPUSH s x / EVAL return(1) 9 / CONFIG SET nope 1 / CLUSTER / DEBUG
"""


def stats(told: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in told.splitlines() if ":" in line)


def lookups(connection: Connection) -> tuple[int, int]:
    told = stats(connection.ask(b"INFO", b"stats").decode())
    return int(told["keyspace_hits"]), int(told["keyspace_misses"])


@needs_redis
def test_keys_are_found_and_missed_as_redis_counts_it(ports: tuple[int, int]) -> None:
    others, data, commands = [], script(DATA), script(LOOKED_UP)
    both = [Connection(port) for port in ports]
    for command in commands:
        found = []
        for connection in both:
            connection.ask(b"FLUSHALL")
            connection.ask_all(data)
            before = lookups(connection)
            connection.ask(*command)
            found.append(tuple(now - then for now, then in zip(lookups(connection), before, strict=True)))
        if found[0] != found[1]:
            others.append((command, *found))
    for connection in both:
        connection.socket.close()
    assert not others


@needs_redis
def test_errors_are_those_that_redis_counts(ports: tuple[int, int]) -> None:
    counted = []
    for port in ports:
        with redis.Redis(port=port, protocol=2, single_connection_client=True, decode_responses=True) as client:
            client.response_callbacks.clear()
            for words in [*script("FLUSHALL / SET s x / CONFIG RESETSTAT"), *script(WRONG)]:
                try:
                    client.execute_command(*words)
                except redis.ResponseError:
                    continue
            told = client.execute_command("INFO", "all")
        rows = re.findall(r"cmdstat_(\S+?):calls=(\d+).*,rejected_calls=(\d+),failed_calls=(\d+)", told)
        rows += re.findall(r"errorstat_(\S+?):count=(\d+)", told)
        rows.append(("all", stats(told)["total_error_replies"]))
        counted.append({name: numbers for name, *numbers in rows if not name.startswith(("client", "hello"))})
    assert counted[0] == counted[1]


@in_loop
async def test_what_has_come_and_gone_is_counted_until_it_is_forgotten() -> None:
    async with serving(info=lambda: {"Stats": {"expired_keys": 7}}) as harness:
        client = await harness.connect()
        asked = pack(b"GET", b"k") + pack(b"SET", b"k", b"v") + pack(b"GET", b"k") + pack(b"NOPE")
        client.writer.write(asked)
        answered = b"$-1\r\n+OK\r\n$1\r\nv\r\n-ERR unknown command 'NOPE', with args beginning with: \r\n"
        await client.expect(answered)
        now = harness.server.statistics()
        assert (now.read_bytes, now.written_bytes) == (len(asked), len(answered))
        told = await told_by(client)
        assert told["total_net_input_bytes"] == str(len(asked) + len(b"INFO stats\r\n"))
        assert told["total_net_output_bytes"] == str(len(answered))
        assert (told["total_commands_processed"], told["total_error_replies"], told["expired_keys"]) == ("4", "1", "7")
        await client.exchange("CONFIG RESETSTAT", b"+OK\r\n")
        told = await told_by(client)
        assert int(told["total_net_output_bytes"]) == len(b"+OK\r\n")
        assert int(told["total_net_input_bytes"]) == len(b"INFO stats\r\n")
        for name in ("keyspace_hits", "keyspace_misses", "total_error_replies", "expired_keys", "total_connections_received"):
            assert told[name] == "0", name
        assert told["total_commands_processed"] == "1", "this INFO"
        after = harness.server.statistics()
        assert after.commands == 6, "metrics go on"
        assert after.read_bytes > now.read_bytes


async def told_by(client: Client) -> dict[str, str]:
    client.send("INFO stats")
    size = int((await client.reader.readline())[1:])
    return stats((await client.reader.readexactly(size + 2)).decode())


def test_rates_are_those_of_the_time_between_two_looks() -> None:
    rates, traffic = Rates(), Traffic()
    rates.count(0, traffic, 100.0)
    assert (rates.commands, rates.kib_in, rates.kib_out) == (0, 0, 0)
    traffic.bytes_in, traffic.bytes_out = 4_096, 1_024
    rates.count(50, traffic, 102.0)
    assert (rates.commands, rates.kib_in, rates.kib_out) == (25, 2, 0.5)
    rates.count(50, traffic, 103.0)
    assert (rates.commands, rates.kib_in, rates.kib_out) == (0, 0, 0)


# -- each key once


def counted(act: Any) -> tuple[int, int]:
    before = LOOKUPS.hits, LOOKUPS.misses
    act()
    assert not LOOKUPS.reading
    return LOOKUPS.hits - before[0], LOOKUPS.misses - before[1]


def test_what_is_given_up_counts_nothing() -> None:
    view = DictView()
    run(view, "MSET " + " ".join(f"k{number} v" for number in range(600)))
    words = [b"MGET", *(b"k%d" % number for number in range(700))]
    command = TABLE[b"mget"].run
    assert command is not None

    def give_up() -> None:
        try:
            call(command, Metered(view), words, 2)
        except TooLong:
            return
        raise AssertionError("it is long")

    assert counted(give_up) == (0, 0)
    assert counted(lambda: call(command, view, words, 2)) == (600, 100)


@in_desk
async def test_long_reads_count_in_their_thread_and_are_told_when_they_are_done(desk: Desk) -> None:
    for command, lookups in ((b"mget", (1, 2)), (b"sunion", (0, 2)), (b"exists", (1, 2)), (b"pfcount", (0, 2))):
        keys = [b"no", b"nor"] if lookups[0] == 0 else [b"a", b"no", b"nor"]
        before = LOOKUPS.hits, LOOKUPS.misses
        reader = Reader(command, *keys)
        desk.reads.begin(reader)
        await desk.end_one()
        assert (LOOKUPS.hits, LOOKUPS.misses) == before, "it is not known yet"
        desk.confirm()
        assert len(reader.outcomes) == 1
        assert (LOOKUPS.hits - before[0], LOOKUPS.misses - before[1]) == lookups, command
    assert not LOOKUPS.reading


def test_a_long_read_counts_apart() -> None:
    view = LongView(1, Frozen(SortedView()), NOW_MS, 100, lambda: True)
    command = TABLE[b"hgetall"].run
    assert command is not None
    assert counted(lambda: command(view, [b"hgetall", b"a"], 2)) == (0, 0)
    assert (view.lookups.hits, view.lookups.misses) == (0, 1)


def test_under_a_uuid_and_in_a_transaction_they_are_counted_too() -> None:
    view, uuid = DictView(), bytes(6) + b"\x40\0\x80" + bytes(7)
    run(view, "SET a 1")
    for words, lookups in (([b"GETSET", b"a", b"2"], (1, 0)), ([b"INCR", b"a"], (0, 0)), ([b"HGET", b"no", b"f"], (0, 1))):
        assert counted(partial(handle, view, encode(2, [ONCE, uuid, *words]))) == lookups
    payload = encode(
        2, [b"exec", b"\x90", encode(2, [b"GET", b"a"]), encode(2, [b"EXISTS", b"a", b"no"]), encode(2, [b"INCR", b"a"])]
    )
    assert counted(partial(handle, view, payload)) == (2, 1)
