"""What the commands do that a comparison with Redis cannot show."""

from __future__ import annotations

import msgspec
import pytest

from paxosstore.errors import BY_CODE, Fault, InvalidRequest, OutcomeUnknown, RequestFailed, TooLarge
from paxosstore.services.redis.commands import table as data_table
from paxosstore.services.redis.commands.handler import drop_expired_payload, dropped, encode, handle
from paxosstore.services.redis.commands.table import DATA_COMMANDS
from paxosstore.services.redis.connection.requests import Ended, merge_ok, merge_sum
from paxosstore.services.redis.layout.keys import Key, number_of_keys
from paxosstore.services.redis.layout.keyspace import SLOT_BASE
from paxosstore.services.redis.reply import CODES, store_error
from paxosstore.services.redis.session.spec import SessionSpec
from paxosstore.services.redis.session.table import ALL_COMMANDS, SPECS, TABLE
from paxosstore.services.redis.types import strings
from paxosstore.services.redis.types.scanning import MAX_SCAN_COUNT

from .support import NOW_MS, DictView


def run(view: DictView, line: str, proto: int = 2) -> bytes:
    return handle(view, encode(proto, line.encode().split()))


def test_the_handler_runs_what_another_node_sends() -> None:
    view = DictView()
    assert run(view, "SET k v") == b"+OK\r\n"
    assert run(view, "get k") == b"$1\r\nv\r\n"
    assert run(view, "Get nothing") == b"$-1\r\n"
    assert run(view, "Get nothing", proto=3) == b"_\r\n"


@pytest.mark.parametrize("payload", [b"", b"\xc1", msgspec.msgpack.encode([2, []]), encode(2, [b"ping"]), encode(2, [b"nope"])])
def test_the_handler_refuses_what_it_does_not_know(payload: bytes) -> None:
    with pytest.raises(InvalidRequest):
        handle(DictView(), payload)


def test_expired_keys_are_dropped_on_demand() -> None:
    view = DictView()
    run(view, f"SET old v PXAT {NOW_MS - 1}")
    run(view, f"SET older v PXAT {NOW_MS - 2}")
    run(view, "SET young v EX 100")
    assert number_of_keys(view) == 3
    assert dropped(handle(view, drop_expired_payload(1))) == (1, NOW_MS - 2, 0)
    assert dropped(handle(view, drop_expired_payload(9, NOW_MS))) == (0, 0, 0)
    assert dropped(handle(view, drop_expired_payload(9, NOW_MS - 1))) == (1, NOW_MS - 1, 0)
    assert dropped(handle(view, drop_expired_payload(9))) == (0, 0, 0)
    assert number_of_keys(view) == 1


MADE = {
    "string": "SET k 1",
    "hash": "HSET h f v",
    "hyperloglog": "PFADD p a",
    "list": "RPUSH l a",
    "set": "SADD s a",
    "sorted-set": "ZADD z 1 a",
    "geo": "GEOADD g 1 1 a",
    "stream": "XADD x 1-1 f v",
}
"""Group of commands -> what makes a key of its kind; of other groups, "k" is as good."""
WORDS = {
    "cluster": "COUNTKEYSINSLOT 1",
    "xrange": "x - +",
    "xrevrange": "x + -",
    "xread": "STREAMS x 0",
    "xpending": "x g",
    "xinfo": "GROUPS x",
    "eval_ro": "return(1) 0",
    "fcall_ro": "one 0",
    "evalsha_ro": "930269f31393d0be681588b6ab08dccee7d6bb67 0",
    "scan": "0",
    "keys": "*",
    "randomkey": "",
    "object": "encoding k",
    "debug": "digest-value k",
    "memory": "usage k",
    "pfcount": "p",
    "hscan": "h 0",
    "sscan": "s 0",
    "sintercard": "1 s",
    "getrange": "k 0 1",
    "substr": "k 0 1",
    "getbit": "k 0",
    "bitpos": "k 1",
    "lrange": "l 0 1",
    "lindex": "l 0",
    "zscan": "z 0",
    "zcount": "z 0 1",
    "zlexcount": "z - +",
    "zrange": "z 0 1",
    "zrevrange": "z 0 1",
    "zrangebyscore": "z 0 1",
    "zrevrangebyscore": "z 0 1",
    "zrangebylex": "z - +",
    "zrevrangebylex": "z + -",
    "zunion": "1 z",
    "zinter": "1 z",
    "zdiff": "1 z",
    "zintercard": "1 z",
    "zrandmember": "z",
    "sort_ro": "l ALPHA",
    "geodist": "g a a",
    "geosearch": "g FROMMEMBER a BYRADIUS 1 m",
    "georadius_ro": "g 1 1 1 m",
    "georadiusbymember_ro": "g a 1 m",
}
"""What a command is sent with if it is not a key of its kind, and another one that has expired."""


