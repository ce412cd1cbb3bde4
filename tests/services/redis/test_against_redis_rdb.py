"""DUMP and RESTORE: what one says the other takes, in both directions."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxosstore.services.redis.portable.commands import commands_of
from paxosstore.services.redis.portable.pieces import Piece

from .oracle import Connection, Words, is_same, needs_redis, parsed, script, sequences, without_order
from .test_portable import SortedView, exported, fill, found_in, frozen, run

pytestmark = needs_redis

LONG = b"x" * 300 + b"ab" * 300
KINDS = """
SET string text / SET int -5 / SET large 12345678901 / SET empty  / HSET hash a 1 b  / SADD ints 1 -2 70000 5000000000
SADD set a b c / ZADD zset 1.5 a -inf b inf c 0.1 d 3 e -5 f 100000 g / RPUSH list a b 1 -1 300 -40000 9000000000
XADD stream 1-1 a b / XADD stream 1-2 a c / XADD stream 5-0 a d e f / XADD stream 5-1 a b / XDEL stream 1-2
XGROUP CREATE stream g 0 / XGROUP CREATE stream idle 5-0 / XGROUP CREATECONSUMER stream idle nobody
XREADGROUP GROUP g Ada COUNT 2 STREAMS stream > / XREADGROUP GROUP g Bob STREAMS stream > / XCLAIM stream g Bob 0 1-1
XGROUP CREATE made g $ MKSTREAM / XADD gone 3-3 a b / XTRIM gone MAXLEN 0 / PFADD counted a b c / GEOADD geo 1 2 a
"""
READ = {
    b"string": "GET",
    b"hash": "HGETALL",
    b"set": "SMEMBERS",
    b"list": "LRANGE 0 -1",
    b"zset": "ZRANGE 0 -1 WITHSCORES",
    b"stream": "XINFO-FULL",
}
UNORDERED = (b"HGETALL", b"SMEMBERS")


def large() -> list[Words]:
    many = range(700)
    return [
        (b"SET", b"long", LONG),
        (b"HSET", b"longhash", *[word for number in many for word in (b"f%d" % number, LONG)]),
        (b"HSET", b"widehash", b"f", LONG),
        (b"RPUSH", b"longlist", *[b"%d" % number for number in many], LONG, b"y" * 9_000, LONG),
        (b"SADD", b"longset", *[b"m%d" % number for number in many]),
        (b"SADD", b"longints", *[b"%d" % number for number in many]),
        (b"ZADD", b"longzset", *[word for number in many for word in (b"%d.5" % number, b"m%d" % number)]),
        *[(b"XADD", b"longstream", b"%d-1" % number, b"f", b"%d" % number, b"g", LONG) for number in range(1, 300)],
        (b"XGROUP", b"CREATE", b"longstream", b"g", b"0"),
        (b"XREADGROUP", b"GROUP", b"g", b"Ada", b"STREAMS", b"longstream", b">"),
    ]


def reading(name: bytes, kind: bytes) -> list[Words]:
    if kind == b"stream":
        return [
            (b"XRANGE", name, b"-", b"+"),
            (b"XINFO", b"STREAM", name),
            (b"XINFO", b"GROUPS", name),
            (b"XPENDING", name, b"g"),
            (b"XPENDING", name, b"g", b"-", b"+", b"1000"),
        ]
    command, *rest = READ[kind].encode().split()
    return [(command, name, *rest)]


def check_both_ways(ports: tuple[int, int], made: Sequence[Words]) -> None:
    redis, ours = (Connection(port) for port in ports)
    with redis.socket, ours.socket:
        for source, target in ((redis, ours), (ours, redis)):
            for one in (source, target):
                one.ask(b"FLUSHALL")
                one.ask(b"FLUSHALL")
            source.ask_all(made)
            names = parsed(source.ask(b"KEYS", b"*"))
            assert isinstance(names, list)
            assert names
            for name in names:
                kind = parsed(source.ask(b"TYPE", name))
                assert isinstance(kind, bytes | str)
                payload = parsed(source.ask(b"DUMP", name))
                assert isinstance(payload, bytes)
                assert target.ask(b"RESTORE", name, b"0", payload) == b"+OK\r\n", (name, payload)
                for asked in reading(name, kind if isinstance(kind, bytes) else kind.encode()):
                    here, there = source.ask(*asked), target.ask(*asked)
                    if asked[0] in UNORDERED:
                        assert without_order(parsed(here)) == without_order(parsed(there)), asked
                    else:
                        assert is_same(asked, here, there), (asked, here, there)


def test_all_kinds(ports: tuple[int, int]) -> None:
    check_both_ways(ports, script(KINDS))


def test_large_ones(ports: tuple[int, int]) -> None:
    check_both_ways(ports, large())


WORD = st.binary(max_size=80) | st.integers(-(2**63), 2**63 - 1).map(lambda number: b"%d" % number)
SCORES = st.floats(allow_nan=False).map(lambda score: repr(score).encode())


@sequences
@given(
    st.fixed_dictionaries(
        {
            b"RPUSH": st.lists(WORD, max_size=150),
            b"SADD": st.lists(WORD, max_size=60) | st.lists(st.integers(-(2**63), 2**63 - 1).map(lambda one: b"%d" % one)),
            b"HSET": st.dictionaries(WORD, WORD, max_size=30).map(
                lambda pairs: [word for pair in pairs.items() for word in pair]
            ),
            b"ZADD": st.dictionaries(WORD, SCORES, max_size=30).map(
                lambda pairs: [word for member, score in pairs.items() for word in (score, member)]
            ),
            b"SET": WORD.map(lambda word: [word]),
        }
    ),
    st.lists(st.dictionaries(WORD, WORD, min_size=1, max_size=4), max_size=12),
)
def test_random_ones(ports: tuple[int, int], contents: dict[bytes, list[bytes]], entries: list[dict[bytes, bytes]]) -> None:
    made: list[Words] = [(command, b"key" + command, *words) for command, words in contents.items() if words]
    made += [
        (b"XADD", b"stream", b"%d-%d" % (number // 3 + 1, number), *[word for pair in fields.items() for word in pair])
        for number, fields in enumerate(entries, 1)
    ]
    check_both_ways(ports, made)


@sequences
@given(
    st.integers(-(2**63), 2**63 - 1).map(lambda number: b"%d" % number)
    | st.builds(
        lambda letters, size, seed: bytes(random.Random(seed).choices(letters, k=size)),
        st.binary(min_size=1, max_size=30),
        st.integers(0, 200) | st.integers(0, 9_000),
        st.integers(),
    )
    | st.builds(lambda parts, times: b"".join(parts) * times, st.lists(st.binary(max_size=60), max_size=6), st.integers(1, 99))
)
def test_strings_are_dumped_as_the_same_bytes(ports: tuple[int, int], text: bytes) -> None:
    redis, ours = (Connection(port) for port in ports)
    with redis.socket, ours.socket:
        for one in (redis, ours):
            one.ask(b"SET", b"a", text)
        assert redis.ask(b"DUMP", b"a") == ours.ask(b"DUMP", b"a")


@pytest.mark.parametrize("proto", [2, 3])
def test_errors_are_the_same(ports: tuple[int, int], proto: int) -> None:
    redis, ours = (Connection(port) for port in ports)
    with redis.socket, ours.socket:
        payload = b""
        for one in (redis, ours):
            one.ask(b"FLUSHALL")
            one.ask(b"HELLO", b"%d" % proto)
            one.ask(b"SET", b"a", b"1")
            found = parsed(one.ask(b"DUMP", b"a"))
            assert isinstance(found, bytes)
            payload = payload or found
        words: list[Words] = [
            (b"DUMP",),
            (b"DUMP", b"none"),
            (b"DUMP", b"a", b"b"),
            (b"RESTORE", b"b", b"0"),
            (b"RESTORE", b"a", b"0", payload),
            (b"RESTORE", b"a", b"0", b"junk"),
            (b"RESTORE", b"b", b"0", b"junk"),
            (b"RESTORE", b"b", b"0", b""),
            (b"RESTORE", b"b", b"0", payload[:-1]),
            (b"RESTORE", b"b", b"-1", payload),
            (b"RESTORE", b"b", b"x", payload),
            (b"RESTORE", b"b", b"x", b"junk", b"bogus"),
            (b"RESTORE", b"b", b"0", payload, b"IDLETIME"),
            (b"RESTORE", b"b", b"0", payload, b"IDLETIME", b"x"),
            (b"RESTORE", b"b", b"0", payload, b"IDLETIME", b"-1"),
            (b"RESTORE", b"b", b"0", payload, b"FREQ", b"256"),
            (b"RESTORE", b"b", b"0", payload, b"FREQ", b"1", b"IDLETIME", b"1"),
            (b"RESTORE", b"b", b"0", payload, b"IDLETIME", b"1", b"FREQ", b"1"),
            (b"RESTORE", b"b", b"100000", payload),
            (b"PTTL", b"b"),
            (b"RESTORE", b"b", b"1", payload, b"absttl", b"replace"),
            (b"EXISTS", b"b"),
            (b"RESTORE", b"a", b"0", payload, b"REPLACE"),
            (b"GET", b"a"),
            (b"OBJECT", b"ENCODING", b"a"),
        ]
        for asked in words:
            theirs, mine = redis.ask(*asked), ours.ask(*asked)
            assert is_same(asked, theirs, mine), (asked, theirs, mine)


def test_an_export_as_commands_makes_the_same_keys_in_redis(ports: tuple[int, int]) -> None:
    view, back = SortedView(), SortedView()
    fill(view)
    run(view, "DEL", "string", "long")  # the clock of this view stands in the past
    run(view, "XACK", "stream", "group", "7-1", *[f"{number}-1" for number in range(1, 20)])
    redis = Connection(ports[0])
    with redis.socket:
        redis.ask(b"FLUSHALL")
        for found in found_in(view):
            commands = [tuple(words) for words in commands_of(frozen(view), found)]
            replies = redis.ask_all(commands)
            assert not [reply for reply in replies if reply[:1] == b"-"], found.name
            payload = parsed(redis.ask(b"DUMP", found.name))
            assert isinstance(payload, bytes)
            assert run(back, "RESTORE", found.name, 0, payload) == b"+OK\r\n"
    assert sorted(map(plain, exported(back))) == sorted(map(plain, exported(view)))


def plain(key: tuple[bytes, bytes, int] | Piece) -> str:
    """Without what no command can say: when consumers were seen, what was large once; and members in any order."""
    if not isinstance(key, Piece):
        return repr(key)
    members = sorted([words[: -1 if words[0] == b"consumer" else None] for words in key.members])
    return repr(key._replace(is_large=False, members=members))
