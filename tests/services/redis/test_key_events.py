"""Keyspace notifications: the events that Redis has, in its order, told of what was decided to those who want to know."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from paxosstore.core.batch.published import Published
from paxosstore.services.redis.commands import handler
from paxosstore.services.redis.commands.handler import encode, handle
from paxosstore.services.redis.commands.table import TABLE
from paxosstore.services.redis.portable.importing import IMPORT
from paxosstore.services.redis.pubsub.events import COMPOSED, KEY_EVENT, interest
from paxosstore.services.redis.pubsub.hub import RENEWALS, WANTED, Hub
from paxosstore.services.redis.types.across import COPY_IN, MOVE_IN, READ_OUT, TAKE_AWAY

from .support import DictView, ServerThread, in_loop, serving
from .test_pubsub import REDIS, Talk, pack, redis_port  # noqa: F401  # a fixture

DIALOGUE = """
b CONFIG SET notify-keyspace-events KEAx / b CONFIG GET notify-keyspace-events / a PSUBSCRIBE __key* / b SET k v
b SET k v EX 100 / b GETSET k w / b APPEND k x / b INCR n / b DECRBY n 2 / b DEL k nothing / b MSET a 1 b 2
b SETNX a 1 / b SETNX c 1 / b EXPIRE a 100 / b EXPIRE nothing 100 / b PERSIST a / b PERSIST a / b EXPIRE a -1
b GETDEL b / b LPUSH l 1 2 3 / b RPUSH l 4 / b LPOP l / b RPOP l 2 / b LSET l 0 x / b LPOP l / b LPUSHX l 1
b RPUSH l 1 2 / b LMOVE l m LEFT RIGHT / b RPOPLPUSH l m / b RPOPLPUSH m m / b LREM m 1 nothing / b LREM m 1 1
b BLPOP m 0 / b RPUSH q a b;BLMPOP 0 1 q LEFT COUNT 5 / b SADD s 1 2 / b SADD s 1 / b SREM s 3 / b SREM s 1
b SMOVE s t 2 / b SPOP t / b HSET h f v / b HSETNX h f v / b HDEL h g / b HINCRBY h n 1 / b HDEL h f n
b ZADD z 1 a 2 b / b ZADD z INCR 1 a / b ZINCRBY z 1 a / b ZREM z nothing / b ZREM z a / b ZPOPMIN z
b MULTI;SET x 1;RPUSH y 1;EXEC / b MULTI;SET x 1;DISCARD / b INCR y / b SELECT 3;SET k v;SELECT 0
b SINTERSTORE d t t / b PFADD p a / b PFADD p a / b SETRANGE r 2 x / b SETBIT i 1 1 / b GET k / b FLUSHALL / b SET k v
b RENAME k k2 / b RENAMENX k2 k3 / b RENAME k3 k3 / b COPY k3 k4 / b COPY k3 k4 REPLACE / b COPY k3 k4 DB 5 / b GETEX k3
b GETEX k3 EX 100 / b GETEX k3 PERSIST / b RPUSH l 3 1 2 / b SORT l STORE m / b SORT nothing STORE m
b SORT nothing STORE m / b ZADD z 1 a 2 b / b ZRANGESTORE z2 z 0 -1 / b ZUNIONSTORE z3 2 z z2
b ZINTERSTORE z3 2 z nothing / b ZREMRANGEBYSCORE z 1 1 / b ZREMRANGEBYRANK z 5 6 / b ZPOPMAX z / b BZPOPMIN z2 0
b ZMPOP 1 z2 MIN / b LTRIM l 0 0 / b LTRIM l 5 6 / b LINSERT l BEFORE x y / b RPUSH l x / b LINSERT l BEFORE x y
b HINCRBYFLOAT h f 1.5 / b INCRBYFLOAT fl 1.5 / b BITOP NOT bo fl / b BITFIELD bf SET u8 0 1 / b MSETNX k3 1
b MSETNX new1 1 new2 2 / b SETEX se 10 v / b PSETEX pse 10000 v / b SADD sa 1 2;SADD sb 2 3 / b SUNIONSTORE sc sa sb
b SDIFFSTORE sc sa sa / b UNLINK sa sb / b ZADD z NX 1 a / b ZADD z NX 2 a / b ZADD z 1 a / b HSET h f 1.5
b LSET l 0 y / b RPUSH left a b c / b LMPOP 2 nothing left RIGHT / b BLMPOP 0 1 left RIGHT / b ZADD min 1 a 2 b 3 c
b ZMPOP 2 nothing min MAX / b BZMPOP 0 1 min MAX / b ZADD min 1 incr / b ZADD min XX INCR 1 incr / b SET t 1 EX 100
b SET t 2 KEEPTTL / b SET t 3 XX PX 100000 / b GETEX t PXAT 1 / b SET bf x / b BITOP AND bf nothing / b PFADD hl a b
b PFCOUNT hl / b XADD st 1-1 f v / b XGROUP CREATE st g 0 / b XGROUP CREATECONSUMER st g c
b XREADGROUP GROUP g c STREAMS st > / b XCLAIM st g c 0 1-1 / b XAUTOCLAIM st g c 0 0 / b XACK st g 1-1 / b XDEL st 1-1
b CONFIG SET notify-keyspace-events E$ / b SET k v / b LPUSH l 1
b CONFIG SET notify-keyspace-events Kl / b SET k v / b LPUSH l 1 / b CONFIG SET notify-keyspace-events KEn
b SET k2 v / b SET k2 v / b CONFIG SET notify-keyspace-events x / b CONFIG GET notify*
b CONFIG SET notify-keyspace-events Z / b CONFIG SET notify-keyspace-events "" / b SET k v / b CONFIG GET notify*
"""


@pytest.mark.skipif(REDIS is None, reason="redis-server is not installed on this machine")
def test_the_same_events_as_redis(redis_port: int) -> None:  # noqa: F811
    with ServerThread() as server:
        theirs, ours = Talk(redis_port), Talk(server.port)
        for line in (line.strip() for line in DIALOGUE.replace("\n", "/").split("/")):
            if line:
                assert ours.say(line) == theirs.say(line), line
        theirs.close()
        ours.close()


@pytest.fixture
def everything() -> Iterator[Hub]:
    hub = Hub(lambda channel, payload, kind: None)
    hub.notify("KEA")
    yield hub
    hub.close()
    assert not interest.classes


def test_what_has_expired_is_said_to_have_expired(everything: Hub) -> None:
    view = DictView(entity=(1 << 62) + 5)
    handle(view, encode(2, [b"SET", b"k", b"v", b"PX", b"10"]))
    view.published.clear()
    view.now_ms += 1_000
    handle(view, encode(2, [b"SET", b"k", b"w"]))
    assert view.published == [
        Published(b"xexpired", b"\5k", KEY_EVENT),
        Published(b"$set", b"\5k", KEY_EVENT),
    ]


def test_an_error_is_no_event(everything: Hub) -> None:
    view = DictView()
    handle(view, encode(2, [b"SET", b"k", b"v"]))
    view.published.clear()
    handle(view, encode(2, [b"INCR", b"k"]))
    handle(view, encode(2, [b"GET", b"k"]))
    assert view.published == []


def test_where_nobody_wants_to_know_nothing_is_found_out() -> None:
    view = DictView()
    handle(view, encode(2, [b"SET", b"k", b"v"]))
    assert view.published == []


def test_a_node_finds_out_what_another_one_wants_until_that_says_no_more() -> None:
    said: list[Published] = []
    one, other = Hub(lambda *words: said.append(Published(*words))), Hub(lambda *words: None)
    one.notify("K$")
    other.take(said)
    one.take(said)
    one.close()
    assert interest.classes == {"$"}
    for _ in range(RENEWALS - 1):
        other.tick()
    assert interest.classes == {"$"}
    other.take(said)
    for _ in range(RENEWALS):
        other.tick()
    assert not interest.classes
    assert {message.kind for message in said} == {WANTED}
    one.notify("K$")
    other.take(said[-1:])
    one.notify("")
    other.take(said[-1:])
    assert not interest.classes
    other.tick()
    assert not other._others
    for hub in (one, other):
        hub.close()


def test_flags_are_shown_as_redis_shows_them() -> None:
    hub = Hub(lambda *words: None)
    for flags, shown in (("AKE", "AKE"), ("Kg$lx", "g$lxK"), ("g$lshzxetdKE", "AKE"), ("KEAnm", "AKEm"), ("", ""), ("nE", "nE")):
        hub.notify(flags)
        assert hub.events == shown
    with pytest.raises(ValueError, match="Z"):
        hub.notify("Z")
    hub.notify("x")
    assert not interest.classes, "neither K nor E"


@in_loop
async def test_a_server_that_ends_wants_nothing_any_more() -> None:
    async with serving() as harness:
        _, connection = harness.plug()
        connection.data_received(pack("CONFIG", "SET", "notify-keyspace-events", "KEA"))
        await harness.settle()
        assert interest.classes
    assert not interest.classes


def test_what_runs_other_commands_is_not_watched_itself() -> None:
    """Each of those is watched."""
    steps = {READ_OUT, MOVE_IN, COPY_IN, TAKE_AWAY}  # each does one thing to one key
    around = handler._HANDLED.keys() - TABLE.keys() - {IMPORT, handler._DROP_EXPIRED} - steps
    assert around
    assert around <= COMPOSED