def test_what_reads_writes_nothing() -> None:
    view = DictView()
    for command in (*MADE.values(), "PFCOUNT p", "XGROUP CREATE x g 0", "SCRIPT LOAD return(1)"):
        run(view, command)
    code = b"#!lua name=l\nredis.register_function{function_name='one', callback=function() end, flags={'no-writes'}}"
    handle(view, encode(2, [b"FUNCTION", b"LOAD", code]))
    view.read_only = True
    for spec in DATA_COMMANDS:
        if spec.writes:
            continue
        words = WORDS.get(spec.name, " ".join([MADE.get(spec.group, "SET k 1").split()[1], "old"][: abs(spec.arity) - 1]))
        assert not run(view, f"{spec.name} {words}").startswith(b"-")


def test_an_error_reply_leaves_nothing_behind() -> None:
    view = DictView()
    run(view, "SET k word")
    before = dict(view.rows)
    for line in ("INCR k", "SET k 1 EX 0", "SET k 1 NX XX", "EXPIRE k x", "MSET a 1 b", "DECRBY k x", "FLUSHDB now"):
        assert run(view, line).startswith(b"-ERR")
    assert view.rows == before


def test_a_scan_of_slots_leads_from_each_to_the_next() -> None:
    view = DictView(SLOT_BASE + 3)
    run(view, "MSET a 1 b 2")
    reply = run(view, f"SCAN {3 << 32} COUNT 1")
    page, cursor = reply.split(b"\r\n")[-2], int(reply.split(b"\r\n")[2])
    assert cursor >> 32 == 3
    last = run(view, f"SCAN {cursor} COUNT 1")
    assert b"$11\r\n%d\r\n" % (4 << 32) in last
    assert {page, last.split(b"\r\n")[-2]} == {b"a", b"b"}


def test_a_scan_looks_at_a_limited_number_of_keys() -> None:
    view = DictView()
    for number in range(MAX_SCAN_COUNT + 10):
        Key(view, b"%d" % number).set(b"")
    assert not run(view, f"SCAN 0 COUNT {2**40}").startswith(b"*2\r\n$1\r\n0\r\n")


def test_every_error_of_the_store_has_one_of_redis() -> None:
    assert CODES.keys() == BY_CODE.keys()
    for code, kind in BY_CODE.items():
        reply = store_error(kind("line 1\r\nline 2"))
        assert reply.startswith(b"-" + CODES[code].encode() + b" ")
        assert reply.endswith(b"line 1  line 2\r\n")
        assert reply.count(b"\n") == 1
        # what a client may repeat without a thought must not look like what it may not
        assert (CODES[code] in ("UNKNOWN", "NOTKEPT", "UUIDEXPIRED")) == (not kind.outcome_known)
        if kind.fault is not Fault.CALLER and kind.retry:
            assert CODES[code] != "ERR"


def test_error_texts() -> None:
    assert store_error(OutcomeUnknown("no answer in time")) == b"-UNKNOWN outcome unknown: no answer in time\r\n"
    assert store_error(RequestFailed("the request raised KeyError: 1")).startswith(b"-ERR internal error: ")


def test_replies_of_several_entities() -> None:
    full = Ended(b"-OVERLOADED x\r\n", known=True)
    late = Ended(b"-UNKNOWN y\r\n", known=False)
    done = Ended(b"+OK\r\n", known=True)
    assert merge_sum([Ended(b":1\r\n", known=True), Ended(b":41\r\n", known=True)], 2) == b":42\r\n"
    assert merge_sum([Ended(b":1\r\n", known=True), full], 2) == full.reply
    assert merge_ok([done, done], 2) == b"+OK\r\n"
    assert merge_ok([full, full], 2) == full.reply
    for parts in ([full, late], [late, full], [done, late], [late, late], [full, done]):
        assert merge_ok(parts, 2).startswith(b"-UNKNOWN outcome unknown: done in ")


def test_values_of_several_keys_have_a_limit_together() -> None:
    view = DictView()
    for name in (b"a", b"b", b"c"):
        Key(view, name).set(bytes(6_000_000))
    assert len(strings.mget(view, [b"MGET", b"a", b"b"], 2)) > 12_000_000
    with pytest.raises(TooLarge, match="over the limit of 16777216 bytes in one reply: ask for fewer at a time"):
        strings.mget(view, [b"MGET", b"a", b"b", b"c"], 2)
    Key(view, b"a").set(bytes(20_000_000))
    assert len(strings.mget(view, [b"MGET", b"a"], 2)) > 20_000_000


def test_an_error_holds_no_more_than_the_beginning_of_what_it_speaks_of() -> None:
    view = DictView()
    assert len(handle(view, encode(2, [b"EXPIRE", b"k", b"1", b"x" * 5_000_000]))) < 5_000


def test_every_command_is_in_the_table_and_can_be_run() -> None:
    assert len(TABLE) == 2 * len(SPECS) == 2 * len(ALL_COMMANDS)
    for spec in ALL_COMMANDS:
        assert (spec.run is None) == isinstance(spec, SessionSpec)
        assert spec.writes != ("readonly" in spec.flags) or spec.run is None
        inside = data_table.TABLE.get(spec.name.encode())
        assert inside is (spec if spec.run else None) or spec.name in ("cluster", "debug", "publish", "spublish")
