"""Lists: the same bytes to a real redis-server and to this service, the same bytes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .oracle import Words, compare, needs_redis, script, sequences, words

pytestmark = needs_redis

SCRIPT = """
SET s v / LPUSH l a / LPUSH l b c / RPUSH l d e / LRANGE l 0 -1 / LPUSH l / LPUSH s a / RPUSH s a / LPUSHX no a / RPUSHX no a
LPUSHX l z / RPUSHX l y x / LPUSHX s a / LPUSHX l / LLEN l / LLEN no / LLEN s / LLEN / TYPE l / OBJECTS l / LRANGE l 0 0
LRANGE l 1 3 / LRANGE l -3 -1 / LRANGE l -100 100 / LRANGE l 5 2 / LRANGE l 100 200 / LRANGE l x 1 / LRANGE l 1 x / LRANGE s x 1
LRANGE s 0 1 / LRANGE no 0 1 / LRANGE l 9223372036854775807 9223372036854775807 / LRANGE l 0 -9223372036854775808
LRANGE l -9223372036854775808 9223372036854775807 / LRANGE l 0 / LINDEX l 0 / LINDEX l -1 / LINDEX l 100 / LINDEX l -100
LINDEX l x / LINDEX no x / LINDEX s x / LINDEX no 0 / LINDEX l 9223372036854775808 / LINDEX l -9223372036854775808
LSET l 0 first / LSET l -1 last / LSET l 100 x / LSET l -100 x / LSET l x x / LSET no x x / LSET no 0 x / LSET s 0 x / LSET l 0
LINSERT l BEFORE a aa / LINSERT l after a ab / LINSERT l before first 0 / LINSERT l AFTER last 9 / LINSERT l BEFORE nope x
LINSERT l over a x / LINSERT no BEFORE a x / LINSERT s BEFORE a x / LINSERT s over a x / LINSERT l BEFORE a / LRANGE l 0 -1
DEL m / RPUSH m a b a c a d a / LREM m 1 a / LRANGE m 0 -1 / LREM m -1 a / LRANGE m 0 -1 / LREM m 0 a / LRANGE m 0 -1
LREM m 0 a / LREM m x a / LREM no 1 a / LREM s 1 a / LREM s x a / LREM m 0 b / LREM m 5 c / LREM m -5 d / EXISTS m / LLEN m
RPUSH m 1 2 3 4 5 / LTRIM m 1 3 / LRANGE m 0 -1 / LTRIM m -2 -1 / LRANGE m 0 -1 / LTRIM m 5 1 / EXISTS m / LTRIM m 0 1
LTRIM s 0 1 / LTRIM m x 1 / LTRIM m 1 x / LTRIM s x 1 / LTRIM m 0 / RPUSH m a b c 1 2 3 c c / LPOS m c / LPOS m c RANK 2
LPOS m c RANK -1 / LPOS m c COUNT 2 / LPOS m c COUNT 0 / LPOS m c RANK -1 COUNT 2 / LPOS m c RANK 0 / LPOS m c RANK x
LPOS m c COUNT -1 / LPOS m c COUNT x / LPOS m c MAXLEN -1 / LPOS m c MAXLEN x / LPOS m c MAXLEN 2 / LPOS m c MAXLEN 3
LPOS m c COUNT 0 MAXLEN 7 / LPOS m c RANK -1 MAXLEN 1 / LPOS m nope / LPOS m nope COUNT 1 / LPOS no c / LPOS no c COUNT 1
LPOS s c / LPOS s c RANK 0 / LPOS m c RANK / LPOS m c BOGUS 1 / LPOS m c RANK 1 COUNT / LPOS m / LPOS m c RANK 4
LPOS m c RANK 3 / LPOS m c RANK -9223372036854775808 / LPOS m c RANK 9223372036854775807
LPOS m c RANK -9223372036854775807 COUNT 0 / LPOP m / RPOP m / LPOP m 2 / RPOP m 2 / LPOP m 0 / LPOP m -1 / LPOP m x
LPOP m 1 2 / LPOP no / LPOP no 1 / LPOP no 0 / LPOP s / LPOP s 1 / LPOP s x / RPOP s / LPOP / RPOP m 1 2
LPOP m 9223372036854775807 / EXISTS m / LPOP m 9223372036854775808 / RPUSH a 1 2 3 / LMOVE a b LEFT RIGHT / LMOVE a b right left
LRANGE b 0 -1 / LMOVE a a LEFT RIGHT / LMOVE a s LEFT RIGHT / LMOVE s a LEFT RIGHT / LMOVE no a LEFT RIGHT
LMOVE no s LEFT RIGHT / LMOVE a b up RIGHT / LMOVE a b LEFT down / LMOVE a b LEFT / LMOVE a c LEFT LEFT / EXISTS a
RPUSH a 1 2 3 4 / LMOVE a a LEFT RIGHT / LMOVE a a RIGHT LEFT / LMOVE a a LEFT LEFT / LMOVE a a RIGHT RIGHT / LRANGE a 0 -1
RPOPLPUSH a b / RPOPLPUSH a a / RPOPLPUSH no a / RPOPLPUSH a s / RPOPLPUSH s a / RPOPLPUSH a / LRANGE a 0 -1 / LRANGE b 0 -1
LMPOP 1 a LEFT / LMPOP 2 no a RIGHT COUNT 2 / LMPOP 2 no a RIGHT COUNT 20 / LLEN a / LMPOP 1 no LEFT / LMPOP 0 a LEFT
LMPOP x a LEFT / LMPOP -1 a LEFT / LMPOP 3 a b LEFT / LMPOP 1 b up / LMPOP 1 b LEFT COUNT 0 / LMPOP 1 b LEFT COUNT x
LMPOP 1 b LEFT COUNT / LMPOP 1 b LEFT BOGUS 1 / LMPOP 1 b LEFT COUNT 1 COUNT 1 / LMPOP 1 s LEFT / LMPOP 2 s b LEFT
LMPOP 2 b s LEFT / LMPOP 1 b / LMPOP 9223372036854775807 a LEFT / LMPOP 1 b LEFT COUNT 9223372036854775807
RPUSH a 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 / BLPOP a 1 / BLPOP no a 1 / BRPOP no a 0.5 / BLPOP s 1 / BLPOP no s a 1
BLPOP a s 1 / BLPOP a -1 / BLPOP a x / BLPOP a / BLPOP a inf / BLPOP a nan / BLPOP a 99999999999999999999 / BLPOP s x
BRPOP a 0x1 / BLPOP a +1 / BLPOP a 1. / BLPOP a .5 / BLPOP a 1e0 / BLMOVE a b LEFT RIGHT 1 / BLMOVE a b up RIGHT 1
BLMOVE a b LEFT RIGHT x / BLMOVE a b LEFT up x / BLMOVE a s LEFT RIGHT 1 / BLMOVE s a LEFT RIGHT 1 / BLMOVE a b LEFT RIGHT -1
BLMOVE a b LEFT RIGHT / BRPOPLPUSH a b 1 / BRPOPLPUSH a b x / BRPOPLPUSH s b 1 / BRPOPLPUSH a s 1 / BRPOPLPUSH a b -1
BRPOPLPUSH a b / DEL a / RPUSH a 1 2 3 4 5 6 7 8 / BLMPOP 1 1 a LEFT / BLMPOP 1 2 no a RIGHT COUNT 3 / BLMPOP x 1 a LEFT
BLMPOP 1 0 a LEFT / BLMPOP -1 1 a LEFT / BLMPOP 1 1 a up / BLMPOP 1 1 s LEFT / BLMPOP 1 1 a LEFT COUNT 0 / BLMPOP 1 1 a
BLMPOP x 0 a up / BLMPOP x 1 a up / BLMPOP x 1 a LEFT COUNT 0 / BLMPOP x 1 a LEFT BOGUS / BLMPOP x 9 a LEFT / BLPOP a 1e300
BLPOP a 9223372036854776 / BLPOP a -inf / BLPOP a -0 / LRANGE a 0 -1 / DBSIZE / COMMAND GETKEYS lmpop 2 a b LEFT
COMMAND GETKEYS blmpop 1 2 a b LEFT / COMMAND GETKEYS blpop a b 1 / COMMAND GETKEYS lmpop 0 a LEFT
COMMAND GETKEYS lmpop x a LEFT / COMMAND GETKEYS lmove a b LEFT RIGHT / DEL l a b / MULTI / BLPOP no 1 / BRPOP no s 1
BLMOVE no x LEFT LEFT 1 / BRPOPLPUSH no x 1 / BLMPOP 1 1 no LEFT / BLMPOP 1 2 no s LEFT / EXEC / EXPIRE c 100 / RPUSH c 1
TTL c / LPOP c 10 / TTL c / RPUSH c 1 / TTL c
"""


@pytest.mark.parametrize("proto", [2, 3])
def test_every_command_and_its_errors(ports: tuple[int, int], proto: int) -> None:
    compare(ports, proto, script(SCRIPT))


KEY = st.sampled_from([b"a", b"b", b"s"])
VALUE = st.sampled_from([b"", b"1", b"2", b"3", b"\x00\r\n\xff"])
INDEX = st.sampled_from([b"0", b"1", b"2", b"-1", b"-2", b"5", b"-5", b"9223372036854775807", b"x"])
COUNT = st.sampled_from([b"0", b"1", b"2", b"3", b"-1", b"9223372036854775807"])
SIDE = st.sampled_from([b"LEFT", b"right"])
PLACE = st.sampled_from([b"BEFORE", b"after"])

COMMAND = st.one_of(
    st.builds(lambda n, k, v: (n, k, *v), st.sampled_from([b"LPUSH", b"RPUSH", b"LPUSHX"]), KEY, st.lists(VALUE, min_size=1)),
    words("LPOP", KEY),
    words("RPOP", KEY, COUNT),
    words("LLEN", KEY),
    words("LRANGE", KEY, INDEX, INDEX),
    words("LINDEX", KEY, INDEX),
    words("LSET", KEY, INDEX, VALUE),
    words("LINSERT", KEY, PLACE, VALUE, VALUE),
    words("LREM", KEY, INDEX, VALUE),
    words("LTRIM", KEY, INDEX, INDEX),
    words("LPOS", KEY, VALUE, "RANK", INDEX, "COUNT", COUNT, "MAXLEN", COUNT),
    words("LMOVE", KEY, KEY, SIDE, SIDE),
    words("RPOPLPUSH", KEY, KEY),
    words("LMPOP", "2", KEY, KEY, SIDE, "COUNT", COUNT),
    words("DEL", KEY),
    words("SET", "s", "v"),
    words("LRANGE", KEY, "0", "-1"),
)


@given(st.lists(COMMAND, max_size=40), st.sampled_from([2, 3]))
@sequences
def test_any_sequence(ports: tuple[int, int], commands: list[Words], proto: int) -> None:
    compare(ports, proto, [*commands, (b"LRANGE", b"a", b"0", b"-1"), (b"LRANGE", b"b", b"0", b"-1")])
