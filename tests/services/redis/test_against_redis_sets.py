"""Sets: the same commands to a real redis-server and to this service."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .oracle import Connection, Words, compare, needs_redis, parsed, script, sequences, words

pytestmark = needs_redis
UNORDERED = ("SMEMBERS", "SINTER", "SUNION", "SDIFF", "SSCAN", "SPOP", "SRANDMEMBER")

SCRIPT_INTEGERS = """
SADD / SADD i / SADD i 3 1 2 1 -5 9223372036854775807 -9223372036854775808 / SADD i 1 / SMEMBERS i / SCARD i / SCARD none
SISMEMBER i 1 / SISMEMBER i 4 / SISMEMBER none 1 / SISMEMBER i / SMISMEMBER i 1 7 x 2 / SMISMEMBER none a b / SMISMEMBER i
SSCAN i 0 / SSCAN i 0 COUNT 1 / SSCAN i 0 MATCH [1-3] / SSCAN i 77 / SREM i 1 99 1 / SMEMBERS i / SADD j 2 3 4 10 100
SINTER i j / SUNION i j / SDIFF i j / SDIFF j i i i / SINTER i / SUNION i none / SDIFF none i / SINTER i none / SUNION none
SINTERSTORE d i j / SMEMBERS d / SUNIONSTORE d i j / SMEMBERS d / SDIFFSTORE d i j / SMEMBERS d / SDIFFSTORE d d d / EXISTS d
SUNIONSTORE i i j / SMEMBERS i / SINTERCARD 2 i j / SINTERCARD 2 i j LIMIT 1 / SINTERCARD 2 i j LIMIT 0
SINTERCARD 1 i LIMIT 3
SINTERCARD 0 i / SINTERCARD x i / SINTERCARD 3 i j / SINTERCARD 2 i j LIMIT / SINTERCARD 2 i j LIMIT -1 / SINTERCARD 2 i j LIMIT x
SINTERCARD 2 i j BOGUS 1 / SINTERCARD 1 none / SINTERCARD -1 i / SINTERCARD 2 i none / SINTERCARD / SINTERCARD 1
SRANDMEMBER i 100
SRANDMEMBER i 100 x / SRANDMEMBER i x / SRANDMEMBER i 0 / SRANDMEMBER i -9223372036854775808 / SRANDMEMBER none
SRANDMEMBER none 5
SRANDMEMBER none -5 / SRANDMEMBER i 9223372036854775807 / SPOP none / SPOP none 5 / SPOP i x / SPOP i -1 / SPOP i 0 / SPOP i 1 2
SPOP i 9223372036854775808 / SPOP i 1000 / EXISTS i / SPOP / SRANDMEMBER / SADD one 1 / SRANDMEMBER one / SRANDMEMBER one -3
SPOP one / EXISTS one / SADD one 1 / SPOP one 1 / EXISTS one / SADD plus +1 01 / SADD space  1
"""

SCRIPT = """
SADD s a b c / SADD s b d / SMEMBERS s / SADD t c d e / SINTER s t / SUNION s t / SDIFF s t / SINTER s t none / SMEMBERS none
SADD mixed 1 2 three / SMEMBERS mixed / SREM mixed three / SMEMBERS mixed / SSCAN s 0 / SSCAN s 0 MATCH [ab] COUNT 100 / SSCAN s
SSCAN s x / SSCAN s 0 COUNT 0 / SSCAN s 0 TYPE set / SSCAN none 0 / SSCAN none 0 bogus / SSCAN s 0 COUNT x / SMOVE s t a
SMEMBERS s / SMEMBERS t / SMOVE s t a / SMOVE s t none / SMOVE none t a / SMOVE s s b / SMOVE s s zz / SMOVE s new b
SMEMBERS new
SMOVE new other b / EXISTS new / SMOVE s / SET str 1 / SADD str a / SREM str a / SMEMBERS str / SCARD str / SISMEMBER str a
SMISMEMBER str a / SINTER s str / SINTER none str / SUNION none str / SDIFF none str / SINTERSTORE d s str
SUNIONSTORE d none str
SINTERCARD 2 none str / SMOVE str s a / SMOVE s str c / SMOVE none str a / SPOP str / SPOP str 1 / SPOP str x / SRANDMEMBER str
SRANDMEMBER str 1 / SSCAN str 0 / GET s / HGET s a / TYPE s / SUNIONSTORE str s t / TYPE str / EXPIRE s 100 / SADD s z / TTL s
SUNIONSTORE s s / TTL s / SINTERSTORE nothing s none / SINTERSTORE s s none / EXISTS s / SINTER / SINTERSTORE d / SINTERSTORE
SDIFFSTORE d none / DBSIZE / SADD empty  / SMEMBERS empty / SREM empty  / EXISTS empty / SREM none a / SREM s / SCARD / SCARD a b
SPOP t 100 / SRANDMEMBER mixed 100
"""


@pytest.mark.parametrize("proto", [2, 3])
def test_sets_of_few_integers_to_the_last_byte(ports: tuple[int, int], proto: int) -> None:
    compare(ports, proto, script(SCRIPT_INTEGERS))


@pytest.mark.parametrize("proto", [2, 3])
def test_sets_and_their_errors(ports: tuple[int, int], proto: int) -> None:
    compare(ports, proto, script(SCRIPT), UNORDERED)


def test_a_set_of_many_integers(ports: tuple[int, int]) -> None:
    exact = [(b"SADD", b"s", b"%d" % (number * 7919 % 512)) for number in range(512)]
    compare(ports, 2, [*exact, (b"SMEMBERS", b"s"), (b"SSCAN", b"s", b"0")])
    compare(ports, 2, [*exact, (b"SADD", b"s", b"1000"), (b"SREM", b"s", b"1"), (b"SMEMBERS", b"s")], UNORDERED)


@pytest.mark.parametrize("proto", [2, 3])
def test_random_members_are_some_of_the_members_and_popped_ones_are_gone(ports: tuple[int, int], proto: int) -> None:
    redis, ours = (Connection(port) for port in ports)
    names = {b"%d" % number for number in range(200)} | {b"word"}
    for connection in (redis, ours):
        with connection.socket:
            connection.ask(b"FLUSHALL")
            connection.ask(b"HELLO", b"%d" % proto)
            connection.ask(b"SADD", b"s", *sorted(names))
            left = set(names)
            for count in (b"1", b"5", b"60", b"100"):
                popped = parsed(connection.ask(b"SPOP", b"s", count))
                assert isinstance(popped, list | set)
                assert len(set(popped)) == int(count)
                assert set(popped) <= left
                left -= set(popped)
                drawn = parsed(connection.ask(b"SRANDMEMBER", b"s", b"-50"))
                assert isinstance(drawn, list)
                assert len(drawn) == 50
                assert set(drawn) <= left
                chosen = parsed(connection.ask(b"SRANDMEMBER", b"s", b"20"))
                assert isinstance(chosen, list)
                assert len(set(chosen)) == min(20, len(left))
                assert set(chosen) <= left
            assert parsed(connection.ask(b"SCARD", b"s")) == len(left) == 35


KEY = st.sampled_from([b"a", b"b", b"c"])
MEMBER = st.sampled_from([b"1", b"2", b"-3", b"x", b"", b"01", b"\xff\r\n"])
INTEGER = st.sampled_from([b"1", b"2", b"3", b"-7", b"40000", b"9223372036854775807"])


def commands(member: st.SearchStrategy[bytes]) -> st.SearchStrategy[Words]:
    return st.one_of(
        words("SADD", KEY, member, member),
        words("SREM", KEY, member, member),
        words("SISMEMBER", KEY, member),
        words("SMISMEMBER", KEY, member, member),
        words("SMEMBERS", KEY),
        words("SCARD", KEY),
        words("SMOVE", KEY, KEY, member),
        words("SINTER", KEY, KEY),
        words("SUNION", KEY, KEY),
        words("SDIFF", KEY, KEY, KEY),
        words("SINTERSTORE", KEY, KEY, KEY),
        words("SUNIONSTORE", KEY, KEY, KEY),
        words("SDIFFSTORE", KEY, KEY, KEY),
        words("SINTERCARD", "2", KEY, KEY, "LIMIT", st.sampled_from([b"0", b"1", b"2"])),
        words("SRANDMEMBER", KEY, "100"),
        words("SPOP", KEY, "100"),
        words("SSCAN", KEY, "0", "COUNT", "100"),
        words("SET", KEY, "v"),
        words("EXPIRE", KEY, "100"),
        words("TTL", KEY),
        words("TYPE", KEY),
    )


@given(st.lists(commands(MEMBER), max_size=40), st.sampled_from([2, 3]))
@sequences
def test_any_sequence(ports: tuple[int, int], sequence: list[Words], proto: int) -> None:
    compare(ports, proto, sequence, UNORDERED)


@given(st.lists(commands(INTEGER), max_size=40), st.sampled_from([2, 3]))
@sequences
def test_any_sequence_of_integers_to_the_last_byte(ports: tuple[int, int], sequence: list[Words], proto: int) -> None:
    compare(ports, proto, sequence)
